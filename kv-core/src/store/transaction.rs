//! Transactions: a closure that runs alone, on the newest state.

use std::{
    fmt,
    iter::FusedIterator,
    ops::RangeBounds,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

use super::{
    Inner, Mismatch, Store,
    collection::checked,
    commit::Dependency,
    pending_write::{Observed, PendingWrite},
    room::Patience,
    space::{NoRoom, Purpose},
};
use crate::{
    Durability, Entry, Error, Limits, Result, Value,
    collections::{Direction, Walk},
    panics::discard,
};

/// What the closure of [`Store::transact`] works on: the newest state, and its own changes to it.
///
/// Reads see everything that was written before, even if it is not published yet, and what the
/// transaction itself has written. It has the verbs of a [`Collection`](crate::Collection), with
/// the collection's name first. A put creates a collection that does not exist.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::Error;
/// store.transact(|tx| {
///     tx.put("queue", "1", "send a letter")?;
///     assert_eq!(tx.get("queue", "1")?.unwrap(), "send a letter"); // sees its own writes; no one else does yet
///     tx.rename_collection("queue", "done")?;
///     assert!(tx.contains("done", "1")?);
///     Ok(())
/// })?;
/// let refused: Result<(), Error> = store.transact(|tx| {
///     tx.clear_collection("done")?;
///     Err(Error::Cancelled) // any error takes everything back
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
    /// Sets the value of a key, whether it is present or not.
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey), [`ValueTooLarge`](Error::ValueTooLarge),
    /// [`InvalidCollectionName`](Error::InvalidCollectionName),
    /// [`TooManyCollections`](Error::TooManyCollections); [`BatchTooLarge`](Error::BatchTooLarge)
    /// if the transaction has become too large.
    pub fn put(&mut self, collection: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_put(collection, key, value)?;
        self.pending.put(collection, key, value)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`KeyNotFound`](Error::KeyNotFound) if it is absent; otherwise as [`put`](Transaction::put).
    pub fn delete(&mut self, collection: &str, key: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        if self.delete_if_present(collection, key)? { Ok(()) } else { Err(Error::key_not_found(collection, key)) }
    }

    /// Deletes a key if it is present, and returns whether it was.
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn delete_if_present(&mut self, collection: &str, key: impl AsRef<[u8]>) -> Result<bool> {
        self.pending.delete(collection, checked(key.as_ref())?)
    }

    /// The value of a key; `None` if it is absent, or there is no such collection.
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey); [`Corrupt`](Error::Corrupt) if the checkpoint is damaged
    /// where the key would be.
    pub fn get(&self, collection: &str, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.pending.get(collection, checked(key.as_ref())?)
    }

    /// The values of several keys, in their order.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn get_many<K: AsRef<[u8]>>(&self, collection: &str, keys: &[K]) -> Result<Vec<Option<Value>>> {
        keys.iter().map(|key| self.get(collection, key)).collect()
    }

    /// Calls `read` with the value of a key in place, and returns its result; `None`, without a
    /// call, if the key is absent.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn get_with<R>(
        &self,
        collection: &str,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        // Reads through a handle, so that what `read` sees is noted before `read` runs: it may
        // panic.
        Ok(self.get(collection, key)?.map(|value| read(&value)))
    }

    /// Whether the key is present.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn contains(&self, collection: &str, key: impl AsRef<[u8]>) -> Result<bool> {
        self.pending.get_with(collection, checked(key.as_ref())?, &mut |_| {})
    }

    /// How many keys the collection has. It costs as much as reading them all.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn len(&self, collection: &str) -> Result<u64> {
        self.iter(collection).try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    /// Whether the collection has no keys, or there is no such collection.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn is_empty(&self, collection: &str) -> Result<bool> {
        Ok(self.first(collection)?.is_none())
    }

    /// All entries of a collection, in byte order of their keys.
    pub fn iter(&self, collection: &str) -> TransactionEntries<'_> {
        self.prefix(collection, [])
    }

    /// The entries whose keys lie in `keys`, in byte order of their keys. A range that contains
    /// nothing, even an inverted one, is empty.
    pub fn range<K: AsRef<[u8]>>(&self, collection: &str, keys: impl RangeBounds<K>) -> TransactionEntries<'_> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.entries(self.pending.range(collection, lower, upper))
    }

    /// The entries whose keys begin with `prefix`, in byte order of their keys.
    pub fn prefix(&self, collection: &str, prefix: impl AsRef<[u8]>) -> TransactionEntries<'_> {
        let (lower, upper) = crate::collections::prefix_bounds(prefix.as_ref());
        self.entries(self.pending.range(collection, lower, upper.as_ref().map(|key| &**key)))
    }

    /// The entry with the lowest key.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn first(&self, collection: &str) -> Result<Option<Entry>> {
        self.iter(collection).next().transpose()
    }

    /// The entry with the highest key.
    ///
    /// # Errors
    /// As [`get`](Transaction::get).
    pub fn last(&self, collection: &str) -> Result<Option<Entry>> {
        self.iter(collection).next_back().transpose()
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

    /// Renames a collection.
    ///
    /// # Errors
    /// [`CollectionExists`](Error::CollectionExists) if the new name is taken; otherwise as
    /// [`drop_collection`](Transaction::drop_collection).
    pub fn rename_collection(&mut self, from: &str, to: &str) -> Result<()> {
        Limits::default().check_name(from)?;
        Limits::default().check_name(to)?;
        self.pending.rename(from, to)
    }

    fn check_put(&self, collection: &str, key: &[u8], value: &[u8]) -> Result<()> {
        Limits::default().check_name(collection)?;
        self.limits.check_key(key)?;
        self.limits.check_value(value)
    }

    fn entries<'a>(&'a self, entries: Walk<'a>) -> TransactionEntries<'a> {
        TransactionEntries { entries, observed: self.pending.observed() }
    }
}

