use std::sync::Arc;

use super::{
    memtable::{Changed, Memtable},
    steps::{self, GoOn, STEP_ENTRIES},
};
use crate::{
    Checkpoint, CheckpointId, CheckpointStats, CollectionId, CollectionInfo, CollectionSize, Error, Lsn, Place, Result,
    Value,
};

/// Where readers look: first in the active memtable, then in the frozen ones, then in the
/// checkpoint. A view never changes; a new view replaces it.
pub(crate) struct ReadView {
    pub(crate) active: Arc<Memtable>,
    /// The memtables that no checkpoint has taken yet, newest first. Backpressure bounds their
    /// number.
    pub(crate) frozen: Vec<Frozen>,
    pub(crate) checkpoint: Option<Arc<dyn Checkpoint>>,
    /// What the checkpoint says of itself. It is asked once: writers need this under their lock,
    /// and the checkpoint may be foreign code.
    checkpoint_id: Option<CheckpointId>,
    pub(crate) checkpoint_stats: CheckpointStats,
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
    pub(crate) fn new(checkpoint: Option<Arc<dyn Checkpoint>>) -> Self {
        let checkpoint_stats = checkpoint.as_ref().map(|checkpoint| checkpoint.stats()).unwrap_or_default();
        let checkpoint_id = checkpoint.as_ref().map(|checkpoint| checkpoint.id());
        Self { active: Arc::new(Memtable::new()), frozen: Vec::new(), checkpoint, checkpoint_id, checkpoint_stats }
    }

    /// A view in which the active memtable is frozen and a new one is active. `lsn` is the position
    /// of the last change that was applied; `record_bytes` are the bytes of the active memtable's
    /// records in the log.
    pub(crate) fn with_active_frozen(&self, lsn: Lsn, record_bytes: u64) -> Self {
        let bytes = record_bytes.max(self.active.bytes() as u64);
        let newest = Frozen { memtable: Arc::clone(&self.active), lsn, bytes };
        Self {
            active: Arc::new(Memtable::new()),
            frozen: std::iter::once(newest).chain(self.frozen.iter().cloned()).collect(),
            checkpoint: self.checkpoint.clone(),
            checkpoint_id: self.checkpoint_id,
            checkpoint_stats: self.checkpoint_stats,
        }
    }

    /// A view in which `checkpoint` replaces the checkpoint, and the frozen memtables whose changes
    /// it holds; `None` if the view has a newer checkpoint.
    ///
    /// A checkpoint and a merge may be installed in another order than they were published. What
    /// was published later holds what was published before, so the older of the two is not needed.
    pub(crate) fn with_checkpoint(&self, checkpoint: Arc<dyn Checkpoint>) -> Option<Self> {
        let id = checkpoint.id();
        if self.checkpoint_id().is_some_and(|current| current >= id) {
            return None;
        }
        Some(Self {
            active: Arc::clone(&self.active),
            frozen: self.frozen.iter().filter(|frozen| frozen.lsn > id.lsn).cloned().collect(),
            checkpoint_id: Some(id),
            checkpoint_stats: checkpoint.stats(),
            checkpoint: Some(checkpoint),
        })
    }

