//! The verbs of a store and of a collection that do not wait for the disk.

use std::{borrow::Borrow, ops::RangeBounds};

use super::{Answer, Commit};
use crate::{
    Batch, Collection, Durability, Entry, Error, Mismatch, Result, Store, Transaction, Value,
    collections::{Direction, prefix_bounds},
    store::{collection::checked, commit::Expected, pending_write::PendingWrite, room::Patience},
};

/// The verbs of a [`Store`] that do not wait for the disk; made by [`Store::deferred`].
///
/// Each returns a [`Commit`] at once, which gives the answer later. An error that the call itself
/// returns depends on nothing that was read, and nothing was written. The calls wait for other
/// writers, and for the log if too many bytes already wait for the disk. They do not wait for room:
/// if there is none, they fail with [`Busy`](Error::Busy).
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::{Batch, Error};
/// let deferred = store.deferred();
/// let written = deferred.write(Batch::new().put("users", "alice", "Alice").put("counts", "users", "1"))?;
/// let refused = deferred.write(Batch::new().delete("users", "bob"))?; // does not wait for the first
/// written.wait()?; // durable, and visible to every reader
/// assert!(matches!(refused.wait(), Err(Error::KeyNotFound { .. })));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeferredStore {
    store: Store,
    durability: Durability,
}

/// The verbs of a [`Collection`] that do not wait for the disk; made by [`Collection::deferred`].
/// They are as those of a [`DeferredStore`].
///
/// They work on the newest state: what was written before is seen, even if it is not published yet.
/// So a pipeline sees its own writes.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// let counters = store.collection("counters")?.deferred();
/// let add_one = |count: Option<&[u8]>| Some([count.map_or(0, |count| count[0]) + 1]);
/// let (first, second) = (counters.update("visits", add_one)?, counters.update("visits", add_one)?);
/// let seen = counters.get("visits")?;
/// assert_eq!(seen.wait()?.unwrap(), [2]); // the answer is given once both updates are durable
/// assert_eq!(second.wait()?.unwrap(), [2]); // so the first is durable, too
/// assert_eq!(first.wait()?.unwrap(), [1]);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeferredCollection(Collection);

impl Store {
    /// The store's verbs that do not wait for the disk.
    pub fn deferred(&self) -> DeferredStore {
        DeferredStore { store: self.clone(), durability: self.inner.options.durability }
    }

    /// Commits what `build` makes. What it returns is the answer, also if that is an error.
    fn commit_later<T>(
        &self,
        durability: Durability,
        build: impl FnOnce(&mut PendingWrite<'_>) -> Result<T>,
        expected: Expected,
    ) -> Result<Commit<T>> {
        let (answer, dependency) = self.inner.write_unawaited(durability, build, expected, Patience::Refuses)?;
        Ok(Commit::new(&self.inner, dependency, Answer::Returned(answer)))
    }
}

impl DeferredStore {
    /// The same verbs with this durability instead of the store's default.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self { durability, ..self.clone() }
    }

    /// As [`Store::write`].
    ///
    /// # Errors
    /// As [`Store::write`], and [`Busy`](Error::Busy): nothing was written.
    /// [`KeyNotFound`](Error::KeyNotFound) comes with the answer.
    pub fn write(&self, batch: impl Borrow<Batch>) -> Result<Commit> {
        let batch = batch.borrow();
        let bytes = batch.check(&self.store.inner.options.limits)?;
        let expected = Expected { bytes, reads_own_writes: batch.reads_own_writes(), purpose: batch.purpose() };
        self.store.commit_later(self.durability, |pending| batch.build(pending), expected)
    }

