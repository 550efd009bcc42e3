use std::{collections::BTreeMap, fmt, io, mem, sync::Arc};

use crate::{
    CheckpointHead, CheckpointId, CollectionId, CollectionSize, Error, Result, Value,
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
    /// The entries that the checkpoint did not take over from the one before it, except names. It
    /// can be opened. Reads of these entries fail, here and in every checkpoint made from this one.
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

    /// Makes the next [`write`](crate::Checkpointer::write), or
    /// [`maintain`](crate::Checkpointer::maintain) that finds something to do, fail, as on a disk
    /// that cannot write.
    pub fn fail_next_write(&self) {
        self.state().write_fails = true;
    }

    /// Damages a checkpoint.
    pub fn damage(&self, id: CheckpointId, damage: CheckpointDamage) {
        self.state().damaged.insert(id.seq, damage);
    }

    /// Undoes all damage.
    pub fn repair(&self) {
        self.state().damaged.clear();
    }

    /// Verifies every checkpoint in the list.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if one is damaged.
    pub fn verify(&self) -> Result<()> {
        let state = self.state();
        state.listed.values().try_for_each(|image| {
            state.check_head(image.id)?;
            state.damaged_part_of(image).map_or(Ok(()), |_| Err(damaged_entries(image.id)))
        })
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

/// Entries of one collection.
#[derive(Clone, Default)]
pub(super) struct Entries {
    pub map: BTreeMap<Value, Entry>,
    /// The bytes of all keys and values together.
    pub bytes: u64,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub value: Value,
    /// The `seq` of the checkpoint that was written with this entry. Damage to that one also
    /// affects the checkpoints that took the entry over.
    pub part: u64,
}

impl Entries {
    pub(super) fn put(&mut self, key: Value, entry: Entry) {
        self.bytes += (key.len() + entry.value.len()) as u64;
        let key_len = key.len();
        if let Some(old) = self.map.insert(key, entry) {
            self.bytes -= (key_len + old.value.len()) as u64;
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        if let Some(old) = self.map.remove(key) {
            self.bytes -= (key.len() + old.value.len()) as u64;
        }
    }

    pub(super) fn size(&self) -> CollectionSize {
        CollectionSize { entries: self.map.len() as u64, bytes: self.bytes }
    }
}

pub(super) type Collections = BTreeMap<CollectionId, Arc<Entries>>;

/// A checkpoint. It never changes once it is made.
pub(super) struct Image {
    pub id: CheckpointId,
    /// The `seq` of the checkpoint that was written with this state: another one's if maintenance
    /// made this one.
    pub written: u64,
    pub head: CheckpointHead,
    pub collections: Collections,
}

/// Damage that a read has met.
#[derive(Clone, Copy)]
struct Met {
    /// The opening of the medium in which it was met last.
    opening: u64,
    /// Whether a later opening has examined it (C9).
    examined: bool,
    /// Whether its checkpoint was opened nevertheless, in this opening of the medium (C10).
    accepted: bool,
}

#[derive(Clone, Default)]
pub(super) struct State {
    listed: BTreeMap<CheckpointId, Arc<Image>>,
    set_aside: BTreeMap<CheckpointId, Arc<Image>>,
    /// By the `seq` of the checkpoint.
    damaged: BTreeMap<u64, CheckpointDamage>,
    /// The damage that was met, by the `seq` of the checkpoint that was written with it. It is kept
    /// until an examination finds that it is gone (C10).
    met: BTreeMap<u64, Met>,
    /// How often the medium was opened.
    openings: u64,
    /// The highest `seq` that was ever used (C8).
    last_seq: u64,
    write_fails: bool,
}

impl State {
    /// Begins another opening of the medium.
    pub(super) fn begin_opening(&mut self) {
        self.openings += 1;
        self.met.values_mut().for_each(|met| met.accepted = false);
    }

    pub(super) fn list(&self) -> Vec<CheckpointId> {
        self.listed.keys().rev().copied().collect()
    }

    pub(super) fn find(&self, id: CheckpointId) -> Result<Arc<Image>> {
        self.check_head(id)?;
        self.listed.get(&id).cloned().ok_or_else(|| corrupt(id, "there is no such checkpoint"))
    }

    fn check_head(&self, id: CheckpointId) -> Result<()> {
        match self.damaged.get(&id.seq) {
            Some(CheckpointDamage::Head) => Err(corrupt(id, "a test damaged its head")),
            _ => Ok(()),
        }
    }

    pub(super) fn remove(&mut self, id: CheckpointId) -> Result<()> {
        if let Some(damage) = self.damage() {
            return Err(damage);
        }
        self.listed.remove(&id);
        Ok(())
    }

    /// The damage that was met and not examined since (C9).
    pub(super) fn damage(&self) -> Option<Error> {
        let (part, _) = self.met.iter().find(|(_, met)| !met.examined)?;
        Some(Error::corrupt_whole(PLACE, format!("a read met damage in what was written under number {part}")))
    }

    /// Whether entries that were written with a checkpoint are damaged.
    pub(super) fn is_damaged(&self, part: u64) -> bool {
        self.damaged.get(&part) == Some(&CheckpointDamage::Entries)
    }

    /// Remembers that a read of a checkpoint met damage (C9), and returns the error for it.
    pub(super) fn meet_damage(&mut self, id: CheckpointId, part: u64) -> Error {
        let accepted = self.met.get(&part).is_some_and(|met| met.accepted);
        self.met.insert(part, Met { opening: self.openings, examined: accepted, accepted });
        damaged_entries(id)
    }

    /// Accepts the damage that was met in a checkpoint: it is not reported again (C10).
    pub(super) fn accept_damage(&mut self, image: &Image) {
        for (_, met) in self.met.iter_mut().filter(|(part, _)| uses(image, **part)) {
            (met.examined, met.accepted) = (true, true);
        }
    }

    /// The damaged part, if any, that a lookup of an absent key or of a range depends on.
    pub(super) fn damaged_part_below(&self, id: CheckpointId, entries: Option<&Entries>) -> Option<u64> {
        if self.damaged.is_empty() {
            return None; // no test has damaged anything
        }
        let parts = entries.into_iter().flat_map(|entries| entries.map.values()).map(|entry| entry.part);
        parts.chain([id.seq]).find(|part| self.is_damaged(*part))
    }

    fn damaged_part_of(&self, image: &Image) -> Option<u64> {
        user_collections(image).find_map(|entries| self.damaged_part_below(image.id, entries))
    }

    /// Verifies those parts of a checkpoint in which damage was met earlier (C10).
    pub(super) fn examine(&mut self, image: &Image) -> Result<()> {
        let openings = self.openings;
        let parts: Vec<u64> = self.met.keys().copied().filter(|part| uses(image, *part)).collect();
        let mut damage_is_there = false;
        for part in parts {
            let is_damaged = self.is_damaged(part);
            damage_is_there |= is_damaged;
            let Some(met) = self.met.get_mut(&part) else { continue };
            met.examined |= met.opening < openings;
            if met.examined && !is_damaged {
                self.met.remove(&part);
            }
        }
        if damage_is_there { Err(damaged_entries(image.id)) } else { Ok(()) }
    }

    /// The number for the next checkpoint. It is used up even if that one is never published (C8).
    pub(super) fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    /// Adds a checkpoint. Everything that can fail comes before the first change (C2).
    pub(super) fn publish(&mut self, previous: Option<CheckpointId>, image: Image) -> Result<Arc<Image>> {
        self.fail_if_asked()?;
        let id = image.id;
        if self.listed.keys().any(|other| *other > id) {
            return Err(Error::Misuse("a new checkpoint must be newer than every checkpoint in the list".into()));
        }
        let written = previous.and_then(|id| self.listed.get(&id)).map(|image| image.written);
        let is_kept = |(other, image): &(CheckpointId, Arc<Image>)| {
            Some(*other) <= previous || Some(image.written) == written // maintenance keeps the state
        };
        let bad;
        (self.listed, bad) = mem::take(&mut self.listed).into_iter().partition(is_kept);
        self.set_aside.extend::<BTreeMap<_, _>>(bad);
        Ok(self.add(image))
    }

    /// Adds the newest checkpoint under another id, after verifying it. `None` if it was made in
    /// this way itself.
    pub(super) fn maintain(&mut self) -> Result<Option<Arc<Image>>> {
        let Some(newest) = self.newest_to_maintain() else { return Ok(None) };
        self.check_head(newest.id)?;
        if let Some(part) = self.damaged_part_of(&newest) {
            return Err(self.meet_damage(newest.id, part));
        }
        self.fail_if_asked()?;
        let id = CheckpointId { seq: self.next_seq(), ..newest.id };
        let image = Image { id, written: newest.written, head: newest.head, collections: newest.collections.clone() };
        Ok(Some(self.add(image)))
    }

    pub(super) fn newest_to_maintain(&self) -> Option<Arc<Image>> {
        let (_, newest) = self.listed.last_key_value()?;
        (newest.written == newest.id.seq).then(|| Arc::clone(newest))
    }

    fn fail_if_asked(&mut self) -> Result<()> {
        match mem::take(&mut self.write_fails) {
            true => Err(Error::from_io("write", PLACE, io::Error::other("a failure that a test asked for"))),
            false => Ok(()),
        }
    }

    fn add(&mut self, image: Image) -> Arc<Image> {
        let image = Arc::new(image);
        self.listed.insert(image.id, Arc::clone(&image));
        image
    }
}

/// The entries of each collection that is not reserved, and `None` for a collection that has none.
fn user_collections(image: &Image) -> impl Iterator<Item = Option<&Entries>> {
    let named = image.collections.iter().filter(|(id, _)| **id != CollectionId::NAMES);
    named.map(|(_, entries)| Some(&**entries)).chain([None])
}

fn uses(image: &Image, part: u64) -> bool {
    let mut entries = user_collections(image).flatten().flat_map(|entries| entries.map.values());
    image.id.seq == part || entries.any(|entry| entry.part == part)
}

fn damaged_entries(id: CheckpointId) -> Error {
    corrupt(id, "a test damaged its entries")
}

fn corrupt(id: CheckpointId, detail: &str) -> Error {
    Error::corrupt_whole(id, detail)
}
