//! The mapping of mappings in memory: every collection as the tail of a log over a checkpoint.
//!
//! Memory is *memtables*. All changes since the last checkpoint are in the active one; a checkpoint freezes it and starts another, and
//! when the checkpoint is there the frozen ones are dropped whole. So nothing is evicted entry by entry. Readers work on a [`ReadView`] of
//! active memtable, frozen one and checkpoint, and see versions up to the published position. There is one writer at a time; it
//! waits for no reader, and readers take no lock but that of the shard they read.
//!
//! This module knows nothing of the log: the store appends first and applies after that.

mod entries;
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
    sync::{Arc, Weak},
};

pub use entries::{Entries, Entry};
pub(crate) use horizon::Horizon;
pub(crate) use memtable::Changed;
use names::Names;
pub(crate) use read_view::ReadView;
pub(crate) use snapshot::{Snapshot, prefix_bounds};
use writer::Superseded;
pub(crate) use writer::WriterToken;

use crate::{Checkpoint, CollectionId, Lsn, Owner, Result, Value, operation::Operation, sync::ArcSwap};

/// At this position everything is seen that was applied, published or not. For the writer only.
const NEWEST: Lsn = Lsn(u64::MAX);

/// All collections.
pub(crate) struct Collections {
    pub(crate) names: Names,
    view: ArcSwap<ReadView>,
    horizon: Horizon,
    /// Not kept alive: what was read outlives the store.
    pub(crate) owner: Option<Weak<dyn Owner>>,
}

impl Collections {
    /// The collections that `checkpoint` holds, or none; and the token of their one writer.
    pub(crate) fn new(checkpoint: Option<Arc<dyn Checkpoint>>) -> (Self, WriterToken) {
        let head = checkpoint.as_ref().map(|checkpoint| checkpoint.head());
        let position = head.map_or(Lsn::START, |head| head.lsn);
        let names = Names::of(head.map_or(&[], |head| &head.collections));
        let view = ArcSwap::from_pointee(ReadView::new(checkpoint));
        let collections = Self { names, view, horizon: Horizon::default(), owner: None };
        collections.horizon.publish(position, position);
        (collections, WriterToken::new())
    }

    pub(crate) fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// The view of this moment, to be kept.
    pub(crate) fn view(&self) -> Arc<ReadView> {
        self.view.load_full()
    }

    /// Applies the changes at `lsn`. For the writer only, after they were logged.
    pub(crate) fn apply<'a>(
        &self,
        writer: &mut WriterToken,
        lsn: Lsn,
        operations: impl Iterator<Item = Operation<'a>>,
    ) {
        let visible = self.horizon.visible();
        let view = self.view.load();
        // What each name stands for in the end: a reader who has looked up a name in between would take that for the state at this position.
        let mut names = BTreeMap::new();
        for (index, operation) in (0..).zip(operations) {
            let mut change = |collection, key, value| {
                if let Some(key) = view.active.apply(writer, lsn, collection, key, value, &visible) {
                    writer.superseded.push(lsn, collection, key);
                }
                writer.superseded.prune(&view.active, &visible);
            };
            match operation {
                Operation::Put { collection, key, value } => change(collection, key, Some(value)),
                Operation::Delete { collection, key } => change(collection, key, None),
                Operation::Create { name } => drop(names.insert(name, Some(CollectionId { lsn, index }))),
                Operation::Drop { collection: _, name } => drop(names.insert(name, None)),
                Operation::Rename { collection, from, to } => names.extend([(from, None), (to, Some(collection))]),
            }
        }
        for (name, id) in names {
            self.names.apply(writer, lsn, name, id, &visible);
        }
    }

    /// Freezes the active memtable and starts another. For the writer only, when nothing is frozen.
    pub(crate) fn freeze(&self, writer: &mut WriterToken) {
        writer.superseded = Superseded::default(); // a frozen memtable is dropped whole
        self.view.store(Arc::new(self.view.load().with_active_frozen()));
    }

    /// Puts `checkpoint` in the place of the frozen memtable, which it holds. Its position must have been published. Not to be called
    /// together with [`freeze`](Collections::freeze).
    pub(crate) fn checkpointed(&self, checkpoint: Arc<dyn Checkpoint>) {
        debug_assert!(self.horizon.published() >= checkpoint.head().lsn, "nobody may see what is not published");
        self.view.store(Arc::new(self.view.load().with_checkpoint(checkpoint)));
    }

    /// The value of a key after everything that was applied, and the position that this rests on.
    /// For the writer only.
    pub(crate) fn get_newest(
        &self,
        _writer: &WriterToken,
        collection: CollectionId,
        key: &[u8],
    ) -> Result<(Lsn, Option<Value>)> {
        self.view.load().get(collection, key, || NEWEST)
    }

    /// Calls `read` with the value of a key after everything that was applied; `false` if there is
    /// none. Returns the position that this rests on, too. For the writer only.
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

    /// Calls `read` with the published value of a key; `false` if there is none.
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

    /// Reads a published key from where it is; `None` if it is nowhere.
    ///
    /// The name and the key are looked up one after the other, and have to be of one position all the same: else what a record put into a collection
    /// could be seen under the name that this same record took from it. So what has been seen by either must be no newer than `known`, a
    /// position that was published before both: then it has been so ever since. Something newer is looked up again.
    fn read<T>(&self, name: &str, key: &[u8], read: impl FnOnce(Place<'_>) -> Result<Option<T>>) -> Result<Option<T>> {
        let published = || self.horizon.published();
        loop {
            let known = published();
            let Some(collection) = self.names.at(name, published) else { return Ok(None) };
            let view = self.view.load(); // after the position: it has everything up to there
            match (view.in_memory(collection, key, published), &view.checkpoint) {
                (Some((lsn, value)), _) if lsn <= known => {
                    return value.map_or(Ok(None), |value| read(Place::Memory(value)));
                }
                (None, None) => return Ok(None),
                (None, Some(checkpoint)) if checkpoint.id().lsn <= known => {
                    return read(Place::Checkpoint(&**checkpoint, collection));
                }
                _ => {}
            }
        }
    }

    /// Everything as it is published now.
    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        Snapshot::take(self)
    }
}

/// Where a key may be.
enum Place<'a> {
    /// In memory: this is its value.
    Memory(Value),
    /// In the checkpoint, in that collection, or nowhere.
    Checkpoint(&'a dyn Checkpoint, CollectionId),
}
