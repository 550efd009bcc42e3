use std::{fmt, sync::Arc};

use kv_core::{
    BATCH_BYTES_MAX, Epoch,
    background::{Scheduler, Threads},
};

use crate::format::{frame::PAYLOAD_BYTES_MAX, segment::BLOCKS_MIN};

/// The smallest segment that can be asked for, in bytes.
pub(crate) const SEGMENT_BYTES_FLOOR: u64 = 16 << 10;

/// How a log is kept. Plain data; values out of range are moved into it.
#[derive(Clone)]
pub struct Options {
    /// Whether to create a log where there is none. Yes by default; whoever knows that there must be one says no.
    pub create: bool,
    /// The size of a segment's file that segments grow to, in bytes: at least 16 KiB and four blocks of the disk. A record that is
    /// larger gets a segment made to measure. 64 MiB by default.
    pub segment_bytes_max: u64,
    /// The size of the first segment's file in bytes, never above `segment_bytes_max`. Each further one that an opening fills has twice the size
    /// of the one before. 1 MiB by default.
    pub segment_bytes_min: u64,
    /// The largest record that is taken, in bytes; at most 2 GiB less one byte. By default somewhat more than the largest batch of the
    /// engine ([`BATCH_BYTES_MAX`]). Binds new records only.
    pub record_bytes_max: usize,
    /// How many bytes may wait in memory to be written; an append that would exceed them writes and flushes first. 32 MiB by default.
    pub buffered_bytes_max: usize,
    /// The opening's epoch is at least this, and above every epoch found in the log.
    pub epoch_min: Epoch,
    /// What prepares the next segment in the background. A thread by default.
    pub scheduler: Arc<dyn Scheduler>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            segment_bytes_max: 64 << 20,
            segment_bytes_min: 1 << 20,
            record_bytes_max: BATCH_BYTES_MAX + (1 << 20),
            buffered_bytes_max: 32 << 20,
            epoch_min: Epoch(1),
            scheduler: Threads::shared(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("create", &self.create)
            .field("segment_bytes_max", &self.segment_bytes_max)
            .field("segment_bytes_min", &self.segment_bytes_min)
            .field("record_bytes_max", &self.record_bytes_max)
            .field("buffered_bytes_max", &self.buffered_bytes_max)
            .field("epoch_min", &self.epoch_min)
            .finish_non_exhaustive()
    }
}

/// The sizes that hold on a disk with blocks of a certain size, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) block: u64,
    pub(crate) segment_min: u64,
    pub(crate) segment_max: u64,
    pub(crate) record_max: usize,
    pub(crate) buffered_max: usize,
}

impl Options {
    pub(crate) fn sizes(&self, block_bytes: u32) -> Sizes {
        let block = u64::from(block_bytes);
        let floor = SEGMENT_BYTES_FLOOR.max(BLOCKS_MIN * block);
        let whole_blocks = |bytes: u64| (bytes / block * block).max(floor).min(1 << 40);
        let segment_max = whole_blocks(self.segment_bytes_max);
        Sizes {
            block,
            segment_min: whole_blocks(self.segment_bytes_min).min(segment_max),
            segment_max,
            record_max: self.record_bytes_max.min(PAYLOAD_BYTES_MAX),
            buffered_max: self.buffered_bytes_max,
        }
    }
}
