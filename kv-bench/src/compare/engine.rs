//! What an engine must be able to do to be compared: three small traits, one for the engine, one for a database that it has open, and
//! one for the calls of a single thread.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

/// Whatever goes wrong in an engine. A call that an engine does not have fails with [`Unsupported`].
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of a call to an engine.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// The engine has no such call. What would have been measured is left out, without a complaint.
#[derive(Clone, Copy, Debug)]
pub struct Unsupported(
    /// Why not, as a clause: "a hash table has no order".
    pub &'static str,
);

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not supported: {}", self.0)
    }
}

impl std::error::Error for Unsupported {}

/// What the caller of a comparison asks a write to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A power cut: the write returns only after the disk has confirmed it.
    Disk,
    /// A killed process: the write returns once the kernel has it.
    Process,
}

/// What an engine keeps, once a write has returned. Figures of different promises are never compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// The write survives a power cut.
    Disk,
    /// The write survives a killed process. A power cut may take it.
    Process,
    /// The write survives neither until some later flush: a killed process may take it.
    Later,
    /// Nothing is stored: the data end with the process.
    Nothing,
}

impl Promise {
    /// One word for tables.
    pub fn name(self) -> &'static str {
        match self {
            Promise::Disk => "disk",
            Promise::Process => "process",
            Promise::Later => "later",
            Promise::Nothing => "nothing",
        }
    }
}

impl From<Level> for Promise {
    fn from(level: Level) -> Self {
        match level {
            Level::Disk => Promise::Disk,
            Level::Process => Promise::Process,
        }
    }
}

/// What an engine is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// This project's engine.
    Ours,
    /// A part of it, or a stranger's, measured alone: a log, a checkpointer.
    Part,
    /// Another engine, against which ours is held.
    Peer,
    /// A map in memory: it stores nothing, and shows how fast a store could be at most.
    Ceiling,
    /// The machine itself: loops without any engine, the limit.
    Limit,
}

/// An engine, and how it is set up.
pub trait Engine: Sync {
    /// The name in arguments, charts and tables: short, of lower-case letters, digits and hyphens.
    fn name(&self) -> &'static str;

    /// What it is in the comparison.
    fn role(&self) -> Role;

    /// Its version and the settings for a level, as a clause for the report: "redb 4.6, durability immediate".
    fn settings(&self, level: Level) -> String;

    /// What a database opened for `level` really keeps: less than was asked, if there is no such setting. `None` if puts are not to be
    /// measured at that level; then what is loaded and read is opened for the other.
    fn promise(&self, level: Level) -> Option<Promise>;

    /// Opens the database in `directory`, which exists, and creates it if the directory is empty. What was stored before is there
    /// again when this returns, or is found by the first [`get`](Session::get).
    ///
    /// # Errors
    /// Whatever the engine says. [`Unsupported`] if it cannot be had here, such as a server that is not installed: the reason goes
    /// into the report.
    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>>;
}

/// An open database, shared by the threads that use it.
pub trait Database: Send + Sync {
    /// What one thread calls. Each thread makes its own.
    fn session(&self) -> Result<Box<dyn Session + '_>>;

    /// Returns when everything that was written survives a power cut, or as much of that as the engine can do.
    fn sync(&self) -> Result;

    /// Writes out of memory what is only in memory or in a log, so that the next opening need not, in whatever form the engine does it:
    /// a checkpoint, a flushed memory table, a saved snapshot. Returns when that is done.
    fn checkpoint(&self) -> Result {
        Err(Unsupported("there is no checkpoint to be asked for").into())
    }

    /// Other processes than this one that hold the data, for the readings of memory and of what is written.
    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Closes the database cleanly.
    fn close(self: Box<Self>) -> Result;
}

/// The calls of one thread. Every call by itself keeps what the [`Level`] asks, as far as the engine can.
pub trait Session {
    /// Inserts or replaces.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result;

    /// Inserts or replaces all of them, as one atomic step where the engine has such a thing.
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result;

    /// Calls `read` with the newest value of the key, in place if the engine can do that; does not call it if the key is absent. What
    /// another thread has written before this call is seen.
    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result;

    /// Reads the value of the key, has `change` change it (given an empty one if the key is absent), and writes it back: one transaction,
    /// of which no other thread's write is lost.
    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let _ = (key, change);
        Err(Unsupported("there are no transactions").into())
    }

    /// Calls `read` with every entry whose key is at least `from`, in order of the keys, until it says `false`. All entries are of one
    /// moment, where the engine has such a thing. Engines without an order do so only for an empty `from`, in any order.
    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let _ = (from, read);
        Err(Unsupported("entries cannot be listed").into())
    }
}
