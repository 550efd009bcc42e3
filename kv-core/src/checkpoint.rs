use std::{ops::Bound, sync::Arc};

use crate::{CheckpointId, CollectionId, Epoch, LogId, Lsn, Result, Value};

/// Keeps checkpoints: durable images of every collection at one position of the log.
///
/// The checkpointer sets no policy. The store decides which checkpoint to open, when to fall back
/// to an older one, and which to remove. All methods may be called from any thread. There is one
/// writer at a time: calls of [`write`](Checkpointer::write) and
/// [`maintain`](Checkpointer::maintain) wait for each other.
///
/// A checkpointer guarantees the following. The suite in kv-testkit checks each guarantee under its
/// number.
///
/// - **C1 durable**: a checkpoint that `write` returned is listed, and opens, after any crash.
/// - **C2 all or nothing**: after a `write` that failed, was cancelled or was cut off by a crash,
///   the list is as it was before.
/// - **C3 list**: `list` returns the newest first and looks only at names, so a checkpoint with
///   damaged content is still listed.
/// - **C4 never wrong**: if a checkpoint is damaged, `open`, or the first read that touches the
///   damage, fails with [`Error::Corrupt`](crate::Error::Corrupt). This includes reads that would
///   otherwise report a key as absent. No damaged byte is returned.
/// - **C5 state**: a checkpoint holds `previous` with the changes applied. It has exactly the
///   collections in the head of the changes; each holds the changes of its keys and, for keys
///   without a change, the entries of `previous`. `get` and `range` agree; keys are in byte order.
/// - **C6 removal**: `remove` never disturbs a checkpoint that is open. Removing a checkpoint that
///   does not exist is not an error.
/// - **C7 set aside**: when `write` succeeds, checkpoints newer than `previous` are no longer
///   listed: the caller has found them bad. Their content is moved out of the way and never
///   deleted.
/// - **C8 identity**: the id of a new checkpoint is newer than every id in the list, and its `seq`
///   is above every `seq` there.
/// - **C9 damage stops maintenance**: after a read of an open checkpoint found damage, `write`,
///   `maintain` and `remove` fail with [`Error::Corrupt`](crate::Error::Corrupt), also after
///   reopening, until a full verification of the backend has found no damage. So nothing that a
///   repair may need is deleted.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Checkpoint, Checkpointer, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
///
/// let checkpointer = Arc::new(MemoryCheckpointer::new()); // or kv-snapshot's `MmapCheckpointer`, or yours
/// let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), StoreOptions::default())?;
/// store.collection("users")?.put("alice", "Alice")?;
/// store.checkpoint()?; // the store decides what to write and remove
///
/// let newest = checkpointer.list()?[0];
/// let checkpoint = checkpointer.open(newest)?;
/// let users = &checkpoint.head().collections[0];
/// assert_eq!((users.name.as_str(), users.entries), ("users", 1));
/// assert_eq!(checkpoint.get(users.id, b"alice")?.unwrap(), "Alice");
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Checkpointer: Send + Sync {
    /// The ids of the checkpoints, newest first (C3).
    fn list(&self) -> Result<Vec<CheckpointId>>;

    /// Opens a checkpoint for reading in place. Verifies its head now, and its entries as they are
    /// read (C4).
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if it is damaged or incomplete;
    /// [`NewerVersion`](crate::Error::NewerVersion).
    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>>;

    /// Makes a new checkpoint: `previous` with `changes` applied (C5). When this returns, the
    /// checkpoint is durable: the contents of its files, and their names (C1).
    ///
    /// # Errors
    /// [`Cancelled`](crate::Error::Cancelled) if [`Changes::cancelled`] returned `true`. Every
    /// error leaves the list as it was (C2).
    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>>;

    /// Maintains the newest checkpoint in the background, for example by merging stacked files.
    /// Writes about `budget_bytes` at most. The result holds the same state under a new id. Returns
    /// `None` if there is nothing worth doing; the default always does. The store does not call
    /// this yet.
    fn maintain(&self, newest: CheckpointId, budget_bytes: u64) -> Result<Option<Arc<dyn Checkpoint>>> {
        let _ = (newest, budget_bytes);
        Ok(None)
    }

    /// Verifies a checkpoint, so that those before it can be let go. The default reads all entries.
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if it is damaged; otherwise as
    /// [`open`](Checkpointer::open).
    fn verify(&self, id: CheckpointId) -> Result<()> {
        let checkpoint = self.open(id)?;
        for collection in &checkpoint.head().collections {
            let mut entries = checkpoint.range(collection.id, Bound::Unbounded, Bound::Unbounded)?;
            while entries.advance()? {}
        }
        Ok(())
    }

    /// Removes a checkpoint (C6).
    fn remove(&self, id: CheckpointId) -> Result<()>;
}

