//! Reads and writes the file of the acknowledgement mark.

use std::{io, sync::Arc};

use kv_core::{Epoch, Error, LogId, Lsn, Result};
use kv_vfs::{Access, File, Vfs};

use crate::{
    error,
    format::{
        mark::{Mark, SLOT_BYTES, SLOTS_AT},
        names,
    },
};

/// How many slots there are.
pub(crate) const SLOTS: usize = SLOTS_AT.len();

/// Reads the valid slots of the mark. A slot that cannot be read, whatever the reason, is left out:
/// like a slot that a power cut tore, it proves nothing.
///
/// # Errors
/// [`OlderVersion`](kv_core::Error::OlderVersion) or [`NewerVersion`](kv_core::Error::NewerVersion)
/// if a valid slot has the format of another version.
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

/// As [`read`], for the log `expected`, or for the one that the first slot names. A mark of another
/// log is damage.
pub(crate) fn read_of(vfs: &dyn Vfs, expected: Option<LogId>) -> Result<Vec<Mark>> {
    let slots = read(vfs)?;
    let Some(expected) = expected.or(slots.first().map(|first| first.log_id)) else { return Ok(slots) };
    if let Some(foreign) = slots.iter().find(|mark| mark.log_id != expected) {
        let detail = format!("it belongs to log {}, but this is log {expected}", foreign.log_id);
        return Err(Error::corrupt_whole(error::path(vfs, names::MARK), detail));
    }
    Ok(slots)
}

/// Writes the marks of one opening. Each goes to the slot that does not hold the last one, so that
/// a torn write cannot spoil both.
#[derive(Debug)]
pub(crate) struct MarkWriter {
    log_id: LogId,
    epoch: Epoch,
    counter: u64,
    /// Open from the opening's first mark on.
    file: Option<Arc<dyn File>>,
}

impl MarkWriter {
    /// A writer that continues after `last`. It touches no file yet.
    pub(crate) fn new(log_id: LogId, epoch: Epoch, last: Option<Mark>) -> Self {
        Self { log_id, epoch, counter: last.map_or(0, |mark| mark.counter), file: None }
    }

    /// Writes this opening's epoch to both slots; creates the file first if there is none. Neither
    /// the file's bytes nor its name is durable on return: the caller syncs them.
    ///
    /// This takes all the space that marks ever need. Later marks overwrite it.
    pub(crate) fn begin(&mut self, vfs: &dyn Vfs, durable: Lsn) -> Result<()> {
        // Open the file on each attempt. Between two attempts a copy may have replaced it under its
        // name.
        self.file = Some(open_or_create(vfs)?);
        for _ in SLOTS_AT {
            self.write(durable)?;
        }
        Ok(())
    }

    /// Hands a mark to the kernel, without a sync. Does nothing before
    /// [`begin`](MarkWriter::begin).
    pub(crate) fn write(&mut self, durable: Lsn) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mark = Mark { log_id: self.log_id, durable, counter: self.counter + 1, epoch: self.epoch };
        file.write_all_at(&mark.encode(), mark.slot_at())?;
        self.counter = mark.counter;
        Ok(())
    }

    /// Whether writing a mark takes no new space. Always `false` before
    /// [`begin`](MarkWriter::begin).
    pub(crate) fn is_overwritten_in_place(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_overwritten_in_place())
    }

    /// Makes all written marks durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data()).map_err(Into::into)
    }
}

fn open_or_create(vfs: &dyn Vfs) -> kv_vfs::Result<Arc<dyn File>> {
    match vfs.open(names::MARK, Access::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => vfs.create(names::MARK),
        opened => opened,
    }
}
