use std::{fmt, sync::Arc};

use kv_core::{
    BATCH_BYTES_MAX, Epoch,
    background::{Scheduler, Threads},
};

use crate::format::{frame::PAYLOAD_BYTES_MAX, segment::BLOCKS_MIN};

/// The smallest segment size that is used, in bytes, whatever the options say.
pub(crate) const SEGMENT_BYTES_FLOOR: u64 = 16 << 10;

/// How a log is opened and sized. This is plain data; sizes out of range are clamped.
#[derive(Clone)]
pub struct Options {
    /// Whether to create a log where there is none. If `false`, opening fails with
    /// [`NotFound`](std::io::ErrorKind::NotFound). On by default; turn it off where a log must
    /// exist already.
    pub create: bool,
    /// The size that segment files grow to, in bytes: at least 16 KiB and four disk blocks. A
    /// record that is too large for that gets a segment that is large enough for it. The log is
    /// trimmed in whole segments, so this should be a small part of the size that the log is
    /// allowed to reach. 64 MiB by default.
    pub segment_bytes_max: u64,
    /// The size of the first segment file, in bytes; at most `segment_bytes_max`. Each time an
    /// opening fills a segment, the next one is twice as large. Where the disk lacks the room for a
    /// segment, a smaller one is made, down to 16 KiB and four disk blocks. 1 MiB by default.
    pub segment_bytes_min: u64,
    /// The largest record that `append` accepts, in bytes; at most 2 GiB less one byte. A larger
    /// one fails with [`BatchTooLarge`](kv_core::Error::BatchTooLarge). Slightly more than the
    /// engine's largest batch ([`BATCH_BYTES_MAX`]) by default. Applies to new records only: older
    /// ones stay readable.
    pub record_bytes_max: usize,
    /// How many bytes may wait in memory to be written. An append that would exceed this flushes
    /// first. 32 MiB by default.
    pub buffered_bytes_max: usize,
    /// Whether short records that wait for no flush are written through a map of the segment
    /// instead of by a system call each. Has an effect on ext4 and XFS only, and on segments that
    /// this opening makes after its first write. If a page of the segment was evicted from memory
    /// and the disk cannot read it, or if XFS has shut down after an error, the process then ends
    /// with SIGBUS; without maps the append returns an error. On by default.
    pub map_segments: bool,
    /// A lower bound for this opening's epoch; at most 2^62. The epoch is also above every epoch
    /// found in the log. 1 by default.
    pub epoch_min: Epoch,
    /// Runs the job that prepares the next segment in the background. By default in a thread.
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
            map_segments: true,
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
            .field("map_segments", &self.map_segments)
            .field("epoch_min", &self.epoch_min)
            .finish_non_exhaustive()
    }
}

/// The options as sizes in bytes, adjusted to the disk's block size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) block: u64,
    /// The shortest segment that is made where there is little room.
    pub(crate) segment_floor: u64,
    pub(crate) segment_min: u64,
    pub(crate) segment_max: u64,
    pub(crate) record_max: usize,
    pub(crate) buffered_max: usize,
}

impl Options {
    /// The sizes for a disk that overwrites in blocks of that many bytes.
    pub(crate) fn sizes(&self, block_bytes: u32) -> Sizes {
        let block = u64::from(block_bytes);
        let floor = SEGMENT_BYTES_FLOOR.max(BLOCKS_MIN * block);
        let whole_blocks = |bytes: u64| (bytes / block * block).max(floor).min(1 << 40);
        let segment_max = whole_blocks(self.segment_bytes_max);
        Sizes {
            block,
            segment_floor: whole_blocks(0),
            segment_min: whole_blocks(self.segment_bytes_min).min(segment_max),
            segment_max,
            record_max: self.record_bytes_max.min(PAYLOAD_BYTES_MAX),
            buffered_max: self.buffered_bytes_max,
        }
    }
}
