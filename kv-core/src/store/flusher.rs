//! The flusher: a background job that flushes writes that no thread flushes itself. It flushes
//! writes with [`Durability::Process`](crate::Durability::Process) after the flush interval, and
//! deferred commits at once.
//!
//! No request is lost. A writer raises a flag after its record was applied, and wakes the job if
//! the flag was down. The job lowers the flag before it flushes. Both use a swap, so the second of
//! them sees everything that the first did before its own swap. If the writer comes first, the
//! job's flush covers its record. If the job comes first, the writer finds the flag down, and wakes
//! the job again.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use super::{Inner, Shared};
use crate::{
    Error, Result,
    background::{Job, Next, Wake},
    panics::guarded,
    sync::AtomicBool,
};

/// The first failure of a flush. It is final: the log is asked for no flush after it, even if it
/// would accept one.
#[derive(Debug, Default)]
pub(super) struct FlushFailure {
    /// Set before the flag is raised.
    cause: OnceLock<Arc<Error>>,
    /// A separate flag, because loom models atomics but not `OnceLock`.
    is_set: AtomicBool,
}

impl FlushFailure {
    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    pub(super) fn cause(&self) -> Option<Arc<Error>> {
        if self.is_set() { self.cause.get().cloned() } else { None }
    }

    fn set(&self, cause: &Arc<Error>) {
        self.cause.get_or_init(|| Arc::clone(cause));
        self.is_set.store(true, Ordering::Release);
    }
}

impl Inner {
    /// Requests a flush of everything within the flush interval.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](Error::OutcomeUnknown) if the flusher is dead.
    pub(super) fn request_flush(&self) -> Result<()> {
        self.ask_flusher(&self.flush_requested)
    }

    /// Requests a flush of everything as soon as possible.
    ///
    /// # Errors
    /// As [`request_flush`](Inner::request_flush).
    pub(super) fn request_flush_now(&self) -> Result<()> {
        self.ask_flusher(&self.flush_requested_now)
    }

    fn ask_flusher(&self, wanted: &AtomicBool) -> Result<()> {
        if wanted.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.flusher.wake().map_err(|dead| self.fail_flush(dead))
    }
}

impl Shared {
    /// Records that a flush has failed, and wakes all waiters. Returns the error for the caller.
    ///
    /// The failure is recorded first: a waiter that registers too late to be woken sees it.
    pub(super) fn fail_flush(&self, error: Error) -> Error {
        let (Error::OutcomeUnknown { cause } | Error::Poisoned { cause }) = &error else {
            return self.fail_flush(Error::OutcomeUnknown { cause: Arc::new(error) });
        };
        self.flush_failure.set(cause);
        self.for_published.wake_all();
        self.for_settled.wake_all();
        error
    }
}

impl Shared {
    /// How many flushes were not even tried, because the medium refused what the log has to write
    /// before its first record. That is not final.
    pub(super) fn refusals(&self) -> u64 {
        self.flush_refusals.load(Ordering::Acquire)
    }

    /// Wakes the commits that wait for the flusher. Each then calls the log itself and gets its
    /// error.
    fn note_refusal(&self) {
        self.flush_refusals.fetch_add(1, Ordering::AcqRel);
        self.for_settled.wake_all();
    }
}

pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Box<dyn Wake>> {
    let job = Flusher { shared: Arc::clone(shared), waiting: false };
    shared.options.scheduler.spawn("kv-flush", Box::new(job))
}

/// The job. The first write after a flush wakes it. It then waits for the flush interval, so that
/// all writes in the interval share one flush. It does not wait if an immediate flush was
/// requested.
struct Flusher {
    shared: Arc<Shared>,
    /// Whether the interval is running.
    waiting: bool,
}

impl Job for Flusher {
    fn run(&mut self) -> Next {
        // Lowered before the flush, so that a write that comes during the flush requests another.
        let now = self.shared.flush_requested_now.swap(false, Ordering::AcqRel);
        if !now && !self.waiting {
            self.waiting = true;
            return Next::After(self.shared.options.flush_interval);
        }
        self.waiting = false;
        // A swap, not a store: it reads the `true` of every writer that found the flag raised, and
        // so what that writer applied happens before the load of the position in `sync`.
        self.shared.flush_requested.swap(false, Ordering::AcqRel);
        match guarded("the flusher", || self.shared.sync()) {
            Ok(()) => {}
            Err(Error::DiskFull { .. } | Error::Io { .. }) => self.shared.note_refusal(),
            // If the log failed, `sync` has recorded that already. A panic is recorded here.
            Err(error) => drop(self.shared.fail_flush(error)),
        }
        Next::WhenWoken
    }
}
