//! Finding the end of a log that was closed, by its seal, without reading what precedes the seal.
//!
//! A seal proves what precedes it. Whether anything was written after it must be proven by
//! something that is *there*: a lost write leaves zeroes, exactly as no write does. So each opening
//! makes a mark with its own epoch durable, in both slots, before its first record is written; and
//! a clean close syncs the mark once more. A seal counts if the mark names its epoch and no later
//! one. The mark says nothing if a power cut tore both slots or if the file is lost. Then a seal
//! counts only if the whole rest of the log is unused.
//!
//! That is enough for any single fault. The space next to the seal is checked in any case: this
//! costs one read, and shows later records even if a disk lost both the mark and the first block
//! behind the seal.
//!
//! A seal that does not count is not an error. The log is then walked and classified as after a
//! kill.

use kv_core::Result;

use super::{inventory::Inventory, scanner::SegmentEnd, walk::LogEnd};
use crate::{
    format::{
        frame::{self, FrameHeader, Kind, Seal},
        zeroes::is_zero,
    },
    segment_file::{Segment, read_up_to},
};

/// How many bytes are checked in any case, both behind the seal in its segment and in each later
/// segment.
const NEAR_BYTES: u64 = 256 << 10;

impl Inventory<'_> {
    /// The end of the log, if it ends with a seal that counts.
    pub(crate) fn clean_shutdown(&self) -> Result<Option<LogEnd>> {
        let (Some(last), None) = (self.live.segments.last(), self.live.broken_link) else { return Ok(None) };
        let found = &self.segments[*last];
        let segment = found.open(self.vfs)?;
        if last_seal(&segment)?.is_none() {
            return Ok(None);
        }
        // A failed flush of the seal may have left it in memory only. Only the disk counts.
        segment.file.sync_data().and_then(|()| segment.file.drop_cache())?;
        let Some(seal) = last_seal(&segment)? else { return Ok(None) };
        // A seal below the segment's first position does not belong to these frames, even with a
        // valid checksum.
        let is_of_segment = found.start.is_some_and(|start| start.base <= seal.last);
        if is_of_segment && self.nothing_follows(*last, &segment, &seal)? {
            return Ok(Some(LogEnd { segments: self.live.segments.len(), end: seal }));
        }
        Ok(None)
    }

    fn nothing_follows(&self, last: usize, segment: &Segment, seal: &SegmentEnd) -> Result<bool> {
        match self.mark {
            Some(mark) if mark.epoch > seal.epoch || mark.durable > seal.last => Ok(false),
            Some(mark) if mark.epoch == seal.epoch => self.is_unused_behind(last, segment, seal.offset, NEAR_BYTES),
            _ => self.is_unused_behind(last, segment, seal.offset, u64::MAX),
        }
    }

    fn is_unused_behind(&self, last: usize, segment: &Segment, end: u64, bytes: u64) -> Result<bool> {
        if !segment.is_unused(end, bytes)? {
            return Ok(false);
        }
        for found in &self.segments[last + 1..] {
            let later = found.open(self.vfs)?;
            if !later.is_unused(later.block(), bytes)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn last_seal(segment: &Segment) -> Result<Option<SegmentEnd>> {
    decode(segment, last_used_block(segment)?)
}

/// The last block that is used, found by binary search, if the blocks are used in order. If they
/// are not, some used block that a zero block follows.
fn last_used_block(segment: &Segment) -> Result<u64> {
    let (mut used, mut unused) = (1, segment.header.length / segment.block());
    while unused - used > 1 {
        let middle = used + (unused - used) / 2;
        if is_zero(&read_block(segment, middle)?) {
            unused = middle;
        } else {
            used = middle;
        }
    }
    Ok(used)
}

/// Decodes the block as a seal: a seal that states this very block, and the padding that fills the
/// block, both valid.
fn decode(segment: &Segment, block: u64) -> Result<Option<SegmentEnd>> {
    let bytes = read_block(segment, block)?;
    let identity = segment.header.identity;
    let Some((seal, payload, rest)) = split_frame(&bytes, identity) else { return Ok(None) };
    let Some((padding, _, [])) = split_frame(rest, identity) else { return Ok(None) };
    let (Ok(Kind::Seal), Ok(Kind::Padding), Some(stated)) = (seal.kind(), padding.kind(), Seal::decode(payload)) else {
        return Ok(None);
    };
    let Seal { epoch, offset } = stated;
    let is_here = offset == block * segment.block() && seal.is_of(epoch);
    let end = offset.saturating_add(segment.block());
    Ok(is_here.then_some(SegmentEnd { offset: end, last: seal.lsn, epoch, bad: None, sealed: true }))
}

fn split_frame(bytes: &[u8], identity: u64) -> Option<(FrameHeader, &[u8], &[u8])> {
    let header = FrameHeader::decode(bytes, identity)?;
    let (frame, rest) = bytes.split_at_checked(header.frame_bytes() as usize)?;
    Some((header, frame::payload(&header, frame, identity)?, rest))
}

/// Reads the block with that number. Shorter, or empty, if the file ends before the block does.
fn read_block(segment: &Segment, block: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; segment.block() as usize];
    let len = read_up_to(&*segment.file, &mut bytes, block * segment.block())?;
    bytes.truncate(len);
    Ok(bytes)
}
