//! What a decoder may return for hostile bytes: the data, or an error that says which file is
//! wrong, where, and how.

use kv_core::{Error, Result};

use crate::disk::Folder;

/// What was decoded; `None` for an error that hostile bytes may cause. Panics at any other error.
pub(crate) fn decoded<T>(result: Result<T>, folder: &Folder) -> Option<T> {
    result.map_err(|error| check(&error, folder)).ok()
}

/// Panics if hostile bytes may not cause this error, or if it names a place outside of its file.
pub(crate) fn check(error: &Error, folder: &Folder) {
    match error {
        Error::Corrupt { place, offset, .. } => {
            let len = place
                .path()
                .and_then(|file| file.file_name())
                .and_then(|name| name.to_str())
                .map_or(0, |name| folder.bytes(name).len());
            assert!(offset.unwrap_or(0) <= len as u64, "the file has {len} bytes: {error}");
        }
        Error::OlderVersion { .. } | Error::NewerVersion { .. } => {}
        other => panic!("bytes of a file caused {other:?}"),
    }
}

/// The result of an operation that no hostile bytes take part in.
pub(crate) fn must_succeed<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("failed without a cause: {error:?}"))
}
