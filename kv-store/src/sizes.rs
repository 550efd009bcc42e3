//! Fits the thresholds of a store, and the segments of its log, to the size of the disk.

use kv_core::StoreOptions;
use kv_vfs::Vfs;

/// No threshold is above this part of the disk. The log goes back to the older of two checkpoints,
/// so with what is written during a checkpoint it may take up to three thresholds. The rest is for
/// the checkpoints: two that are kept and a new one.
const DISK_PART: u64 = 16;
/// A segment is at most this part of the size at which the log causes a checkpoint: the log is
/// trimmed in whole segments, and one or two of them are always in use.
const SEGMENTS: u64 = 8;

/// Options that suit a disk.
pub(crate) struct Sized {
    pub(crate) log: kv_wal::Options,
    pub(crate) store: StoreOptions,
}

/// These options, with thresholds that suit the disk. If the file system does not say how large it
/// is, the thresholds are taken as they are.
pub(crate) fn sized(vfs: &dyn Vfs, log: &kv_wal::Options, store: &StoreOptions) -> Sized {
    // Some file systems report a size of 0 for one that they do not know.
    let total = vfs.space().map_or(0, |space| space.total);
    let threshold_max = if total == 0 { u64::MAX } else { (total / DISK_PART).max(1) };
    let capped = |threshold: u64| if threshold == u64::MAX { threshold } else { threshold.min(threshold_max) };
    let store = StoreOptions {
        checkpoint_record_bytes: capped(store.checkpoint_record_bytes),
        checkpoint_medium_bytes: capped(store.checkpoint_medium_bytes),
        close_checkpoint_record_bytes: capped(store.close_checkpoint_record_bytes),
        ..store.clone()
    };
    let segment_bytes_max = log.segment_bytes_max.min(store.checkpoint_medium_bytes / SEGMENTS);
    Sized { log: kv_wal::Options { segment_bytes_max, ..log.clone() }, store }
}
