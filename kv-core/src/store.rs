mod batch;
mod bulk;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod closing;
mod collection;
mod commit;
mod conditional;
mod copying;
mod deferred;
mod feed;
mod flusher;
mod follower;
mod locks;
#[cfg(all(test, loom))]
mod loom_tests;
mod merging;
mod options;
mod ownership;
mod patrol;
mod pending_write;
mod pins;
pub mod recovery;
mod reentrancy;
mod replay;
mod room;
mod snapshot;
mod space;
mod stats;
mod transaction;
mod waiters;

use std::{
    any::Any,
    borrow::Borrow,
    fmt,
    sync::{Arc, atomic::Ordering},
};

pub use batch::Batch;
pub use collection::Collection;
pub use conditional::Mismatch;
pub use deferred::{Commit, DeferredCollection, DeferredStore};
pub use feed::{ChangeFeed, ChangeRecord, RecordedChange};
pub use follower::Follower;
pub use options::StoreOptions;
pub use pins::Pin;
pub use recovery::Recovery;
pub use replay::verify_replay;
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use transaction::{Transaction, TransactionEntries};

use closing::CloseCall;
use commit::{Expected, Held, Publication, Writer};
use flusher::FlushFailure;
use ownership::{JobHandle, Ownership};
use pins::Pins;
use reentrancy::ReentrancyGuard;
use room::Room;
use space::Space;
use waiters::Waiters;

use crate::{
    CheckpointId, Checkpointer, CollectionInfo, Durability, Limits, Log, MemoryCheckpointer, MemoryLog, Owner, Result,
    collections::Collections,
    event,
    sync::{AtomicBool, AtomicU64, Mutex},
};

/// A key-value store: named collections over a log and checkpoints.
///
/// To open one in a directory, use `kv_store::open(path)`, or `kv_store::Options` for more than the
/// path. [`in_memory`](Store::in_memory) makes one for tests and experiments, and
/// [`with_backends`](Store::with_backends) takes a log and a checkpointer of any kind.
///
/// A store is a handle. Clones are cheap and are handles to the same store. Any number of threads
/// may use it. It stays open until the last handle is dropped: every store, [`Collection`],
/// [`Commit`] and [`ChangeFeed`]. A [`Snapshot`] does not keep it open, and can be read afterwards.
/// [`close`](Store::close) reports whether everything went well.
///
/// - Every change is appended to the log before the map in memory changes.
/// - A write that returned survives what its [`Durability`] says. No reader sees a
///   [`Durability::Disk`] write before that.
/// - After any crash, a [`Batch`] is there as a whole or not at all.
/// - After the first failed write or flush of the log, the store takes no more writes, but still
///   serves reads.
///
/// ```
/// let store = kv_core::Store::in_memory()?;
/// let users = store.collection("users")?;
/// users.put("alice", "Alice Liddell")?;
/// assert_eq!(users.get("alice")?.unwrap(), "Alice Liddell");
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "open")]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles of a store share: its state, which is in [`Shared`] and to which this derefs,
/// and the handles of the background jobs.
///
/// `Inner` and `Shared` are separate because the jobs hold a `Shared`. If they held an `Inner`, it
/// would never be dropped. Methods that wake a job are on `Inner`; methods that the jobs need are
/// on `Shared`.
///
/// Fields are dropped in this order, so that the jobs end before what they work on.
pub(crate) struct Inner {
    flusher: JobHandle,
    checkpoint_job: JobHandle,
    /// The checkpoint job has the other handle.
    merge_job: Arc<JobHandle>,
    patrol_job: Option<JobHandle>,
    close_call: CloseCall,
    shared: Arc<Shared>,
}

