//! Valid tables to start from.

use std::{ops::Range, sync::OnceLock};

use bytes::Bytes;
use kv_snapshot::TableWriter;
use kv_vfs::little_endian::{put, put_u64};

use super::{
    Folder, NAME, Pieces,
    checksums::{BLOCK_BYTES, FAN_OUT, with_tree},
    must_succeed,
};

/// A table with several anchors and groups.
pub(super) fn indexed() -> &'static Pieces {
    static TABLE: OnceLock<Pieces> = OnceLock::new();
    TABLE.get_or_init(|| Pieces::of(&table(0..40, 3)))
}

/// A table of the keys with these numbers. Each value is `value_bytes` longer than the one before.
fn table(keys: Range<u32>, value_bytes: usize) -> Vec<u8> {
    let folder = Folder::new();
    let mut writer = must_succeed(TableWriter::create(folder.clone(), NAME));
    for (at, n) in keys.enumerate() {
        must_succeed(writer.insert(format!("key {n:02}").as_bytes(), &vec![b'v'; at * value_bytes]));
    }
    must_succeed(writer.finish());
    folder.bytes(NAME).into()
}

/// A table of the smallest entries.
pub(super) fn many_entries() -> Bytes {
    let folder = Folder::new();
    let mut writer = must_succeed(TableWriter::create(folder.clone(), NAME));
    for n in 0..60_000_u32 {
        must_succeed(writer.insert(&n.to_be_bytes(), b""));
    }
    must_succeed(writer.finish());
    folder.bytes(NAME)
}

/// A part whose directory fills as many blocks as its tree can cover.
pub(super) fn many_collections() -> Bytes {
    let Pieces { header, mut footer, .. } = Pieces::of(&table(0..0, 0));
    let blocks = FAN_OUT - 1;
    let mut body = vec![0; blocks * BLOCK_BYTES];
    let records = body.len() / 96;
    for (record, n) in body.chunks_exact_mut(96).zip(0..) {
        put(record, 8, &u32::to_le_bytes(n));
        for at in [40, 48, 56, 64] {
            put_u64(record, at, BLOCK_BYTES as u64);
        }
        put_u64(record, 88, 4);
    }
    for (at, value) in [(32, blocks + 3), (40, blocks + 1), (48, BLOCK_BYTES), (56, records)] {
        put_u64(&mut footer, at, value as u64);
    }
    with_tree(&header, &body, &footer)
}

/// The inputs to start from, by the target's name.
pub(crate) fn seeds(target: &str) -> Vec<crate::Seed> {
    let named = |name: &str, bytes| (name.to_owned(), bytes);
    if target == "index" {
        let Pieces { body, index, .. } = indexed();
        let bytes = index.iter().flat_map(|range| &body[range.clone()]).copied().collect();
        return vec![named("sound", bytes)];
    }
    let tables = [("empty", table(0..0, 0)), ("one-entry", table(7..8, 0)), ("two-blocks", table(0..40, 8))];
    let sparse = tables.iter().map(|(name, file)| named(name, sparse(&Pieces::of(file))));
    sparse.chain([named("file", table(0..3, 1))]).collect()
}

/// The input of the target `part` for these pieces.
fn sparse(Pieces { header, footer, body, .. }: &Pieces) -> Vec<u8> {
    let end = body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    [header, footer, &body[..end]].concat()
}
