use std::{fmt, path::Path, sync::Arc};

use kv_vfs::{Access, File, Lock, Result, Space, Vfs};

use super::{Event, Kind};

/// A [`Vfs`] around another one that calls a function before each operation that changes a
/// directory, in the same thread and without a lock: to do something at that moment, or to wait.
///
/// It sees [`Kind::Create`], [`Kind::Rename`], [`Kind::Remove`] and [`Kind::SyncDirectory`], in
/// directories at any depth. Everything else is passed on, with files as they are.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use kv_testkit::vfs::Before;
/// use kv_vfs::{OsVfs, Vfs};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let vfs = Before::new(OsVfs::open(directory.path())?, {
///     let seen = Arc::clone(&seen);
///     move |event| seen.lock().unwrap().push(event.to_string())
/// });
/// vfs.create_directory("log")?.create("a")?;
/// vfs.sync_directory()?;
/// assert_eq!(*seen.lock().unwrap(), ["create log/a", "sync directory"]);
/// # Ok::<(), kv_vfs::Error>(())
/// ```
pub struct Before {
    inner: Arc<dyn Vfs>,
    /// The path from the top directory, with a trailing slash; empty at the top.
    prefix: String,
    call: Arc<dyn Fn(&Event) + Send + Sync>,
}

impl Before {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Vfs>, call: impl Fn(&Event) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { inner, prefix: String::new(), call: Arc::new(call) })
    }

    fn directory(&self, name: &str, inner: Arc<dyn Vfs>) -> Arc<dyn Vfs> {
        Arc::new(Self { inner, prefix: self.path_of(&format!("{name}/")), call: Arc::clone(&self.call) })
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn call(&self, kind: Kind, name: &str) {
        (self.call)(&Event::new(kind, self.path_of(name)));
    }
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Before").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Vfs for Before {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        self.inner.open(name, access)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.call(Kind::Create, name);
        self.inner.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        (self.call)(&Event { to: self.path_of(to), ..Event::new(Kind::Rename, self.path_of(from)) });
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.call(Kind::Remove, name);
        self.inner.remove(name)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.inner.list()
    }

    fn sync_directory(&self) -> Result<()> {
        (self.call)(&Event::new(Kind::SyncDirectory, self.prefix.trim_end_matches('/').to_owned()));
        self.inner.sync_directory()
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.open_directory(name).map(|inner| self.directory(name, inner))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.create_directory(name).map(|inner| self.directory(name, inner))
    }

    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>> {
        self.inner.try_lock(name, access)
    }

    fn lock_holder(&self, name: &str) -> Option<u32> {
        self.inner.lock_holder(name)
    }

    fn is_in_place(&self) -> bool {
        self.inner.is_in_place()
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes()
    }

    fn request_overwriting_in_place(&self) {
        self.inner.request_overwriting_in_place();
    }

    fn space(&self) -> Result<Space> {
        self.inner.space()
    }

    fn random(&self) -> Result<u128> {
        self.inner.random()
    }
}
