use std::{
    collections::{VecDeque, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    io, mem,
    sync::Arc,
};

use crate::{
    BATCH_BYTES_MAX, Bounds, Durability, Epoch, Error, LogId, Lsn, Result,
    sync::{Mutex, MutexGuard, lock},
};

/// The path in errors, where other logs name their file.
const PLACE: &str = "(log in memory)";

/// The medium that a [`MemoryLog`](crate::MemoryLog) is kept on. It outlives the log, so that a
/// test can open the log again, simulate a crash, or make the log fail. Clones are the same medium.
///
/// ```
/// use kv_core::{Crash, Durability, Log, MemoryLog, MemoryLogMedium};
///
/// let medium = MemoryLogMedium::new();
/// let log = MemoryLog::open(&medium)?;
/// let durable = log.append(b"one", Durability::Disk)?;
/// log.sync(durable)?;
/// log.append(b"two", Durability::Process)?;
/// let left = MemoryLog::open(&medium.after(Crash::PowerCut))?; // `log` goes on as before
/// assert_eq!(left.bounds().durable, durable);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct MemoryLogMedium {
    state: Arc<Mutex<State>>,
}

/// How a log ends without being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crash {
    /// The process is killed: the records that are [written](Bounds::written) remain.
    Killed,
    /// The power is cut: the records that are [durable](Bounds::durable) remain. (A disk may keep
    /// more; this medium does not.)
    PowerCut,
}

impl MemoryLogMedium {
    /// A medium with an empty log of a new identity.
    pub fn new() -> Self {
        Self::with_record_bytes_max(BATCH_BYTES_MAX)
    }

