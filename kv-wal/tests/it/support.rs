//! What the tests share: disks that repeat themselves, count and fail, and ways to fill a log.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use kv_core::{
    Durability, Error, Log, Lsn, Result,
    background::{Job, Next, Scheduler, Wake},
};
use kv_vfs::{Access, File, Lock, OsVfs, Vfs};
use kv_wal::{Options, SegmentedLog};

/// A scheduler that runs a job at once, in the thread that wakes it: what happens does not depend on timing.
pub struct Inline;

struct InlineJob(Mutex<Box<dyn Job>>);

impl Scheduler for Inline {
    fn spawn(&self, _name: &'static str, job: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(InlineJob(Mutex::new(job))))
    }
}

impl Wake for InlineJob {
    fn wake(&self) {
        let Next::WhenWoken = self.0.lock().unwrap().run() else { panic!("asked to come back") };
    }
}

/// Segments of 16 KiB and spares made at once.
pub fn small() -> Options {
    Options { segment_bytes_max: 16 << 10, scheduler: Arc::new(Inline), ..Options::default() }
}

/// A directory on the operating system's disk.
pub struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn vfs(&self) -> Arc<dyn Vfs> {
        OsVfs::open(self.path()).unwrap()
    }

    pub fn open(&self) -> Result<SegmentedLog> {
        self.open_with(small())
    }

    pub fn open_with(&self, options: Options) -> Result<SegmentedLog> {
        SegmentedLog::open(self.vfs(), options)
    }

    /// The files as a killed process would leave them now.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy.restore(&self.files());
        copy
    }

    /// Name and content of every file.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    /// Makes the directory hold exactly these files.
    pub fn restore(&self, files: &[(String, Vec<u8>)]) {
        for entry in fs::read_dir(self.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in files {
            fs::write(self.path().join(name), bytes).unwrap();
        }
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn segments(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".wal")).collect()
    }

    pub fn dump(&self) -> String {
        let mut text = Vec::new();
        kv_wal::dump(&*self.vfs(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

/// The record that tests put at a position: its bytes and its length follow from it.
pub fn record(lsn: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(lsn);
    let len = rng.usize(0..100);
    let mut bytes = format!("record {lsn} ").into_bytes();
    bytes.extend((0..len).map(|_| rng.u8(..)));
    bytes
}

/// Appends the next `count` records.
pub fn append(log: &SegmentedLog, count: u64, durability: Durability) -> Lsn {
    let mut last = log.bounds().appended;
    for _ in 0..count {
        let lsn = log.append(&record(last.0 + 1), durability).unwrap();
        assert_eq!(lsn, last.next());
        last = lsn;
    }
    last
}

pub fn append_and_sync(log: &SegmentedLog, count: u64) -> Lsn {
    let last = append(log, count, Durability::Disk);
    assert!(log.sync(last).unwrap() >= last);
    last
}

/// Every record that can be read, with its position.
pub fn read_all(log: &SegmentedLog) -> Result<Vec<(u64, Vec<u8>)>> {
    read_after(log, log.bounds().trimmed)
}

pub fn read_after(log: &SegmentedLog, after: Lsn) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut reader = log.reader(after)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push((record.lsn.0, record.payload.to_vec()));
    }
    Ok(records)
}

/// Checks that the log holds exactly the records that tests put at `trimmed + 1 ..= last`.
pub fn assert_holds(log: &SegmentedLog, last: u64) {
    let records = read_all(log).unwrap();
    let trimmed = log.bounds().trimmed.0;
    assert_eq!(records.len() as u64, last - trimmed, "records after {trimmed}, up to {last}");
    for (at, (lsn, bytes)) in records.iter().enumerate() {
        assert_eq!(*lsn, trimmed + 1 + at as u64);
        assert!(*bytes == record(*lsn), "record {lsn} has other bytes");
    }
}

/// What a [`TestVfs`] was asked for, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Create(String),
    Write(String),
    Sync(String),
    SetLen(String),
    Rename(String),
    Remove(String),
    SyncDirectory,
}

/// A disk that writes down what changes it, fails on request, and whose random numbers repeat.
#[derive(Debug)]
pub struct TestVfs {
    inner: Arc<dyn Vfs>,
    journal: Arc<Journal>,
    random: AtomicU64,
}

#[derive(Debug, Default)]
struct Journal {
    operations: Mutex<Vec<Operation>>,
    fault: Mutex<Option<Fault>>,
    /// There is no space for another file.
    full: AtomicBool,
}

/// When an operation fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// How many operations succeed before.
    pub after: u64,
    pub kind: io::ErrorKind,
    /// All that follow fail too.
    pub persistent: bool,
}

