//! Deferred calls: the caller goes on while the disk works.

mod verbs;

use std::{
    any::Any,
    fmt,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

pub use verbs::{DeferredCollection, DeferredStore};

use super::{
    Inner,
    commit::Dependency,
    waiters::{Waiters, Waiting},
};
use crate::{Durability, Error, Lsn, Result};

/// The answer of a [deferred](crate::Store::deferred) call, which may be given once what it depends
/// on is published and as durable as requested.
///
/// A write has its place in the order of all writes when the call returns, and later writes build
/// on it. But readers, even in the writer's own thread, do not see it before it is published. With
/// [`Durability::Disk`] it is published once it is durable. Call [`wait`](Commit::wait), or
/// `.await` the commit, with or without a runtime. If a commit is dropped, its write still becomes
/// durable and visible soon, but a failure is not reported.
///
/// If nothing was written, the answer depends on what was read. It is given once that is published
/// and as durable as requested. A refusal, such as [`KeyNotFound`](Error::KeyNotFound), is an
/// answer like any other: the call that finds it does not wait.
///
/// Commits of one durability complete in the order of their positions. So a caller with many of
/// them in flight waits for one at a time, and those before it are complete then.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// let events = store.collection("events")?.deferred();
/// let mut commits = Vec::new();
/// for number in 0..1000_u32 {
///     commits.push(events.put(number.to_be_bytes(), "happened")?); // one thread, many in flight
/// }
/// commits.pop().unwrap().wait()?; // the last one, so all before it are durable, too
/// assert_eq!(store.collection("events")?.len()?, 1000);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[must_use = "the answer, and whether the write has failed, is known only to the commit"]
pub struct Commit<T = (), E = Error> {
    inner: Arc<Inner>,
    dependency: Dependency,
    /// How many flushes had been refused before this commit requested one.
    refusals: u64,
    waiting: Option<Waiting>,
    /// `None` once it was given.
    answer: Option<Answer<T, E>>,
}

/// What a call has found, before it may be told.
enum Answer<T, E> {
    Returned(Result<T, E>),
    /// The closure of a transaction panicked. The mutex is there because a panic's payload can be
    /// sent to other threads, but not shared with them.
    Panicked(Mutex<Box<dyn Any + Send>>),
}

impl<T, E> Answer<T, E> {
    fn give(self) -> Result<T, E> {
        match self {
            Self::Returned(result) => result,
            Self::Panicked(panic) => resume_unwind(panic.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl<T, E: From<Error>> Commit<T, E> {
    fn new(inner: &Arc<Inner>, dependency: Dependency, answer: Answer<T, E>) -> Self {
        let refusals = inner.refusals(); // counted before the flush is asked for, so that its refusal is noticed
        inner.prepare_for(dependency);
        Self { inner: Arc::clone(inner), dependency, refusals, waiting: None, answer: Some(answer) }
    }

    /// The write's position in the log. If nothing was written, this is the highest position that
    /// was read, or [`Lsn::START`] if a checkpoint holds everything that was read.
    pub fn lsn(&self) -> Lsn {
        self.dependency.lsn
    }

    /// Waits until the write is published and as durable as requested; if nothing was written,
    /// until everything that was read is. Then returns the answer.
    ///
    /// # Panics
    /// If the closure of a deferred transaction panicked: with its panic.
    ///
    /// # Errors
    /// Those of the call: nothing was written. [`OutcomeUnknown`](Error::OutcomeUnknown) if a write
    /// or flush of the log failed. If nothing was written, also [`DiskFull`](Error::DiskFull) and
    /// [`Io`](Error::Io), which are not final: the log could not write what it needs before its
    /// first record (see [`Log::sync`](crate::Log::sync)).
    pub fn wait(mut self) -> Result<T, E> {
        self.inner.wait_for(self.dependency)?;
        self.give()
    }

    /// Gives the answer, the first time.
    fn give(&mut self) -> Result<T, E> {
        match self.answer.take() {
            Some(answer) => answer.give(),
            None => panic!("a commit was polled after it had given its answer"),
        }
    }

    /// Whether what the answer depends on is there, if that is known.
    fn outcome(&self) -> Option<Result<()>> {
        if let Err(error) = self.inner.check_owner() {
            return Some(Err(error));
        }
        self.inner.publish();
        if self.inner.is_due(self.dependency) {
            return Some(Ok(()));
        }
        // `wait_for` does not wait for another thread in either case. A failure is final. And after
        // a refusal, the log has not begun to write, so no flush is under way.
        let has_failed = self.inner.flush_failure.is_set() || self.inner.refusals() != self.refusals;
        has_failed.then(|| self.inner.wait_for(self.dependency))
    }

    fn poll_answer(&mut self, outcome: Result<()>) -> Poll<Result<T, E>> {
        Poll::Ready(outcome.map_err(E::from).and_then(|()| self.give()))
    }
}

impl<T, E> Commit<T, E> {
    fn waiters(&self) -> &Waiters {
        match self.dependency.durability {
            Durability::Disk => &self.inner.for_settled,
            Durability::Process => &self.inner.for_published,
        }
    }
}

/// The answer is moved when it is given, and never pinned.
impl<T, E> Unpin for Commit<T, E> {}

impl<T, E: From<Error>> Future for Commit<T, E> {
    type Output = Result<T, E>;

    /// A wake-up cannot be lost. The waker is registered first, and then the outcome is checked
    /// again. Another thread that changes the outcome (by a position, a failure or a refusal) makes
    /// the change before it looks for wakers. So either this thread sees the change, or the other
    /// one sees the waker.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        if let Some(outcome) = self.outcome() {
            return self.poll_answer(outcome);
        }
        let waiting = self.waiting.unwrap_or_else(|| self.waiters().number(self.dependency.lsn));
        self.waiting = Some(waiting);
        self.waiters().register(waiting, context.waker());
        match self.outcome() {
            Some(outcome) => self.poll_answer(outcome),
            None => Poll::Pending,
        }
    }
}

impl<T, E> Drop for Commit<T, E> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting
            && self.inner.check_owner().is_ok()
        {
            self.waiters().forget(waiting);
        }
    }
}

impl<T, E> fmt::Debug for Commit<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("lsn", &self.dependency.lsn).finish_non_exhaustive()
    }
}
