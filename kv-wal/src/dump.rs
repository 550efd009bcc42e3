//! Prints a log as text, for people and for the tests of the format.

use std::io::Write;

use kv_core::{Error, Lsn, Result};
use kv_vfs::{Access, Vfs};

use crate::{
    error,
    format::{
        frame::{self, Kind, Link, Seal, Start},
        mark::Mark,
        names,
    },
    mark_file,
    recovery::{Frame, Scanner, Step, segment_numbers},
    segment_file::{self, Segment},
};

/// How many bytes of a record are shown.
const PREVIEW_BYTES: usize = 24;

/// Writes the contents of a log's directory to `out`, one line for each frame, with offsets in
/// bytes from the start of the file. Each segment is read up to the first thing that is not a valid
/// frame, whether the segment is live or void. Changes nothing and takes no lock.
///
/// The snapshots in `kv-wal/tests/it/snapshots` are worked examples of the format: `written` shows
/// a first segment as text, `bytes` the same segment in hexadecimal, `mark` the mark, `closed` a
/// seal, and `killed` and `continued` show how later openings continue the log.
///
/// # Errors
/// [`Io`](Error::Io) if a segment cannot be read or `out` cannot be written;
/// [`OlderVersion`](Error::OlderVersion) or [`NewerVersion`](Error::NewerVersion) if the mark has
/// the format of another version. Damage is not an error here: the text reports it.
pub fn dump(vfs: &dyn Vfs, out: &mut dyn Write) -> Result<()> {
    for number in segment_numbers(vfs)? {
        match segment_file::open(vfs, number, Access::Read) {
            Ok(segment) => dump_segment(&segment, out)?,
            Err(error) if error::is_finding(&error) => {
                line(out, format_args!("{}: {error}", names::segment(number)))?;
            }
            Err(error) => return Err(error),
        }
    }
    let marks = mark_file::read(vfs)?;
    if marks.is_empty() {
        return line(out, format_args!("{}: none", names::MARK));
    }
    for Mark { log_id, counter, epoch, durable } in marks {
        line(
            out,
            format_args!("{}: mark {counter} of log {log_id}: epoch {epoch}, durable up to {durable}", names::MARK),
        )?;
    }
    Ok(())
}

fn dump_segment(segment: &Segment, out: &mut dyn Write) -> Result<()> {
    let header = &segment.header;
    let (name, log, identity) = (names::segment(header.number), header.log_id, header.identity);
    let (length, block) = (header.length, header.block_bytes);
    line(
        out,
        format_args!(
            "{name}: segment {} of log {log}, identity {identity:016x}, {length} bytes, blocks of {block}",
            header.number
        ),
    )?;
    let mut scanner = Scanner::new(segment, header.length)?;
    loop {
        match scanner.step() {
            Ok(Step::Frame(frame)) => line(out, format_args!("{}", describe(&frame, scanner.payload())))?,
            Ok(Step::End) => return line(out, format_args!("{:>10} end", scanner.offset())),
            Ok(Step::Bad(problem)) => return line(out, format_args!("{:>10} bad: {problem}", scanner.offset())),
            Err(Error::NewerVersion { detail, .. }) => {
                return line(out, format_args!("{:>10} newer: {detail}", scanner.offset()));
            }
            Err(error) => return Err(error),
        }
    }
}

fn describe(frame: &Frame, payload: &[u8]) -> String {
    let Frame { offset, kind, lsn, watermark: Lsn(durable), payload_bytes } = *frame;
    let detail = match kind {
        Kind::Record => {
            let shown = &payload[..payload.len().min(PREVIEW_BYTES)];
            let dots = if shown.len() < payload.len() { "…" } else { "" };
            format!("{payload_bytes} bytes \"{}\"{dots}", shown.escape_ascii())
        }
        Kind::Padding => format!("{payload_bytes} bytes"),
        Kind::Start => Start::decode(payload).map_or_else(String::new, describe_start),
        Kind::Seal => Seal::decode(payload).map_or_else(String::new, |seal| format!("epoch {}", seal.epoch)),
        Kind::Epoch => frame::decode_epoch(payload).map_or_else(String::new, |epoch| format!("epoch {epoch}")),
    };
    let kind = match kind {
        Kind::Record => "record",
        Kind::Padding => "padding",
        Kind::Start => "start",
        Kind::Seal => "seal",
        Kind::Epoch => "epoch",
    };
    format!("{offset:>10} {kind:<8} position {lsn}, durable {durable}: {detail}")
}

fn describe_start(start: Start) -> String {
    match start.predecessor {
        Some(Link { number, identity, end }) => {
            format!("epoch {}, continues segment {number} ({identity:016x}) at byte {end}", start.epoch)
        }
        None => format!("epoch {}, begins the log", start.epoch),
    }
}

fn line(out: &mut dyn Write, text: std::fmt::Arguments<'_>) -> Result<()> {
    writeln!(out, "{text}").map_err(|error| Error::from_io("write", "the dump", error))
}
