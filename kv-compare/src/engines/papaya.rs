//! A lock-free hash table, for programs whose threads share a map and that need no store.

use hashbrown::DefaultHashBuilder;
use kv_bench::harness::engine::{Result, Session, Unsupported};
use papaya::{HashMap, Operation};

use super::maps::MapEngine;

/// The map has the hash function of the other hash tables, so that only the tables differ.
type Table = HashMap<Box<[u8]>, Box<[u8]>, DefaultHashBuilder>;

/// papaya's map.
pub static PAPAYA: MapEngine<Shared> =
    MapEngine::new("papaya", "papaya 0.2 with foldhash, boxed keys and values, pinned for each call");

/// The map, shared by all sessions.
#[derive(Default)]
pub struct Shared(Table);

impl Session for &Shared {
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let map = self.0.pin();
        for (key, value) in entries {
            map.insert((*key).into(), (*value).into());
        }
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.pin().get(key) {
            read(value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        // papaya calls this again if another thread changed the value first.
        self.0.pin().compute(key.into(), |entry| {
            let mut value = entry.map_or_else(Vec::new, |(_, value)| value.to_vec());
            change(&mut value);
            Operation::<_, ()>::Insert(value.into())
        });
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if !from.is_empty() {
            return Err(Unsupported("a hash table has no order").into());
        }
        let _ = self.0.pin().iter().all(|(key, value)| read(key, value));
        Ok(())
    }
}
