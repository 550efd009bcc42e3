//! SQLite, through the crate rusqlite: a B-tree of pages, and a write-ahead log of pages. `cargo
//! xtask compare` builds it as distributions do, so that it flushes with fdatasync.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session};
use rusqlite::{CachedStatement, Connection, OptionalExtension, TransactionBehavior};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID";
const PUT: &str = "INSERT OR REPLACE INTO kv (key, value) VALUES (?1, ?2)";
const GET: &str = "SELECT value FROM kv WHERE key = ?1";
const SCAN: &str = "SELECT key, value FROM kv WHERE key >= ?1 ORDER BY key";

/// The maximum for each connection.
const CACHE_MIB: i64 = 256;
/// The log is copied into the database when it has 64 MiB. The default is 4 MiB, which one batch of
/// 1,000 random keys fills.
const CHECKPOINT_PAGES: i64 = 16_384;

/// SQLite in WAL mode.
pub struct Sqlite;

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let (version, synchronous) = (rusqlite::version(), synchronous(level));
        format!(
            "SQLite {version} by rusqlite 0.43, WAL, synchronous {synchronous}, a table without rowid, {CACHE_MIB} MiB of cache for each connection, a checkpoint every {CHECKPOINT_PAGES} pages, one writer, otherwise the defaults (nothing mapped)"
        )
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        Some(level.into())
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let path = directory.join("kv.sqlite");
        let writer = connect(&path)?;
        let mode: String = writer.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(format!("the journal is {mode} and not a WAL").into());
        }
        writer.pragma_update(None, "synchronous", synchronous(level))?;
        writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        writer.execute_batch(TABLE)?;
        Ok(Box::new(Opened { path, writer: Mutex::new(writer) }))
    }
}

/// In WAL mode, NORMAL flushes the log before a checkpoint, and FULL also after each commit.
fn synchronous(level: Level) -> &'static str {
    match level {
        Level::Disk => "FULL",
        Level::Process => "NORMAL",
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "cache_size", -CACHE_MIB * 1024)?;
    Ok(connection)
}

struct Opened {
    path: PathBuf,
    /// SQLite has one writer at a time. Waiting for this lock is faster than for SQLite's lock on
    /// the file, which is polled.
    writer: Mutex<Connection>,
}

impl Opened {
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls { database: self, reader: connect(&self.path)? }))
    }

    /// Copies the log into the database, and flushes both.
    fn sync(&self) -> Result {
        let busy: bool = self.writer().query_row("PRAGMA wal_checkpoint(FULL)", (), |row| row.get(0))?;
        if busy { Err("a reader kept the checkpoint from completing".into()) } else { Ok(()) }
    }

    /// Uses a connection of its own, so that the writer does not wait.
    fn checkpoint(&self) -> Result {
        Ok(connect(&self.path)?.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?)
    }

    fn compact(&self) -> Result {
        self.writer().execute_batch("VACUUM")?;
        self.sync()
    }

    fn close(self: Box<Self>) -> Result {
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        writer.close().map_err(|(_, error)| error.into())
    }
}

struct Calls<'a> {
    database: &'a Opened,
    reader: Connection,
}

impl Session for Calls<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.database.writer().prepare_cached(PUT)?.execute((key, value))?;
        Ok(())
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut writer = self.database.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        put_all(transaction.prepare_cached(PUT)?, entries)?;
        Ok(transaction.commit()?)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        let mut statement = self.reader.prepare_cached(GET)?;
        let mut rows = statement.query((key,))?;
        if let Some(row) = rows.next()? {
            read(row.get_ref(0)?.as_blob()?);
        }
        Ok(())
    }

    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let mut writer = self.database.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = transaction.prepare_cached(GET)?.query_row((key,), |row| row.get(0)).optional()?;
        let mut value: Vec<u8> = value.unwrap_or_default();
        change(&mut value);
        transaction.prepare_cached(PUT)?.execute((key, value))?;
        Ok(transaction.commit()?)
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let mut statement = self.reader.prepare_cached(SCAN)?;
        let mut rows = statement.query((from,))?;
        while let Some(row) = rows.next()? {
            if !read(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?) {
                break;
            }
        }
        Ok(())
    }
}

fn put_all(mut put: CachedStatement<'_>, entries: &[(&[u8], &[u8])]) -> Result {
    for (key, value) in entries {
        put.execute((key, value))?;
    }
    Ok(())
}
