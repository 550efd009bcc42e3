//! The collections in memory: the tail of a log over a checkpoint.
//!
//! Changes are kept in *memtables*. The active memtable takes all new changes. When it is full, or
//! a checkpoint is asked for, it is frozen and a new one becomes active. Once a checkpoint holds
//! the changes of a frozen memtable, it is dropped whole, so entries are never evicted one by one.
//! Readers look through a [`ReadView`]: the active memtable, the frozen ones, the checkpoint. They
//! see versions up to the published position.
//!
//! The read view also holds the [names](names) of the collections. Each change of a name is also a
//! change of the reserved collection [`CollectionId::NAMES`], so that it gets into the next
//! checkpoint as all other changes do.
//!
//! # Reading without locks
//!
//! There is one writer at a time, the holder of the [`WriterToken`], and it never waits for a
//! reader. A reader takes these steps, in this order:
//!
//! 1. It loads the published position. What it reads is the state at that position.
//! 2. It loads the read view. Before a position is published, its changes are in the memtables of
//!    the current view and its names in the names of that view. Later views hold the same or more.
//!    So this view holds every change up to the position.
//! 3. If the checkpoint or the names of the view are above the position, it starts again: the view
//!    is so much newer that the state at the position is no longer there.
//! 4. It looks into the active memtable, then the frozen ones, then the checkpoint. Nothing is
//!    removed from a memtable, so the version of the position is found whatever the writer does
//!    meanwhile.
//!
//! Point reads, snapshots and iterators do the same. A snapshot keeps position and view.
//!
//! This module knows nothing of the log: the store appends first and applies afterwards.

mod counts;
mod entries;
mod entry;
mod horizon;
#[cfg(all(test, loom))]
mod loom_tests;
mod memtable;
mod merge;
mod names;
mod read_view;
mod snapshot;
mod steps;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use entries::Entries;
pub(crate) use entries::Walk;
pub use entry::Entry;
pub(crate) use horizon::Horizon;
pub(crate) use memtable::{Direction, Ends, MemtableChanges, Narrowed};
use memtable::{SeenValue, TOUCHED_AHEAD};
pub(crate) use merge::PendingChanges;
pub(crate) use read_view::ReadView;
pub(crate) use snapshot::{Snapshot, prefix_bounds};
pub(crate) use writer::WriterToken;

use crate::{
    Checkpoint, CheckpointId, CollectionId, Error, Lsn, Result, Value,
    operation::Operation,
    sync::{ArcSwap, Mutex, lock, yield_now},
};

/// The position at which every applied change is visible, published or not. Only the writer reads
/// at it.
const NEWEST: Lsn = Lsn(u64::MAX);

/// All collections.
pub(crate) struct Collections {
    view: ArcSwap<ReadView>,
    /// Held while the read view is loaded, changed and stored again.
    view_edits: Mutex<()>,
    horizon: Horizon,
    /// How many bytes of memory only snapshots and iterators hold.
    held_bytes: Arc<AtomicU64>,
}

