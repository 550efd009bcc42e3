//! Any [`Log`] as an engine.

use std::{path::Path, sync::Arc};

use kv_core::{Durability, Log, Lsn};

use crate::harness::{
    engine::{Database, Engine, Level, Promise, Result, Role, Session, Unsupported},
    entry_codec,
};

/// Any [`Log`], measured without a store around it.
///
/// | call | what the log does |
/// |---|---|
/// | put | appends a record of key and value. At [`Level::Disk`] a sync up to the record follows; threads share flushes if the log lets them |
/// | put_batch | the same with one record of all entries, as kv logs a batch |
/// | sync | syncs up to the last record |
/// | scan from the start | syncs, because only durable records can be read. Then reads the whole log, entry by entry in the order of the writes |
/// | close | closes the log |
///
/// A log finds no single key, so there are no gets and no updates. A key that was put twice is read
/// twice.
///
/// ```
/// use std::sync::Arc;
///
/// use kv_bench::harness::{
///     Engine,
///     engine::{Level, Promise, Role},
///     engines::LogAlone,
/// };
/// use kv_core::MemoryLog;
///
/// static MEMORY_LOG: LogAlone = LogAlone {
///     name: "memory-log",
///     role: Role::Part,
///     settings: "kv-core's MemoryLog",
///     promise: |_| Some(Promise::Nothing), // its records end with the process
///     open: |_| Ok(Arc::new(MemoryLog::new())),
/// };
///
/// # let directory = tempfile::tempdir()?;
/// let database = MEMORY_LOG.open(directory.path(), Level::Disk)?;
/// let mut session = database.session()?;
/// session.put(b"alice", b"Alice")?;
/// session.scan(b"", &mut |key, value| {
///     assert_eq!((key, value), (&b"alice"[..], &b"Alice"[..]));
///     true
/// })?;
/// # Ok::<(), kv_bench::harness::engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogAlone {
    /// The name: see [`Engine::name`].
    pub name: &'static str,
    /// The role, usually [`Role::Part`].
    pub role: Role,
    /// The settings: see [`Engine::settings`].
    pub settings: &'static str,
    /// The promise for a level: see [`Engine::promise`].
    pub promise: fn(Level) -> Option<Promise>,
    /// Opens the log in a directory that exists, and creates the log if the directory is empty.
    pub open: fn(&Path) -> Result<Arc<dyn Log>>,
}

impl Engine for LogAlone {
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        self.role
    }

    fn settings(&self, level: Level) -> String {
        format!("{}, durability {level:?}", self.settings)
    }

    fn promise(&self, level: Level) -> Option<Promise> {
        (self.promise)(level)
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        Ok(Box::new(Opened { log: (self.open)(directory)?, level }))
    }
}

struct Opened {
    log: Arc<dyn Log>,
    level: Level,
}

impl Opened {
    fn append(&self, record: &[u8]) -> Result {
        match self.level {
            Level::Process => self.log.append(record, Durability::Process)?,
            Level::Disk => self.log.sync(self.log.append(record, Durability::Disk)?)?,
        };
        Ok(())
    }
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls { database: self, record: Vec::new() }))
    }

    fn sync(&self) -> Result {
        self.log.sync(self.log.bounds().appended)?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result {
        Ok(self.log.close()?)
    }
}

struct Calls<'a> {
    database: &'a Opened,
    record: Vec<u8>,
}

impl Session for Calls<'_> {
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        self.record.clear();
        for (key, value) in entries {
            entry_codec::write(&mut self.record, key, value)?;
        }
        self.database.append(&self.record)
    }

    fn get(&mut self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result {
        Err(Unsupported("a log finds no keys").into())
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if !from.is_empty() {
            return Err(Unsupported("a log is not in the order of keys").into());
        }
        self.database.sync()?;
        let mut reader = self.database.log.reader(Lsn::START)?;
        while let Some(record) = reader.next()? {
            if !entry_codec::scan(record.payload, read) {
                break;
            }
        }
        Ok(())
    }
}
