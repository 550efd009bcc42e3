//! Backpressure: writers are slowed down, and wait at last, when background work does not keep up.
//!
//! Two things are bounded: the changes in memory that no checkpoint has taken yet, and the small
//! parts of the newest checkpoint that were not merged yet. A writer looks for room before it takes
//! the writer's lock and looks again when it has the lock. It never waits under it.

use std::{
    io,
    path::PathBuf,
    sync::{
        Condvar,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Inner, Shared, commit::Writer, locks::Guard, space::Purpose};
use crate::{Error, Result, event};

/// What a byte of the log costs in waiting when writers are slowed down as much as possible: 4 MB
/// per second.
const NANOS_PER_BYTE_MAX: f64 = 250.0;
/// Waits shorter than this are added up, because a thread cannot sleep for less.
const SLEEP_MIN: Duration = Duration::from_micros(200);
/// No single write is held up for longer than this by slowing down.
const SLEEP_MAX: Duration = Duration::from_millis(4);
/// The shortest time between two checkpoints that writers without room ask for while checkpoints
/// fail.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Whether a write may wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It waits.
    Waits,
    /// It fails at once, as deferred writes do.
    Refuses,
}

/// What writers without room wait for.
#[derive(Default)]
pub(super) struct Room {
    attempts: std::sync::Mutex<Attempts>,
    attempted: Condvar,
    /// How long writers still have to wait for what was written, in nanoseconds.
    owed: AtomicU64,
}

/// The attempts at a checkpoint.
#[derive(Default)]
struct Attempts {
    count: u64,
    /// The failure of the last attempt; `None` if it succeeded.
    failure: Option<Failure>,
}

/// A checkpoint that failed.
struct Failure {
    at: Instant,
    cause: String,
    /// Set if there was no space for it.
    disk_full: Option<(&'static str, PathBuf, io::ErrorKind)>,
}

impl Failure {
    fn of(error: &Error) -> Self {
        if !matches!(error, Error::Cancelled) {
            event!(WARN, cause = error.chain(), "no checkpoint could be made");
        }
        let disk_full = match error {
            Error::DiskFull { operation, path, source } => Some((*operation, path.clone(), source.kind())),
            _ => None,
        };
        Self { at: Instant::now(), cause: error.chain(), disk_full }
    }

    /// The error for a write that finds no room because of this failure.
    fn refusal(&self, unwritten_bytes: u64) -> Error {
        match &self.disk_full {
            Some((operation, path, kind)) => Error::DiskFull { operation, path: path.clone(), source: (*kind).into() },
            None => Error::CheckpointsFail { unwritten_bytes, cause: self.cause.clone() },
        }
    }
}

impl Room {
    /// Notes the outcome of an attempt at a checkpoint, and wakes the waiting writers.
    pub(super) fn note_attempt(&self, failure: Option<&Error>) {
        let failure = failure.map(Failure::of);
        let mut attempts = self.attempts();
        attempts.count += 1;
        attempts.failure = failure;
        self.attempted.notify_all();
    }

    /// Makes the waiting writers look again. Under the lock, so that a writer that has just looked
    /// is waiting when this wakes it.
    pub(super) fn wake(&self) {
        let _attempts = self.attempts();
        self.attempted.notify_all();
    }

    /// Why the last attempt failed; `None` if it succeeded.
    pub(super) fn failure(&self) -> Option<String> {
        self.attempts().failure.as_ref().map(|failure| failure.cause.clone())
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes the time that is owed, if a thread can sleep for that long.
    fn take_owed(&self) -> Option<Duration> {
        if self.owed.load(Ordering::Relaxed) < SLEEP_MIN.as_nanos() as u64 {
            return None;
        }
        Some(Duration::from_nanos(self.owed.swap(0, Ordering::Relaxed)).min(SLEEP_MAX))
    }
}

impl Shared {
    /// Whether the store is being closed: background work stops early, except a checkpoint that is
    /// under way, and no writer waits for it.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether the last handle was dropped: background work leaves what is frozen to the log.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// How much writers are slowed down: 0 not at all, 1 as much as possible.
    fn pressure(&self) -> f64 {
        if self.has_no_threshold() {
            return 0.0;
        }
        let threshold = self.options.checkpoint_record_bytes.max(1) as f64;
        let (slow, wait) = (f64::from(self.options.slow_thresholds), f64::from(self.options.wait_thresholds));
        let (unwritten_bytes, unmerged_parts) = self.collections.unfinished();
        let of_memory = (unwritten_bytes as f64 / threshold - slow) / (wait - slow).max(1.0);
        let most = self.options.slow_unmerged_parts as f64;
        let of_parts = (unmerged_parts as f64 - most) / most.max(1.0);
        of_memory.max(of_parts).clamp(0.0, 1.0)
    }

