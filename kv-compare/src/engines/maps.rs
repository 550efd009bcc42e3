//! The common part of the maps in memory, which have nothing to open, to sync or to close.

use std::{
    marker::PhantomData,
    mem,
    path::Path,
    sync::{PoisonError, RwLock},
};

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session, Unsupported};

/// A map in memory as an engine. Its sessions are references to the map.
pub struct MapEngine<M> {
    name: &'static str,
    settings: &'static str,
    map: PhantomData<fn() -> M>,
}

impl<M> MapEngine<M> {
    pub const fn new(name: &'static str, settings: &'static str) -> Self {
        Self { name, settings, map: PhantomData }
    }
}

impl<M> Engine for MapEngine<M>
where
    M: Default + Send + Sync + 'static,
    for<'a> &'a M: Session,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        Role::Ceiling
    }

    fn settings(&self, _: Level) -> String {
        self.settings.to_owned()
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        (level == Level::Process).then_some(Promise::Nothing)
    }

    fn open(&self, _: &Path, _: Level) -> Result<Box<dyn Database>> {
        Ok(Box::new(Opened(M::default())))
    }
}

struct Opened<M>(M);

impl<M> Database for Opened<M>
where
    M: Send + Sync,
    for<'a> &'a M: Session,
{
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(&self.0))
    }

    fn sync(&self) -> Result {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

/// A key and its value.
pub type Entry = (Box<[u8]>, Box<[u8]>);

/// A map that needs a reader-writer lock to be shared between threads.
pub trait Map {
    fn get(&self, key: &[u8]) -> Option<&[u8]>;

    /// The value of the key. An empty one is inserted if the key is absent.
    fn entry(&mut self, key: &[u8]) -> &mut Box<[u8]>;

    /// See [`Session::scan`].
    fn scan(&self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result;

    /// Removes the entry with the lowest key.
    fn pop_first(&mut self) -> Result<Option<Entry>> {
        Err(Unsupported("a hash table has no order").into())
    }
}

/// A map behind a reader-writer lock.
#[derive(Default)]
pub struct Locked<M>(RwLock<M>);

impl<M: Map> Session for &Locked<M> {
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in entries {
            *map.entry(key) = (*value).into();
        }
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            read(value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let value = map.entry(key);
        let mut changed = mem::take(value).into_vec();
        change(&mut changed);
        *value = changed.into();
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        self.0.read().unwrap_or_else(PoisonError::into_inner).scan(from, read)
    }

    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let popped = self.0.write().unwrap_or_else(PoisonError::into_inner).pop_first()?;
        Ok(popped.map(|(key, value)| read(&key, &value)).is_some())
    }
}
