use std::{fmt, time::Duration};

use super::Shared;
use crate::{Bounds, CheckpointId, CheckpointStats, FlushStats, LogId, Lsn, ReadCacheStats, sync::lock};

/// Positions and sizes of a store. Displays as one line.
///
/// The figures are taken one after the other, so they are only of about the same moment. Taking
/// them waits for no flush, but it does wait while the log hands a record to the kernel, makes its
/// first write or is sealed.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// store.collection("users")?.put("alice", "Alice Liddell")?;
/// let stats = store.stats();
/// assert_eq!((stats.memory_entries, stats.checkpoint_size.entries), (1, 0));
/// assert!(stats.to_string().starts_with("published up to position 1"));
/// store.checkpoint()?; // moves what was in memory to a file
/// let stats = store.stats();
/// assert_eq!((stats.memory_entries, stats.checkpoint_size.entries), (0, 2)); // alice, and the name of the collection
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
    /// What the log has flushed since it was opened, how large the groups were, and what waits.
    pub flushes: FlushStats,
    /// How long a write holds the writer's lock, in which it is logged and applied: the mean of one
    /// in 64 since the store was opened. `None` if there were fewer writes.
    pub lock_held: Option<Duration>,
    /// The published position: readers see every write up to it.
    pub published: Lsn,
    /// The newest checkpoint.
    pub checkpoint: Option<CheckpointId>,
    /// What the newest checkpoint takes on its medium.
    pub checkpoint_size: CheckpointStats,
    /// The cache through which checkpoints are read; `None` if they are read in place.
    pub read_cache: Option<ReadCacheStats>,
    /// The bytes of removed files of checkpoints that values, iterators and snapshots still read.
    /// The disk has their space back once those are dropped. [Short
    /// values](crate::Value::COPIED_BYTES_MAX) keep nothing.
    pub removed_bytes: u64,
    /// How many keys have changed since the newest checkpoint. Their changes are in memory. A key
    /// that has changed before and after a freeze counts twice.
    pub memory_entries: u64,
    /// About how many bytes of memory those changes take.
    pub memory_bytes: u64,
    /// About how many bytes of memory only snapshots and iterators hold, because a checkpoint has
    /// taken the changes that they read. [`StoreOptions::snapshot_bytes_max`] limits them.
    ///
    /// [`StoreOptions::snapshot_bytes_max`]: crate::StoreOptions::snapshot_bytes_max
    pub snapshot_bytes: u64,
    /// How many memtables are frozen and wait for a checkpoint.
    pub frozen_memtables: usize,
    /// The bytes of changes that wait for a checkpoint, as [`StoreOptions`](crate::StoreOptions)
    /// counts them against its thresholds.
    pub unwritten_bytes: u64,
    /// From this many unwritten bytes on, writes are slowed down.
    pub slow_bytes: u64,
    /// From this many unwritten bytes on, writes wait.
    pub wait_bytes: u64,
    /// How many [pins](crate::Pin) there are.
    pub pins: usize,
    /// The lowest position that is pinned. The log is not trimmed beyond it.
    pub pinned: Option<Lsn>,
    /// Why the last attempt at a checkpoint failed: an error, a panic, or a dead background job.
    /// `None` if it succeeded.
    pub checkpoint_error: Option<String>,
    /// Why the last attempt at merging parts failed; `None` if it succeeded.
    pub merge_error: Option<String>,
    /// Damage that a read has met in a checkpoint. No checkpoint is removed and the log is not
    /// trimmed until the store is opened again, which heals the damage if something that remains
    /// can heal it.
    pub damage: Option<String>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { trimmed, durable, appended, .. } = self.log;
        write!(f, "published up to position {}; ", self.published)?;
        match self.checkpoint {
            Some(id) => write!(
                f,
                "checkpoint at position {}: {} entries, {} bytes, parts: {}; ",
                id.lsn, self.checkpoint_size.entries, self.checkpoint_size.bytes, self.checkpoint_size.parts
            )?,
            None => f.write_str("no checkpoint; ")?,
        }
        if let Some(ReadCacheStats { limit, bytes, hits, misses }) = self.read_cache {
            write!(f, "read through a cache: {bytes} of {limit} bytes, {hits} hits, {misses} misses; ")?;
        }
        if self.removed_bytes > 0 {
            write!(f, "{} bytes of removed files are still read; ", self.removed_bytes)?;
        }
        if self.snapshot_bytes > 0 {
            write!(f, "snapshots hold {} bytes of old memory; ", self.snapshot_bytes)?;
        }
        write!(f, "changed since: {} entries, {} bytes of memory; ", self.memory_entries, self.memory_bytes)?;
        write!(f, "log: trimmed up to {trimmed}, durable up to {durable}, appended up to {appended}, ")?;
        write!(f, "{} bytes since the checkpoint", self.log_medium_bytes)?;
        let FlushStats { flushes, records, largest_group, time, longest, .. } = self.flushes;
        if flushes > 0 {
            let mean = time.div_f64(flushes as f64);
            write!(f, ", {flushes} flushes of {records} records, of {largest_group} at most, ")?;
            write!(f, "took {mean:.1?} on average and {longest:.1?} at most")?;
        }
        if let Some(held) = self.lock_held {
            write!(f, "; a write holds the writer's lock for {held:.1?} on average")?;
        }
        if self.frozen_memtables > 0 {
            write!(f, "; {} bytes of changes wait for a checkpoint", self.unwritten_bytes)?;
        }
        if let Some(pinned) = self.pinned {
            write!(f, "; kept for {} pins: everything after position {pinned}", self.pins)?;
        }
        let troubles = [
            ("the last checkpoint failed", &self.checkpoint_error),
            ("the last merge failed", &self.merge_error),
            ("nothing is removed before the next opening, because a read met damage", &self.damage),
        ];
        for (trouble, cause) in troubles {
            if let Some(cause) = cause {
                write!(f, "; {trouble}: {cause}")?;
            }
        }
        Ok(())
    }
}

impl Shared {
    pub(super) fn stats(&self) -> Stats {
        let view = self.collections.view();
        let threshold = self.options.checkpoint_record_bytes;
        Stats {
            log_id: self.log.id(),
            log: self.log.bounds(),
            log_medium_bytes: self.log.medium_bytes_after(view.checkpoint_lsn()),
            flushes: self.log.flush_stats(),
            lock_held: self.held.mean(),
            published: self.collections.horizon().published(),
            checkpoint: view.checkpoint_id(),
            checkpoint_size: view.checkpoint_stats,
            read_cache: self.checkpointer.read_cache(),
            removed_bytes: self.checkpointer.removed_bytes(),
            memory_entries: view.memtables().map(|memtable| memtable.entries() as u64).sum(),
            memory_bytes: view.memtables().map(|memtable| memtable.bytes()).sum(),
            snapshot_bytes: self.collections.held_bytes(),
            frozen_memtables: view.frozen.len(),
            unwritten_bytes: view.unwritten_bytes(),
            slow_bytes: threshold.saturating_mul(self.options.slow_thresholds.into()),
            wait_bytes: threshold.saturating_mul(self.options.wait_thresholds.into()),
            pins: self.pins.count(),
            pinned: self.pins.lowest(),
            checkpoint_error: self.room.failure(),
            merge_error: lock(&self.merge_error).clone(),
            damage: self.checkpointer.damage().map(|damage| damage.chain()),
        }
    }
}
