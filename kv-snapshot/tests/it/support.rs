//! States to write checkpoints of, and the comparison of a checkpoint with its state.

use std::{collections::BTreeMap, ops::Bound, path::Path, sync::Arc};

use kv_core::{
    Change, Changes, Checkpoint, CheckpointHead, CollectionId, CollectionSize, Epoch, LogId, Lsn, Result, Value,
};
use kv_snapshot::{MmapCheckpointer, SnapshotOptions};
use kv_testkit::vfs::TestVfs;
use kv_vfs::{OsVfs, Vfs};

/// Checkpoints that are read as this program tests it.
pub fn options() -> SnapshotOptions {
    SnapshotOptions { reader: crate::READER, ..SnapshotOptions::default() }
}

/// Opens the checkpoints in a directory.
pub fn open(vfs: Arc<dyn Vfs>) -> Result<MmapCheckpointer> {
    MmapCheckpointer::open_with(vfs, options())
}

/// The directory at `path`, with injected faults and random numbers that are the same in each run.
pub fn test_vfs(path: &Path) -> Arc<TestVfs> {
    TestVfs::new(OsVfs::open(path).unwrap())
}

pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn collection(index: u32) -> CollectionId {
    CollectionId { lsn: Lsn(1), index }
}

/// The state of a store, and what has changed in it since the last checkpoint.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub lsn: u64,
    pub collections: BTreeMap<CollectionId, Entries>,
    pub changes: BTreeMap<(CollectionId, Vec<u8>), Option<Vec<u8>>>,
}

impl State {
    pub fn put(&mut self, index: u32, key: &[u8], value: &[u8]) {
        let id = collection(index);
        if !self.collections.contains_key(&id) {
            self.create(index);
        }
        self.lsn += 1;
        self.set(id, key, Some(value));
    }

    pub fn delete(&mut self, index: u32, key: &[u8]) {
        let id = collection(index);
        self.lsn += 1;
        if self.collections.contains_key(&id) {
            self.set(id, key, None);
        }
    }

    /// Creates a collection: gives it a name, which is an entry like others.
    pub fn create(&mut self, index: u32) {
        let id = collection(index);
        self.collections.insert(id, Entries::new());
        self.set(CollectionId::NAMES, &id.to_key(), Some(format!("collection {index}").as_bytes()));
    }

    pub fn drop_collection(&mut self, index: u32) {
        let id = collection(index);
        self.lsn += 1;
        if self.collections.remove(&id).is_some() {
            self.changes.retain(|(other, _), _| *other != id);
            self.set(CollectionId::NAMES, &id.to_key(), None);
        }
    }

    fn set(&mut self, id: CollectionId, key: &[u8], value: Option<&[u8]>) {
        let entries = self.collections.entry(id).or_default();
        match value {
            Some(value) => entries.insert(key.to_vec(), value.to_vec()),
            None => entries.remove(key),
        };
        self.changes.insert((id, key.to_vec()), value.map(<[u8]>::to_vec));
    }

    /// Takes the changes since the last checkpoint.
    pub fn take(&mut self) -> StateChanges {
        let log_id = LogId(0x1111_2222_3333_4444_5555_6666_7777_8888);
        let head = CheckpointHead { epoch: Epoch(7), lsn: Lsn(self.lsn), log_id };
        let changes: Vec<_> = std::mem::take(&mut self.changes).into_iter().collect();
        StateChanges { head, changes, next: 0, cancel_after: usize::MAX }
    }

    /// Takes everything as a change, for a checkpoint without a previous one.
    pub fn take_whole(&mut self) -> StateChanges {
        let whole = self
            .collections
            .iter()
            .flat_map(|(id, entries)| entries.iter().map(|(key, value)| ((*id, key.clone()), Some(value.clone()))));
        self.changes = whole.collect();
        self.take()
    }
}

type OwnedChange = ((CollectionId, Vec<u8>), Option<Vec<u8>>);

pub struct StateChanges {
    pub head: CheckpointHead,
    pub changes: Vec<OwnedChange>,
    next: usize,
    pub cancel_after: usize,
}

