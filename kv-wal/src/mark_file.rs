//! Reading and writing the file of the acknowledgement mark.

use std::{io, sync::Arc};

use kv_core::{Epoch, LogId, Lsn, Result};
use kv_vfs::{Access, File, Vfs};

use crate::{
    error,
    format::{
        mark::{Mark, SLOT_BYTES, SLOTS_AT},
        names,
    },
};

/// The valid slots of the mark. A slot that cannot be read, for whatever reason, says nothing, as
/// one that a power cut has torn: nothing rests on the mark alone.
///
/// # Errors
/// A valid slot in the format of another version.
pub(crate) fn read(vfs: &dyn Vfs) -> Result<Vec<Mark>> {
    let Ok(file) = vfs.open(names::MARK, Access::Read) else { return Ok(Vec::new()) };
    let mut marks = Vec::new();
    for slot_at in SLOTS_AT {
        let mut slot = [0; SLOT_BYTES];
        if file.read_exact_at(&mut slot, slot_at).is_ok() {
            let decoded = Mark::decode(&slot);
            marks.extend(decoded.map_err(|fault| error::preamble(error::path(vfs, names::MARK), fault))?);
        }
    }
    Ok(marks)
}

/// Writes the marks of one opening, each to the slot that does not hold the last one.
#[derive(Debug)]
pub(crate) struct MarkWriter {
    log_id: LogId,
    epoch: Epoch,
    counter: u64,
    /// Open from the opening's first mark on.
    file: Option<Arc<dyn File>>,
}

impl MarkWriter {
    /// A writer that goes on after `last`. It touches no file.
    pub(crate) fn new(log_id: LogId, epoch: Epoch, last: Option<Mark>) -> Self {
        Self { log_id, epoch, counter: last.map_or(0, |mark| mark.counter), file: None }
    }

    /// Writes the epoch into both slots, and creates the file first if it is absent. Neither the
    /// file's bytes nor its name are durable on return.
    ///
    /// From then on marks are written in place: what space they need is taken here.
    pub(crate) fn begin(&mut self, vfs: &dyn Vfs, durable: Lsn) -> Result<()> {
        // Each time: between two attempts, a copy may have taken the name of the file.
        self.file = Some(open_or_create(vfs).map_err(error::io)?);
        for _ in SLOTS_AT {
            self.write(durable)?;
        }
        Ok(())
    }

    /// Hands the mark to the kernel, without a sync. Does nothing before
    /// [`begin`](MarkWriter::begin).
    pub(crate) fn write(&mut self, durable: Lsn) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mark = Mark { log_id: self.log_id, durable, counter: self.counter + 1, epoch: self.epoch };
        file.write_all_at(&mark.encode(), mark.slot_at()).map_err(error::io)?;
        self.counter = mark.counter;
        Ok(())
    }

    /// Whether writing a mark takes no new space. Not known before [`begin`](MarkWriter::begin).
    pub(crate) fn is_overwritten_in_place(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_overwritten_in_place())
    }

    /// Makes the marks that were written durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data()).map_err(error::io)
    }
}

fn open_or_create(vfs: &dyn Vfs) -> kv_vfs::Result<Arc<dyn File>> {
    match vfs.open(names::MARK, Access::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => vfs.create(names::MARK),
        opened => opened,
    }
}
