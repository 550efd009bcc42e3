mod holder;
mod place;
mod refusal;

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

pub use holder::LockHolder;
pub use place::Place;
pub use refusal::Refusal;

use crate::{Durability, Lsn, Value};

/// The result of an operation on a store, a log or a checkpointer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. There is one variant for each case that a caller would handle differently.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::Error;
/// let users = store.collection("users")?;
/// match users.delete("alice") {
///     Ok(()) => println!("deleted"),
///     Err(Error::KeyNotFound { .. }) => println!("it was not there"),
///     Err(Error::DiskFull { path, .. }) => println!("nothing was written: make space for {}", path.display()),
///     Err(error @ (Error::Poisoned { .. } | Error::OutcomeUnknown { .. })) => {
///         println!("close the store and open it again to see what survived: {}", error.chain());
///     }
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key is empty or longer than the limit. Nothing was written.
    #[error("invalid key of {len} bytes: a key has 1 to {max} bytes")]
    InvalidKey {
        /// The key's length, in bytes.
        len: usize,
        /// The longest allowed, in bytes.
        max: usize,
    },

    /// The value is longer than the limit. Nothing was written.
    #[error("value of {len} bytes is too large: at most {max} bytes are allowed")]
    ValueTooLarge {
        /// The value's length, in bytes.
        len: usize,
        /// The longest allowed, in bytes.
        max: usize,
    },

    /// The batch, as one record of the log, is larger than the limit. Nothing was written: split
    /// the batch.
    #[error("batch of {bytes} bytes is too large: at most {max} bytes can be written atomically; split it")]
    BatchTooLarge {
        /// The size of the batch's record, in bytes.
        bytes: usize,
        /// The largest allowed, in bytes.
        max: usize,
    },

    /// More keys lie in the range than one record of the log can delete, so they cannot be deleted
    /// in one step. Nothing was deleted. Use
    /// [`delete_range_in_steps`](crate::Collection::delete_range_in_steps), or smaller ranges.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use kv_core::{Error, Limits, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    ///
    /// let limits = Limits { batch_bytes_max: 1000, ..Limits::default() };
    /// let options = StoreOptions { limits, ..StoreOptions::default() };
    /// let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options)?;
    /// let numbers = store.collection("numbers")?;
    /// for number in 0..100_u8 {
    ///     numbers.put([number], "")?;
    /// }
    /// assert!(matches!(numbers.delete_range([0]..), Err(Error::RangeTooLarge { max: 1000 })));
    /// assert_eq!(numbers.delete_range_in_steps([0]..)?, 100);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    #[error(
        "the keys in this range take more than {max} bytes of the log, which is the most that can be deleted in one \
         step; nothing was deleted: delete in steps (`delete_range_in_steps`, `delete_prefix_in_steps`), or smaller \
         ranges"
    )]
    RangeTooLarge {
        /// The largest record allowed, in bytes.
        max: usize,
    },

    /// The collection's name is empty or too long.
    #[error("invalid collection name of {len} bytes: a name has 1 to {max} bytes of UTF-8")]
    InvalidCollectionName {
        /// The name's length, in bytes.
        len: usize,
        /// The longest allowed, in bytes.
        max: usize,
    },

    /// The store already has as many collections as are allowed. Nothing was written: drop one that
    /// is not needed.
    #[error("there are {max} collections already, and no more are allowed: drop one that is not needed")]
    TooManyCollections {
        /// How many are allowed at a time.
        max: usize,
    },

    /// The key to delete is absent. Nothing was written, even if this is one of many changes in a
    /// batch.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let users = store.collection("users")?;
    /// let message = users.delete("zoe").unwrap_err().to_string();
    /// assert_eq!(message, r#"there is no key "zoe" in the collection "users""#);
    /// let message = users.delete([0, 7, b'!']).unwrap_err().to_string();
    /// assert_eq!(message, r#"there is no key "\x00\x07!" in the collection "users""#);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    #[error("there is no key \"{}\" in the collection {collection:?}", Readable(key))]
    KeyNotFound {
        /// The collection that was named.
        collection: String,
        /// The key that it does not have.
        key: Value,
    },

    /// There is no collection of that name.
    #[error("there is no collection {name:?}")]
    CollectionNotFound {
        /// The name that was given.
        name: String,
    },

    /// There is a collection of that name already. Nothing was written.
    #[error("there is a collection {name:?} already")]
    CollectionExists {
        /// The name that is taken.
        name: String,
    },

    /// The closure of a transaction or an update tried to change the store other than through what
    /// it was given. That call would have waited for its own transaction for ever. It wrote
    /// nothing, and the transaction goes on.
    #[error(
        "the store cannot be changed from inside a transaction or an update, except through what the closure was given"
    )]
    InTransaction,

    /// Something on the medium is not what was written there, or is missing. Nothing was changed.
    /// Restore from a backup or another replica.
    #[error("{}", corrupt_message(place, *offset, detail))]
    Corrupt {
        /// The damaged file, record or checkpoint.
        place: Place,
        /// Where the damage begins, in bytes from the start of the place. `None` if no byte is
        /// wrong: a file is missing, say, or belongs elsewhere.
        offset: Option<u64>,
        /// What is wrong, and what is lost by it.
        detail: String,
    },

    /// The log and the checkpoints do not make a store together: something is missing or foreign.
    #[error("refusing to open: {0}")]
    Unrecoverable(Refusal),

    /// A newer version of this software wrote the file, record or checkpoint. Nothing is wrong with
    /// it: use that version.
    #[error("{place} was written by a newer version: {detail}")]
    NewerVersion {
        /// What cannot be understood.
        place: Place,
        /// What in it is unknown.
        detail: String,
    },

    /// An older version of this software wrote the file, record or checkpoint, in a format that is
    /// no longer read. Nothing is wrong with it: export the data with that version and import it
    /// with this one.
    #[error("{place} was written by an older version: {detail}")]
    OlderVersion {
        /// What has the older format.
        place: Place,
        /// Which version it has, and which one is read.
        detail: String,
    },

    /// The directory or medium is open already, in this process or another.
    ///
    /// To share a store within a process, clone its handle. A store stays open until its last
    /// handle is dropped, including collections, change feeds and commits, and even after
    /// [`close`](crate::Store::close).
    #[error("{} {holder}{}", path.display(), waited_message(*waited))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has it open, as far as the medium can tell.
        holder: LockHolder,
        /// How long the opening has waited for it; zero if it was not asked to wait.
        waited: Duration,
    },

    /// This process is a child, made by `fork`, of the process that opened the store. Nothing was
    /// done, and the parent goes on as before. Fork first, then open.
    #[error(
        "it was opened before a fork by the parent of this process, and only the parent may write to it; fork, then open"
    )]
    Forked,

    /// The directory was removed or replaced while it was open, so what is written now would
    /// be lost. This is final. Put the directory back, and open it again.
    #[error("the directory {} was removed or replaced while it was open", path.display())]
    DirectoryReplaced {
        /// Where the directory was.
        path: PathBuf,
    },

    /// There is no space left. Nothing was logged. Reads go on, and so do writes once there is
    /// space.
    #[error("disk full: cannot {operation} {}", path.display())]
    DiskFull {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// The file or directory it was attempted on.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },

    /// Memory holds as many changes as it may, and no checkpoint has taken them yet. Nothing was
    /// written. Try again later. A write waits for a while before it fails with this; a deferred
    /// write does not wait.
    #[error(
        "{unwritten_bytes} bytes of changes wait for a checkpoint, and no more are taken: try again when one was made"
    )]
    Busy {
        /// The bytes of changes in memory that no checkpoint holds.
        unwritten_bytes: u64,
    },

    /// Memory holds as many changes as it may, and writing them to a checkpoint fails, for another
    /// reason than a full disk. Nothing was written. Reads go on, and so do writes once a
    /// checkpoint succeeds. Each write tries to make one, at most ten times a second.
    #[error(
        "{unwritten_bytes} bytes of changes wait for a checkpoint, no more are taken, and the last checkpoint failed: {cause}"
    )]
    CheckpointsFail {
        /// The bytes of changes in memory that no checkpoint holds.
        unwritten_bytes: u64,
        /// Why the last checkpoint failed.
        cause: String,
    },

    /// Snapshots and iterators hold as much memory as they may, which nothing else needs any more.
    /// What was asked of a new one fails with this. Drop old ones. Writes and point reads go on.
    #[error(
        "snapshots and iterators hold {held_bytes} bytes of old memory, and may hold {max} (StoreOptions::snapshot_bytes_max): drop old ones, then take another one"
    )]
    SnapshotsHoldTooMuch {
        /// The bytes of memory that only snapshots and iterators hold.
        held_bytes: u64,
        /// How many they may hold when another one is begun.
        max: u64,
    },

    /// A system call failed, for example one that reads or writes a file.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// The file or directory it was attempted on.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },

    /// A write or flush of the log has failed, or the directory no longer belongs to this process.
    /// No write has been taken since, and this operation was not carried out. Reads go on. Close
    /// the store and open it again to find out what survived.
    #[error("no more writes are taken after an earlier failure")]
    Poisoned {
        /// The first failure.
        #[source]
        cause: Arc<Error>,
    },

    /// The log took the write, and then a write or flush of the log failed. After the next opening
    /// the write is there as a whole, or not at all.
    #[error("the outcome of this write is unknown: it may or may not be there after the next opening")]
    OutcomeUnknown {
        /// The failure.
        #[source]
        cause: Arc<Error>,
    },

    /// The log no longer has the records after the requested position. Start from a snapshot or
    /// checkpoint at or after `trimmed`.
    #[error(
        "records after position {after} were asked for, but the log has been trimmed up to position {trimmed}; start from a snapshot or checkpoint at or after that position"
    )]
    Trimmed {
        /// The requested position.
        after: Lsn,
        /// The last position that the log no longer has.
        trimmed: Lsn,
    },

    /// Another writer has taken over the log. This one cannot write any more.
    #[error("another writer has taken over the log")]
    Fenced,

    /// The store or the log was closed before.
    #[error("it was closed: open it again to go on")]
    Closed,

    /// A write, a flush or a checkpoint has not ended within the time that closing may take.
    /// Closing goes on in the background. No more writes are taken; if it still waits for a write
    /// or a transaction that was under way, then once that has ended. Until closing ends, the
    /// medium stays locked.
    #[error("still closing after {waited:?}, because a write, a flush or a checkpoint does not end")]
    StillClosing {
        /// How long the call has waited.
        waited: Duration,
    },

    /// The work was cancelled before it was complete. Nothing has changed.
    #[error("cancelled")]
    Cancelled,

    /// A backend or a background job panicked, which is a bug in it. If it panicked in a flush of
    /// the log, the log has failed for good. If it panicked in a checkpoint, the checkpoint is
    /// tried again later.
    #[error("{what} panicked: {message}")]
    Panicked {
        /// What was being done, or the name of the job.
        what: &'static str,
        /// The panic's message.
        message: String,
    },

    /// The log cannot give this durability.
    #[error("this log cannot give durability {durability:?}")]
    UnsupportedDurability {
        /// The requested durability.
        durability: Durability,
    },

    /// The call makes no sense at this point, which is a bug in the calling program. Nothing was
    /// done.
    #[error("misuse: {0}")]
    Misuse(Cow<'static, str>),
}

