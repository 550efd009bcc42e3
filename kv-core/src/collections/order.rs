//! The keys of a collection in byte order, in addition to the hash tables. They are kept only for
//! collections that were scanned.
//!
//! The first scan of a collection collects its keys shard by shard, while the writer goes on adding
//! new ones. Why no key is missed: the scan first sets `Orders::any` and adds its slot, and then
//! locks each shard to collect its keys. The writer inserts a key under the lock of its shard. If
//! it did so before the scan locked the shard, the scan finds the key there. If it did so after,
//! the lock makes the flag and the slot visible to the writer, and it adds the key itself. A key
//! may be added twice; the set keeps one copy.
//!
//! The order may also hold keys that are newer than the scan's position. The scan skips keys that
//! have no version at its position. Every key that it may see was inserted before its position was
//! published.

use std::{
    cmp::Ordering,
    collections::HashMap,
    ops::Bound,
    sync::{Arc, atomic},
};

use crossbeam_skiplist::SkipSet;

use crate::{
    CollectionId, Value,
    sync::{AtomicBool, Mutex, RwLock, lock, read, write},
};

/// The end of a range that entries are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

impl Direction {
    /// Which of two keys comes first in this direction.
    pub(crate) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Forward => a.cmp(b),
            Self::Backward => b.cmp(a),
        }
    }
}

/// The keys of a collection that have changed in a memtable, in byte order. Readers and the writer
/// do not wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Order(SkipSet<Value>);

impl Order {
    pub(crate) fn insert(&self, key: &Value) {
        self.0.insert(key.clone());
    }

    /// Up to `count` keys within the bounds, beginning at the end that `direction` starts from.
    pub(crate) fn keys(
        &self,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
        count: usize,
    ) -> Vec<Value> {
        let range = self.0.range::<[u8], _>((lower, upper));
        let key = |entry: crossbeam_skiplist::set::Entry<'_, Value>| entry.value().clone();
        match direction {
            Direction::Forward => range.take(count).map(key).collect(),
            Direction::Backward => range.rev().take(count).map(key).collect(),
        }
    }
}

/// The orders of all scanned collections of a memtable.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Whether there are any orders. If nothing has been scanned, the writer looks at nothing else.
    any: AtomicBool,
    by_collection: RwLock<HashMap<CollectionId, Arc<Slot>>>,
}

/// An order, which may still be incomplete.
#[derive(Debug, Default)]
struct Slot {
    keys: Arc<Order>,
    complete: Mutex<bool>,
}

impl Orders {
    /// Adds a new key, if its collection was scanned. Called by the writer, under the lock of the
    /// key's shard.
    pub(crate) fn insert(&self, collection: CollectionId, key: &Value) {
        // `Relaxed` suffices, because a scan locks the shard after it sets the flag (see the
        // module).
        if self.any.load(atomic::Ordering::Relaxed)
            && let Some(slot) = read(&self.by_collection).get(&collection)
        {
            slot.keys.insert(key);
        }
    }

    /// The order of a collection. The first call runs `collect`, which adds the keys that are
    /// already in the memtable; concurrent calls wait until it is complete.
    pub(crate) fn get(&self, collection: CollectionId, collect: impl FnOnce(&Order)) -> Arc<Order> {
        let known = read(&self.by_collection).get(&collection).cloned();
        let slot = known.unwrap_or_else(|| {
            self.any.store(true, atomic::Ordering::Relaxed);
            Arc::clone(write(&self.by_collection).entry(collection).or_default())
        });
        let mut complete = lock(&slot.complete);
        if !*complete {
            collect(&slot.keys);
            *complete = true;
        }
        Arc::clone(&slot.keys)
    }
}
