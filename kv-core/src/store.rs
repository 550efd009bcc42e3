mod batch;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod collection;
mod commit;
mod conditional;
mod deferred;
mod feed;
mod flusher;
mod locks;
#[cfg(all(test, loom))]
mod loom_tests;
mod options;
mod ownership;
mod pending_write;
pub mod recovery;
mod reentrancy;
mod snapshot;
mod stats;
mod transaction;
mod waiters;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

pub use batch::Batch;
pub use collection::Collection;
pub use conditional::Mismatch;
pub use deferred::Commit;
pub use feed::{ChangeFeed, ChangeRecord, RecordedChange};
pub use options::StoreOptions;
pub use recovery::Recovery;
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use transaction::{Transaction, TransactionEntries};

use checkpoint::CheckpointState;
use commit::{Expected, Publication, Writer};
use flusher::FlushFailure;
use ownership::{JobHandle, Ownership};
use reentrancy::ReentrancyGuard;
use waiters::Waiters;

use crate::{
    CheckpointId, Checkpointer, CollectionInfo, Durability, Error, Limits, Log, Result,
    collections::Collections,
    panics::guarded,
    sync::{AtomicBool, AtomicU64, Mutex},
};

/// A key-value store: named collections over a log and checkpoints.
///
/// A store is a handle: clones are cheap and are the same store, and it may be used from any number of threads. It stays open until
/// the last handle is gone, of it or of its collections, and every [`Commit`] and [`ChangeFeed`]; a [`Snapshot`] does not keep it open, and can be
/// read after it. [`close`](Store::close) tells whether everything went well.
///
/// - Every change is appended to the log before the map in memory changes.
/// - A write that returned survives what its [`Durability`] says; no reader sees a [`Durability::Disk`] write before that.
/// - A [`Batch`] is there whole or not at all, after any crash.
/// - After the first failed write or flush of the log the store takes no more writes and goes on serving reads.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
///
/// let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// let users = store.collection("users")?;
/// users.put("alice", "Alice Liddell")?;
/// assert_eq!(users.get("alice")?.unwrap(), "Alice Liddell");
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles share. Fields are dropped in this order: the jobs end before what they work on.
pub(crate) struct Inner {
    flusher: JobHandle,
    checkpoint_job: JobHandle,
    shared: Arc<Shared>,
}

