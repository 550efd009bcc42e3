//! The keys of a collection in byte order, beside the hash tables: kept for the collections that are scanned, and for no others.

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

/// Which end of a range is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

impl Direction {
    /// Which of two keys comes first.
    pub(crate) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Forward => a.cmp(b),
            Self::Backward => b.cmp(a),
        }
    }
}

/// The keys of a collection that have changed in a memtable, in byte order. Readers and the writer do not wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Order(SkipSet<Value>);

impl Order {
    pub(crate) fn insert(&self, key: &Value) {
        self.0.insert(key.clone());
    }

    /// Up to `count` keys within the bounds, from the end that `direction` begins at.
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

/// The orders of the collections that were scanned.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Whether there are any: what the writer looks at where nothing is scanned.
    any: AtomicBool,
    by_collection: RwLock<HashMap<CollectionId, Arc<Slot>>>,
}

/// An order that may still be in the making.
#[derive(Debug, Default)]
struct Slot {
    keys: Arc<Order>,
    complete: Mutex<bool>,
}

impl Orders {
    /// Takes note of a new key. For the writer, under the lock of the key's shard.
    pub(crate) fn insert(&self, collection: CollectionId, key: &Value) {
        // Relaxed suffices: who collects locks the shard after setting it, and finds there what was inserted before.
        if self.any.load(atomic::Ordering::Relaxed)
            && let Some(slot) = read(&self.by_collection).get(&collection)
        {
            slot.keys.insert(key);
        }
    }

    /// The order of a collection. `collect` adds the keys that are there, the first time; new ones come in beside it.
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
