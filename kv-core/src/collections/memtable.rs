use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{self, Ordering},
    },
};

use bytes::Bytes;
use hashbrown::{HashTable, hash_table};

use super::{
    WriterToken,
    horizon::Visible,
    order::{Order, Orders},
    steps::{GoOn, STEP_ENTRIES},
    versions::Versions,
};
use crate::{
    CollectionId, Lsn, Result, Value,
    sync::{RandomState, RwLock, read, write},
};

/// How many shards a memtable has: enough that readers and the writer seldom meet in one.
const SHARDS: usize = 64;

/// Roughly how many bytes of memory an entry takes in addition to its key and value.
const ENTRY_BYTES: usize = size_of::<Entry>() + 2 * size_of::<usize>();

/// The changes of a stretch of the log: a hash table from collection and key to versions, in
/// shards.
///
/// Only the active memtable is written to, by the holder of the [`WriterToken`]. A frozen memtable
/// never changes. Each shard has a lock, which is held for one key, or for the whole shard while
/// its changes or keys are collected.
#[derive(Debug)]
pub(crate) struct Memtable {
    shards: Box<[Shard]>,
    hasher: RandomState,
    /// These only count. They are not among loom's atomics, which would add an interleaving for
    /// each look at them.
    bytes: atomic::AtomicUsize,
    entries: atomic::AtomicUsize,
    orders: Orders,
}

/// Each shard has cache lines of its own, so that cores that lock different shards do not slow each
/// other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(RwLock<HashTable<Entry>>);

#[derive(Debug)]
struct Entry {
    collection: CollectionId,
    key: Value,
    versions: Versions<Value>,
}

/// A key as it was at a position.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) collection: CollectionId,
    pub(crate) key: Value,
    pub(crate) value: Option<Value>,
}

