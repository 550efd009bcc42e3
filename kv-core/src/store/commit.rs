//! The write path: check, log, apply, wait for the disk, publish.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Inner, Mismatch, Shared,
    write::{self, Write},
};
use crate::{
    CollectionId, Durability, Error, Log, Lsn, Result,
    collections::{Horizon, Superseded},
    operation::{Operation, RecordBuilder, decode},
    sync::{AtomicU64, MutexGuard},
};

/// The log's size on its medium is looked at once in so many commits: often enough, and not each time.
const COMMITS_BETWEEN_LOOKS: u64 = 256;

/// What only the writer has. Its lock makes the order of writes.
pub(super) struct Writer {
    pub(super) closed: bool,
    pub(super) superseded: Superseded,
    /// The bytes of the records since the last checkpoint began.
    pub(super) record_bytes: u64,
    /// The position at which the last checkpoint began, whether it was finished or not.
    pub(super) checkpoint_begun: Lsn,
    commits: u64,
}

impl Writer {
    /// With records of so many bytes since the checkpoint.
    pub(super) fn new(record_bytes: u64, checkpoint: Lsn) -> Self {
        Self {
            closed: false,
            superseded: Superseded::default(),
            record_bytes,
            checkpoint_begun: checkpoint,
            commits: 0,
        }
    }

    /// Whether anything was written since the store was opened.
    pub(super) fn has_written(&self) -> bool {
        self.commits > 0
    }
}

/// How far readers may see: `min(applied, with the kernel, the first Disk position that is not durable - 1)`.
pub(super) struct Publication {
    applied: AtomicU64,
    /// The last position that was written with [`Durability::Disk`]; set before `applied` reaches it.
    last_disk: AtomicU64,
}