/// # Verbs that read before they write
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// store.transact(|tx| {
///     tx.put_if_absent("stock", "apples", [9])?;
///     tx.update("stock", "apples", |stock| stock.map(|stock| [stock[0] - 1]))?;
///     assert!(tx.compare_and_set("stock", "pears", None, Some(&[3]))?.is_ok());
///     assert_eq!(tx.take("stock", "pears")?.unwrap(), [3]);
///     assert_eq!(tx.first("stock")?.unwrap().value, [8]);
///     Ok(())
/// })?;
/// # Ok::<(), kv_core::Error>(())
/// ```
impl Transaction<'_> {
    /// As [`Collection::compare_and_set`](crate::Collection::compare_and_set).
    ///
    /// # Errors
    /// As [`put`](Transaction::put). If the value differs, the outer result is still `Ok`.
    pub fn compare_and_set(
        &mut self,
        collection: &str,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Result<(), Mismatch>> {
        let key = key.as_ref();
        match new {
            Some(new) => self.check_put(collection, key, new)?,
            None => drop(checked(key)?),
        }
        self.pending.compare_and_set(collection, key, expected, new)
    }

    /// As [`Collection::put_if_absent`](crate::Collection::put_if_absent).
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn put_if_absent(
        &mut self,
        collection: &str,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Option<Value>> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_put(collection, key, value)?;
        self.pending.put_if_absent(collection, key, value)
    }

    /// As [`Collection::update`](crate::Collection::update).
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn update<V: AsRef<[u8]>>(
        &mut self,
        collection: &str,
        key: impl AsRef<[u8]>,
        change: impl FnOnce(Option<&[u8]>) -> Option<V>,
    ) -> Result<Option<Value>> {
        let key = key.as_ref();
        let new = change(self.get(collection, key)?.as_deref()).map(|new| Value::copy_from(new.as_ref()));
        match &new {
            Some(new) => self.put(collection, key, new)?,
            None => drop(self.delete_if_present(collection, key)?),
        }
        Ok(new)
    }

    /// As [`Collection::take`](crate::Collection::take).
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn take(&mut self, collection: &str, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.pending.take(collection, checked(key.as_ref())?)
    }

    /// As [`Collection::pop_first`](crate::Collection::pop_first).
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn pop_first(&mut self, collection: &str) -> Result<Option<Entry>> {
        self.pending.pop(collection, Direction::Forward)
    }

    /// As [`Collection::pop_last`](crate::Collection::pop_last).
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn pop_last(&mut self, collection: &str) -> Result<Option<Entry>> {
        self.pending.pop(collection, Direction::Backward)
    }

    /// As [`Collection::drain`](crate::Collection::drain).
    ///
    /// # Errors
    /// As [`Collection::drain`](crate::Collection::drain). After an error nothing of it was
    /// deleted.
    pub fn drain<K: AsRef<[u8]>>(&mut self, collection: &str, keys: impl RangeBounds<K>) -> Result<Vec<Entry>> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.pending.drain(collection, lower, upper)
    }

    /// As [`Collection::delete_range`](crate::Collection::delete_range).
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// store.transact(|tx| {
    ///     tx.put("inbox", "alice/1", "mail")?;
    ///     tx.put("inbox", "alice/2", "mail")?;
    ///     assert_eq!(tx.delete_prefix("inbox", "alice/")?, 2);
    ///     tx.put("inbox", "alice/3", "newer mail")
    /// })?;
    /// assert_eq!(store.collection("inbox")?.len()?, 1);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::delete_range`](crate::Collection::delete_range). After an error nothing of
    /// the range was deleted.
    pub fn delete_range<K: AsRef<[u8]>>(&mut self, collection: &str, keys: impl RangeBounds<K>) -> Result<u64> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.pending.delete_range(collection, lower, upper)
    }

    /// As [`Collection::delete_prefix`](crate::Collection::delete_prefix).
    ///
    /// # Errors
    /// As [`delete_range`](Transaction::delete_range).
    pub fn delete_prefix(&mut self, collection: &str, prefix: impl AsRef<[u8]>) -> Result<u64> {
        let (lower, upper) = crate::collections::prefix_bounds(prefix.as_ref());
        self.pending.delete_range(collection, lower, upper.as_ref().map(|key| &**key))
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

/// Entries of a collection as a [`Transaction`] sees it, in byte order of their keys, from either
/// end. The iterator ends after an error.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// store.transact(|tx| {
///     tx.put("jobs", "1", "first")?;
///     tx.put("jobs", "2", "second")?;
///     let oldest = tx.iter("jobs").next().transpose()?; // the iterator is dropped here, so `tx` can write again
///     if let Some(oldest) = oldest {
///         tx.delete("jobs", oldest.key)?;
///     }
///     assert_eq!(tx.iter("jobs").count(), 1);
///     Ok(())
/// })?;
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TransactionEntries<'a> {
    entries: Walk<'a>,
    /// What the transaction has observed. The iterator may return unpublished entries, because the
    /// transaction's answer waits for everything that is noted here.
    observed: &'a Observed,
}

