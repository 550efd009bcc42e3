//! The write path: check, log, apply, wait for the disk, publish.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Inner, Shared,
    locks::Guard,
    pending_write::{Finished, PendingWrite},
};
use crate::{
    Durability, Error, Log, Lsn, Result,
    collections::{Horizon, WriterToken},
    operation::{OPERATION_HEADER_BYTES, RECORD_HEADER_BYTES, decode},
    panics::guarded,
    sync::AtomicU64,
};

/// The log's size on its medium is looked at once in so many commits: often enough, and not each time.
const COMMITS_BETWEEN_LOOKS: u64 = 256;

/// What only the writer has. Its lock makes the order of writes.
pub(super) struct Writer {
    pub(super) closed: bool,
    /// Lets the holder of this lock change the collections.
    pub(super) token: WriterToken,
    /// The bytes of the records since the last checkpoint began.
    pub(super) record_bytes: u64,
    /// The position at which the last checkpoint began, whether it was finished or not.
    pub(super) checkpoint_begun: Lsn,
    commits: u64,
}

impl Writer {
    /// With records of so many bytes since the checkpoint.
    pub(super) fn new(token: WriterToken, record_bytes: u64, checkpoint: Lsn) -> Self {
        Self { closed: false, token, record_bytes, checkpoint_begun: checkpoint, commits: 0 }
    }

    /// Whether anything was written since the store was opened.
    pub(super) fn has_written(&self) -> bool {
        self.commits > 0
    }
}

/// What an answer rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dependency {
    /// The position up to which everything has to be published before the answer is given: that of
    /// its own record or, if there is none, the highest that was looked at.
    pub(super) lsn: Lsn,
    /// What everything up to that position has to survive by then.
    pub(super) durability: Durability,
}

/// What is known of a record before it is drafted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// About how large it will be, in bytes.
    pub(super) bytes: usize,
    /// Whether it is read what was drafted.
    pub(super) reads_own_writes: bool,
}

impl Expected {
    /// A record of one change to a key, and a value of so many bytes.
    pub(super) fn one(key: &[u8], value_len: usize) -> Self {
        Self { bytes: RECORD_HEADER_BYTES + OPERATION_HEADER_BYTES + key.len() + value_len, reads_own_writes: false }
    }
}

/// How far readers may see: `min(applied, with the kernel, the first Disk position that is not durable - 1)`.
pub(super) struct Publication {
    /// Where this opening began.
    recovered: Lsn,
    applied: AtomicU64,
    /// The last position that was written with [`Durability::Disk`]; set before `applied` reaches it.
    last_disk: AtomicU64,
    /// The last position for which the log answers, so that an answer may rest on it.
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

    /// Takes note that `lsn` was applied. For the writer only.
    fn set_applied(&self, lsn: Lsn, durability: Durability) {
        if durability == Durability::Disk {
            self.last_disk.store(lsn.0, Ordering::Release);
        }
        self.applied.store(lsn.0, Ordering::Release);
    }

    /// Whether an answer may rest on `lsn` that has to survive a power cut.
    ///
    /// What recovery found is durable, but a log may have to note that, where it would find it
    /// after a crash, before it answers for it. It does so when it is asked to sync, and with each
    /// flush.
    fn is_synced(&self, lsn: Lsn) -> bool {
        self.synced.load(Ordering::Acquire) >= lsn.0
    }