    /// A medium whose log takes records of at most `record_bytes_max` bytes.
    pub fn with_record_bytes_max(record_bytes_max: usize) -> Self {
        let state = State {
            id: random_id(),
            record_bytes_max,
            epoch: Epoch::default(),
            records: VecDeque::new(),
            trimmed: Lsn::START,
            durable: Lsn::START,
            written: Lsn::START,
            opening: None,
            full: false,
            flush_fails: false,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A copy of the medium as a crash at this instant would leave it. The original goes on as if
    /// nothing had happened.
    #[must_use = "the crash happens to the medium that is returned"]
    pub fn after(&self, crash: Crash) -> Self {
        let mut state = self.state().clone();
        if crash == Crash::PowerCut {
            state.written = state.durable;
        }
        state.opening = None;
        state.full = false;
        state.flush_fails = false;
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes the next flush fail, as on a disk that cannot write.
    pub fn fail_next_flush(&self) {
        self.state().flush_fails = true;
    }

    /// Makes the medium full, so that it refuses records, or gives it space again.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }
}

impl Default for MemoryLogMedium {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLogMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLogMedium").field("bounds", &self.state().bounds()).finish()
    }
}

/// The records, and how far each has come. Those after `written` are only in the process. Those
/// after `durable`, up to `written`, are with the kernel but not durable.
#[derive(Clone)]
pub(super) struct State {
    pub id: LogId,
    record_bytes_max: usize,
    /// The epoch of the newest opening.
    epoch: Epoch,
    /// The records after `trimmed`.
    records: VecDeque<StoredRecord>,
    trimmed: Lsn,
    durable: Lsn,
    written: Lsn,
    /// The state of the opening, while the log is open.
    opening: Option<Opening>,
    full: bool,
    flush_fails: bool,
}

#[derive(Clone)]
struct StoredRecord {
    epoch: Epoch,
    payload: Arc<[u8]>,
    /// The total length of the records up to this one, in bytes. Only the difference of two such
    /// numbers means anything, because the count does not always start at the same record.
    bytes_upto: u64,
}

#[derive(Clone, Default)]
struct Opening {
    closed: bool,
    /// The first failure, which is final (L6).
    failure: Option<Arc<Error>>,
}

impl State {
    /// Begins an opening. Records that the previous opening did not hand to the medium are lost;
    /// the others are durable from now on.
    pub(super) fn start(&mut self) {
        self.records.truncate(self.index_after(self.written));
        self.durable = self.written;
        self.epoch = Epoch(self.epoch.0 + 1);
        self.opening = Some(Opening::default());
    }

    /// Begins an opening, unless the log is open already.
    pub(super) fn start_alone(&mut self) -> Result<()> {
        if self.opening.is_some() {
            return Err(Error::locked(PLACE, Some(std::process::id())));
        }
        self.start();
        Ok(())
    }

    pub(super) fn end(&mut self) {
        self.opening = None;
    }

    fn appended(&self) -> Lsn {
        Lsn(self.trimmed.0 + self.records.len() as u64)
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            trimmed: self.trimmed,
            durable: self.durable,
            written: self.written,
            appended: self.appended(),
            epoch: self.epoch,
            record_bytes_max: self.record_bytes_max,
        }
    }

    pub(super) fn append(&mut self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.check_append(record)?;
        let lsn = self.appended().next();
        let bytes_upto = self.records.back().map_or(0, |last| last.bytes_upto) + record.len() as u64;
        self.records.push_back(StoredRecord { epoch: self.epoch, payload: record.into(), bytes_upto });
        let nothing_waits = self.written.next() == lsn;
        if durability == Durability::Process && nothing_waits {
            self.written = lsn;
        }
        Ok(lsn)
    }

    fn check_append(&self, record: &[u8]) -> Result<()> {
        if let Some(cause) = self.failure() {
            return Err(Error::Poisoned { cause });
        }
        if self.opening.as_ref().is_none_or(|opening| opening.closed) {
            return Err(Error::Closed);
        }
        if record.len() > self.record_bytes_max {
            return Err(Error::BatchTooLarge { bytes: record.len(), max: self.record_bytes_max });
        }
        if self.full {
            return Err(Error::from_io("append to", PLACE, io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, upto: Lsn) -> Result<Lsn> {
        self.check_appended(upto)?;
        if upto > self.durable {
            self.flush()?;
        }
        Ok(self.durable)
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(cause) = self.failure() {
            return Err(Error::OutcomeUnknown { cause });
        }
        self.written = self.appended();
        if mem::take(&mut self.flush_fails) {
            let cause = Arc::new(Error::from_io("flush", PLACE, io::Error::other("a failure that a test asked for")));
            if let Some(opening) = &mut self.opening {
                opening.failure = Some(Arc::clone(&cause));
            }
            return Err(Error::OutcomeUnknown { cause });
        }
        self.durable = self.written;
        Ok(())
    }

    pub(super) fn trim(&mut self, upto: Lsn) -> Result<()> {
        self.check_appended(upto)?;
        let upto = upto.clamp(self.trimmed, self.durable);
        self.records.drain(..self.index_after(upto));
        self.trimmed = upto;
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<()> {
        self.sync(self.appended())?;
        if let Some(opening) = &mut self.opening {
            opening.closed = true;
        }
        Ok(())
    }

    fn failure(&self) -> Option<Arc<Error>> {
        self.opening.as_ref()?.failure.clone()
    }

    /// A reader may begin after any position up to the last one appended, even ahead of the durable
    /// position, unless records after it were trimmed.
    pub(super) fn check_readable_after(&self, after: Lsn) -> Result<()> {
        self.check_appended(after)?;
        self.check_not_trimmed(after)
    }

    fn check_appended(&self, position: Lsn) -> Result<()> {
        match self.appended() {
            appended if position > appended => Err(Error::never_appended(position, appended)),
            _ => Ok(()),
        }
    }

    fn check_not_trimmed(&self, after: Lsn) -> Result<()> {
        match self.trimmed {
            trimmed if after < trimmed => Err(Error::Trimmed { after, trimmed }),
            _ => Ok(()),
        }
    }

    /// The record after a position, if there is one and it is durable.
    pub(super) fn durable_record_after(&self, after: Lsn) -> Result<Option<(Epoch, Arc<[u8]>)>> {
        if after >= self.durable {
            return Ok(None);
        }
        self.check_not_trimmed(after)?;
        let record = &self.records[self.index_after(after)];
        Ok(Some((record.epoch, Arc::clone(&record.payload))))
    }

    pub(super) fn payload_bytes_after(&self, after: Lsn) -> u64 {
        match (self.records.get(self.index_after(after)), self.records.back()) {
            (Some(first), Some(last)) => last.bytes_upto - first.bytes_upto + first.payload.len() as u64,
            _ => 0,
        }
    }

    /// The index in `records` of the first record after a position.
    fn index_after(&self, after: Lsn) -> usize {
        usize::try_from(after.0.saturating_sub(self.trimmed.0)).unwrap_or(usize::MAX)
    }
}

/// A random number, from the seed that the standard library gives to each hasher.
fn random_id() -> LogId {
    let half = || u128::from(RandomState::new().hash_one(PLACE));
    LogId(half() << 64 | half())
}
