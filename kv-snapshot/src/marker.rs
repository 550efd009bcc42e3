//! The marker that damage was met: a file `DAMAGED`, whose content says what was found, as text for people.
//!
//! While it is there nothing is written or removed, so that no history is lost which a repair may need. A clean verification removes it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{Error, Result};
use kv_vfs::{Access, Origin, Vfs};

use crate::{fault::from_vfs, names};

/// How much of a marker is read, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Whether a marker was left in the directory.
pub(crate) fn is_there(vfs: &dyn Vfs) -> Result<bool> {
    read(vfs).map(|text| text.is_some())
}

fn read(vfs: &dyn Vfs) -> Result<Option<String>> {
    let file = match vfs.open(names::DAMAGED, Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(from_vfs)?,
    };
    let mut text = vec![0; TEXT_BYTES_MAX];
    let read = file.read_at(&mut text, 0).map_err(from_vfs)?;
    text.truncate(read);
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Shared by a checkpointer and all checkpoints opened through it.
#[derive(Debug)]
pub(crate) struct Marker {
    vfs: Arc<dyn Vfs>,
    /// The process that may leave it: a child of that one, made by `fork`, reads and writes
    /// nothing.
    origin: Origin,
    /// What was met since this was opened: it counts also where the file could not be written.
    met: Mutex<Option<String>>,
}

impl Marker {
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> Self {
        Self { vfs, origin: Origin::here(), met: Mutex::new(None) }
    }

    /// Passes the result of a read on, and if it is damage leaves the marker.
    #[inline]
    pub(crate) fn watch<T>(&self, read: Result<T>) -> Result<T> {
        if let Err(error @ Error::Corrupt { .. }) = &read {
            self.leave(error);
        }
        read
    }

    #[cold]
    fn leave(&self, error: &Error) {
        if !self.origin.is_here() {
            return;
        }
        let mut met = self.met();
        if met.is_none() {
            let text = error.to_string();
            // As well as may be: the disk may be full, or may not be writable.
            let _ = self.write(&text);
            *met = Some(text);
        }
    }

    fn write(&self, text: &str) -> kv_vfs::Result<()> {
        let file = self.vfs.create(names::DAMAGED)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_data()?;
        self.vfs.sync_directory()
    }

    /// Fails if damage was met and not cleared.
    pub(crate) fn refuse(&self) -> Result<()> {
        let met = self.met().clone();
        let Some(text) = met.map_or_else(|| read(&*self.vfs), |text| Ok(Some(text)))? else { return Ok(()) };
        let detail = format!(
            "damage was met before, so nothing is written or removed until a full verification is clean: {text}"
        );
        Err(Error::corrupt_whole(self.path(), detail))
    }

    /// Whether damage was met and not cleared.
    pub(crate) fn is_left(&self) -> Result<bool> {
        Ok(self.met().is_some() || is_there(&*self.vfs)?)
    }

    /// Removes the marker: everything has been verified.
    pub(crate) fn clear(&self) -> Result<()> {
        let mut met = self.met();
        match self.vfs.remove(names::DAMAGED) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.map_err(from_vfs)?,
        }
        self.vfs.sync_directory().map_err(from_vfs)?;
        *met = None;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.vfs.path().join(names::DAMAGED)
    }

    fn met(&self) -> MutexGuard<'_, Option<String>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
