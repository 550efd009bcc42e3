use std::sync::Arc;

use kv_core::Result;
use kv_vfs::{File, Vfs};

use crate::{
    format::names,
    read::file::{self, twice},
};

/// A new file, which gets its name only when it is complete and verified. Until then the file has a
/// temporary name, and dropping this value removes it.
#[derive(Debug)]
pub(crate) struct NewFile {
    vfs: Arc<dyn Vfs>,
    name: String,
    file: Arc<dyn File>,
    committed: bool,
}

impl NewFile {
    pub(crate) fn create(vfs: &Arc<dyn Vfs>, name: &str) -> Result<Self> {
        let file = vfs.create(&names::temporary(name))?;
        Ok(Self { vfs: vfs.clone(), name: name.to_owned(), file, committed: false })
    }

    /// The file, for writing to it.
    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Syncs the file, lets `check` read it back from the disk, and gives it its name.
    ///
    /// On return its bytes survive a power cut. Its name does once the directory is synced.
    pub(crate) fn commit(mut self, check: impl FnOnce(&dyn File) -> Result<()>) -> Result<()> {
        self.file.sync_data()?;
        twice(|| self.file.drop_cache())?;
        let temporary = names::temporary(&self.name);
        check(&*file::open(&*self.vfs, &temporary)?)?;
        self.vfs.rename(&temporary, &self.name)?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.committed {
            // If this fails, the file is harmless: the next write removes it. XFS frees what a
            // removed file held in the background, but what is cut off at once.
            let _ = self.file.set_len(0);
            let _ = self.vfs.remove(&names::temporary(&self.name));
        }
    }
}
