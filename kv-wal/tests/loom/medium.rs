//! A disk in memory whose operations are steps of loom's model. It knows which bytes were handed to
//! it and which were synced, fails on demand, and checks that only one thread at a time flushes the
//! log.

use std::{
    collections::BTreeMap,
    io,
    panic::resume_unwind,
    path::Path,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard as StdMutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use kv_vfs::{Access, Error, File, Lock, Result, Vfs};
use loom::sync::Mutex;

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write to a segment fails.
    Write,
    /// A sync of a segment fails.
    Sync,
    /// A sync of a segment panics.
    SyncPanics,
    /// No file can be created.
    Create,
}

/// One directory. Its own locks are those of the standard library: loom never switches threads
/// while one is held.
#[derive(Debug)]
pub struct Medium {
    files: StdMutex<BTreeMap<String, Arc<Inode>>>,
    shared: Arc<Shared>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    /// What loom sees of the disk: each write and each sync takes this lock for a moment.
    turn: Mutex<()>,
    flushes: StdMutex<Flushes>,
    fault: StdMutex<Option<Fault>>,
}

/// Syncs of segments of the log.
#[derive(Debug, Default)]
struct Flushes {
    begun: usize,
    ended: usize,
}

#[derive(Debug, Default)]
struct Inode {
    bytes: StdMutex<Vec<u8>>,
    writes: StdMutex<Writes>,
}

/// The bytes of each write since the file was created, zeroes left out.
#[derive(Debug, Default)]
struct Writes {
    all: Vec<Vec<u8>>,
    /// How many of them were synced.
    synced: usize,
}

fn lock<T>(mutex: &StdMutex<T>) -> StdMutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Medium {
    pub fn new() -> Arc<Self> {
        let shared = Shared { turn: Mutex::new(()), flushes: StdMutex::default(), fault: StdMutex::default() };
        Arc::new(Self { files: StdMutex::default(), shared: Arc::new(shared), numbers: AtomicU64::new(1) })
    }

    /// Makes the next operation fail to which the fault applies.
    pub fn fail(&self, fault: Fault) {
        *lock(&self.shared.fault) = Some(fault);
    }

    /// Whether the planned failure has happened.
    pub fn has_failed(&self) -> bool {
        lock(&self.shared.fault).is_none()
    }

    /// How often segments of the log were synced.
    pub fn flushes(&self) -> usize {
        lock(&self.shared.flushes).ended
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        lock(&self.files).keys().filter(|name| name.ends_with(".wal")).count()
    }

    /// Whether these bytes were handed to the disk.
    pub fn has_written(&self, bytes: &[u8]) -> bool {
        self.any_file(|writes| contain(&writes.all, bytes))
    }

    /// What a killed process would leave now: everything that was handed over.
    pub fn after_kill(&self) -> Arc<Self> {
        let copy = Self::new();
        for (name, inode) in &*lock(&self.files) {
            let bytes = StdMutex::new(lock(&inode.bytes).clone());
            lock(&copy.files).insert(name.clone(), Arc::new(Inode { bytes, writes: StdMutex::default() }));
        }
        copy
    }

    /// Whether these bytes were synced.
    pub fn has_synced(&self, bytes: &[u8]) -> bool {
        self.any_file(|writes| contain(&writes.all[..writes.synced], bytes))
    }

    fn any_file(&self, holds: impl Fn(&Writes) -> bool) -> bool {
        lock(&self.files).values().any(|inode| holds(&lock(&inode.writes)))
    }

    fn handle(&self, name: &str, inode: &Arc<Inode>) -> Arc<dyn File> {
        let is_log = name.ends_with(".wal");
        Arc::new(Handle { inode: Arc::clone(inode), shared: Arc::clone(&self.shared), is_log })
    }
}

fn contain(writes: &[Vec<u8>], bytes: &[u8]) -> bool {
    writes.iter().any(|write| write.windows(bytes.len()).any(|window| window == bytes))
}

fn error(operation: &'static str, kind: io::ErrorKind) -> Error {
    Error::new(operation, "medium", kind)
}