impl Iterator for TransactionEntries<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let entry = self.entries.take(Direction::Forward);
        self.observed.note(self.entries.depends_on());
        entry
    }
}

impl DoubleEndedIterator for TransactionEntries<'_> {
    fn next_back(&mut self) -> Option<Result<Entry>> {
        let entry = self.entries.take(Direction::Backward);
        self.observed.note(self.entries.depends_on());
        entry
    }
}

impl FusedIterator for TransactionEntries<'_> {}

impl Store {
    /// Runs `transaction` alone on the newest state, and makes its changes, all of them or none,
    /// with the store's durability. Returns its result once the changes, or what it read if there
    /// are none, are published and as durable as requested.
    ///
    /// Transactions behave as if they ran one at a time, in the order of the log (strict
    /// serializability). An error or a panic in the closure leaves no trace. To read only, use a
    /// [`snapshot`](Store::snapshot) instead: it does not wait for writers or flushes.
    ///
    /// While the closure runs, other writers wait; readers do not. So the closure must not wait for
    /// another thread that writes to this store. If it writes to another store, it must not wait
    /// for a thread that is woken by that write either, because wakers run only after the closure
    /// has ended.
    ///
    /// The closure's errors are [`Error`]s. For an error type of your own, use
    /// [`try_transact`](Store::try_transact).
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// store.collection("accounts")?.put("alice", [100])?;
    /// let left = store.transact(|tx| {
    ///     let balance = tx.get("accounts", "alice")?.map_or(0, |value| value[0]);
    ///     tx.put("accounts", "alice", [balance - 10])?;
    ///     tx.put("accounts", "bob", [10])?;
    ///     Ok(balance - 10)
    /// })?;
    /// assert_eq!(left, 90);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the closure panics, the panic resumes in the caller, but, like an error of the closure,
    /// only once everything that the closure read is published and as durable as requested. If that
    /// fails, the panic ends here, and the call fails with
    /// [`OutcomeUnknown`](Error::OutcomeUnknown). Only the result is held back: what the closure
    /// passes on in other ways may come from writes that are not published yet.
    ///
    /// # Errors
    /// The closure's own; otherwise as [`Collection::put`](crate::Collection::put). Inside the
    /// closure the store can be changed only through `tx`: every other write, checkpoint or close
    /// fails with [`InTransaction`](Error::InTransaction).
    pub fn transact<T>(&self, transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        self.try_transact(transaction)
    }

