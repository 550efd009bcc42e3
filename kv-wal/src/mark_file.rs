//! Reading and writing the file of the acknowledgement mark.

use std::{io, sync::Arc};

use kv_core::{Error, LogId, Lsn, Result};
use kv_vfs::{Access, File, Vfs};

use crate::{
    error,
    mark::{Mark, SLOT_BYTES, SLOTS_AT},
    names,
};

/// The mark of the log, `None` if there is none that can be read.
pub(crate) fn read(vfs: &dyn Vfs) -> Result<Option<Mark>> {
    let file = match vfs.open(names::MARK, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(error::io)?,
    };
    let mut newest: Option<Mark> = None;
    for slot_at in SLOTS_AT {
        let mut slot = [0; SLOT_BYTES];
        match file.read_exact_at(&mut slot, slot_at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            read => read.map_err(error::io)?,
        }
        let decoded = Mark::decode(&slot)
            .map_err(|detail| Error::NewerVersion { file: error::path(vfs, names::MARK), detail })?;
        newest = newest.into_iter().chain(decoded).max_by_key(|mark| mark.counter);
    }
    Ok(newest)
}

/// Creates the file with two empty slots if it is absent, and makes its bytes durable. Its name is durable after the
/// directory's next sync; if it is lost before that, nothing is: the mark is a lower bound.
pub(crate) fn create(vfs: &dyn Vfs) -> Result<Arc<dyn File>> {
    let file = match vfs.open(names::MARK, Access::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => vfs.create(names::MARK).map_err(error::io)?,
        opened => opened.map_err(error::io)?,
    };
    // Whole blocks are taken here, so that writing a mark needs no space.
    let slot_bytes = u64::from(vfs.block_bytes());
    if file.len().map_err(error::io)? < SLOTS_AT[1] + slot_bytes {
        for slot_at in SLOTS_AT {
            file.write_zeroes(slot_at, slot_bytes).map_err(error::io)?;
        }
        file.sync_data().map_err(error::io)?;
    }
    Ok(file)
}

/// Writes the marks of one log, each to the slot that does not hold the last one.
#[derive(Debug)]
pub(crate) struct MarkWriter {
    log_id: LogId,
    counter: u64,
    file: Option<Arc<dyn File>>,
}

impl MarkWriter {
    /// A writer that goes on after `last`. It touches no file.
    pub(crate) fn new(log_id: LogId, last: Option<Mark>) -> Self {
        Self { log_id, counter: last.map_or(0, |mark| mark.counter), file: None }
    }

    /// Opens the file, and creates it first if it is absent.
    pub(crate) fn prepare(&mut self, vfs: &dyn Vfs) -> Result<&Arc<dyn File>> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(create(vfs)?)),
        }
    }

    /// Hands the mark to the kernel, without a sync.
    pub(crate) fn write(&mut self, vfs: &dyn Vfs, durable: Lsn) -> Result<()> {
        let mark = Mark { log_id: self.log_id, durable, counter: self.counter + 1 };
        let file = self.prepare(vfs)?;
        file.write_all_at(&mark.encode(), mark.slot_at()).map_err(error::io)?;
        self.counter = mark.counter;
        Ok(())
    }
}
