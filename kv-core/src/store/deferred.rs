//! Writes whose caller goes on while the disk works.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Collection, Inner, Store, Transaction,
    commit::{Dependency, Expected},
    pending_write::PendingWrite,
    waiters::{Waiters, Waiting},
};
use crate::{Batch, Durability, Error, Lsn, Result};

/// A write that was made, and that may not be durable and visible yet.
///
/// It has its place in the order of all writes, and later ones build on it, but readers, the writer's own thread among them, do not see it before it is
/// published: with [`Durability::Disk`] when it is durable. [`wait`](Commit::wait) for that, or `.await` it: no runtime is needed. A commit that is dropped
/// becomes durable and visible soon all the same; only its failure is then not heard of.
///
/// If nothing was written, it stands for the answer, which may be passed on when what was looked at
/// is durable as asked, and published.
///
/// ```
/// # use std::sync::Arc;
/// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// let events = store.collection("events")?;
/// let mut commits = Vec::new();
/// for number in 0..1000_u32 {
///     commits.push(events.put_deferred(number.to_be_bytes(), "happened")?); // one thread, many in flight
/// }
/// commits.pop().unwrap().wait()?; // the last one: so all before it are durable too
/// assert_eq!(events.len()?, 1000);
/// # Ok::<(), kv_core::Error>(())
/// ```
pub struct Commit {
    inner: Arc<Inner>,
    dependency: Dependency,
    /// How often a flush had been refused before this one was asked for.
    refusals: u64,
    waiting: Option<Waiting>,
}

impl Commit {
    fn new(inner: &Arc<Inner>, dependency: Dependency) -> Self {
        let refusals = inner.refusals();
        inner.prepare_for(dependency);
        Self { inner: Arc::clone(inner), dependency, refusals, waiting: None }
    }

    /// The write's position in the log. If nothing was written, the highest position that was
    /// looked at, or [`Lsn::START`] if a checkpoint holds all of that.
    pub fn lsn(&self) -> Lsn {
        self.dependency.lsn
    }

    /// Waits until the write, or what was looked at if nothing was written, is durable as was asked
    /// for, and published.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](Error::OutcomeUnknown) if a write or flush of the log failed. If nothing
    /// was written, also [`DiskFull`](Error::DiskFull) and [`Io`](Error::Io), which are not final:
    /// the log could not be begun (see [`Log::sync`](crate::Log::sync)).
    pub fn wait(self) -> Result<()> {
        self.inner.wait_for(self.dependency)
    }

    /// What has become of it, if that is known.
    fn outcome(&self) -> Option<Result<()>> {
        if let Err(error) = self.inner.check_owner() {
            return Some(Err(error));
        }
        self.inner.publish();
        if self.inner.is_due(self.dependency) {
            return Some(Ok(()));
        }
        // Neither waits for another thread: a failure is final, and a log that was refused what it
        // needs to begin with has no flush under way.
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
    /// As [`write`](Store::write), without waiting for the disk.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// # use kv_core::Batch;
    /// let mut batch = Batch::new();
    /// batch.put("users", "alice", "Alice Liddell").put("counts", "users", "1");
    /// let commit = store.write_deferred(&batch)?; // ordered; a later write comes after it
    /// commit.wait()?; // durable, and seen by everybody
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`write`](Store::write): nothing was written. Appending waits only where too many bytes wait for the disk already.
    pub fn write_deferred(&self, batch: &Batch) -> Result<Commit> {
        self.write_deferred_with(batch, self.inner.options.durability)
    }

    /// As [`write_deferred`](Store::write_deferred), with this durability.
    ///
    /// # Errors
    /// As [`write`](Store::write).
    pub fn write_deferred_with(&self, batch: &Batch, durability: Durability) -> Result<Commit> {
        let bytes = batch.check(&self.inner.options.limits)?;
        let expected = Expected { bytes, reads_own_writes: batch.reads_own_writes() };
        let build = |pending: &mut PendingWrite<'_>| batch.build(pending);
        let ((), dependency) = self.inner.write_deferred(durability, build, expected)?;
        Ok(Commit::new(&self.inner, dependency))
    }

    /// As [`transact`](Store::transact), without waiting for the disk. What the closure returned may rest on writes that are not published before
    /// the commit is.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// let (number, commit) = store.transact_deferred(|tx| {
    ///     let number = tx.get("counters", "next")?.map_or(1, |value| value[0] + 1);
    ///     tx.put("counters", "next", [number])?;
    ///     Ok::<_, kv_core::Error>(number)
    /// })?;
    /// commit.wait()?; // only now may others be told of the number
    /// assert_eq!(number, 1);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn transact_deferred<T, E: From<Error>>(
        &self,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        self.transact_deferred_with(self.inner.options.durability, transaction)
    }

    /// As [`transact_deferred`](Store::transact_deferred), with this durability.
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn transact_deferred_with<T, E: From<Error>>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        let (value, dependency) = self.inner.transact_deferred(durability, transaction)?;
        Ok((value, Commit::new(&self.inner, dependency)))
    }
}

impl Collection {
    /// As [`put`](Collection::put), without waiting for the disk.
    ///
    /// # Errors
    /// As [`put`](Collection::put): nothing was written.
    pub fn put_deferred(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Commit> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_put(key, value)?;
        let inner = &self.store().inner;
        let build = |pending: &mut PendingWrite<'_>| pending.put(self.name(), key, value);
        let ((), dependency) = inner.write_deferred(self.durability(), build, Expected::one(key, value.len()))?;
        Ok(Commit::new(inner, dependency))
    }
}
