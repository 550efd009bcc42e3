use std::{any::Any, io, path::Path, sync::Arc};

use bytes::Bytes;
use kv_vfs::{Access, File, FileId, Lock, Result, Space, Vfs};

use super::{Event, Fault, Kind, control::Control, copy_directory};

/// A [`Vfs`] around another one, for tests. It records operations, fails on demand, and answers
/// [`random`](Vfs::random) from a seed, so that two runs write the same bytes.
///
/// Files and directories opened through it, at any depth, share its control.
///
/// ```
/// use kv_testkit::vfs::{Fault, Kind, TestVfs};
/// use kv_vfs::{OsVfs, Vfs};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let vfs = TestVfs::new(OsVfs::open(directory.path())?);
/// let file = vfs.create("a")?;
/// file.write_all_at(b"hello", 0)?;
/// vfs.fail(Fault::on(Kind::Sync));
/// assert!(file.sync_data().is_err());
/// assert!(file.sync_data().is_ok());
/// assert_eq!(vfs.take_trace(), "create a\nwrite a 0+5\nsync a failed\nsync a\n");
/// # Ok::<(), kv_vfs::Error>(())
/// ```
#[derive(Debug)]
pub struct TestVfs {
    inner: Arc<dyn Vfs>,
    /// The path from the top directory, with a trailing slash; empty at the top.
    prefix: String,
    control: Arc<Control>,
}

impl TestVfs {
    /// Wraps `inner`, without faults.
    pub fn new(inner: Arc<dyn Vfs>) -> Arc<Self> {
        Self::with_seed(inner, 0)
    }

    /// Like [`new`](TestVfs::new), with other random numbers.
    pub fn with_seed(inner: Arc<dyn Vfs>, seed: u64) -> Arc<Self> {
        Arc::new(Self { inner, prefix: String::new(), control: Arc::new(Control::with_seed(seed)) })
    }

