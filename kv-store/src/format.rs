//! The `FORMAT` file marks a directory as a store and names its log. It is a bare
//! [preamble](kv_vfs::preamble) whose store id is the log's identity. It is written last when a
//! store is created.

use std::io;

use kv_core::{Error, LogId, Result};
use kv_vfs::{
    Access, Vfs,
    preamble::{PREAMBLE_BYTES, Preamble, PreambleError},
};

pub(crate) const NAME: &str = "FORMAT";
pub(crate) const TEMPORARY: &str = "FORMAT.tmp";

const KIND: Preamble = Preamble { magic: *b"kvstore1", version: 1, incompatible_known: 0 };

/// The identity of the store's log; `None` if the directory has no FORMAT file.
pub(crate) fn read(directory: &dyn Vfs) -> Result<Option<LogId>> {
    let file = match directory.open(NAME, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = [0; PREAMBLE_BYTES];
    let len = file.len()?.min(PREAMBLE_BYTES as u64) as usize;
    file.read_exact_at(&mut bytes[..len], 0)?;
    match KIND.open(&bytes[..len]) {
        Ok(id) => Ok(Some(LogId(id))),
        Err(PreambleError::Damaged { offset, detail }) => Err(Error::corrupt(file.path(), offset, detail)),
        Err(PreambleError::Older { detail }) => Err(Error::OlderVersion { place: file.path().into(), detail }),
        Err(PreambleError::Newer { detail }) => Err(Error::NewerVersion { place: file.path().into(), detail }),
    }
}

/// Makes the directory a store, durably.
pub(crate) fn write(directory: &dyn Vfs, log_id: LogId) -> Result<()> {
    let mut bytes = [0; PREAMBLE_BYTES];
    KIND.seal(&mut bytes, 0, log_id.0);
    write_durably(directory, &bytes).map_err(Error::from)
}

fn write_durably(directory: &dyn Vfs, bytes: &[u8]) -> kv_vfs::Result<()> {
    match directory.remove(TEMPORARY) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {} // an interrupted creation may have left one
    }
    let file = directory.create(TEMPORARY)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    directory.rename(TEMPORARY, NAME)?;
    directory.sync_directory()
}
