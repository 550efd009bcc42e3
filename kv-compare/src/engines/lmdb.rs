//! LMDB, through the crate heed: a copy-on-write tree in a mapped file.

use std::{ops::Bound, path::Path};

use heed::{CommitOrAbort, Database as Tree, Env, EnvFlags, EnvOpenOptions, types::Bytes};
use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session};

/// The size of the map, which is more than any comparison stores. It takes only address space: the
/// file is as long as its content.
const MAP_BYTES: usize = 64 << 30;
/// The maximum number of threads that read.
const READERS: u32 = 512;

/// LMDB with its default flags, and without flushes for writes that must only survive a killed
/// process.
pub struct Lmdb;

impl Engine for Lmdb {
    fn name(&self) -> &'static str {
        "lmdb"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let version = heed::lmdb_version();
        let flags = match level {
            Level::Disk => "default flags",
            Level::Process => {
                "MDB_NOSYNC (a commit is written to the kernel and not flushed, and a power cut may damage the file)"
            }
        };
        format!("LMDB {}.{}.{} by heed 0.23, {flags}", version.major, version.minor, version.patch)
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let env = environment(directory, level)?;
        let tree = env.open_databases_and_commit(env.read_txn()?, |opener, transaction| {
            opener.open_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        let tree = tree.commit().flatten().ok_or("the unnamed database is missing")?;
        Ok(Box::new(Opened { env, tree }))
    }

    /// LMDB has neither checkpoints nor merges.
    fn open_held(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        self.open(directory, level)
    }
}

#[expect(unsafe_code, reason = "opening a file that is mapped is unsafe in heed")]
fn environment(directory: &Path, level: Level) -> heed::Result<Env> {
    let flags = match level {
        Level::Disk => EnvFlags::empty(),
        Level::Process => EnvFlags::NO_SYNC,
    };
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_readers(READERS);
    // SAFETY: the directory is on a local disk and is used by one comparison only, so nothing but
    // LMDB changes its files. Without flushes a power cut may damage them, but no comparison opens
    // the files of another.
    unsafe { options.flags(flags).open(directory) }
}

struct Opened {
    env: Env,
    tree: Tree<'static, Bytes, Bytes>,
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    fn sync(&self) -> Result {
        Ok(self.env.force_sync()?)
    }

    fn close(self: Box<Self>) -> Result {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

/// Each call is a transaction. LMDB keeps the thread's slot in its table of readers between them.
struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut transaction = self.0.env.write_txn()?;
        for (key, value) in entries {
            self.0.tree.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        let transaction = self.0.env.read_txn()?;
        if let Some(value) = self.0.tree.get(&transaction, key)? {
            read(value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let mut transaction = self.0.env.write_txn()?;
        let mut value = self.0.tree.get(&transaction, key)?.unwrap_or_default().to_vec();
        change(&mut value);
        self.0.tree.put(&mut transaction, key, &value)?;
        Ok(transaction.commit()?)
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        // LMDB has no empty keys.
        let from = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from) };
        let transaction = self.0.env.read_txn()?;
        for entry in self.0.tree.range(&transaction, &(from, Bound::Unbounded))? {
            let (key, value) = entry?;
            if !read(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let mut transaction = self.0.env.write_txn()?;
        let Some((key, value)) = self.0.tree.first(&transaction)? else { return Ok(false) };
        read(key, value);
        let key = key.to_vec(); // the deletion moves what is in the map
        self.0.tree.delete(&mut transaction, &key)?;
        transaction.commit()?;
        Ok(true)
    }
}
