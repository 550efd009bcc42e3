//! Turns failures to open or decode a file into a [`kv_core::Error`].

use std::{io, path::Path};

use kv_core::{Error, Result};
use kv_vfs::{is_unreadable, preamble::PreambleError};

/// Why bytes cannot be decoded. A decoder does not know which file the bytes are from;
/// [`at`](DecodeError::at) adds that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// They are not what was written.
    Damaged {
        /// Where, in bytes from the start of what was decoded.
        offset: u64,
        detail: String,
    },
    /// They are intact, but in a format that is no longer read.
    Older { detail: String },
    /// They are intact, but use something that this version does not know.
    Newer { detail: String },
}

impl From<PreambleError> for DecodeError {
    fn from(error: PreambleError) -> Self {
        match error {
            PreambleError::Damaged { offset, detail } => Self::damaged(offset, detail),
            PreambleError::Older { detail } => Self::Older { detail },
            PreambleError::Newer { detail } => Self::newer(detail),
        }
    }
}

impl DecodeError {
    pub(crate) fn damaged(offset: u64, detail: impl Into<String>) -> Self {
        Self::Damaged { offset, detail: detail.into() }
    }

    pub(crate) fn newer(detail: impl Into<String>) -> Self {
        Self::Newer { detail: detail.into() }
    }

    /// This error for bytes that begin at offset `base` of `file`.
    pub(crate) fn at(self, file: &Path, base: u64) -> Error {
        match self {
            Self::Damaged { offset, detail } => Error::corrupt(file, base.saturating_add(offset), detail),
            Self::Older { detail } => Error::OlderVersion { place: file.into(), detail },
            Self::Newer { detail } => Error::NewerVersion { place: file.into(), detail },
        }
    }
}

/// The first damage that two reads met, or else the first error. An unreadable sector must not hide
/// damage behind it.
pub(crate) fn damage_or_error(first: Result<()>, second: Result<()>) -> Result<()> {
    match (&first, &second) {
        (Ok(()), _) | (Err(Error::Io { .. }), Err(Error::Corrupt { .. })) => second,
        _ => first,
    }
}

/// The error for a file that the caller named and that could not be opened. A missing file is not
/// damage: the name may be wrong.
pub(crate) fn not_opened(error: kv_vfs::Error) -> Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error.into();
    }
    let advice = "there is no such file; check the name and the directory";
    Error::from_io(error.operation, error.path, io::Error::new(io::ErrorKind::NotFound, advice))
}

/// Turns "not found" into damage, for a part that a manifest names. Recovery takes
/// [`Error::Corrupt`] as the sign to use an older checkpoint; any other error would end the
/// recovery.
pub(crate) fn missing_part_is_damage(error: Error) -> Error {
    missing_is_damage(error, "the file is missing, though a manifest names it: restore it from a backup")
}

/// Whether a read met damage, or a medium that does not give what is stored on it.
pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Corrupt { .. } => true,
        Error::Io { source, .. } => is_unreadable(source),
        _ => false,
    }
}

/// Turns the failure of the medium to give a file into damage, for a file of a checkpoint that is
/// being opened: another checkpoint may restore everything. What only the process or the machine
/// lacks stays the error that it is.
pub(crate) fn unreadable_is_damage(error: Error) -> Error {
    match &error {
        Error::Io { path, source, .. } if is_unreadable(source) => Error::corrupt_whole(path.as_path(), error.chain()),
        _ => error,
    }
}

/// As [`missing_part_is_damage`], for another file.
pub(crate) fn missing_is_damage(error: Error, detail: &'static str) -> Error {
    match error {
        Error::Io { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Error::corrupt_whole(path, detail)
        }
        other => other,
    }
}
