//! emdb: an append-only file of entries, with a hash index and a sorted index in memory.

use std::path::Path;

use emdb::Emdb as Store;
use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session};

/// emdb with a sorted index, and a flush after each call for [`Level::Disk`].
pub struct Emdb;

impl Engine for Emdb {
    fn name(&self) -> &'static str {
        "emdb"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let flush = match level {
            Level::Disk => "flushed after each call",
            Level::Process => "not flushed",
        };
        format!("emdb 1.0.3, range scans enabled, {flush}")
    }

    /// "Insert calls return as soon as bytes are in the OS page cache."
    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let store = Store::builder().path(directory.join("emdb")).enable_range_scans(true).build()?;
        Ok(Box::new(Opened { store, flushes: level == Level::Disk }))
    }
}

struct Opened {
    store: Store,
    flushes: bool,
}

impl Opened {
    fn flush(&self) -> Result {
        if self.flushes {
            self.store.flush()?;
        }
        Ok(())
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    fn sync(&self) -> Result {
        Ok(self.store.flush()?)
    }

    /// "Does not make the next open faster": the journal is always read.
    fn checkpoint(&self) -> Result {
        Ok(self.store.checkpoint()?)
    }

    fn compact(&self) -> Result {
        self.store.compact()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(self.store.flush()?)
    }
}

struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.0.store.insert(key, value)?;
        self.0.flush()
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        self.0.store.insert_many(entries.iter().copied())?;
        self.0.flush()
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.store.get_zerocopy(key)? {
            read(&value);
        }
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let _ = self.0.store.iter_from(from)?.all(|(key, value)| read(&key, &value));
        Ok(())
    }
}