impl Publication {
    pub(super) fn new(recovered: Lsn) -> Self {
        Self { applied: AtomicU64::new(recovered.0), last_disk: AtomicU64::new(0) }
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

    /// Publishes what may be seen.
    ///
    /// `applied` is loaded before `last_disk`: so every `Disk` position up to the one is at most the other. While a `Disk` write is not
    /// durable, nothing above the durable position is published; what came before the first such write was published when it was made.
    fn publish(&self, log: &dyn Log, horizon: &Horizon) {
        let applied = self.applied();
        let last_disk = Lsn(self.last_disk.load(Ordering::Acquire));
        let bounds = log.bounds();
        let seen_upto = if bounds.durable >= last_disk { bounds.written } else { bounds.durable };
        horizon.publish(applied.min(seen_upto));
    }
}

impl Inner {
    /// Makes the writes, all or none, and returns how many keys were deleted, when that is durable as asked, and published.
    pub(super) fn write(&self, writes: &[Write<'_>], durability: Durability) -> Result<usize> {
        let bytes_expected = write::check(&self.options.limits, writes)?;
        let writer = self.writer()?;
        self.make(writer, writes, bytes_expected, durability)
    }

    /// Makes the write if its key holds `expected`; the value that it holds is looked at under the lock that orders the write.
    pub(super) fn write_if(
        &self,
        write: Write<'_>,
        expected: Option<&[u8]>,
        durability: Durability,
    ) -> Result<Result<(), Mismatch>> {
        let bytes_expected = write::check(&self.options.limits, &[write])?;
        let writer = self.writer()?;
        match self.collections.get_newest(write.collection, write.key) {
            Ok(actual) if actual.as_deref() == expected => {
                self.make(writer, &[write], bytes_expected, durability).map(|_| Ok(()))
            }
            Ok(actual) => self.answer(writer, Ok(Err(Mismatch { actual }))),
            Err(error) => self.answer(writer, Err(error)),
        }
    }

    fn make(
        &self,
        writer: MutexGuard<'_, Writer>,
        writes: &[Write<'_>],
        bytes_expected: usize,
        durability: Durability,
    ) -> Result<usize> {
        match write::build(&self.collections, &self.options.limits, writes, bytes_expected) {
            Ok((Some(record), deleted)) => self.commit(writer, &record, durability).map(|()| deleted),
            Ok((None, _)) => self.answer(writer, Ok(0)),
            Err(error) => self.answer(writer, Err(error)),
        }
    }

    /// Creates or drops a collection, as `decide` says given the present one; `false` if it has nothing to do.
    pub(super) fn change_name<'a>(
        &self,
        name: &str,
        decide: impl FnOnce(Option<CollectionId>) -> Result<Option<Operation<'a>>>,
    ) -> Result<bool> {
        let writer = self.writer()?;
        match decide(self.collections.names.newest(name)) {
            Ok(Some(operation)) => {
                let mut record = RecordBuilder::with_capacity(0);
                record.push(&operation);
                self.commit(writer, &record.finish(), self.options.durability).map(|()| true)
            }
            Ok(None) => self.answer(writer, Ok(false)),
            Err(error) => self.answer(writer, Err(error)),
        }
    }

    /// Logs the record, applies it, lets the next writer in, and waits until it is durable as asked, and published.
    fn commit(&self, mut writer: MutexGuard<'_, Writer>, record: &[u8], durability: Durability) -> Result<()> {
        self.options.limits.check_batch(record.len())?; // creating collections has made it longer
        let lsn = self.log.append(record, durability)?;
        self.apply(&mut writer, lsn, record);
        self.publication.set_applied(lsn, durability);
        let checkpoint_due = self.note_growth(&mut writer, record.len());
        drop(writer);

        if checkpoint_due {
            self.checkpoint_job.wake();
        }
        if durability == Durability::Process {
            self.want_flush();
        } else {
            self.log.sync(lsn)?;
        }
        self.publish_upto(lsn)
    }

    /// Gives an answer that rests on what was applied, once that is published.
    fn answer<T>(&self, writer: MutexGuard<'_, Writer>, answer: Result<T>) -> Result<T> {
        let rests_on = self.publication.applied();
        drop(writer);
        self.publish_upto(rests_on)?;
        answer
    }

    /// Applies a record that was just logged, by the code that replays it. It cannot fail; should it panic, the writer's lock takes no more
    /// writes.
    #[expect(clippy::expect_used, reason = "the record was built by this process: no input can break it")]
    fn apply(&self, writer: &mut Writer, lsn: Lsn, record: &[u8]) {
        self.collections.prune(&mut writer.superseded);
        let operations = decode(record, lsn).expect("a record that was just built is valid");
        for (index, operation) in (0..).zip(operations) {
            let operation = operation.expect("an operation that was just built is valid");
            self.collections.apply(lsn, index, &operation, &mut writer.superseded);
        }
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
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.lock_writer()?;
        if writer.closed { Err(Error::Closed) } else { Ok(writer) }
    }

    /// The writer's lock.
    ///
    /// # Errors
    /// [`Poisoned`](Error::Poisoned) if a writer panicked and so may have left something half done.
    pub(super) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let panicked = || Error::Misuse("a thread panicked while it changed the store");
        self.writer.lock().map_err(|_| Error::Poisoned { cause: Arc::new(panicked()) })
    }

    /// Waits until `lsn` is published; syncs the log up to it if that is what it takes.
    pub(super) fn publish_upto(&self, lsn: Lsn) -> Result<()> {
        let horizon = self.collections.horizon();
        self.publication.publish(&*self.log, horizon);
        if horizon.published() < lsn {
            self.log.sync(lsn)?;
            self.publication.publish(&*self.log, horizon);
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<()> {
        let applied = self.publication.applied();
        self.log.sync(applied)?;
        self.publish_upto(applied)
    }

    /// Whether the log takes too much of its medium since the last checkpoint began.
    pub(super) fn log_has_outgrown(&self, writer: &Writer) -> bool {
        self.log.medium_bytes_after(writer.checkpoint_begun) >= self.options.checkpoint_medium_bytes
    }
}
