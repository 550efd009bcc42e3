//! Going through the live segments, oldest first: each with where its frames end, and whether the
//! next one continues it exactly there. Recovery stops at the first that does not; verification
//! goes on to the last.

use kv_core::Result;

use super::{
    inventory::Inventory,
    scanner::{Scanner, SegmentEnd},
};

/// A live segment whose frames were read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkedSegment {
    /// Which of the live segments it is, from 0.
    pub(crate) at: usize,
    pub(crate) end: SegmentEnd,
    /// Whether the next live segment continues it where it ends. That of the last one is never so.
    pub(crate) continued: bool,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    /// How many of the live segments, from the oldest on, belong to the log.
    pub(crate) segments: usize,
    /// Where the last of them ends.
    pub(crate) end: SegmentEnd,
}

impl WalkedSegment {
    /// The log's end, if it ends here.
    pub(crate) fn as_log_end(&self) -> LogEnd {
        LogEnd { segments: self.at + 1, end: self.end }
    }
}

impl Inventory<'_> {
    /// Reads the live segments from the `from`th on, one with each step.
    pub(crate) fn walk(&self, from: usize) -> impl Iterator<Item = Result<WalkedSegment>> {
        (from..self.live.segments.len()).map(|at| self.read_frames(at))
    }

    fn read_frames(&self, at: usize) -> Result<WalkedSegment> {
        let found = self.live_segment(at);
        // What the next segment does not continue is void, whatever it is.
        let next = self.live.segments.get(at + 1).and_then(|next| self.segments[*next].start);
        let link = next.and_then(|start| Some((start.predecessor?.end, start.base)));
        let limit = link.map_or(found.header.length, |(end, _)| end);
        let end = Scanner::new(&found.open(self.vfs)?, limit)?.end()?;
        Ok(WalkedSegment { at, end, continued: end.bad.is_none() && link == Some((end.offset, end.last)) })
    }

    /// Reads every live segment that may hold a position which no start frame proves durable,
    /// oldest first, up to where the log ends.
    pub(crate) fn find_end(&self) -> Result<LogEnd> {
        for walked in self.walk(self.first_unproven()) {
            let walked = walked?;
            if !walked.continued {
                return Ok(walked.as_log_end());
            }
        }
        Ok(self.end_without_live_segments())
    }

    /// The end of a log without a live segment: it is empty, or all of it is lost.
    pub(crate) fn end_without_live_segments(&self) -> LogEnd {
        let offset = self.segments.first().map_or(0, |first| u64::from(first.header.block_bytes));
        let end = SegmentEnd { offset, last: Default::default(), epoch: Default::default(), bad: None, sealed: false };
        LogEnd { segments: 0, end }
    }

    /// The first live segment that may hold something which no start frame proves durable.
    ///
    /// Only the live segments' start frames count here, not the mark. The mark may speak of
    /// segments that are not live because their start frame is damaged, and that shows only where
    /// the live ones end.
    pub(crate) fn first_unproven(&self) -> usize {
        let starts: Vec<_> = self.live.segments.iter().filter_map(|at| self.segments[*at].start).collect();
        let proven = starts.iter().map(|start| start.watermark).max().unwrap_or_default();
        starts.iter().skip(1).take_while(|next| next.base <= proven).count()
    }
}
