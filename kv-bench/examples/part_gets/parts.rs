use std::{ops::Range, path::Path, sync::Arc};

use kv_bench::{key, value};
use kv_core::{Change, Changes, Checkpoint, CheckpointHead, Checkpointer, CollectionId, Epoch, LogId, Lsn, Result};
use kv_snapshot::{MmapCheckpointer, OsVfs, Table, TableWriter};

/// The collection of the checkpoints.
pub const COLLECTION: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };

/// A table of this many entries, verified so that no get verifies a block.
pub fn table(directory: &Path, entries: u64) -> Table {
    let mut writer = TableWriter::create(OsVfs::open(directory).unwrap(), "table").unwrap();
    for (key, index) in sorted(0..entries) {
        writer.insert(&key, &value(index)).unwrap();
    }
    let table = writer.finish().unwrap();
    table.verify().unwrap();
    table
}

/// A checkpoint of this many entries, in parts of these shares, from the oldest to the newest.
pub fn checkpoint(directory: &Path, entries: u64, shares: &[u64]) -> Arc<dyn Checkpoint> {
    let checkpointer = MmapCheckpointer::open(OsVfs::create(directory).unwrap()).unwrap();
    let (mut newest, mut start): (Option<Arc<dyn Checkpoint>>, u64) = (None, 0);
    for (at, share) in shares.iter().enumerate() {
        let last = at + 1 == shares.len();
        let end = if last { entries } else { start + entries * share / shares.iter().sum::<u64>() };
        let id = newest.map(|checkpoint| checkpoint.id());
        newest = Some(checkpointer.write(id, &mut Slice::new(at as u64 + 1, start..end)).unwrap());
        start = end;
    }
    let newest = newest.unwrap();
    assert_eq!(newest.stats().parts, shares.len());
    let mut from = Some(0);
    while let Some(block) = from {
        from = newest.scrub(block, u64::MAX).unwrap();
    }
    newest
}

fn sorted(indexes: Range<u64>) -> Vec<([u8; 16], u64)> {
    let mut sorted: Vec<_> = indexes.map(|index| (key(index), index)).collect();
    sorted.sort_unstable();
    sorted
}

/// The entries of a range of indexes, as the changes that become a part.
struct Slice {
    head: CheckpointHead,
    name: Option<[u8; 12]>,
    entries: std::vec::IntoIter<([u8; 16], u64)>,
    key: [u8; 16],
    value: [u8; 100],
}

impl Slice {
    fn new(position: u64, indexes: Range<u64>) -> Self {
        Self {
            head: CheckpointHead { epoch: Epoch(1), lsn: Lsn(position), log_id: LogId(1) },
            name: (position == 1).then(|| COLLECTION.to_key()),
            entries: sorted(indexes).into_iter(),
            key: [0; 16],
            value: [0; 100],
        }
    }
}

impl Changes for Slice {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        if let Some(name) = self.name.take() {
            self.key[..name.len()].copy_from_slice(&name);
            let key = &self.key[..name.len()];
            return Ok(Some(Change { collection: CollectionId::NAMES, key, value: Some(b"bench") }));
        }
        let Some((key, index)) = self.entries.next() else { return Ok(None) };
        (self.key, self.value) = (key, value(index));
        Ok(Some(Change { collection: COLLECTION, key: &self.key, value: Some(&self.value) }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}
