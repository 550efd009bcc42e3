use std::{
    collections::BTreeSet,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use super::checkpoint_medium::{Collections, Entries, Image, MemoryCheckpointMedium};
use crate::{
    Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, CollectionId, Cursor, Error, Result, Value,
};

/// A [`Checkpointer`] in memory.
///
/// A checkpoint shares the collections that did not change with the one before it. The
/// [medium](MemoryCheckpointMedium) outlives the checkpointer.
///
/// ```
/// use kv_core::{Checkpointer, MemoryCheckpointMedium, MemoryCheckpointer};
///
/// let medium = MemoryCheckpointMedium::new();
/// let checkpointer = MemoryCheckpointer::open(&medium); // `new` makes one on a medium of its own
/// assert!(checkpointer.list()?.is_empty());
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryCheckpointer {
    medium: MemoryCheckpointMedium,
}

impl MemoryCheckpointer {
    /// A checkpointer on an empty medium of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the checkpoints on `medium`.
    pub fn open(medium: &MemoryCheckpointMedium) -> Self {
        Self { medium: medium.clone() }
    }

    fn checkpoint(&self, image: Arc<Image>) -> Arc<dyn Checkpoint> {
        Arc::new(MemoryCheckpoint { medium: self.medium.clone(), image })
    }

    /// The medium that the checkpoints are on.
    pub fn medium(&self) -> &MemoryCheckpointMedium {
        &self.medium
    }
}

impl Checkpointer for MemoryCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        Ok(self.medium.state().list())
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        let image = self.medium.state().find(id)?;
        Ok(self.checkpoint(image))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        let _one_writer = self.medium.wait_for_other_writers();
        let head = changes.head().clone();
        let mut collections = self.medium.state().entries_of(previous)?;
        let live: BTreeSet<CollectionId> = head.collections.iter().map(|info| info.id).collect();
        collections.retain(|id, _| live.contains(id));
        apply(&mut collections, changes)?;
        let image = self.medium.state().publish(previous, head, collections)?;
        Ok(self.checkpoint(image))
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        let _one_writer = self.medium.wait_for_other_writers();
        self.medium.state().remove(id)
    }
}

fn apply(collections: &mut Collections, changes: &mut dyn Changes) -> Result<()> {
    loop {
        if changes.cancelled() {
            return Err(Error::Cancelled);
        }
        let Some(change) = changes.next()? else { return Ok(()) };
        let entries = Arc::make_mut(collections.entry(change.collection).or_default());
        match change.value {
            Some(value) => entries.insert(Value::copy_from(change.key), Value::copy_from(value)),
            None => entries.remove(change.key),
        };
    }
}

struct MemoryCheckpoint {
    medium: MemoryCheckpointMedium,
    image: Arc<Image>,
}

impl MemoryCheckpoint {
    /// The entries of a collection, if it has any. Checks for damage first, because damage must not
    /// look like an absent key (C4).
    fn entries(&self, collection: CollectionId) -> Result<Option<&Arc<Entries>>> {
        self.medium.state().check_entries(self.image.id)?;
        Ok(self.image.collections.get(&collection))
    }
}

impl Checkpoint for MemoryCheckpoint {
    fn id(&self) -> CheckpointId {
        self.image.id
    }

    fn head(&self) -> &CheckpointHead {
        &self.image.head
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        Ok(self.entries(collection)?.and_then(|entries| entries.get(key)).cloned())
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.entries(collection)?.and_then(|entries| entries.get(key));
        Ok(value.map(|value| read(value)).is_some())
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        let entries = self.entries(collection)?.cloned().unwrap_or_default();
        let (lower, upper) = (lower.map(Value::copy_from), upper.map(Value::copy_from));
        Ok(Box::new(MemoryCursor { entries, lower, upper, key: Value::default(), value: Value::default() }))
    }
}

struct MemoryCursor {
    entries: Arc<Entries>,
    /// The entries that are left lie between this bound ...
    lower: Bound<Value>,
    /// ... and this one.
    upper: Bound<Value>,
    key: Value,
    value: Value,
}

impl MemoryCursor {
    fn move_to(&mut self, entry: Option<(Value, Value)>) -> bool {
        let found = entry.is_some();
        (self.key, self.value) = entry.unwrap_or_default();
        found
    }
}

// Both methods pass only one bound to `range`: `BTreeMap` panics if two bounds are inverted.
impl Cursor for MemoryCursor {
    fn advance(&mut self) -> Result<bool> {
        let lower = self.lower.as_ref().map(|key| &**key);
        let next = self.entries.range::<[u8], _>((lower, Bound::Unbounded)).next();
        let next = next.filter(|(key, _)| (Bound::Unbounded, self.upper.as_ref()).contains(key));
        let found = self.move_to(next.map(|(key, value)| (key.clone(), value.clone())));
        if found {
            self.lower = Bound::Excluded(self.key.clone());
        }
        Ok(found)
    }

    fn retreat(&mut self) -> Result<bool> {
        let upper = self.upper.as_ref().map(|key| &**key);
        let last = self.entries.range::<[u8], _>((Bound::Unbounded, upper)).next_back();
        let last = last.filter(|(key, _)| (self.lower.as_ref(), Bound::Unbounded).contains(key));
        let found = self.move_to(last.map(|(key, value)| (key.clone(), value.clone())));
        if found {
            self.upper = Bound::Excluded(self.key.clone());
        }
        Ok(found)
    }

    fn key(&self) -> &[u8] {
        &self.key
    }

    fn value(&self) -> &[u8] {
        &self.value
    }

    fn key_handle(&self) -> Value {
        self.key.clone()
    }

    fn value_handle(&self) -> Value {
        self.value.clone()
    }
}
