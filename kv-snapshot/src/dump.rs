//! Prints a manifest, part or table as text, for golden tests and for people.

use std::{fmt, io::Write};

use kv_core::{CheckpointId, Error, Result};
use kv_vfs::{Vfs, little_endian::get_u64};

use crate::{
    error::not_opened,
    format::{
        block::BLOCK_BYTES,
        index::{Group, LANES},
        manifest::Manifest,
        names::Name,
        part::Section,
    },
    read::{checkpoint::read_manifest, file, part::Part},
};

/// The number of bytes that are shown of a key or value.
const SHOWN_BYTES: usize = 32;

/// Prints the file `name`: as a manifest if it has the name of one, otherwise as a part or table,
/// with each entry, anchor, used lane of the hash index and checksum.
///
/// # Errors
/// [`Error::Io`] if the file is missing (of the kind [`NotFound`](std::io::ErrorKind::NotFound)) or
/// cannot be read, or if `out` fails; [`Error::Corrupt`] if it is damaged; [`Error::OlderVersion`]
/// or [`Error::NewerVersion`] if another version wrote it.
pub fn dump(vfs: &dyn Vfs, name: &str, out: &mut dyn Write) -> Result<()> {
    let mut printer = Printer { name, out };
    match Name::parse(name) {
        Some(Name::Manifest(id) | Name::SetAside(id)) => {
            // `read_manifest` takes a missing file for damage. Here the caller may have the name
            // wrong.
            file::open(vfs, name).map_err(not_opened)?;
            printer.manifest(&read_manifest(vfs, name, id)?)
        }
        _ => printer.part(&Part::open(vfs, name)?),
    }
}

struct Printer<'a> {
    name: &'a str,
    out: &'a mut dyn Write,
}

impl Printer<'_> {
    fn line(&mut self, line: fmt::Arguments<'_>) -> Result<()> {
        writeln!(self.out, "{line}").map_err(|error| Error::from_io("print", self.name, error))
    }

    fn manifest(&mut self, manifest: &Manifest) -> Result<()> {
        self.line(format_args!("manifest {}", Id(manifest.id)))?;
        if let Some(previous) = manifest.previous {
            self.line(format_args!("made from {}", Id(previous)))?;
        }
        self.line(format_args!("log {}", manifest.log_id))?;
        for part in &manifest.parts {
            let s = part.summary;
            let pins = format_args!("identity {:032x}, digest {:032x}", s.identity, s.digest);
            let (entries, tombstones) = (part.entries, part.tombstones);
            let held = format_args!("{entries} entries, {tombstones} of them tombstones");
            self.line(format_args!("part {}: {} bytes, {held}, {pins}", part.seq, s.bytes))?;
            let (content, origins) = (part.content.0, part.origins);
            self.line(format_args!("  content {content:032x}, of parts {} to {}", origins.first, origins.last))?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Part) -> Result<()> {
        let (header, footer, summary) = (part.header(), part.footer(), part.summary());
        self.line(format_args!("part of {} bytes, digest {:032x}", summary.bytes, summary.digest))?;
        self.line(format_args!("store {:032x}, identity {:032x}", header.store, header.identity))?;
        for section in part.sections() {
            self.section(part, section)?;
        }
        self.line(format_args!("directory at {}: {} collections", footer.directory_offset, footer.collections))?;
        self.checksums(part)?;
        self.line(format_args!("footer: {} blocks, root {:016x}", footer.blocks, footer.root))
    }

    fn section(&mut self, part: &Part, section: &Section) -> Result<()> {
        let (id, entries, tombstones, bytes) = (section.id, section.entries, section.tombstones, section.bytes);
        let counts = format_args!("{entries} entries, {tombstones} of them tombstones, {bytes} bytes");
        self.line(format_args!("collection {}.{}: {counts}", id.lsn, id.index))?;
        self.line(format_args!("  entries {}..{}", section.entries_offset, section.entries_end))?;
        let mut offset = section.entries_offset;
        while offset < section.entries_end {
            let entry = part.entry(section, offset)?;
            let (key, value) = (part.key(entry)?, part.value(entry)?);
            let (key, value) = (Shown(&key), Shown(&value));
            match entry.is_tombstone() {
                true => self.line(format_args!("    {offset} tombstone {key}"))?,
                false => self.line(format_args!("    {offset} put {key} = {value}"))?,
            }
            offset = entry.end();
        }
        self.line(format_args!(
            "  anchors at {}, keys have {} bytes in common",
            section.anchors_offset, section.common_bytes
        ))?;
        for anchor in 0..section.anchors() {
            let (prefix, offset) = part.anchor(section, anchor)?;
            self.line(format_args!("    {prefix:016x} -> {offset}"))?;
        }
        self.groups(part, section)
    }

    fn groups(&mut self, part: &Part, section: &Section) -> Result<()> {
        let (groups, homes, width) = (section.groups, section.homes, section.offset_width.bytes());
        self.line(format_args!("  groups at {}: {groups}, {homes} homes", section.groups_offset))?;
        self.line(format_args!("  offsets of {width} bytes at {}", section.offsets_offset()))?;
        for number in 0..groups {
            let bytes = part.group(section, number)?;
            let group = Group(&bytes);
            self.line(format_args!("    {number} filter {:016b}", group.filter()))?;
            for lane in (0..LANES).filter(|lane| group.tag(*lane) != 0) {
                let offset = part.indexed(section, number, lane as u64)?;
                self.line(format_args!("      tag {:04x} -> {offset}", group.tag(lane)))?;
            }
        }
        Ok(())
    }

    fn checksums(&mut self, part: &Part) -> Result<()> {
        let footer = part.footer();
        self.line(format_args!("checksums of {} blocks", footer.blocks_covered))?;
        let start = footer.blocks_covered * BLOCK_BYTES as u64;
        for block in 0..footer.blocks_covered {
            let at = start + block * 8;
            let checksum = get_u64(&part.blocks().bytes(at, at + 8)?, 0);
            self.line(format_args!("    {block} {checksum:016x}"))?;
        }
        Ok(())
    }
}

struct Id(CheckpointId);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} position {} number {}", self.0.epoch, self.0.lsn, self.0.seq)
    }
}

/// Bytes as text. Long ones are shortened.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} bytes"),
        }
    }
}
