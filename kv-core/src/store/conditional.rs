//! Verbs that read a key and then write it, in one step.

use std::ops::RangeBounds;

use super::{Collection, collection::checked, pending_write::PendingWrite};
use crate::{Entry, Result, Value, collections::Direction};

/// # Verbs that read before they write
///
/// For each of these verbs, reading and writing are one step: no other write comes between them.
/// When the verb returns, what its answer depends on is published, and survives what a write of its
/// durability survives, even if nothing was written. With
/// [`Durability::Disk`](crate::Durability::Disk), no power cut takes back what it found.
impl Collection {
    /// Sets the value of a key to `new` if it is `expected`. Otherwise nothing is written, and the
    /// inner result has the actual value.
    ///
    /// For both values, `None` means an absent key. So this creates, replaces or deletes a key,
    /// provided that it has not changed in the meantime.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let leases = store.collection("leases")?;
    /// assert!(leases.compare_and_set("printer", None, Some(b"alice"))?.is_ok());
    /// let refused = leases.compare_and_set("printer", None, Some(b"bob"))?.unwrap_err();
    /// assert_eq!(refused.actual.unwrap(), "alice");
    /// assert!(leases.compare_and_set("printer", Some(b"alice"), None)?.is_ok()); // given back
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// The values are `Option<&[u8]>` and nothing more general, because the compiler could not
    /// infer the type of a bare `None`. For text, pass `Some(text.as_bytes())`. For a value that
    /// was read, pass `value.as_deref()`.
    ///
    /// # Errors
    /// As [`put`](Collection::put). If the value differs, the outer result is still `Ok`.
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Result<(), Mismatch>> {
        let key = key.as_ref();
        self.check_change(key, new)?;
        self.write(key, new.map(<[u8]>::len), |pending| pending.compare_and_set(self.name(), key, expected, new))
    }

    /// Sets the value of a key if it is absent. Otherwise nothing is written, and the present value
    /// is returned.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let users = store.collection("users")?;
    /// assert_eq!(users.put_if_absent("alice", "first")?, None); // written
    /// assert_eq!(users.put_if_absent("alice", "second")?.unwrap(), "first"); // not written
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Collection::put).
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Option<Value>> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_put(key, value)?;
        self.write(key, Some(value.len()), |pending| pending.put_if_absent(self.name(), key, value))
    }

    /// Sets the value of a key to what `change` returns for the present value, and returns the new
    /// value. For both values, `None` means an absent key.
    ///
    /// Other writers wait while `change` runs; readers do not. `change` must not write to the store
    /// in any other way than by its result; see [`transact`](crate::Store::transact).
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let visits = store.collection("visits")?;
    /// let add_one = |visits: Option<&[u8]>| Some([visits.map_or(0, |visits| visits[0]) + 1]);
    /// visits.update("home", add_one)?;
    /// assert_eq!(visits.update("home", add_one)?.unwrap(), [2]);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Collection::put).
    pub fn update<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnOnce(Option<&[u8]>) -> Option<V>,
    ) -> Result<Option<Value>> {
        let key = checked(key.as_ref())?;
        self.store().transact_with(self.durability(), |tx| tx.update(self.name(), key, change))
    }

    /// Deletes a key and returns its value; `None` if it was absent.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let jobs = store.collection("jobs")?;
    /// jobs.put("1", "send a letter")?;
    /// assert_eq!(jobs.take("1")?.unwrap(), "send a letter"); // of several threads, one gets it
    /// assert_eq!(jobs.take("1")?, None);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Collection::put).
    pub fn take(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        let key = checked(key.as_ref())?;
        self.write(key, None, |pending| pending.take(self.name(), key))
    }

    /// Deletes the entry with the lowest key and returns it; `None` if there are no entries. Of
    /// several threads, one gets it. So a collection is a queue whose order is that of its keys.
    ///
    /// The cost does not grow with the number of entries that were popped before. Where they were
    /// is not written, though: the first pop after an opening walks over what is left of them.
    /// Until then [`first`](Collection::first) and [`is_empty`](Collection::is_empty) do so at
    /// each call.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let jobs = store.collection("jobs")?;
    /// jobs.put(1_u32.to_be_bytes(), "send a letter")?;
    /// jobs.put(2_u32.to_be_bytes(), "make tea")?;
    /// assert_eq!(jobs.pop_first()?.unwrap().value, "send a letter");
    /// assert_eq!(jobs.pop_last()?.unwrap().value, "make tea");
    /// assert_eq!(jobs.pop_first()?, None);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Collection::put).
    pub fn pop_first(&self) -> Result<Option<Entry>> {
        self.write(&[], None, |pending| pending.pop(self.name(), Direction::Forward))
    }

    /// Deletes the entry with the highest key and returns it; otherwise as
    /// [`pop_first`](Collection::pop_first).
    ///
    /// # Errors
    /// As [`put`](Collection::put).
    pub fn pop_last(&self) -> Result<Option<Entry>> {
        self.write(&[], None, |pending| pending.pop(self.name(), Direction::Backward))
    }

    /// Deletes the entries whose keys lie in `keys` and returns them, in byte order of their keys.
    /// It is one step: all of them are deleted, or none.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let inbox = store.collection("inbox")?;
    /// for key in ["a/1", "a/2", "b/1"] {
    ///     inbox.put(key, "mail")?;
    /// }
    /// assert_eq!(inbox.drain("a/".."a0")?.len(), 2);
    /// assert_eq!(inbox.len()?, 1);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`RangeTooLarge`](crate::Error::RangeTooLarge) if there are more than one record can delete:
    /// drain smaller ranges. Otherwise as [`put`](Collection::put).
    pub fn drain<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Result<Vec<Entry>> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.write(&[], None, |pending| pending.drain(self.name(), lower, upper))
    }
}

/// The verbs themselves, for [`Collection`] and [`Transaction`](super::Transaction). The callers
/// have checked keys and values.
impl PendingWrite<'_> {
    pub(super) fn compare_and_set(
        &mut self,
        name: &str,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Result<(), Mismatch>> {
        let actual = self.get(name, key)?;
        if actual.as_deref() != expected {
            return Ok(Err(Mismatch { actual }));
        }
        match new {
            Some(new) => self.put(name, key, new)?,
            None => drop(self.delete(name, key)?),
        }
        Ok(Ok(()))
    }

    pub(super) fn put_if_absent(&mut self, name: &str, key: &[u8], value: &[u8]) -> Result<Option<Value>> {
        match self.get(name, key)? {
            Some(present) => Ok(Some(present)),
            None => self.put(name, key, value).map(|()| None),
        }
    }

    pub(super) fn take(&mut self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        let value = self.get(name, key)?;
        if value.is_some() {
            self.delete_present(name, key)?;
        }
        Ok(value)
    }
}

/// Why [`Collection::compare_and_set`] wrote nothing: the value is not the expected one.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// let votes = store.collection("votes")?;
/// let mut seen = votes.get("yes")?;
/// loop {
///     let one_more = [seen.as_ref().map_or(0, |count| count[0]) + 1];
///     match votes.compare_and_set("yes", seen.as_deref(), Some(&one_more))? {
///         Ok(()) => break,
///         Err(mismatch) => seen = mismatch.actual, // another thread was quicker: go on from there
///     }
/// }
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not the one that was expected")]
#[non_exhaustive]
pub struct Mismatch {
    /// The value that the key has; `None` if it is absent.
    pub actual: Option<Value>,
}
