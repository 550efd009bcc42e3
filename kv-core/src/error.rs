use std::{borrow::Cow, fmt, io, path::PathBuf, sync::Arc};

use crate::{CheckpointId, Durability, LogId, Lsn};

/// The result of an operation on a store, a log or a checkpointer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: one variant for each thing that a caller would do differently.
///
/// ```
/// # use std::sync::Arc;
/// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// # use kv_core::Error;
/// let users = store.collection("users")?;
/// match users.delete("alice") {
///     Ok(()) => println!("deleted"),
///     Err(Error::KeyNotFound) => println!("it was not there"),
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
        /// The longest that is allowed, in bytes.
        max: usize,
    },

    /// The value is longer than the limit. Nothing was written.
    #[error("value of {len} bytes is too large: at most {max} bytes are allowed")]
    ValueTooLarge {
        /// The value's length, in bytes.
        len: usize,
        /// The longest that is allowed, in bytes.
        max: usize,
    },

    /// The batch, as one record of the log, is larger than the limit. Nothing was written; split it.
    #[error("batch of {bytes} bytes is too large: at most {max} bytes can be written atomically; split it")]
    BatchTooLarge {
        /// The size of the batch's record, in bytes.
        bytes: usize,
        /// The largest that is allowed, in bytes.
        max: usize,
    },

    /// The collection's name is empty or too long.
    #[error("invalid collection name of {len} bytes: a name has 1 to {max} bytes of UTF-8")]
    InvalidCollectionName {
        /// The name's length, in bytes.
        len: usize,
        /// The longest that is allowed, in bytes.
        max: usize,
    },

    /// There are as many collections as there may be. Nothing was written; drop one that is not needed.
    #[error("there are {max} collections already, and no more are allowed")]
    TooManyCollections {
        /// How many are allowed at a time.
        max: usize,
    },

    /// The key to be deleted is not there.
    #[error("key not found")]
    KeyNotFound,

    /// There is no collection of that name.
    #[error("collection {name:?} not found")]
    CollectionNotFound {
        /// The name that was asked for.
        name: String,
    },

    /// There is a collection of that name already. Nothing was written.
    #[error("there is a collection {name:?} already")]
    CollectionExists {
        /// The name that was to be given.
        name: String,
    },

    /// Inside the closure of a transaction, or of an update, the store was to be changed otherwise than through that transaction: it would have waited
    /// for itself. Nothing was written by the refused call; the transaction goes on.
    #[error(
        "the store was to be changed inside a transaction or an update, and not through it: use what its closure is given"
    )]
    InTransaction,

    /// Bytes on the medium are not what was written there. Nothing was changed; restore from a backup, or from another replica.
    #[error("{} is damaged at byte {offset}: {detail}", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file the damage begins, in bytes from its start.
        offset: u64,
        /// What is wrong, and what is lost by it.
        detail: String,
    },

    /// Every file is sound by itself, but together they do not make a store: something is missing or foreign.
    #[error("refusing to open: {0}")]
    Unrecoverable(Refusal),

    /// The file was written by a newer version of this software. Nothing is wrong with it; use that version.
    #[error("{} was written by a newer version: {detail}", file.display())]
    NewerVersion {
        /// The file that cannot be understood.
        file: PathBuf,
        /// What in it is unknown.
        detail: String,
    },

    /// The file was written by an older version of this software, whose format is no longer read.
    /// Nothing is wrong with it: export the data with that version and import it with this one.
    #[error("{} was written by an older version: {detail}", file.display())]
    OlderVersion {
        /// The file in the older format.
        file: PathBuf,
        /// Which version it has, and which one is read.
        detail: String,
    },

    /// Somebody else, in this process or another, has it open for writing: share a store within a process by cloning its handle. It is open until the
    /// last handle is gone, change feeds and commits included.
    #[error("{} is in use by {}", path.display(), holder(*process))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, where the directory itself says so and its lock does not: it
        /// is opened through another mount, which does not pass locks on.
        process: Option<u32>,
    },

    /// This process is a child, made by `fork`, of the one that opened it. Nothing was done, and
    /// the parent goes on as before. Open after forking, not before.
    #[error("it was opened before a fork, by the parent of this process, which alone may use it; open after forking")]
    Forked,

    /// The directory was removed, or another one was put in its place, while it was open: nobody
    /// will find there what is written now. This is final. Bring the directory back, and open it
    /// again.
    #[error("the directory {} was removed or replaced while the store was open", path.display())]
    DirectoryReplaced {
        /// Where the directory was.
        path: PathBuf,
    },

    /// There is no space left. Nothing was logged; reads go on, and so will writes when there is space.
    #[error("disk full: cannot {operation} {}", path.display())]
    DiskFull {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// The file or directory it was attempted on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// Reading or writing failed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// The file or directory it was attempted on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A write or flush of the log failed before, or the directory is not this process's any more;
    /// since then nothing is written. This operation was not carried out. Reads go on; close the
    /// store and open it again to find out what survived.
    #[error("no more writes are taken since an earlier failure")]
    Poisoned {
        /// The first failure.
        #[source]
        cause: Arc<Error>,
    },

    /// The write was handed to the log and then a write or flush failed: after the next opening it is there, whole, or it is not.
    #[error("the outcome of this write is unknown: it may or may not be there after the next opening")]
    OutcomeUnknown {
        /// The failure.
        #[source]
        cause: Arc<Error>,
    },

    /// The log no longer has the records after the position asked for; start from a checkpoint at or after `trimmed`.
    #[error(
        "records after position {after} were asked for, but the log has been trimmed up to position {trimmed}; start from a snapshot or checkpoint at or after that"
    )]
    Trimmed {
        /// The position that was asked for.
        after: Lsn,
        /// The last position that is no longer there.
        trimmed: Lsn,
    },

    /// Another writer has taken over the log. This one can write no more.
    #[error("another writer has taken over the log")]
    Fenced,

    /// It was closed before.
    #[error("already closed")]
    Closed,

    /// The work was cancelled before it was done; nothing has changed.
    #[error("cancelled")]
    Cancelled,

    /// A backend, or a background job, panicked: that is a mistake in its program. A flush of the
    /// log that ends so has failed for good; a checkpoint is tried again later.
    #[error("{what} panicked: {message}")]
    Panicked {
        /// What was being done, or the name of the job.
        what: &'static str,
        /// What the panic said.
        message: String,
    },

    /// The log cannot give this durability.
    #[error("this log cannot give durability {durability:?}")]
    UnsupportedDurability {
        /// What was asked for.
        durability: Durability,
    },

    /// The call makes no sense at this point, by a mistake of the calling program. Nothing was done.
    #[error("misuse: {0}")]
    Misuse(Cow<'static, str>),
}