    /// As [`transact`](Store::transact), with this durability.
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn transact_with<T>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.try_transact_with(durability, transaction)
    }

    /// As [`transact`](Store::transact), for a closure with an error type of its own. The compiler
    /// cannot infer that type, so it has to be named, for example by a type annotation.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # store.collection("accounts")?.put("alice", [5])?;
    /// let refused: Result<(), Box<dyn std::error::Error>> = store.try_transact(|tx| {
    ///     let balance = tx.get("accounts", "alice")?.map_or(0, |value| value[0]);
    ///     if balance < 10 {
    ///         return Err("too little in the account".into());
    ///     }
    ///     tx.put("accounts", "alice", [balance - 10])?;
    ///     Ok(())
    /// });
    /// assert_eq!(refused.unwrap_err().to_string(), "too little in the account");
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn try_transact<T, E: From<Error>>(
        &self,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.try_transact_with(self.inner.options.durability, transaction)
    }

    /// As [`try_transact`](Store::try_transact), with this durability.
    ///
    /// # Errors
    /// As [`transact`](Store::transact).
    pub fn try_transact_with<T, E: From<Error>>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (outcome, dependency) = self.inner.transact_unawaited(durability, transaction, Patience::Waits)?;
        match (self.inner.wait_for(dependency), outcome) {
            (Ok(()), Ok(returned)) => returned,
            (Ok(()), Err(panic)) => resume_unwind(panic),
            (Err(error), outcome) => {
                outcome.err().into_iter().for_each(discard);
                Err(error.into())
            }
        }
    }
}

impl Inner {
    /// Runs a transaction. Returns its result or its panic, and what has to be waited for before
    /// that may be passed on. An error of its own depends on nothing.
    pub(super) fn transact_unawaited<T, E: From<Error>>(
        &self,
        durability: Durability,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
        patience: Patience,
    ) -> Result<(thread::Result<Result<T, E>>, Dependency)> {
        let mut writer = self.writer_with_room(patience, Purpose::Unknown, self.space.closure_bytes)?;
        writer.no_room = writer.no_room.take().map(NoRoom::check_deletions).transpose()?;
        let limits = &self.options.limits;
        let mut tx =
            Transaction { pending: PendingWrite::new(&self.collections, &writer.token, limits, 0, true), limits };
        // The panic is caught here because a panic that left this function would poison the
        // writer's lock, and every later writer would take the state for half changed. A panic is
        // also an answer like any other: it may carry what the closure read, so it resumes only
        // once that is published.
        let outcome = {
            let _running = self.reentrancy.enter();
            catch_unwind(AssertUnwindSafe(|| transaction(&mut tx)))
        };
        let dependency = match outcome {
            Ok(Ok(_)) => self.commit(tx.pending.finish(), writer, durability)?,
            Ok(Err(_)) | Err(_) => self.dependency_on(tx.pending.observed().position(), durability),
        };
        Ok((outcome, dependency))
    }
}
