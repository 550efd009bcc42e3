//! A hash table behind a lock: what a program has that needs no store.

use std::{
    path::Path,
    sync::{PoisonError, RwLock},
};

use hashbrown::HashMap;

use crate::compare::engine::{Database, Engine, Level, Promise, Result, Role, Session, Unsupported};

/// hashbrown's map of boxed keys and values behind a reader-writer lock.
pub struct Hashbrown;

impl Engine for Hashbrown {
    fn name(&self) -> &'static str {
        "hashbrown"
    }

    fn role(&self) -> Role {
        Role::Ceiling
    }

    fn settings(&self, _: Level) -> String {
        "hashbrown 0.17 with foldhash, boxed keys and values, behind one RwLock".to_owned()
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        (level == Level::Process).then_some(Promise::Nothing)
    }

    fn open(&self, _: &Path, _: Level) -> Result<Box<dyn Database>> {
        Ok(Box::new(Map::default()))
    }
}

#[derive(Default)]
struct Map(RwLock<HashMap<Box<[u8]>, Box<[u8]>>>);

impl Database for Map {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    fn sync(&self) -> Result {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

struct Calls<'a>(&'a Map);

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.put_batch(&[(key, value)])
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut map = self.0.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in entries {
            map.insert((*key).into(), (*value).into());
        }
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.0.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            read(value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let mut map = self.0.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut value = map.get(key).map_or_else(Vec::new, |value| value.to_vec());
        change(&mut value);
        map.insert(key.into(), value.into());
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if !from.is_empty() {
            return Err(Unsupported("a hash table has no order").into());
        }
        let map = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        let _ = map.iter().all(|(key, value)| read(key, value));
        Ok(())
    }
}
