//! Room on the medium: kept back for the checkpoint that frees the log, and made when a write finds
//! none.
//!
//! The log takes no room below a limit that is set here: what the next checkpoint needs, and a
//! little more for records that only delete. A write that finds no room above that limit has no
//! position yet. It releases the writer's lock, and then the log is freed, in steps, until there is
//! room:
//!
//! 1. A checkpoint is made, which allows the log to be trimmed to the one before it.
//! 2. The newest checkpoint is verified. The older one is removed, and the log is trimmed to the
//!    newest.
//! 3. Everything is merged, which frees what overwritten and deleted entries take.
//! 4. If the record only deletes, it may use the room that is kept for such records.
//!
//! A write that does not wait is refused instead, and the first two steps are left to the
//! background.
//!
//! What is deleted in this way leaves with the next checkpoint, whose room is still there. So a
//! full store can always be emptied.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Inner, Shared, commit::Writer, locks::Guard, room::Patience};
use crate::{
    CheckpointId, Durability, Effort, Error, Lsn, NAME_BYTES_MAX, Result, StoreOptions,
    operation::{OPERATION_HEADER_BYTES, Operation, RECORD_HEADER_BYTES, decode},
    panics::guarded,
    sync::{Mutex, lock},
};

/// How much a checkpoint may take in addition to the changes that it writes, in bytes.
const FILES_BYTES: u64 = 64 << 10;
/// A closure runs only if there is room for a record of this many bytes. If its record is longer
/// and finds no room, nothing of it was written.
const CLOSURE_BYTES_MAX: usize = 64 << 10;
/// While room was made in vain so recently, it is not tried again: it may read and write the whole
/// store.
const VAIN_INTERVAL: Duration = Duration::from_secs(5);
/// How long a write waits between two looks at whether another thread has made room.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How many bytes of changes a checkpoint is expected to write at most, if it is only made by call.
const CHANGED_BYTES: u64 = 1 << 20;
/// A record may be longer than the caller of [`Inner::writer_with_room`] knows by this many bytes,
/// because it may have to create its collection.
const CREATION_BYTES: usize = RECORD_HEADER_BYTES + OPERATION_HEADER_BYTES + NAME_BYTES_MAX;
/// The part of a checkpoint's threshold that is kept for records that only delete ...
const DELETIONS_PART: u64 = 4;
/// ... but at least this many bytes, which is enough for a few short segments of a log.
const DELETIONS_BYTES_MIN: u64 = 128 << 10;

/// What is known about the room on the medium.
pub(super) struct Space {
    /// How many bytes of changes a checkpoint is expected to write at most.
    changed_bytes: u64,
    /// The length in bytes of a record for which there must be room before a closure runs.
    pub(super) closure_bytes: usize,
    /// How many bytes are kept for records that only delete.
    deletions_bytes: u64,
    /// Whether a write that does not wait has found no room.
    wanted: AtomicBool,
    /// Held by the thread that makes room. Taken before all other locks of the store, and only
    /// tried: a waker that runs in that thread may write to the store.
    making_room: Mutex<()>,
    /// When room was last made in vain; `None` if something was deleted since, which may make room.
    vain: Mutex<Option<Instant>>,
    /// Whether `vain` has a time, so that writers need not lock it.
    is_vain: AtomicBool,
    /// The newest checkpoint, if it was verified to make room.
    verified: Mutex<Option<CheckpointId>>,
}

/// Why only a record that deletes may be logged.
pub(super) struct NoRoom {
    refusal: Error,
    /// Whether such a record finds room.
    for_deletions: bool,
}

impl NoRoom {
    /// Fails unless there is room for a record that only deletes.
    pub(super) fn check_deletions(self) -> Result<Self> {
        if self.for_deletions { Ok(self) } else { Err(self.refusal) }
    }

    /// Fails unless the record only deletes.
    pub(super) fn check_record(self, record: &[u8]) -> Result<()> {
        if only_deletes(record) { Ok(()) } else { Err(self.refusal) }
    }
}

