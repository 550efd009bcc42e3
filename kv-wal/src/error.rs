//! Turns errors of the file layer into those of the log.

use std::path::PathBuf;

use kv_core::Error;
use kv_vfs::{Vfs, preamble::PreambleError};

/// The error for a header that is damaged or of another version.
pub(crate) fn preamble(file: PathBuf, fault: PreambleError) -> Error {
    match fault {
        PreambleError::Damaged { offset, detail } => Error::corrupt(file, offset, detail),
        PreambleError::Older { detail } => Error::OlderVersion { place: file.into(), detail },
        PreambleError::Newer { detail } => Error::NewerVersion { place: file.into(), detail },
    }
}

/// Whether the error is about the contents of a file: damage, or the format of another version. Any
/// other error means that the file could not be read.
pub(crate) fn is_finding(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::OlderVersion { .. } | Error::NewerVersion { .. })
}

/// The path of a file in the log's directory, for messages.
pub(crate) fn path(vfs: &dyn Vfs, name: &str) -> PathBuf {
    vfs.path().join(name)
}
