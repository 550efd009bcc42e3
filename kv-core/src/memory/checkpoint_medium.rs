use std::{collections::BTreeMap, fmt, io, mem, sync::Arc};

use crate::{
    CheckpointHead, CheckpointId, CollectionId, Error, Result, Value,
    sync::{Mutex, MutexGuard, lock},
};

/// The path in errors, where other checkpointers name their file.
const PLACE: &str = "(checkpoints in memory)";

/// The medium that a [`MemoryCheckpointer`](crate::MemoryCheckpointer) keeps its checkpoints on. It
/// outlives the checkpointer, so that a test can open the checkpoints again, simulate a crash, or
/// damage them. Clones are the same medium.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{CheckpointDamage, Checkpointer, MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
///
/// let medium = MemoryCheckpointMedium::new();
/// let checkpointer = Arc::new(MemoryCheckpointer::open(&medium));
/// let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer, StoreOptions::default())?;
/// store.collection("users")?.put("alice", "Alice")?;
/// let id = store.checkpoint()?.unwrap();
/// medium.damage(id, CheckpointDamage::Head);
/// assert!(MemoryCheckpointer::open(&medium).open(id).is_err());
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryCheckpointMedium {
    /// Locked while a checkpoint is written or removed. `state` is locked only for an instant at a
    /// time.
    writer: Arc<Mutex<()>>,
    state: Arc<Mutex<State>>,
}

/// Which part of a checkpoint is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointDamage {
    /// The head: the checkpoint cannot be opened.
    Head,
    /// The entries: the checkpoint can be opened, but not read.
    Entries,
}

impl MemoryCheckpointMedium {
    /// A medium without checkpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of the medium as a crash at this instant would leave it. The original goes on as if
    /// nothing had happened.
    #[must_use = "the crash happens to the medium that is returned"]
    pub fn after_crash(&self) -> Self {
        let mut state = self.state().clone();
        state.write_fails = false;
        Self { writer: Arc::default(), state: Arc::new(Mutex::new(state)) }
    }

    /// Makes the next [`write`](crate::Checkpointer::write) fail, as on a disk that cannot write.
    pub fn fail_next_write(&self) {
        self.state().write_fails = true;
    }

    /// Damages a checkpoint.
    pub fn damage(&self, id: CheckpointId, damage: CheckpointDamage) {
        self.state().damaged.insert(id, damage);
    }

    /// Undoes all damage.
    pub fn repair(&self) {
        self.state().damaged.clear();
    }

    /// Verifies everything. If no checkpoint is damaged any more, checkpoints may be written and
    /// removed again (C9).
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a checkpoint is damaged.
    pub fn verify(&self) -> Result<()> {
        let mut state = self.state();
        if let Some(id) = state.listed.keys().find(|id| state.damaged.contains_key(id)) {
            return Err(corrupt(*id, "a test damaged it"));
        }
        state.damage_met = None;
        Ok(())
    }

    /// The checkpoints that were set aside (C7), oldest first.
    pub fn set_aside(&self) -> Vec<CheckpointId> {
        self.state().set_aside.keys().copied().collect()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Keeps other writers out until the returned guard is dropped.
    pub(super) fn wait_for_other_writers(&self) -> MutexGuard<'_, ()> {
        lock(&self.writer)
    }
}

impl fmt::Debug for MemoryCheckpointMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCheckpointMedium").field("listed", &self.state().listed.keys()).finish()
    }
}

pub(super) type Entries = BTreeMap<Value, Value>;
pub(super) type Collections = BTreeMap<CollectionId, Arc<Entries>>;

/// A checkpoint. It never changes once it is made.
pub(super) struct Image {
    pub id: CheckpointId,
    pub head: CheckpointHead,
    pub collections: Collections,
}

#[derive(Clone, Default)]
pub(super) struct State {
    listed: BTreeMap<CheckpointId, Arc<Image>>,
    set_aside: BTreeMap<CheckpointId, Arc<Image>>,
    damaged: BTreeMap<CheckpointId, CheckpointDamage>,
    /// The checkpoint in which a read met damage (C9).
    damage_met: Option<CheckpointId>,
    write_fails: bool,
}

impl State {
    pub(super) fn list(&self) -> Vec<CheckpointId> {
        self.listed.keys().rev().copied().collect()
    }

    pub(super) fn remove(&mut self, id: CheckpointId) -> Result<()> {
        self.check_no_damage_met()?;
        self.listed.remove(&id);
        Ok(())
    }

    /// The collections that a new checkpoint starts from.
    pub(super) fn entries_of(&mut self, previous: Option<CheckpointId>) -> Result<Collections> {
        self.check_no_damage_met()?;
        let Some(id) = previous else { return Ok(Collections::new()) };
        self.check_entries(id)?;
        self.find(id).map(|image| image.collections.clone())
    }

    pub(super) fn find(&self, id: CheckpointId) -> Result<Arc<Image>> {
        if self.damaged.get(&id) == Some(&CheckpointDamage::Head) {
            return Err(corrupt(id, "a test damaged its head"));
        }
        self.listed.get(&id).cloned().ok_or_else(|| corrupt(id, "there is no such checkpoint"))
    }

    pub(super) fn check_entries(&mut self, id: CheckpointId) -> Result<()> {
        if self.damaged.get(&id) == Some(&CheckpointDamage::Entries) {
            self.damage_met = Some(id);
            return Err(corrupt(id, "a test damaged its entries"));
        }
        Ok(())
    }

    fn check_no_damage_met(&self) -> Result<()> {
        match self.damage_met {
            Some(id) => Err(corrupt(
                id,
                "a read met damage in it: nothing is written or removed until a verification finds none",
            )),
            None => Ok(()),
        }
    }

    /// Adds a checkpoint. Everything that can fail comes before the first change (C2).
    pub(super) fn publish(
        &mut self,
        previous: Option<CheckpointId>,
        head: CheckpointHead,
        collections: Collections,
    ) -> Result<Arc<Image>> {
        self.check_no_damage_met()?;
        if mem::take(&mut self.write_fails) {
            return Err(Error::from_io("write", PLACE, io::Error::other("a failure that a test asked for")));
        }
        let known = || self.listed.keys().chain(self.set_aside.keys());
        let seq = known().map(|id| id.seq + 1).max().unwrap_or(1);
        let id = CheckpointId { epoch: head.epoch, lsn: head.lsn, seq };
        if self.listed.keys().any(|other| *other > id) {
            return Err(Error::Misuse("a new checkpoint must be newer than every checkpoint in the list".into()));
        }
        let newer = match previous {
            Some(previous) => self.listed.split_off(&CheckpointId { seq: previous.seq + 1, ..previous }),
            None => mem::take(&mut self.listed),
        };
        self.set_aside.extend(newer);
        let image = Arc::new(Image { id, head, collections });
        self.listed.insert(id, Arc::clone(&image));
        Ok(image)
    }
}

fn corrupt(id: CheckpointId, detail: &str) -> Error {
    Error::corrupt_whole(id, detail)
}
