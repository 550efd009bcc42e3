//! Deferred writes: the caller goes on while the disk works.

use std::{
    borrow::Borrow,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Collection, Inner, Store, Transaction,
    commit::{Dependency, Expected},
    pending_write::PendingWrite,
    room::Patience,
    waiters::{Waiters, Waiting},
};
use crate::{Batch, Durability, Error, Lsn, Result};

/// A write that has been made, but may not be durable and visible yet.
///
/// The write has its place in the order of all writes, and later writes build on it. But readers,
/// even in the writer's own thread, do not see it before it is published. With [`Durability::Disk`]
/// it is published once it is durable. Call [`wait`](Commit::wait), or `.await` the commit, with or
/// without a runtime. If a commit is dropped, its write still becomes durable and visible soon, but
/// a failure is not reported.
///
/// If nothing was written, the commit belongs to the answer of the call. It completes once
/// everything that was read is published and as durable as requested. Only then may the answer be
/// passed on.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// let events = store.collection("events")?;
/// let mut commits = Vec::new();
/// for number in 0..1000_u32 {
///     commits.push(events.put_deferred(number.to_be_bytes(), "happened")?); // one thread, many in flight
/// }
/// commits.pop().unwrap().wait()?; // the last one, so all before it are durable, too
/// assert_eq!(events.len()?, 1000);
/// # Ok::<(), kv_core::Error>(())
/// ```
pub struct Commit {
    inner: Arc<Inner>,
    dependency: Dependency,
    /// How many flushes had been refused before this commit requested one.
    refusals: u64,
    waiting: Option<Waiting>,
}

impl Commit {
    fn new(inner: &Arc<Inner>, dependency: Dependency) -> Self {
        let refusals = inner.refusals(); // counted before the flush is asked for, so that its refusal is noticed
        inner.prepare_for(dependency);
        Self { inner: Arc::clone(inner), dependency, refusals, waiting: None }
    }

    /// The write's position in the log. If nothing was written, this is the highest position that
    /// was read, or [`Lsn::START`] if a checkpoint holds everything that was read.
    pub fn lsn(&self) -> Lsn {
        self.dependency.lsn
    }

    /// Waits until the write is published and as durable as requested; if nothing was written,
    /// until everything that was read is.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](Error::OutcomeUnknown) if a write or flush of the log failed. If nothing
    /// was written, also [`DiskFull`](Error::DiskFull) and [`Io`](Error::Io), which are not final:
    /// the log could not write what it needs before its first record (see
    /// [`Log::sync`](crate::Log::sync)).
    pub fn wait(self) -> Result<()> {
        self.inner.wait_for(self.dependency)
    }

    /// The outcome, if it is known.
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

    fn waiters(&self) -> &Waiters {
        match self.dependency.durability {
            Durability::Disk => &self.inner.for_settled,
            Durability::Process => &self.inner.for_published,
        }
    }
}

impl Future for Commit {
    type Output = Result<()>;

    /// A wake-up cannot be lost. The waker is registered first, and then the outcome is checked
    /// again. Another thread that changes the outcome (by a position, a failure or a refusal) makes
    /// the change before it looks for wakers. So either this thread sees the change, or the other
    /// one sees the waker.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        let waiting = self.waiting.unwrap_or_else(|| self.waiters().number(self.dependency.lsn));
        self.waiting = Some(waiting);
        self.waiters().register(waiting, context.waker());
        self.outcome().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting
            && self.inner.check_owner().is_ok()
        {
            self.waiters().forget(waiting);
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("lsn", &self.lsn()).finish_non_exhaustive()
    }
}

impl Store {
    /// As [`write`](Store::write), but does not wait for the disk.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::Batch;
    /// let commit = store.write_deferred(Batch::new().put("users", "alice", "Alice").put("counts", "users", "1"))?;
    /// commit.wait()?; // durable, and visible to every reader
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`write`](Store::write), and [`Busy`](Error::Busy) if there is no room: nothing was
    /// written. The call waits for other writers, and for the log if too many bytes already wait
    /// for the disk. Before it returns an error that depends on what it read, such as
    /// [`KeyNotFound`](Error::KeyNotFound), it waits until that is published and as durable as
    /// requested.
    pub fn write_deferred(&self, batch: impl Borrow<Batch>) -> Result<Commit> {
        self.write_deferred_with(batch, self.inner.options.durability)
    }

    /// As [`write_deferred`](Store::write_deferred), with this durability.
    ///
    /// # Errors
    /// As [`write`](Store::write).
    pub fn write_deferred_with(&self, batch: impl Borrow<Batch>, durability: Durability) -> Result<Commit> {
        let batch = batch.borrow();
        let bytes = batch.check(&self.inner.options.limits)?;
        let expected = Expected { bytes, reads_own_writes: batch.reads_own_writes() };
        let build = |pending: &mut PendingWrite<'_>| batch.build(pending);
        let ((), dependency) = self.inner.write_unawaited(durability, build, expected, Patience::Refuses)?;
        Ok(Commit::new(&self.inner, dependency))
    }

    /// As [`transact`](Store::transact), but does not wait for the disk. The closure's result may
    /// depend on writes that are published only together with the commit.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let (number, commit) = store.transact_deferred(|tx| {
    ///     let number = tx.get("counters", "next")?.map_or(1, |value| value[0] + 1);
    ///     tx.put("counters", "next", [number])?;
    ///     Ok(number)
    /// })?;
    /// commit.wait()?; // only now may the number be passed on
    /// assert_eq!(number, 1);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn transact_deferred<T>(
        &self,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<(T, Commit)> {
        self.try_transact_deferred(transaction)
    }

    /// As [`transact_deferred`](Store::transact_deferred), with this durability.
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn transact_deferred_with<T>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<(T, Commit)> {
        self.try_transact_deferred_with(durability, transaction)
    }

    /// As [`transact_deferred`](Store::transact_deferred), for a closure with an error type of its
    /// own; see [`try_transact`](Store::try_transact).
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn try_transact_deferred<T, E: From<Error>>(
        &self,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        self.try_transact_deferred_with(self.inner.options.durability, transaction)
    }

    /// As [`try_transact_deferred`](Store::try_transact_deferred), with this durability.
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn try_transact_deferred_with<T, E: From<Error>>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        let (value, dependency) = self.inner.transact_unawaited(durability, transaction, Patience::Refuses)?;
        Ok((value, Commit::new(&self.inner, dependency)))
    }
}

impl Collection {
    /// As [`put`](Collection::put), but does not wait for the disk.
    ///
    /// # Errors
    /// As [`put`](Collection::put): nothing was written.
    pub fn put_deferred(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Commit> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_put(key, value)?;
        let inner = &self.store().inner;
        let build = |pending: &mut PendingWrite<'_>| pending.put(self.name(), key, value);
        let expected = Expected::one(key, value.len());
        let ((), dependency) = inner.write_unawaited(self.durability(), build, expected, Patience::Refuses)?;
        Ok(Commit::new(inner, dependency))
    }
}
