use std::sync::Arc;

use super::{
    memtable::{Changed, Memtable},
    steps::{self, GoOn, STEP_ENTRIES},
};
use crate::{Checkpoint, CheckpointId, CollectionId, CollectionInfo, Error, Lsn, Place, Result, Value};

/// Where readers look: first in the active memtable, then in the frozen one, then in the
/// checkpoint. A view never changes; a new view replaces it.
pub(crate) struct ReadView {
    pub(crate) active: Arc<Memtable>,
    /// The memtable that is being written to a checkpoint, or that was left over when writing it
    /// failed. There is at most one, so that reads do not become slower while the disk stays full.
    pub(crate) frozen: Option<Arc<Memtable>>,
    pub(crate) checkpoint: Option<Arc<dyn Checkpoint>>,
}

impl ReadView {
    pub(crate) fn new(checkpoint: Option<Arc<dyn Checkpoint>>) -> Self {
        Self { active: Arc::new(Memtable::new()), frozen: None, checkpoint }
    }

    /// A view in which the active memtable is frozen and a new one is active.
    pub(crate) fn with_active_frozen(&self) -> Self {
        debug_assert!(self.frozen.is_none(), "the frozen memtable would be lost");
        Self {
            active: Arc::new(Memtable::new()),
            frozen: Some(Arc::clone(&self.active)),
            checkpoint: self.checkpoint.clone(),
        }
    }

    /// A view in which `checkpoint` replaces everything but the active memtable.
    pub(crate) fn with_checkpoint(&self, checkpoint: Arc<dyn Checkpoint>) -> Self {
        Self { active: Arc::clone(&self.active), frozen: None, checkpoint: Some(checkpoint) }
    }

    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen)
    }

    pub(crate) fn checkpoint_id(&self) -> Option<CheckpointId> {
        self.checkpoint.as_ref().map(|checkpoint| checkpoint.id())
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
        self.memtables().find_map(|memtable| memtable.version(collection, key, &position))
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
        let mut changed = Vec::new();
        for memtable in self.memtables() {
            memtable.collect(position, &wanted, &mut changed, go_on)?;
        }
        // The sort is stable, and newer memtables come first. So the first of equal keys is the
        // newest.
        let mut changed = steps::sort(changed, |a, b| (a.collection, &a.key).cmp(&(b.collection, &b.key)), go_on)?;
        changed.dedup_by(|later, first| (later.collection, &later.key) == (first.collection, &first.key));
        Ok(changed)
    }

    /// The sizes of `collections`: the counts in the checkpoint, adjusted by what has `changed`
    /// since. Both arguments are in order of identity.
    pub(crate) fn sizes(
        &self,
        collections: Vec<(CollectionId, Arc<str>)>,
        changed: &[Changed],
        go_on: GoOn<'_>,
    ) -> Result<Vec<CollectionInfo>> {
        let mut infos = Vec::with_capacity(collections.len());
        for (id, name) in collections {
            let mut size = self.size_in_checkpoint(id);
            let first = changed.partition_point(|change| change.collection < id);
            let of_collection = changed[first..].iter().take_while(|change| change.collection == id);
            for (number, change) in of_collection.enumerate() {
                if number.is_multiple_of(STEP_ENTRIES) {
                    go_on()?;
                }
                let mut replaced = None;
                self.in_checkpoint(id, &change.key, &mut |old| replaced = Some(old.len()))?;
                size = size.after(change, replaced).ok_or_else(|| self.miscounted(&name))?;
            }
            let Size { entries, bytes } = size;
            infos.push(CollectionInfo { id, name: name.as_ref().to_owned(), entries, bytes });
        }
        Ok(infos)
    }

    fn size_in_checkpoint(&self, id: CollectionId) -> Size {
        let Some(checkpoint) = &self.checkpoint else { return Size::default() };
        let collections = &checkpoint.head().collections;
        collections
            .binary_search_by_key(&id, |collection| collection.id)
            .map_or(Size::default(), |at| Size { entries: collections[at].entries, bytes: collections[at].bytes })
    }

    /// The error for a checkpoint that holds more entries or bytes than its counts say.
    fn miscounted(&self, name: &str) -> Error {
        let detail = format!("it holds more of the collection {name:?} than its counts say");
        Error::corrupt_whole(self.checkpoint_id().map_or(Place::Record(Lsn::START), Place::Checkpoint), detail)
    }
}

/// The size of a collection.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    entries: u64,
    bytes: u64,
}

impl Size {
    /// The size after `change` to a key. `replaced` is the length of the key's old value, or `None`
    /// if the key was absent. Returns `None` if the size would become negative.
    fn after(self, change: &Changed, replaced: Option<usize>) -> Option<Self> {
        let entry_bytes = |value_len: usize| (change.key.len() + value_len) as u64;
        let Self { mut entries, mut bytes } = self;
        if let Some(value_len) = replaced {
            entries = entries.checked_sub(1)?;
            bytes = bytes.checked_sub(entry_bytes(value_len))?;
        }
        if let Some(value) = &change.value {
            entries += 1;
            bytes += entry_bytes(value.len());
        }
        Some(Self { entries, bytes })
    }
}