    /// Whether writers have to wait until a checkpoint was made.
    fn is_full(&self) -> bool {
        if self.has_no_threshold() {
            return false;
        }
        let most = self.options.checkpoint_record_bytes.saturating_mul(self.options.wait_thresholds.into()).max(1);
        self.collections.unwritten_bytes() >= most
    }

    /// Whether memory has no bound but that of a memtable's addresses: otherwise checkpoints are
    /// made by call only.
    pub(super) fn has_no_threshold(&self) -> bool {
        self.options.checkpoint_record_bytes == u64::MAX
    }

    /// Counts a record of `bytes` bytes. Writers pay for it with time if they are slowed down.
    pub(super) fn owe(&self, bytes: usize) {
        let pressure = self.pressure();
        if pressure > 0.0 {
            let nanos = bytes as f64 * NANOS_PER_BYTE_MAX * pressure * pressure;
            self.room.owed.fetch_add(nanos as u64, Ordering::Relaxed);
        }
    }
}

impl Inner {
    /// Takes the writer's lock, if the store is open, once memory has room for another record, and
    /// the log for one of up to `record_bytes` bytes. If no room can be made in the log, says so in
    /// [`Writer::no_room`]: a record that only deletes may still find some.
    ///
    /// # Errors
    /// [`Busy`](Error::Busy), [`CheckpointsFail`](Error::CheckpointsFail); otherwise as
    /// [`writer`](Shared::writer) and [`Log::make_room`](crate::Log::make_room).
    /// [`DiskFull`](Error::DiskFull) takes the place of `CheckpointsFail` if checkpoints fail for
    /// lack of space. A full log gives it here only if the write may not wait.
    pub(super) fn writer_with_room(
        &self,
        patience: Patience,
        purpose: Purpose,
        record_bytes: usize,
    ) -> Result<Guard<'_, Writer>> {
        loop {
            if patience == Patience::Waits
                && let Some(owed) = self.room.take_owed()
            {
                thread::sleep(owed);
            }
            let writer = self.writer()?;
            if !self.is_full() {
                return self.with_room_in_log(writer, patience, purpose, record_bytes);
            }
            drop(writer);
            self.wait_for_room(patience)?;
        }
    }

    /// Waits until there is room, the store is closed, or waiting is of no use.
    fn wait_for_room(&self, patience: Patience) -> Result<()> {
        let mut attempts = self.room.attempts();
        let since_failure = attempts.failure.as_ref().map_or(RETRY_INTERVAL, |failure| failure.at.elapsed());
        let failed_lately = since_failure < RETRY_INTERVAL;
        if failed_lately && patience == Patience::Waits {
            drop(attempts);
            thread::sleep(RETRY_INTERVAL - since_failure);
            attempts = self.room.attempts();
        }
        let (first, started) = (attempts.count, Instant::now());
        drop(attempts);
        event!(WARN, unwritten_bytes = self.unwritten_bytes(), "a write waits for a checkpoint");
        self.request_checkpoint();
        attempts = self.room.attempts();
        while self.is_full() && !self.is_closing() {
            if let Some(failure) = &attempts.failure
                && (attempts.count != first || (failed_lately && patience == Patience::Refuses))
            {
                return Err(failure.refusal(self.unwritten_bytes()));
            }
            let left = self.options.room_wait.saturating_sub(started.elapsed());
            if patience == Patience::Refuses || left.is_zero() {
                return Err(Error::Busy { unwritten_bytes: self.unwritten_bytes() });
            }
            let waited = self.room.attempted.wait_timeout(attempts, left);
            attempts = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(attempts, _)| attempts);
        }
        Ok(())
    }

    fn unwritten_bytes(&self) -> u64 {
        self.collections.unwritten_bytes()
    }
}
