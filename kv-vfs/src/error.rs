use std::{io, path::PathBuf};

/// The result of an operation on a file or a directory.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a file or a directory failed.
///
/// It is the operating system's error together with what was attempted, and on what. The source's
/// [`kind`](io::Error::kind) tells a full disk ([`io::ErrorKind::StorageFull`], [`io::ErrorKind::QuotaExceeded`]), an
/// absent file and an existing one apart.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct Error {
    /// What was attempted, as a verb: "open", "write to".
    pub operation: &'static str,
    /// The file or directory it was attempted on.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl Error {
    /// An error of `operation` on `path`.
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self { operation, path: path.into(), source: source.into() }
    }

    /// What kind of error the operating system gave.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}
