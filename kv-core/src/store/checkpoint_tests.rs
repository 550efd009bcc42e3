//! Cancelling a checkpoint during its preparation.

use std::{
    cell::Cell,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    Batch, Changes, Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, Checkpointer, CollectionId,
    CollectionSize, Cursor, Error, MemoryCheckpointer, MemoryLog, Result, Store, StoreOptions, Value,
};

/// Counts the reads of a checkpoint. Writing one is not tested here, so it takes no time and is
/// never cancelled.
#[derive(Default)]
struct LookUps(Arc<AtomicUsize>, MemoryCheckpointer);

struct Counted(Arc<AtomicUsize>, Arc<dyn Checkpoint>);

impl Checkpointer for LookUps {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        self.1.list()
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        Ok(Arc::new(Counted(Arc::clone(&self.0), self.1.open(id)?)))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        Ok(Arc::new(Counted(Arc::clone(&self.0), self.1.write(previous, &mut Uncancelled(changes))?)))
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        self.1.remove(id)
    }
}

struct Uncancelled<'a>(&'a mut dyn Changes);

impl Changes for Uncancelled<'_> {
    fn head(&self) -> &CheckpointHead {
        self.0.head()
    }

    fn next(&mut self) -> Result<Option<crate::Change<'_>>> {
        self.0.next()
    }

    fn cancelled(&self) -> bool {
        false
    }
}

impl Checkpoint for Counted {
    fn id(&self) -> CheckpointId {
        self.1.id()
    }

    fn head(&self) -> &CheckpointHead {
        self.1.head()
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        self.1.get(collection, key)
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.1.get_with(collection, key, read)
    }

    fn size(&self, collection: CollectionId) -> Result<CollectionSize> {
        self.1.size(collection)
    }

    fn stats(&self) -> CheckpointStats {
        self.1.stats()
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        self.1.range(collection, lower, upper)
    }
}

/// The checkpoint asks repeatedly whether it is cancelled. After an answer of yes, wherever it
/// comes, nothing more is done. There is little work between two questions.
#[test]
fn preparing_a_checkpoint_stops_soon_wherever_it_is() {
    const KEYS: u32 = 20_000;
    let looked_up = Arc::<AtomicUsize>::default();
    let checkpointer = LookUps(Arc::clone(&looked_up), MemoryCheckpointer::new());
    let options = StoreOptions { checkpoint_record_bytes: u64::MAX, ..StoreOptions::default() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(checkpointer), options).unwrap();
    for value in ["old", "new"] {
        let mut batch = Batch::new();
        for key in 0..KEYS {
            batch.put("all", key.to_be_bytes(), value);
        }
        store.write(&batch).unwrap();
        if value == "old" {
            store.checkpoint().unwrap().unwrap();
        }
    }
    for stop_at in 1.. {
        let (asked, at_last) = (Cell::new(0), Cell::new(looked_up.load(Ordering::Relaxed)));
        let result = store.inner.checkpoint(&|| {
            let by_now = looked_up.load(Ordering::Relaxed);
            assert!(by_now - at_last.replace(by_now) <= 256, "it was long before question {}", asked.get());
            asked.set(asked.get() + 1);
            asked.get() >= stop_at
        });
        let since_last = looked_up.load(Ordering::Relaxed) - at_last.get();
        match result {
            Err(Error::Cancelled) => assert_eq!((asked.get(), since_last), (stop_at, 0), "it went on"),
            result => {
                assert!(result.unwrap().is_some() && since_last <= 256);
                assert!(asked.get() > 80, "{} questions: it collects and sorts", asked.get());
                return assert_eq!(store.stats().checkpoint_size.entries, u64::from(KEYS) + 1);
            }
        }
    }
}