/// What has changed since the previous checkpoint.
///
/// A [`Checkpointer`] reads the head first, and then calls [`next`](Changes::next) until it returns
/// `None`.
///
/// ```
/// use kv_core::{Changes, Error, Result};
///
/// /// Reads the changes, as an implementation of `Checkpointer` does; this one counts their bytes.
/// fn count_bytes(changes: &mut dyn Changes) -> Result<usize> {
///     println!("a checkpoint of position {}", changes.head().lsn);
///     let mut bytes = 0;
///     while let Some(change) = changes.next()? {
///         bytes += change.key.len() + change.value.map_or(0, <[u8]>::len); // no value: deleted
///         if changes.cancelled() {
///             return Err(Error::Cancelled);
///         }
///     }
///     Ok(bytes)
/// }
/// ```
pub trait Changes {
    /// Describes the new checkpoint. It lists all collections that exist at its position, in order
    /// of their ids, with their counts after the changes.
    fn head(&self) -> &CheckpointHead;

    /// The next change in order of (collection, key), or `None` after the last. Each key occurs at
    /// most once. Collections that are not in the head have no changes here.
    fn next(&mut self) -> Result<Option<Change<'_>>>;

    /// Whether to stop. Call this every few milliseconds in every step, because closing the store
    /// waits until the work has stopped. Only a flush of the disk cannot be cut short.
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

/// The description of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The epoch in which it was made.
    pub epoch: Epoch,
    /// The position whose state it holds.
    pub lsn: Lsn,
    /// The identity of the log that it belongs to.
    pub log_id: LogId,
    /// The collections that exist at the position, in order of their ids.
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
    /// The collection's identity.
    pub id: CollectionId,
    /// The collection's name.
    pub name: String,
    /// How many keys there are.
    pub entries: u64,
    /// The bytes of all keys and values together.
    pub bytes: u64,
}

/// A checkpoint, readable in place. It stays readable and unchanged for as long as anything holds
/// it.
///
/// ```
/// # use kv_core::{Checkpoint, CheckpointId, Result};
/// /// The size of a checkpoint, without reading its entries.
/// fn bytes(checkpoint: &dyn Checkpoint) -> u64 {
///     checkpoint.head().collections.iter().map(|info| info.bytes).sum()
/// }
/// ```
pub trait Checkpoint: Send + Sync {
    /// Its identity.
    fn id(&self) -> CheckpointId;

    /// Its description.
    fn head(&self) -> &CheckpointHead;

    /// The value of a key; `None` if the collection does not hold it, or there is no such
    /// collection.
    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>>;

    /// Calls `read` with the value of a key, in place. Returns `false`, without calling it, if the
    /// key is absent.
    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// The values of several keys, in the order of `keys`. A backend may let its waits for memory
    /// or for the medium overlap.
    fn get_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        keys.iter().map(|key| self.get(collection, key)).collect()
    }

    /// The entries of a collection whose keys lie within the bounds, in byte order of their keys.
    /// They can be taken from both ends. Bounds that contain nothing, inverted ones too, give an
    /// empty cursor.
    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>>;
}

/// Entries in byte order of their keys, taken one by one from either end. A cursor is owned: it
/// keeps alive what it reads.
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
    /// Moves to the first entry that was not taken from either end. Returns `false` if there is
    /// none, and then always.
    ///
    /// # Errors
    /// After an error the cursor is at no entry, and there are no more entries.
    fn advance(&mut self) -> Result<bool>;

    /// Moves to the last entry that was not taken from either end. Returns `false` if there is
    /// none, and then always.
    ///
    /// # Errors
    /// As [`advance`](Cursor::advance).
    fn retreat(&mut self) -> Result<bool>;

    /// The key of the current entry; empty if the cursor is at none.
    fn key(&self) -> &[u8];

    /// The value of the current entry; empty if the cursor is at none.
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
