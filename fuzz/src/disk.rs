//! A plain file layer in memory, because the decoder is fuzzed and measured, and not the disk. A
//! map shares the file's bytes.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use kv_vfs::{Access, Error, File, Lock, Result, Vfs};

/// A directory.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: Mutex<BTreeMap<String, Arc<Content>>>,
    folders: Mutex<BTreeMap<String, Arc<Folder>>>,
    random: AtomicU64,
}

#[derive(Debug, Default)]
struct Content(Mutex<Bytes>);

impl Folder {
    /// An empty directory.
    pub(crate) fn new() -> Arc<Self> {
        Self::at("/memory".into())
    }

    /// A directory with these files.
    pub(crate) fn with<const N: usize>(files: [(&str, Bytes); N]) -> Arc<Self> {
        let folder = Self::new();
        for (name, bytes) in files {
            folder.put(name, bytes);
        }
        folder
    }

    fn at(path: PathBuf) -> Arc<Self> {
        let random = AtomicU64::new(0);
        Arc::new(Self { path, files: Mutex::default(), folders: Mutex::default(), random })
    }

    /// Creates a file, or replaces it.
    pub(crate) fn put(&self, name: &str, bytes: Bytes) {
        lock(&self.files).insert(name.to_owned(), Arc::new(Content(Mutex::new(bytes))));
    }

    /// Every file and its bytes.
    pub(crate) fn files(&self) -> Vec<(String, Bytes)> {
        lock(&self.files).iter().map(|(name, content)| (name.clone(), lock(&content.0).clone())).collect()
    }

    /// The bytes of a file; empty if there is none.
    pub(crate) fn bytes(&self, name: &str) -> Bytes {
        lock(&self.files).get(name).map(|content| lock(&content.0).clone()).unwrap_or_default()
    }

    /// A directory with the same content.
    pub(crate) fn copy(&self) -> Arc<Self> {
        let copy = Self::at(self.path.clone());
        for (name, bytes) in self.files() {
            copy.put(&name, bytes);
        }
        *lock(&copy.folders) = lock(&self.folders).iter().map(|(name, inner)| (name.clone(), inner.copy())).collect();
        copy
    }

    fn find(&self, operation: &'static str, name: &str) -> Result<Arc<Content>> {
        let found = lock(&self.files).get(name).cloned();
        found.ok_or_else(|| Error::new(operation, self.path.join(name), ErrorKind::NotFound))
    }

    fn handle(&self, name: &str, content: Arc<Content>) -> Arc<dyn File> {
        Arc::new(Handle { path: self.path.join(name), content })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vfs for Folder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str, _: Access) -> Result<Arc<dyn File>> {
        Ok(self.handle(name, self.find("open", name)?))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let content = Arc::<Content>::default();
        let mut files = lock(&self.files);
        if files.contains_key(name) {
            return Err(Error::new("create", self.path.join(name), ErrorKind::AlreadyExists));
        }
        files.insert(name.to_owned(), Arc::clone(&content));
        Ok(self.handle(name, content))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let content = self.find("rename", from)?;
        let mut files = lock(&self.files);
        files.remove(from);
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.find("remove", name)?;
        lock(&self.files).remove(name);
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(lock(&self.files).keys().chain(lock(&self.folders).keys()).cloned().collect())
    }

    fn sync_directory(&self) -> Result<()> {
        Ok(())
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        match lock(&self.folders).get(name) {
            Some(folder) => Ok(Arc::clone(folder) as _),
            None => Err(Error::new("open", self.path.join(name), ErrorKind::NotFound)),
        }
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        let mut folders = lock(&self.folders);
        Ok(Arc::clone(folders.entry(name.to_owned()).or_insert_with(|| Self::at(self.path.join(name)))) as _)
    }

    fn try_lock(&self, _: &str, _: Access) -> Result<Option<Lock>> {
        Ok(Some(Lock::new(())))
    }

    fn is_in_place(&self) -> bool {
        true
    }

    fn block_bytes(&self) -> u32 {
        4096
    }

    /// A counter, so that each run writes the same files.
    fn random(&self) -> Result<u128> {
        Ok(0x9e37_79b9_7f4a_7c15 * u128::from(1 + self.random.fetch_add(1, Ordering::Relaxed)))
    }
}

#[derive(Debug)]
struct Handle {
    path: PathBuf,
    content: Arc<Content>,
}

impl Handle {
    /// Changes the bytes in place, or a copy of them if they are mapped.
    fn change(&self, change: impl FnOnce(&mut BytesMut)) {
        let mut bytes = lock(&self.content.0);
        let mut changed = mem::take(&mut *bytes).try_into_mut().unwrap_or_else(|mapped| BytesMut::from(&mapped[..]));
        change(&mut changed);
        *bytes = changed.freeze();
    }
}

impl File for Handle {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let bytes = lock(&self.content.0);
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> Result<usize> {
        let offset = offset as usize;
        self.change(|bytes| {
            bytes.resize(bytes.len().max(offset + written.len()), 0);
            bytes[offset..offset + written.len()].copy_from_slice(written);
        });
        Ok(written.len())
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(lock(&self.content.0).len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(|bytes| bytes.resize(len as usize, 0));
        Ok(())
    }

    fn map(&self) -> Result<Bytes> {
        Ok(lock(&self.content.0).clone())
    }
}