    /// The memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.frozen.iter().map(|frozen| &frozen.memtable))
    }

    /// How many bytes count in the bound of what no checkpoint has taken yet. For a frozen memtable
    /// these are the bytes of memory or of the log, whichever are more.
    pub(crate) fn unwritten_bytes(&self) -> u64 {
        self.active.bytes() as u64 + self.frozen.iter().map(|frozen| frozen.bytes).sum::<u64>()
    }

    pub(crate) fn checkpoint_id(&self) -> Option<CheckpointId> {
        self.checkpoint_id
    }

    /// The position of the checkpoint, or [`Lsn::START`] if there is none.
    pub(crate) fn checkpoint_lsn(&self) -> Lsn {
        self.checkpoint_id().map_or(Lsn::START, |id| id.lsn)
    }

    /// The value of a key at the position that `position` returns, and the position of the version
    /// that was found. The latter is [`Lsn::START`] if no memtable has the key. `position` is
    /// called again for each memtable.
    pub(crate) fn get(
        &self,
        collection: CollectionId,
        key: &[u8],
        position: impl Fn() -> Lsn,
    ) -> Result<(Lsn, Option<Value>)> {
        match (self.in_memory(collection, key, position), &self.checkpoint) {
            (Some(found), _) => Ok(found),
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
            match self.in_memory(collection, key, || position) {
                Some((_, found)) => *value = found,
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

    /// Calls `read` with the value of a key at the position that `position` returns. Returns the
    /// position of the version, as [`get`](ReadView::get) does, and whether there is a value.
    pub(crate) fn get_with(
        &self,
        collection: CollectionId,
        key: &[u8],
        position: impl Fn() -> Lsn,
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<(Lsn, bool)> {
        match self.in_memory(collection, key, position) {
            Some((lsn, value)) => {
                value.iter().for_each(|value| read(value));
                Ok((lsn, value.is_some()))
            }
            None => Ok((Lsn::START, self.in_checkpoint(collection, key, read)?)),
        }
    }

    /// The newest version of a key in memory at the position that `position` returns: its position
    /// and value.
    pub(crate) fn in_memory(
        &self,
        collection: CollectionId,
        key: &[u8],
        position: impl Fn() -> Lsn,
    ) -> Option<(Lsn, Option<Value>)> {
        // A memtable that is empty costs nothing. A reader that takes one for empty although a key
        // was added since began before that key was published.
        let mut memtables = self.memtables().filter(|memtable| memtable.entries() > 0);
        memtables.find_map(|memtable| memtable.version(collection, key, &position))
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

    /// The keys that `wanted` selects and that have changed since the checkpoint, as they were at
    /// `position`, in order of (collection, key). The cost grows with the number of keys that have
    /// changed in all collections.
    pub(crate) fn changed(
        &self,
        position: Lsn,
        wanted: impl Fn(CollectionId, &[u8]) -> bool,
        go_on: GoOn<'_>,
    ) -> Result<Vec<Changed>> {
        changes(self.memtables(), position, &wanted, go_on)
    }

    /// What the next checkpoint adds to this view's checkpoint: the changes of the oldest frozen
    /// memtable, in order of (collection, key), without those of collections that no longer exist.
    pub(crate) fn oldest_changes(&self, go_on: GoOn<'_>) -> Result<Vec<Changed>> {
        let Some(oldest) = self.frozen.last() else { return Ok(Vec::new()) };
        let mut changed = changes([&oldest.memtable], oldest.lsn, &|_, _| true, go_on)?;
        let (mut collection, mut exists) = (CollectionId::NAMES, true);
        let mut failure = None;
        changed.retain(|change| {
            if change.collection != collection {
                collection = change.collection;
                exists = self.existed(collection, oldest).unwrap_or_else(|error| {
                    failure.get_or_insert(error);
                    true
                });
            }
            exists
        });
        failure.map_or(Ok(changed), Err)
    }

    /// Whether a collection existed when the oldest memtable was frozen.
    fn existed(&self, collection: CollectionId, oldest: &Frozen) -> Result<bool> {
        let key = collection.to_key();
        match oldest.memtable.version(CollectionId::NAMES, &key, || oldest.lsn) {
            Some((_, name)) => Ok(name.is_some()),
            None => self.in_checkpoint(CollectionId::NAMES, &key, &mut |_| {}),
        }
    }

    /// The sizes of `collections`: those in the checkpoint, adjusted by what has `changed` since.
    /// Both arguments are in order of identity.
    pub(crate) fn sizes(
        &self,
        collections: Vec<(CollectionId, Arc<str>)>,
        changed: &[Changed],
        go_on: GoOn<'_>,
    ) -> Result<Vec<CollectionInfo>> {
        let mut infos = Vec::with_capacity(collections.len());
        for (id, name) in collections {
            let mut size = match &self.checkpoint {
                Some(checkpoint) => checkpoint.size(id)?,
                None => CollectionSize::default(),
            };
            let first = changed.partition_point(|change| change.collection < id);
            let of_collection = changed[first..].iter().take_while(|change| change.collection == id);
            for (number, change) in of_collection.enumerate() {
                if number.is_multiple_of(STEP_ENTRIES) {
                    go_on()?;
                }
                let mut replaced = None;
                self.in_checkpoint(id, &change.key, &mut |old| replaced = Some(old.len()))?;
                size = after(size, change, replaced).ok_or_else(|| self.miscounted(&name))?;
            }
            let CollectionSize { entries, bytes } = size;
            infos.push(CollectionInfo { id, name: name.as_ref().to_owned(), entries, bytes });
        }
        Ok(infos)
    }

    /// The error for a checkpoint that holds more entries or bytes than its sizes say.
    fn miscounted(&self, name: &str) -> Error {
        let detail = format!("it holds more of the collection {name:?} than its counts say");
        Error::corrupt_whole(self.checkpoint_id().map_or(Place::Record(Lsn::START), Place::Checkpoint), detail)
    }
}

/// The keys that `wanted` selects in `memtables`, which come newest first, as they were at
/// `position`, in order of (collection, key).
fn changes<'a>(
    memtables: impl IntoIterator<Item = &'a Arc<Memtable>>,
    position: Lsn,
    wanted: &impl Fn(CollectionId, &[u8]) -> bool,
    go_on: GoOn<'_>,
) -> Result<Vec<Changed>> {
    let mut changed = Vec::new();
    for memtable in memtables {
        memtable.collect(position, wanted, &mut changed, go_on)?;
    }
    // Equal keys stay as they are, and newer memtables come first. So the first one is the newest.
    let mut changed = in_order(changed, go_on)?;
    changed.dedup_by(|later, first| (later.collection, &later.key) == (first.collection, &first.key));
    Ok(changed)
}

/// Sorts changes by collection and key, and leaves those of the same key in the order in which they
/// are.
///
/// It sorts numbers: the rank of the collection, the beginning of the key, and the place in
/// `changed`. So few keys are compared byte by byte, and no change is moved more than once.
fn in_order(changed: Vec<Changed>, go_on: GoOn<'_>) -> Result<Vec<Changed>> {
    let mut collections: Vec<CollectionId> = changed.iter().map(|change| change.collection).collect();
    collections.sort_unstable();
    collections.dedup();
    let number = |(place, change): (usize, &Changed)| {
        let rank = collections.partition_point(|collection| *collection < change.collection);
        let mut beginning = [0; BEGINNING_BYTES];
        let bytes = change.key.len().min(BEGINNING_BYTES);
        beginning[..bytes].copy_from_slice(&change.key[..bytes]);
        (rank as u32, u64::from_be_bytes(beginning), place)
    };
    let numbers = steps::sort(changed.iter().enumerate().map(number).collect(), Ord::cmp, go_on)?;
    let mut places: Vec<usize> = Vec::with_capacity(numbers.len());
    for alike in numbers.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let first = places.len();
        places.extend(alike.iter().map(|&(_, _, place)| place));
        places[first..].sort_by(|a, b| changed[*a].key.cmp(&changed[*b].key));
    }
    let mut changed: Vec<Option<Changed>> = changed.into_iter().map(Some).collect();
    Ok(places.into_iter().filter_map(|place| changed[place].take()).collect())
}

/// How many bytes of a key are sorted as a number.
const BEGINNING_BYTES: usize = size_of::<u64>();

/// The size of a collection after `change` to a key. `replaced` is the length of the key's old
/// value, or `None` if the key was absent. Returns `None` if the size would become negative.
fn after(size: CollectionSize, change: &Changed, replaced: Option<usize>) -> Option<CollectionSize> {
    let entry_bytes = |value_len: usize| (change.key.len() + value_len) as u64;
    let CollectionSize { mut entries, mut bytes } = size;
    if let Some(value_len) = replaced {
        entries = entries.checked_sub(1)?;
        bytes = bytes.checked_sub(entry_bytes(value_len))?;
    }
    if let Some(value) = &change.value {
        entries += 1;
        bytes += entry_bytes(value.len());
    }
    Some(CollectionSize { entries, bytes })
}
