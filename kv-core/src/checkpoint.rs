use std::{
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use crate::{CheckpointId, CollectionId, Epoch, Error, LogId, Lsn, Result, Value};

/// Keeps checkpoints: durable images of every collection at one position of the log.
///
/// The checkpointer sets no policy. The store decides which checkpoint to open, when to fall back
/// to an older one, and which to remove. All methods may be called from any thread. Calls of
/// [`write`](Checkpointer::write) wait for each other, and so do calls of
/// [`maintain`](Checkpointer::maintain); but neither waits for the other.
///
/// The names of the collections are entries of a checkpoint like all others, in the reserved
/// collection [`CollectionId::NAMES`]. A collection that has no entry there does not exist: its
/// entries are never read, and may be left out.
///
/// A checkpointer guarantees the following. The suite in kv-testkit checks each guarantee under its
/// number.
///
/// - **C1 durable**: a checkpoint that `write` or `maintain` returned is listed, and opens, after
///   any crash.
/// - **C2 all or nothing**: after a `write` or `maintain` that failed, was cancelled or was cut off
///   by a crash, the list is as it was before.
/// - **C3 list**: `list` returns the newest first and looks only at names, so a checkpoint with
///   damaged content is still listed.
/// - **C4 never wrong**: if a checkpoint is damaged, `open`, or the first read that touches the
///   damage, fails with [`Error::Corrupt`](crate::Error::Corrupt). This includes reads that would
///   otherwise report a key as absent. No damaged byte is returned.
/// - **C5 state**: a checkpoint holds `previous` with the changes applied. For each key it has the
///   change, or else the entry of `previous`. `get`, `get_with`, `get_many`, `range` and `size`
///   agree; keys are in byte order. What `maintain` returns holds the same state as what it was
///   made from.
/// - **C6 removal**: `remove` never disturbs a checkpoint that is open. Removing a checkpoint that
///   does not exist is not an error.
/// - **C7 set aside**: when `write` succeeds, checkpoints newer than `previous` are no longer
///   listed, except those that `maintain` made from it: the caller has found the others bad. Their
///   content is moved out of the way and never deleted.
/// - **C8 identity**: the id of a new checkpoint is newer than every id in the list, and its `seq`
///   is above every `seq` there. No `seq` is used twice, not even after a failure.
/// - **C9 damage stops removal**: after a read of an open checkpoint found damage,
///   [`damage`](Checkpointer::damage) returns it and `remove` fails with
///   [`Error::Corrupt`](crate::Error::Corrupt), so nothing that can heal the damage is deleted.
///   This lasts until `open` has examined the damage after the checkpointer was opened again.
/// - **C10 damage is examined**: `open` reads the part of a checkpoint in which damage was met
///   earlier, and fails with [`Error::Corrupt`](crate::Error::Corrupt) if it is still there.
///   [`open_damaged`](Checkpointer::open_damaged) opens the checkpoint nevertheless: what is not
///   damaged can be read, and `write` goes on above it.
///
/// ```
/// use std::{ops::Bound, sync::Arc};
/// use kv_core::{Checkpoint, Checkpointer, CollectionId, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
///
/// let checkpointer = Arc::new(MemoryCheckpointer::new()); // or kv-snapshot's `MmapCheckpointer`, or yours
/// let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), StoreOptions::default())?;
/// store.collection("users")?.put("alice", "Alice")?;
/// store.checkpoint()?; // the store decides what to write and remove
///
/// let newest = checkpointer.list()?[0];
/// let checkpoint = checkpointer.open(newest)?;
/// let mut names = checkpoint.range(CollectionId::NAMES, Bound::Unbounded, Bound::Unbounded)?;
/// assert!(names.advance()?);
/// assert_eq!(names.value(), b"users");
/// let users = CollectionId::from_key(names.key()).unwrap();
/// assert_eq!(checkpoint.size(users)?.entries, 1);
/// assert_eq!(checkpoint.get(users, b"alice")?.unwrap(), "Alice");
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Checkpointer: Send + Sync {
    /// The ids of the checkpoints, newest first (C3).
    fn list(&self) -> Result<Vec<CheckpointId>>;

    /// Opens a checkpoint for reading in place. Verifies its head and the names of the collections
    /// now, and all other entries as they are read (C4). Verifies entirely what a read has found
    /// damaged before (C10).
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if it is damaged or incomplete, or if its medium does not
    /// give it, so that another checkpoint has to stand in;
    /// [`NewerVersion`](crate::Error::NewerVersion), [`OlderVersion`](crate::Error::OlderVersion).
    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>>;

    /// Opens a checkpoint that `open` refuses because a part of it is damaged. Reads that touch
    /// the damage fail, and all others succeed (C10). What is known to be damaged then is not
    /// reported again by [`damage`](Checkpointer::damage). The default is `open`.
    ///
    /// # Errors
    /// As [`open`](Checkpointer::open), if too much is damaged for that.
    fn open_damaged(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.open(id)
    }

    /// The damage that reads have met and that no opening has examined yet (C9). While there is
    /// any, the store removes no checkpoint and does not trim the log.
    fn damage(&self) -> Option<Arc<Error>> {
        None
    }

    /// The cache through which checkpoints are read; `None` if they are read in place.
    fn read_cache(&self) -> Option<ReadCacheStats> {
        None
    }

    /// The bytes of what was removed from the medium while a value, an iterator or a snapshot still
    /// reads it. The medium has their space back once that ends.
    fn removed_bytes(&self) -> u64 {
        0
    }

    /// Makes a new checkpoint: `previous` with `changes` applied (C5). When this returns, the
    /// checkpoint is durable: the contents of its files, and their names (C1).
    ///
    /// # Errors
    /// [`Cancelled`](crate::Error::Cancelled) if [`Changes::cancelled`] returned `true`. Every
    /// error leaves the list as it was (C2).
    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>>;

    /// Does one piece of background work on the newest checkpoint, such as merging some of the
    /// files that it is stacked from. Returns the same state under a new id, or `None` if there is
    /// nothing worth doing; the default always does. The store calls this again until it returns
    /// `None`.
    ///
    /// A checkpoint may be written meanwhile. Then the result holds the state of that checkpoint,
    /// and its id is newer.
    ///
    /// # Errors
    /// [`Cancelled`](crate::Error::Cancelled) if `cancelled` returned `true`. It is called every
    /// few milliseconds. Every error leaves the list as it was (C2).
    fn maintain(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        let _ = (effort, cancelled);
        Ok(None)
    }

    /// Reads and verifies a checkpoint as a whole, from the medium if possible, and makes sure that
    /// it is durable, even if the process that made it was killed before it could. After that the
    /// ones before it can be let go. The default reads all entries, and takes what is listed for
    /// durable.
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if it is damaged; otherwise as
    /// [`open`](Checkpointer::open). [`Cancelled`](crate::Error::Cancelled) if `cancelled` returned
    /// `true`.
    fn verify(&self, id: CheckpointId, cancelled: &dyn Fn() -> bool) -> Result<()> {
        let go_on = || if cancelled() { Err(Error::Cancelled) } else { Ok(()) };
        let checkpoint = self.open(id)?;
        let read = |collection| checkpoint.range(collection, Bound::Unbounded, Bound::Unbounded);
        let mut names = read(CollectionId::NAMES)?;
        while names.advance()? {
            if let Some(collection) = CollectionId::from_key(names.key()) {
                let mut entries = read(collection)?;
                while entries.advance()? {
                    go_on()?;
                }
            }
        }
        Ok(())
    }

    /// Removes a checkpoint (C6).
    fn remove(&self, id: CheckpointId) -> Result<()>;
}

/// How much [`Checkpointer::maintain`] should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// What keeps reads fast and the medium small while the store is written to.
    Needed,
    /// Also what pays only because nothing is written at present.
    AtRest,
    /// Everything, so that the checkpoint takes as little of the medium as possible. If there is no
    /// room for a copy of everything, as much as finds room: the caller calls again.
    Full,
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
    /// Describes the new checkpoint.
    fn head(&self) -> &CheckpointHead;

    /// The next change in order of (collection, key), or `None` after the last. Each key occurs at
    /// most once. The changes of names come first, because [`CollectionId::NAMES`] is the lowest
    /// collection.
    fn next(&mut self) -> Result<Option<Change<'_>>>;

    /// Whether to stop. Call this every few milliseconds in every step, because dropping the last
    /// handle of the store waits until the work has stopped. Only a flush of the disk cannot be cut
    /// short.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The epoch in which it was made.
    pub epoch: Epoch,
    /// The position whose state it holds.
    pub lsn: Lsn,
    /// The identity of the log that it belongs to.
    pub log_id: LogId,
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

/// How much a collection holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionSize {
    /// How many keys there are.
    pub entries: u64,
    /// The bytes of all keys and values together.
    pub bytes: u64,
}

