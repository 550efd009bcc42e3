//! The state of the log in memory, which its lock protects.

use std::sync::Arc;

use kv_core::{Epoch, Error, FlushStats, Lsn, Result, event};
use kv_vfs::COPIED_BYTES_MAX;

use super::{
    buffer::{Buffer, Unsynced, WrittenBy},
    foreign,
    poison::Poison,
    positions::Positions,
};
use crate::{
    format::{
        frame::{self, Kind, Link, Seal, Start, closed_end, encode_epoch, frame_bytes, start_frame_bytes},
        segment::Header,
    },
    options::Sizes,
    recovery::{LiveSegment, Tail},
    segment_file::{Allocation, Segment},
};

/// The active segment, which takes the next frame.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    /// Where the next frame begins, in bytes from the start of the file.
    pub(crate) end: u64,
    /// Whether this opening filled the segment before it.
    filled_predecessor: bool,
    /// Whether a write to it takes no new space.
    overwrites_in_place: bool,
}

impl Active {
    fn new(segment: Segment, end: u64, filled_predecessor: bool) -> Self {
        let overwrites_in_place = segment.file.is_overwritten_in_place();
        Self { segment: Arc::new(segment), end, filled_predecessor, overwrites_in_place }
    }
}

/// The state that the lock of a [`SegmentedLog`](crate::SegmentedLog) protects.
///
/// Whenever no thread holds the lock, these hold, until the log is poisoned:
///
/// - Of the positions, `trimmed <= durable <= written <= appended`, and `marked <= durable`.
/// - The records after `written` are in the buffer or in the hands of the flush that is under way.
///   The frames in the buffer are in the order of their positions, and the last one ends where
///   `active` does.
/// - `unsynced` lists every segment that was written since the last flush began.
/// - A record gets its position and its place in the buffer under the same lock. So the order of
///   positions is the order of frames, whichever threads append.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) epoch: Epoch,
    pub(crate) sizes: Sizes,
    /// How many bytes of the disk a new segment must leave free.
    pub(crate) kept_bytes: u64,
    /// How many bytes were found to be free since `kept_bytes` last became less.
    pub(crate) found_free: u64,
    /// Whether a segment has taken of these bytes, for records that only delete. Other records must
    /// not use the rest of it.
    pub(crate) uses_reserve: bool,
    /// The live segments, oldest first. The last one is `active`, once this opening has written.
    pub(crate) live: Vec<LiveSegment>,
    /// `None` until the first write of this opening.
    pub(crate) active: Option<Active>,
    /// How the first write of this opening continues the log.
    pub(crate) tail: Tail,
    /// The number of the last live segment whose start frame is durable.
    pub(crate) last_flushed_number: u64,
    /// The preallocated next segment. Nothing was written to it behind its header.
    pub(crate) spare: Option<Segment>,
    /// Whether the job should be woken: a segment was begun since it was last woken.
    pub(crate) wants_spare: bool,
    /// Whether the next segment should be short, because the log holds little.
    pub(crate) wants_short_segment: bool,
    /// Whether the records of the segment before the active one were so long on average that none
    /// of them was copied into a map.
    pub(crate) holds_long_records: bool,
    /// Whether a thread is preparing a spare. No other thread may do so at the same time.
    pub(crate) preparing: bool,
    /// The number of the next segment to be created.
    pub(crate) next_number: u64,
    /// Segments that hold nothing of the log. A trim removes them.
    pub(crate) obsolete: Vec<u64>,
    pub(crate) positions: Arc<Positions>,
    /// Frames that were not yet handed to the kernel.
    pub(crate) buffer: Buffer,
    /// Segments that were written since the last flush began.
    pub(crate) unsynced: Unsynced,
    /// The flushes of this opening.
    pub(crate) flushed: FlushStats,
    /// Whether the mark, the directory and the tail are ready for this opening's writes.
    pub(crate) begun: bool,
    /// Whether a write to the mark takes no new space.
    pub(crate) mark_overwrites_in_place: bool,
    /// Whether the log was closed: it takes no more records.
    pub(crate) closed: bool,
    pub(crate) poison: Poison,
}

impl State {
    /// The last position that was given to a record.
    pub(crate) fn appended(&self) -> Lsn {
        self.positions.appended()
    }

