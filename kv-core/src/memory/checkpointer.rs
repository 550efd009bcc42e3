use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    ops::Bound,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use super::lock;
use crate::{
    Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, CollectionId, Cursor, Error, Result, Value,
};

/// A [`Checkpointer`] in memory.
///
/// A checkpoint shares with the one before it the collections that did not change. The [medium](MemoryCheckpointMedium) outlives the
/// checkpointer.
#[derive(Clone, Debug, Default)]
pub struct MemoryCheckpointer {
    medium: MemoryCheckpointMedium,
}

impl MemoryCheckpointer {
    /// A checkpointer on an empty medium of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the checkpoints that are on `medium`.
    pub fn open(medium: &MemoryCheckpointMedium) -> Self {
        Self { medium: medium.clone() }
    }

    /// The medium that the checkpoints are on.
    pub fn medium(&self) -> &MemoryCheckpointMedium {
        &self.medium
    }
}

impl Checkpointer for MemoryCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        Ok(lock(&self.medium.state).listed.keys().rev().copied().collect())
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        let image = lock(&self.medium.state).find(id)?;
        Ok(self.medium.checkpoint(image))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        let _one_writer = lock(&self.medium.writer);
        let head = changes.head().clone();
        let mut collections = self.medium.entries_of(previous)?;
        let live: BTreeSet<CollectionId> = head.collections.iter().map(|info| info.id).collect();
        collections.retain(|id, _| live.contains(id));
        apply(&mut collections, changes)?;
        let image = lock(&self.medium.state).publish(previous, head, collections)?;
        Ok(self.medium.checkpoint(image))
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        let _one_writer = lock(&self.medium.writer);
        let mut state = lock(&self.medium.state);
        state.check_no_damage_met()?;
        state.listed.remove(&id);
        Ok(())
    }
}

/// What a [`MemoryCheckpointer`] keeps its checkpoints on. It outlives the checkpointer, so that tests can open it again, have it crash, and
/// damage what is on it. Clones are the same medium.
#[derive(Clone, Default)]
pub struct MemoryCheckpointMedium {
    /// Held by who writes, for as long as it takes; `state` only for an instant.
    writer: Arc<Mutex<()>>,
    state: Arc<Mutex<State>>,
}

/// What is damaged of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointDamage {
    /// What it is of: it cannot be opened.
    Head,
    /// What it holds: it can be opened, but not read.
    Entries,
}

impl MemoryCheckpointMedium {
    /// A medium without checkpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the medium would be after a crash at this instant, as a medium of its own. This one goes on as if nothing had happened.
    #[must_use = "the crash happens to the medium that is returned"]
    pub fn after_crash(&self) -> Self {
        let mut state = lock(&self.state).clone();
        state.write_fails = false;
        Self { writer: Arc::default(), state: Arc::new(Mutex::new(state)) }
    }

    /// Makes the next [`write`](Checkpointer::write) fail, as on a disk that cannot write.
    pub fn fail_next_write(&self) {
        lock(&self.state).write_fails = true;
    }

    /// Damages a checkpoint.
    pub fn damage(&self, id: CheckpointId, damage: CheckpointDamage) {
        lock(&self.state).damaged.insert(id, damage);
    }

    /// Takes back every damage.
    pub fn repair(&self) {
        lock(&self.state).damaged.clear();
    }

    /// The full verification: if no checkpoint is damaged any more, checkpoints may be written and removed again (C9).
    ///
    /// # Errors
    /// [`Error::Corrupt`] if one is damaged.
    pub fn verify(&self) -> Result<()> {
        let mut state = lock(&self.state);
        if let Some(id) = state.listed.keys().find(|id| state.damaged.contains_key(id)) {
            return Err(corrupt(*id, "it was damaged by a test"));
        }
        state.damage_met = None;
        Ok(())
    }

    /// The checkpoints that were set aside (C7), oldest first.
    pub fn set_aside(&self) -> Vec<CheckpointId> {
        lock(&self.state).set_aside.keys().copied().collect()
    }

    /// What a new checkpoint starts from.
    fn entries_of(&self, previous: Option<CheckpointId>) -> Result<Collections> {
        let mut state = lock(&self.state);
        state.check_no_damage_met()?;
        let Some(id) = previous else { return Ok(Collections::new()) };
        state.check_entries(id)?;
        state.find(id).map(|image| image.collections.clone())
    }

    fn checkpoint(&self, image: Arc<Image>) -> Arc<dyn Checkpoint> {
        Arc::new(MemoryCheckpoint { medium: self.clone(), image })
    }
}