impl Error {
    /// The error for a failed system call: [`DiskFull`](Error::DiskFull) if no space or quota is
    /// left, otherwise [`Io`](Error::Io).
    pub fn from_io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { operation, path, source },
            _ => Self::Io { operation, path, source },
        }
    }

    /// The message, followed by those of its sources, each after a colon.
    ///
    /// ```
    /// use std::io;
    /// use kv_core::Error;
    ///
    /// let error = Error::from_io("write", "data/log", io::Error::other("no such device"));
    /// assert_eq!(error.to_string(), "cannot write data/log");
    /// assert_eq!(error.chain(), "cannot write data/log: no such device");
    /// ```
    pub fn chain(&self) -> String {
        let mut chain = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            chain += &format!(": {error}");
            source = error.source();
        }
        chain
    }

    /// The error for damaged bytes in `place`, which begin at `offset` bytes from its start.
    ///
    /// ```
    /// use kv_core::{Error, Lsn};
    ///
    /// let error = Error::corrupt(Lsn(7), 12, "an operation of an unknown kind");
    /// assert_eq!(error.to_string(), "record 7 of the log is damaged at byte 12: an operation of an unknown kind");
    /// ```
    pub fn corrupt(place: impl Into<Place>, offset: u64, detail: impl Into<String>) -> Self {
        Self::Corrupt { place: place.into(), offset: Some(offset), detail: detail.into() }
    }

    /// The [`Corrupt`](Error::Corrupt) for a place in which no single byte is wrong: a file is
    /// missing, say, or belongs elsewhere.
    ///
    /// ```
    /// use kv_core::Error;
    ///
    /// let error = Error::corrupt_whole("data/log", "the log is missing, and everything in it");
    /// assert_eq!(error.to_string(), "data/log: the log is missing, and everything in it");
    /// ```
    pub fn corrupt_whole(place: impl Into<Place>, detail: impl Into<String>) -> Self {
        Self::Corrupt { place: place.into(), offset: None, detail: detail.into() }
    }

    /// The error for a directory that is open already. `process` is the number of the process that
    /// has it open, if that is known; see [`LockHolder`].
    pub fn locked(path: impl Into<PathBuf>, process: Option<u32>) -> Self {
        Self::Locked { path: path.into(), holder: process.into(), waited: Duration::ZERO }
    }

    /// The [`Misuse`](Error::Misuse) of a position above `appended`, which no record of the log has
    /// ([L7, L8](crate::Log)).
    ///
    /// ```
    /// use kv_core::{Error, Lsn};
    ///
    /// let error = Error::never_appended(Lsn(9), Lsn(7));
    /// assert_eq!(
    ///     error.to_string(),
    ///     "misuse: no record has position 9 yet, the last one has 7: use a position that was given to a record"
    /// );
    /// ```
    pub fn never_appended(position: Lsn, appended: Lsn) -> Self {
        let what = format!(
            "no record has position {position} yet, the last one has {appended}: \
             use a position that was given to a record"
        );
        Self::Misuse(what.into())
    }

    pub(crate) fn key_not_found(collection: &str, key: &[u8]) -> Self {
        Self::KeyNotFound { collection: collection.to_owned(), key: Value::copy_from(key) }
    }
}

