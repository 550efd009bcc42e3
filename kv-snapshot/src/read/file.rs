//! Reading files of checkpoints. A read that the medium refuses is repeated once: a failure that
//! passes is no damage, and no reason to do without a checkpoint. One that stays is.

use std::{io::ErrorKind, sync::Arc};

use kv_core::{Error, Result};
use kv_vfs::{Access, File, Vfs, is_unreadable};

/// Opens a file of a checkpoint.
pub(crate) fn open(vfs: &dyn Vfs, name: &str) -> kv_vfs::Result<Arc<dyn File>> {
    twice(|| vfs.open(name, Access::Read))
}

/// Fills `buffer` from a file that had these bytes when it was opened.
pub(crate) fn read_exact(file: &dyn File, buffer: &mut [u8], offset: u64) -> Result<()> {
    twice(|| file.read_exact_at(buffer, offset)).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => {
            let end = file.len().map_or(offset, |length| length.clamp(offset, offset + buffer.len() as u64));
            Error::corrupt(file.path(), end, "the file is truncated: it ends here")
        }
        _ => error.into(),
    })
}

/// Repeats `attempt` once if the medium refuses it.
pub(crate) fn twice<T>(mut attempt: impl FnMut() -> kv_vfs::Result<T>) -> kv_vfs::Result<T> {
    match attempt() {
        Err(error) if is_unreadable(&error.source) => attempt(),
        done => done,
    }
}
