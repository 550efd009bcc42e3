use std::{
    mem,
    ops::{Bound, Range, RangeBounds},
};

use super::{collection::checked, pending_write::PendingWrite, space::Purpose};
use crate::{
    Error, Limits, Result,
    collections::prefix_bounds,
    operation::{OPERATION_HEADER_BYTES, RECORD_HEADER_BYTES},
};

/// Changes to one or several collections that are made together: all of them or none. They become
/// visible at the same instant.
///
/// The changes are made in the order in which they were added. A batch can be written more than
/// once.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// use kv_core::Batch;
///
/// // At once:
/// store.write(Batch::new().put("accounts", "alice", "90").put("accounts", "bob", "110"))?;
///
/// // Step by step:
/// let mut batch = Batch::new();
/// for name in ["carol", "dan"] {
///     batch.put("accounts", name, "0");
/// }
/// store.write(&batch)?;
///
/// // As the end of a chain: `take`, because each step only borrows the batch.
/// let batch = Batch::new().delete("accounts", "dan").put("closed", "dan", "").take();
/// store.write(batch)?;
///
/// // From an iterator, of puts:
/// let batch: Batch = (0..10_u8).map(|number| ("squares", [number], [number * number])).collect();
/// store.write(batch)?;
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The bytes of all keys and values.
    bytes: Vec<u8>,
    names: Vec<String>,
    changes: Vec<BatchedChange>,
}

#[derive(Clone, Debug)]
struct BatchedChange {
    /// Index into the names.
    name: usize,
    action: BatchedAction,
}

/// Keys and values are ranges of the batch's bytes.
#[derive(Clone, Debug)]
enum BatchedAction {
    Put(Range<usize>, Range<usize>),
    Delete(Range<usize>),
    DeleteIfPresent(Range<usize>),
    DeleteRange(Bound<Range<usize>>, Bound<Range<usize>>),
}

/// How many of the names that were added last are searched for the collection of a new change.
const NAMES_SEARCHED: usize = 8;

impl Batch {
    /// A batch without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a key, whether it is present or not. The collection is created if it does
    /// not exist.
    pub fn put(&mut self, collection: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        let key = self.keep(key.as_ref());
        let value = self.keep(value.as_ref());
        self.add(collection, BatchedAction::Put(key, value))
    }

    /// Deletes a key. If the key is absent when this change is made, writing the batch fails with
    /// [`KeyNotFound`](crate::Error::KeyNotFound) and changes nothing.
    pub fn delete(&mut self, collection: &str, key: impl AsRef<[u8]>) -> &mut Self {
        let key = self.keep(key.as_ref());
        self.add(collection, BatchedAction::Delete(key))
    }

    /// Deletes a key if it is present.
    pub fn delete_if_present(&mut self, collection: &str, key: impl AsRef<[u8]>) -> &mut Self {
        let key = self.keep(key.as_ref());
        self.add(collection, BatchedAction::DeleteIfPresent(key))
    }

    /// Deletes the entries whose keys lie in `keys` when this change is made, including those that
    /// earlier changes of the batch have put. If they are more than one record can delete, writing
    /// the batch fails with [`RangeTooLarge`](crate::Error::RangeTooLarge) and changes nothing.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::Batch;
    /// let index = store.collection("index")?;
    /// index.put("old/1", "")?;
    /// store.write(Batch::new().delete_prefix("index", "old/").put("index", "new/1", ""))?; // at one instant
    /// assert_eq!(index.first()?.unwrap().key, "new/1");
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    pub fn delete_range<K: AsRef<[u8]>>(&mut self, collection: &str, keys: impl RangeBounds<K>) -> &mut Self {
        let lower = keys.start_bound().map(|key| self.keep(key.as_ref()));
        let upper = keys.end_bound().map(|key| self.keep(key.as_ref()));
        self.add(collection, BatchedAction::DeleteRange(lower, upper))
    }

    /// Deletes the entries whose keys begin with `prefix` when this change is made; otherwise as
    /// [`delete_range`](Batch::delete_range).
    pub fn delete_prefix(&mut self, collection: &str, prefix: impl AsRef<[u8]>) -> &mut Self {
        let (lower, upper) = prefix_bounds(prefix.as_ref());
        self.delete_range::<&[u8]>(collection, (lower, upper.as_ref().map(|key| &**key)))
    }

