//! The collections in memory: the tail of a log over a checkpoint.
//!
//! Changes are kept in *memtables*. The active memtable takes all new changes. When it is full, or
//! a checkpoint is asked for, it is frozen and a new one becomes active. Once a checkpoint holds
//! the changes of a frozen memtable, it is dropped whole, so entries are never evicted one by one.
//! Readers look through a [`ReadView`]: the active memtable, the frozen ones, the checkpoint. They
//! see versions up to the published position.
//!
//! The names of collections are in the [table of names](Names), where readers find them. Each
//! change of a name is also a change of the reserved collection [`CollectionId::NAMES`], so that it
//! gets into the next checkpoint as all other changes do.
//!
//! # Which threads wait for which
//!
//! There is one writer at a time, the holder of the [`WriterToken`]. It meets readers only at locks
//! that are held for a short time. The lock of a memtable shard is held for one look-up, or while
//! one shard is copied for a checkpoint, a count or a first scan. The locks of the registry of
//! snapshots ([`Horizon`]) and of the table of [`order`]s are held for a moment.
//!
//! - The read view and the shards of the name table are swapped whole (`ArcSwap`): a reader keeps
//!   the one it has loaded, and the writer stores a new one.
//! - A memtable is a hash table in shards, each behind a lock.
//! - The published position only moves forward, and only after the changes up to it were applied
//!   ([`Horizon`]).
//!
//! Each of these is safe by itself. Reads that combine several of them see one state nevertheless;
//! the arguments for that are at [`Collections::read`] (name and key), [`Snapshot::take`] (view and
//! position), [`Horizon`] (position and pruning) and [`order`] (scans and new keys).
//!
//! This module knows nothing of the log: the store appends first and applies afterwards.

mod entries;
mod entry;
mod horizon;
#[cfg(all(test, loom))]
mod loom_tests;
mod memtable;
mod merge;
mod names;
mod order;
mod read_view;
mod snapshot;
mod steps;
#[cfg(test)]
mod tests;
mod versions;
mod writer;

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Weak},
};

pub use entries::Entries;
pub use entry::Entry;
pub(crate) use horizon::Horizon;
pub(crate) use memtable::Changed;
use names::Names;
pub(crate) use read_view::ReadView;
pub(crate) use snapshot::{Snapshot, prefix_bounds};
use writer::Superseded;
pub(crate) use writer::WriterToken;

use crate::{
    Checkpoint, CheckpointId, CollectionId, Error, Lsn, Owner, Result, Value,
    operation::Operation,
    sync::{ArcSwap, Mutex, lock},
};

/// The position at which every applied change is visible, published or not. Only the writer reads
/// at it.
const NEWEST: Lsn = Lsn(u64::MAX);

/// All collections.
pub(crate) struct Collections {
    pub(crate) names: Names,
    view: ArcSwap<ReadView>,
    /// Held while the read view is loaded, changed and stored again.
    view_edits: Mutex<()>,
    horizon: Horizon,
    /// The owner of the store. The reference is weak because a snapshot may outlive the store, and
    /// must not keep its owner alive.
    pub(crate) owner: Option<Weak<dyn Owner>>,
}

impl Collections {
    /// The collections that `checkpoint` holds, or none, with their names; and the token of their
    /// one writer.
    pub(crate) fn new(checkpoint: Option<Arc<dyn Checkpoint>>, names: &[NamedCollection]) -> (Self, WriterToken) {
        let position = checkpoint.as_ref().map_or(Lsn::START, |checkpoint| checkpoint.head().lsn);
        let names = Names::of(names);
        let view = ArcSwap::from_pointee(ReadView::new(checkpoint));
        let collections = Self { names, view, view_edits: Mutex::default(), horizon: Horizon::default(), owner: None };
        collections.horizon.publish(position, position);
        (collections, WriterToken::new())
    }

    pub(crate) fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// The current view. It does not change while it is held; later views replace it.
    pub(crate) fn view(&self) -> Arc<ReadView> {
        self.view.load_full()
    }

    /// How many bytes of changes no checkpoint has taken yet.
    pub(crate) fn unwritten_bytes(&self) -> u64 {
        self.view.load().unwritten_bytes()
    }