/// What a checkpoint takes on its medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStats {
    /// How many immutable parts it is stacked from.
    pub parts: usize,
    /// How many of them are small and waiting to be merged. Writers are slowed down while there
    /// are many.
    pub unmerged_parts: usize,
    /// How many entries the parts hold, with those that newer parts hide, and deletions.
    pub entries: u64,
    /// The bytes of the parts.
    pub bytes: u64,
}

/// The cache through which a backend reads its checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCacheStats {
    /// How many bytes it takes at most.
    pub limit: u64,
    /// How many bytes it takes now.
    pub bytes: u64,
    /// How many times something was found in it since the store was opened ...
    pub hits: u64,
    /// ... and how many times something had to be read.
    pub misses: u64,
}

/// A checkpoint, readable in place. It stays readable and unchanged for as long as anything holds
/// it.
///
/// ```
/// # use std::ops::Bound;
/// # use kv_core::{Checkpoint, CollectionId, Result};
/// /// The names of the collections in a checkpoint.
/// fn names(checkpoint: &dyn Checkpoint) -> Result<Vec<String>> {
///     let mut names = Vec::new();
///     let mut cursor = checkpoint.range(CollectionId::NAMES, Bound::Unbounded, Bound::Unbounded)?;
///     while cursor.advance()? {
///         names.push(String::from_utf8_lossy(cursor.value()).into_owned());
///     }
///     Ok(names)
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

    /// How much a collection holds. The first call may have to read, at a cost that follows what
    /// has changed since the last such call.
    fn size(&self, collection: CollectionId) -> Result<CollectionSize>;

    /// Reads about `bytes` bytes of the checkpoint and verifies them, also if that was done before.
    /// Returns where the next piece begins, or `None` at the end. The first piece begins at 0; a
    /// piece beyond the end is empty. Entries that were read are in memory if the system has room.
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if something in the piece is damaged.
    fn scrub(&self, from: u64, bytes: u64) -> Result<Option<u64>> {
        let _ = (from, bytes);
        Ok(None)
    }

    /// What the checkpoint takes on its medium. Reads nothing.
    fn stats(&self) -> CheckpointStats;
}

/// Reads an entry in place: its key and its value.
pub type ReadEntry<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

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
/// let users = store.collections()?[0].id;
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

    /// Calls `read` with the current entry and those after it in place, as long as their keys lie
    /// below `end`, or with all if there is none. When it breaks, the cursor stays at that entry;
    /// otherwise it is then at the first entry that was not read, or at none.
    ///
    /// # Errors
    /// As [`advance`](Cursor::advance). What was read before is right.
    fn read_below(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        while !self.key().is_empty() && end.is_none_or(|end| self.key() < end) {
            if read(self.key(), self.value()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.advance()?;
        }
        Ok(ControlFlow::Continue(()))
    }

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
