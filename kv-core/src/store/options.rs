use std::{fmt, sync::Arc, time::Duration};

use super::space::Space;
use crate::{
    Durability, Limits, Owner,
    background::{Scheduler, Threads},
};

/// How a [`Store`](crate::Store) behaves. This is plain data: change the fields that should differ
/// from the default.
///
/// ```
/// use std::time::Duration;
/// use kv_core::{Durability, StoreOptions};
///
/// let options = StoreOptions {
///     durability: Durability::Process,
///     flush_interval: Duration::from_millis(20), // a power cut takes about this much
///     ..StoreOptions::default()
/// };
/// ```
///
/// For a store that makes checkpoints only when [`checkpoint`](crate::Store::checkpoint) is called,
/// set all thresholds out of reach. Writes are still flushed in the background, but only the size
/// of the disk bounds the log, memory and the time to open: a write that finds no room makes a
/// checkpoint, and so does one that finds 8 GiB of changes in memory.
///
/// ```
/// use kv_core::StoreOptions;
///
/// let options = StoreOptions {
///     checkpoint_record_bytes: u64::MAX,
///     checkpoint_medium_bytes: u64::MAX,
///     close_checkpoint_record_bytes: u64::MAX,
///     ..StoreOptions::default()
/// };
/// ```
#[derive(Clone)]
pub struct StoreOptions {
    /// What an acknowledged write survives, unless the write says otherwise. Default:
    /// [`Durability::Disk`].
    pub durability: Durability,
    /// How large names, keys, values and batches of new writes may be, and how many collections
    /// there may be.
    pub limits: Limits,
    /// The threshold of memory. When the changes since the last checkpoint take this many bytes, of
    /// records in the log or of memory, a background checkpoint writes them out. Meanwhile writes
    /// go on in a new memtable. Default: 32 MiB.
    pub checkpoint_record_bytes: u64,
    /// Writes are slowed down when changes of more than this many thresholds wait for a checkpoint.
    /// Default: 2.
    pub slow_thresholds: u32,
    /// Writes wait when changes of this many thresholds wait for a checkpoint. So this bounds
    /// memory, and what the next opening has to replay. 0 counts as 1, since nothing could be
    /// written otherwise. Default: 4.
    pub wait_thresholds: u32,
    /// Writes are slowed down when more than this many small parts of the newest checkpoint wait to
    /// be merged. Default: 8.
    pub slow_unmerged_parts: usize,
    /// How many bytes of memory [snapshots](crate::Store::snapshot) and iterators may hold that
    /// nothing else needs. Above it, each read of a new snapshot, and each new iterator of a
    /// collection, fails with [`SnapshotsHoldTooMuch`](crate::Error::SnapshotsHoldTooMuch), until
    /// old ones are dropped: then take another one. It may be exceeded by what is in memory when it
    /// is reached, and by what comes until the next checkpoint begins. Default: 512 MiB.
    pub snapshot_bytes_max: u64,
    /// How long a write waits for a checkpoint before it fails with
    /// [`Busy`](crate::Error::Busy), if checkpoints do not fail. Default: 30 s.
    pub room_wait: Duration,
    /// How long [`close`](crate::Store::close) waits for writes, flushes and checkpoints before it
    /// fails with [`StillClosing`](crate::Error::StillClosing). Default: 120 s.
    pub close_wait: Duration,
    /// How long the store has to be left alone before merging goes on for the sake of reads.
    /// Default: 5 s.
    pub rest_interval: Duration,
    /// A background checkpoint is also due when the log has grown on its medium by about this many
    /// bytes since the last attempt began, because small synced records take far more than their
    /// own length. Default: 256 MiB.
    pub checkpoint_medium_bytes: u64,
    /// On close, a checkpoint is made if something was written since opening, and records of this
    /// many bytes in total have been logged since the last attempt (or the log has grown as above).
    /// Default: 8 MiB.
    pub close_checkpoint_record_bytes: u64,
    /// How long a write with [`Durability::Process`] may wait until its flush begins. Default: 100
    /// ms. A power cut takes the writes of about this interval, and those made while a flush runs.
    pub flush_interval: Duration,
    /// Whether a background job reads and verifies the whole checkpoint after opening, so that
    /// later reads find it in memory. Opening does not wait for it. Default: `false`, so that a
    /// block is read and verified when it is needed for the first time.
    pub warm: bool,
    /// At this rate a background job reads and verifies the newest checkpoint again and again, to
    /// find damage while the older checkpoint and the log can still heal it. Default: 0, never.
    pub patrol_bytes_per_second: u64,
    /// Runs the background jobs. It must run all of them. Default: a thread for each job.
    pub scheduler: Arc<dyn Scheduler>,
    /// Says whether this process may write, and holds what that right depends on, such as the lock
    /// on a directory. Default: none, which suits a medium that no other process can reach, such as
    /// memory.
    pub owner: Option<Arc<dyn Owner>>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            limits: Limits::default(),
            checkpoint_record_bytes: 32 << 20,
            slow_thresholds: 2,
            wait_thresholds: 4,
            slow_unmerged_parts: 8,
            snapshot_bytes_max: 512 << 20,
            room_wait: Duration::from_secs(30),
            close_wait: Duration::from_secs(120),
            rest_interval: Duration::from_secs(5),
            checkpoint_medium_bytes: 256 << 20,
            close_checkpoint_record_bytes: 8 << 20,
            flush_interval: Duration::from_millis(100),
            warm: false,
            patrol_bytes_per_second: 0,
            scheduler: Threads::shared(),
            owner: None,
        }
    }
}

impl StoreOptions {
    /// How many bytes of the medium the store keeps free for the next checkpoint and for deletions,
    /// at least. Background work of a backend should leave them free, too.
    pub fn kept_bytes(&self) -> u64 {
        Space::new(self).kept(0)
    }

    /// How many bytes of the medium even a merge of everything should leave free: what deletions
    /// need meanwhile.
    pub fn kept_bytes_when_merging(&self) -> u64 {
        Space::new(self).kept_when_merging()
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("durability", &self.durability)
            .field("limits", &self.limits)
            .field("checkpoint_record_bytes", &self.checkpoint_record_bytes)
            .field("slow_thresholds", &self.slow_thresholds)
            .field("wait_thresholds", &self.wait_thresholds)
            .field("slow_unmerged_parts", &self.slow_unmerged_parts)
            .field("snapshot_bytes_max", &self.snapshot_bytes_max)
            .field("room_wait", &self.room_wait)
            .field("close_wait", &self.close_wait)
            .field("rest_interval", &self.rest_interval)
            .field("checkpoint_medium_bytes", &self.checkpoint_medium_bytes)
            .field("close_checkpoint_record_bytes", &self.close_checkpoint_record_bytes)
            .field("flush_interval", &self.flush_interval)
            .field("warm", &self.warm)
            .field("patrol_bytes_per_second", &self.patrol_bytes_per_second)
            .finish_non_exhaustive()
    }
}