impl Error {
    /// The error for a failed system call: [`DiskFull`](Error::DiskFull) where there is no space or quota left, otherwise
    /// [`Io`](Error::Io).
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

    /// The error for damage in `file` at `offset` bytes from its start.
    pub fn corrupt(file: impl Into<PathBuf>, offset: u64, detail: impl Into<String>) -> Self {
        Self::Corrupt { file: file.into(), offset, detail: detail.into() }
    }

    /// The [`Misuse`](Error::Misuse) of a log's position above `appended`: no record ever had it
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
}

fn holder(process: Option<u32>) -> String {
    match process {
        Some(id) => format!("process {id}, through another mount, whose locks are not seen here"),
        None => "another process, or opened twice by this one".to_owned(),
    }
}

/// Why files that are sound by themselves were refused as a store. See the table in [`recovery`](crate::recovery).
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Durability, Error, Log, MemoryCheckpointer, MemoryLog, Refusal, Store, StoreOptions};
///
/// let log = MemoryLog::new();
/// let lsn = log.append(b"a record", Durability::Disk)?;
/// log.sync(lsn)?;
/// log.trim(lsn)?; // but no checkpoint holds what it said
/// let refused = Store::open(Arc::new(log), Arc::new(MemoryCheckpointer::new()), StoreOptions::default()).unwrap_err();
/// assert!(matches!(refused, Error::Unrecoverable(Refusal::HistoryMissing { checkpoint: None, .. })));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The log begins after what the checkpoint holds (or there is no checkpoint, and it does not begin at the beginning).
    HistoryMissing {
        /// The checkpoint that the log would have to continue, if there is one that can be used.
        checkpoint: Option<CheckpointId>,
        /// The last position that the log no longer has.
        trimmed: Lsn,
    },
    /// The log ends before the position of a checkpoint, which was durable in the log before the checkpoint was made.
    LogEndsEarly {
        /// The newest checkpoint.
        checkpoint: CheckpointId,
        /// The last position that the log has.
        durable: Lsn,
    },
    /// The checkpoint belongs to another log.
    ForeignCheckpoint {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The log that the checkpoint names.
        found: LogId,
        /// The log that is there.
        expected: LogId,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HistoryMissing { checkpoint: Some(id), trimmed } => write!(
                f,
                "history is missing: the newest usable checkpoint is at position {}, but the log begins after position {trimmed}",
                id.lsn
            ),
            Self::HistoryMissing { checkpoint: None, trimmed } => write!(
                f,
                "history is missing: there is no usable checkpoint, and the log begins after position {trimmed}"
            ),
            Self::LogEndsEarly { checkpoint, durable } => write!(
                f,
                "the log ends at position {durable}, before the checkpoint at position {}: a part of the log is missing",
                checkpoint.lsn
            ),
            Self::ForeignCheckpoint { checkpoint, found, expected } => write!(
                f,
                "the checkpoint at position {} belongs to the log {found}, not to the log {expected} that is here",
                checkpoint.lsn
            ),
        }
    }
}