impl std::ops::Deref for Inner {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// What the background jobs share with the handles.
pub(crate) struct Shared {
    collections: Arc<Collections>,
    writer: Mutex<Writer>,
    reentrancy: ReentrancyGuard,
    publication: Publication,
    checkpoint: Mutex<CheckpointState>,
    /// Why the last checkpoint was not finished, if it was not.
    checkpoint_error: Mutex<Option<String>>,
    /// Tells a background checkpoint to stop.
    closing: AtomicBool,
    /// Whether the flusher has been asked to flush, and has not begun.
    flush_requested: AtomicBool,
    /// Whether it has been asked to flush without waiting for others.
    flush_requested_now: AtomicBool,
    flush_failure: FlushFailure,
    flush_refusals: AtomicU64,
    /// The callers that wait for a position to be published.
    for_published: Waiters,
    /// The callers that wait for a position to be published and durable.
    for_settled: Waiters,
    recovery: Recovery,
    ownership: Ownership,
    log: Arc<dyn Log>,
    checkpointer: Arc<dyn Checkpointer>,
    /// Dropped last: they hold the owner.
    options: StoreOptions,
}

impl Store {
    /// Opens the store that `log` and `checkpointer` hold, and recovers its state: the newest checkpoint that can be used, and what the log has
    /// after it. See [`recovery`] for how it decides.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use kv_core::{MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, MemoryLogMedium, Store, StoreOptions};
    ///
    /// let (log, checkpoints) = (MemoryLogMedium::new(), MemoryCheckpointMedium::new()); // where the data is: here, in memory
    /// let open = || {
    ///     let checkpointer = Arc::new(MemoryCheckpointer::open(&checkpoints));
    ///     Store::open(Arc::new(MemoryLog::open(&log)?), checkpointer, StoreOptions::default())
    /// };
    /// open()?.collection("users")?.put("alice", "Alice Liddell")?;
    /// assert_eq!(open()?.collection("users")?.get("alice")?.unwrap(), "Alice Liddell");
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Unrecoverable`](crate::Error::Unrecoverable), [`Corrupt`](crate::Error::Corrupt) and [`NewerVersion`](crate::Error::NewerVersion) refuse;
    /// nothing was changed.
    pub fn open(log: Arc<dyn Log>, checkpointer: Arc<dyn Checkpointer>, options: StoreOptions) -> Result<Self> {
        let options = StoreOptions { limits: options.limits.capped(), ..options };
        let mut recovered = recovery::recover(&*log, &*checkpointer)?;
        recovered.collections.owner = options.owner.as_ref().map(Arc::downgrade);
        let checkpoint_lsn = recovered.collections.view().checkpoint_lsn();
        let shared = Arc::new(Shared {
            publication: Publication::new(recovered.recovery.position),
            writer: Mutex::new(Writer::new(recovered.writer, recovered.recovery.replayed_bytes, checkpoint_lsn)),
            reentrancy: ReentrancyGuard::default(),
            checkpoint: Mutex::default(),
            checkpoint_error: Mutex::default(),
            closing: AtomicBool::new(false),
            flush_requested: AtomicBool::new(false),
            flush_requested_now: AtomicBool::new(false),
            flush_failure: FlushFailure::default(),
            flush_refusals: AtomicU64::new(0),
            for_published: Waiters::default(),
            for_settled: Waiters::default(),
            collections: Arc::new(recovered.collections),
            recovery: recovered.recovery,
            ownership: Ownership::new(options.owner.clone()),
            log,
            checkpointer,
            options,
        });
        let flusher = JobHandle::new(flusher::spawn(&shared)?);
        let inner = Inner { flusher, checkpoint_job: JobHandle::new(checkpoint::spawn(&shared)?), shared };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A handle to the collection of that name, whether it exists or not.
    ///
    /// # Errors
    /// [`InvalidCollectionName`](crate::Error::InvalidCollectionName).
    pub fn collection(&self, name: &str) -> Result<Collection> {
        Limits::default().check_name(name)?;
        Ok(Collection::new(self.clone(), name))
    }

    /// Makes all changes of the batch, or none, with the store's durability.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// # use kv_core::{Batch, Error};
    /// store.write(Batch::new().put("users", "alice", "Alice").put("counts", "users", "1"))?;
    /// let refused = store.write(Batch::new().put("users", "bob", "Bob").delete("users", "nobody"));
    /// assert!(matches!(refused, Err(Error::KeyNotFound)));
    /// assert!(!store.collection("users")?.contains("bob")?); // all or nothing
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::put`], and [`BatchTooLarge`](crate::Error::BatchTooLarge), [`KeyNotFound`](crate::Error::KeyNotFound): nothing was written.
    pub fn write(&self, batch: &Batch) -> Result<()> {
        self.write_with(batch, self.inner.options.durability)
    }

    /// Makes all changes of the batch, or none, with this durability.
    ///
    /// # Errors
    /// As [`write`](Store::write), and [`UnsupportedDurability`](crate::Error::UnsupportedDurability): nothing was written.
    pub fn write_with(&self, batch: &Batch, durability: Durability) -> Result<()> {
        let bytes = batch.check(&self.inner.options.limits)?;
        self.inner.write(
            durability,
            |pending| batch.build(pending),
            Expected { bytes, reads_own_writes: batch.reads_own_writes() },
        )
    }

