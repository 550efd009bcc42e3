//! The write path: check, log, apply, wait for the disk, publish.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    Inner, Shared,
    locks::Guard,
    pending_write::{Finished, PendingWrite},
    room::Patience,
    space::{NoRoom, Purpose},
};
use crate::{
    CollectionId, Durability, Error, Log, Lsn, Result,
    collections::{Ends, Horizon, WriterToken},
    operation::{OPERATION_HEADER_BYTES, RECORD_HEADER_BYTES, decode},
    panics::guarded,
    sync::AtomicU64,
};

/// The size of the log on its medium is checked at the first commit, and once in this many.
const COMMITS_BETWEEN_LOOKS: u64 = 16;
/// Of one commit in this many it is measured how long it holds the writer's lock.
const COMMITS_BETWEEN_SAMPLES: u64 = 64;

/// What the writer's lock protects. The order in which threads take that lock is the order of
/// writes.
pub(super) struct Writer {
    pub(super) closed: bool,
    /// Lets the holder of this lock change the collections.
    pub(super) token: WriterToken,
    /// The bytes of the records in the active memtable.
    pub(super) record_bytes: u64,
    /// The position at which the last checkpoint began, whether it was finished or not.
    pub(super) checkpoint_begun: Lsn,
    /// Set if the log has no room for the record that is being built.
    pub(super) no_room: Option<NoRoom>,
    commits: u64,
    /// When the lock was taken, if that is measured.
    taken: Option<Instant>,
}

impl Writer {
    /// The state at opening: records of `record_bytes` bytes in total follow the checkpoint at
    /// position `checkpoint`.
    pub(super) fn new(token: WriterToken, record_bytes: u64, checkpoint: Lsn) -> Self {
        Self {
            closed: false,
            token,
            record_bytes,
            checkpoint_begun: checkpoint,
            no_room: None,
            commits: 0,
            taken: None,
        }
    }

    /// Whether anything has been written since the store was opened.
    pub(super) fn has_written(&self) -> bool {
        self.commits > 0
    }
}

/// For how long commits held the writer's lock, from a sample of them.
#[derive(Default)]
pub(super) struct Held {
    times: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Held {
    fn add(&self, held: Duration) {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(held.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The mean; `None` if there is no sample.
    pub(super) fn mean(&self) -> Option<Duration> {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        nanoseconds.checked_div(self.times.load(Ordering::Relaxed)).map(Duration::from_nanos)
    }
}

/// What an answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dependency {
    /// Everything up to this position has to be published before the answer is given. This is the
    /// position of the answer's own record or, if there is none, the highest position that was
    /// read.
    pub(super) lsn: Lsn,
    /// What everything up to that position must survive before the answer is given.
    pub(super) durability: Durability,
}

/// What is known about a record before it is built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// About how large the record will be, in bytes.
    pub(super) bytes: usize,
    /// Whether the pending write must support reading its own writes.
    pub(super) reads_own_writes: bool,
    /// What it will do.
    pub(super) purpose: Purpose,
}

impl Expected {
    /// A record of one change to a key, with a value of `value_len` bytes, or that only deletes.
    pub(super) fn one(key: &[u8], value_len: Option<usize>) -> Self {
        let bytes = RECORD_HEADER_BYTES + OPERATION_HEADER_BYTES + key.len() + value_len.unwrap_or(0);
        let purpose = if value_len.is_some() { Purpose::Puts } else { Purpose::Deletes };
        Self { bytes, reads_own_writes: false, purpose }
    }
}

/// Decides how far readers may see. That is never beyond the applied position, never beyond what is
/// with the kernel, and never as far as a [`Durability::Disk`] write that is not durable.
pub(super) struct Publication {
    /// The position at which this opening began.
    recovered: Lsn,
    /// The last position that is in the memtable. Only the writer raises it.
    applied: AtomicU64,
    /// The last position that was written with [`Durability::Disk`]. It is set before `applied`
    /// reaches that position.
    last_disk: AtomicU64,
    /// The last position that the log has confirmed as durable in this opening, so that an answer
    /// with [`Durability::Disk`] may depend on it.
    synced: AtomicU64,
}

impl Publication {
    pub(super) fn new(recovered: Lsn) -> Self {
        Self {
            recovered,
            applied: AtomicU64::new(recovered.0),
            last_disk: AtomicU64::new(0),
            synced: AtomicU64::new(0),
        }
    }

