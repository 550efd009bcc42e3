use std::{fmt, sync::Arc};

use super::{
    Store,
    write::{Action, Write},
};
use crate::{Durability, Entries, Error, Result, Value, limits::Limits};

/// A handle to a collection: a bucket of `key -> blob`.
///
/// It stands for the *name*: the collection need not exist, and reads as empty while it does not; the first put creates it. After a drop, a
/// put creates it anew. Handles are cheap to clone, and keep the store open.
///
/// Reads see what is published: an acknowledged write is, and a write with [`Durability::Disk`] is not before it is durable.
#[derive(Clone)]
pub struct Collection {
    store: Store,
    name: Arc<str>,
    durability: Option<Durability>,
}

impl Collection {
    pub(super) fn new(store: Store, name: &str) -> Self {
        Self { store, name: name.into(), durability: None }
    }

    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A handle to the same collection whose writes survive what `durability` says, whatever the store's default.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self { durability: Some(durability), ..self.clone() }
    }

    /// Sets the value of a key, whether it is there or not.
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey), [`ValueTooLarge`](Error::ValueTooLarge), [`DiskFull`](Error::DiskFull),
    /// [`Poisoned`](Error::Poisoned), [`Closed`](Error::Closed): nothing was written.
    /// [`OutcomeUnknown`](Error::OutcomeUnknown): it may or may not have been.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.write(key.as_ref(), Action::Put(value.as_ref())).map(|_| ())
    }

    /// The value of a key, or `None`.
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey); [`Corrupt`](Error::Corrupt) if the checkpoint is damaged where the key would be.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.store.inner.collections.get(&self.name, checked(key.as_ref())?)
    }

    /// What `read` makes of the value of a key, in place; `None`, without a call, if the key is absent.
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let (mut read, mut result) = (Some(read), None);
        let mut read_once = |value: &[u8]| result = read.take().map(|read| read(value));
        self.store.inner.collections.get_with(&self.name, checked(key.as_ref())?, &mut read_once)?;
        Ok(result)
    }

    /// Whether the key is there.
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.store.inner.collections.get_with(&self.name, checked(key.as_ref())?, &mut |_| {})
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`KeyNotFound`](Error::KeyNotFound) if it is absent; otherwise as [`put`](Collection::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.write(key.as_ref(), Action::Delete).map(|_| ())
    }

    /// Deletes a key if it is there, and says whether it was.
    ///
    /// # Errors
    /// As [`put`](Collection::put).
    pub fn delete_if_present(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.write(key.as_ref(), Action::DeleteIfPresent).map(|deleted| deleted > 0)
    }

    /// Sets the value of a key to `new`, if it is `expected`; otherwise nothing is written, and the inner result has
    /// the value that is there. In both places `None` stands for an absent key: so this creates, replaces or deletes a
    /// key of which nobody else has made something different meanwhile.
    ///
    /// Looking and writing are one step: no other write comes between them.
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
        let action = new.map_or(Action::DeleteIfPresent, Action::Put);
        let write = Write { collection: &self.name, key: key.as_ref(), action };
        self.store.inner.write_if(write, expected, self.writes_with())
    }

    /// How many keys there are, exactly. It costs as much as has changed since the last checkpoint.
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn len(&self) -> Result<u64> {
        self.store.inner.collections.snapshot().len(&self.name)
    }

    /// Whether there are no keys, or there is no such collection.
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// All entries in byte order of their keys, as they are now.
    ///
    /// # Errors
    /// As [`get`](Collection::get), here and from the iterator.
    pub fn iter(&self) -> Result<Entries> {
        self.prefix([])
    }

    /// The entries whose keys begin with `prefix`, in byte order of their keys, as they are now.
    ///
    /// # Errors
    /// As [`get`](Collection::get), here and from the iterator.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Entries> {
        self.store.inner.collections.snapshot().prefix(&self.name, prefix.as_ref())
    }

    fn write(&self, key: &[u8], action: Action<'_>) -> Result<usize> {
        let write = Write { collection: &self.name, key, action };
        self.store.inner.write(&[write], self.writes_with())
    }

    fn writes_with(&self) -> Durability {
        self.durability.unwrap_or(self.store.inner.options.durability)
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why [`Collection::compare_and_set`] wrote nothing: the value is not the one that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not the one that was expected")]
pub struct Mismatch {
    /// The value that the key has; `None` if it is absent.
    pub actual: Option<Value>,
}

/// A key that can exist. Lowered limits bind new writes only: here the caps of the format hold.
fn checked(key: &[u8]) -> Result<&[u8], Error> {
    Limits::default().check_key(key)?;
    Ok(key)
}
