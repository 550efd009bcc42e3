//! A hash table behind a lock, for programs that need neither an order nor a store.

use hashbrown::HashMap;
use kv_bench::harness::engine::{Result, Unsupported};

use super::maps::{Locked, Map, MapEngine};

type Table = HashMap<Box<[u8]>, Box<[u8]>>;

/// hashbrown's map behind a reader-writer lock.
pub static HASHBROWN: MapEngine<Locked<Table>> =
    MapEngine::new("hashbrown", "hashbrown 0.17 with foldhash, boxed keys and values, behind one RwLock");

impl Map for Table {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.get(key).map(|value| &**value)
    }

    fn entry(&mut self, key: &[u8]) -> &mut Box<[u8]> {
        self.entry(key.into()).or_default()
    }

    fn scan(&self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if !from.is_empty() {
            return Err(Unsupported("a hash table has no order").into());
        }
        let _ = self.iter().all(|(key, value)| read(key, value));
        Ok(())
    }
}
