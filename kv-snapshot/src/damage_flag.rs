//! The damage flag: a file `DAMAGED`, left when a read of a checkpoint meets damage. Its content
//! says what was found, as text for people.
//!
//! While the flag is set, nothing is written or removed, so that no history is lost that a repair
//! may need. It is cleared once everything has been verified and nothing is wrong.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kv_core::{Error, Result};
use kv_vfs::{Access, Origin, Vfs};

use crate::format::names;

/// How much of the file is read, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Whether the directory has the flag.
pub(crate) fn is_set(vfs: &dyn Vfs) -> Result<bool> {
    read(vfs).map(|text| text.is_some())
}

fn read(vfs: &dyn Vfs) -> Result<Option<String>> {
    let file = match vfs.open(names::DAMAGED, Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = vec![0; TEXT_BYTES_MAX];
    let read = file.read_at(&mut text, 0)?;
    text.truncate(read);
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// The flag of a directory, shared by a checkpointer and all checkpoints opened through it.
///
/// Any reading thread may set the flag, at any time, while another thread checks or clears it. All
/// of them take `met`, and hold it while they change the file: so the file is created once, and the
/// file and `met` change together.
///
/// A read may meet damage after a verifying thread has passed that block and before that thread
/// clears the flag. The flag is then cleared although there is damage. It is not lost for good: a
/// block that failed is not marked as verified, so the next read of it sets the flag again.
#[derive(Debug)]
pub(crate) struct DamageFlag {
    vfs: Arc<dyn Vfs>,
    /// The process that may set it. A child made by `fork` returns before it takes `met`, which
    /// another thread of the parent may have held at the fork.
    origin: Origin,
    /// The damage that was met since this was opened. It counts even if the file could not be
    /// written.
    met: Mutex<Option<String>>,
}

impl DamageFlag {
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> Self {
        Self { vfs, origin: Origin::here(), met: Mutex::new(None) }
    }

    /// Passes the result of a read through, and sets the flag if it is damage.
    #[inline]
    pub(crate) fn watch<T>(&self, read: Result<T>) -> Result<T> {
        if let Err(error @ Error::Corrupt { .. }) = &read {
            self.set(error);
        }
        read
    }

    #[cold]
    fn set(&self, error: &Error) {
        if !self.origin.is_here() {
            return;
        }
        let mut met = self.met();
        if met.is_none() {
            let text = error.to_string();
            // Best effort: the disk may be full or read-only. The caller gets the damage anyway.
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

    /// Fails if the flag is set.
    pub(crate) fn check(&self) -> Result<()> {
        let met = self.met().clone();
        let Some(text) = met.map_or_else(|| read(&*self.vfs), |text| Ok(Some(text)))? else { return Ok(()) };
        let detail = format!(
            "a read met damage before, so no checkpoint is written or removed; \
             repair it, then verify all checkpoints to clear this: {text}"
        );
        Err(Error::corrupt_whole(self.path(), detail))
    }

    /// Whether the flag is set.
    pub(crate) fn is_set(&self) -> Result<bool> {
        Ok(self.met().is_some() || is_set(&*self.vfs)?)
    }

    /// Clears the flag, after everything was verified and nothing was wrong.
    pub(crate) fn clear(&self) -> Result<()> {
        let mut met = self.met();
        match self.vfs.remove(names::DAMAGED) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        self.vfs.sync_directory()?;
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
