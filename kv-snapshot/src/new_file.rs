use std::sync::Arc;

use kv_core::Result;
use kv_vfs::{Access, File, Vfs};

use crate::{fault::from_vfs, names};

/// A file that comes to be whole and verified, or not at all. It is written under a temporary name; dropping it removes that.
#[derive(Debug)]
pub(crate) struct NewFile {
    vfs: Arc<dyn Vfs>,
    name: String,
    file: Arc<dyn File>,
    committed: bool,
}

impl NewFile {
    pub(crate) fn create(vfs: &Arc<dyn Vfs>, name: &str) -> Result<Self> {
        let file = vfs.create(&names::temporary(name)).map_err(from_vfs)?;
        Ok(Self { vfs: vfs.clone(), name: name.to_owned(), file, committed: false })
    }

    /// The file to be written.
    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Syncs the file, has `check` read it back from the disk, and gives it its name.
    ///
    /// Its bytes survive a power cut on return, its name only once the directory is synced.
    pub(crate) fn commit(mut self, check: impl FnOnce(&dyn File) -> Result<()>) -> Result<()> {
        self.file.sync_data().map_err(from_vfs)?;
        self.file.drop_cache().map_err(from_vfs)?;
        let temporary = names::temporary(&self.name);
        check(&*self.vfs.open(&temporary, Access::Read).map_err(from_vfs)?)?;
        self.vfs.rename(&temporary, &self.name).map_err(from_vfs)?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed now is harmless, and removed before the next file is made.
            let _ = self.vfs.remove(&names::temporary(&self.name));
        }
    }
}
