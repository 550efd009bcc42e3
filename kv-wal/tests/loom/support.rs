//! What the tests share: a log on a medium.

use std::sync::Arc;

use kv_core::{Durability, Log, Lsn, Result};
use kv_testkit::ManualScheduler;
use kv_wal::{Options, SegmentedLog};

use crate::medium::Medium;

/// A log and its medium.
#[derive(Clone)]
pub struct Subject {
    pub log: Arc<SegmentedLog>,
    pub medium: Arc<Medium>,
    /// Prepares the next segment when the test tells it to.
    pub scheduler: ManualScheduler,
}

impl Subject {
    /// A log with one durable record, at position 1, in a segment that has room for all that a test
    /// appends.
    pub fn new() -> Self {
        Self::with_segments_of(64 << 10)
    }

    pub fn with_segments_of(bytes: u64) -> Self {
        let (medium, scheduler) = (Medium::new(), ManualScheduler::new());
        let options = Options {
            segment_bytes_min: bytes,
            segment_bytes_max: bytes,
            scheduler: Arc::new(scheduler.clone()),
            ..Options::default()
        };
        let log = Arc::new(SegmentedLog::open(medium.clone(), options).unwrap());
        let subject = Self { log, medium, scheduler };
        subject.append_and_sync("first").unwrap();
        subject
    }

    /// Appends a record with [`Durability::Disk`], waits until it is durable, and checks that it
    /// is.
    pub fn append_and_sync(&self, record: &str) -> Result<Lsn> {
        let lsn = self.log.append(record.as_bytes(), Durability::Disk)?;
        self.sync(lsn, record).map(|()| lsn)
    }

    /// Waits until the record at `lsn` is durable, and checks that it is.
    pub fn sync(&self, lsn: Lsn, record: &str) -> Result<()> {
        let durable = self.log.sync(lsn)?;
        assert!(durable >= lsn, "acknowledged up to {durable}, and {lsn} was asked for");
        assert!(self.medium.has_synced(record.as_bytes()), "{record} is acknowledged and not durable");
        Ok(())
    }

    /// Runs `run` in a thread of loom's model.
    pub fn spawn<T: 'static>(&self, run: impl FnOnce(&Self) -> T + 'static) -> loom::thread::JoinHandle<T> {
        let subject = self.clone();
        loom::thread::spawn(move || run(&subject))
    }
}
