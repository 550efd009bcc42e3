//! A file layer that passes reads on and refuses every change.

use std::{io, path::Path, sync::Arc};

use kv_vfs::{Access, Error, File, Lock, Result, Space, Vfs};

/// A directory in which nothing is written, created, renamed or removed. An attempt fails as on a
/// read-only file system.
#[derive(Debug)]
pub(crate) struct Untouched(pub(crate) Arc<dyn Vfs>);

impl Untouched {
    fn refuse<T>(&self, operation: &'static str, name: &str) -> Result<T> {
        Err(Error::new(operation, self.0.path().join(name), io::ErrorKind::ReadOnlyFilesystem))
    }
}

#[deny(clippy::missing_trait_methods, reason = "each method is forwarded or refused on purpose")]
impl Vfs for Untouched {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        match access {
            Access::Read => self.0.open(name, access),
            Access::ReadWrite => self.refuse("write to", name),
        }
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.refuse("create", name)
    }

    fn rename(&self, from: &str, _: &str) -> Result<()> {
        self.refuse("rename", from)
    }

    fn link(&self, name: &str, _: &dyn Vfs, _: &str) -> Result<()> {
        self.refuse("link", name)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.refuse("remove", name)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.0.list()
    }

    /// Nothing was changed, so there is nothing to sync.
    fn sync_directory(&self) -> Result<()> {
        Ok(())
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        Ok(Arc::new(Self(self.0.open_directory(name)?)))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.open_directory(name)
    }

    /// No process can hold a lock on a file that does not exist.
    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>> {
        let would_create = access == Access::ReadWrite;
        match self.0.try_lock(name, Access::Read) {
            Err(absent) if would_create && absent.kind() == io::ErrorKind::NotFound => Ok(Some(Lock::new(()))),
            locked => locked,
        }
    }

    fn lock_holder(&self, name: &str) -> Option<u32> {
        self.0.lock_holder(name)
    }

    fn is_in_place(&self) -> bool {
        self.0.is_in_place()
    }

    fn block_bytes(&self) -> u32 {
        self.0.block_bytes()
    }

    /// This would change the directory, so it is not forwarded. Nothing is written here anyway.
    fn request_overwriting_in_place(&self) {}

    fn space(&self) -> Result<Space> {
        self.0.space()
    }

    fn random(&self) -> Result<u128> {
        self.0.random()
    }
}