/// Because of this, a field of `self.inner` that is not in [`Inner`] is in [`Shared`].
impl std::ops::Deref for Inner {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// What the background jobs share with the handles.
///
/// Locks are taken in this order: the one in `space`, `checkpoint`, then `writer`, then those
/// inside `collections`, `log` and the waiters. Under one of the last group, neither of the first
/// two is taken. Nothing is locked while `merge_error` or the lock in `room` is held. Wakers run
/// under none of these locks; see [`locks`]. Everything else here is atomic, set once, or
/// read-only.
pub(crate) struct Shared {
    collections: Arc<Collections>,
    writer: Mutex<Writer>,
    reentrancy: ReentrancyGuard,
    publication: Publication,
    held: Held,
    /// Held while a checkpoint is written, and until the log is trimmed after it.
    checkpoint: Mutex<()>,
    /// Why the last attempt at merging failed; `None` if it succeeded.
    merge_error: Mutex<Option<String>>,
    room: Room,
    space: Space,
    pins: Pins,
    /// Tells background work to stop, except a checkpoint that is under way.
    closing: AtomicBool,
    /// Set when the last handle is dropped. Then even a background checkpoint that is under way
    /// stops: the log has what is frozen.
    abandoned: AtomicBool,
    /// Whether a flush within the interval was requested and has not begun.
    flush_requested: AtomicBool,
    /// Whether an immediate flush was requested and has not begun.
    flush_requested_now: AtomicBool,
    flush_failure: FlushFailure,
    flush_refusals: AtomicU64,
    /// The waiters for a position to be published.
    for_published: Waiters,
    /// The waiters for a position to be published and durable.
    for_settled: Waiters,
    recovery: Recovery,
    ownership: Ownership,
    log: Arc<dyn Log>,
    checkpointer: Arc<dyn Checkpointer>,
    /// Dropped last, because the options hold the owner.
    options: StoreOptions,
}

impl Store {
    /// Makes an empty store that is only in memory, for tests and experiments. **Everything in it
    /// is lost when its last handle is dropped.**
    ///
    /// For a store in a directory use `kv_store::open(path)`.
    ///
    /// ```
    /// use kv_core::Store;
    ///
    /// let store = Store::in_memory()?;
    /// store.collection("users")?.put("alice", "Alice Liddell")?;
    /// assert_eq!(store.collection("users")?.len()?, 1);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A thread for the background work could not be started.
    #[doc(alias = "open")]
    #[doc(alias = "new")]
    pub fn in_memory() -> Result<Self> {
        Self::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())
    }