impl Collections {
    /// The collections that `checkpoint` holds, or none, with their names; and the token of their
    /// one writer.
    pub(crate) fn new(checkpoint: Option<Arc<dyn Checkpoint>>, named: &[NamedCollection]) -> (Self, WriterToken) {
        let position = checkpoint.as_ref().map_or(Lsn::START, |checkpoint| checkpoint.head().lsn);
        let active = memtable::Writer::new(position);
        let (names, names_writer) = names::Writer::new(named, position);
        let view = ReadView::new(Arc::clone(active.memtable()), checkpoint, names);
        let collections = Self {
            view: ArcSwap::from_pointee(view),
            view_edits: Mutex::default(),
            horizon: Horizon::default(),
            held_bytes: Arc::default(),
        };
        collections.horizon.publish(position, position);
        (collections, WriterToken { active, names: names_writer })
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

    /// What background work has not done yet: how many bytes of changes no checkpoint has taken,
    /// and how many small parts of the checkpoint wait to be merged.
    pub(crate) fn unfinished(&self) -> (u64, usize) {
        let view = self.view.load();
        (view.unwritten_bytes(), view.checkpoint_stats.unmerged_parts)
    }

    /// Applies the changes of the record at `lsn`, which is already logged.
    pub(crate) fn apply<'a>(
        &self,
        writer: &mut WriterToken,
        lsn: Lsn,
        operations: impl Iterator<Item = Operation<'a>> + Clone,
    ) {
        // Each name is changed only once, to what it stands for after the whole record.
        let mut names = BTreeMap::new();
        let mut ahead = operations.clone().skip(1);
        for (index, operation) in (0_u32..).zip(operations) {
            if (index as usize).is_multiple_of(TOUCHED_AHEAD) {
                let keys = ahead.by_ref().take(TOUCHED_AHEAD).filter_map(Operation::key);
                keys.for_each(|(collection, key)| writer.active.touch(collection, key));
            }
            let mut change = |collection, key: &[u8], value| writer.active.apply(lsn, collection, key, value);
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
                    writer.active.forget(collection);
                }
                Operation::Rename { collection, from, to } => {
                    names.extend([(from, None), (to, Some(collection))]);
                    change(CollectionId::NAMES, &collection.to_key(), Some(to.as_bytes()));
                }
            }
        }
        if !names.is_empty() {
            let (published, settled) = (self.horizon.published(), self.horizon.settled());
            self.edit_view(|view| {
                Some(view.with_names(writer.names.apply(&view.names, lsn, names, published, settled)))
            });
        }
    }

    /// Notes what was found at the ends of a collection, after every change up to `lsn`, which is
    /// the last one that was applied.
    pub(crate) fn narrow(&self, writer: &mut WriterToken, lsn: Lsn, collection: CollectionId, ends: Ends) {
        writer.active.narrow(lsn, collection, ends, self.horizon.published());
    }

    /// Freezes the active memtable and starts a new one. `lsn` is the position of the last change,
    /// and `record_bytes` are the bytes of the memtable's records in the log.
    pub(crate) fn freeze(&self, writer: &mut WriterToken, lsn: Lsn, record_bytes: u64) {
        writer.active = writer.active.successor(lsn, || self.horizon.published());
        let active = Arc::clone(writer.active.memtable());
        self.edit_view(|view| Some(view.with_active_frozen(active, lsn, record_bytes)));
    }

    /// Makes `checkpoint` the checkpoint of the view, unless the view has a newer one. Drops the
    /// frozen memtables whose changes it holds. The position of the checkpoint must be published.
    pub(crate) fn install(&self, checkpoint: Arc<dyn Checkpoint>) {
        debug_assert!(
            self.horizon.published() >= checkpoint.head().lsn,
            "the checkpoint would show unpublished changes"
        );
        self.edit_view(|view| {
            let (new, dropped) = view.with_checkpoint(checkpoint)?;
            dropped.iter().for_each(|frozen| frozen.memtable.count_as_held(&self.held_bytes));
            Some(new)
        });
    }

    /// Goes on from `checkpoint`, which is ahead of every change that was applied, and which holds
    /// collections with these names. Drops all memtables.
    ///
    /// Readers that have loaded the position before find that the view is ahead of it, and start
    /// again until the new position is published.
    pub(crate) fn restart(&self, writer: &mut WriterToken, checkpoint: Arc<dyn Checkpoint>, named: &[NamedCollection]) {
        let position = checkpoint.head().lsn;
        writer.active = memtable::Writer::new(position);
        let names;
        (names, writer.names) = names::Writer::new(named, position);
        let view = ReadView::new(Arc::clone(writer.active.memtable()), Some(checkpoint), names);
        let old = self.view(); // dropped last, since that may take long
        old.memtables().for_each(|memtable| memtable.count_as_held(&self.held_bytes));
        self.edit_view(|_| Some(view));
        self.horizon.publish(position, position);
    }

    /// About how many bytes of memory only snapshots and iterators hold: memtables whose changes a
    /// checkpoint has taken.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Replaces the read view by what `edit` makes of it; `None` leaves it as it is.
    fn edit_view(&self, edit: impl FnOnce(&ReadView) -> Option<ReadView>) {
        let editing = lock(&self.view_edits);
        let new = edit(&self.view.load());
        let old = new.map(|new| self.view.swap(Arc::new(new)));
        drop(editing);
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
        self.view.load().get(collection, key, NEWEST)
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
        self.view.load().get_with(collection, key, NEWEST, read)
    }

    /// The published value of a key.
    pub(crate) fn get(&self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        self.read(name, key, |place| match place {
            Place::Memory(value) => Ok(Some(value.handle())),
            Place::Checkpoint(checkpoint, collection) => checkpoint.get(collection, key),
        })
    }

    /// Calls `read` with the published value of a key. Returns `false` if there is none.
    pub(crate) fn get_with(&self, name: &str, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let found = self.read(name, key, |place| {
            let found = match place {
                Place::Memory(value) => {
                    read(value.bytes());
                    true
                }
                Place::Checkpoint(checkpoint, collection) => checkpoint.get_with(collection, key, read)?,
            };
            Ok(found.then_some(()))
        })?;
        Ok(found.is_some())
    }

    /// Finds where a published key is, and reads it there. Returns `None` if the key is absent. The
    /// [module](self) says why it finds the state at one position.
    fn read<T>(&self, name: &str, key: &[u8], read: impl FnOnce(Place<'_>) -> Result<Option<T>>) -> Result<Option<T>> {
        loop {
            let position = self.horizon.published();
            let view = self.view.load(); // after the position
            if !view.reaches_back_to(position) {
                yield_now(); // the position of the view is about to be published
                continue;
            }
            let Some(collection) = view.names.at(name, position) else { return Ok(None) };
            return match (view.in_memory(collection, key, position), &view.checkpoint) {
                (Some(seen), _) => seen.value.map_or(Ok(None), |value| read(Place::Memory(value))),
                (None, None) => Ok(None),
                (None, Some(checkpoint)) => read(Place::Checkpoint(&**checkpoint, collection)),
            };
        }
    }

    /// The state at the position that is published now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::take(self)
    }

    /// The same, to be kept for as long as the caller likes. If snapshots hold more than `max`
    /// bytes already, it fails whatever it is asked.
    pub(crate) fn snapshot_to_keep(&self, max: u64) -> Snapshot {
        let held_bytes = self.held_bytes();
        if held_bytes > max { Snapshot::refused(self, held_bytes, max) } else { self.snapshot() }
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
    Memory(SeenValue<'a>),
    /// In this checkpoint, in this collection, if it exists.
    Checkpoint(&'a dyn Checkpoint, CollectionId),
}
