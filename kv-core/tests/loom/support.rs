//! What the tests share: a store over a modelled log.

use std::sync::Arc;

use kv_core::{Collection, Durability, MemoryCheckpointer, Result, Store, StoreOptions};
use kv_testkit::ManualScheduler;

use crate::log::ModelLog;

/// A store and its log.
#[derive(Clone)]
pub struct Subject {
    pub store: Store,
    /// The collection that the tests write to.
    pub all: Collection,
    pub log: Arc<ModelLog>,
    /// Runs background jobs when the test tells it to.
    pub scheduler: ManualScheduler,
}

impl Subject {
    /// A store with the key `k` at position 1, whose value is its position.
    pub fn new() -> Self {
        let (log, scheduler) = (ModelLog::new(), ManualScheduler::new());
        // Without a threshold, no write looks at how much memory is used: that would only add
        // interleavings.
        let options = StoreOptions {
            checkpoint_record_bytes: u64::MAX,
            scheduler: Arc::new(scheduler.clone()),
            ..StoreOptions::default()
        };
        let store = Store::with_backends(log.clone(), Arc::new(MemoryCheckpointer::new()), options).unwrap();
        let subject = Self { all: store.collection("all").unwrap(), store, log, scheduler };
        subject.put(1, Durability::Disk).unwrap();
        subject
    }

    /// Puts `k` = `value`. Where only one thread writes, the value is also the position.
    pub fn put(&self, value: u8, durability: Durability) -> Result<()> {
        self.all.with_durability(durability).put("k", [value])
    }

    /// The value of `k`, which is never absent.
    pub fn get(&self) -> u8 {
        self.all.get("k").unwrap().expect("a published version was not found")[0]
    }

    /// The value of `k` in a snapshot.
    pub fn scan(&self) -> u8 {
        let mut entries = self.all.iter();
        let entry = entries.next().expect("a published version was not found").unwrap();
        assert!(entries.next().is_none());
        entry.value[0]
    }

    /// Runs `run` in a thread of the model.
    pub fn spawn<T: 'static>(&self, run: impl FnOnce(&Self) -> T + 'static) -> loom::thread::JoinHandle<T> {
        let subject = self.clone();
        loom::thread::spawn(move || run(&subject))
    }
}