    /// Creates an empty collection; `false` if it exists already.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// # use kv_core::Error;
    /// assert!(store.create_collection("drafts")?); // a put would have created it, too
    /// store.collection("drafts")?.put("1", "Dear")?;
    /// store.rename_collection("drafts", "letters")?;
    /// assert_eq!(store.collections()?[0].name, "letters");
    /// store.clear_collection("letters")?; // there, and empty
    /// store.drop_collection("letters")?; // gone
    /// assert!(matches!(store.drop_collection("letters"), Err(Error::CollectionNotFound { .. })));
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::put`], and [`TooManyCollections`](crate::Error::TooManyCollections).
    pub fn create_collection(&self, name: &str) -> Result<bool> {
        self.transact(|tx| tx.create_collection(name))
    }

    /// Drops a collection with everything in it, at a cost that does not depend on its size.
    ///
    /// # Errors
    /// [`CollectionNotFound`](crate::Error::CollectionNotFound); otherwise as [`Collection::put`].
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        self.transact(|tx| tx.drop_collection(name))
    }

    /// Empties a collection, at a cost that does not depend on its size.
    ///
    /// # Errors
    /// As [`drop_collection`](Store::drop_collection).
    pub fn clear_collection(&self, name: &str) -> Result<()> {
        self.transact(|tx| tx.clear_collection(name))
    }

    /// Gives a collection another name, at a cost that does not depend on its size. Handles stand for names: those to the old one see an absent collection then.
    ///
    /// # Errors
    /// [`CollectionExists`](crate::Error::CollectionExists) if the new name is taken; otherwise as [`drop_collection`](Store::drop_collection).
    pub fn rename_collection(&self, from: &str, to: &str) -> Result<()> {
        self.transact(|tx| tx.rename_collection(from, to))
    }

    /// All collections and their sizes, in order of their names. It costs as much as has changed since the last checkpoint.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub fn collections(&self) -> Result<Vec<CollectionInfo>> {
        self.snapshot().collections()
    }

    /// Everything as it is now, for as long as the returned value lives.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner.collections.snapshot())
    }

    /// Makes everything that was written before survive a power cut, whatever its durability.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// # use kv_core::Durability;
    /// let events = store.collection("events")?.with_durability(Durability::Process);
    /// for number in 0..100_u32 {
    ///     events.put(number.to_be_bytes(), "happened")?; // does not wait for the disk
    /// }
    /// store.sync()?; // one flush for all of them
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`OutcomeUnknown`](crate::Error::OutcomeUnknown).
    pub fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    /// Makes a checkpoint of the present state, so that the next opening need not replay what came before, and returns its identity; `None` if
    /// nothing has changed since the last, which another thread may have made while this one waited
    /// for it. Readers and writers go on meanwhile.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// store.collection("users")?.put("alice", "Alice Liddell")?;
    /// let id = store.checkpoint()?.unwrap();
    /// assert_eq!(store.stats().checkpoint, Some(id));
    /// assert_eq!(store.checkpoint()?, None); // nothing has changed since
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// What writing it met; the checkpoints and the log are as they were before. If it was written and the removal of what is no longer
    /// needed failed, that is the error.
    pub fn checkpoint(&self) -> Result<Option<CheckpointId>> {
        drop(self.inner.writer()?); // a closed store is not written to
        self.inner.checkpoint(&|| false)
    }

    /// What opening the store found and did.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Where the store stands.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// Ends writing: waits for what is under way, makes a checkpoint if enough has changed, and leaves the log clean, so that the next opening
    /// is quick. Later writes through any handle fail with [`Closed`](crate::Error::Closed); reads go on.
    ///
    /// What holds the medium, such as the lock of a directory, is released when the last handle is gone. A store that is not closed is
    /// closed when that happens, without a checkpoint, and nobody hears of errors. Closing again is allowed.
    ///
    /// A checkpoint that is being made in the background is cancelled, and stops within
    /// milliseconds, with one exception: a flush of the disk (fsync) that it waits for cannot be
    /// cut short, and takes as long as the disk takes. Closing and checkpoints that were called for
    /// are not cancelled.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// # use kv_core::Error;
    /// let users = store.collection("users")?;
    /// store.close()?;
    /// assert!(matches!(users.put("alice", "Alice Liddell"), Err(Error::Closed)));
    /// assert_eq!(users.get("alice")?, None); // reads go on
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// What flushing, or the checkpoint, met.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Shared {
    fn close(&self) -> Result<()> {
        if std::mem::replace(&mut self.lock_writer()?.closed, true) {
            return self.close_log();
        }
        self.closing.store(true, Ordering::Release); // a background checkpoint stops, and a new one does not begin
        let checkpointed = guarded("the checkpoint", || self.checkpoint_on_close());
        self.close_log()?;
        self.publish();
        checkpointed
    }

    /// Flushes everything and leaves the log clean, unless a flush has failed.
    fn close_log(&self) -> Result<()> {
        if let Some(cause) = self.flush_failure.cause() {
            return Err(Error::Poisoned { cause });
        }
        guarded("the log", || self.log.close()).map_err(|error| self.fail_flush(error))
    }
}

impl Drop for Inner {
    /// The jobs end when their handles are dropped, after this; but those of a parent are not this
    /// process's to end.
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        if self.check_owner().is_err() {
            self.flusher.leave();
            self.checkpoint_job.leave();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.ownership.check_writable().is_ok() {
            let _ = self.close_log(); // documented: nobody is left to hear of errors
        }
    }
}