impl Space {
    pub(super) fn new(options: &StoreOptions) -> Self {
        let threshold_or = |threshold, default| if threshold == u64::MAX { default } else { threshold };
        let changed_bytes = threshold_or(options.checkpoint_record_bytes, CHANGED_BYTES);
        let medium_bytes = threshold_or(options.checkpoint_medium_bytes, 0);
        Self {
            changed_bytes,
            closure_bytes: options.limits.batch_bytes_max.min(CLOSURE_BYTES_MAX),
            deletions_bytes: (medium_bytes / DELETIONS_PART).max(DELETIONS_BYTES_MIN),
            wanted: AtomicBool::new(false),
            making_room: Mutex::default(),
            vain: Mutex::default(),
            is_vain: AtomicBool::new(false),
            verified: Mutex::default(),
        }
    }

    /// How many bytes of the medium any record leaves free that does not only delete, if changes of
    /// `memory_bytes` bytes are in memory. The next checkpoint writes these changes. And when it
    /// has, there must still be room for deletions, and for the checkpoint after them.
    pub(super) fn kept(&self, memory_bytes: u64) -> u64 {
        let changed = self.changed_bytes.max(memory_bytes).saturating_mul(2);
        FILES_BYTES.saturating_add(changed).saturating_add(self.deletions_bytes)
    }
}

impl Inner {
    /// Returns the writer's lock when there is room in the log for a record of up to `record_bytes`
    /// bytes. Makes room if there is none, for which it releases the lock. If that fails, says so
    /// in [`Writer::no_room`].
    pub(super) fn with_room_in_log<'a>(
        &'a self,
        mut writer: Guard<'a, Writer>,
        patience: Patience,
        record_bytes: usize,
    ) -> Result<Guard<'a, Writer>> {
        let record_bytes = record_bytes + CREATION_BYTES;
        if !writer.has_written() && patience == Patience::Waits && self.log_has_outgrown(writer.checkpoint_begun) {
            // Earlier openings were ended before they could finish the checkpoint that was due, and
            // so may this one be. A failure is reported in the statistics.
            drop(writer);
            let _ = self.checkpoint(&|| false);
            writer = self.writer()?;
        }
        match self.log.make_room(record_bytes, self.kept()) {
            Ok(()) => {
                writer.no_room = None;
                Ok(writer)
            }
            Err(Error::DiskFull { .. }) if patience == Patience::Waits => {
                drop(writer);
                self.writer_after_making_room(record_bytes)
            }
            Err(refusal @ Error::DiskFull { .. }) => {
                drop(writer);
                self.space.wanted.store(true, Ordering::Release);
                self.request_checkpoint();
                Err(refusal)
            }
            Err(error) => Err(error),
        }
    }

    fn writer_after_making_room(&self, record_bytes: usize) -> Result<Guard<'_, Writer>> {
        let started = Instant::now();
        let making_room = loop {
            // A checkpoint that is under way makes room by itself, or may never end.
            if let Ok(guard) = self.space.making_room.try_lock()
                && self.checkpoint.try_lock().is_ok()
            {
                break guard;
            }
            match self.try_room(record_bytes)? {
                Ok(writer) => return Ok(writer),
                Err(refusal) if started.elapsed() >= self.options.room_wait => return Err(refusal),
                Err(_) => thread::sleep(LOOK_INTERVAL),
            }
        };
        if let Ok(writer) = self.try_room(record_bytes)? {
            return Ok(writer); // another thread has just made room
        }
        let was_vain = lock(&self.space.vain).is_some_and(|vain| vain.elapsed() < VAIN_INTERVAL);
        let steps = if was_vain { &MAKING_ROOM[..0] } else { &MAKING_ROOM };
        for step in steps {
            step(self, &|| self.is_closing());
            if let Ok(writer) = self.try_room(record_bytes)? {
                return Ok(writer);
            }
        }
        if !was_vain {
            *lock(&self.space.vain) = Some(Instant::now());
            self.space.is_vain.store(true, Ordering::Relaxed);
        }
        drop(making_room);
        let refusal = match self.try_room(record_bytes)? {
            Ok(writer) => return Ok(writer),
            Err(refusal) => refusal,
        };
        let mut writer = self.writer()?;
        let for_deletions = match self.log.make_room(record_bytes, FILES_BYTES) {
            Ok(()) => true,
            Err(Error::DiskFull { .. }) => false,
            Err(error) => return Err(error),
        };
        writer.no_room = Some(NoRoom { refusal, for_deletions });
        Ok(writer)
    }

    /// The writer's lock if there is room now, or why there is none.
    fn try_room(&self, record_bytes: usize) -> Result<Result<Guard<'_, Writer>>> {
        let mut writer = self.writer()?;
        match self.log.make_room(record_bytes, self.kept()) {
            Ok(()) => {
                writer.no_room = None;
                Ok(Ok(writer))
            }
            Err(refusal @ Error::DiskFull { .. }) => Ok(Err(refusal)),
            Err(error) => Err(error),
        }
    }

    /// Notes a record that was logged. If it only deletes, making room is no longer in vain.
    pub(super) fn note_deletion(&self, record: &[u8]) {
        if self.space.is_vain.load(Ordering::Relaxed) && only_deletes(record) {
            self.space.is_vain.store(false, Ordering::Relaxed);
            *lock(&self.space.vain) = None;
        }
    }

    /// Appends a record that only deletes, for which there is room only because of that. The room
    /// that is kept for the next checkpoint is kept again from then on.
    pub(super) fn append_deletion(&self, no_room: NoRoom, record: &[u8], durability: Durability) -> Result<Lsn> {
        no_room.check_record(record)?;
        let appended = self.log.append(record, durability);
        let _ = self.log.make_room(0, self.kept()); // there is none, as is known
        appended
    }
}