impl fmt::Debug for MemoryCheckpointMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCheckpointMedium").field("listed", &lock(&self.state).listed.keys()).finish()
    }
}

type Entries = BTreeMap<Value, Value>;
type Collections = BTreeMap<CollectionId, Arc<Entries>>;

/// A checkpoint; never changed once it is made.
struct Image {
    id: CheckpointId,
    head: CheckpointHead,
    collections: Collections,
}

#[derive(Clone, Default)]
struct State {
    listed: BTreeMap<CheckpointId, Arc<Image>>,
    set_aside: BTreeMap<CheckpointId, Arc<Image>>,
    damaged: BTreeMap<CheckpointId, CheckpointDamage>,
    /// The checkpoint in which a read met damage (C9).
    damage_met: Option<CheckpointId>,
    write_fails: bool,
}

impl State {
    fn find(&self, id: CheckpointId) -> Result<Arc<Image>> {
        if self.damaged.get(&id) == Some(&CheckpointDamage::Head) {
            return Err(corrupt(id, "its head was damaged by a test"));
        }
        self.listed.get(&id).cloned().ok_or_else(|| corrupt(id, "it is not there"))
    }

    fn check_entries(&mut self, id: CheckpointId) -> Result<()> {
        if self.damaged.get(&id) == Some(&CheckpointDamage::Entries) {
            self.damage_met = Some(id);
            return Err(corrupt(id, "its entries were damaged by a test"));
        }
        Ok(())
    }

    fn check_no_damage_met(&self) -> Result<()> {
        match self.damage_met {
            Some(id) => {
                Err(corrupt(id, "damage was met in it, so that nothing is written or removed until it is verified"))
            }
            None => Ok(()),
        }
    }

    /// Everything that can fail comes before the first change (C2).
    fn publish(
        &mut self,
        previous: Option<CheckpointId>,
        head: CheckpointHead,
        collections: Collections,
    ) -> Result<Arc<Image>> {
        self.check_no_damage_met()?;
        if std::mem::take(&mut self.write_fails) {
            return Err(Error::from_io("write", file(None), io::Error::other("a failure that a test asked for")));
        }
        let known = || self.listed.keys().chain(self.set_aside.keys());
        let seq = known().map(|id| id.seq + 1).max().unwrap_or(1);
        let id = CheckpointId { epoch: head.epoch, lsn: head.lsn, seq };
        if self.listed.keys().any(|other| *other > id) {
            return Err(Error::Misuse("a checkpoint must be newer than those that are there"));
        }
        let newer = match previous {
            Some(previous) => self.listed.split_off(&CheckpointId { seq: previous.seq + 1, ..previous }),
            None => std::mem::take(&mut self.listed),
        };
        self.set_aside.extend(newer);
        let image = Arc::new(Image { id, head, collections });
        self.listed.insert(id, Arc::clone(&image));
        Ok(image)
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
    /// The entries of a collection, if it has any. Asks for damage first: it must not pass for an absence (C4).
    fn entries(&self, collection: CollectionId) -> Result<Option<&Arc<Entries>>> {
        lock(&self.medium.state).check_entries(self.image.id)?;
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
    /// What is left: the entries from here ...
    lower: Bound<Value>,
    /// ... up to here.
    upper: Bound<Value>,
    key: Value,
    value: Value,
}

impl Cursor for MemoryCursor {
    fn advance(&mut self) -> Result<bool> {
        // A range without upper end cannot be an inverted one, which BTreeMap would answer with a panic.
        let from = self.lower.as_ref().map(|key| &**key);
        let next = self.entries.range::<[u8], _>((from, Bound::Unbounded)).next();
        let next = next.filter(|(key, _)| match &self.upper {
            Bound::Included(upper) => *key <= upper,
            Bound::Excluded(upper) => *key < upper,
            Bound::Unbounded => true,
        });
        let found = next.is_some();
        let (key, value) = next.map(|(key, value)| (key.clone(), value.clone())).unwrap_or_default();
        if found {
            self.lower = Bound::Excluded(key.clone());
        }
        (self.key, self.value) = (key, value);
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

fn corrupt(id: CheckpointId, detail: &str) -> Error {
    Error::corrupt(file(Some(id)), 0, detail)
}

/// Stands in errors where other checkpointers name their file.
fn file(id: Option<CheckpointId>) -> PathBuf {
    match id {
        Some(CheckpointId { epoch, lsn, seq }) => format!("(checkpoint in memory {epoch}-{lsn}-{seq})").into(),
        None => "(checkpoints in memory)".into(),
    }
}