impl Changes for StateChanges {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        let change = self.changes.get(self.next);
        self.next += 1;
        Ok(change.map(|((collection, key), value)| Change { collection: *collection, key, value: value.as_deref() }))
    }

    fn cancelled(&self) -> bool {
        self.next > self.cancel_after
    }
}

/// Changes that call a function at each question whether to go on.
pub struct Asking<'a>(pub StateChanges, pub &'a dyn Fn());

impl Changes for Asking<'_> {
    fn head(&self) -> &CheckpointHead {
        self.0.head()
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        self.0.next()
    }

    fn cancelled(&self) -> bool {
        (self.1)();
        false
    }
}

/// The entries of a range.
pub fn read_range(
    checkpoint: &dyn Checkpoint,
    id: CollectionId,
    lower: Bound<&[u8]>,
    upper: Bound<&[u8]>,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut cursor = checkpoint.range(id, lower, upper)?;
    let mut entries = Vec::new();
    while cursor.advance()? {
        assert_eq!(cursor.key_handle(), cursor.key());
        assert_eq!(cursor.value_handle(), cursor.value());
        entries.push((cursor.key().to_vec(), cursor.value().to_vec()));
    }
    assert!(cursor.key().is_empty() && cursor.value().is_empty() && !cursor.advance()?);
    Ok(entries)
}

/// The value of a key, read in every way.
pub fn read(checkpoint: &dyn Checkpoint, id: CollectionId, key: &[u8]) -> Result<Option<Value>> {
    let value = checkpoint.get(id, key)?;
    let mut in_place = None;
    let found = checkpoint.get_with(id, key, &mut |bytes| in_place = Some(bytes.to_vec()))?;
    assert_eq!(found, in_place.is_some());
    assert_eq!(value.as_deref(), in_place.as_deref());
    Ok(value)
}

/// Reads everything: every entry in every way, from both ends, and some keys that are absent.
/// Compares it with `state`. Returns the first error of a read.
pub fn compare(checkpoint: &dyn Checkpoint, state: &BTreeMap<CollectionId, Entries>) -> Result<()> {
    for (id, entries) in state {
        let all = read_range(checkpoint, *id, Bound::Unbounded, Bound::Unbounded)?;
        assert!(all.iter().map(|(k, v)| (k, v)).eq(entries.iter()), "entries of {id:?}");
        let mut backward = checkpoint.range(*id, Bound::Unbounded, Bound::Unbounded)?;
        for (key, value) in entries.iter().rev() {
            assert!(backward.retreat()?, "from the end: {key:?} of {id:?} is missing");
            assert_eq!((backward.key(), backward.value()), (&key[..], &value[..]), "from the end");
        }
        assert!(!backward.retreat()? && !backward.advance()?);
        for (key, value) in entries {
            assert_eq!(read(checkpoint, *id, key)?.as_deref(), Some(&value[..]), "value of {key:?}");
        }
        compare_many(checkpoint, *id, entries)?;
        let bytes = entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        let expected = CollectionSize { entries: entries.len() as u64, bytes };
        assert_eq!(checkpoint.size(*id)?, expected, "size of {id:?}");
    }
    for absent in [&b"absent"[..], b"", b"\xff\xff\xff\xff"] {
        for (id, entries) in state {
            if !entries.contains_key(absent) {
                assert_eq!(read(checkpoint, *id, absent)?, None);
            }
        }
    }
    assert_eq!(checkpoint.get(collection(999), b"key")?, None);
    assert!(read_range(checkpoint, collection(999), Bound::Unbounded, Bound::Unbounded)?.is_empty());
    assert_eq!(checkpoint.size(collection(999))?, CollectionSize::default());
    Ok(())
}

/// Reads all keys at once, with absent ones between them.
fn compare_many(checkpoint: &dyn Checkpoint, id: CollectionId, entries: &Entries) -> Result<()> {
    let with_absent = entries.keys().flat_map(|key| [key.clone(), [&key[..], b"?"].concat()]);
    let keys: Vec<Vec<u8>> = with_absent.collect();
    let values = checkpoint.get_many(id, &keys.iter().map(|key| &key[..]).collect::<Vec<_>>())?;
    let expected = keys.iter().map(|key| entries.get(key).map(|value| &value[..]));
    assert!(values.iter().map(Option::as_deref).eq(expected), "many values of {id:?}");
    Ok(())
}