    pub(super) fn applied(&self) -> Lsn {
        Lsn(self.applied.load(Ordering::Acquire))
    }

    /// Records that `lsn` was applied. The caller holds the writer's lock.
    fn set_applied(&self, lsn: Lsn, durability: Durability) {
        if durability == Durability::Disk {
            self.last_disk.store(lsn.0, Ordering::Release);
        }
        self.applied.store(lsn.0, Ordering::Release);
    }

    /// Whether an answer that has to survive a power cut may depend on `lsn`.
    ///
    /// What recovery found is durable. But before an answer may depend on it, the log may first
    /// have to write proof of that to its medium, to be found after a crash. It does so when it is
    /// asked to sync, and with each flush.
    fn is_synced(&self, lsn: Lsn) -> bool {
        self.synced.load(Ordering::Acquire) >= lsn.0
    }

    fn set_synced(&self, lsn: Lsn) {
        self.synced.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// Publishes everything that readers may see. Takes no lock of the store. Any thread that has
    /// applied a record, or whose flush has ended, calls it.
    ///
    /// *Nothing is published too early.* `applied` is loaded before `last_disk`, and the writer
    /// stores them in the opposite order. So `last_disk` covers every `Disk` write up to the loaded
    /// `applied`. If the log is durable up to `last_disk`, readers may see everything that is with
    /// the kernel. Otherwise they may see only the durable part. What was published earlier stays
    /// published, because the horizon never moves back. If a `Process` write is followed by a
    /// `Disk` write before it is published, it has to wait for the flush, too.
    ///
    /// *Nothing is forgotten.* Each thread calls this after its own step, which raises either
    /// `applied` or the log's bounds. The log orders every read of its bounds before or after every
    /// change of them, by a lock or otherwise. So of two threads that call this at the same time,
    /// at least one sees both steps, and publishes what needs both.
    fn publish(&self, log: &dyn Log, horizon: &Horizon) {
        let applied = self.applied();
        let last_disk = Lsn(self.last_disk.load(Ordering::Acquire));
        let bounds = log.bounds();
        let seen_upto = if bounds.durable >= last_disk { bounds.written } else { bounds.durable };
        if bounds.durable > self.recovered {
            self.set_synced(bounds.durable);
        }
        horizon.publish(applied.min(seen_upto), bounds.durable);
    }
}

impl Inner {
    /// Runs `build` under the writer's lock, on the newest state, and commits the record that it
    /// builds. Returns the result of `build` once everything that the result depends on is
    /// published and as durable as requested.
    pub(super) fn write<T>(
        &self,
        durability: Durability,
        build: impl FnOnce(&mut PendingWrite<'_>) -> Result<T>,
        expected: Expected,
    ) -> Result<T> {
        let (answer, dependency) = self.write_unawaited(durability, build, expected, Patience::Waits)?;
        self.wait_for(dependency)?;
        answer
    }

    /// As [`write`](Inner::write), but returns at once, together with what has to be waited for
    /// before the result of `build` may be passed on. An error of its own depends on nothing.
    pub(super) fn write_unawaited<T>(
        &self,
        durability: Durability,
        build: impl FnOnce(&mut PendingWrite<'_>) -> Result<T>,
        expected: Expected,
        patience: Patience,
    ) -> Result<(Result<T>, Dependency)> {
        let (limits, Expected { bytes, reads_own_writes, purpose }) = (&self.options.limits, expected);
        let writer = self.writer_with_room(patience, purpose, bytes)?;
        let mut pending = PendingWrite::new(&self.collections, &writer.token, limits, bytes, reads_own_writes);
        match build(&mut pending) {
            Ok(value) => Ok((Ok(value), self.commit(pending.finish(), writer, durability)?)),
            Err(error) => Ok((Err(error), self.dependency_on(pending.observed().position(), durability))),
        }
    }

    /// Runs `read` under the writer's lock, on the newest state. Returns its result at once,
    /// together with what has to be waited for before that may be passed on.
    pub(super) fn read_newest<T>(
        &self,
        durability: Durability,
        read: impl FnOnce(&PendingWrite<'_>) -> Result<T>,
    ) -> Result<(Result<T>, Dependency)> {
        let writer = self.writer()?;
        let pending = PendingWrite::new(&self.collections, &writer.token, &self.options.limits, 0, false);
        let answer = read(&pending);
        Ok((answer, self.dependency_on(pending.observed().position(), durability)))
    }

    /// Logs the record, if there is one, applies it, and releases the writer's lock.
    ///
    /// Both happen under the writer's lock, so records are applied in the order of the log. The
    /// record is logged first, so a record that the log refuses was never in memory.
    pub(super) fn commit(
        &self,
        Finished { record, observed, popped }: Finished,
        mut writer: Guard<'_, Writer>,
        durability: Durability,
    ) -> Result<Dependency> {
        let Some(record) = record else {
            // A pop that finds nothing may have walked far, and is likely to come again.
            if !popped.is_empty() && !self.is_memtable_full(&writer) {
                self.note_popped(&mut writer, self.publication.applied(), popped);
            }
            return Ok(self.dependency_on(observed, durability));
        };
        if let Some(cause) = self.flush_failure.cause() {
            return Err(Error::Poisoned { cause });
        }
        let is_first = !writer.has_written();
        if is_first {
            self.confirm_owner()?;
        }
        let no_room = writer.no_room.take();
        let lsn = self.append(no_room, &record, durability)?;
        self.note_deletion(&record);
        self.apply(&mut writer, lsn, &record);
        self.note_popped(&mut writer, lsn, popped);
        self.publication.set_applied(lsn, durability);
        let checkpoint_due = self.note_growth(&mut writer, record.len());
        let taken = writer.taken;
        drop(writer);
        if let Some(taken) = taken {
            self.held.add(taken.elapsed());
        }

        if checkpoint_due {
            self.request_checkpoint();
        }
        if is_first {
            self.request_merge(); // an earlier opening may have ended before its merges did
        }
        if durability == Durability::Process {
            self.request_flush()?;
        }
        Ok(Dependency { lsn, durability })
    }

    /// Notes what a pending write found at the ends of collections. `lsn` is its position or, if it
    /// has none, the position that it was built on.
    fn note_popped(&self, writer: &mut Writer, lsn: Lsn, popped: HashMap<CollectionId, Ends>) {
        for (collection, ends) in popped {
            self.collections.narrow(&mut writer.token, lsn, collection, ends);
        }
    }

    /// What an answer that changes nothing depends on: what it read, up to `observed`. What a
    /// checkpoint holds is durable, so nothing has to wait for it.
    pub(super) fn dependency_on(&self, observed: Lsn, durability: Durability) -> Dependency {
        let is_held = observed <= self.collections.view().checkpoint_lsn();
        Dependency { lsn: if is_held { Lsn::START } else { observed }, durability }
    }

    /// Waits until an answer with this dependency may be given.
    pub(super) fn wait_for(&self, dependency: Dependency) -> Result<()> {
        self.check_owner()?;
        if dependency.durability == Durability::Disk && !self.publication.is_synced(dependency.lsn) {
            self.sync_log(dependency.lsn)?;
        }
        self.publish_upto(dependency.lsn)
    }

    /// Whether an answer with this dependency may be given now.
    pub(super) fn is_due(&self, dependency: Dependency) -> bool {
        let survives = dependency.durability == Durability::Process || self.publication.is_synced(dependency.lsn);
        survives && self.collections.horizon().published() >= dependency.lsn
    }

    /// Makes sure that the dependency will be satisfied soon, even if no thread waits for it.
    pub(super) fn prepare_for(&self, dependency: Dependency) {
        self.publish();
        // If the flusher is dead, `request_flush_now` records that, and waiting returns the error.
        if dependency.durability == Durability::Disk && !self.is_due(dependency) {
            let _ = self.request_flush_now();
        }
    }

    /// Applies a record that was just logged, with the code that replays it at opening. This cannot
    /// fail. If it panics, the writer's lock is poisoned, and no more writes are taken.
    #[expect(clippy::expect_used, reason = "the record was built by this process: no input can break it")]
    fn apply(&self, writer: &mut Writer, lsn: Lsn, record: &[u8]) {
        let operations = decode(record, lsn).expect("a record that was just built is valid");
        let operations = operations.map(|operation| operation.expect("an operation that was just built is valid"));
        self.collections.apply(&mut writer.token, lsn, operations);
    }

    /// Counts what was logged, freezes the memtable if it is full, and returns whether a checkpoint
    /// is due.
    fn note_growth(&self, writer: &mut Writer, record_bytes: usize) -> bool {
        writer.record_bytes += record_bytes as u64;
        writer.commits += 1;
        self.owe(record_bytes);
        let is_full = self.is_memtable_full(writer);
        if is_full {
            self.freeze(writer);
        }
        // The first commit looks at everything, because what is due may be from an earlier opening,
        // and opening a store writes nothing.
        let is_first = writer.commits == 1;
        let looks = is_first || writer.commits.is_multiple_of(COMMITS_BETWEEN_LOOKS);
        is_full
            || (is_first && self.collections.frozen() > 0)
            || (looks && self.log_has_outgrown(writer.checkpoint_begun))
    }
}

impl Shared {
    /// Takes the writer's lock, if the store is open.
    ///
    /// # Errors
    /// [`Closed`](Error::Closed); otherwise as [`lock_writer`](Shared::lock_writer).
    pub(super) fn writer(&self) -> Result<Guard<'_, Writer>> {
        let mut writer = self.lock_writer()?;
        if writer.closed {
            return Err(Error::Closed);
        }
        // Not the first one, which has the log begin its first segment.
        writer.taken = (writer.commits + 1).is_multiple_of(COMMITS_BETWEEN_SAMPLES).then(Instant::now);
        Ok(writer)
    }

    /// Takes the writer's lock.
    ///
    /// # Errors
    /// As [`check_lockable`](Shared::check_lockable). Also [`Poisoned`](Error::Poisoned) if a
    /// writer panicked and may have left the state half changed.
    pub(super) fn lock_writer(&self) -> Result<Guard<'_, Writer>> {
        self.check_lockable()?;
        let panicked = || Error::Misuse("a thread panicked while it changed the store".into());
        self.writer.lock().map(Guard::new).map_err(|_| Error::Poisoned { cause: Arc::new(panicked()) })
    }

    /// Fails if this thread must not ask for the writer's lock. Waits for nothing.
    ///
    /// # Errors
    /// [`Forked`](Error::Forked); [`Poisoned`](Error::Poisoned) if the medium no longer belongs to
    /// this process; [`InTransaction`](Error::InTransaction) if this thread holds the lock already.
    pub(super) fn check_lockable(&self) -> Result<()> {
        self.ownership.check_writable()?;
        if self.reentrancy.is_here() { Err(Error::InTransaction) } else { Ok(()) }
    }

    /// Waits until `lsn` is published. Syncs the log up to it if necessary.
    ///
    /// One sync is enough: `lsn` was applied before this is called, and afterwards it is durable,
    /// so the second `publish` publishes it.
    pub(super) fn publish_upto(&self, lsn: Lsn) -> Result<()> {
        self.check_owner()?;
        self.publish();
        if self.collections.horizon().published() < lsn {
            self.sync_log(lsn)?;
            self.publish();
        }
        Ok(())
    }

    /// Publishes everything that readers may see, and wakes the threads that wait for it. The
    /// positions are raised before the waiters are examined; see
    /// [`Waiters`](super::waiters::Waiters).
    pub(super) fn publish(&self) {
        let horizon = self.collections.horizon();
        self.publication.publish(&*self.log, horizon);
        self.for_published.wake(horizon.published());
        self.for_settled.wake(horizon.settled());
    }

    pub(super) fn sync(&self) -> Result<()> {
        let applied = self.publication.applied();
        self.sync_log(applied)?;
        self.publish_upto(applied)
    }

    /// Flushes the log up to `upto`. If that fails for good, wakes all waiters, because some of
    /// them may depend on this flush alone.
    pub(super) fn sync_log(&self, upto: Lsn) -> Result<()> {
        self.check_owner()?;
        if let Some(cause) = self.flush_failure.cause()
            && self.log.bounds().durable < upto
        {
            return Err(Error::OutcomeUnknown { cause });
        }
        match guarded("the log", || self.log.sync(upto)) {
            Ok(durable) => {
                self.publication.set_synced(durable);
                Ok(())
            }
            // Nothing that this opening wrote had to be flushed. So the medium only refused what
            // the log has to write before its first record, and the flush may be tried again.
            Err(refusal @ (Error::DiskFull { .. } | Error::Io { .. })) if upto <= self.recovery.position => {
                Err(refusal)
            }
            Err(error) => Err(self.fail_flush(error)),
        }
    }

    /// Whether the log has taken too much of its medium since the last checkpoint began, at this
    /// position.
    pub(super) fn log_has_outgrown(&self, checkpoint_begun: Lsn) -> bool {
        self.log.medium_bytes_after(checkpoint_begun) >= self.options.checkpoint_medium_bytes
    }
}
