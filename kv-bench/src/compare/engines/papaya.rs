//! A hash table without locks: what a program has whose threads share a map, and that needs no store.

use hashbrown::DefaultHashBuilder;
use papaya::{HashMap, Operation};

use super::maps::MapEngine;
use crate::compare::engine::{Result, Session, Unsupported};

/// The hash function is that of the other hash tables, so that the tables are compared.
type Table = HashMap<Box<[u8]>, Box<[u8]>, DefaultHashBuilder>;

/// papaya's map.
pub static PAPAYA: MapEngine<Table> =
    MapEngine::new("papaya", "papaya 0.2 with foldhash, boxed keys and values, pinned for each call");

impl Session for &Table {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.put_batch(&[(key, value)])
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let map = self.pin();
        for (key, value) in entries {
            map.insert((*key).into(), (*value).into());
        }
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.pin().get(key) {
            read(value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        // Called again where another thread was quicker.
        self.pin().compute(key.into(), |entry| {
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
        let _ = self.pin().iter().all(|(key, value)| read(key, value));
        Ok(())
    }
}
