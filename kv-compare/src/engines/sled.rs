//! sled: a lock-free tree over a log.

use std::path::Path;

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session};
use sled::{Batch, Config, Db};

/// sled with its default options. At [`Level::Disk`] a flush follows each write.
pub struct Sled;

impl Engine for Sled {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let flush = match level {
            Level::Disk => "flush after each write (sync_file_range, which does not flush the disk's cache)",
            Level::Process => "flush every 500 ms",
        };
        format!("sled 0.34.7, {flush}, cache of 1 GiB")
    }

    /// On Linux a flush is a write and `sync_file_range`: the kernel then has the data, but the
    /// disk has not confirmed them. Without a flush, the newest writes are in a buffer of the
    /// process.
    fn promise(&self, level: Level) -> Option<Promise> {
        Some(match level {
            Level::Disk => Promise::Process,
            Level::Process => Promise::Later,
        })
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let tree = Config::new().path(directory.join("sled")).open()?;
        Ok(Box::new(Opened { tree, flush: level == Level::Disk }))
    }
}

struct Opened {
    tree: Db,
    flush: bool,
}

impl Opened {
    fn written(&self) -> Result {
        if self.flush { self.sync() } else { Ok(()) }
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    fn sync(&self) -> Result {
        self.tree.flush()?;
        Ok(())
    }

    /// When the last handle is dropped, it writes out the rest.
    fn close(self: Box<Self>) -> Result {
        self.sync()
    }
}

struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.0.tree.insert(key, value)?;
        self.0.written()
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut batch = Batch::default();
        for (key, value) in entries {
            batch.insert(*key, *value);
        }
        self.0.tree.apply_batch(batch)?;
        self.0.written()
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.tree.get(key)? {
            read(&value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        self.0.tree.fetch_and_update(key, |value| {
            let mut value = value.map_or_else(Vec::new, <[u8]>::to_vec);
            change(&mut value);
            Some(value)
        })?;
        self.0.written()
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        for entry in self.0.tree.range(from..) {
            let (key, value) = entry?;
            if !read(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let popped = self.0.tree.pop_min()?;
        self.0.written()?;
        Ok(popped.map(|(key, value)| read(&key, &value)).is_some())
    }
}
