//! The exit codes: the one place where errors become numbers that scripts rely on.

use std::{
    io::ErrorKind::{FileTooLarge, NotADirectory, PermissionDenied, ReadOnlyFilesystem},
    process::ExitCode,
};

use kv_store::Error;

/// The exit codes of `kv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// The key, the collection or the store is absent.
    Absent = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A collection name, key, value or row was refused.
    Refused = 3,
    /// Another process has the store open.
    Locked = 4,
    /// The data is damaged.
    Damaged = 5,
    /// Reading or writing failed, or the data was written by another version.
    Io = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error {
            Error::KeyNotFound { .. } | Error::CollectionNotFound { .. } => Self::Absent,
            Error::InvalidKey { .. }
            | Error::ValueTooLarge { .. }
            | Error::BatchTooLarge { .. }
            | Error::RangeTooLarge { .. }
            | Error::TooManyCollections { .. }
            | Error::InvalidCollectionName { .. } => Self::Refused,
            // `Fenced`: another writer has taken over. The user has to do the same as for a lock.
            Error::Locked { .. } | Error::Forked | Error::Fenced => Self::Locked,
            // `Trimmed` can only come from an opening that misses a part of the log.
            Error::Corrupt { .. } | Error::Unrecoverable(_) | Error::Trimmed { .. } => Self::Damaged,
            Error::NewerVersion { .. }
            | Error::OlderVersion { .. }
            | Error::DiskFull { .. }
            | Error::Io { .. }
            | Error::DirectoryReplaced { .. }
            | Error::Poisoned { .. }
            | Error::OutcomeUnknown { .. }
            | Error::Closed
            | Error::Cancelled
            | Error::UnsupportedDurability { .. }
            | Error::Misuse(_) => Self::Io,
            // The enum can grow. An error that is not known here does not come from the input.
            _ => Self::Io,
        }
    }
}

/// What to do about an error of the store, as the end of a sentence.
pub fn advice(error: &Error) -> Option<&'static str> {
    match error {
        Error::Locked { .. } => Some("try again when the other process has ended; --wait SECONDS waits for that"),
        Error::Corrupt { .. } | Error::Unrecoverable(_) => {
            Some("nothing was changed; `kv verify` checks every file, and what is lost must come from a backup")
        }
        Error::NewerVersion { .. } => Some("use the version of kv that wrote it"),
        Error::OlderVersion { .. } => {
            Some("run `kv dump` with the version that wrote it, then `kv load` with this one")
        }
        Error::DiskFull { .. } => Some("make room and try again; nothing is lost"),
        Error::Poisoned { .. } | Error::OutcomeUnknown { .. } => {
            Some("remove the cause and run the command again; what was acknowledged before is safe")
        }
        Error::Io { source, .. } => match source.kind() {
            PermissionDenied => Some("run it as the user who owns the store, or have that user grant access"),
            NotADirectory => Some("--dir or KV_DIR must name a directory"),
            ReadOnlyFilesystem => Some("the file system is mounted for reading only: mount it for writing"),
            FileTooLarge => Some("raise the limit on the size of files (`ulimit -f`) and try again; nothing is lost"),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use kv_store::{CheckpointId, Durability, Epoch, Lsn, Refusal};

    use super::*;

    fn io_error() -> Error {
        Error::from_io("read", "x", io::Error::other("no"))
    }

    fn refusal() -> Refusal {
        let checkpoint = CheckpointId { epoch: Epoch(1), lsn: Lsn(1), seq: 1 };
        Refusal::LogEndsEarly { checkpoint, durable: Lsn(0) }
    }

    #[test]
    fn every_error_has_its_exit_code() {
        let table = [
            (Error::KeyNotFound { collection: "c".into(), key: "k".into() }, 1),
            (Error::CollectionNotFound { name: "c".into() }, 1),
            (Error::InvalidKey { len: 0, max: 1 }, 3),
            (Error::ValueTooLarge { len: 2, max: 1 }, 3),
            (Error::BatchTooLarge { bytes: 2, max: 1 }, 3),
            (Error::RangeTooLarge { max: 1 }, 3),
            (Error::TooManyCollections { max: 1 }, 3),
            (Error::InvalidCollectionName { len: 0, max: 1 }, 3),
            (Error::locked("x", None), 4),
            (Error::Forked, 4),
            (Error::DirectoryReplaced { path: "x".into() }, 6),
            (Error::Fenced, 4),
            (Error::corrupt_whole("x", "y"), 5),
            (Error::Unrecoverable(refusal()), 5),
            (Error::Trimmed { after: Lsn(0), trimmed: Lsn(1) }, 5),
            (Error::NewerVersion { place: "x".into(), detail: "y".into() }, 6),
            (Error::OlderVersion { place: "x".into(), detail: "y".into() }, 6),
            (Error::from_io("write to", "x", io::ErrorKind::StorageFull.into()), 6),
            (io_error(), 6),
            (Error::Poisoned { cause: Arc::new(io_error()) }, 6),
            (Error::OutcomeUnknown { cause: Arc::new(io_error()) }, 6),
            (Error::Closed, 6),
            (Error::Cancelled, 6),
            (Error::UnsupportedDurability { durability: Durability::Disk }, 6),
            (Error::Misuse("x".into()), 6),
        ];
        for (error, code) in table {
            assert_eq!(Exit::from(&error) as u8, code, "{error:?}");
        }
    }
}
