//! Transactions: a closure that runs alone, on the newest state.

use std::{
    fmt,
    iter::FusedIterator,
    ops::RangeBounds,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use super::{
    Inner, Store,
    collection::checked,
    commit::Dependency,
    pending_write::{Observed, PendingWrite},
};
use crate::{Durability, Entries, Entry, Error, Limits, Result, Value, panics::discard};

/// What a closure of [`Store::transact`] works on: the newest state, and its own changes to it.
///
/// Reads see what was written before, also what is not published yet, and what the transaction itself has written. Collections are named in each call, as in a
/// [`Batch`](crate::Batch); a put creates one that does not exist.
///
/// ```
/// # use std::sync::Arc;
/// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// # use kv_core::Error;
/// store.transact(|tx| {
///     tx.put("queue", "1", "send a letter")?;
///     assert_eq!(tx.get("queue", "1")?.unwrap(), "send a letter"); // sees its own writes; nobody else does, yet
///     tx.rename_collection("queue", "done")?;
///     assert!(tx.contains("done", "1")?);
///     Ok::<_, Error>(()) // the closure's error type has to be said somewhere
/// })?;
/// let refused = store.transact(|tx| {
///     tx.clear_collection("done")?;
///     Err::<(), _>(Error::Cancelled) // any error takes everything back
/// });
/// assert!(refused.is_err());
/// assert_eq!(store.collection("done")?.len()?, 1);
/// # Ok::<(), kv_core::Error>(())
/// ```
pub struct Transaction<'a> {
    pending: PendingWrite<'a>,
    limits: &'a Limits,
}

impl Transaction<'_> {
    /// Sets the value of a key, whether it is there or not.
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey), [`ValueTooLarge`](Error::ValueTooLarge), [`InvalidCollectionName`](Error::InvalidCollectionName),
    /// [`TooManyCollections`](Error::TooManyCollections), [`BatchTooLarge`](Error::BatchTooLarge) if the transaction has become too large.
    pub fn put(&mut self, collection: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        Limits::default().check_name(collection)?;
        self.limits.check_key(key)?;
        self.limits.check_value(value)?;
        self.pending.put(collection, key, value)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`KeyNotFound`](Error::KeyNotFound) if it is absent; otherwise as [`put`](Transaction::put).
    pub fn delete(&mut self, collection: &str, key: impl AsRef<[u8]>) -> Result<()> {
        if self.delete_if_present(collection, key)? { Ok(()) } else { Err(Error::KeyNotFound) }
    }

    /// Deletes a key if it is there, and says whether it was.
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn delete_if_present(&mut self, collection: &str, key: impl AsRef<[u8]>) -> Result<bool> {
        self.pending.delete(collection, checked(key.as_ref())?)
    }

    /// The value of a key, or `None`; so also if there is no such collection.
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey); [`Corrupt`](Error::Corrupt) if the checkpoint is damaged where the key would be.
    pub fn get(&self, collection: &str, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.pending.get(collection, checked(key.as_ref())?)
    }

    /// Whether the key is there.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn contains(&self, collection: &str, key: impl AsRef<[u8]>) -> Result<bool> {
        self.pending.get_with(collection, checked(key.as_ref())?, &mut |_| {})
    }

    /// All entries of a collection in byte order of their keys.
    pub fn iter(&self, collection: &str) -> TransactionEntries<'_> {
        self.prefix(collection, [])
    }

    /// The entries whose keys lie in `keys`, in byte order of their keys. A range that contains nothing, however it lies, is empty.
    pub fn range<K: AsRef<[u8]>>(&self, collection: &str, keys: impl RangeBounds<K>) -> TransactionEntries<'_> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.entries(self.pending.range(collection, lower, upper))
    }

    /// The entries whose keys begin with `prefix`, in byte order of their keys.
    pub fn prefix(&self, collection: &str, prefix: impl AsRef<[u8]>) -> TransactionEntries<'_> {
        let (lower, upper) = crate::collections::prefix_bounds(prefix.as_ref());
        self.entries(self.pending.range(collection, lower, upper.as_ref().map(|key| &**key)))
    }

    /// Creates an empty collection; `false` if it exists already.
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn create_collection(&mut self, name: &str) -> Result<bool> {
        Limits::default().check_name(name)?;
        self.pending.create(name)
    }

    /// Drops a collection with everything in it.
    ///
    /// # Errors
    /// [`CollectionNotFound`](Error::CollectionNotFound); otherwise as [`put`](Transaction::put).
    pub fn drop_collection(&mut self, name: &str) -> Result<()> {
        Limits::default().check_name(name)?;
        self.pending.drop_collection(name)
    }

    /// Empties a collection.
    ///
    /// # Errors
    /// As [`drop_collection`](Transaction::drop_collection).
    pub fn clear_collection(&mut self, name: &str) -> Result<()> {
        Limits::default().check_name(name)?;
        self.pending.clear(name)
    }

    /// Gives a collection another name.
    ///
    /// # Errors
    /// [`CollectionExists`](Error::CollectionExists) if the new name is taken; otherwise as [`drop_collection`](Transaction::drop_collection).
    pub fn rename_collection(&mut self, from: &str, to: &str) -> Result<()> {
        Limits::default().check_name(from)?;
        Limits::default().check_name(to)?;
        self.pending.rename(from, to)
    }

    fn entries(&self, entries: Entries) -> TransactionEntries<'_> {
        TransactionEntries { entries, observed: self.pending.observed() }
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

