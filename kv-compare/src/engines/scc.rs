//! A hash table whose reads take no lock, for programs that read far more than they write and that
//! need no store.

use hashbrown::DefaultHashBuilder;
use kv_bench::harness::engine::{Result, Session, Unsupported};
use scc::{Guard, HashIndex, hash_index::Entry};

use super::maps::MapEngine;

/// The map has the hash function of the other hash tables, so that only the tables differ.
type Table = HashIndex<Box<[u8]>, Box<[u8]>, DefaultHashBuilder>;

/// scc's map for reading.
pub static SCC: MapEngine<Shared> =
    MapEngine::new("scc", "HashIndex of scc 3.8 with foldhash, boxed keys and values, read by peek_with");

/// The map, shared by all sessions.
#[derive(Default)]
pub struct Shared(Table);

impl Shared {
    /// Sets the value of the key to what `change` makes of it. The entry is locked for writers
    /// meanwhile, and not for readers.
    fn change(&self, key: &[u8], change: impl FnOnce(Option<&[u8]>) -> Box<[u8]>) {
        match self.0.entry_sync(key.into()) {
            Entry::Occupied(mut entry) => entry.update(change(Some(entry.get()))),
            Entry::Vacant(entry) => drop(entry.insert_entry(change(None))),
        }
    }
}

impl Session for &Shared {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.change(key, |_| value.into());
        Ok(())
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        entries.iter().try_for_each(|(key, value)| self.put(key, value))
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        self.0.peek_with(key, |_, value| read(value));
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        self.change(key, |value| {
            let mut value = value.unwrap_or_default().to_vec();
            change(&mut value);
            value.into()
        });
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if !from.is_empty() {
            return Err(Unsupported("a hash table has no order").into());
        }
        let _ = self.0.iter(&Guard::new()).all(|(key, value)| read(key, value));
        Ok(())
    }
}
