use std::{
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use super::checkpoint_medium::{Collections, Entries, Entry, Image, MemoryCheckpointMedium};
use crate::{
    Changes, Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, Checkpointer, CollectionId, CollectionSize,
    Cursor, Effort, Error, Result, Value,
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
#[derive(Clone, Debug)]
pub struct MemoryCheckpointer {
    medium: MemoryCheckpointMedium,
}

impl MemoryCheckpointer {
    /// A checkpointer on an empty medium of its own.
    pub fn new() -> Self {
        Self::open(&MemoryCheckpointMedium::new())
    }

    /// Opens the checkpoints on `medium`.
    pub fn open(medium: &MemoryCheckpointMedium) -> Self {
        medium.state().begin_opening();
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

impl Default for MemoryCheckpointer {
    fn default() -> Self {
        Self::new()
    }
}

impl Checkpointer for MemoryCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        Ok(self.medium.state().list())
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        let mut state = self.medium.state();
        let image = state.find(id)?;
        state.examine(&image)?;
        Ok(self.checkpoint(image))
    }

    fn open_damaged(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        let mut state = self.medium.state();
        let image = state.find(id)?;
        state.accept_damage(&image);
        Ok(self.checkpoint(image))
    }

    fn damage(&self) -> Option<Arc<Error>> {
        self.medium.state().damage().map(Arc::new)
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        let _one_writer = self.medium.wait_for_other_writers();
        let head = *changes.head();
        let (before, seq) = {
            let mut state = self.medium.state();
            (previous.map(|id| state.find(id)).transpose()?, state.next_seq())
        };
        let mut collections = before.map_or_else(Collections::new, |image| image.collections.clone());
        apply(&mut collections, changes, seq)?;
        keep_named(&mut collections);
        let id = CheckpointId { epoch: head.epoch, lsn: head.lsn, seq };
        let image = self.medium.state().publish(previous, Image { id, written: seq, head, collections })?;
        Ok(self.checkpoint(image))
    }

    /// With [`Effort::Full`] this verifies the newest checkpoint, and keeps it under a new id as
    /// well. With less there is nothing to do, because a checkpoint in memory is never stacked.
    fn maintain(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        if effort < Effort::Full || self.medium.state().newest_to_maintain().is_none() {
            return Ok(None);
        }
        if cancelled() {
            return Err(Error::Cancelled);
        }
        let image = self.medium.state().maintain()?;
        Ok(image.map(|image| self.checkpoint(image)))
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        let _one_writer = self.medium.wait_for_other_writers();
        self.medium.state().remove(id)
    }
}

fn apply(collections: &mut Collections, changes: &mut dyn Changes, part: u64) -> Result<()> {
    loop {
        if changes.cancelled() {
            return Err(Error::Cancelled);
        }
        let Some(change) = changes.next()? else { return Ok(()) };
        let entries = Arc::make_mut(collections.entry(change.collection).or_default());
        match change.value {
            Some(value) => entries.put(Value::copy_from(change.key), Entry { value: Value::copy_from(value), part }),
            None => entries.delete(change.key),
        }
    }
}

/// Drops the entries of collections that do not exist (any more).
fn keep_named(collections: &mut Collections) {
    let names = collections.get(&CollectionId::NAMES).cloned().unwrap_or_default();
    collections.retain(|id, _| *id == CollectionId::NAMES || names.map.contains_key(&id.to_key()[..]));
}

struct MemoryCheckpoint {
    medium: MemoryCheckpointMedium,
    image: Arc<Image>,
}

impl MemoryCheckpoint {
    /// The entries of a collection, if it has any.
    fn entries(&self, collection: CollectionId) -> Option<&Arc<Entries>> {
        self.image.collections.get(&collection)
    }

    /// The value of a key. Damage must not look like an absent key (C4).
    fn find(&self, collection: CollectionId, key: &[u8]) -> Result<Option<&Value>> {
        let Some(entry) = self.entries(collection).and_then(|entries| entries.map.get(key)) else {
            return self.check(collection).map(|()| None);
        };
        let mut state = self.medium.state();
        if collection != CollectionId::NAMES && state.is_damaged(entry.part) {
            return Err(state.meet_damage(self.image.id, entry.part));
        }
        Ok(Some(&entry.value))
    }

    /// Checks everything that a whole collection depends on for damage.
    fn check(&self, collection: CollectionId) -> Result<()> {
        let mut state = self.medium.state();
        let entries = self.entries(collection).map(|entries| &**entries);
        match state.damaged_part_below(self.image.id, entries) {
            Some(part) if collection != CollectionId::NAMES => Err(state.meet_damage(self.image.id, part)),
            _ => Ok(()),
        }
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
        Ok(self.find(collection, key)?.cloned())
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.find(collection, key)?.map(|value| read(value)).is_some())
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        self.check(collection)?;
        let entries = self.entries(collection).cloned().unwrap_or_default();
        let (lower, upper) = (lower.map(Value::copy_from), upper.map(Value::copy_from));
        Ok(Box::new(MemoryCursor { entries, lower, upper, key: Value::default(), value: Value::default() }))
    }

    fn size(&self, collection: CollectionId) -> Result<CollectionSize> {
        self.check(collection)?;
        Ok(self.entries(collection).map(|entries| entries.size()).unwrap_or_default())
    }

    fn stats(&self) -> CheckpointStats {
        let sizes = || self.image.collections.values().map(|entries| entries.size());
        CheckpointStats {
            parts: 1,
            unmerged_parts: 0,
            entries: sizes().map(|size| size.entries).sum(),
            bytes: sizes().map(|size| size.bytes).sum(),
        }
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
        let next = self.entries.map.range::<[u8], _>((lower, Bound::Unbounded)).next();
        let next = next.filter(|(key, _)| (Bound::Unbounded, self.upper.as_ref()).contains(key));
        let found = self.move_to(next.map(|(key, entry)| (key.clone(), entry.value.clone())));
        if found {
            self.lower = Bound::Excluded(self.key.clone());
        }
        Ok(found)
    }

    fn retreat(&mut self) -> Result<bool> {
        let upper = self.upper.as_ref().map(|key| &**key);
        let last = self.entries.map.range::<[u8], _>((Bound::Unbounded, upper)).next_back();
        let last = last.filter(|(key, _)| (self.lower.as_ref(), Bound::Unbounded).contains(key));
        let found = self.move_to(last.map(|(key, entry)| (key.clone(), entry.value.clone())));
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