/// A step that makes room, unless it is cancelled.
type MakeRoom = fn(&Shared, &dyn Fn() -> bool);

/// The steps that make room, in this order, each only if those before it were not enough. Failures
/// are reported in the statistics.
const MAKING_ROOM: [MakeRoom; 3] = [
    |shared, cancelled| drop(shared.checkpoint(cancelled)),
    |shared, cancelled| drop(shared.let_older_checkpoints_go(cancelled)),
    |shared, cancelled| {
        let _ = shared.merge(Effort::Full, cancelled);
        let _ = shared.let_older_checkpoints_go(cancelled);
    },
];

impl Shared {
    /// Makes room in the background if a write that does not wait has found none.
    pub(super) fn make_room_if_wanted(&self, cancelled: &dyn Fn() -> bool) -> Result<()> {
        if self.space.wanted.swap(false, Ordering::AcqRel) {
            self.checkpoint(cancelled)?;
            self.let_older_checkpoints_go(cancelled)?;
        }
        Ok(())
    }

    /// How many bytes of the medium a record leaves free that does not only delete.
    fn kept(&self) -> u64 {
        let memory_bytes = if self.has_no_threshold() { 0 } else { self.collections.unwritten_bytes() };
        self.space.kept(memory_bytes)
    }

    /// Verifies the newest checkpoint, removes all before it, and trims the log up to it. Returns
    /// whether a checkpoint was removed.
    ///
    /// Checkpoints and merges go on meanwhile. What they make is newer, and stays.
    ///
    /// # Errors
    /// As [`Checkpointer::verify`](crate::Checkpointer::verify): nothing was removed.
    pub(super) fn let_older_checkpoints_go(&self, cancelled: &dyn Fn() -> bool) -> Result<bool> {
        guarded("the checkpoint", || {
            self.confirm_owner()?;
            loop {
                let Some(newest) = self.collections.checkpoint_id() else { return Ok(false) };
                match self.verify_once(newest, cancelled) {
                    Ok(()) => return self.release_all_before(newest),
                    // A merge has replaced it meanwhile, so it was removed.
                    Err(_) if self.collections.checkpoint_id() != Some(newest) => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn verify_once(&self, id: CheckpointId, cancelled: &dyn Fn() -> bool) -> Result<()> {
        if *lock(&self.space.verified) != Some(id) {
            self.checkpointer.verify(id, cancelled)?;
            *lock(&self.space.verified) = Some(id);
        }
        Ok(())
    }
}

/// Whether a record deletes something, and puts nothing. (Emptying a collection creates it again.)
fn only_deletes(record: &[u8]) -> bool {
    let Ok(operations) = decode(record, Lsn(1)) else { return false };
    let mut deletes = false;
    for operation in operations {
        match operation {
            Ok(Operation::Delete { .. } | Operation::Drop { .. }) => deletes = true,
            Ok(Operation::Create { .. }) => {}
            Ok(Operation::Put { .. } | Operation::Rename { .. }) | Err(_) => return false,
        }
    }
    deletes
}
