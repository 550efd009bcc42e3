use std::sync::Arc;

use super::{
    NEWEST, NamedCollection,
    counts::Counts,
    memtable::{Memtable, MemtableChanges, Seen, SeenValue},
    names::Names,
    steps::{GoOn, STEP_ENTRIES},
};
use crate::{
    Checkpoint, CheckpointId, CheckpointStats, CollectionId, CollectionInfo, CollectionSize, Error, Lsn, Place, Result,
    Value,
};

/// Where readers look: first in the active memtable, then in the frozen ones, then in the
/// checkpoint. A view never changes; a new view replaces it.
#[derive(Clone)]
pub(crate) struct ReadView {
    pub(crate) active: Arc<Memtable>,
    /// The memtables that no checkpoint has taken yet, newest first. Backpressure bounds their
    /// number.
    pub(crate) frozen: Vec<Frozen>,
    pub(crate) checkpoint: Option<Arc<dyn Checkpoint>>,
    pub(crate) names: Names,
    /// What the checkpoint says of itself. It is asked once: writers need this under their lock,
    /// and the checkpoint may be foreign code.
    checkpoint_id: Option<CheckpointId>,
    pub(crate) checkpoint_stats: CheckpointStats,
    /// All views of a store share what was counted.
    counts: Arc<Counts>,
}

/// A memtable that takes no more changes.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(crate) memtable: Arc<Memtable>,
    /// The position of the last change before it was frozen.
    pub(crate) lsn: Lsn,
    /// What it counts as in the bound of memory, in bytes.
    pub(crate) bytes: u64,
}

impl ReadView {
    pub(crate) fn new(active: Arc<Memtable>, checkpoint: Option<Arc<dyn Checkpoint>>, names: Names) -> Self {
        let checkpoint_stats = checkpoint.as_ref().map(|checkpoint| checkpoint.stats()).unwrap_or_default();
        let checkpoint_id = checkpoint.as_ref().map(|checkpoint| checkpoint.id());
        Self { active, frozen: Vec::new(), checkpoint, names, checkpoint_id, checkpoint_stats, counts: Arc::default() }
    }

    /// A view in which the active memtable is frozen and `active` takes its place. `lsn` is the
    /// position of the last change that was applied; `record_bytes` are the bytes of the frozen
    /// memtable's records in the log.
    pub(crate) fn with_active_frozen(&self, active: Arc<Memtable>, lsn: Lsn, record_bytes: u64) -> Self {
        let bytes = record_bytes.max(self.active.bytes());
        let newest = Frozen { memtable: Arc::clone(&self.active), lsn, bytes };
        let frozen = std::iter::once(newest).chain(self.frozen.iter().cloned()).collect();
        Self { active, frozen, ..self.clone() }
    }

    /// A view with other names.
    pub(crate) fn with_names(&self, names: Names) -> Self {
        Self { names, ..self.clone() }
    }

    /// A view in which `checkpoint` replaces the checkpoint, and the frozen memtables whose changes
    /// it holds; `None` if the view has a newer checkpoint.
    ///
    /// A checkpoint and a merge may be installed in another order than they were published. What
    /// was published later holds what was published before, so the older of the two is not needed.
    /// Returns what it drops, too.
    pub(crate) fn with_checkpoint(&self, checkpoint: Arc<dyn Checkpoint>) -> Option<(Self, Vec<Frozen>)> {
        let id = checkpoint.id();
        if self.checkpoint_id().is_some_and(|current| current >= id) {
            return None;
        }
        let (frozen, dropped) = self.frozen.iter().cloned().partition(|frozen| frozen.lsn > id.lsn);
        let view = Self {
            frozen,
            checkpoint_id: Some(id),
            checkpoint_stats: checkpoint.stats(),
            checkpoint: Some(checkpoint),
            ..self.clone()
        };
        Some((view, dropped))
    }