impl Shared {
    /// A step before which loom may let other threads run.
    fn step(&self) {
        drop(self.turn.lock().unwrap());
    }

    fn fails(&self, fault: Fault) -> bool {
        let mut planned = lock(&self.fault);
        let fails = *planned == Some(fault);
        if fails {
            *planned = None;
        }
        fails
    }
}

impl Vfs for Medium {
    fn path(&self) -> &Path {
        Path::new("medium")
    }

    fn open(&self, name: &str, _access: Access) -> Result<Arc<dyn File>> {
        let files = lock(&self.files);
        let inode = files.get(name).ok_or_else(|| error("open", io::ErrorKind::NotFound))?;
        Ok(self.handle(name, inode))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.shared.step();
        if self.shared.fails(Fault::Create) {
            return Err(error("create", io::ErrorKind::StorageFull));
        }
        let mut files = lock(&self.files);
        if files.contains_key(name) {
            return Err(error("create", io::ErrorKind::AlreadyExists));
        }
        let inode = Arc::default();
        files.insert(name.to_owned(), Arc::clone(&inode));
        Ok(self.handle(name, &inode))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut files = lock(&self.files);
        let inode = files.remove(from).ok_or_else(|| error("rename", io::ErrorKind::NotFound))?;
        files.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        lock(&self.files).remove(name).map(drop).ok_or_else(|| error("remove", io::ErrorKind::NotFound))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(lock(&self.files).keys().cloned().collect())
    }

    fn sync_directory(&self) -> Result<()> {
        Ok(())
    }

    fn open_directory(&self, _name: &str) -> Result<Arc<dyn Vfs>> {
        Err(error("open directory", io::ErrorKind::Unsupported))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.open_directory(name)
    }

    fn is_in_place(&self) -> bool {
        true
    }

    fn try_lock(&self, _name: &str, _access: Access) -> Result<Option<Lock>> {
        Ok(Some(Lock::new(())))
    }

    fn block_bytes(&self) -> u32 {
        4096
    }

    fn random(&self) -> Result<u128> {
        Ok(u128::from(self.numbers.fetch_add(1, Ordering::Relaxed)))
    }
}

#[derive(Debug)]
struct Handle {
    inode: Arc<Inode>,
    shared: Arc<Shared>,
    /// Whether the file is a segment of the log, rather than the mark or a segment that is still
    /// being prepared.
    is_log: bool,
}

impl File for Handle {
    fn path(&self) -> &Path {
        Path::new("medium/file")
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let bytes = lock(&self.inode.bytes);
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.shared.step();
        if self.is_log && self.shared.fails(Fault::Write) {
            return Err(error("write to", io::ErrorKind::Other));
        }
        let mut file = lock(&self.inode.bytes);
        let end = offset as usize + bytes.len();
        let len = file.len().max(end);
        file.resize(len, 0);
        file[offset as usize..end].copy_from_slice(bytes);
        lock(&self.inode.writes).all.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        let mut file = lock(&self.inode.bytes);
        let end = file.len().max((offset + len) as usize);
        file.resize(end, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.shared.step();
        let written = lock(&self.inode.writes).all.len();
        if self.is_log {
            let mut flushes = lock(&self.shared.flushes);
            assert_eq!(flushes.begun, flushes.ended, "two flushes at once");
            flushes.begun += 1;
        }
        self.shared.step();
        if self.is_log {
            lock(&self.shared.flushes).ended += 1;
            if self.shared.fails(Fault::SyncPanics) {
                resume_unwind(Box::new("the planned panic of the disk")); // prints no message
            }
            if self.shared.fails(Fault::Sync) {
                return Err(error("sync", io::ErrorKind::Other));
            }
        }
        let mut writes = lock(&self.inode.writes);
        writes.synced = writes.synced.max(written);
        Ok(())
    }

    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(lock(&self.inode.bytes).len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        lock(&self.inode.bytes).resize(len as usize, 0);
        Ok(())
    }

    fn map(&self) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(&lock(&self.inode.bytes)))
    }
}