    /// Wraps `inner`, which also gives the random numbers. `call` is called before each operation,
    /// in the same thread and without a lock: to do something at that moment, or to wait.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use kv_testkit::vfs::TestVfs;
    /// use kv_vfs::{OsVfs, Vfs};
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let vfs = TestVfs::before(OsVfs::open(directory.path())?, {
    ///     let seen = Arc::clone(&seen);
    ///     move |event| seen.lock().unwrap().push(event.to_string())
    /// })?;
    /// vfs.create("a")?;
    /// vfs.sync_directory()?;
    /// assert_eq!(*seen.lock().unwrap(), ["create a", "sync directory"]);
    /// # Ok::<(), kv_vfs::Error>(())
    /// ```
    pub fn before(inner: Arc<dyn Vfs>, call: impl Fn(&Event) + Send + Sync + 'static) -> Result<Arc<Self>> {
        let control = Control::with_seed(inner.random()? as u64).calling(Box::new(call));
        Ok(Arc::new(Self { inner, prefix: String::new(), control: Arc::new(control) }))
    }

    /// Adds a fault.
    pub fn fail(&self, fault: Fault) {
        self.control.fail(fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.control.heal();
    }

    /// How many operations have failed because of a fault. A loop that makes the n-th operation
    /// fail, for each n, ends when a run causes no failure.
    pub fn failures(&self) -> u64 {
        self.control.failures()
    }

    /// How many operations of a kind there were, including failed ones.
    pub fn count(&self, kind: Kind) -> u64 {
        self.control.count(kind)
    }

    /// The operations that changed the disk since the last call, in order, one line each. See
    /// [`Kind::changes`].
    pub fn take_trace(&self) -> String {
        self.control.take_trace()
    }

    /// Copies the directory to `to`, which must not exist, while every operation waits. The copy is
    /// what a process killed at this instant leaves. Only for a `Vfs` over files of the operating
    /// system.
    pub fn image(&self, to: impl AsRef<Path>) -> io::Result<()> {
        self.control.while_halted(|| copy_directory(self.inner.path(), to))
    }

    fn directory(&self, name: &str, inner: Arc<dyn Vfs>) -> Arc<dyn Vfs> {
        let prefix = format!("{}{name}/", self.prefix);
        Arc::new(Self { inner, prefix, control: Arc::clone(&self.control) })
    }

    fn file(&self, name: &str, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(TestFile { inner, path: self.path_of(name), control: Arc::clone(&self.control) })
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn named(&self, kind: Kind, name: &str) -> Event {
        Event::new(kind, self.path_of(name))
    }

    fn itself(&self, kind: Kind) -> Event {
        Event::new(kind, self.prefix.trim_end_matches('/').to_owned())
    }
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Vfs for TestVfs {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        let run = || self.inner.open(name, access);
        self.control.run(&self.named(Kind::Open, name), self.path(), run).map(|file| self.file(name, file))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let run = || self.inner.create(name);
        self.control.run(&self.named(Kind::Create, name), self.path(), run).map(|file| self.file(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let event = Event { to: self.path_of(to), ..self.named(Kind::Rename, from) };
        self.control.run(&event, self.path(), || self.inner.rename(from, to))
    }

    /// Links to a directory of another `TestVfs`, too, if the wrapped ones can link.
    fn link(&self, name: &str, to: &dyn Vfs, new_name: &str) -> Result<()> {
        let wrapped = (to as &dyn Any).downcast_ref::<Self>();
        let event = Event {
            to: wrapped.map_or_else(|| new_name.to_owned(), |to| to.path_of(new_name)),
            ..self.named(Kind::Link, name)
        };
        let to = wrapped.map_or(to, |to| &*to.inner);
        self.control.run(&event, self.path(), || self.inner.link(name, to, new_name))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.control.run(&self.named(Kind::Remove, name), self.path(), || self.inner.remove(name))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.control.run(&self.itself(Kind::List), self.path(), || self.inner.list())
    }

    fn sync_directory(&self) -> Result<()> {
        self.control.run(&self.itself(Kind::SyncDirectory), self.path(), || self.inner.sync_directory())
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        let run = || self.inner.open_directory(name);
        self.control.run(&self.named(Kind::OpenDirectory, name), self.path(), run).map(|vfs| self.directory(name, vfs))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        let event = self.named(Kind::CreateDirectory, name);
        let run = || self.inner.create_directory(name);
        self.control.run(&event, self.path(), run).map(|vfs| self.directory(name, vfs))
    }

    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>> {
        self.control.run(&self.named(Kind::Lock, name), self.path(), || self.inner.try_lock(name, access))
    }

    fn lock_holder(&self, name: &str) -> Option<u32> {
        self.inner.lock_holder(name)
    }

    fn is_in_place(&self) -> bool {
        self.inner.is_in_place()
    }

    fn request_overwriting_in_place(&self) {
        self.inner.request_overwriting_in_place();
    }

    fn space(&self) -> Result<Space> {
        self.inner.space()
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes()
    }

    fn random(&self) -> Result<u128> {
        self.control.run(&self.itself(Kind::Random), self.path(), || Ok(self.control.random()))
    }
}

/// Does not forward the provided methods of [`File`] that call other methods here, so that each
/// operation is recorded.
#[derive(Debug)]
struct TestFile {
    inner: Arc<dyn File>,
    path: String,
    control: Arc<Control>,
}

impl TestFile {
    fn run<T>(&self, kind: Kind, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.control.run(&Event::new(kind, self.path.clone()), self.path(), run)
    }

    fn at(&self, kind: Kind, offset: u64, bytes: usize) -> Event {
        Event { offset, bytes, ..Event::new(kind, self.path.clone()) }
    }

    /// Runs a write of `bytes`, of which a fault may leave the first half.
    fn run_or_tear<T>(&self, bytes: &[u8], offset: u64, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let event = self.at(Kind::Write, offset, bytes.len());
        let tear = || self.inner.write_all_at(&bytes[..bytes.len() / 2], offset);
        self.control.run_or_tear(&event, self.path(), run, tear)
    }
}

impl File for TestFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let event = self.at(Kind::Read, offset, buffer.len());
        self.control.run(&event, self.path(), || self.inner.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.run_or_tear(bytes, offset, || self.inner.write_at(bytes, offset))
    }

    fn copy_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.run_or_tear(bytes, offset, || self.inner.copy_at(bytes, offset))
    }

    fn is_overwritten_in_place(&self) -> bool {
        self.inner.is_overwritten_in_place()
    }

    fn has_holes(&self) -> Result<bool> {
        self.run(Kind::Len, || self.inner.has_holes())
    }

    fn sync_data(&self) -> Result<()> {
        self.run(Kind::Sync, || self.inner.sync_data())
    }

    fn drop_cache(&self) -> Result<()> {
        self.run(Kind::DropCache, || self.inner.drop_cache())
    }

    fn len(&self) -> Result<u64> {
        self.run(Kind::Len, || self.inner.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.control.run(&self.at(Kind::SetLen, len, 0), self.path(), || self.inner.set_len(len))
    }

    fn identity(&self) -> Result<Option<FileId>> {
        self.inner.identity()
    }

    fn map(&self) -> Result<Bytes> {
        self.run(Kind::Map, || self.inner.map())
    }
}
