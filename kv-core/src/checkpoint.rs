use std::{ops::Bound, sync::Arc};

use crate::{CheckpointId, CollectionId, Epoch, LogId, Lsn, Result, Value};

/// Keeps checkpoints: point-in-time images of every collection.
///
/// Choosing among checkpoints, falling back to an older one and deciding which to remove is policy and not done here. All
/// methods may be called from any thread; there is one writer at a time ([`write`](Checkpointer::write) and
/// [`maintain`](Checkpointer::maintain) wait for each other). Guarantees, each checked by the suite in kv-testkit under its
/// number:
///
/// - **C1 durable**: what `write` returned is listed and opens after any crash.
/// - **C2 all or nothing**: after a `write` that failed, was cancelled or was cut off by a crash, the list is as it was before.
/// - **C3 list**: `list` gives the newest first and judges by names alone: a checkpoint with damaged content is still listed.
/// - **C4 never wrong**: damage is reported as [`Error::Corrupt`](crate::Error::Corrupt) by `open` or by the first read that touches it, also before an
///   absence is believed. No damaged byte is returned.
/// - **C5 state**: a checkpoint holds `previous` with the changes applied: the live collections of the changes and no other, each with the
///   newest change of a key or, where there is none, the entry of `previous`. `get` and `range` agree; keys are in byte order.
/// - **C6 removal**: `remove` never disturbs a checkpoint that is open. Removing what is not there is no error.
/// - **C7 set aside**: when `write` succeeds, checkpoints newer than `previous` (which the caller found to be bad) are no longer listed; their
///   content is kept out of the way and never deleted.
/// - **C8 identity**: a new checkpoint's id is newer than every id in the list, and its `seq` above every `seq` there.
/// - **C9 damage stops upkeep**: after a read of an open checkpoint met damage, `write`, `maintain` and `remove` fail with
///   [`Error::Corrupt`](crate::Error::Corrupt), also after reopening, until a full verification of the backend has found nothing. So no history that may be
///   needed for a repair is lost.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Checkpoint, Checkpointer, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
///
/// let checkpointer = Arc::new(MemoryCheckpointer::new()); // or kv-snapshot's `MmapCheckpointer`, or yours
/// let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), StoreOptions::default())?;
/// store.collection("users")?.put("alice", "Alice")?;
/// store.checkpoint()?; // the store chooses, writes and removes; the checkpointer keeps
///
/// let newest = checkpointer.list()?[0];
/// let checkpoint = checkpointer.open(newest)?;
/// let users = &checkpoint.head().collections[0];
/// assert_eq!((users.name.as_str(), users.entries), ("users", 1));
/// assert_eq!(checkpoint.get(users.id, b"alice")?.unwrap(), "Alice");
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Checkpointer: Send + Sync {
    /// The checkpoints that are there, newest first (C3).
    fn list(&self) -> Result<Vec<CheckpointId>>;

    /// Opens a checkpoint for reading in place. Its information is verified, its entries when they are touched (C4).
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if it is damaged, or not all there;
    /// [`NewerVersion`](crate::Error::NewerVersion).
    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>>;

    /// Makes a new checkpoint: `previous` with `changes` applied (C5). It is durable, files and names, on return (C1).
    ///
    /// # Errors
    /// [`Cancelled`](crate::Error::Cancelled) if the changes said so; anything else leaves the list as it was too (C2).
    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>>;

    /// Background upkeep of the newest checkpoint, such as merging what is stacked, within about `budget_bytes` of writing. The
    /// result holds the same state under a new id; `None` if there is nothing worth doing.
    fn maintain(&self, newest: CheckpointId, budget_bytes: u64) -> Result<Option<Arc<dyn Checkpoint>>> {
        let _ = (newest, budget_bytes);
        Ok(None)
    }

    /// Removes a checkpoint (C6).
    fn remove(&self, id: CheckpointId) -> Result<()>;
}

/// What has changed since the previous checkpoint.
///
/// An implementor of [`Checkpointer`] reads the head first and then calls [`next`](Changes::next) until `None`.
///
/// ```
/// use kv_core::{Changes, Error, Result};
///
/// /// What an implementor does with the changes: here it counts their bytes.
/// fn take_in(changes: &mut dyn Changes) -> Result<usize> {
///     println!("a checkpoint of position {}", changes.head().lsn);
///     let mut bytes = 0;
///     while let Some(change) = changes.next()? {
///         bytes += change.key.len() + change.value.map_or(0, <[u8]>::len); // without a value: deleted
///         if changes.cancelled() {
///             return Err(Error::Cancelled);
///         }
///     }
///     Ok(bytes)
/// }
/// ```
pub trait Changes {
    /// What the new checkpoint is of. The collections are all that live at the position, in order of their ids; their counts are those
    /// after the changes.
    fn head(&self) -> &CheckpointHead;

