//! canopydb: a copy-on-write B-tree behind a log.

use std::path::Path;

use canopydb::{Database as Store, DbOptions, EnvOptions, WriteTransaction};
use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session};

const TREE: &[u8] = b"bench";

/// canopydb with its default options, except for the synced commits of [`Level::Disk`].
pub struct Canopydb;

impl Engine for Canopydb {
    fn name(&self) -> &'static str {
        "canopydb"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let sync = match level {
            Level::Disk => "synced",
            Level::Process => "unsynced",
        };
        format!(
            "canopydb 0.2.5, {sync} commits to the log, exclusive write transactions, cache of 1 GiB, a transaction for each call, LZ4 for values above 12 KiB"
        )
    }

    /// Without a sync, a commit returns when it has been written to the log's file.
    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let mut options = DbOptions::default();
        options.default_commit_sync = level == Level::Disk;
        Ok(Box::new(Opened(Store::with_options(EnvOptions::new(directory), options)?)))
    }
}

struct Opened(Store);

impl Opened {
    /// An exclusive transaction. Concurrent ones cost more and cannot share a sync: a commit holds
    /// the lock until the log is synced.
    fn write(&self) -> Result<WriteTransaction> {
        Ok(self.0.begin_write()?)
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    fn sync(&self) -> Result {
        Ok(self.0.sync()?)
    }

    fn checkpoint(&self) -> Result {
        Ok(self.0.checkpoint()?)
    }

    /// The last handle waits for the background threads when it is dropped.
    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let transaction = self.0.write()?;
        let mut tree = transaction.get_or_create_tree(TREE)?;
        for (key, value) in entries {
            tree.insert(key, value)?;
        }
        drop(tree);
        transaction.commit()?;
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        let transaction = self.0.0.begin_read()?;
        if let Some(tree) = transaction.get_tree(TREE)?
            && let Some(value) = tree.get(key)?
        {
            read(&value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let transaction = self.0.write()?;
        let mut tree = transaction.get_or_create_tree(TREE)?;
        let mut value = tree.get(key)?.map_or_else(Vec::new, |value| value.to_vec());
        change(&mut value);
        tree.insert(key, &value)?;
        drop(tree);
        transaction.commit()?;
        Ok(())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let transaction = self.0.0.begin_read()?;
        let Some(tree) = transaction.get_tree(TREE)? else { return Ok(()) };
        for entry in tree.range(from..)? {
            let (key, value) = entry?;
            if !read(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let transaction = self.0.write()?;
        let mut tree = transaction.get_or_create_tree(TREE)?;
        let Some((key, value)) = tree.first()? else { return Ok(false) };
        read(&key, &value);
        tree.delete(&key)?;
        drop(tree);
        transaction.commit()?;
        Ok(true)
    }
}
