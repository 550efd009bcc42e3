use std::ops::Range;

use super::{collection::checked, pending_write::PendingWrite};
use crate::{
    Error, Limits, Result,
    operation::{OPERATION_HEADER_BYTES, RECORD_HEADER_BYTES},
};

/// Changes to one or several collections that are made together: all of them or none, visible at one instant.
///
/// They are made in the order in which they were added. A batch can be written more than once.
///
/// ```
/// # use kv_core::{Batch, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # use std::sync::Arc;
/// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// let mut batch = Batch::new();
/// batch.put("accounts", "alice", "90").put("accounts", "bob", "110").put("transfers", "1", "alice bob 10");
/// store.write(&batch)?;
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The bytes of all names, keys and values.
    bytes: Vec<u8>,
    names: Vec<String>,
    changes: Vec<BatchedChange>,
}

#[derive(Clone, Debug)]
struct BatchedChange {
    name: usize,
    key: Range<usize>,
    action: BatchedAction,
}

#[derive(Clone, Debug)]
enum BatchedAction {
    Put(Range<usize>),
    Delete,
    DeleteIfPresent,
}

/// Among so many of the names that came last a change's collection is looked for.
const NAMES_LOOKED_AT: usize = 8;

impl Batch {
    /// A batch without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a key, whether it is there or not. The collection is created if it does not exist.
    pub fn put(&mut self, collection: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        let key = self.keep(key.as_ref());
        let value = self.keep(value.as_ref());
        self.add(collection, key, BatchedAction::Put(value))
    }

    /// Deletes a key. If it is absent when its turn comes, writing the batch fails with
    /// [`KeyNotFound`](crate::Error::KeyNotFound) and changes nothing.
    pub fn delete(&mut self, collection: &str, key: impl AsRef<[u8]>) -> &mut Self {
        let key = self.keep(key.as_ref());
        self.add(collection, key, BatchedAction::Delete)
    }

    /// Deletes a key if it is there.
    pub fn delete_if_present(&mut self, collection: &str, key: impl AsRef<[u8]>) -> &mut Self {
        let key = self.keep(key.as_ref());
        self.add(collection, key, BatchedAction::DeleteIfPresent)
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

    /// Forgets all changes, and keeps the memory for others.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
    /// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
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

    fn add(&mut self, collection: &str, key: Range<usize>, action: BatchedAction) -> &mut Self {
        // Only among the last few: a batch over many collections would be slow otherwise. A name that is there twice does no harm.
        let first = self.names.len().saturating_sub(NAMES_LOOKED_AT);
        let name = match self.names[first..].iter().rposition(|name| name == collection) {
            Some(at) => first + at,
            None => {
                self.names.push(collection.to_owned());
                self.names.len() - 1
            }
        };
        self.changes.push(BatchedChange { name, key, action });
        self
    }

    /// Checks everything that can be checked without looking at the state, and returns the size of the record, in bytes, not counting the
    /// creation of collections.
    pub(super) fn check(&self, limits: &Limits) -> Result<usize> {
        self.names.iter().try_for_each(|name| Limits::default().check_name(name))?;
        let mut bytes = RECORD_HEADER_BYTES;
        for change in &self.changes {
            let key = checked(&self.bytes[change.key.clone()])?;
            bytes += OPERATION_HEADER_BYTES + key.len();
            if let BatchedAction::Put(value) = &change.action {
                limits.check_key(key)?;
                limits.check_value(&self.bytes[value.clone()])?;
                bytes += value.len();
            }
        }
        limits.check_batch(bytes)?;
        Ok(bytes)
    }

    /// Whether a change asks for the outcome of another.
    pub(super) fn reads_own_writes(&self) -> bool {
        self.changes.len() > 1 && self.changes.iter().any(|change| !matches!(change.action, BatchedAction::Put(_)))
    }

    /// Makes the changes, in their order.
    ///
    /// # Errors
    /// [`KeyNotFound`](Error::KeyNotFound) if one deletes a key that is absent then.
    pub(super) fn build(&self, pending: &mut PendingWrite<'_>) -> Result<()> {
        for change in &self.changes {
            let (name, key) = (self.names[change.name].as_str(), &self.bytes[change.key.clone()]);
            match &change.action {
                BatchedAction::Put(value) => pending.put(name, key, &self.bytes[value.clone()])?,
                BatchedAction::Delete if !pending.delete(name, key)? => return Err(Error::KeyNotFound),
                BatchedAction::DeleteIfPresent => drop(pending.delete(name, key)?),
                BatchedAction::Delete => {}
            }
        }
        Ok(())
    }
}
