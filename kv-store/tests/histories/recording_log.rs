//! The recording log notes which call each record comes from. So the order of commits is known,
//! whatever the threads do.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use kv_core::{Bounds, Durability, Error, FlushStats, Log, LogId, LogReader, Lsn, Result};
use kv_testkit::{Model, Operation, Outcome};

/// The write that a call announces.
#[derive(Clone, Debug)]
pub struct Write {
    pub call: u64,
    pub operations: Vec<Operation>,
    pub durability: Durability,
}

thread_local! {
    /// The write that this thread's current call has announced.
    static ANNOUNCED: RefCell<Option<Write>> = const { RefCell::new(None) };
}

/// Announces the write of this thread's next call.
pub fn announce(write: Write) {
    ANNOUNCED.set(Some(write));
}

/// Announces that this thread's next or current call does not write.
pub fn announce_nothing() {
    ANNOUNCED.set(None);
}

/// The writes that the log has accepted, in its order. The first one has position 1.
#[derive(Clone, Debug, Default)]
pub struct Commits {
    writes: Arc<Mutex<Vec<Write>>>,
    floor: Arc<AtomicU64>,
}

impl Commits {
    pub fn lock(&self) -> MutexGuard<'_, Vec<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last position that any caller was told of: it was acknowledged, or a snapshot is at it.
    /// A later call must not see less.
    pub fn floor(&self) -> Lsn {
        Lsn(self.floor.load(Ordering::SeqCst))
    }

    /// Notes that a caller was told of the state at this position.
    pub fn seen(&self, position: Lsn) {
        self.floor.fetch_max(position.0, Ordering::SeqCst);
    }

    /// Notes that the call was acknowledged. It may have written nothing.
    pub fn acknowledged(&self, call: u64) {
        let at = self.lock().iter().rposition(|write| write.call == call);
        self.seen(Lsn(at.map_or(0, |at| at as u64 + 1)));
    }

    /// Drops the writes above this position, which a crash lost. The others are never lost any
    /// more.
    pub fn cut(&self, position: Lsn) {
        self.lock().truncate(position.0 as usize);
        self.floor.store(position.0, Ordering::SeqCst);
    }

    /// The state at this position. Each write was decided on the state before it, so each must have
    /// an effect there.
    pub fn state_at(&self, position: Lsn) -> Model {
        let mut model = Model::default();
        for write in &self.lock()[..position.0 as usize] {
            let outcome = match write.operations.as_slice() {
                [operation] => model.apply(operation),
                operations => model.apply_batch(operations),
            };
            let (call, operations) = (write.call, &write.operations);
            assert_eq!(outcome, Outcome::Done, "call {call} was not decided on the state before it: {operations:?}");
        }
        model
    }
}

/// Whether the log pauses around its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pauses {
    None,
    /// Sometimes lets other threads run, so that short-lived states are observed.
    Some,
}

pub struct RecordingLog {
    pub inner: Arc<dyn Log>,
    pub commits: Commits,
    pub pauses: Pauses,
}

impl RecordingLog {
    fn pause(&self) {
        if self.pauses == Pauses::Some {
            pause();
        }
    }

    /// Notes the write that was announced, if it gets a position.
    fn record(&self, durability: Durability, append: impl FnOnce() -> Result<Lsn>) -> Result<Lsn> {
        let write = ANNOUNCED.take().unwrap_or_else(|| panic!("the log got a record that no call has announced"));
        assert_eq!(write.durability, durability);
        let appended = append();
        let position = match &appended {
            Ok(lsn) => Some(*lsn),
            // The record may be there after the next opening, behind all others.
            Err(Error::OutcomeUnknown { .. }) => Some(self.inner.bounds().appended),
            Err(_) => None,
        };
        if let Err(Error::DiskFull { .. }) = &appended {
            ANNOUNCED.set(Some(write)); // a record that only deletes may find room nevertheless
        } else if let Some(position) = position {
            let mut commits = self.commits.lock();
            commits.push(write);
            assert_eq!(position.0, commits.len() as u64, "positions are dense");
        }
        self.pause();
        appended
    }
}

/// Sometimes lets other threads run.
pub fn pause() {
    match fastrand::u8(..16) {
        0 => thread::sleep(Duration::from_micros(100)),
        1..4 => thread::yield_now(),
        _ => {}
    }
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Log for RecordingLog {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    /// Called under the lock that orders the writes.
    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.make_room(record_bytes, kept_bytes)
    }

    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.check_room(record_bytes, kept_bytes)
    }

    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        self.record(durability, || self.inner.append_deletion(record, durability, kept_bytes))
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.record(durability, || self.inner.append(record, durability))
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.pause();
        let synced = self.inner.sync(upto);
        self.pause();
        synced
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.inner.reader(after)
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.inner.trim(upto)
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
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
