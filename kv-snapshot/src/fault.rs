//! Errors of this crate, on their way to [`kv_core::Error`].

use std::path::Path;

use kv_core::Error;
use kv_vfs::preamble::PreambleError;

/// What is wrong with bytes, said by a decoder, which does not know the file that they are from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They are not what was written.
    Damaged {
        /// Where, in bytes from the start of what was decoded.
        offset: u64,
        detail: String,
    },
    /// They are sound, in a format that is no longer read.
    Older { detail: String },
    /// They are sound, and mean something that this version does not know.
    Newer { detail: String },
}

impl From<PreambleError> for Fault {
    fn from(error: PreambleError) -> Self {
        match error {
            PreambleError::Damaged { offset, detail } => Self::damaged(offset, detail),
            PreambleError::Older { detail } => Self::Older { detail },
            PreambleError::Newer { detail } => Self::newer(detail),
        }
    }
}

impl Fault {
    pub(crate) fn damaged(offset: u64, detail: impl Into<String>) -> Self {
        Self::Damaged { offset, detail: detail.into() }
    }

    pub(crate) fn newer(detail: impl Into<String>) -> Self {
        Self::Newer { detail: detail.into() }
    }

    /// The error for this fault in bytes that begin at `base` in `file`.
    pub(crate) fn at(self, file: &Path, base: u64) -> Error {
        match self {
            Self::Damaged { offset, detail } => Error::corrupt(file, base.saturating_add(offset), detail),
            Self::Older { detail } => Error::OlderVersion { place: file.into(), detail },
            Self::Newer { detail } => Error::NewerVersion { place: file.into(), detail },
        }
    }
}

/// The error of the engine for a failed operation on a file.
pub(crate) fn from_vfs(error: kv_vfs::Error) -> Error {
    Error::from_io(error.operation, error.path, error.source)
}