    /// The checkpoint of the current view.
    pub(crate) fn checkpoint_id(&self) -> Option<CheckpointId> {
        self.view.load().checkpoint_id()
    }

    /// How many memtables are frozen and wait for a checkpoint.
    pub(crate) fn frozen(&self) -> usize {
        self.view.load().frozen.len()
    }

    /// How many small parts of the checkpoint wait to be merged.
    pub(crate) fn unmerged_parts(&self) -> usize {
        self.view.load().checkpoint_stats.unmerged_parts
    }

    /// How many bytes of memory the active memtable takes.
    pub(crate) fn active_bytes(&self) -> u64 {
        self.view.load().active.bytes() as u64
    }

    /// Applies the changes of the record at `lsn`, which is already logged.
    ///
    /// Keys are changed before names, and readers rely on that: a reader that finds a name as this
    /// record left it also finds the changes that the record made to keys.
    pub(crate) fn apply<'a>(
        &self,
        writer: &mut WriterToken,
        lsn: Lsn,
        operations: impl Iterator<Item = Operation<'a>>,
    ) {
        let visible = self.horizon.visible();
        let view = self.view.load();
        // Each name is changed only once, to what it stands for after the whole record. Otherwise a
        // reader could look up an intermediate value and take it for the state at this position.
        let mut names = BTreeMap::new();
        for (index, operation) in (0..).zip(operations) {
            let mut change = |collection, key: &[u8], value| {
                if let Some(key) = view.active.apply(writer, lsn, collection, key, value, &visible) {
                    writer.superseded.push(lsn, collection, key);
                }
                writer.superseded.prune(&view.active, &visible);
            };
            match operation {
                Operation::Put { collection, key, value } => change(collection, key, Some(value)),
                Operation::Delete { collection, key } => change(collection, key, None),
                Operation::Create { name } => {
                    let id = CollectionId { lsn, index };
                    names.insert(name, Some(id));
                    change(CollectionId::NAMES, &id.to_key(), Some(name.as_bytes()));
                }
                Operation::Drop { collection, name } => {
                    names.insert(name, None);
                    change(CollectionId::NAMES, &collection.to_key(), None);
                }
                Operation::Rename { collection, from, to } => {
                    names.extend([(from, None), (to, Some(collection))]);
                    change(CollectionId::NAMES, &collection.to_key(), Some(to.as_bytes()));
                }
            }
        }
        for (name, id) in names {
            self.names.apply(writer, lsn, name, id, &visible);
        }
    }

    /// Freezes the active memtable and starts a new one. `lsn` is the position of the last change,
    /// and `record_bytes` are the bytes of the memtable's records in the log.
    pub(crate) fn freeze(&self, writer: &mut WriterToken, lsn: Lsn, record_bytes: u64) {
        writer.superseded = Superseded::default(); // a frozen memtable is not pruned
        let edit = lock(&self.view_edits);
        let old = self.view.swap(Arc::new(self.view.load().with_active_frozen(lsn, record_bytes)));
        drop(edit);
        drop(old); // it may be the last to hold a memtable
    }

    /// Makes `checkpoint` the checkpoint of the view, unless the view has a newer one. Drops the
    /// frozen memtables whose changes it holds. The position of the checkpoint must be published.
    pub(crate) fn install(&self, checkpoint: Arc<dyn Checkpoint>) {
        debug_assert!(
            self.horizon.published() >= checkpoint.head().lsn,
            "the checkpoint would show unpublished changes"
        );
        let edit = lock(&self.view_edits);
        let new = self.view.load().with_checkpoint(checkpoint);
        let old = new.map(|new| self.view.swap(Arc::new(new)));
        drop(edit);
        drop(old); // it may be the last to hold a memtable or a checkpoint
    }

    /// The value of a key after every applied change, and the position of the change that the value
    /// depends on.
    pub(crate) fn get_newest(
        &self,
        _writer: &WriterToken,
        collection: CollectionId,
        key: &[u8],
    ) -> Result<(Lsn, Option<Value>)> {
        self.view.load().get(collection, key, || NEWEST)
    }

    /// Calls `read` with the value of a key after every applied change. Returns the position of the
    /// change that this depends on, and whether there is a value.
    pub(crate) fn get_newest_with(
        &self,
        _writer: &WriterToken,
        collection: CollectionId,
        key: &[u8],
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<(Lsn, bool)> {
        self.view.load().get_with(collection, key, || NEWEST, read)
    }

    /// The published value of a key.
    pub(crate) fn get(&self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        self.read(name, key, |place| match place {
            Place::Memory(value) => Ok(Some(value)),
            Place::Checkpoint(checkpoint, collection) => checkpoint.get(collection, key),
        })
    }

    /// Calls `read` with the published value of a key. Returns `false` if there is none.
    pub(crate) fn get_with(&self, name: &str, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let found = self.read(name, key, |place| {
            let found = match place {
                Place::Memory(value) => {
                    read(&value);
                    true
                }
                Place::Checkpoint(checkpoint, collection) => checkpoint.get_with(collection, key, read)?,
            };
            Ok(found.then_some(()))
        })?;
        Ok(found.is_some())
    }

    /// Finds where a published key is, and reads it there. Returns `None` if the key is absent.
    ///
    /// The name and the key are looked up one after the other, without a lock around both, yet they
    /// must come from one position. Otherwise, if a record writes to a collection and renames it,
    /// the new value could be seen under the old name.
    ///
    /// They do come from one position, because a version of the key is accepted only if it is no
    /// newer than `known`, a position that was published before either look-up began. Such a
    /// version was current from `known` until the key was looked up, and the name was looked up in
    /// between. So at the position of the name's look-up, both were as they were found. A newer
    /// version, or a checkpoint newer than `known`, starts the loop again, with a `known` that is
    /// at least as new. If there is no checkpoint, a key without a version needs no check, because
    /// it never had one.
    ///
    /// The order of the steps matters:
    ///
    /// 1. `known` comes first, so that it is below everything that the look-ups find.
    /// 2. The view is loaded after the name. If the look-up found a record's change of the name,
    ///    that record had already made its changes of keys ([`apply`](Collections::apply)), so this
    ///    view has them.
    /// 3. The position for the key is loaded under the lock of its shard
    ///    ([`Memtable::version`](memtable::Memtable::version)), so that pruning cannot have removed
    ///    the version that it selects.
    fn read<T>(&self, name: &str, key: &[u8], read: impl FnOnce(Place<'_>) -> Result<Option<T>>) -> Result<Option<T>> {
        let published = || self.horizon.published();
        loop {
            let known = published();
            let Some(collection) = self.names.at(name, published) else { return Ok(None) };
            let view = self.view.load(); // after the name: see step 2
            match (view.in_memory(collection, key, published), &view.checkpoint) {
                (Some((lsn, value)), _) if lsn <= known => {
                    return value.map_or(Ok(None), |value| read(Place::Memory(value)));
                }
                (None, None) => return Ok(None),
                (None, Some(checkpoint)) if view.checkpoint_lsn() <= known => {
                    return read(Place::Checkpoint(&**checkpoint, collection));
                }
                _ => {}
            }
        }
    }

    /// The state at the position that is published now.
    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        Snapshot::take(self)
    }
}

/// A collection and its name.
pub(crate) type NamedCollection = (CollectionId, Arc<str>);

/// The collections that a checkpoint holds, in order of identity, and their names.
pub(crate) fn names_in(checkpoint: &dyn Checkpoint) -> Result<Vec<NamedCollection>> {
    let wrong = || Error::corrupt_whole(checkpoint.id(), "it holds something that is not the name of a collection");
    let mut names = Vec::new();
    let mut cursor = checkpoint.range(CollectionId::NAMES, Bound::Unbounded, Bound::Unbounded)?;
    while cursor.advance()? {
        let id = CollectionId::from_key(cursor.key()).ok_or_else(wrong)?;
        let name = str::from_utf8(cursor.value()).map_err(|_| wrong())?;
        names.push((id, Arc::from(name)));
    }
    Ok(names)
}

/// Where a key is, if it exists.
enum Place<'a> {
    /// In memory, with this value.
    Memory(Value),
    /// In this checkpoint, in this collection, if it exists.
    Checkpoint(&'a dyn Checkpoint, CollectionId),
}