    /// The next change, in order of (collection, key), each key at most once, or `None` after the last. Changes of collections that are not
    /// in the head do not appear.
    fn next(&mut self) -> Result<Option<Change<'_>>>;

    /// Whether the work shall stop. To be asked every few milliseconds, in every step: closing
    /// the store waits until the work has stopped. Only a flush of the disk cannot be cut short.
    fn cancelled(&self) -> bool;
}

/// A changed key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The collection.
    pub collection: CollectionId,
    /// The key.
    pub key: &'a [u8],
    /// The new value; `None` if the key was deleted.
    pub value: Option<&'a [u8]>,
}

/// What a checkpoint is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The epoch in which it is made.
    pub epoch: Epoch,
    /// The position whose state it holds.
    pub lsn: Lsn,
    /// The log that it belongs to.
    pub log_id: LogId,
    /// The collections that live at the position, in order of their ids.
    pub collections: Vec<CollectionInfo>,
}

/// A collection and its size.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// store.collection("users")?.put("alice", "Alice")?;
/// for info in store.collections()? {
///     println!("{}: {} entries, {} bytes", info.name, info.entries, info.bytes);
/// }
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionInfo {
    /// The identity.
    pub id: CollectionId,
    /// The name.
    pub name: String,
    /// How many keys there are.
    pub entries: u64,
    /// The bytes of all keys and values together.
    pub bytes: u64,
}

/// A checkpoint, readable in place. It stays readable, and the same, for as long as somebody holds it.
///
/// ```
/// # use kv_core::{Checkpoint, CheckpointId, Result};
/// /// How large a checkpoint is, without a look at its entries.
/// fn bytes(checkpoint: &dyn Checkpoint) -> u64 {
///     checkpoint.head().collections.iter().map(|info| info.bytes).sum()
/// }
/// ```
pub trait Checkpoint: Send + Sync {
    /// Its identity.
    fn id(&self) -> CheckpointId;

    /// What it is of.
    fn head(&self) -> &CheckpointHead;

    /// The value of a key; `None` if the collection does not hold it, or there is no such collection.
    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>>;

    /// Calls `read` with the value of a key, in place; `false`, without a call, if it is absent.
    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// The values of several keys, in their order. A backend may have the waits for memory or for its medium overlap.
    fn get_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        keys.iter().map(|key| self.get(collection, key)).collect()
    }

    /// The entries of a collection whose keys lie within the bounds, in byte order of their keys, to be taken from both ends. Bounds that
    /// contain nothing, however they lie, give an empty cursor.
    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>>;
}

/// Entries in byte order of their keys, taken one by one from either end. A cursor is owned: it keeps what it reads alive.
///
/// ```
/// # use std::{ops::Bound, sync::Arc};
/// # use kv_core::{Checkpointer, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # let checkpointer = Arc::new(MemoryCheckpointer::new());
/// # let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), StoreOptions::default())?;
/// # store.collection("users")?.put("alice", "Alice")?;
/// # let checkpoint = checkpointer.open(store.checkpoint()?.unwrap())?;
/// let users = checkpoint.head().collections[0].id;
/// let mut cursor = checkpoint.range(users, Bound::Unbounded, Bound::Unbounded)?;
/// while cursor.advance()? {
///     println!("{:?} has {} bytes", cursor.key(), cursor.value().len());
/// }
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Cursor: Send {
    /// Goes to the first entry that was not taken from either end; `false` if there is none, and ever after.
    ///
    /// # Errors
    /// After an error the cursor stands at no entry, and there are no others.
    fn advance(&mut self) -> Result<bool>;

    /// Goes to the last entry that was not taken from either end; `false` if there is none, and ever after.
    ///
    /// # Errors
    /// As [`advance`](Cursor::advance).
    fn retreat(&mut self) -> Result<bool>;

    /// The key of the current entry. Empty when the cursor stands at none.
    fn key(&self) -> &[u8];

    /// The value of the current entry. Empty when the cursor stands at none.
    fn value(&self) -> &[u8];

    /// A handle to the key of the current entry.
    fn key_handle(&self) -> Value {
        Value::copy_from(self.key())
    }

    /// A handle to the value of the current entry.
    fn value_handle(&self) -> Value {
        Value::copy_from(self.value())
    }
}
