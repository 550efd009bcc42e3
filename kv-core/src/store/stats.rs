use super::Shared;
use crate::{Bounds, CheckpointId, LogId, Lsn, collections::ReadView, sync::lock};

/// Where a store stands. The figures are taken one after the other, so they are of about the same
/// moment. Taking them waits for no write and no flush of a store, but for the log while it begins to
/// write or is sealed.
///
/// ```
/// # use std::sync::Arc;
/// # use kv_core::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};
/// # let store = Store::open(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), StoreOptions::default())?;
/// store.collection("users")?.put("alice", "Alice Liddell")?;
/// let stats = store.stats();
/// assert_eq!((stats.memory_entries, stats.checkpoint_entries), (1, 0));
/// store.checkpoint()?; // moves what was in memory to a file
/// let stats = store.stats();
/// assert_eq!((stats.memory_entries, stats.checkpoint_entries), (0, 1));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The log's identity.
    pub log_id: LogId,
    /// Where the log stands.
    pub log: Bounds,
    /// About how many bytes of its medium the log takes since the checkpoint.
    pub log_medium_bytes: u64,
    /// The position up to which readers see.
    pub published: Lsn,
    /// The newest checkpoint.
    pub checkpoint: Option<CheckpointId>,
    /// How many entries the newest checkpoint holds.
    pub checkpoint_entries: u64,
    /// The bytes of the keys and values in the newest checkpoint.
    pub checkpoint_bytes: u64,
    /// How many keys in memory have changed since the checkpoint.
    pub memory_entries: u64,
    /// About how many bytes of memory those take.
    pub memory_bytes: u64,
    /// Why the last checkpoint was not finished, if it was not: what writing it met, a panic, or
    /// that the job which should have made it is dead.
    pub checkpoint_error: Option<String>,
}

impl Shared {
    pub(super) fn stats(&self) -> Stats {
        let view = self.collections.view();
        let (checkpoint_entries, checkpoint_bytes) = checkpoint_size(&view);
        Stats {
            log_id: self.log.id(),
            log: self.log.bounds(),
            log_medium_bytes: self.log.medium_bytes_after(view.checkpoint_lsn()),
            published: self.collections.horizon().published(),
            checkpoint: view.checkpoint_id(),
            checkpoint_entries,
            checkpoint_bytes,
            memory_entries: view.memtables().map(|memtable| memtable.entries() as u64).sum(),
            memory_bytes: view.memtables().map(|memtable| memtable.bytes() as u64).sum(),
            checkpoint_error: lock(&self.checkpoint_error).clone(),
        }
    }
}

fn checkpoint_size(view: &ReadView) -> (u64, u64) {
    let collections = view.checkpoint.iter().flat_map(|checkpoint| &checkpoint.head().collections);
    collections.fold((0, 0), |(entries, bytes), info| (entries + info.entries, bytes + info.bytes))
}
