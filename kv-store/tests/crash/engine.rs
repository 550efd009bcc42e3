//! The engine on a simulated disk, and whether it holds what it should.

use kv_store::{LogOptions, Options, Reader, Result, Store, StoreOptions};
use kv_testkit::{ManualScheduler, Model, sim::SimDisk};
use kv_vfs::Vfs;
use std::{sync::Arc, time::Duration};

use crate::gate::{Gate, gated};

/// A store with small segments, whose background work runs only on demand.
pub struct Engine {
    pub store: Store,
    pub scheduler: ManualScheduler,
}

/// The sizes of segments in bytes: the first one, and the largest.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    first: u64,
    largest: u64,
}

impl Sizes {
    pub const SMALL: Self = Self::blocks(4, 4);

    pub const fn blocks(first: u64, largest: u64) -> Self {
        Self { first: first * 4096, largest: largest * 4096 }
    }
}

impl Engine {
    pub fn open(disk: &SimDisk) -> Result<Self> {
        Self::open_with(disk, Sizes::SMALL, &Gate::default())
    }

    /// With checkpoints that are read in this way.
    pub fn open_reading(disk: &SimDisk, reader: Reader) -> Result<Self> {
        Self::open_vfs(disk.vfs(), Sizes::SMALL, reader)
    }

    /// The same, on any file layer.
    pub fn open_in(vfs: Arc<dyn Vfs>) -> Result<Self> {
        Self::open_vfs(vfs, Sizes::SMALL, Reader::Mapped)
    }

    /// With segments of these sizes, and checkpoints that pass the gate.
    pub fn open_with(disk: &SimDisk, sizes: Sizes, gate: &Gate) -> Result<Self> {
        Self::open_vfs(gated(disk.vfs(), gate.clone())?, sizes, Reader::Mapped)
    }

    fn open_vfs(vfs: Arc<dyn Vfs>, sizes: Sizes, reader: Reader) -> Result<Self> {
        let scheduler = ManualScheduler::new();
        let log = LogOptions {
            segment_bytes_min: sizes.first,
            segment_bytes_max: sizes.largest,
            scheduler: Arc::new(scheduler.clone()),
            ..LogOptions::default()
        };
        let store = StoreOptions {
            close_checkpoint_record_bytes: u64::MAX,
            // The jobs run only when the campaign runs them, so writers must not wait for them.
            slow_thresholds: u32::MAX,
            wait_thresholds: u32::MAX,
            room_wait: Duration::ZERO,
            scheduler: Arc::new(scheduler.clone()),
            ..StoreOptions::default()
        };
        let store = Options { store, log, reader, ..Options::default() }.open_in(vfs)?;
        Ok(Self { store, scheduler })
    }
}

/// How the store's content differs from the model; `None` if it does not. Every value is read in
/// both ways, in order and by its key.
pub fn difference(store: &Store, model: &Model) -> Result<Option<String>> {
    let names = store.collections()?.into_iter().map(|info| info.name);
    if !names.eq(model.collections().keys().cloned()) {
        return Ok(Some("the names of the collections differ".to_owned()));
    }
    for (name, entries) in model.collections() {
        let collection = store.collection(name)?;
        if collection.len()? != entries.len() as u64 {
            return Ok(Some(format!("{name} reports {} entries, not {}", collection.len()?, entries.len())));
        }
        let mut expected = entries.iter();
        for entry in collection.iter() {
            let entry = entry?;
            if !expected.next().is_some_and(|(key, value)| *key == *entry.key && *value == *entry.value) {
                return Ok(Some(format!("{name} has another entry at {:?}", &*entry.key)));
            }
        }
        if let Some((key, _)) = expected.next() {
            return Ok(Some(format!("{name} ends before {key:?}")));
        }
        for (key, value) in entries {
            if collection.get_with(key, |found| found == &value[..])? != Some(true) {
                return Ok(Some(format!("{name} answers for {key:?} what it does not list")));
            }
        }
    }
    Ok(None)
}