/// Entries of a collection as a [`Transaction`] sees it, in byte order of their keys, from either end. It ends after an error.
///
/// ```
/// # use std::sync::Arc;
/// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// store.transact(|tx| {
///     tx.put("jobs", "1", "first")?;
///     tx.put("jobs", "2", "second")?;
///     let oldest = tx.iter("jobs").next().transpose()?; // the iterator ends here: then the transaction can write again
///     if let Some(oldest) = oldest {
///         tx.delete("jobs", oldest.key)?;
///     }
///     assert_eq!(tx.iter("jobs").count(), 1);
///     Ok::<_, kv_core::Error>(())
/// })?;
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TransactionEntries<'a> {
    entries: Entries,
    /// The transaction's, to which what is not published may be shown, and which answers for it.
    observed: &'a Observed,
}

impl Iterator for TransactionEntries<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let entry = self.entries.next();
        self.observed.note(self.entries.depends_on());
        entry
    }
}

impl DoubleEndedIterator for TransactionEntries<'_> {
    fn next_back(&mut self) -> Option<Result<Entry>> {
        let entry = self.entries.next_back();
        self.observed.note(self.entries.depends_on());
        entry
    }
}

impl FusedIterator for TransactionEntries<'_> {}

impl Store {
    /// Runs `transaction` alone, on the newest state, and makes its changes, all of them or none, with the store's durability. Returns what it
    /// returned, once that is durable as asked, and published.
    ///
    /// Transactions behave as if they ran one at a time, in the order of the log (strict serializability). While the closure runs, other writers
    /// wait, and readers do not: so it must not wait for another thread that writes, nor for one that
    /// waits for a write which the closure makes to another store: wakers run when the closure has
    /// ended. An error or a panic in it leaves no trace. A transaction that only reads is better done
    /// on a [`snapshot`](Store::snapshot), which waits for nobody.
    ///
    /// A panic goes on in the caller once what the closure looked at is published and as durable as
    /// asked, as an error of its own is returned then. If that fails, the panic ends here, and the
    /// call fails with [`OutcomeUnknown`](Error::OutcomeUnknown). What the closure puts anywhere
    /// else than into its result is not held back: it may be of writes that nobody else sees yet.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// store.collection("accounts")?.put("alice", [100])?;
    /// let left = store.transact(|tx| {
    ///     let balance = tx.get("accounts", "alice")?.map_or(0, |value| value[0]);
    ///     if balance < 10 {
    ///         return Err("too little in the account".into());
    ///     }
    ///     tx.put("accounts", "alice", [balance - 10])?;
    ///     tx.put("accounts", "bob", [10])?;
    ///     Ok::<_, Box<dyn std::error::Error>>(balance - 10)
    /// })?;
    /// assert_eq!(left, 90);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The closure's own; otherwise as [`Collection::put`](crate::Collection::put). From inside of the closure the store is written to, checkpointed or closed through `tx`
    /// only: everything else fails with [`InTransaction`](Error::InTransaction).
    pub fn transact<T, E: From<Error>>(
        &self,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact_with(self.inner.options.durability, transaction)
    }

    /// As [`transact`](Store::transact), with this durability.
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn transact_with<T, E: From<Error>>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (value, dependency) = self.inner.transact_deferred(durability, transaction)?;
        self.inner.wait_for(dependency)?;
        Ok(value)
    }
}

impl Inner {
    /// Runs a transaction and returns, beside its result, what has to be waited for.
    pub(super) fn transact_deferred<T, E: From<Error>>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Dependency), E> {
        let writer = self.writer()?;
        let limits = &self.options.limits;
        let mut tx =
            Transaction { pending: PendingWrite::new(&self.collections, &writer.token, limits, 0, true), limits };
        // A panic must not be met while the writer's lock is held: others would take its state for
        // half done. And it is an answer like any other: it may carry what the closure saw, so it
        // goes on when that is published.
        let outcome = {
            let _running = self.reentrancy.enter();
            catch_unwind(AssertUnwindSafe(|| transaction(&mut tx)))
        };
        match outcome {
            Ok(Ok(value)) => Ok((value, self.commit(tx.pending.finish(), writer, durability)?)),
            Ok(Err(error)) => Err(self.fail_after_publish(tx.pending.observed().position(), writer, durability, error)),
            Err(panic) => {
                let dependency = self.dependency_on(tx.pending.observed().position(), durability);
                drop(writer);
                match self.wait_for(dependency) {
                    Ok(()) => resume_unwind(panic),
                    Err(error) => {
                        discard(panic);
                        Err(error.into())
                    }
                }
            }
        }
    }
}
