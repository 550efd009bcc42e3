//! Looking at a key and writing it, in one step.

use super::{Collection, collection::checked};
use crate::{Result, Value};

/// # Verbs that look before they write
///
/// Looking and writing are one step: no other write comes between them. What they answer is
/// published when they return, and survives what a write with their durability survives, also if
/// nothing was written: with [`Durability::Disk`](crate::Durability::Disk) no power cut takes back
/// what was found.
impl Collection {
    /// Sets the value of a key to `new`, if it is `expected`; otherwise nothing is written, and the inner result has the value that is there. In
    /// both places `None` stands for an absent key: so this creates, replaces or deletes a key of which nobody else has made something different meanwhile.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
    /// let leases = store.collection("leases")?;
    /// assert!(leases.compare_and_set("printer", None, Some(b"alice"))?.is_ok());
    /// let refused = leases.compare_and_set("printer", None, Some(b"bob"))?.unwrap_err();
    /// assert_eq!(refused.actual.unwrap(), "alice");
    /// assert!(leases.compare_and_set("printer", Some(b"alice"), None)?.is_ok()); // given back
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Collection::put). That the value is another is no error of the outer result.
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Result<(), Mismatch>> {
        let key = key.as_ref();
        match new {
            Some(new) => self.check_put(key, new)?,
            None => drop(checked(key)?),
        }
        self.write(key, new.map_or(0, <[u8]>::len), |pending| {
            let actual = pending.get(self.name(), key)?;
            if actual.as_deref() != expected {
                return Ok(Err(Mismatch { actual }));
            }
            match new {
                Some(new) => pending.put(self.name(), key, new)?,
                None => drop(pending.delete(self.name(), key)?),
            }
            Ok(Ok(()))
        })
    }

    /// Sets the value of a key if it is absent; otherwise nothing is written, and the value that is there is returned.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
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
        self.write(key, value.len(), |pending| match pending.get(self.name(), key)? {
            Some(present) => Ok(Some(present)),
            None => pending.put(self.name(), key, value).map(|()| None),
        })
    }

    /// Sets the value of a key to what `change` makes of the present one, and returns the new one. In both places `None` stands for an absent key.
    ///
    /// Other writers wait while `change` runs, and readers do not. It may not use the store itself, as in [`transact`](crate::Store::transact).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
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
        self.store().transact_with(self.durability(), |tx| {
            let new = change(tx.get(self.name(), key)?.as_deref()).map(|new| Value::copy_from(new.as_ref()));
            match &new {
                Some(new) => tx.put(self.name(), key, new)?,
                None => drop(tx.delete_if_present(self.name(), key)?),
            }
            Ok(new)
        })
    }

    /// Deletes a key and returns the value that it had; `None` if it was absent.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
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
        self.write(key, 0, |pending| {
            let value = pending.get(self.name(), key)?;
            pending.delete(self.name(), key)?;
            Ok(value)
        })
    }
}

/// Why [`Collection::compare_and_set`] wrote nothing: the value is not the one that was expected.
///
/// ```
/// # use std::sync::Arc;
/// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// let votes = store.collection("votes")?;
/// let mut seen = votes.get("yes")?;
/// loop {
///     let one_more = [seen.as_ref().map_or(0, |count| count[0]) + 1];
///     match votes.compare_and_set("yes", seen.as_deref(), Some(&one_more))? {
///         Ok(()) => break,
///         Err(mismatch) => seen = mismatch.actual, // somebody was quicker: go on from there
///     }
/// }
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not the one that was expected")]
pub struct Mismatch {
    /// The value that the key has; `None` if it is absent.
    pub actual: Option<Value>,
}
