//! What the maps in memory have in common: nothing to open, to sync or to close.

use std::{
    marker::PhantomData,
    mem,
    path::Path,
    sync::{PoisonError, RwLock},
};

use crate::compare::engine::{Database, Engine, Level, Promise, Result, Role, Session};

/// A map in memory as an engine. Its sessions are references to it.
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

/// A map for one thread, which becomes one for several behind a reader-writer lock.
pub trait Map {
    fn get(&self, key: &[u8]) -> Option<&[u8]>;

    /// The place of the key's value, which is made, with an empty one, if the key is absent.
    fn entry(&mut self, key: &[u8]) -> &mut Box<[u8]>;

    /// As [`Session::scan`].
    fn scan(&self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result;
}

impl<M: Map> Session for &RwLock<M> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.put_batch(&[(key, value)])
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut map = self.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in entries {
            *map.entry(key) = (*value).into();
        }
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            read(value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let mut map = self.write().unwrap_or_else(PoisonError::into_inner);
        let value = map.entry(key);
        let mut changed = mem::take(value).into_vec();
        change(&mut changed);
        *value = changed.into();
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        self.read().unwrap_or_else(PoisonError::into_inner).scan(from, read)
    }
}
