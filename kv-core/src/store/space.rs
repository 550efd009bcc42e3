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
//! 3. Everything is merged, which frees what overwritten and deleted entries take. Where the room
//!    for a copy of everything is missing, the newest parts are merged first, with the deletions in
//!    them, and more with the room that this frees.
//!
//! A write that does not wait is refused instead, and the first two steps are left to the
//! background.
//!
//! A record that only deletes may take of the room that is kept. These steps are taken for it only
//! when little of that is left: enough to merge something. It leaves the room for the checkpoint of
//! what is in memory, which frees the log. So a full store can be emptied. From the most room that
//! is left free to the least:
//!
//! | | leaves free |
//! |---|---|
//! | a record that does not only delete | two checkpoints of a memtable, and the share of deletions |
//! | a merge in the background | the same, with nothing in memory |
//! | a merge of everything | the share of deletions, or half of what is free |
//! | a record that deletes keys | one checkpoint of what is in memory, and another one's files |
//! | a record that drops or clears collections | one checkpoint of what is in memory |
//! | a checkpoint | nothing |
//!
//! A memtable counts as what is in memory, but at least as much as may be there before a checkpoint
//! begins.
//!
//! Each deleted key takes room in a checkpoint until it is merged away, so deleting small entries
//! one by one may use up the room. A dropped collection takes none. So there is always room left to
//! drop one, and with it everything that it has becomes room.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Inner, Shared, commit::Writer, locks::Guard, room::Patience};
use crate::{
    CheckpointId, Durability, Error, Lsn, NAME_BYTES_MAX, Result, StoreOptions,
    operation::{OPERATION_HEADER_BYTES, Operation, RECORD_HEADER_BYTES, decode},
    panics::guarded,
    sync::{Mutex, lock},
};

/// How much a checkpoint may take in addition to the changes that it writes, in bytes. It makes two
/// files, and the log another one. XFS creates a file only if about 200 KiB are free.
const FILES_BYTES: u64 = 512 << 10;
/// A closure runs only if there is room for a record of this many bytes. If its record is longer
/// and finds no room, nothing of it was written.
const CLOSURE_BYTES_MAX: usize = 64 << 10;
/// While room was made in vain so recently, and nothing was deleted since, it is not tried again:
/// it may read and write the whole store.
const VAIN_INTERVAL: Duration = Duration::from_secs(5);
/// How long a write waits between two looks at whether another thread has made room.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How many bytes of changes a checkpoint is expected to write at most, if it is only made by call.
const CHANGED_BYTES: u64 = 1 << 20;
/// A record may be longer than the caller of [`Inner::writer_with_room`] knows by this many bytes,
/// because it may have to create its collection.
const CREATION_BYTES: usize = RECORD_HEADER_BYTES + OPERATION_HEADER_BYTES + NAME_BYTES_MAX;
/// What is in memory counts in steps of this many bytes: the log looks for room again whenever it
/// has to keep more, or has had to keep less.
const STEP_BYTES: u64 = 256 << 10;
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
    /// The last attempt to make room, if it was in vain.
    vain: Mutex<Option<Vain>>,
    /// Whether `vain` has to learn of a deletion, so that writers need not lock it.
    awaits_deletion: AtomicBool,
    /// The newest checkpoint, if it was verified to make room.
    verified: Mutex<Option<CheckpointId>>,
}

/// What is known of a record before it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It only deletes, or there is none.
    Deletes,
    /// It puts something, or there is none.
    Puts,
    /// It is made by a closure.
    Unknown,
}

/// An attempt to make room that was in vain.
struct Vain {
    ended: Instant,
    /// How long it took.
    took: Duration,
    /// Whether something was deleted since, which may make room.
    deleted_since: bool,
}

impl Vain {
    /// Whether another attempt is not worth it yet. `finds_reserve`: whether a record that only
    /// deletes finds room without it.
    fn lasts(&self, purpose: Purpose, finds_reserve: bool) -> bool {
        match (self.deleted_since, purpose) {
            (false, _) => self.ended.elapsed() < VAIN_INTERVAL,
            (true, Purpose::Puts) => false,
            // At most half of the time is spent on attempts if each closure only deletes.
            (true, _) => finds_reserve && self.ended.elapsed() < self.took,
        }
    }
}

