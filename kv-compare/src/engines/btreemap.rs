//! The standard library's ordered map behind a lock, for programs that need an order but no store.

use std::{collections::BTreeMap, ops::Bound};

use kv_bench::harness::engine::Result;

use super::maps::{Entry, Locked, Map, MapEngine};

type Tree = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// The standard library's ordered map behind a reader-writer lock.
pub static BTREEMAP: MapEngine<Locked<Tree>> =
    MapEngine::new("btreemap", "std's BTreeMap, boxed keys and values, behind one RwLock");

impl Map for Tree {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.get(key).map(|value| &**value)
    }

    fn entry(&mut self, key: &[u8]) -> &mut Box<[u8]> {
        self.entry(key.into()).or_default()
    }

    fn scan(&self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let entries = self.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        let _ = entries.into_iter().all(|(key, value)| read(key, value));
        Ok(())
    }

    fn pop_first(&mut self) -> Result<Option<Entry>> {
        Ok(self.pop_first())
    }
}
