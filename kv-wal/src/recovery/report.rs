//! What recovery tells the caller.

use std::{fmt, path::PathBuf};

use kv_core::{Epoch, Lsn};

/// What recovery found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecovery {
    /// Whether there was no log, and one was created.
    pub created: bool,
    /// Whether the log had been closed cleanly, and nothing was written afterwards.
    pub sealed: bool,
    /// The last position that was trimmed; [`Lsn::START`] if the log goes back to its beginning.
    pub trimmed: Lsn,
    /// The last position in the log.
    pub last: Lsn,
    /// The epoch of this opening.
    pub epoch: Epoch,
    /// The torn tail that was truncated; `None` if there was none.
    pub torn: Option<TornTail>,
}

/// A torn tail: bytes that were written at the end of a log, and that nothing on the disk proves
/// durable. No record in it was acknowledged as durable, unless a power cut and damage have both
/// hit the last flushed group, as the crate's documentation explains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment in which the tail begins.
    pub file: PathBuf,
    /// Where the tail begins in that file, in bytes from its start.
    pub offset: u64,
    /// How many bytes the tail has, there and in later segments, each up to its last byte that is
    /// not zero.
    pub bytes: u64,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes } = self;
        write!(f, "truncated a torn tail of {bytes} bytes at byte {offset} of {}", file.display())
    }
}
