//! fjall: a log-structured merge tree, with and without transactions.

use std::path::Path;

use fjall::{
    Database as Plain, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, SingleWriterTxDatabase,
    SingleWriterTxKeyspace, Snapshot,
};
use kv_bench::harness::engine::{self, Database, Engine, Level, Promise, Result, Role, Session, Unsupported};

const KEYSPACE: &str = "bench";
const CACHE_BYTES: u64 = 1 << 30;

/// fjall with its default options, except for the durability and for a cache that holds everything.
pub struct Fjall {
    /// Whether all writes are transactions. A database without transactions has no updates, but is
    /// faster.
    transactions: bool,
}

/// The database without transactions.
pub const PLAIN: Fjall = Fjall { transactions: false };
/// The database with transactions, one writer at a time.
pub const TRANSACTIONAL: Fjall = Fjall { transactions: true };

impl Engine for Fjall {
    fn name(&self) -> &'static str {
        if self.transactions { "fjall-tx" } else { "fjall" }
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let transactions = if self.transactions { "single-writer transactions" } else { "without transactions" };
        format!(
            "fjall 3.1, {transactions}, persist {:?} after each write, LZ4 from the third level on, cache of 1 GiB",
            persist_mode(level)
        )
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let mode = persist_mode(level);
        let opened = if self.transactions {
            let database = SingleWriterTxDatabase::builder(directory).cache_size(CACHE_BYTES).open()?;
            let keyspace = database.keyspace(KEYSPACE, KeyspaceCreateOptions::default)?;
            Opened { keyspace: keyspace.as_ref().clone(), store: Store::Transactional(database, keyspace), mode }
        } else {
            let database = Plain::builder(directory).cache_size(CACHE_BYTES).open()?;
            let keyspace = database.keyspace(KEYSPACE, KeyspaceCreateOptions::default)?;
            Opened { keyspace, store: Store::Plain(database), mode }
        };
        Ok(Box::new(opened))
    }
}

/// `Buffer` hands the write to the kernel. `SyncData` is fdatasync, which is enough on Linux.
fn persist_mode(level: Level) -> PersistMode {
    match level {
        Level::Disk => PersistMode::SyncData,
        Level::Process => PersistMode::Buffer,
    }
}

struct Opened {
    store: Store,
    keyspace: Keyspace,
    mode: PersistMode,
}

enum Store {
    Plain(Plain),
    Transactional(SingleWriterTxDatabase, SingleWriterTxKeyspace),
}

impl Opened {
    fn persist(&self, mode: PersistMode) -> Result {
        match &self.store {
            Store::Plain(database) => database.persist(mode)?,
            Store::Transactional(database, _) => database.persist(mode)?,
        }
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        match &self.store {
            Store::Plain(database) => database.snapshot(),
            Store::Transactional(database, _) => database.read_tx(),
        }
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    fn sync(&self) -> Result {
        self.persist(PersistMode::SyncAll)
    }

    /// Writes the memtable out as a table. The function is public, but not in fjall's
    /// documentation.
    fn checkpoint(&self) -> Result {
        Ok(self.keyspace.rotate_memtable_and_wait()?)
    }

    fn snapshot(&self) -> Result<Box<dyn engine::Snapshot + '_>> {
        Ok(Box::new(Kept { snapshot: self.snapshot(), keyspace: &self.keyspace }))
    }

    /// The last handle stops the background threads and syncs the log when it is dropped.
    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        match &self.0.store {
            Store::Plain(_) => {
                self.0.keyspace.insert(key, value)?; // returns when the kernel has it
                if self.0.mode == PersistMode::Buffer { Ok(()) } else { self.0.persist(self.0.mode) }
            }
            Store::Transactional(..) => self.put_batch(&[(key, value)]),
        }
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        match &self.0.store {
            Store::Plain(database) => {
                let mut batch = database.batch().durability(Some(self.0.mode));
                for (key, value) in entries {
                    batch.insert(&self.0.keyspace, *key, *value);
                }
                Ok(batch.commit()?)
            }
            Store::Transactional(database, keyspace) => {
                let mut transaction = database.write_tx().durability(Some(self.0.mode));
                for (key, value) in entries {
                    transaction.insert(keyspace, *key, *value);
                }
                Ok(transaction.commit()?)
            }
        }
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.keyspace.get(key)? {
            read(&value);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let Store::Transactional(database, keyspace) = &self.0.store else {
            return Err(Unsupported("only a database with transactions has updates: see fjall-tx").into());
        };
        let mut transaction = database.write_tx().durability(Some(self.0.mode));
        transaction.fetch_update(keyspace, key, |value| {
            let mut value = value.map_or_else(Vec::new, |value| value.to_vec());
            change(&mut value);
            Some(value.into())
        })?;
        Ok(transaction.commit()?)
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        for entry in self.0.snapshot().range(&self.0.keyspace, from..) {
            let (key, value) = entry.into_inner()?;
            if !read(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let Store::Transactional(database, keyspace) = &self.0.store else {
            return Err(Unsupported("only a database with transactions can pop: see fjall-tx").into());
        };
        let mut transaction = database.write_tx().durability(Some(self.0.mode));
        let Some(first) = transaction.first_key_value(keyspace) else { return Ok(false) };
        let (key, value) = first.into_inner()?;
        read(&key, &value);
        transaction.remove(keyspace, key);
        transaction.commit()?;
        Ok(true)
    }
}

struct Kept<'a> {
    snapshot: Snapshot,
    keyspace: &'a Keyspace,
}

impl engine::Snapshot for Kept<'_> {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.snapshot.get(self.keyspace, key)? {
            read(&value);
        }
        Ok(())
    }
}
