use std::fmt;

use super::Shared;
use crate::{Bounds, CheckpointId, LogId, Lsn, collections::ReadView, sync::lock};

/// Positions and sizes of a store. Displays as one line.
///
/// The figures are taken one after the other, so they are only of about the same moment. Taking
/// them does not wait for a write or a flush, but it does wait while the log makes its first write
/// or is sealed.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// store.collection("users")?.put("alice", "Alice Liddell")?;
/// let stats = store.stats();
/// assert_eq!((stats.memory_entries, stats.checkpoint_entries), (1, 0));
/// assert!(stats.to_string().starts_with("published up to position 1"));
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
    /// The positions that the log has reached.
    pub log: Bounds,
    /// About how many bytes of the medium the log has taken since the newest checkpoint.
    pub log_medium_bytes: u64,
    /// The published position: readers see every write up to it.
    pub published: Lsn,
    /// The newest checkpoint.
    pub checkpoint: Option<CheckpointId>,
    /// How many entries the newest checkpoint holds.
    pub checkpoint_entries: u64,
    /// The bytes of the keys and values in the newest checkpoint.
    pub checkpoint_bytes: u64,
    /// How many keys have changed since the newest checkpoint. Their changes are in memory.
    pub memory_entries: u64,
    /// About how many bytes of memory those changes take.
    pub memory_bytes: u64,
    /// Why the last attempt at a checkpoint failed: an error, a panic, or a dead background job.
    /// `None` if it succeeded.
    pub checkpoint_error: Option<String>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { trimmed, durable, appended, .. } = self.log;
        write!(f, "published up to position {}; ", self.published)?;
        match self.checkpoint {
            Some(id) => write!(
                f,
                "checkpoint at position {}: {} entries, {} bytes; ",
                id.lsn, self.checkpoint_entries, self.checkpoint_bytes
            )?,
            None => f.write_str("no checkpoint; ")?,
        }
        write!(f, "changed since: {} entries, {} bytes of memory; ", self.memory_entries, self.memory_bytes)?;
        write!(f, "log: trimmed up to {trimmed}, durable up to {durable}, appended up to {appended}, ")?;
        write!(f, "{} bytes since the checkpoint", self.log_medium_bytes)?;
        match &self.checkpoint_error {
            Some(error) => write!(f, "; the last checkpoint failed: {error}"),
            None => Ok(()),
        }
    }
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