    /// Moves the changes into a new batch, and leaves this one empty. Use it at the end of a chain
    /// that is bound to a variable.
    ///
    /// ```
    /// use kv_core::Batch;
    ///
    /// let batch = Batch::new().put("users", "alice", "Alice").put("counts", "users", "1").take();
    /// assert_eq!(batch.len(), 2);
    /// ```
    #[must_use]
    pub fn take(&mut self) -> Self {
        mem::take(self)
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The bytes of all keys and values together.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all changes, and keeps the memory for new ones.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use kv_core::Batch;
    /// let mut batch = Batch::new();
    /// for number in 0..10_000_u32 {
    ///     batch.put("numbers", number.to_be_bytes(), "");
    ///     if batch.bytes() > 16 << 10 {
    ///         store.write(&batch)?; // many large batches rather than one that is too large
    ///         batch.clear();
    ///     }
    /// }
    /// store.write(&batch)?;
    /// assert_eq!(store.collection("numbers")?.len()?, 10_000);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.names.clear();
        self.changes.clear();
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn add(&mut self, collection: &str, action: BatchedAction) -> &mut Self {
        // Only the last few names are searched, because a batch over many collections would be slow
        // otherwise. It does no harm if a name is in the list twice.
        let first = self.names.len().saturating_sub(NAMES_SEARCHED);
        let name = match self.names[first..].iter().rposition(|name| name == collection) {
            Some(at) => first + at,
            None => {
                self.names.push(collection.to_owned());
                self.names.len() - 1
            }
        };
        self.changes.push(BatchedChange { name, action });
        self
    }

    /// Checks everything that can be checked without reading the store. Returns the size of the
    /// record in bytes, not counting the creation of collections and the deletion of ranges.
    pub(super) fn check(&self, limits: &Limits) -> Result<usize> {
        self.names.iter().try_for_each(|name| Limits::default().check_name(name))?;
        let mut bytes = RECORD_HEADER_BYTES;
        for change in &self.changes {
            bytes += match &change.action {
                BatchedAction::Put(key, value) => {
                    let (key, value) = (&self.bytes[key.clone()], &self.bytes[value.clone()]);
                    limits.check_key(key)?;
                    limits.check_value(value)?;
                    OPERATION_HEADER_BYTES + key.len() + value.len()
                }
                BatchedAction::Delete(key) | BatchedAction::DeleteIfPresent(key) => {
                    OPERATION_HEADER_BYTES + checked(&self.bytes[key.clone()])?.len()
                }
                BatchedAction::DeleteRange(..) => 0, // known when it is made
            };
        }
        limits.check_batch(bytes)?;
        Ok(bytes)
    }

    /// Whether the outcome of one change may depend on another.
    pub(super) fn reads_own_writes(&self) -> bool {
        self.changes.len() > 1 && self.changes.iter().any(|change| !matches!(change.action, BatchedAction::Put(..)))
    }

    /// What its record will do.
    pub(super) fn purpose(&self) -> Purpose {
        let puts = self.changes.iter().any(|change| matches!(change.action, BatchedAction::Put(..)));
        if puts { Purpose::Puts } else { Purpose::Deletes }
    }

    /// Adds the changes to `pending`, in their order.
    ///
    /// # Errors
    /// [`KeyNotFound`](Error::KeyNotFound) if a change deletes a key that is absent at that point;
    /// [`RangeTooLarge`](Error::RangeTooLarge).
    pub(super) fn build(&self, pending: &mut PendingWrite<'_>) -> Result<()> {
        let bytes = |range: &Range<usize>| &self.bytes[range.clone()];
        for BatchedChange { name, action } in &self.changes {
            let name = self.names[*name].as_str();
            match action {
                BatchedAction::Put(key, value) => pending.put(name, bytes(key), bytes(value))?,
                BatchedAction::Delete(key) if !pending.delete(name, bytes(key))? => {
                    return Err(Error::key_not_found(name, bytes(key)));
                }
                BatchedAction::DeleteIfPresent(key) => drop(pending.delete(name, bytes(key))?),
                BatchedAction::DeleteRange(lower, upper) => {
                    pending.delete_range(name, lower.as_ref().map(bytes), upper.as_ref().map(bytes))?;
                }
                BatchedAction::Delete(_) => {}
            }
        }
        Ok(())
    }
}

/// Adds a put for each `(collection, key, value)`.
impl<C: AsRef<str>, K: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(C, K, V)> for Batch {
    fn extend<I: IntoIterator<Item = (C, K, V)>>(&mut self, puts: I) {
        for (collection, key, value) in puts {
            self.put(collection.as_ref(), key, value);
        }
    }
}

/// A put for each `(collection, key, value)`.
impl<C: AsRef<str>, K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(C, K, V)> for Batch {
    fn from_iter<I: IntoIterator<Item = (C, K, V)>>(puts: I) -> Self {
        let mut batch = Self::new();
        batch.extend(puts);
        batch
    }
}