impl TestVfs {
    pub fn new(inner: Arc<dyn Vfs>) -> Arc<Self> {
        Arc::new(Self { inner, journal: Arc::default(), random: AtomicU64::new(0) })
    }

    /// Fails an operation that changes something.
    pub fn fail(&self, fault: Fault) {
        *self.journal.fault.lock().unwrap() = Some(fault);
    }

    /// Fails nothing any more; true if something had failed.
    pub fn heal(&self) -> bool {
        self.journal.fault.lock().unwrap().take().is_none_or(|fault| fault.after == 0)
    }

    /// Has every creation of a file fail for want of space, or not any more.
    pub fn refuse_creation(&self, full: bool) {
        self.journal.full.store(full, Ordering::SeqCst);
    }

    /// What was done since the last call.
    pub fn take_operations(&self) -> Vec<Operation> {
        std::mem::take(&mut self.journal.operations.lock().unwrap())
    }

    fn file(&self, name: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(TestFile { inner: file, name: Mutex::new(name.to_owned()), journal: Arc::clone(&self.journal) })
    }
}

impl Journal {
    fn note(&self, operation: Operation, path: &Path) -> kv_vfs::Result<()> {
        let mut fault = self.fault.lock().unwrap();
        match &mut *fault {
            Some(Fault { after: 0, kind, persistent }) => {
                let error = kv_vfs::Error::new("pretend to change", path, *kind);
                if !*persistent {
                    *fault = None;
                }
                return Err(error);
            }
            Some(fault) => fault.after -= 1,
            None => {}
        }
        self.operations.lock().unwrap().push(operation);
        Ok(())
    }
}

impl Vfs for TestVfs {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> kv_vfs::Result<Arc<dyn File>> {
        self.inner.open(name, access).map(|file| self.file(name, file))
    }

    fn create(&self, name: &str) -> kv_vfs::Result<Arc<dyn File>> {
        if self.journal.full.load(Ordering::SeqCst) {
            return Err(kv_vfs::Error::new("create", self.path(), io::ErrorKind::StorageFull));
        }
        self.journal.note(Operation::Create(name.to_owned()), self.path())?;
        self.inner.create(name).map(|file| self.file(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> kv_vfs::Result<()> {
        self.journal.note(Operation::Rename(to.to_owned()), self.path())?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> kv_vfs::Result<()> {
        self.journal.note(Operation::Remove(name.to_owned()), self.path())?;
        self.inner.remove(name)
    }

    fn list(&self) -> kv_vfs::Result<Vec<String>> {
        self.inner.list()
    }

    fn sync_directory(&self) -> kv_vfs::Result<()> {
        self.journal.note(Operation::SyncDirectory, self.path())?;
        self.inner.sync_directory()
    }

    fn open_directory(&self, name: &str) -> kv_vfs::Result<Arc<dyn Vfs>> {
        self.inner.open_directory(name)
    }

    fn create_directory(&self, name: &str) -> kv_vfs::Result<Arc<dyn Vfs>> {
        self.inner.create_directory(name)
    }

    fn try_lock(&self, name: &str) -> kv_vfs::Result<Option<Lock>> {
        self.inner.try_lock(name)
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes()
    }

    fn random(&self) -> kv_vfs::Result<u128> {
        Ok(u128::from(self.random.fetch_add(1, Ordering::SeqCst) + 1) * 0x1111)
    }
}

#[derive(Debug)]
struct TestFile {
    inner: Arc<dyn File>,
    name: Mutex<String>,
    journal: Arc<Journal>,
}

impl TestFile {
    fn note(&self, operation: fn(String) -> Operation) -> kv_vfs::Result<()> {
        self.journal.note(operation(self.name.lock().unwrap().clone()), self.inner.path())
    }
}

impl File for TestFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> kv_vfs::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> kv_vfs::Result<usize> {
        self.note(Operation::Write)?;
        self.inner.write_at(bytes, offset)
    }

    fn sync_data(&self) -> kv_vfs::Result<()> {
        self.note(Operation::Sync)?;
        self.inner.sync_data()
    }

    fn drop_cache(&self) -> kv_vfs::Result<()> {
        self.inner.drop_cache()
    }

    fn len(&self) -> kv_vfs::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> kv_vfs::Result<()> {
        self.note(Operation::SetLen)?;
        self.inner.set_len(len)
    }

    fn map(&self) -> kv_vfs::Result<Bytes> {
        self.inner.map()
    }
}

/// Whether the error says that something is damaged.
pub fn is_corrupt(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. })
}
