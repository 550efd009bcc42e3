//! Backends that panic at a chosen call.

use std::{
    mem,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use kv_core::{
    Bounds, Changes, Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, Checkpointer, CollectionId,
    CollectionSize, Cursor, Durability, Effort, Error, FlushStats, Log, LogId, LogReader, Lsn, MemoryLog,
    ReadCacheStats, Result, Value,
};

/// The payload of a panic. Its drop panics, too.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped, on purpose");
    }
}

/// Runs work that must not panic. If it does, the payload is leaked: dropping it would panic in the
/// test's own thread.
pub fn must_not_panic<T>(work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        mem::forget(payload);
        panic!("a panic escaped");
    })
}

/// Whether a call panics before it does anything, or after everything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// Counts the calls of backends while it is armed, and makes one of them panic.
#[derive(Default)]
pub struct Calls {
    armed: AtomicBool,
    /// How many calls are left, including the one that panics. It wraps after that.
    left: AtomicU64,
    after: AtomicBool,
    /// The name of the thread whose calls are counted. `None` counts all.
    thread: Mutex<Option<&'static str>>,
}

impl Calls {
    /// Makes call `number` from now on panic, counted from 1.
    pub fn arm(&self, number: u64, when: When) {
        self.left.store(number, Ordering::SeqCst);
        self.after.store(when == When::After, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// As [`arm`](Calls::arm), but counts only the calls in the thread of that name.
    pub fn arm_in(&self, thread: &'static str, number: u64, when: When) {
        *self.thread.lock().unwrap() = Some(thread);
        self.arm(number, when);
    }

    /// Stops panicking. Returns whether a call did panic.
    pub fn disarm(&self) -> bool {
        self.armed.store(false, Ordering::SeqCst);
        self.left.swap(u64::MAX, Ordering::SeqCst) > u64::MAX / 2
    }

    fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        let counts = self.armed.load(Ordering::SeqCst)
            && self.thread.lock().unwrap().is_none_or(|name| thread::current().name() == Some(name));
        let panics = counts && self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if panics {
            self.left.store(u64::MAX, Ordering::SeqCst);
        }
        if panics && !self.after.load(Ordering::SeqCst) {
            panic_any(Bomb);
        }
        let result = call();
        if panics {
            drop(result);
            panic_any(Bomb);
        }
        result
    }
}

pub struct PanickingLog {
    pub inner: MemoryLog,
    pub calls: Arc<Calls>,
}

#[deny(clippy::missing_trait_methods)]
impl Log for PanickingLog {
    fn id(&self) -> LogId {
        self.calls.call(|| self.inner.id())
    }

    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.calls.call(|| self.inner.make_room(record_bytes, kept_bytes))
    }

    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.calls.call(|| self.inner.check_room(record_bytes, kept_bytes))
    }

    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        self.calls.call(|| self.inner.append_deletion(record, durability, kept_bytes))
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.calls.call(|| self.inner.append(record, durability))
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.calls.call(|| self.inner.sync(upto))
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.calls.call(|| self.inner.reader(after))
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.calls.call(|| self.inner.trim(upto))
    }

    fn bounds(&self) -> Bounds {
        self.calls.call(|| self.inner.bounds())
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.calls.call(|| self.inner.medium_bytes_after(after))
    }

    fn flush_stats(&self) -> FlushStats {
        self.calls.call(|| self.inner.flush_stats())
    }

    fn opening_notes(&self) -> Vec<String> {
        self.calls.call(|| self.inner.opening_notes())
    }

    fn close(&self) -> Result<()> {
        self.calls.call(|| self.inner.close())
    }
}

pub struct PanickingCheckpointer {
    pub inner: Arc<dyn Checkpointer>,
    pub calls: Arc<Calls>,
}

impl PanickingCheckpointer {
    fn wrap(&self, inner: Arc<dyn Checkpoint>) -> Arc<dyn Checkpoint> {
        Arc::new(PanickingCheckpoint { inner, calls: Arc::clone(&self.calls) })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Checkpointer for PanickingCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        self.calls.call(|| self.inner.list())
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.calls.call(|| self.inner.open(id)).map(|inner| self.wrap(inner))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        self.calls.call(|| self.inner.write(previous, changes)).map(|inner| self.wrap(inner))
    }

    fn open_damaged(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.calls.call(|| self.inner.open_damaged(id)).map(|inner| self.wrap(inner))
    }

    fn damage(&self) -> Option<Arc<Error>> {
        self.calls.call(|| self.inner.damage())
    }

    fn read_cache(&self) -> Option<ReadCacheStats> {
        self.calls.call(|| self.inner.read_cache())
    }

    fn removed_bytes(&self) -> u64 {
        self.calls.call(|| self.inner.removed_bytes())
    }

    fn maintain(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        let maintained = self.calls.call(|| self.inner.maintain(effort, cancelled))?;
        Ok(maintained.map(|inner| self.wrap(inner)))
    }

    fn verify(&self, id: CheckpointId, cancelled: &dyn Fn() -> bool) -> Result<()> {
        self.calls.call(|| self.inner.verify(id, cancelled))
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        self.calls.call(|| self.inner.remove(id))
    }
}

struct PanickingCheckpoint {
    inner: Arc<dyn Checkpoint>,
    calls: Arc<Calls>,
}

#[deny(clippy::missing_trait_methods)]
impl Checkpoint for PanickingCheckpoint {
    fn id(&self) -> CheckpointId {
        self.calls.call(|| self.inner.id())
    }

    fn head(&self) -> &CheckpointHead {
        self.calls.call(|| self.inner.head())
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        self.calls.call(|| self.inner.get(collection, key))
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.calls.call(|| self.inner.get_with(collection, key, read))
    }

    fn get_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        self.calls.call(|| self.inner.get_many(collection, keys))
    }

    fn size(&self, collection: CollectionId) -> Result<CollectionSize> {
        self.calls.call(|| self.inner.size(collection))
    }

    fn scrub(&self, from: u64, bytes: u64) -> Result<Option<u64>> {
        self.calls.call(|| self.inner.scrub(from, bytes))
    }

    fn stats(&self) -> CheckpointStats {
        self.calls.call(|| self.inner.stats())
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        self.calls.call(|| self.inner.range(collection, lower, upper))
    }
}
