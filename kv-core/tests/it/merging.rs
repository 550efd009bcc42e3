//! Merging beside checkpoints: what the store installs, and what it removes.

use std::{
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use kv_core::{
    Changes, Checkpoint, CheckpointId, Checkpointer, CollectionId, Effort, Error, Lsn, MemoryCheckpointer, MemoryLog,
    Result, Store, StoreOptions,
};
use kv_testkit::ManualScheduler;

use crate::support::entries;

/// A checkpointer whose merge gives what the test has put there, and whose damage is up to the
/// test.
#[derive(Default)]
struct Scripted {
    inner: MemoryCheckpointer,
    merged: Mutex<Option<Arc<dyn Checkpoint>>>,
    efforts: Mutex<Vec<Effort>>,
    is_damaged: AtomicBool,
}

impl Checkpointer for Scripted {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        self.inner.list()
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.inner.open(id)
    }

    fn damage(&self) -> Option<Arc<Error>> {
        let is_damaged = self.is_damaged.load(Ordering::SeqCst);
        is_damaged.then(|| Arc::new(Error::corrupt_whole("a part", "a test damaged it")))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        self.inner.write(previous, changes)
    }

    fn maintain(&self, effort: Effort, _: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        self.efforts.lock().unwrap().push(effort);
        Ok(self.merged.lock().unwrap().take())
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        self.inner.remove(id)
    }
}

fn opened() -> (Arc<Scripted>, ManualScheduler, Store) {
    let (checkpointer, scheduler) = (Arc::<Scripted>::default(), ManualScheduler::new());
    let options = StoreOptions { scheduler: Arc::new(scheduler.clone()), ..StoreOptions::default() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), options).unwrap();
    (checkpointer, scheduler, store)
}

#[test]
fn a_merge_that_comes_after_a_newer_checkpoint_replaces_nothing() {
    let (checkpointer, scheduler, store) = opened();
    let a = store.collection("a").unwrap();
    a.put("1", "old").unwrap();
    let first = store.checkpoint().unwrap().unwrap();
    let late = checkpointer.open(first).unwrap();
    a.put("1", "new").unwrap();
    a.put("2", "new").unwrap();
    let second = store.checkpoint().unwrap().unwrap();
    *checkpointer.merged.lock().unwrap() = Some(late);
    scheduler.run("kv-merge");
    assert_eq!(store.stats().checkpoint, Some(second));
    assert_eq!(a.get("1").unwrap().unwrap(), "new");
    assert_eq!(a.len().unwrap(), 2);
}

#[test]
fn a_checkpoint_takes_only_the_memtables_that_it_holds() {
    let (checkpointer, scheduler, store) = opened();
    let a = store.collection("a").unwrap();
    a.put("1", "v").unwrap();
    let first = store.checkpoint().unwrap().unwrap();
    checkpointer.inner.medium().fail_next_write();
    a.put("2", "v").unwrap();
    assert!(store.checkpoint().is_err());
    a.put("3", "v").unwrap();
    assert_eq!(store.stats().frozen_memtables, 1);
    // A merge of the first checkpoint, under a newer id.
    let merged = checkpointer.inner.maintain(Effort::Full, &|| false).unwrap().unwrap();
    assert!(merged.id() > first);
    *checkpointer.merged.lock().unwrap() = Some(merged);
    scheduler.run("kv-merge");
    assert_eq!((store.stats().frozen_memtables, entries(&store, "a").len()), (1, 3));
    store.checkpoint().unwrap().unwrap();
    assert_eq!((store.stats().frozen_memtables, entries(&store, "a").len()), (0, 3));
}

#[test]
fn merging_goes_on_when_the_store_was_left_alone() {
    let (checkpointer, scheduler, store) = opened();
    store.collection("a").unwrap().put("1", "v").unwrap();
    store.checkpoint().unwrap();
    scheduler.run("kv-merge");
    scheduler.run("kv-merge");
    assert_eq!(*checkpointer.efforts.lock().unwrap(), [Effort::Needed, Effort::AtRest]);
}

#[test]
fn nothing_is_removed_while_damage_was_met_that_no_opening_has_examined() {
    let (checkpointer, _, store) = opened();
    let a = store.collection("a").unwrap();
    for key in 0..3_u8 {
        a.put([key], "v").unwrap();
        store.checkpoint().unwrap().unwrap();
    }
    let trimmed = store.stats().log.trimmed;
    checkpointer.is_damaged.store(true, Ordering::SeqCst);
    for key in 3..6_u8 {
        a.put([key], "v").unwrap();
        store.checkpoint().unwrap().unwrap();
    }
    assert_eq!((checkpointer.list().unwrap().len(), store.stats().log.trimmed), (5, trimmed));
    assert!(store.stats().damage.is_some_and(|damage| damage.contains("a test damaged it")));
    store.compact().unwrap();
    assert_eq!(checkpointer.list().unwrap().len(), 5);
}

/// A collection that was dropped before its changes were written costs nothing from then on.
#[test]
fn changes_of_a_dropped_collection_get_into_no_checkpoint() {
    let (checkpointer, _, store) = opened();
    store.collection("kept").unwrap().put("k", "v").unwrap();
    store.collection("gone").unwrap().put("k", "v").unwrap();
    let gone = store.collections().unwrap().iter().find(|info| info.name == "gone").unwrap().id;
    store.drop_collection("gone").unwrap();
    let id = store.checkpoint().unwrap().unwrap();
    assert_eq!(id.lsn, Lsn(3));
    let checkpoint = checkpointer.open(id).unwrap();
    assert!(!checkpoint.range(gone, Bound::Unbounded, Bound::Unbounded).unwrap().advance().unwrap());
    assert_eq!(checkpoint.size(CollectionId::NAMES).unwrap().entries, 1);
    assert_eq!(store.stats().checkpoint_size.entries, 2, "the name of one collection, and its entry");
}