    /// Opens the store that is kept in `log` and `checkpointer`, and recovers its state from the
    /// newest usable checkpoint and the log after it. [`recovery`] describes how it decides.
    ///
    /// `kv_store::open(path)` does this with a log and checkpoints in a directory.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use kv_core::{MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, MemoryLogMedium, Store, StoreOptions};
    ///
    /// let (log, checkpoints) = (MemoryLogMedium::new(), MemoryCheckpointMedium::new()); // where the data is kept
    /// let open = || {
    ///     let checkpointer = Arc::new(MemoryCheckpointer::open(&checkpoints));
    ///     Store::with_backends(Arc::new(MemoryLog::open(&log)?), checkpointer, StoreOptions::default())
    /// };
    /// open()?.collection("users")?.put("alice", "Alice Liddell")?;
    /// assert_eq!(open()?.collection("users")?.get("alice")?.unwrap(), "Alice Liddell");
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Unrecoverable`](crate::Error::Unrecoverable), [`Corrupt`](crate::Error::Corrupt) and
    /// [`NewerVersion`](crate::Error::NewerVersion) if the log and the checkpoints cannot be used.
    /// Nothing was changed.
    #[doc(alias = "open")]
    pub fn with_backends(
        log: Arc<dyn Log>,
        checkpointer: Arc<dyn Checkpointer>,
        options: StoreOptions,
    ) -> Result<Self> {
        let (limits, wait_thresholds) = (options.limits.capped(), options.wait_thresholds.max(1));
        let options = StoreOptions { limits, wait_thresholds, ..options };
        let recovered = recovery::recover(&*log, &*checkpointer, options.checkpoint_record_bytes)?;
        let checkpoint_lsn = recovered.collections.view().checkpoint_lsn();
        let shared = Arc::new(Shared {
            publication: Publication::new(recovered.recovery.position),
            writer: Mutex::new(Writer::new(recovered.writer, recovered.record_bytes, checkpoint_lsn)),
            reentrancy: ReentrancyGuard::default(),
            held: Held::default(),
            checkpoint: Mutex::default(),
            merge_error: Mutex::default(),
            room: Room::default(),
            space: Space::new(&options),
            pins: Pins::default(),
            closing: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
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
        let merge_job = Arc::new(JobHandle::new(merging::spawn(&shared)?));
        let checkpoint_job = JobHandle::new(checkpoint::spawn(&shared, &merge_job)?);
        let patrol_job = patrol::spawn(&shared)?.map(JobHandle::new);
        event!(INFO, recovery = %shared.recovery, "store opened");
        let inner = Inner { flusher, checkpoint_job, merge_job, patrol_job, close_call: CloseCall::default(), shared };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A handle to the collection with this name, whether the collection exists or not.
    ///
    /// # Errors
    /// [`InvalidCollectionName`](crate::Error::InvalidCollectionName).
    pub fn collection(&self, name: &str) -> Result<Collection> {
        Limits::default().check_name(name)?;
        Ok(Collection::new(self.clone(), name))
    }

    /// Makes all changes of the batch, or none, with the store's durability. Takes a [`Batch`], or
    /// a reference to one.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::{Batch, Error};
    /// store.write(Batch::new().put("users", "alice", "Alice").put("counts", "users", "1"))?;
    /// let refused = store.write(Batch::new().put("users", "bob", "Bob").delete("users", "zoe"));
    /// assert!(matches!(refused, Err(Error::KeyNotFound { .. })));
    /// assert!(!store.collection("users")?.contains("bob")?); // all or nothing
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::put`]. Also [`BatchTooLarge`](crate::Error::BatchTooLarge) and
    /// [`KeyNotFound`](crate::Error::KeyNotFound): nothing was written.
    pub fn write(&self, batch: impl Borrow<Batch>) -> Result<()> {
        self.write_with(batch, self.inner.options.durability)
    }

    /// Makes all changes of the batch, or none, with this durability.
    ///
    /// # Errors
    /// As [`write`](Store::write). Also
    /// [`UnsupportedDurability`](crate::Error::UnsupportedDurability): nothing was written.
    pub fn write_with(&self, batch: impl Borrow<Batch>, durability: Durability) -> Result<()> {
        let batch = batch.borrow();
        let bytes = batch.check(&self.inner.options.limits)?;
        self.inner.write(
            durability,
            |pending| batch.build(pending),
            Expected { bytes, reads_own_writes: batch.reads_own_writes(), purpose: batch.purpose() },
        )
    }

    /// Creates an empty collection; `false` if it exists already.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::Error;
    /// assert!(store.create_collection("drafts")?); // a put would create it, too
    /// store.collection("drafts")?.put("1", "Dear")?;
    /// store.rename_collection("drafts", "letters")?;
    /// assert_eq!(store.collections()?[0].name, "letters");
    /// store.clear_collection("letters")?; // it exists, and is empty
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

    /// Renames a collection, at a cost that does not depend on its size. A handle stands for a
    /// name, so a handle to the old name finds no collection afterwards.
    ///
    /// # Errors
    /// [`CollectionExists`](crate::Error::CollectionExists) if the new name is taken; otherwise as
    /// [`drop_collection`](Store::drop_collection).
    pub fn rename_collection(&self, from: &str, to: &str) -> Result<()> {
        self.transact(|tx| tx.rename_collection(from, to))
    }

    /// All collections and their sizes, in order of their names. The cost grows with the number of
    /// keys that have changed since the last checkpoint.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub fn collections(&self) -> Result<Vec<CollectionInfo>> {
        self.now().collections()
    }

    /// Every collection as it is now, for as long as the returned value lives. See [`Snapshot`] for
    /// what it costs to hold it. Reads of it fail with
    /// [`SnapshotsHoldTooMuch`](crate::Error::SnapshotsHoldTooMuch) if others hold too much
    /// already.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner.collections.snapshot_to_keep(self.inner.options.snapshot_bytes_max))
    }

    /// Every collection as it is now, for a call that does not keep it.
    fn now(&self) -> Snapshot {
        Snapshot::new(self.inner.collections.snapshot())
    }

    /// Makes everything that was written so far durable against a power cut, whatever durability it
    /// was written with.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
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

    /// Makes a checkpoint of the present state, so that the next opening need not replay anything
    /// up to here. Returns its identity, or `None` if nothing has changed since the last
    /// checkpoint. (Another thread may have made that one while this one waited.) `None` also means
    /// that the store was closed meanwhile: what was not written then is replayed at the next
    /// opening.
    ///
    /// Readers and writers go on meanwhile.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// store.collection("users")?.put("alice", "Alice Liddell")?;
    /// let id = store.checkpoint()?.unwrap();
    /// assert_eq!(store.stats().checkpoint, Some(id));
    /// assert_eq!(store.checkpoint()?, None); // nothing has changed since
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the checkpoint could not be written, the checkpoints and the log are as they were before.
    /// If the error came from removing what is no longer needed, the checkpoint was made.
    pub fn checkpoint(&self) -> Result<Option<CheckpointId>> {
        drop(self.inner.writer()?); // fails if the store is closed
        self.inner.checkpoint_now()
    }

    /// Makes the store as small on its medium as possible: makes a checkpoint, merges everything
    /// that it is stacked from, and verifies the result. Only then removes the older checkpoint
    /// and the log before the new one. Returns the identity of the newest checkpoint, or `None` if
    /// there was nothing to do. Readers and writers go on meanwhile.
    ///
    /// This reads and writes the whole store, and needs room for a second copy of it. With less, it
    /// merges a part of it at a time, as far as the room that this frees allows. Afterwards there
    /// is one checkpoint instead of two until the next one is made, so damage to it cannot be
    /// healed from an older one.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// store.collection("users")?.put("alice", "Alice Liddell")?;
    /// store.drop_collection("users")?;
    /// store.compact()?;
    /// assert_eq!(store.collections()?, []);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`checkpoint`](Store::checkpoint).
    pub fn compact(&self) -> Result<Option<CheckpointId>> {
        drop(self.inner.writer()?); // fails if the store is closed
        self.inner.compact()
    }

    /// The [owner](crate::StoreOptions::owner) that the store was opened with, if it is of this
    /// type. So the code that opens stores can find out what belongs to one of them.
    pub fn owner<O: Owner>(&self) -> Option<&O> {
        let owner: &dyn Any = &**self.inner.options.owner.as_ref()?;
        owner.downcast_ref()
    }

    /// What opening the store found and did.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Positions and sizes of the store, for monitoring.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// Ends writing. Waits for writes that are under way, makes a checkpoint if enough has changed,
    /// and closes the log cleanly, so that the next opening is quick. Later writes through any
    /// handle fail with [`Closed`](crate::Error::Closed); reads go on. Closing again is allowed.
    ///
    /// The medium, such as the lock on a directory, is released only when the last handle is
    /// dropped: every store, collection, commit and change feed. Until then opening it again fails
    /// with [`Locked`](crate::Error::Locked). If the last handle of a store that was not closed is
    /// dropped, the log is closed then, without a checkpoint, and errors are not reported. That
    /// drop waits for background work that is under way, without a limit.
    ///
    /// A background checkpoint that is under way is finished: this call would have to write the
    /// same again. Merging is cancelled and stops within milliseconds, with one exception: a flush
    /// of the disk (fsync) that is under way cannot be cut short. If the last handle is dropped
    /// without this call, or after this call has given up waiting, a background checkpoint stops in
    /// the same way.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::Error;
    /// let users = store.collection("users")?;
    /// store.close()?;
    /// assert!(matches!(users.put("alice", "Alice Liddell"), Err(Error::Closed)));
    /// assert_eq!(users.get("alice")?, None); // reads go on
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Errors from flushing the log, or from the checkpoint;
    /// [`StillClosing`](crate::Error::StillClosing) if they, or a write or transaction that is
    /// under way, do not end: then closing goes on in the background, and another call waits for it
    /// again. Also an error if the thread that closes the store could not be started.
    pub fn close(&self) -> Result<()> {
        self.inner.close_in_time()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    /// After this, the handles of the jobs are dropped, which ends the jobs. But a child made by
    /// `fork` does not have the parent's threads, so there the handles are given up without a wait.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Release);
        self.closing.store(true, Ordering::Release);
        if self.check_owner().is_err() {
            self.flusher.leave();
            self.checkpoint_job.leave();
            self.patrol_job.iter_mut().for_each(JobHandle::leave);
            std::mem::forget(Arc::clone(&self.merge_job));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.ownership.check_writable().is_ok() {
            let _ = self.close_log(); // documented: errors are not reported here
        }
    }
}
