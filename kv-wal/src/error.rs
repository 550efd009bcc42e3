//! From the file layer's errors to the log's.

use std::path::PathBuf;

use kv_core::Error;
use kv_vfs::Vfs;

/// The error for a failed operation on a file or the directory.
pub(crate) fn io(error: kv_vfs::Error) -> Error {
    Error::from_io(error.operation, error.path, error.source)
}

/// The path of a file in the log's directory, for messages.
pub(crate) fn path(vfs: &dyn Vfs, name: &str) -> PathBuf {
    vfs.path().join(name)
}
