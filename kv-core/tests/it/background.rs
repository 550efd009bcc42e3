//! Background work, run step by step.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kv_core::{
    Changes, Checkpoint, CheckpointId, Checkpointer, Crash, Durability, Error, MemoryLog, Result, Store, StoreOptions,
    background::Next,
};
use kv_testkit::ManualScheduler;

use crate::support::Media;

fn manual() -> (ManualScheduler, StoreOptions) {
    let scheduler = ManualScheduler::new();
    let options = StoreOptions { scheduler: Arc::new(scheduler.clone()), ..StoreOptions::default() };
    (scheduler, options)
}

#[test]
fn a_process_write_is_flushed_after_the_interval() {
    let media = Media::default();
    let (scheduler, options) = manual();
    let store = media.open_with(StoreOptions { flush_interval: Duration::from_millis(7), ..options }).unwrap();
    let a = store.collection("a").unwrap().with_durability(Durability::Process);
    assert_eq!(scheduler.run_woken(), 0, "an idle store does nothing");

    a.put("1", "v").unwrap();
    a.put("2", "v").unwrap();
    assert_eq!(scheduler.run("kv-flush"), Some(Next::After(Duration::from_millis(7))));
    assert_eq!(scheduler.run("kv-flush"), Some(Next::WhenWoken));
    assert!(scheduler.run("kv-merge").is_some(), "the first write of an opening asks for merging");
    let cut = media.after(Crash::PowerCut).open().unwrap();
    assert_eq!(cut.collection("a").unwrap().len().unwrap(), 2);
    assert_eq!(scheduler.run_woken(), 0, "both writes shared a flush");

    a.put("3", "v").unwrap();
    assert_eq!(scheduler.run_woken(), 1, "the next write requests a flush again");
}

#[test]
fn a_checkpoint_is_made_when_enough_records_were_logged() {
    let media = Media::default();
    let (scheduler, options) = manual();
    let options = StoreOptions { checkpoint_record_bytes: 1000, ..options };
    let store = media.open_with(options.clone()).unwrap();
    let a = store.collection("a").unwrap();
    a.put("k", "small").unwrap();
    scheduler.run_woken();
    assert_eq!(store.stats().checkpoint, None);
    a.put("k", vec![0; 1000]).unwrap();
    scheduler.run_woken();
    let first = store.stats().checkpoint;
    assert!(first.is_some());
    a.put("k", "small").unwrap();
    scheduler.run_woken();
    assert_eq!(store.stats().checkpoint, first, "the count starts at the last checkpoint");

    a.put("k", vec![0; 900]).unwrap();
    let replays_much = media.after(Crash::Killed);
    let (scheduler, options) = manual();
    let store = replays_much.open_with(StoreOptions { checkpoint_record_bytes: 1000, ..options }).unwrap();
    assert_eq!(scheduler.run_woken(), 0, "opening writes nothing");
    store.collection("a").unwrap().put("k", vec![0; 100]).unwrap();
    scheduler.run_woken();
    assert_ne!(store.stats().checkpoint, first, "replayed records count, too");
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_not_tried_at_each_write() {
    let (scheduler, options) = manual();
    let checkpointer = Arc::new(FullCheckpointer::default());
    let options = StoreOptions { checkpoint_record_bytes: 10_000, slow_thresholds: 99, wait_thresholds: 99, ..options };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::clone(&checkpointer) as _, options).unwrap();
    let a = store.collection("a").unwrap();
    for n in 0..1000_u32 {
        a.put(n.to_le_bytes(), [0; 70]).unwrap(); // about 200 bytes of memory
        scheduler.run_woken();
    }
    let attempts = checkpointer.attempts.load(Ordering::Relaxed);
    assert!((10..=25).contains(&attempts), "{attempts} attempts for 200 kB");
    assert_eq!(a.len().unwrap(), 1000);
}

/// A checkpointer without space for a checkpoint.
#[derive(Default)]
struct FullCheckpointer {
    attempts: AtomicU64,
}

impl Checkpointer for FullCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        Ok(Vec::new())
    }

    fn open(&self, _: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        Err(Error::Misuse("there is none".into()))
    }

    fn write(&self, _: Option<CheckpointId>, _: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        Err(Error::from_io("write to", "a full disk", std::io::ErrorKind::StorageFull.into()))
    }

    fn remove(&self, _: CheckpointId) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_checkpoint_is_made_when_the_log_takes_too_much_of_its_medium() {
    let media = Media::default();
    let (scheduler, options) = manual();
    let store = media.open_with(StoreOptions { checkpoint_medium_bytes: 10_000, ..options }).unwrap();
    let a = store.collection("a").unwrap();
    for key in 0..1000_u32 {
        a.put(key.to_le_bytes(), "value").unwrap();
    }
    scheduler.run_woken();
    assert!(store.stats().checkpoint.is_some());
}

#[test]
fn a_checkpoint_that_failed_in_the_background_is_made_again_later() {
    let media = Media::default();
    let (scheduler, options) = manual();
    let store = media.open_with(StoreOptions { checkpoint_record_bytes: 1000, ..options }).unwrap();
    let a = store.collection("a").unwrap();
    media.checkpoints.fail_next_write();
    a.put("k", vec![0; 1000]).unwrap();
    scheduler.run_woken();
    assert_eq!(store.stats().checkpoint, None);
    assert!(store.stats().checkpoint_error.is_some());
    a.put("k2", vec![0; 1000]).unwrap();
    scheduler.run_woken();
    assert_eq!(store.stats().checkpoint_error, None);
    assert_eq!(store.stats().checkpoint_size.entries, 3);
}

#[test]
fn dropping_the_last_handle_ends_the_jobs_and_leaves_the_log_clean() {
    let media = Media::default();
    let store = media.open().unwrap();
    let a = store.collection("a").unwrap().with_durability(Durability::Process);
    a.put("k", "v").unwrap();
    drop(store);
    assert!(media.open().is_err(), "the handle of a collection keeps the store open");
    drop(a);
    let cut = media.after(Crash::PowerCut).open().unwrap();
    assert_eq!(cut.collection("a").unwrap().len().unwrap(), 1);
    media.open().unwrap();
}
