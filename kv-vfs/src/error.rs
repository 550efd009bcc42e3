use std::{io, path::PathBuf};

/// The result of an operation on a file or a directory.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a file or a directory failed.
///
/// It holds the operating system's error, and what was attempted on which file. The
/// [`kind`](Error::kind) tells a full disk ([`StorageFull`](io::ErrorKind::StorageFull),
/// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded)) from a missing file
/// ([`NotFound`](io::ErrorKind::NotFound)) and an existing one
/// ([`AlreadyExists`](io::ErrorKind::AlreadyExists)).
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct Error {
    /// What was attempted, as a verb: "open", "write to".
    pub operation: &'static str,
    /// The file or directory it was attempted on.
    pub path: PathBuf,
    /// The operating system's error.
    pub source: io::Error,
}

impl Error {
    /// An error of `operation` on `path`.
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self { operation, path: path.into(), source: source.into() }
    }

    /// The kind of the operating system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// The one way from a failed operation on a file to the engine's error.
impl From<Error> for kv_core::Error {
    fn from(error: Error) -> Self {
        Self::from_io(error.operation, error.path, error.source)
    }
}