/// What a record deletes that only deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletes {
    Keys,
    Collections,
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
            awaits_deletion: AtomicBool::new(false),
            verified: Mutex::default(),
        }
    }

    /// How many bytes of the medium any record leaves free that does not only delete, if changes of
    /// `memory_bytes` bytes are in memory. The next checkpoint writes these changes. And when it
    /// has, there must still be room for deletions, and for the checkpoint after them.
    pub(super) fn kept(&self, memory_bytes: u64) -> u64 {
        let changed = self.changed_bytes.max(memory_bytes).saturating_mul(2);
        self.kept_when_merging().saturating_add(changed)
    }

    /// How many bytes of the medium a merge of everything leaves free. What other threads delete
    /// meanwhile needs them.
    pub(super) fn kept_when_merging(&self) -> u64 {
        FILES_BYTES.saturating_add(self.deletions_bytes)
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
        purpose: Purpose,
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
        match self.log.make_room(record_bytes, self.kept(record_bytes)) {
            Ok(()) => {
                writer.no_room = None;
                Ok(writer)
            }
            Err(refusal @ Error::DiskFull { .. })
                if purpose == Purpose::Deletes && self.finds_ample_reserve(patience, record_bytes)? =>
            {
                writer.no_room = Some(NoRoom { refusal, for_deletions: true });
                Ok(writer)
            }
            Err(Error::DiskFull { .. }) if patience == Patience::Waits => {
                drop(writer);
                self.writer_after_making_room(purpose, record_bytes)
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

    fn writer_after_making_room(&self, purpose: Purpose, record_bytes: usize) -> Result<Guard<'_, Writer>> {
        let started = Instant::now();
        let refusal = loop {
            // A checkpoint that is under way makes room by itself, or may never end.
            if let Ok(_making_room) = self.space.making_room.try_lock()
                && self.checkpoint.try_lock().is_ok()
            {
                match self.writer_after_steps(purpose, record_bytes)? {
                    Ok(writer) => return Ok(writer),
                    Err(refusal) => break refusal,
                }
            }
            match self.try_room(record_bytes)? {
                Ok(writer) => return Ok(writer),
                Err(refusal) if started.elapsed() >= self.options.room_wait => break refusal,
                Err(_) => thread::sleep(LOOK_INTERVAL),
            }
        };
        let mut writer = self.writer()?;
        let for_deletions = self.finds_reserve(purpose, record_bytes)?;
        writer.no_room = Some(NoRoom { refusal, for_deletions });
        Ok(writer)
    }

    /// Takes the steps that make room, unless that was in vain just now.
    fn writer_after_steps(&self, purpose: Purpose, record_bytes: usize) -> Result<Result<Guard<'_, Writer>>> {
        let found = self.try_room(record_bytes)?;
        if found.is_ok() {
            return Ok(found); // another thread has just made room
        }
        let finds_reserve = self.finds_reserve(purpose, record_bytes)?;
        if lock(&self.space.vain).as_ref().is_some_and(|vain| vain.lasts(purpose, finds_reserve)) {
            return Ok(found);
        }
        let began = Instant::now();
        for step in MAKING_ROOM {
            step(self, &|| self.is_closing(), &|| began.elapsed() >= self.options.room_wait);
            let found = self.try_room(record_bytes)?;
            if found.is_ok() {
                return Ok(found);
            }
        }
        *lock(&self.space.vain) = Some(Vain { ended: Instant::now(), took: began.elapsed(), deleted_since: false });
        self.space.awaits_deletion.store(true, Ordering::Relaxed);
        self.try_room(record_bytes)
    }

    /// Whether a record of up to `record_bytes` bytes finds room if it only deletes.
    fn finds_reserve(&self, purpose: Purpose, record_bytes: usize) -> Result<bool> {
        let deletes = if purpose == Purpose::Deletes { Deletes::Keys } else { Deletes::Collections };
        self.has_room(record_bytes, self.kept_from(deletes, record_bytes))
    }

    /// Whether such a record need not make room before it takes of what is kept. If it may wait, it
    /// leaves room in which something can be merged.
    fn finds_ample_reserve(&self, patience: Patience, record_bytes: usize) -> Result<bool> {
        let for_merging = if patience == Patience::Waits { self.space.changed_bytes } else { 0 };
        self.has_room(record_bytes, self.kept_from(Deletes::Keys, record_bytes).saturating_add(for_merging))
    }

    fn has_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<bool> {
        match self.log.check_room(record_bytes, kept_bytes) {
            Ok(()) => Ok(true),
            Err(Error::DiskFull { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The writer's lock if there is room now, or why there is none.
    fn try_room(&self, record_bytes: usize) -> Result<Result<Guard<'_, Writer>>> {
        let mut writer = self.writer()?;
        match self.log.make_room(record_bytes, self.kept(record_bytes)) {
            Ok(()) => {
                writer.no_room = None;
                Ok(Ok(writer))
            }
            Err(refusal @ Error::DiskFull { .. }) => Ok(Err(refusal)),
            Err(error) => Err(error),
        }
    }

    /// Notes a record that was logged. If it only deletes, making room may no longer be in vain.
    pub(super) fn note_deletion(&self, record: &[u8]) {
        if self.space.awaits_deletion.load(Ordering::Relaxed) && deletes(record).is_some() {
            self.space.awaits_deletion.store(false, Ordering::Relaxed);
            lock(&self.space.vain).iter_mut().for_each(|vain| vain.deleted_since = true);
        }
    }

    /// Appends a record. If there is no room, it may take of what is kept, provided that it only
    /// deletes.
    pub(super) fn append(&self, no_room: Option<NoRoom>, record: &[u8], durability: Durability) -> Result<Lsn> {
        let refusal = match no_room {
            Some(no_room) => no_room.refusal,
            None => match self.append_usual(record, durability) {
                Err(refusal @ Error::DiskFull { .. }) => refusal,
                appended => return appended,
            },
        };
        let Some(deletes) = deletes(record) else { return Err(refusal) };
        self.log.append_deletion(record, durability, self.kept_from(deletes, record.len()))
    }

    fn append_usual(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        // It may be longer than was known when room was made for it.
        if record.len() > self.space.closure_bytes {
            self.log.make_room(record.len(), self.kept(record.len()))?;
        }
        self.log.append(record, durability)
    }
}

/// A step that makes room, unless it is cancelled. A step in parts ends when they `took_long`.
type MakeRoom = fn(&Shared, cancelled: &dyn Fn() -> bool, took_long: &dyn Fn() -> bool);

/// The steps that make room, in this order, each only if those before it were not enough. Failures
/// are reported in the statistics.
const MAKING_ROOM: [MakeRoom; 3] = [
    |shared, cancelled, _| drop(shared.checkpoint(cancelled)),
    |shared, cancelled, _| drop(shared.let_older_checkpoints_go(cancelled)),
    |shared, cancelled, took_long| drop(shared.merge_everything(cancelled, took_long)),
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

    /// How many bytes of the medium a record of up to `record_bytes` bytes leaves free that does
    /// not only delete.
    fn kept(&self, record_bytes: usize) -> u64 {
        let memory_bytes = self.collections.unwritten_bytes().saturating_add(record_bytes as u64);
        self.space.kept(memory_bytes.div_ceil(STEP_BYTES).saturating_mul(STEP_BYTES))
    }

    /// How many bytes of the medium a record of up to `record_bytes` bytes leaves free that only
    /// deletes: the checkpoint of what is then in memory is what frees the log. In a checkpoint, a
    /// deletion takes less than twice as much as in the log.
    fn kept_from(&self, deletes: Deletes, record_bytes: usize) -> u64 {
        let written = self.collections.unwritten_bytes().saturating_add(2 * record_bytes as u64);
        let files = match deletes {
            Deletes::Keys => 2 * FILES_BYTES,
            Deletes::Collections => FILES_BYTES / 2,
        };
        written.saturating_add(files)
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

/// What a record deletes; `None` if it also puts something, or deletes nothing. (Emptying a
/// collection creates it again.)
fn deletes(record: &[u8]) -> Option<Deletes> {
    let mut deletes = None;
    for operation in decode(record, Lsn(1)).ok()? {
        match operation.ok()? {
            Operation::Delete { .. } => deletes = Some(Deletes::Keys),
            Operation::Drop { .. } => deletes = deletes.or(Some(Deletes::Collections)),
            Operation::Create { .. } => {}
            Operation::Put { .. } | Operation::Rename { .. } => return None,
        }
    }
    deletes
}