fn waited_message(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!("; gave up after waiting {waited:.1?} for it") }
}

fn corrupt_message(place: &Place, offset: Option<u64>, detail: &str) -> String {
    match offset {
        Some(offset) => format!("{place} is damaged at byte {offset}: {detail}"),
        None => format!("{place}: {detail}"),
    }
}

/// A message shows at most this many bytes of a key.
const SHOWN_BYTES_MAX: usize = 100;

/// Displays bytes on one line. Text is shown as it is; backslashes, quotes, control characters and
/// bytes that are not UTF-8 are escaped. If there are many bytes, only the beginning is shown, up
/// to the end of a character.
struct Readable<'a>(&'a [u8]);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_continued = |end: usize| self.0[end] & 0b1100_0000 == 0b1000_0000;
        let end = match self.0.len() {
            all @ ..=SHOWN_BYTES_MAX => all,
            _ => {
                (SHOWN_BYTES_MAX - 3..=SHOWN_BYTES_MAX).rev().find(|end| !is_continued(*end)).unwrap_or(SHOWN_BYTES_MAX)
            }
        };
        for chunk in self.0[..end].utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' | '"' | '\n' | '\r' | '\t' => write!(f, "{}", c.escape_default())?,
                    c if c.is_control() => write_hex(f, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                    c => f.write_char(c)?,
                }
            }
            write_hex(f, chunk.invalid())?;
        }
        if end < self.0.len() { f.write_char('…') } else { Ok(()) }
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_message_is_readable_and_short() {
        let shown = |key: &[u8]| Readable(key).to_string();
        assert_eq!(shown("Zoë 😀 a/b".as_bytes()), "Zoë 😀 a/b");
        assert_eq!(shown(b"a\tb\nc\rd\\n\"e"), r#"a\tb\nc\rd\\n\"e"#);
        assert_eq!(shown(b"\0\x1b[1m\xff\xc3"), r"\x00\x1b[1m\xff\xc3");
        assert_eq!(shown(&7_u32.to_be_bytes()), r"\x00\x00\x00\x07");
        assert_eq!(shown("é".repeat(50).as_bytes()), "é".repeat(50));
        assert_eq!(shown("é".repeat(51).as_bytes()), "é".repeat(50) + "…");
        assert_eq!(shown(format!("x{}", "é".repeat(50)).as_bytes()), format!("x{}…", "é".repeat(49)));
    }
}
