use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicBool, Ordering},
};

use kv_core::{
    Bounds, Checkpointer, Crash, Durability, Error, FlushStats, Log, LogId, LogReader, Lsn, MemoryCheckpointMedium,
    MemoryCheckpointer, MemoryLog, MemoryLogMedium, Result, Store, StoreOptions,
};

/// The media of a store in memory.
#[derive(Default)]
pub struct Media {
    pub log: MemoryLogMedium,
    pub checkpoints: MemoryCheckpointMedium,
}

impl Media {
    pub fn open(&self) -> Result<Store> {
        self.open_with(StoreOptions::default())
    }

    pub fn open_with(&self, options: StoreOptions) -> Result<Store> {
        Store::with_backends(Arc::new(MemoryLog::open(&self.log)?), self.checkpointer(), options)
    }

    pub fn checkpointer(&self) -> Arc<dyn Checkpointer> {
        Arc::new(MemoryCheckpointer::open(&self.checkpoints))
    }

    /// What a crash at this moment leaves. A store that has the media open goes on.
    pub fn after(&self, crash: Crash) -> Self {
        Self { log: self.log.after(crash), checkpoints: self.checkpoints.after_crash() }
    }
}

/// All entries of a collection.
pub fn entries(store: &Store, name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entry = |entry: Result<kv_core::Entry>| {
        let entry = entry.unwrap();
        (entry.key.to_vec(), entry.value.to_vec())
    };
    store.collection(name).unwrap().iter().map(entry).collect()
}

/// A log whose flush can be blocked, and made to fail. It ignores `trim` and keeps every record, as
/// a log may.
pub struct GatedLog {
    inner: MemoryLog,
    shut: Mutex<bool>,
    changed: Condvar,
    sync_blocked: AtomicBool,
    block_append: AtomicBool,
    append_blocked: AtomicBool,
    fail: AtomicBool,
    panic: AtomicBool,
}

impl GatedLog {
    pub fn new(inner: MemoryLog) -> Arc<Self> {
        Arc::new(Self {
            inner,
            shut: Mutex::new(false),
            changed: Condvar::new(),
            sync_blocked: AtomicBool::new(false),
            block_append: AtomicBool::new(false),
            append_blocked: AtomicBool::new(false),
            fail: AtomicBool::new(false),
            panic: AtomicBool::new(false),
        })
    }

    pub fn shut(&self) {
        let mut shut = self.shut.lock().unwrap();
        *shut = true;
        self.sync_blocked.store(false, Ordering::SeqCst);
    }

    pub fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.changed.notify_all();
    }

    pub fn fail_and_open(&self) {
        self.fail.store(true, Ordering::SeqCst);
        self.open();
    }

    pub fn panic_at_next_append(&self) {
        self.panic.store(true, Ordering::SeqCst);
    }

    /// Waits until a `sync` is blocked.
    pub fn until_a_sync_is_blocked(&self) {
        while !self.has_blocked_a_sync() {
            std::thread::yield_now();
        }
    }

    /// Whether a `sync` has been blocked since the flush was shut.
    pub fn has_blocked_a_sync(&self) -> bool {
        self.sync_blocked.load(Ordering::SeqCst)
    }

    /// From now on, an append adds its record and does not return.
    pub fn block_appends(&self) {
        self.block_append.store(true, Ordering::SeqCst);
    }

    pub fn release_appends(&self) {
        self.block_append.store(false, Ordering::SeqCst);
    }

    /// Waits until an append has added its record and is blocked.
    pub fn until_an_append_is_blocked(&self) {
        while !self.append_blocked.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    /// Makes every record durable, as another caller's flush does, without the store noticing.
    pub fn flush_behind_the_store(&self) {
        self.inner.sync(self.inner.bounds().appended).unwrap();
    }
}

#[deny(clippy::missing_trait_methods)]
impl Log for GatedLog {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.make_room(record_bytes, kept_bytes)
    }

    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.check_room(record_bytes, kept_bytes)
    }

    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        let _ = kept_bytes;
        self.append(record, durability)
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        assert!(!self.panic.swap(false, Ordering::SeqCst), "on purpose");
        let appended = self.inner.append(record, durability);
        while self.block_append.load(Ordering::SeqCst) {
            self.append_blocked.store(true, Ordering::SeqCst);
            std::thread::yield_now();
        }
        appended
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        let mut shut = self.shut.lock().unwrap();
        while *shut {
            self.sync_blocked.store(true, Ordering::SeqCst);
            shut = self.changed.wait(shut).unwrap();
        }
        drop(shut);
        if self.fail.swap(false, Ordering::SeqCst) {
            self.inner.medium().fail_next_flush();
        }
        self.inner.sync(upto)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.inner.reader(after)
    }

    fn trim(&self, _: Lsn) -> Result<()> {
        Ok(())
    }

    /// Reports every record as written at once, like a log that writes early and flushes late.
    fn bounds(&self) -> Bounds {
        let bounds = self.inner.bounds();
        Bounds { written: bounds.appended, ..bounds }
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.inner.medium_bytes_after(after)
    }

    fn flush_stats(&self) -> FlushStats {
        self.inner.flush_stats()
    }

    fn opening_notes(&self) -> Vec<String> {
        self.inner.opening_notes()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// Asserts that a result is an error of this variant.
#[macro_export]
macro_rules! assert_error {
    ($result:expr, $pattern:pat) => {
        match $result {
            Err($pattern) => {}
            Err(other) => panic!("another error: {other:?}"),
            Ok(_) => panic!("no error"),
        }
    };
}

/// The first error in the chain of causes that is not `Poisoned` or `OutcomeUnknown`.
pub fn root(error: &Error) -> &Error {
    match error {
        Error::Poisoned { cause } | Error::OutcomeUnknown { cause } => root(cause),
        other => other,
    }
}