    /// As [`Store::transact`]. The closure's result is the answer, also if it is an error or a
    /// panic.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let next = store.deferred().transact(|tx| {
    ///     let number = tx.get("counters", "next")?.map_or(1, |value| value[0] + 1);
    ///     tx.put("counters", "next", [number])?;
    ///     Ok(number)
    /// })?;
    /// assert_eq!(next.wait()?, 1); // only now may the number be passed on
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`write`](DeferredStore::write). The closure's own come with the answer.
    pub fn transact<T>(&self, transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<Commit<T>> {
        self.try_transact(transaction)
    }

    /// As [`transact`](DeferredStore::transact), for a closure with an error type of its own; see
    /// [`Store::try_transact`].
    ///
    /// # Errors
    /// As [`transact`](DeferredStore::transact).
    pub fn try_transact<T, E: From<Error>>(
        &self,
        transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<Commit<T, E>> {
        let inner = &self.store.inner;
        let (outcome, dependency) = inner.transact_unawaited(self.durability, transaction, Patience::Refuses)?;
        let answer = outcome.map_or_else(|panic| Answer::Panicked(panic.into()), Answer::Returned);
        Ok(Commit::new(inner, dependency, answer))
    }

    /// As [`Store::create_collection`].
    ///
    /// # Errors
    /// As [`transact`](DeferredStore::transact).
    pub fn create_collection(&self, name: &str) -> Result<Commit<bool>> {
        self.transact(|tx| tx.create_collection(name))
    }

    /// As [`Store::drop_collection`].
    ///
    /// # Errors
    /// As [`transact`](DeferredStore::transact).
    pub fn drop_collection(&self, name: &str) -> Result<Commit> {
        self.transact(|tx| tx.drop_collection(name))
    }

    /// As [`Store::clear_collection`].
    ///
    /// # Errors
    /// As [`transact`](DeferredStore::transact).
    pub fn clear_collection(&self, name: &str) -> Result<Commit> {
        self.transact(|tx| tx.clear_collection(name))
    }

    /// As [`Store::rename_collection`].
    ///
    /// # Errors
    /// As [`transact`](DeferredStore::transact).
    pub fn rename_collection(&self, from: &str, to: &str) -> Result<Commit> {
        self.transact(|tx| tx.rename_collection(from, to))
    }
}

impl Collection {
    /// The collection's verbs that do not wait for the disk.
    pub fn deferred(&self) -> DeferredCollection {
        DeferredCollection(self.clone())
    }
}

impl DeferredCollection {
    /// The collection's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The same verbs with this durability instead of the collection's.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self(self.0.with_durability(durability))
    }

    /// As [`Collection::put`].
    ///
    /// # Errors
    /// As [`Collection::put`], and [`Busy`](Error::Busy): nothing was written.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Commit> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.0.check_put(key, value)?;
        self.write(key, Some(value.len()), |pending| pending.put(self.name(), key, value))
    }

    /// As [`Collection::get`], of the newest state.
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey), [`Closed`](Error::Closed), [`Poisoned`](Error::Poisoned),
    /// [`Forked`](Error::Forked). [`Corrupt`](Error::Corrupt) comes with the answer.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Commit<Option<Value>>> {
        let key = checked(key.as_ref())?;
        self.read(|pending| pending.get(self.name(), key))
    }

    /// As [`Collection::get_many`], of the newest state.
    ///
    /// # Errors
    /// As [`get`](DeferredCollection::get).
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Commit<Vec<Option<Value>>>> {
        let keys = keys.iter().map(|key| checked(key.as_ref())).collect::<Result<Vec<_>>>()?;
        self.read(|pending| keys.iter().map(|key| pending.get(self.name(), key)).collect())
    }

    /// As [`Collection::contains`], of the newest state.
    ///
    /// # Errors
    /// As [`get`](DeferredCollection::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<Commit<bool>> {
        let key = checked(key.as_ref())?;
        self.read(|pending| pending.get_with(self.name(), key, &mut |_| {}))
    }

    /// As [`Collection::first`], of the newest state.
    ///
    /// # Errors
    /// As [`get`](DeferredCollection::get).
    pub fn first(&self) -> Result<Commit<Option<Entry>>> {
        self.read(|pending| pending.end(self.name(), Direction::Forward))
    }

    /// As [`Collection::last`], of the newest state.
    ///
    /// # Errors
    /// As [`get`](DeferredCollection::get).
    pub fn last(&self) -> Result<Commit<Option<Entry>>> {
        self.read(|pending| pending.end(self.name(), Direction::Backward))
    }

    /// As [`Collection::is_empty`], of the newest state.
    ///
    /// # Errors
    /// As [`get`](DeferredCollection::get).
    pub fn is_empty(&self) -> Result<Commit<bool>> {
        self.read(|pending| Ok(pending.end(self.name(), Direction::Forward)?.is_none()))
    }

    /// As [`Collection::delete`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put). [`KeyNotFound`](Error::KeyNotFound) comes with the
    /// answer.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<Commit> {
        let key = checked(key.as_ref())?;
        self.write(key, None, |pending| match pending.delete(self.name(), key)? {
            true => Ok(()),
            false => Err(Error::key_not_found(self.name(), key)),
        })
    }

    /// As [`Collection::delete_if_present`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put).
    pub fn delete_if_present(&self, key: impl AsRef<[u8]>) -> Result<Commit<bool>> {
        let key = checked(key.as_ref())?;
        self.write(key, None, |pending| pending.delete(self.name(), key))
    }

    /// As [`Collection::compare_and_set`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put).
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Commit<Result<(), Mismatch>>> {
        let key = key.as_ref();
        self.0.check_change(key, new)?;
        let bytes = new.map(<[u8]>::len);
        self.write(key, bytes, |pending| pending.compare_and_set(self.name(), key, expected, new))
    }

    /// As [`Collection::put_if_absent`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put).
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Commit<Option<Value>>> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.0.check_put(key, value)?;
        self.write(key, Some(value.len()), |pending| pending.put_if_absent(self.name(), key, value))
    }

    /// As [`Collection::update`]. A panic in `change` comes with the answer.
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put). [`ValueTooLarge`](Error::ValueTooLarge) comes with the
    /// answer.
    pub fn update<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnOnce(Option<&[u8]>) -> Option<V>,
    ) -> Result<Commit<Option<Value>>> {
        let key = checked(key.as_ref())?;
        let store = self.0.store().deferred().with_durability(self.0.durability());
        store.transact(|tx| tx.update(self.name(), key, change))
    }

    /// As [`Collection::take`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put).
    pub fn take(&self, key: impl AsRef<[u8]>) -> Result<Commit<Option<Value>>> {
        let key = checked(key.as_ref())?;
        self.write(key, None, |pending| pending.take(self.name(), key))
    }

    /// As [`Collection::pop_first`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put).
    pub fn pop_first(&self) -> Result<Commit<Option<Entry>>> {
        self.write(&[], None, |pending| pending.pop(self.name(), Direction::Forward))
    }

    /// As [`Collection::pop_last`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put).
    pub fn pop_last(&self) -> Result<Commit<Option<Entry>>> {
        self.write(&[], None, |pending| pending.pop(self.name(), Direction::Backward))
    }

    /// As [`Collection::drain`].
    ///
    /// # Errors
    /// As [`put`](DeferredCollection::put). [`RangeTooLarge`](Error::RangeTooLarge) comes with the
    /// answer.
    pub fn drain<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Result<Commit<Vec<Entry>>> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.write(&[], None, |pending| pending.drain(self.name(), lower, upper))
    }

    /// As [`Collection::delete_range`].
    ///
    /// # Errors
    /// As [`drain`](DeferredCollection::drain).
    pub fn delete_range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Result<Commit<u64>> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.write(&[], None, |pending| pending.delete_range(self.name(), lower, upper))
    }

    /// As [`Collection::delete_prefix`].
    ///
    /// # Errors
    /// As [`drain`](DeferredCollection::drain).
    pub fn delete_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Commit<u64>> {
        let (lower, upper) = prefix_bounds(prefix.as_ref());
        self.delete_range::<&[u8]>((lower, upper.as_ref().map(|key| &**key)))
    }

    fn write<T>(
        &self,
        key: &[u8],
        value_len: Option<usize>,
        build: impl FnOnce(&mut PendingWrite<'_>) -> Result<T>,
    ) -> Result<Commit<T>> {
        self.0.store().commit_later(self.0.durability(), build, Expected::one(key, value_len))
    }

    /// Reads the newest state. This needs no room.
    fn read<T>(&self, read: impl FnOnce(&PendingWrite<'_>) -> Result<T>) -> Result<Commit<T>> {
        let inner = &self.0.store().inner;
        let (answer, dependency) = inner.read_newest(self.0.durability(), read)?;
        Ok(Commit::new(inner, dependency, Answer::Returned(answer)))
    }
}