    fn set_synced(&self, lsn: Lsn) {
        self.synced.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// Publishes what may be seen.
    ///
    /// `applied` is loaded before `last_disk`: so every `Disk` position up to the one is at most the other. While a `Disk` write is not
    /// durable, nothing above the durable position is published; what came before the first such write was published when it was made.
    ///
    /// A thread that has applied a record, or whose flush has ended, calls this afterwards. If two
    /// do so at once, one of them sees what both have done, as long as the log orders flushes and
    /// looks at its bounds, by a lock or otherwise. So no position is left unpublished or
    /// unsettled.
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
    /// Has `build` pending a record under the writer's lock, on the newest state, and commits that. Returns what `build` returned, when the record, or what
    /// the answer rests on, is durable as asked, and published.
    pub(super) fn write<T>(
        &self,
        durability: Durability,
        build: impl FnOnce(&mut PendingWrite<'_>) -> Result<T>,
        expected: Expected,
    ) -> Result<T> {
        let (value, dependency) = self.write_deferred(durability, build, expected)?;
        self.wait_for(dependency)?;
        Ok(value)
    }

    /// As [`write`](Inner::write), but returns at once, and what has to be waited for.
    pub(super) fn write_deferred<T>(
        &self,
        durability: Durability,
        build: impl FnOnce(&mut PendingWrite<'_>) -> Result<T>,
        expected: Expected,
    ) -> Result<(T, Dependency)> {
        let writer = self.writer()?;
        let (limits, Expected { bytes, reads_own_writes }) = (&self.options.limits, expected);
        let mut pending = PendingWrite::new(&self.collections, &writer.token, limits, bytes, reads_own_writes);
        match build(&mut pending) {
            Ok(value) => Ok((value, self.commit(pending.finish(), writer, durability)?)),
            Err(error) => Err(self.fail_after_publish(pending.observed().position(), writer, durability, error)),
        }
    }

    /// Logs the record, if there is one, applies it, and lets the next writer in.
    pub(super) fn commit(
        &self,
        Finished { record, observed }: Finished,
        mut writer: Guard<'_, Writer>,
        durability: Durability,
    ) -> Result<Dependency> {
        let Some(record) = record else { return Ok(self.dependency_on(observed, durability)) };
        if let Some(cause) = self.flush_failure.cause() {
            return Err(Error::Poisoned { cause });
        }
        if !writer.has_written() {
            self.confirm_owner()?;
        }
        let lsn = self.log.append(&record, durability)?;
        self.apply(&mut writer, lsn, &record);
        self.publication.set_applied(lsn, durability);
        let checkpoint_due = self.note_growth(&mut writer, record.len());
        drop(writer);

        if checkpoint_due {
            self.request_checkpoint();
        }
        if durability == Durability::Process {
            self.request_flush()?;
        }
        Ok(Dependency { lsn, durability })
    }

    /// What an answer rests on that changes nothing: what was looked at. What a checkpoint holds is
    /// on disk.
    pub(super) fn dependency_on(&self, observed: Lsn, durability: Durability) -> Dependency {
        let is_held = observed <= self.collections.view().checkpoint_lsn();
        Dependency { lsn: if is_held { Lsn::START } else { observed }, durability }
    }

    /// Waits until an answer can be given.
    pub(super) fn wait_for(&self, dependency: Dependency) -> Result<()> {
        self.check_owner()?;
        if dependency.durability == Durability::Disk && !self.publication.is_synced(dependency.lsn) {
            self.sync_log(dependency.lsn)?;
        }
        self.publish_upto(dependency.lsn)
    }

    /// Whether an answer can be given now.
    pub(super) fn is_due(&self, dependency: Dependency) -> bool {
        let survives = dependency.durability == Durability::Process || self.publication.is_synced(dependency.lsn);
        survives && self.collections.horizon().published() >= dependency.lsn
    }

    /// Makes sure that an answer can be given soon, even if nobody waits for it.
    pub(super) fn prepare_for(&self, dependency: Dependency) {
        self.publish();
        // If the flusher is dead, that is noted, and waiting for the answer gives the error.
        if dependency.durability == Durability::Disk && !self.is_due(dependency) {
            let _ = self.request_flush_now();
        }
    }

    /// Gives an error once what it rests on, which was looked at, is durable as asked, and
    /// published.
    pub(super) fn fail_after_publish<E: From<Error>>(
        &self,
        observed: Lsn,
        writer: Guard<'_, Writer>,
        durability: Durability,
        error: E,
    ) -> E {
        let dependency = self.dependency_on(observed, durability);
        drop(writer);
        self.wait_for(dependency).map_or_else(E::from, |()| error)
    }

    /// Applies a record that was just logged, by the code that replays it. It cannot fail; should it panic, the writer's lock takes no more
    /// writes.
    #[expect(clippy::expect_used, reason = "the record was built by this process: no input can break it")]
    fn apply(&self, writer: &mut Writer, lsn: Lsn, record: &[u8]) {
        let operations = decode(record, lsn).expect("a record that was just built is valid");
        let operations = operations.map(|operation| operation.expect("an operation that was just built is valid"));
        self.collections.apply(&mut writer.token, lsn, operations);
    }

    /// Counts what was logged, and says whether a checkpoint is due.
    fn note_growth(&self, writer: &mut Writer, record_bytes: usize) -> bool {
        writer.record_bytes += record_bytes as u64;
        writer.commits += 1;
        writer.record_bytes >= self.options.checkpoint_record_bytes
            || (writer.commits.is_multiple_of(COMMITS_BETWEEN_LOOKS) && self.log_has_outgrown(writer))
    }
}

impl Shared {
    /// The writer's lock, of a store that is open.
    ///
    /// # Errors
    /// [`Closed`](Error::Closed); otherwise as [`lock_writer`](Shared::lock_writer).
    pub(super) fn writer(&self) -> Result<Guard<'_, Writer>> {
        let writer = self.lock_writer()?;
        if writer.closed { Err(Error::Closed) } else { Ok(writer) }
    }

    /// The writer's lock.
    ///
    /// # Errors
    /// [`Forked`](Error::Forked); [`Poisoned`](Error::Poisoned) if a writer panicked and so may
    /// have left something half done, or the medium is another's;
    /// [`InTransaction`](Error::InTransaction) if this thread has it already.
    pub(super) fn lock_writer(&self) -> Result<Guard<'_, Writer>> {
        self.ownership.check_writable()?;
        if self.reentrancy.is_here() {
            return Err(Error::InTransaction);
        }
        let panicked = || Error::Misuse("a thread panicked while it changed the store".into());
        self.writer.lock().map(Guard::new).map_err(|_| Error::Poisoned { cause: Arc::new(panicked()) })
    }

    /// Waits until `lsn` is published; syncs the log up to it if that is what it takes.
    pub(super) fn publish_upto(&self, lsn: Lsn) -> Result<()> {
        self.check_owner()?;
        self.publish();
        if self.collections.horizon().published() < lsn {
            self.sync_log(lsn)?;
            self.publish();
        }
        Ok(())
    }

    /// Publishes what may be seen, and wakes those who wait for it.
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

    /// Has the log flushed up to `upto`. If that fails, all who wait hear of it: some of them may rest on this flush alone.
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
            // Nothing that this opening wrote was to be flushed. So the log was refused what it
            // needs to begin with, and may be asked again.
            Err(refusal @ (Error::DiskFull { .. } | Error::Io { .. })) if upto <= self.recovery.position => {
                Err(refusal)
            }
            Err(error) => Err(self.fail_flush(error)),
        }
    }

    /// Whether the log takes too much of its medium since the last checkpoint began.
    pub(super) fn log_has_outgrown(&self, writer: &Writer) -> bool {
        self.log.medium_bytes_after(writer.checkpoint_begun) >= self.options.checkpoint_medium_bytes
    }
}
