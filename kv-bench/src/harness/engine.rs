//! What an engine must implement to be measured: three small traits, one for the engine, one for an
//! open database, and one for the calls of a single thread.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

/// Any failure of an engine. A call that an engine does not have fails with [`Unsupported`].
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of a call to an engine.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// The engine has no such call. What would have been measured is left out silently.
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

/// What a write is asked to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A power cut: the write returns only after the disk has confirmed it.
    Disk,
    /// A killed process: the write returns once the kernel has it.
    Process,
}

/// What a write survives once it has returned. Figures of different promises are never compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// The write survives a power cut.
    Disk,
    /// The write survives a killed process. A power cut may take it.
    Process,
    /// Until some later flush, the write survives neither: a killed process may take it.
    Later,
    /// Nothing is stored: the data are lost with the process.
    Nothing,
}

impl Promise {
    /// The promise as one word, for tables.
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

/// The role of an engine in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// This project's engine.
    Ours,
    /// A part of an engine, measured alone: a log or a checkpointer, of this project or not.
    Part,
    /// Another engine, with which ours is compared.
    Peer,
    /// A map in memory. It stores nothing, and shows the speed that no store can exceed.
    Ceiling,
    /// The machine itself: plain loops without an engine, which are the limit.
    Limit,
}

/// An engine, and how it is set up.
pub trait Engine: Sync {
    /// The name in arguments, charts and tables: short; lower-case letters, digits and hyphens.
    fn name(&self) -> &'static str;

    /// Its role in the comparison.
    fn role(&self) -> Role;

    /// Its version and its settings for a level, for the report: "redb 4.6, durability immediate".
    fn settings(&self, level: Level) -> String;

    /// What writes to a database opened for `level` really survive. It is less than `level` asks if
    /// the engine has no such setting. `None` if puts are not measured at this level; databases for
    /// loads and reads are then opened for the other level.
    fn promise(&self, level: Level) -> Option<Promise>;

    /// Opens the database in `directory`, which exists, and creates it if the directory is empty.
    /// What was stored before is readable when this returns, or at the latest when the first
    /// [`get`](Session::get) does.
    ///
    /// # Errors
    /// Any error of the engine. [`Unsupported`] if the engine is not available here, such as a
    /// server that is not installed: the report gives the reason.
    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>>;

    /// Opens the database like [`open`](Engine::open), with checkpoints and merges held off: what
    /// is written stays in memory until [`checkpoint`](Database::checkpoint) is called, and each
    /// call adds a part that is not merged with the others. Engines that have neither open as
    /// usual.
    ///
    /// # Errors
    /// As [`open`](Engine::open). [`Unsupported`] if they cannot be held off.
    fn open_held(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        let _ = (directory, level);
        Err(Unsupported("checkpoints and merges cannot be held off").into())
    }

    /// Opens the database like [`open`](Engine::open), for a process that may take this many bytes
    /// of memory, page cache included. Engines with a cache of a fixed size choose a smaller one.
    ///
    /// # Errors
    /// As [`open`](Engine::open).
    fn open_within(&self, directory: &Path, level: Level, memory_bytes: u64) -> Result<Box<dyn Database>> {
        let _ = memory_bytes;
        self.open(directory, level)
    }

    /// Whether the file belongs to what checkpoints and merges write, rather than to the log.
    fn is_checkpoint_file(&self, file: &Path) -> bool {
        let _ = file;
        false
    }
}

/// An open database, shared by the threads that use it.
pub trait Database: Send + Sync {
    /// A session for one thread. Each thread opens its own.
    fn session(&self) -> Result<Box<dyn Session + '_>>;

    /// Returns when everything that was written survives a power cut, as far as the engine can
    /// ensure that.
    fn sync(&self) -> Result;

    /// Writes out what is only in memory or in a log, so that the next opening need not replay it.
    /// The form is the engine's own: a checkpoint, a flushed memtable, a saved snapshot. Returns
    /// when it is done.
    fn checkpoint(&self) -> Result {
        Err(Unsupported("the engine has no checkpoints on request").into())
    }

    /// Merges everything into as little as possible, and removes what is no longer needed. Returns
    /// when it is done.
    fn compact(&self) -> Result {
        Err(Unsupported("the engine does not merge on request").into())
    }

    /// All entries as they are now, for as long as the returned value lives.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Err(Unsupported("there are no snapshots").into())
    }

    /// The number of parts that a get may have to look into, apart from memory. `None` if it is not
    /// known.
    fn parts(&self) -> Option<usize> {
        None
    }

    /// The other processes that hold the data, whose memory and writes count as the engine's.
    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Closes the database cleanly.
    fn close(self: Box<Self>) -> Result;
}

/// The calls of one thread. Each call on its own survives what the [`Level`] asks, as far as the
/// engine can ensure that.
pub trait Session {
    /// Inserts or replaces an entry. By default, a batch of one.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        self.put_batch(&[(key, value)])
    }

    /// Inserts or replaces all entries, atomically if the engine has atomic batches.
    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result;

    /// Calls `read` with the newest value of the key, in place if the engine can do that. Does not
    /// call it if the key is absent. Sees what other threads wrote before this call.
    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result;

    /// Reads the value of the key, calls `change` with it (with an empty value if the key is
    /// absent) and writes it back, in one transaction: no write of another thread is lost.
    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        let _ = (key, change);
        Err(Unsupported("there are no transactions").into())
    }

    /// Calls `read` with each entry whose key is at least `from`, in the order of the keys, until
    /// it returns `false`. Keys and values are read in place if the engine can do that. If it has
    /// snapshots, all entries show the same moment. An engine without an order supports an empty
    /// `from` only, and lists the entries in any order.
    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        let _ = (from, read);
        Err(Unsupported("entries cannot be listed").into())
    }

    /// Deletes the entry with the lowest key in one step, so that of several threads one gets it,
    /// and calls `read` with it. Returns `false` and calls nothing if there are no entries.
    fn pop_first(&mut self, read: &mut dyn FnMut(&[u8], &[u8])) -> Result<bool> {
        let _ = read;
        Err(Unsupported("entries cannot be popped").into())
    }
}

/// All entries as they were when this was made.
pub trait Snapshot {
    /// Calls `read` with the value that the key had. Does not call it if the key was absent.
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result;
}
