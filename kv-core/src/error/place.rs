use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{CheckpointId, Lsn};

/// Where something is wrong: a part of an [`Error`](crate::Error).
///
/// ```
/// use kv_core::{Lsn, Place};
///
/// assert_eq!(Place::from("data/log").to_string(), "data/log");
/// assert_eq!(Place::from(Lsn(7)).to_string(), "record 7 of the log");
/// assert!(Place::from(Lsn(7)).path().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A file or a directory.
    File(PathBuf),
    /// The record at this position of the log.
    Record(Lsn),
    /// A checkpoint, if the backend names no file of it.
    Checkpoint(CheckpointId),
}

impl Place {
    /// The path, if the place is a file or directory.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Record(_) | Self::Checkpoint(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Record(lsn) => write!(f, "record {lsn} of the log"),
            Self::Checkpoint(id) => write!(f, "the checkpoint at position {}", id.lsn),
        }
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&str> for Place {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl From<Lsn> for Place {
    fn from(record: Lsn) -> Self {
        Self::Record(record)
    }
}

impl From<CheckpointId> for Place {
    fn from(checkpoint: CheckpointId) -> Self {
        Self::Checkpoint(checkpoint)
    }
}
