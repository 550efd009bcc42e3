//! Reading ahead, for cursors over a part that is not mapped.

use std::ops::Range;

use bytes::Bytes;
use kv_core::{Result, Value};

use super::{
    blocks::BLOCK_SHIFT,
    part::{Entry, Part},
    piece,
    unmapped::{READ_BLOCKS, Unmapped},
};
use crate::format::{entry::HEADER_BYTES_MAX, part::Section};

/// The factor by which each read of a cursor is longer than the one before, up to [`READ_BLOCKS`].
const GROWTH: u64 = 4;

/// The blocks around the entry that a cursor stands on. A cursor goes through a whole part, so it
/// reads past the cache, in pieces that become longer the further it goes.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    buffer: Bytes,
    /// Where the buffer begins in the file.
    start: u64,
    /// The number of blocks that the next read reads.
    blocks: u64,
    /// Whether the last read went towards the start of the file.
    backwards: bool,
    /// The blocks that may be read without being asked for.
    bounds: Range<u64>,
}

impl Ahead {
    /// For the entries in a range of the file.
    pub(crate) fn new(entries: Range<u64>) -> Self {
        let bounds = entries.start >> BLOCK_SHIFT..(entries.end.saturating_sub(1) >> BLOCK_SHIFT) + 1;
        Self { buffer: Bytes::new(), start: 0, blocks: 1, backwards: false, bounds }
    }

    /// The entry at the start of `known`, which is not longer than the entry. It is verified with
    /// its value, and in the buffer.
    pub(crate) fn entry(
        &mut self,
        from: &Unmapped,
        part: &Part,
        section: &Section,
        known: Range<u64>,
    ) -> Result<Entry> {
        let offset = known.start;
        let longest = offset.saturating_add(HEADER_BYTES_MAX as u64).min(section.entries_end);
        if offset < section.entries_offset || offset >= section.entries_end {
            return Err(part.outside(offset));
        }
        // A header that ends within its block must not fail because the next block is damaged.
        self.cover(from, part, known)?;
        let in_block = part.decode_entry(section, offset, self.bytes(offset..longest.min(self.end())))?;
        let entry = match in_block {
            Some(entry) => entry,
            None => {
                self.cover(from, part, offset..longest)?;
                let decoded = part.decode_entry(section, offset, self.bytes(offset..longest))?;
                decoded.ok_or_else(|| part.outside(offset))?
            }
        };
        self.cover(from, part, offset..entry.end())?;
        Ok(entry)
    }

    /// The entry at `offset`, if its header and key are in the buffer.
    pub(crate) fn peek(&self, part: &Part, section: &Section, offset: u64) -> Result<Option<Entry>> {
        let longest = offset.saturating_add(HEADER_BYTES_MAX as u64).min(section.entries_end);
        let entry = part.decode_entry(section, offset, self.bytes(offset..longest.min(self.end())))?;
        Ok(entry.filter(|entry| entry.key_range().end as u64 <= self.end()))
    }

    /// Bytes of the current entry.
    pub(crate) fn bytes(&self, range: Range<u64>) -> &[u8] {
        self.place(range).and_then(|place| self.buffer.get(place)).unwrap_or_default()
    }

    pub(crate) fn handle(&self, range: Range<u64>) -> Value {
        self.place(range).map_or_else(Value::default, |place| piece::handle(&self.buffer, place))
    }

    fn place(&self, range: Range<u64>) -> Option<Range<usize>> {
        Some(range.start.checked_sub(self.start)? as usize..range.end.checked_sub(self.start)? as usize)
    }

    fn end(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// Reads what is needed for a range, unless the buffer has it.
    fn cover(&mut self, from: &Unmapped, part: &Part, range: Range<u64>) -> Result<()> {
        if self.start <= range.start && range.end <= self.end() {
            return Ok(());
        }
        let needed = range.start >> BLOCK_SHIFT..((range.end - 1) >> BLOCK_SHIFT) + 1;
        let mut wanted = needed.clone();
        let backwards = range.start < self.start;
        if backwards != self.backwards {
            // It may be taken from both ends in turn. Then nothing that is read ahead is used.
            self.blocks = 1;
        }
        self.backwards = backwards;
        if backwards {
            wanted.start = needed.start.min(needed.end.saturating_sub(self.blocks).max(self.bounds.start));
        } else {
            wanted.end = needed.end.max((needed.start + self.blocks).min(self.bounds.end));
        }
        let (first, buffer) = part.blocks().read_some(from, &wanted, &needed)?;
        // Where something is wrong nearby, what is read ahead would be read again and again.
        let is_whole = buffer.len() as u64 == (wanted.end - wanted.start) << BLOCK_SHIFT;
        self.blocks = if is_whole { (self.blocks * GROWTH).min(READ_BLOCKS) } else { 1 };
        (self.start, self.buffer) = (first << BLOCK_SHIFT, buffer);
        Ok(())
    }
}
