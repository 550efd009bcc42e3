//! A log of others that makes room, and leaves everything else about room to the defaults.

use std::sync::{Arc, Mutex};

use kv_core::{LogReader, MemoryCheckpointer};
use kv_store::{Bounds, Durability, Log, LogId, LogOptions, Lsn, Result, Store, StoreOptions};
use kv_testkit::{ManualScheduler, sim::SimDisk};
use kv_wal::SegmentedLog;

use crate::support::{MIB, disk_of};

#[derive(Clone)]
struct PlainLog {
    log: Arc<SegmentedLog>,
    /// What it was told to keep, again and again.
    kept: Arc<Mutex<Vec<u64>>>,
}

impl Log for PlainLog {
    fn id(&self) -> LogId {
        self.log.id()
    }

    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.kept.lock().unwrap().push(kept_bytes);
        self.log.make_room(record_bytes, kept_bytes)
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.log.append(record, durability)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.log.sync(upto)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.log.reader(after)
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.log.trim(upto)
    }

    fn bounds(&self) -> Bounds {
        self.log.bounds()
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.log.medium_bytes_after(after)
    }

    fn close(&self) -> Result<()> {
        self.log.close()
    }
}

/// A store whose checkpoints are made by call.
fn open(disk: &SimDisk) -> (Store, PlainLog) {
    let log = LogOptions { scheduler: Arc::new(ManualScheduler::new()), ..LogOptions::default() };
    let log = PlainLog { log: Arc::new(SegmentedLog::open(disk.vfs(), log).unwrap()), kept: Arc::default() };
    let options = StoreOptions {
        scheduler: Arc::new(ManualScheduler::new()),
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        ..StoreOptions::default()
    };
    let store = Store::with_backends(Arc::new(log.clone()), Arc::new(MemoryCheckpointer::new()), options).unwrap();
    (store, log)
}

#[test]
fn deletions_go_on_when_other_files_take_what_is_free() {
    let disk = disk_of(16 * MIB);
    let (store, _log) = open(&disk);
    let collection = store.collection("c").unwrap();
    for n in 0..4000_u64 {
        collection.with_durability(Durability::Process).put(n.to_be_bytes(), [7; 1000]).unwrap();
    }
    disk.limit_space(disk.space_bytes());
    for n in 0..4000_u64 {
        if let Err(error) = collection.delete(n.to_be_bytes()) {
            panic!("delete {n}: {}; {}", error.chain(), store.stats());
        }
    }
}

/// Each change may cost the log a look at the disk.
#[test]
fn what_the_log_keeps_changes_seldom_though_records_differ_in_length() {
    let (store, log) = open(&disk_of(64 * MIB));
    let collection = store.collection("c").unwrap().with_durability(Durability::Process);
    for n in 0..4000_u64 {
        collection.put(n.to_be_bytes(), vec![7; if n % 2 == 0 { 10 } else { 3000 }]).unwrap();
    }
    let kept = log.kept.lock().unwrap();
    let changes = kept.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(kept.len() >= 4000 && changes < 100, "{changes} changes in {} calls", kept.len());
}
