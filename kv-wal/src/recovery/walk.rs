//! Walking the live segments, oldest first. For each: where its frames end, and whether the next
//! segment continues it exactly there. Recovery stops at the first one that is not continued;
//! `verify` goes on if that is damage.

use kv_core::Result;

use super::{
    inventory::Inventory,
    scanner::{Scanner, SegmentEnd},
};

/// A live segment whose frames were read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkedSegment {
    /// Its index among the live segments.
    pub(crate) at: usize,
    pub(crate) end: SegmentEnd,
    /// Whether the next live segment continues it exactly where it ends. Always `false` for the
    /// last one.
    pub(crate) continued: bool,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    /// How many live segments belong to the log, counted from the oldest.
    pub(crate) segments: usize,
    /// Where the last of them ends.
    pub(crate) end: SegmentEnd,
}

impl WalkedSegment {
    /// The end of the log, if the log ends with this segment.
    pub(crate) fn as_log_end(&self) -> LogEnd {
        LogEnd { segments: self.at + 1, end: self.end }
    }
}

impl Inventory<'_> {
    /// Reads the live segments from index `from` on, one at each step.
    pub(crate) fn walk(&self, from: usize) -> impl Iterator<Item = Result<WalkedSegment>> {
        (from..self.live.segments.len()).map(|at| self.read_frames(at))
    }

    fn read_frames(&self, at: usize) -> Result<WalkedSegment> {
        let found = self.live_segment(at);
        // Whatever lies beyond the place where the next segment continues is void.
        let next = self.live.segments.get(at + 1).and_then(|next| self.segments[*next].start);
        let link = next.and_then(|start| Some((start.predecessor?.end, start.base)));
        let limit = link.map_or(found.header.length, |(end, _)| end);
        let end = Scanner::new(&found.open(self.vfs)?, limit)?.end()?;
        Ok(WalkedSegment { at, end, continued: end.bad.is_none() && link == Some((end.offset, end.last)) })
    }

    /// Finds where the log ends. Reads every live segment that may hold a record which no start
    /// frame proves durable, oldest first.
    pub(crate) fn find_end(&self) -> Result<LogEnd> {
        for walked in self.walk(self.first_unproven()) {
            let walked = walked?;
            if !walked.continued {
                return Ok(walked.as_log_end());
            }
        }
        Ok(self.end_without_live_segments())
    }

    /// The end of a log without live segments: it is empty, or everything is lost.
    pub(crate) fn end_without_live_segments(&self) -> LogEnd {
        let offset = self.segments.first().map_or(0, |first| u64::from(first.header.block_bytes));
        let end = SegmentEnd { offset, last: Default::default(), epoch: Default::default(), bad: None, sealed: false };
        LogEnd { segments: 0, end }
    }

    /// The index of the first live segment that may hold a record which no start frame proves
    /// durable.
    ///
    /// Only start frames of live segments count here, not the mark. The mark may refer to segments
    /// that are not live because their start frame is damaged, which shows only where the live ones
    /// end.
    pub(crate) fn first_unproven(&self) -> usize {
        let starts: Vec<_> = self.live.segments.iter().filter_map(|at| self.segments[*at].start).collect();
        let proven = starts.iter().map(|start| start.watermark).max().unwrap_or_default();
        starts.iter().skip(1).take_while(|next| next.base <= proven).count()
    }
}
