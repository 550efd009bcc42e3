//! The engine on a simulated disk, assembled as kv-store does it, but with a recording log in front
//! of its log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kv_core::{Checkpointer, Epoch, Error, Result, Store, StoreOptions, background::Scheduler};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::sim::SimDisk;
use kv_wal::SegmentedLog;

use crate::recording_log::{Commits, Pauses, RecordingLog};

/// Opens a store with frequent checkpoints and small segments.
pub fn open(disk: &SimDisk, commits: &Commits, scheduler: &Arc<dyn Scheduler>, pauses: Pauses) -> Result<Store> {
    let vfs = disk.vfs();
    let io = |error: kv_vfs::Error| Error::from_io(error.operation, error.path, error.source);
    let log = vfs.create_directory("log").map_err(io)?;
    let checkpoints = vfs.create_directory("checkpoints").map_err(io)?;
    vfs.sync_directory().map_err(io)?;
    let checkpointer = MmapCheckpointer::open(checkpoints)?;
    let newest = checkpointer.list()?.first().map_or(0, |id| id.epoch.0);
    let log_options = kv_wal::Options {
        segment_bytes_min: 16 << 10,
        segment_bytes_max: 32 << 10,
        epoch_min: Epoch(newest + 1),
        scheduler: Arc::clone(scheduler),
        ..kv_wal::Options::default()
    };
    let log = SegmentedLog::open(log, log_options)?;
    let options = StoreOptions {
        checkpoint_record_bytes: 6 << 10,
        close_checkpoint_record_bytes: 2 << 10,
        flush_interval: Duration::from_millis(2),
        scheduler: Arc::clone(scheduler),
        ..StoreOptions::default()
    };
    let recording_log = RecordingLog { inner: Arc::new(log), commits: commits.clone(), pauses };
    Store::with_backends(Arc::new(recording_log), Arc::new(checkpointer), options)
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Everything that a store holds.
pub fn content(store: &Store) -> Result<BTreeMap<String, Entries>> {
    let mut content = BTreeMap::new();
    for info in store.collections()? {
        let mut entries = BTreeMap::new();
        for entry in store.collection(&info.name)?.iter() {
            let entry = entry?;
            entries.insert(entry.key.to_vec(), entry.value.to_vec());
        }
        assert_eq!(info.entries, entries.len() as u64);
        content.insert(info.name, entries);
    }
    Ok(content)
}
