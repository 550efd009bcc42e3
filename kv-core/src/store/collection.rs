use std::{
    fmt,
    ops::{ControlFlow, RangeBounds},
    sync::Arc,
};

use super::{Store, commit::Expected, pending_write::PendingWrite};
use crate::{Durability, Entries, Entry, Error, Result, Value, limits::Limits};

/// A handle to a collection: a bucket of `key -> blob`.
///
/// The handle stands for the *name*. The collection need not exist: it reads as empty until the
/// first put creates it. After a drop, a put creates it again. Handles are cheap to clone, and keep
/// the store open.
///
/// Reads see what is published. An acknowledged write is published; a write with
/// [`Durability::Disk`] is not published before it is durable.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// let users = store.collection("users")?; // owned: keep it, clone it, move it to another thread
/// let writer = std::thread::spawn({
///     let users = users.clone();
///     move || users.put("alice", "Alice Liddell")
/// });
/// writer.join().unwrap()?;
/// assert_eq!(users.get("alice")?.unwrap(), "Alice Liddell");
/// assert_eq!(store.collection("never written")?.get("alice")?, None);
/// # Ok::<(), kv_core::Error>(())
/// ```
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

    /// A handle to the same collection whose writes have this durability instead of the store's
    /// default.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::Durability;
    /// let visits = store.collection("visits")?;
    /// visits.put("paid", "1")?; // survives a power cut
    /// let quick = visits.with_durability(Durability::Process); // survives a killed process
    /// quick.put("seen", "1")?; // does not wait for the disk
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self { durability: Some(durability), ..self.clone() }
    }

    /// Sets the value of a key, whether it is present or not.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let any = store.collection("anything that is bytes")?;
    /// any.put("text", String::from("text"))?;
    /// any.put(7_u32.to_be_bytes(), vec![1, 2, 3])?; // big-endian, so that numbers sort in their order
    /// any.put(b"bytes", [])?; // a value may be empty, a key may not
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey), [`ValueTooLarge`](Error::ValueTooLarge),
    /// [`DiskFull`](Error::DiskFull), [`Poisoned`](Error::Poisoned), [`Closed`](Error::Closed),
    /// [`Forked`](Error::Forked): nothing was written. [`OutcomeUnknown`](Error::OutcomeUnknown):
    /// it may or may not have been written.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_put(key, value)?;
        self.write(key, Some(value.len()), |pending| pending.put(&self.name, key, value))
    }

    /// The value of a key, or `None`.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let users = store.collection("users")?;
    /// users.put("alice", "Alice Liddell")?;
    /// let name = users.get("alice")?.unwrap(); // a `Value`, which derefs to `[u8]`
    /// assert_eq!(name.to_str(), Ok("Alice Liddell"));
    /// assert_eq!(users.get("bob")?, None);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidKey`](Error::InvalidKey); [`Corrupt`](Error::Corrupt) if the checkpoint is damaged
    /// where the key would be.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.store.inner.collections.get(&self.name, checked(key.as_ref())?)
    }

    /// The values of several keys, in their order, all at one position. This is quicker than one
    /// `get` after the other, because the waits for memory overlap. (What a checkpoint reads
    /// through a [cache](crate::Checkpointer::read_cache) it reads one after the other.)
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let users = store.collection("users")?;
    /// users.put("alice", "Alice Liddell")?;
    /// let found = users.get_many(&["alice", "bob"])?;
    /// assert!(found[0].is_some() && found[1].is_none());
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        self.store.now().get_many(&self.name, keys)
    }

    /// Calls `read` with the value of a key in place, and returns its result; `None`, without a
    /// call, if the key is absent.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let users = store.collection("users")?;
    /// users.put("alice", "Alice Liddell")?;
    /// assert_eq!(users.get_with("alice", |value| value.len())?, Some(13));
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let (mut read, mut result) = (Some(read), None);
        let mut read_once = |value: &[u8]| result = read.take().map(|read| read(value));
        self.store.inner.collections.get_with(&self.name, checked(key.as_ref())?, &mut read_once)?;
        Ok(result)
    }

    /// Whether the key is present.
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.store.inner.collections.get_with(&self.name, checked(key.as_ref())?, &mut |_| {})
    }

    /// Deletes a key.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::Error;
    /// let users = store.collection("users")?;
    /// users.put("alice", "Alice Liddell")?;
    /// users.delete("alice")?;
    /// assert!(matches!(users.delete("alice"), Err(Error::KeyNotFound { .. })));
    /// assert!(!users.delete_if_present("alice")?); // if absence is no error
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyNotFound`](Error::KeyNotFound) if it is absent; otherwise as [`put`](Collection::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        if self.delete_if_present(key)? { Ok(()) } else { Err(Error::key_not_found(&self.name, key)) }
    }

    /// Deletes a key if it is present, and returns whether it was.
    ///
    /// # Errors
    /// As [`put`](Collection::put).
    pub fn delete_if_present(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let key = checked(key.as_ref())?;
        self.write(key, None, |pending| pending.delete(&self.name, key))
    }

    /// How many keys there are, exactly. The cost grows with the number of changes of the
    /// collection since it was counted last, or since the last checkpoint.
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn len(&self) -> Result<u64> {
        self.store.now().len(&self.name)
    }

    /// Whether there are no keys, or there is no such collection. This costs as much as
    /// [`first`](Collection::first).
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn is_empty(&self) -> Result<bool> {
        self.store.now().is_empty(&self.name)
    }

    /// All entries in byte order of their keys, as they are now.
    ///
    /// The first scan of a collection after a checkpoint sorts the keys that the collection has
    /// changed since then, and each later scan sorts what is new since the one before. The first
    /// entry bears that cost, not this call. Writers do not wait for it.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # let numbers = store.collection("numbers")?;
    /// for number in 1..=3_u8 {
    ///     numbers.put([number], "")?;
    /// }
    /// let mut downwards = Vec::new();
    /// for entry in numbers.iter().rev() {
    ///     downwards.push(entry?.key[0]); // reading may fail, so each entry is a `Result`
    /// }
    /// assert_eq!(downwards, [3, 2, 1]);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    pub fn iter(&self) -> Entries {
        self.store.snapshot().iter(&self.name)
    }

    /// The entries whose keys lie in `keys`, in byte order of their keys, as they are now. A range
    /// that contains nothing, even an inverted one, is empty. For all entries use
    /// [`iter`](Collection::iter), because the compiler cannot infer the type of the keys from a
    /// bare `..`.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # let users = store.collection("users")?;
    /// # for name in ["alice", "bob", "carol"] { users.put(name, "")?; }
    /// assert_eq!(users.range("b"..).count(), 2);
    /// assert_eq!(users.range("alice".."bob").count(), 1);
    /// assert_eq!(users.range("bob"..="carol").count(), 2);
    /// assert_eq!(users.range("z".."a").count(), 0); // no panic
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    pub fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Entries {
        self.store.snapshot().range(&self.name, keys)
    }

    /// Calls `read` with each key and value in the range in place, in byte order of the keys, until
    /// it breaks. Returns what it breaks with, or `None`. This is faster than
    /// [`range`](Collection::range), because it makes no handles.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # let users = store.collection("users")?;
    /// # for name in ["alice", "bob", "carol"] { users.put(name, "x")?; }
    /// use std::ops::ControlFlow;
    ///
    /// let mut bytes = 0;
    /// let stopped: Option<()> = users.scan_with("".., |key, value| {
    ///     bytes += key.len() + value.len();
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!((bytes, stopped), (16, None));
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Collection::get). What was read before is right.
    pub fn scan_with<K: AsRef<[u8]>, B>(
        &self,
        keys: impl RangeBounds<K>,
        read: impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        self.store.now().scan_with(&self.name, keys, read)
    }

    /// The entries whose keys begin with `prefix`, in byte order of their keys, as they are now.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # let users = store.collection("users")?;
    /// for key in ["eu/alice", "eu/bob", "us/carol"] {
    ///     users.put(key, "")?;
    /// }
    /// let names: Result<Vec<_>, _> = users.prefix("eu/").map(|entry| entry.map(|entry| entry.key)).collect();
    /// assert_eq!(names?, ["eu/alice", "eu/bob"]);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        self.store.snapshot().prefix(&self.name, prefix)
    }

    /// The entry with the lowest key.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # let users = store.collection("users")?;
    /// # for name in ["alice", "bob", "carol"] { users.put(name, "")?; }
    /// assert_eq!(users.first()?.unwrap().key, "alice");
    /// assert_eq!(users.last()?.unwrap().key, "carol");
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn first(&self) -> Result<Option<Entry>> {
        self.store.now().first(&self.name)
    }

    /// The entry with the highest key.
    ///
    /// # Errors
    /// As [`get`](Collection::get).
    pub fn last(&self) -> Result<Option<Entry>> {
        self.store.now().last(&self.name)
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability.unwrap_or(self.store.inner.options.durability)
    }

    /// Checks a key and a value against the limits of new writes.
    pub(super) fn check_put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let limits = &self.store.inner.options.limits;
        limits.check_key(key)?;
        limits.check_value(value)
    }

    /// As [`check_put`](Collection::check_put), if there is a value; otherwise the key is deleted.
    pub(super) fn check_change(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        match value {
            Some(value) => self.check_put(key, value),
            None => checked(key).map(drop),
        }
    }

    /// Makes one change to a key. The caller has checked the key and the value.
    pub(super) fn write<T>(
        &self,
        key: &[u8],
        value_len: Option<usize>,
        build: impl FnOnce(&mut PendingWrite<'_>) -> Result<T>,
    ) -> Result<T> {
        self.store.inner.write(self.durability(), build, Expected::one(key, value_len))
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks a key against the caps of the format. Lowered limits apply only to new writes.
pub(super) fn checked(key: &[u8]) -> Result<&[u8], Error> {
    Limits::default().check_key(key)?;
    Ok(key)
}
