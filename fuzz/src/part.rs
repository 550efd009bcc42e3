//! The decoders of a part of a checkpoint, read as a table: the whole part, or only its index.
//!
//! An input holds a part without the blocks that can be computed from the others: the first 80
//! bytes of its header, the first 80 of its footer, then the bytes between the header and the
//! checksum tree.

use std::ops::{Bound, Range};

use bytes::Bytes;
use kv_core::{Cursor, Result};
use kv_snapshot::{Table, TableCursor};
use kv_vfs::little_endian::{get_u64, put};

use crate::{
    Heavy,
    assertions::{decoded, must_succeed},
    disk::Folder,
};

mod checksums;
pub(crate) mod seeds;

use checksums::{BLOCK_BYTES, with_tree};

/// The part of a header or a footer that is not always zero.
const ENDS_BYTES: usize = 80;
/// Longer inputs are ignored: they would take longer and reach nothing new.
const INPUT_BYTES_MAX: usize = 256 << 10;
const NAME: &str = "table";

/// A table: as it is, and with its checksums corrected.
pub(crate) fn part(input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    try_table(Bytes::copy_from_slice(input));
    if let Some(file) = checksums::from_sparse(input) {
        try_table(file);
    }
}

/// The directory, the anchors, the groups and the offsets, one after the other, of a table whose
/// entries are valid.
pub(crate) fn index(input: &[u8]) {
    let base = seeds::indexed();
    let mut body = base.body.clone();
    let mut rest = input;
    for range in &base.index {
        let taken;
        (taken, rest) = rest.split_at(rest.len().min(range.len()));
        put(&mut body, range.start, taken);
    }
    try_table(with_tree(&base.header, &body, &base.footer));
}

/// Tries everything that can be done with a table.
fn try_table(file: Bytes) {
    let folder = Folder::with([(NAME, file)]);
    let Some(table) = decoded(Table::open(&*folder, NAME), &folder) else { return };
    let verified = decoded(table.verify(), &folder).is_some();
    let read = decoded(table.range(..).and_then(entries), &folder);
    if verified {
        let entries = read.unwrap_or_else(|| panic!("a table that verifies cannot be read"));
        assert_eq!(entries.len() as u64, table.len());
        assert!(entries.is_sorted_by(|a, b| a.0 < b.0), "keys are not in order");
        must_succeed(agrees(&table, &entries));
    }
    for key in [&b"key"[..], b"key 07", b"key 20", b"z", &[0xff; 300]] {
        decoded(table.get(key), &folder);
        decoded(table.get_with(key, <[u8]>::len), &folder);
        decoded(table.range((Bound::Excluded(key), Bound::Unbounded)).and_then(entries), &folder);
        decoded(table.range(..=key).and_then(entries), &folder);
    }
    let opened_again = decoded(Table::open(&*folder, NAME), &folder).map(|table| decoded(table.verify(), &folder));
    assert_eq!(opened_again, Some(verified.then_some(())), "the second verification has another result");
}

type Entry = (Vec<u8>, Vec<u8>);

fn entries(mut cursor: TableCursor) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    while cursor.advance()? {
        assert!(!cursor.key().is_empty());
        entries.push((cursor.key().to_vec(), cursor.value().to_vec()));
    }
    Ok(entries)
}

/// Point lookups and reading from a key on find what reading everything finds.
fn agrees(table: &Table, entries: &[Entry]) -> Result<()> {
    for (at, (key, value)) in entries.iter().enumerate().step_by(entries.len() / 32 + 1) {
        assert_eq!(table.get(key)?.as_deref(), Some(&value[..]));
        let mut absent = key.clone();
        absent.push(0);
        let is_absent = entries.get(at + 1).is_none_or(|(next, _)| *next != absent);
        assert_eq!(table.get(&absent)?.is_none(), is_absent);
        let mut cursor = table.range(&key[..]..)?;
        assert!(cursor.advance()? && cursor.key() == key && cursor.value() == value);
        let mut cursor = table.range(&absent[..]..)?;
        assert_eq!(cursor.advance()?.then(|| cursor.key()), entries.get(at + 1).map(|(key, _)| &key[..]));
    }
    Ok(())
}

/// A part in pieces.
struct Pieces {
    header: Vec<u8>,
    footer: Vec<u8>,
    /// The bytes between the header and the checksum tree.
    body: Vec<u8>,
    /// The places of the directory, the anchors, the groups and the offsets in the body.
    index: Vec<Range<usize>>,
}

impl Pieces {
    fn of(file: &[u8]) -> Self {
        let footer_at = file.len() - BLOCK_BYTES;
        let covered = get_u64(file, footer_at + 40) as usize * BLOCK_BYTES;
        let directory = get_u64(file, footer_at + 48) as usize;
        let place = |at| get_u64(file, directory + at) as usize - BLOCK_BYTES;
        let (entries, groups) = (get_u64(file, directory + 16), get_u64(file, directory + 72) as usize);
        let (anchors, anchors_end) = (place(56), place(56) + entries.div_ceil(32) as usize * 16);
        let (tags, tags_end) = (place(64), place(64) + groups * 32);
        let offsets = tags_end.next_multiple_of(64);
        let offsets_end = offsets + groups * 15 * get_u64(file, directory + 88) as usize;
        let directory = directory - BLOCK_BYTES;
        Self {
            header: file[..ENDS_BYTES].to_vec(),
            footer: file[footer_at..footer_at + ENDS_BYTES].to_vec(),
            body: file[BLOCK_BYTES..covered].to_vec(),
            index: vec![directory..directory + 96, anchors..anchors_end, tags..tags_end, offsets..offsets_end],
        }
    }
}

/// A great number of entries, and a great number of collections without entries.
pub(crate) fn heavy(target: &str) -> Vec<Heavy> {
    let heavy = |what, file: Bytes| {
        let (folder, bytes) = (Folder::with([(NAME, file.clone())]), file.len());
        let decode = move || {
            if let Some(table) = decoded(Table::open(&*folder, NAME), &folder) {
                decoded(table.verify(), &folder);
                let read = table.range(..).and_then(|mut cursor| {
                    while cursor.advance()? {}
                    Ok(())
                });
                decoded(read, &folder);
            }
        };
        Heavy { what, bytes, decode: Box::new(decode) }
    };
    if target == "index" {
        return Vec::new();
    }
    vec![heavy("many entries", seeds::many_entries()), heavy("many collections", seeds::many_collections())]
}