    /// The last position whose record is with the kernel, together with all records before it: they
    /// survive a killed process.
    pub(crate) fn written(&self) -> Lsn {
        self.positions.written()
    }

    /// The last position that survives a power cut.
    pub(crate) fn durable(&self) -> Lsn {
        self.positions.durable()
    }

    /// Fails if the log takes no more records.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.poison.refuse()?;
        if self.closed { Err(Error::Closed) } else { Ok(()) }
    }

    /// Poisons the log if a check found that its directory is no longer its own. Passes any other
    /// outcome on.
    pub(crate) fn poison_if_foreign(&mut self, checked: Result<()>) -> Result<()> {
        match checked {
            Err(cause) if foreign::is_final(&cause) => {
                self.poison.set(cause);
                self.poison.refuse()
            }
            other => other,
        }
    }

    /// Whether the next record fits the active segment.
    pub(crate) fn active_fits(&self, record_bytes: usize) -> bool {
        self.active.as_ref().is_some_and(|active| fits(&active.segment.header, active.end, record_bytes))
    }

    /// Which part of the active segment is used, from 0 to 1. A log that is closed has no use for a
    /// next segment, so that one need not wait for anything either.
    pub(crate) fn used_part(&self) -> f64 {
        match &self.active {
            Some(active) if !self.closed => active.end as f64 / active.segment.header.length as f64,
            _ => 1.0,
        }
    }

    /// Whether writing a record takes no new space, and so cannot fail for lack of it.
    pub(crate) fn overwrites_in_place(&self) -> bool {
        self.mark_overwrites_in_place && self.active.as_ref().is_some_and(|active| active.overwrites_in_place)
    }

    /// Whether the next record fits the spare.
    pub(crate) fn spare_fits(&self, record_bytes: usize) -> bool {
        self.spare.as_ref().is_some_and(|spare| fits(&spare.header, first_record_at(spare.block()), record_bytes))
    }

    /// The length in bytes that a new segment should have. A record of that size fits it.
    pub(crate) fn preferred_length(&self, record_bytes: usize) -> u64 {
        let Sizes { segment_min, segment_max, .. } = self.sizes;
        let usual = match &self.active {
            _ if self.wants_short_segment => segment_min,
            Some(active) if active.filled_predecessor => active.segment.header.length.saturating_mul(2),
            Some(active) => active.segment.header.length,
            None => segment_min,
        };
        usual.clamp(segment_min, segment_max).max(self.shortest_length(record_bytes))
    }

    /// How a new segment should get its space, which is to hold a record of that size.
    pub(crate) fn preferred_allocation(&self, record_bytes: usize) -> Allocation {
        let are_long = self.holds_long_records || record_bytes > COPIED_BYTES_MAX;
        if are_long { Allocation::Reserved } else { Allocation::Zeroed }
    }

    /// The length in bytes of the shortest segment in which a record of that size fits.
    pub(crate) fn shortest_length(&self, record_bytes: usize) -> u64 {
        let Sizes { block, segment_floor, .. } = self.sizes;
        let needed = closed_end(first_record_at(block) + frame_bytes(record_bytes), block) + block;
        needed.max(segment_floor)
    }

    /// Continues in the block behind the seal of the last segment, with a frame that states the new
    /// epoch.
    pub(crate) fn continue_sealed(&mut self, segment: Segment, end: u64) {
        self.begin_segment(segment, end, false);
        if let Some(last) = self.live.last_mut() {
            last.end = None;
        }
        self.push(Kind::Epoch, self.appended(), &encode_epoch(self.epoch));
        self.close_block();
    }

    /// Continues in the spare, which the caller has made sure exists.
    pub(crate) fn roll(&mut self) {
        let Some(spare) = self.spare.take() else { return };
        self.close_block();
        let predecessor = match (&self.active, &self.tail) {
            (Some(Active { segment, end, .. }), _) => {
                Some(Link { number: segment.header.number, identity: segment.header.identity, end: *end })
            }
            (None, Tail::NewSegment(link)) => *link,
            (None, Tail::BehindSeal(_)) => None, // impossible: `begin` continues it
        };
        if let (Some(last), Some(link)) = (self.live.last_mut(), predecessor) {
            last.end = Some(link.end);
            let records = self.positions.appended().0 - last.base.0;
            // A short record that was flushed alone takes little more than one block.
            let longest_short = (COPIED_BYTES_MAX as u64).max(2 * last.block);
            self.holds_long_records = link.end - last.block > records.max(1) * longest_short;
        }
        self.live.push(LiveSegment {
            number: spare.header.number,
            identity: spare.header.identity,
            base: self.appended(),
            block: spare.block(),
            length: spare.header.length,
            end: None,
        });
        event!(
            INFO,
            number = spare.header.number,
            length = spare.header.length,
            allocation = ?spare.allocation,
            "segment begun"
        );
        self.flushed.segments += 1;
        self.flushed.reserved_segments += u64::from(spare.allocation == Some(Allocation::Reserved));
        let (end, filled_predecessor) = (spare.block(), self.active.is_some());
        self.begin_segment(spare, end, filled_predecessor);
        self.wants_short_segment = false;
        self.push(Kind::Start, self.appended(), &Start { epoch: self.epoch, predecessor }.encode());
    }

    fn begin_segment(&mut self, segment: Segment, end: u64, filled_predecessor: bool) {
        self.active = Some(Active::new(segment, end, filled_predecessor));
        self.wants_spare = true;
    }

    /// Puts a record into the buffer and returns its position. The record must fit the active
    /// segment.
    pub(crate) fn push_record(&mut self, record: &[u8]) -> Lsn {
        self.positions.set_appended(self.appended().next());
        self.push(Kind::Record, self.appended(), record);
        self.appended()
    }

    /// Puts the seal into the buffer. Every record must be durable.
    pub(crate) fn push_seal(&mut self) {
        let Some(Active { end, .. }) = &self.active else { return };
        let seal = Seal { epoch: self.epoch, offset: *end };
        self.push(Kind::Seal, self.appended(), &seal.encode());
        self.close_block();
    }

    /// Fills the current block with padding, so that no block is written again once it is flushed.
    pub(crate) fn close_block(&mut self) {
        let Some(Active { segment, end, .. }) = &self.active else { return };
        let gap = closed_end(*end, segment.block()) - end;
        if gap != 0 {
            let zeroes = vec![0; (gap - frame::FRAME_BYTES_MIN) as usize];
            self.push(Kind::Padding, self.appended(), &zeroes);
        }
    }

    fn push(&mut self, kind: Kind, lsn: Lsn, payload: &[u8]) {
        if let Some(active) = &mut self.active {
            self.buffer.push(&active.segment, active.end, kind, lsn, payload);
            active.end += frame_bytes(payload.len());
        }
    }

    /// Hands everything in the buffer to the kernel.
    pub(crate) fn write_out(&mut self, by: WrittenBy) -> Result<()> {
        self.buffer.write(&mut self.unsynced, self.positions.durable(), by)?;
        self.positions.set_written(self.appended());
        Ok(())
    }

    /// Lets go of the files, which nothing writes to any more. Otherwise a reader that outlives the
    /// log would keep the map of a segment, and with it pages in memory that the next opening wants
    /// to read from the disk.
    pub(crate) fn release_files(&mut self) {
        if let (Some(last), Some(active)) = (self.live.last_mut(), self.active.take()) {
            last.end = Some(active.end);
        }
        (self.spare, self.unsynced) = (None, Unsynced::default());
        self.buffer.take();
    }

    /// The number of the last live segment.
    pub(crate) fn last_number(&self) -> u64 {
        self.live.last().map_or(0, |last| last.number)
    }

    /// Where a live segment ends at the moment, in bytes from the start of its file.
    pub(crate) fn end_of(&self, segment: &LiveSegment) -> u64 {
        segment.end.or(self.active.as_ref().map(|active| active.end)).unwrap_or(segment.block)
    }
}

/// Whether a record fits at `end`, with the padding that closes its block and the block of the seal
/// behind it.
fn fits(header: &Header, end: u64, record_bytes: usize) -> bool {
    let block = u64::from(header.block_bytes);
    closed_end(end + frame_bytes(record_bytes), block) + block <= header.length
}

fn first_record_at(block: u64) -> u64 {
    block + start_frame_bytes()
}
