//! What an opening tells its caller about what it found.

use std::{fmt, path::PathBuf};

use kv_core::{Epoch, Lsn};

/// What was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// There was no log; it was created.
    pub created: bool,
    /// The log had been closed, and nothing was written after.
    pub sealed: bool,
    /// The last position that the log no longer has; [`Lsn::START`] if it goes back to its beginning.
    pub trimmed: Lsn,
    /// The last position that is there.
    pub last: Lsn,
    /// The epoch of this opening.
    pub epoch: Epoch,
    /// What was cut off because it had not been written completely; `None` if there was nothing to cut.
    pub torn: Option<Torn>,
}

/// The torn tail of a log: bytes that were written but never made durable. No record in it was
/// acknowledged as durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torn {
    /// The segment in which the tail begins.
    pub file: PathBuf,
    /// Where in that file, in bytes from its start.
    pub offset: u64,
    /// How many bytes had been written there and in later segments, up to the last one that is not zero.
    pub bytes: u64,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes } = self;
        write!(f, "cut a torn tail of {bytes} bytes off {} at byte {offset}", file.display())
    }
}
