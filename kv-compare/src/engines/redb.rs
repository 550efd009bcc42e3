//! redb: copy-on-write B-trees in one file.

use std::path::Path;

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session, Snapshot};
use redb::{
    Database as Store, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bench");

/// redb with its default options, except for the durability.
pub struct Redb;

impl Engine for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        format!(
            "redb 4.6, durability {:?}, one-phase commit, cache of 1 GiB, a transaction for each call",
            durability(level)
        )
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(match level {
            Level::Disk => Promise::Disk,
            Level::Process => Promise::Later,
        })
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let store = Store::create(directory.join("redb"))?;
        create_table(&store)?;
        Ok(Box::new(Opened { store, durability: durability(level) }))
    }
}

/// redb has no level that survives only a killed process: a commit with `None` stays in memory
/// until the next `Immediate` one, and a killed process loses it.
fn durability(level: Level) -> Durability {
    match level {
        Level::Disk => Durability::Immediate,
        Level::Process => Durability::None,
    }
}

/// Creates the table if it does not exist. Only a write can create it, and reads fail without it.
fn create_table(store: &Store) -> Result {
    match store.begin_read()?.open_table(TABLE) {
        Err(TableError::TableDoesNotExist(_)) => {
            let transaction = store.begin_write()?;
            transaction.open_table(TABLE)?;
            Ok(transaction.commit()?)
        }
        found => Ok(found.map(drop)?),
    }
}

struct Opened {
    store: Store,
    durability: Durability,
}

impl Opened {
    fn write(&self) -> Result<WriteTransaction> {
        let mut transaction = self.store.begin_write()?;
        transaction.set_durability(self.durability)?;
        Ok(transaction)
    }

    fn read(&self) -> Result<Reader> {
        Ok(Reader(self.store.begin_read()?))
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self)))
    }

    /// An `Immediate` commit persists all commits before it, even if it has no writes of its own.
    fn sync(&self) -> Result {
        Ok(self.store.begin_write()?.commit()?)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(self.read()?))
    }

    fn close(self: Box<Self>) -> Result {
        Ok(self.store.close()?)
    }
}

struct Calls<'a>(&'a Opened);

impl Session for Calls<'_> {
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let transaction = self.0.write()?;
        let mut table = transaction.open_table(TABLE)?;
        for (key, value) in entries {
            table.insert(key, value)?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        self.0.read()?.get(key, read)
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let transaction = self.0.write()?;
        let mut table = transaction.open_table(TABLE)?;
        let mut value = table.get(key)?.map_or_else(Vec::new, |value| value.value().to_vec());
        change(&mut value);
        table.insert(key, &*value)?;
        drop(table);
        Ok(transaction.commit()?)
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        for entry in self.0.read()?.0.open_table(TABLE)?.range(from..)? {
            let (key, value) = entry?;
            if !read(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }

    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let transaction = self.0.write()?;
        let mut table = transaction.open_table(TABLE)?;
        let popped = table.pop_first()?.map(|(key, value)| read(key.value(), value.value())).is_some();
        drop(table);
        transaction.commit()?;
        Ok(popped)
    }
}

/// A transaction that sees the moment at which it began.
struct Reader(ReadTransaction);

impl Snapshot for Reader {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        if let Some(value) = self.0.open_table(TABLE)?.get(key)? {
            read(value.value());
        }
        Ok(())
    }
}
