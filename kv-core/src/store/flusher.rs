//! Flushing what nobody waits for: what was written with [`Durability::Process`](crate::Durability::Process), a while after it was written, and
//! deferred commits, at once.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use super::{Inner, Shared};
use crate::{
    Error, Result,
    background::{Job, Next, Wake},
    panics::guarded,
    sync::AtomicBool,
};

/// The first failure of a flush, which is final: no flush is asked for after it, whatever the log
/// would say.
#[derive(Debug, Default)]
pub(super) struct FlushFailure {
    /// Set before the flag is raised.
    cause: OnceLock<Arc<Error>>,
    /// What loom looks into, as it does not into the other.
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
    /// Has everything flushed within the interval.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](Error::OutcomeUnknown) if the flusher is dead.
    pub(super) fn request_flush(&self) -> Result<()> {
        self.ask_flusher(&self.flush_requested)
    }

    /// Has everything flushed as soon as can be.
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
    /// Takes note that a flush has failed, and has those who wait look again. Returns what the
    /// caller is told.
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
    /// How often the log was refused what it needs to begin with, so that a flush was not even
    /// tried. That is not final.
    pub(super) fn refusals(&self) -> u64 {
        self.flush_refusals.load(Ordering::Acquire)
    }

    /// Has the answers that wait for the flusher ask the log themselves: it says why.
    fn note_refusal(&self) {
        self.flush_refusals.fetch_add(1, Ordering::AcqRel);
        self.for_settled.wake_all();
    }
}

pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Box<dyn Wake>> {
    let job = Flusher { shared: Arc::clone(shared), waiting: false };
    shared.options.scheduler.spawn("kv-flush", Box::new(job))
}

/// Woken by the first write after a flush, it waits for the interval to pass, so that the flush is shared by all that follow; unless it is wanted now.
struct Flusher {
    shared: Arc<Shared>,
    waiting: bool,
}

impl Job for Flusher {
    fn run(&mut self) -> Next {
        // Lowered before the flush: a write that comes while it is under way asks for another.
        let now = self.shared.flush_requested_now.swap(false, Ordering::AcqRel);
        if !now && !self.waiting {
            self.waiting = true;
            return Next::After(self.shared.options.flush_interval);
        }
        self.waiting = false;
        self.shared.flush_requested.store(false, Ordering::Release);
        match guarded("the flusher", || self.shared.sync()) {
            Ok(()) => {}
            Err(Error::DiskFull { .. } | Error::Io { .. }) => self.shared.note_refusal(),
            // A failure of the log was noted where it was met. A panic is noted here, wherever it
            // was.
            Err(error) => drop(self.shared.fail_flush(error)),
        }
        Next::WhenWoken
    }
}
