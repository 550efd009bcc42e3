use std::{io, path::PathBuf};

use rustix::io::Errno;

/// The result of an operation on a file or a directory.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a file or a directory failed.
///
/// It holds the operating system's error, and what was attempted on which file. The
/// [`kind`](Error::kind) distinguishes a full disk ([`StorageFull`](io::ErrorKind::StorageFull),
/// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded)), a missing file
/// ([`NotFound`](io::ErrorKind::NotFound)) and a file that exists already
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
    /// The error for a failed `operation` on `path`.
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self { operation, path: path.into(), source: source.into() }
    }

    /// The kind of the operating system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Whether the medium does not give what was stored on it: a sector cannot be read (EIO), or what
/// the file system knows of the file is damaged (EUCLEAN, EBADMSG).
///
/// Linux's block layer has errors of its own for a sector that cannot be read (ENODATA) and for one
/// whose protection information does not match (EILSEQ). Most file systems turn them into EIO, but
/// not all do in all calls: reads past the page cache and reads of metadata in older versions of
/// XFS pass them on.
///
/// The file has failed then, and another one may stand in for it. Every other error is one of the
/// process or of the machine, which lack a right, memory or a file handle: the next attempt may
/// succeed.
pub fn is_unreadable(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::IO | Errno::UCLEAN | Errno::BADMSG | Errno::NODATA | Errno::ILSEQ)
    )
}

/// Converts a failed operation on a file to the engine's error.
impl From<Error> for kv_core::Error {
    fn from(error: Error) -> Self {
        Self::from_io(error.operation, error.path, error.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_or_the_machine_lacks_is_not_the_mediums_fault() {
        let is_unreadable = |errno: Errno| is_unreadable(&errno.into());
        for errno in [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODATA, Errno::ILSEQ] {
            assert!(is_unreadable(errno), "{errno}");
        }
        let others = [Errno::ACCESS, Errno::PERM, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOENT, Errno::INTR];
        assert!(!others.into_iter().any(is_unreadable));
        assert!(!super::is_unreadable(&io::ErrorKind::UnexpectedEof.into()));
    }
}