impl Memtable {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(),
            hasher: RandomState::default(),
            bytes: atomic::AtomicUsize::new(0),
            entries: atomic::AtomicUsize::new(0),
            orders: Orders::default(),
        }
    }

    /// How many keys the memtable holds, without the changes of collections' names.
    pub(crate) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Roughly how many bytes of memory the newest versions take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The version of a key that is seen at the position that `position` returns: its own position
    /// and its value, or `None` in place of the value if the key was deleted.
    ///
    /// `position` is called under the lock of the shard. The writer reads the published position,
    /// and the registered ones, before it locks the shard to prune. If it pruned before this read
    /// took the lock, the lock makes that published position visible here, and the position read
    /// now is not below it. So the version that is visible at this position is still there.
    pub(crate) fn version(
        &self,
        collection: CollectionId,
        key: &[u8],
        position: impl FnOnce() -> Lsn,
    ) -> Option<(Lsn, Option<Value>)> {
        let hash = self.hash(collection, key);
        let table = read(&self.shard(hash).0);
        let found = table.find(hash, |entry| entry.is(collection, key));
        let version = found?.versions.version_at(position())?;
        Some((version.lsn(), version.newest().cloned()))
    }

    /// Adds a version of a key. Returns the key's handle if the key now has older versions and had
    /// none before. The caller must then [prune](Memtable::prune) the key once `lsn` is published.
    pub(crate) fn apply(
        &self,
        _writer: &mut WriterToken,
        lsn: Lsn,
        collection: CollectionId,
        key: &[u8],
        value: Option<&[u8]>,
        visible: &Visible,
    ) -> Option<Value> {
        let hash = self.hash(collection, key);
        let mut table = write(&self.shard(hash).0);
        let slot =
            table.entry(hash, |entry| entry.is(collection, key), |entry| self.hash(entry.collection, &entry.key));
        match slot {
            hash_table::Entry::Occupied(mut occupied) => {
                let entry = occupied.get_mut();
                self.bytes.fetch_add(value.map_or(0, <[u8]>::len), Ordering::Relaxed);
                self.bytes.fetch_sub(entry.versions.newest().map_or(0, |value| value.len()), Ordering::Relaxed);
                let was_single = entry.versions.is_single();
                // If the newest version is not published yet, there may be many older ones, and
                // pruning at each change would walk them all. So pruning waits until they are
                // published.
                let all_published = entry.versions.lsn() <= visible.published();
                entry.versions.push(lsn, value.map(Value::copy_from));
                let is_single = all_published && entry.versions.prune(visible);
                (was_single && !is_single).then(|| entry.key.clone())
            }
            hash_table::Entry::Vacant(vacant) => {
                let (key, value) = copy_together(key, value);
                let value_len = value.as_ref().map_or(0, |value| value.len());
                self.bytes.fetch_add(ENTRY_BYTES + key.len() + value_len, Ordering::Relaxed);
                if collection != CollectionId::NAMES {
                    self.entries.fetch_add(1, Ordering::Relaxed);
                }
                self.orders.insert(collection, &key);
                vacant.insert(Entry { collection, key, versions: Versions::new(lsn, value) });
                None
            }
        }
    }

    /// Drops the versions of a key that no reader can see any more. Returns the position of the
    /// newest version if older ones are left.
    pub(crate) fn prune(&self, collection: CollectionId, key: &[u8], visible: &Visible) -> Option<Lsn> {
        let hash = self.hash(collection, key);
        let mut table = write(&self.shard(hash).0);
        let entry = table.find_mut(hash, |entry| entry.is(collection, key))?;
        (!entry.versions.prune(visible)).then(|| entry.versions.lsn())
    }

    /// The keys of a collection in byte order. The cost of the first call grows with the size of
    /// this memtable; from then on the writer keeps the order up to date.
    pub(crate) fn in_order(&self, collection: CollectionId) -> Arc<Order> {
        self.orders.get(collection, |order| {
            for shard in &self.shards {
                let table = read(&shard.0);
                table.iter().filter(|entry| entry.collection == collection).for_each(|entry| order.insert(&entry.key));
            }
        })
    }

    /// Appends the keys that `wanted` selects to `changed`, as they were at `position`, in no
    /// particular order.
    pub(crate) fn collect(
        &self,
        position: Lsn,
        wanted: &impl Fn(CollectionId, &[u8]) -> bool,
        changed: &mut Vec<Changed>,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        for shard in &self.shards {
            for (number, entry) in read(&shard.0).iter().enumerate() {
                if number.is_multiple_of(STEP_ENTRIES) {
                    go_on()?;
                }
                if wanted(entry.collection, &entry.key)
                    && let Some(value) = entry.versions.at(position)
                {
                    changed.push(Changed {
                        collection: entry.collection,
                        key: entry.key.clone(),
                        value: value.cloned(),
                    });
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn versions(&self) -> usize {
        self.shards.iter().map(|shard| read(&shard.0).iter().map(|entry| entry.versions.len()).sum::<usize>()).sum()
    }

    fn hash(&self, collection: CollectionId, key: &[u8]) -> u64 {
        self.hasher.hash_one((collection, key))
    }

    fn shard(&self, hash: u64) -> &Shard {
        // The hash table uses bits from both ends of the hash; these come from the middle.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

impl Entry {
    fn is(&self, collection: CollectionId, key: &[u8]) -> bool {
        self.collection == collection && *self.key == *key
    }
}

/// A value of up to this many bytes shares the allocation of its key, which lives as long as the
/// entry does.
const SHARED_VALUE_BYTES_MAX: usize = 512;

/// Copies key and value. A small value shares the allocation of its key, because most keys and
/// values are dropped together.
fn copy_together(key: &[u8], value: Option<&[u8]>) -> (Value, Option<Value>) {
    if value.is_some_and(|value| value.len() > SHARED_VALUE_BYTES_MAX) {
        return (Value::copy_from(key), value.map(Value::copy_from));
    }
    let mut joined = Bytes::from([key, value.unwrap_or_default()].concat());
    let key = joined.split_to(key.len());
    (key.into(), value.map(|_| joined.into()))
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;
    use crate::collections::order::Direction;

    const A: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };
    const B: CollectionId = CollectionId { lsn: Lsn(1), index: 1 };

    fn get(memtable: &Memtable, collection: CollectionId, position: u64) -> Option<Option<Value>> {
        memtable.version(collection, b"key", || Lsn(position)).map(|(_, value)| value)
    }

    #[test]
    fn versions_are_seen_at_their_positions_and_collections_are_apart() {
        let (memtable, mut writer) = (Memtable::new(), WriterToken::new());
        memtable.apply(&mut writer, Lsn(1), A, b"key", Some(b"one"), &Visible::from(Lsn(0)));
        memtable.apply(&mut writer, Lsn(2), B, b"key", Some(b"other"), &Visible::from(Lsn(0)));
        memtable.apply(&mut writer, Lsn(3), A, b"key", None, &Visible::from(Lsn(0)));

        assert_eq!(get(&memtable, A, 0), None);
        assert_eq!(get(&memtable, A, 2), Some(Some(Value::copy_from(b"one"))));
        assert_eq!(get(&memtable, A, 3), Some(None));
        assert_eq!(get(&memtable, B, 3), Some(Some(Value::copy_from(b"other"))));
        assert_eq!(memtable.entries(), 2);
    }

    #[test]
    fn older_versions_are_reported_until_they_can_be_pruned() {
        let (memtable, mut writer) = (Memtable::new(), WriterToken::new());
        let mut apply = |lsn, published| {
            memtable.apply(&mut writer, Lsn(lsn), A, b"key", Some(b"value"), &Visible::from(Lsn(published)))
        };
        assert!(apply(1, 0).is_none());
        assert!(apply(2, 1).is_some(), "position 1 is still read");
        assert!(apply(3, 1).is_none(), "it was already reported");
        assert_eq!(memtable.prune(A, b"key", &Visible::from(Lsn(2))), Some(Lsn(3)));
        assert_eq!(get(&memtable, A, 1), None);
        assert_eq!(memtable.prune(A, b"key", &Visible::from(Lsn(3))), None);
        assert!(apply(4, 4).is_none(), "nothing sees the older one");
    }

    #[test]
    fn keys_are_in_order_whether_they_come_before_or_after_the_first_scan() {
        let (memtable, mut writer) = (Memtable::new(), WriterToken::new());
        let mut put = |collection, key: &[u8]| {
            memtable.apply(&mut writer, Lsn(1), collection, key, Some(b"value"), &Visible::from(Lsn(0)))
        };
        put(A, b"c");
        put(B, b"b");
        let order = memtable.in_order(A);
        put(A, b"a");
        assert_eq!(order.keys(Bound::Unbounded, Bound::Unbounded, Direction::Forward, 9), ["a", "c"]);
    }
}
