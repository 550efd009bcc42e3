//! This project's engine.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use kv_store::{
    Batch, Collection, Durability, Options, Store,
    background::{Job, Scheduler, Threads, Wake},
};

use crate::{
    COLLECTION,
    harness::engine::{Database, Engine, Level, Promise, Result, Role, Session, Snapshot},
    without_checkpoints,
};

/// The name of the job that merges.
const MERGES: &str = "kv-merge";

/// kv-store with its default options.
pub struct Kv;

impl Engine for Kv {
    fn name(&self) -> &'static str {
        "kv"
    }

    fn role(&self) -> Role {
        Role::Ours
    }

    fn settings(&self, level: Level) -> String {
        format!("kv {}, durability {level:?}, gets and scans in place (get_with, scan_with)", env!("CARGO_PKG_VERSION"))
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        open_with(Options::default(), directory, level)
    }

    fn open_held(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let mut options = without_checkpoints();
        options.store.scheduler = Arc::new(WithoutMerges);
        options.store.slow_unmerged_parts = usize::MAX;
        open_with(options, directory, level)
    }

    fn is_checkpoint_file(&self, file: &Path) -> bool {
        file.extension().is_some_and(|extension| extension == "part")
    }
}

fn open_with(options: Options, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
    let durability = match level {
        Level::Disk => Durability::Disk,
        Level::Process => Durability::Process,
    };
    let store = options.durability(durability).open(directory)?;
    let collection = store.collection(COLLECTION)?;
    Ok(Box::new(Opened { store, collection }))
}

/// Runs all jobs of a store in threads, except the one that merges.
struct WithoutMerges;

impl Scheduler for WithoutMerges {
    fn spawn(&self, name: &'static str, job: Box<dyn Job>) -> kv_store::Result<Box<dyn Wake>> {
        if name == MERGES { Ok(Box::new(Asleep)) } else { Threads.spawn(name, job) }
    }
}

/// A job that never runs.
struct Asleep;

impl Wake for Asleep {
    fn wake(&self) -> kv_store::Result<()> {
        Ok(())
    }
}

struct Opened {
    store: Store,
    collection: Collection,
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls { database: self, batch: Batch::new() }))
    }

    fn sync(&self) -> Result {
        self.store.sync()?;
        Ok(())
    }

    fn checkpoint(&self) -> Result {
        self.store.checkpoint()?;
        Ok(())
    }

    fn compact(&self) -> Result {
        self.store.compact()?;
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(self.store.snapshot()))
    }

    fn parts(&self) -> Option<usize> {
        Some(self.store.stats().checkpoint_size.parts)
    }

    fn close(self: Box<Self>) -> Result {
        Ok(self.store.close()?)
    }
}

struct Calls<'a> {
    database: &'a Opened,
    batch: Batch,
}

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.database.collection.put(key, value)?;
        Ok(())
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        self.batch.clear();
        for (key, value) in entries {
            self.batch.put(COLLECTION, key, value);
        }
        self.database.store.write(&self.batch)?;
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        self.database.collection.get_with(key, |value| read(value))?;
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        self.database.store.transact(|transaction| {
            let mut value = transaction.get(COLLECTION, key)?.map_or_else(Vec::new, |value| value.to_vec());
            change(&mut value);
            transaction.put(COLLECTION, key, value)
        })?;
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        self.database.collection.scan_with(from.., |key, value| match read(key, value) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })?;
        Ok(())
    }

    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let popped = self.database.collection.pop_first()?;
        Ok(popped.map(|entry| read(&entry.key, &entry.value)).is_some())
    }
}

impl Snapshot for kv_store::Snapshot {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        self.get_with(COLLECTION, key, |value| read(value))?;
        Ok(())
    }
}
