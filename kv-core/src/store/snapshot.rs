use std::{
    fmt,
    ops::{ControlFlow, RangeBounds},
    sync::Arc,
};

use super::collection::checked;
use crate::{CollectionInfo, Entries, Entry, Lsn, Result, Value, collections};

/// Shows every collection as it was at one position of the log, for as long as this value lives.
/// Clones are cheap and see the same state.
///
/// A snapshot is a read-only transaction. It is cheap to begin, never waits for a write or a flush,
/// and no write waits for it.
///
/// While it lives, so do the changes that were in memory when it was taken, those that come until
/// the next checkpoint begins, together usually at most [`wait_bytes`](crate::Stats::wait_bytes),
/// and the files of the checkpoint below them, also after they were removed. Nothing that comes
/// later is kept for it. So one snapshot that is held for long costs little, and one from each of
/// many checkpoints costs much.
/// [`Stats`](crate::Stats) shows the memory (`snapshot_bytes`), which
/// [`snapshot_bytes_max`](crate::StoreOptions::snapshot_bytes_max) limits, and the space on the
/// medium (`removed_bytes`), which nothing limits.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// let users = store.collection("users")?;
/// users.put("alice", "Alice Liddell")?;
/// let snapshot = store.snapshot();
/// users.delete("alice")?;
/// assert_eq!(snapshot.get("users", "alice")?.unwrap(), "Alice Liddell");
/// assert_eq!(users.get("alice")?, None);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Snapshot(Arc<collections::Snapshot>);

impl Snapshot {
    pub(super) fn new(snapshot: collections::Snapshot) -> Self {
        Self(Arc::new(snapshot))
    }

    /// The position whose state the snapshot shows.
    pub fn position(&self) -> Lsn {
        self.0.position()
    }

    /// The value of a key; `None` if it is absent, or there is no such collection.
    ///
    /// # Errors
    /// [`InvalidKey`](crate::Error::InvalidKey); [`Corrupt`](crate::Error::Corrupt) if the
    /// checkpoint is damaged where the key would be;
    /// [`SnapshotsHoldTooMuch`](crate::Error::SnapshotsHoldTooMuch) if snapshots held too much when
    /// this one was taken.
    pub fn get(&self, collection: &str, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.0.get(collection, checked(key.as_ref())?)
    }

    /// The values of several keys, in their order. This is quicker than one `get` after the other,
    /// because the waits for memory overlap, unless the checkpoint is read through a cache.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # let users = store.collection("users")?;
    /// users.put("alice", "Alice")?;
    /// let found = store.snapshot().get_many("users", &["bob", "alice"])?;
    /// assert!(found[0].is_none());
    /// assert_eq!(found[1].as_deref(), Some(&b"Alice"[..]));
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn get_many<K: AsRef<[u8]>>(&self, collection: &str, keys: &[K]) -> Result<Vec<Option<Value>>> {
        let keys = keys.iter().map(|key| checked(key.as_ref())).collect::<Result<Vec<_>>>()?;
        self.0.get_many(collection, &keys)
    }

    /// Calls `read` with the value of a key in place, and returns its result; `None`, without a
    /// call, if the key is absent.
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn get_with<R>(
        &self,
        collection: &str,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let (mut read, mut result) = (Some(read), None);
        let mut read_once = |value: &[u8]| result = read.take().map(|read| read(value));
        self.0.get_with(collection, checked(key.as_ref())?, &mut read_once)?;
        Ok(result)
    }

    /// Whether the key is present.
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn contains(&self, collection: &str, key: impl AsRef<[u8]>) -> Result<bool> {
        self.0.get_with(collection, checked(key.as_ref())?, &mut |_| {})
    }

    /// How many keys the collection has, exactly. The cost grows with the number of changes of the
    /// collection since it was counted last, or since the last checkpoint.
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn len(&self, collection: &str) -> Result<u64> {
        self.0.len(collection)
    }

    /// Whether the collection has no keys, or there is no such collection. This costs as much as
    /// [`first`](Snapshot::first).
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn is_empty(&self, collection: &str) -> Result<bool> {
        Ok(self.first(collection)?.is_none())
    }

    /// All entries of a collection, in byte order of their keys.
    ///
    /// The first scan of a collection after a checkpoint sorts the keys that the collection has
    /// changed since then, and each later scan sorts what is new since the one before. The first
    /// entry bears that cost, not this call. Writers do not wait for it.
    pub fn iter(&self, collection: &str) -> Entries {
        self.0.prefix(collection, &[])
    }

    /// The entries whose keys lie in `keys`, in byte order of their keys. A range that contains
    /// nothing, even an inverted one, is empty.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # let users = store.collection("users")?;
    /// # for name in ["alice", "bob", "carol"] { users.put(name, "")?; }
    /// let snapshot = store.snapshot();
    /// users.delete("bob")?;
    /// assert_eq!(snapshot.range("users", "alice"..="bob").count(), 2);
    /// assert_eq!(users.range("alice"..="bob").count(), 1);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    pub fn range<K: AsRef<[u8]>>(&self, collection: &str, keys: impl RangeBounds<K>) -> Entries {
        self.0.range(collection, keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref))
    }

    /// As [`Collection::scan_with`](crate::Collection::scan_with).
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn scan_with<K: AsRef<[u8]>, B>(
        &self,
        collection: &str,
        keys: impl RangeBounds<K>,
        mut read: impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        let mut broke_with = None;
        self.range(collection, keys).read_each(&mut |key, value| match read(key, value) {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(with) => {
                broke_with = Some(with);
                ControlFlow::Break(())
            }
        })?;
        Ok(broke_with)
    }

    /// The entries whose keys begin with `prefix`, in byte order of their keys.
    pub fn prefix(&self, collection: &str, prefix: impl AsRef<[u8]>) -> Entries {
        self.0.prefix(collection, prefix.as_ref())
    }

    /// The entry with the lowest key.
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn first(&self, collection: &str) -> Result<Option<Entry>> {
        self.iter(collection).next().transpose()
    }

    /// The entry with the highest key.
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn last(&self, collection: &str) -> Result<Option<Entry>> {
        self.iter(collection).next_back().transpose()
    }

    /// All collections and their sizes, in order of their names. The cost grows with the number of
    /// keys that have changed since the last checkpoint.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// store.collection("users")?.put("alice", "Alice")?;
    /// let snapshot = store.snapshot();
    /// store.drop_collection("users")?;
    /// let users = &snapshot.collections()?[0];
    /// assert_eq!((users.name.as_str(), users.entries, users.bytes), ("users", 1, 10));
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Snapshot::get).
    pub fn collections(&self) -> Result<Vec<CollectionInfo>> {
        let mut collections = self.0.collections()?;
        collections.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(collections)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("position", &self.position()).finish_non_exhaustive()
    }
}