    /// The memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.frozen.iter().map(|frozen| &frozen.memtable))
    }

    /// How many bytes count in the bound of what no checkpoint has taken yet. For a frozen memtable
    /// these are the bytes of memory or of the log, whichever are more.
    pub(crate) fn unwritten_bytes(&self) -> u64 {
        self.active.bytes() + self.frozen.iter().map(|frozen| frozen.bytes).sum::<u64>()
    }

    pub(crate) fn checkpoint_id(&self) -> Option<CheckpointId> {
        self.checkpoint_id
    }

    /// The position of the checkpoint, or [`Lsn::START`] if there is none.
    pub(crate) fn checkpoint_lsn(&self) -> Lsn {
        self.checkpoint_id().map_or(Lsn::START, |id| id.lsn)
    }

    /// The value of a key at `position`, and the position of the version that was found. The latter
    /// is [`Lsn::START`] if no memtable has the key.
    pub(crate) fn get(&self, collection: CollectionId, key: &[u8], position: Lsn) -> Result<(Lsn, Option<Value>)> {
        match (self.in_memory(collection, key, position), &self.checkpoint) {
            (Some(seen), _) => Ok((seen.lsn, seen.value.map(SeenValue::handle))),
            (None, Some(checkpoint)) => Ok((Lsn::START, checkpoint.get(collection, key)?)),
            (None, None) => Ok((Lsn::START, None)),
        }
    }

    /// The values of keys at `position`, in the order of `keys`. Those that are not in memory are
    /// looked up in the checkpoint together.
    pub(crate) fn get_many(
        &self,
        collection: CollectionId,
        keys: &[&[u8]],
        position: Lsn,
    ) -> Result<Vec<Option<Value>>> {
        let mut values = vec![None; keys.len()];
        let mut rest = Vec::new();
        for (value, key) in values.iter_mut().zip(keys) {
            match self.in_memory(collection, key, position) {
                Some(seen) => *value = seen.value.map(SeenValue::handle),
                None => rest.push((*key, value)),
            }
        }
        if let Some(checkpoint) = &self.checkpoint {
            let rest_keys: Vec<&[u8]> = rest.iter().map(|(key, _)| *key).collect();
            let found = checkpoint.get_many(collection, &rest_keys)?;
            rest.into_iter().zip(found).for_each(|((_, value), found)| *value = found);
        }
        Ok(values)
    }

    /// Calls `read` with the value of a key at `position`. Returns the position of the version, as
    /// [`get`](ReadView::get) does, and whether there is a value.
    pub(crate) fn get_with(
        &self,
        collection: CollectionId,
        key: &[u8],
        position: Lsn,
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<(Lsn, bool)> {
        match self.in_memory(collection, key, position) {
            Some(seen) => {
                seen.value.iter().for_each(|value| read(value.bytes()));
                Ok((seen.lsn, seen.value.is_some()))
            }
            None => Ok((Lsn::START, self.in_checkpoint(collection, key, read)?)),
        }
    }

    /// Whether the state at `position` can be read through this view.
    pub(crate) fn reaches_back_to(&self, position: Lsn) -> bool {
        self.checkpoint_lsn() <= position && self.names.reach_back_to(position)
    }

    /// What memory says of a key at `position`; `None` if it says nothing.
    pub(crate) fn in_memory(&self, collection: CollectionId, key: &[u8], position: Lsn) -> Option<Seen<'_>> {
        let frozen = || self.frozen.iter().find_map(|frozen| frozen.memtable.version(collection, key, position));
        self.active.version(collection, key, position).or_else(frozen)
    }

    /// Calls `read` with the checkpoint's value of a key. Returns `false` if it has none.
    pub(crate) fn in_checkpoint(
        &self,
        collection: CollectionId,
        key: &[u8],
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<bool> {
        match &self.checkpoint {
            Some(checkpoint) => checkpoint.get_with(collection, key, read),
            None => Ok(false),
        }
    }

    /// What the next checkpoint adds to this view's checkpoint: the changes of the oldest frozen
    /// memtable, in order of (collection, key), without those of collections that no longer exist.
    /// `None` if nothing is frozen.
    pub(crate) fn oldest_changes(&self, go_on: GoOn<'_>) -> Result<Option<MemtableChanges>> {
        let Some(oldest) = self.frozen.last() else { return Ok(None) };
        oldest.memtable.changes(|collection| self.existed(collection, oldest), go_on).map(Some)
    }

    /// Whether a collection existed when the oldest memtable was frozen.
    fn existed(&self, collection: CollectionId, oldest: &Frozen) -> Result<bool> {
        if collection == CollectionId::NAMES {
            return Ok(true);
        }
        let key = collection.to_key();
        match oldest.memtable.version(CollectionId::NAMES, &key, oldest.lsn) {
            Some(name) => Ok(name.value.is_some()),
            None => self.in_checkpoint(CollectionId::NAMES, &key, &mut |_| {}),
        }
    }

    /// The size of a collection at `position`. The cost grows with the number of changes that the
    /// collection has seen since it was counted last, or since the checkpoint.
    pub(crate) fn size(&self, (id, name): &NamedCollection, position: Lsn, go_on: GoOn<'_>) -> Result<CollectionInfo> {
        let (counted, CollectionSize { entries, bytes }) = self.counted(*id, position)?;
        let mut grown = Growth::default();
        // A memtable that is older than what was counted ends at the first look.
        for (age, memtable) in self.memtables().enumerate() {
            for (number, change) in memtable.since(*id, counted, position).enumerate() {
                if number.is_multiple_of(STEP_ENTRIES) {
                    go_on()?;
                }
                let replaced = match change.replaced {
                    Some(replaced) => replaced,
                    None => self.value_bytes_below(age, *id, change.key)?,
                };
                grown.count(change.key, change.value_bytes, replaced);
            }
        }
        let sums = (entries.checked_add_signed(grown.entries), bytes.checked_add_signed(grown.bytes));
        let (Some(entries), Some(bytes)) = sums else { return Err(self.miscounted(name)) };
        self.counts.note(*id, position, CollectionSize { entries, bytes });
        Ok(CollectionInfo { id: *id, name: name.as_ref().to_owned(), entries, bytes })
    }

    /// A position that is not above `position`, and the size of the collection there.
    fn counted(&self, id: CollectionId, position: Lsn) -> Result<(Lsn, CollectionSize)> {
        let checkpoint_lsn = self.checkpoint_lsn();
        match (self.counts.known(id, checkpoint_lsn, position), &self.checkpoint) {
            (Some(known), _) => Ok(known),
            (None, Some(checkpoint)) => Ok((checkpoint_lsn, checkpoint.size(id)?)),
            (None, None) => Ok((checkpoint_lsn, CollectionSize::default())),
        }
    }

    /// The length of a key's value below the memtable of this age; `None` if it has none there.
    fn value_bytes_below(&self, age: usize, id: CollectionId, key: &[u8]) -> Result<Option<usize>> {
        if let Some(seen) = self.memtables().skip(age + 1).find_map(|memtable| memtable.version(id, key, NEWEST)) {
            return Ok(seen.value.map(|value| value.bytes().len()));
        }
        let mut found = None;
        self.in_checkpoint(id, key, &mut |value| found = Some(value.len()))?;
        Ok(found)
    }

    /// The error for a checkpoint that holds more entries or bytes than its sizes say.
    fn miscounted(&self, name: &str) -> Error {
        let detail = format!("it holds more of the collection {name:?} than its counts say");
        Error::corrupt_whole(self.checkpoint_id().map_or(Place::Record(Lsn::START), Place::Checkpoint), detail)
    }
}

/// By how much a collection has grown.
#[derive(Default)]
struct Growth {
    entries: i64,
    bytes: i64,
}

impl Growth {
    /// Counts a change to a key, from and to a value of this length, or from or to none.
    fn count(&mut self, key: &[u8], value: Option<usize>, replaced: Option<usize>) {
        let entry_bytes = |value: Option<usize>| value.map_or(0, |value| (key.len() + value) as i64);
        self.entries += i64::from(value.is_some()) - i64::from(replaced.is_some());
        self.bytes += entry_bytes(value) - entry_bytes(replaced);
    }
}
