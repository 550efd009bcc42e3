//! The mapping of mappings in memory: every collection as the tail of a log over a checkpoint.
//!
//! Memory is *generations*. All changes since the last checkpoint are in the active one; a checkpoint freezes it and starts another, and
//! when the checkpoint is there the frozen ones are dropped whole. So nothing is evicted entry by entry. Readers work on a [`View`] of
//! active generation, frozen one and checkpoint, and see versions up to the published position. There is one writer at a time; it
//! waits for no reader, and readers take no lock but that of the shard they read.
//!
//! This module knows nothing of the log: the store appends first and applies after that.

mod entries;
mod generation;
mod horizon;
#[cfg(all(test, loom))]
mod loom_tests;
mod names;
mod snapshot;
mod versions;
mod view;

use std::{collections::VecDeque, sync::Arc};

pub use entries::{Entries, Entry};
pub(crate) use generation::Changed;
use generation::Found;
pub(crate) use horizon::Horizon;
use names::Names;
pub(crate) use snapshot::Snapshot;
pub(crate) use view::View;

use crate::{Checkpoint, CollectionId, Lsn, Result, Value, operation::Operation, sync::ArcSwap};

/// All collections.
pub(crate) struct Collections {
    pub(crate) names: Names,
    view: ArcSwap<View>,
    horizon: Horizon,
}

/// What only the writer has: the keys that hold older versions, in the order in which those were superseded.
#[derive(Debug, Default)]
pub(crate) struct Superseded(VecDeque<(Lsn, CollectionId, Value)>);

impl Collections {
    /// The state of a checkpoint, or nothing.
    pub(crate) fn new(checkpoint: Option<Arc<dyn Checkpoint>>) -> Self {
        let head = checkpoint.as_ref().map(|checkpoint| checkpoint.head());
        let position = head.map_or(Lsn::START, |head| head.lsn);
        let names = Names::of(head.map_or(&[], |head| &head.collections));
        let collections =
            Self { names, view: ArcSwap::from_pointee(View::new(checkpoint)), horizon: Horizon::default() };
        collections.horizon.publish(position);
        collections
    }

    pub(crate) fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// The view of this moment, to be kept.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Applies the change at `lsn`. For the writer only, after it was logged.
    pub(crate) fn apply(&self, lsn: Lsn, index: u32, operation: &Operation<'_>, superseded: &mut Superseded) {
        let oldest_visible = self.horizon.oldest_visible();
        let mut change = |collection, key, value| {
            let active = &self.view.load().active;
            if let Some(key) = active.apply(lsn, collection, key, value, oldest_visible) {
                superseded.0.push_back((lsn, collection, key));
            }
        };
        match *operation {
            Operation::Put { collection, key, value } => change(collection, key, Some(value)),
            Operation::Delete { collection, key } => change(collection, key, None),
            Operation::Create { name } => {
                self.names.apply(lsn, name, Some(CollectionId { lsn, index }), oldest_visible);
            }
            Operation::Drop { collection: _, name } => self.names.apply(lsn, name, None, oldest_visible),
        }
    }

    /// Drops superseded versions that nobody can see any more. For the writer only.
    pub(crate) fn prune(&self, superseded: &mut Superseded) {
        if superseded.0.is_empty() {
            return;
        }
        let oldest_visible = self.horizon.oldest_visible();
        let view = self.view.load();
        while superseded.0.front().is_some_and(|&(lsn, ..)| lsn <= oldest_visible) {
            if let Some((_, collection, key)) = superseded.0.pop_front() {
                view.active.prune(collection, &key, oldest_visible);
            }
        }
    }

    /// Freezes the active generation and starts another. For the writer only, when nothing is frozen.
    pub(crate) fn freeze(&self, superseded: &mut Superseded) {
        superseded.0.clear(); // a frozen generation is dropped whole
        self.view.store(Arc::new(self.view.load().with_active_frozen()));
    }

    /// Puts `checkpoint` in the place of the frozen generation, which it holds. Its position must have been published. Not to be called
    /// together with [`freeze`](Collections::freeze).
    pub(crate) fn checkpointed(&self, checkpoint: Arc<dyn Checkpoint>) {
        debug_assert!(self.horizon.published() >= checkpoint.head().lsn, "nobody may see what is not published");
        self.view.store(Arc::new(self.view.load().with_checkpoint(checkpoint)));
    }

    /// Whether the key holds a value after everything that was applied. For the writer only.
    pub(crate) fn holds_newest(&self, collection: CollectionId, key: &[u8]) -> Result<bool> {
        self.view.load().holds_newest(collection, key)
    }

    /// The value of a key after everything that was applied. For the writer only.
    pub(crate) fn get_newest(&self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        match self.names.newest(name) {
            Some(collection) => self.view.load().get_newest(collection, key),
            None => Ok(None),
        }
    }

    /// The published value of a key.
    pub(crate) fn get(&self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        let view = self.view.load();
        let Some(collection) = self.names.at(name, || self.horizon.published()) else { return Ok(None) };
        match view.in_memory(collection, key, || self.horizon.published()) {
            Found::Value(value) => Ok(Some(value)),
            Found::Deleted => Ok(None),
            Found::Nothing => match &view.checkpoint {
                Some(checkpoint) => checkpoint.get(collection, key),
                None => Ok(None),
            },
        }
    }

    /// Calls `read` with the published value of a key; `false` if there is none.
    pub(crate) fn get_with(&self, name: &str, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let view = self.view.load();
        let Some(collection) = self.names.at(name, || self.horizon.published()) else { return Ok(false) };
        match view.in_memory(collection, key, || self.horizon.published()) {
            Found::Value(value) => {
                read(&value);
                Ok(true)
            }
            Found::Deleted => Ok(false),
            Found::Nothing => view.in_checkpoint(collection, key, read),
        }
    }

    /// Everything as it is published now.
    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        Snapshot::take(self)
    }
}
