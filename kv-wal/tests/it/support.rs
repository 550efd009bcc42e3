//! What the tests share: a directory for a log, and ways to fill one.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use kv_core::{
    Durability, Error, Log, Lsn, Result,
    background::{Job, Next, Scheduler, Wake},
};
use kv_vfs::{OsVfs, Vfs};
use kv_wal::{Options, SegmentedLog};

/// A scheduler that runs a job at once, in the thread that wakes it, so that tests do not depend on
/// timing.
pub struct Inline;

struct InlineJob(Mutex<Box<dyn Job>>);

impl Scheduler for Inline {
    fn spawn(&self, _name: &'static str, job: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(InlineJob(Mutex::new(job))))
    }
}

impl Wake for InlineJob {
    fn wake(&self) -> Result<()> {
        let Next::WhenWoken = self.0.lock().unwrap().run() else { panic!("asked to come back") };
        Ok(())
    }
}

/// Segments of 16 KiB, with spares prepared at once.
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

/// The record that tests append at a position: its bytes and its length follow from it.
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

/// Checks that the log holds exactly the records that tests append at `trimmed + 1 ..= last`.
pub fn assert_holds(log: &SegmentedLog, last: u64) {
    let records = read_all(log).unwrap();
    let trimmed = log.bounds().trimmed.0;
    assert_eq!(records.len() as u64, last - trimmed, "records after {trimmed}, up to {last}");
    for (at, (lsn, bytes)) in records.iter().enumerate() {
        assert_eq!(*lsn, trimmed + 1 + at as u64);
        assert!(*bytes == record(*lsn), "record {lsn} has other bytes");
    }
}

/// Whether the error says that something is damaged.
pub fn is_corrupt(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. })
}
