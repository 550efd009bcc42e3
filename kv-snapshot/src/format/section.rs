//! A record of the directory of a part. The layout is described in [`part`](super::part).

use kv_core::{CollectionId, Lsn};
use kv_vfs::little_endian::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};

use super::{
    block::{ALIGN_BYTES, BLOCK_BYTES},
    entry::ENTRY_BYTES_MIN,
    index::{ANCHOR_BYTES, ANCHOR_ENTRIES, GROUP_BYTES, LANES, OffsetWidth},
};
use crate::error::DecodeError;

/// The size of a record of the directory, in bytes.
pub(crate) const SECTION_BYTES: usize = 96;

/// A record of the directory: where a collection lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) id: CollectionId,
    pub(crate) common_bytes: usize,
    /// The number of entries, including tombstones.
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    /// The bytes of the keys and values of all puts.
    pub(crate) bytes: u64,
    pub(crate) entries_offset: u64,
    pub(crate) entries_end: u64,
    pub(crate) anchors_offset: u64,
    pub(crate) groups_offset: u64,
    pub(crate) groups: u64,
    pub(crate) homes: u64,
    pub(crate) offset_width: OffsetWidth,
}

impl Section {
    pub(crate) fn encode(&self) -> [u8; SECTION_BYTES] {
        let mut record = [0; SECTION_BYTES];
        put_u64(&mut record, 0, self.id.lsn.0);
        put_u32(&mut record, 8, self.id.index);
        put_u16(&mut record, 12, self.common_bytes as u16);
        put_u64(&mut record, 16, self.entries);
        put_u64(&mut record, 24, self.tombstones);
        put_u64(&mut record, 32, self.bytes);
        put_u64(&mut record, 40, self.entries_offset);
        put_u64(&mut record, 48, self.entries_end);
        put_u64(&mut record, 56, self.anchors_offset);
        put_u64(&mut record, 64, self.groups_offset);
        put_u64(&mut record, 72, self.groups);
        put_u64(&mut record, 80, self.homes);
        put_u64(&mut record, 88, self.offset_width.bytes());
        record
    }

    /// Decodes a record. Everything that it points to must lie before `end`, the offset at which
    /// the directory begins.
    pub(crate) fn decode(record: &[u8; SECTION_BYTES], end: u64) -> Result<Self, DecodeError> {
        let flags = get_u16(record, 14);
        if flags != 0 {
            return Err(DecodeError::newer(format!(
                "a collection has flags {flags:#x}, which this software does not know"
            )));
        }
        let (entries_offset, entries_end) = (get_u64(record, 40), get_u64(record, 48));
        let section = Self {
            id: CollectionId { lsn: Lsn(get_u64(record, 0)), index: get_u32(record, 8) },
            common_bytes: get_u16(record, 12).into(),
            entries: get_u64(record, 16),
            tombstones: get_u64(record, 24),
            bytes: get_u64(record, 32),
            entries_offset,
            entries_end,
            anchors_offset: get_u64(record, 56),
            groups_offset: get_u64(record, 64),
            groups: get_u64(record, 72),
            homes: get_u64(record, 80),
            offset_width: OffsetWidth::for_offsets_below(entries_end.saturating_sub(entries_offset)),
        };
        if get_u64(record, 88) != section.offset_width.bytes() {
            return Err(DecodeError::damaged(88, "a record of the directory states a wrong width of offsets"));
        }
        let lies_within = section.lies_within(end);
        lies_within
            .then_some(section)
            .ok_or_else(|| DecodeError::damaged(0, "a record of the directory points outside the data"))
    }

    fn lies_within(&self, end: u64) -> bool {
        let fits = |offset: u64, count: u64, each: u64| {
            let last = count.checked_mul(each).and_then(|bytes| bytes.checked_add(offset));
            offset.is_multiple_of(ALIGN_BYTES) && last.is_some_and(|last| last <= end)
        };
        let span = self.entries_end.checked_sub(self.entries_offset);
        self.entries_offset >= BLOCK_BYTES as u64
            && self.entries_end <= end
            && span.is_some_and(|bytes| bytes / ENTRY_BYTES_MIN >= self.entries)
            && self.tombstones <= self.entries
            && fits(self.anchors_offset, self.anchors(), ANCHOR_BYTES)
            && fits(self.groups_offset, self.groups, GROUP_BYTES)
            && fits(self.offsets_offset(), self.groups, LANES as u64 * self.offset_width.bytes())
            && self.homes <= self.groups
            && (self.homes > 0 || self.entries == 0)
    }

    /// Where the array of the entries' offsets begins. The groups must lie within the file.
    #[inline]
    pub(crate) fn offsets_offset(&self) -> u64 {
        (self.groups_offset + self.groups * GROUP_BYTES).next_multiple_of(ALIGN_BYTES)
    }

    /// Where the group with this number begins and ends. There must be one.
    #[inline]
    pub(crate) fn group(&self, number: u64) -> (u64, u64) {
        let start = self.groups_offset + number * GROUP_BYTES;
        (start, start + GROUP_BYTES)
    }

    /// Where the offset of the entry in a lane of a group begins and ends.
    #[inline]
    pub(crate) fn offset_of(&self, group: u64, lane: u64) -> (u64, u64) {
        let width = self.offset_width.bytes();
        let start = self.offsets_offset() + (group * LANES as u64 + lane) * width;
        (start, start + width)
    }

    /// The offset of an entry, from what [`offset_of`](Self::offset_of) is the place of.
    #[inline]
    pub(crate) fn entry_offset(&self, bytes: &[u8]) -> u64 {
        self.entries_offset.saturating_add(self.offset_width.decode(bytes))
    }

    /// The number of anchors.
    pub(crate) fn anchors(&self) -> u64 {
        self.entries.div_ceil(ANCHOR_ENTRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(span: u64) -> Section {
        Section {
            id: CollectionId { lsn: Lsn(7), index: 3 },
            common_bytes: 2,
            entries: 40,
            tombstones: 40,
            bytes: 0,
            entries_offset: 4096,
            entries_end: 4096 + span,
            anchors_offset: 1 << 40,
            groups_offset: (1 << 40) + 64,
            groups: 5,
            homes: 4,
            offset_width: OffsetWidth::for_offsets_below(span),
        }
    }

    /// The end of what the record points to: 5 groups, and 75 offsets from the next line on.
    fn end_of(section: &Section) -> u64 {
        (1 << 40) + 64 + 192 + 75 * section.offset_width.bytes()
    }

    fn is_damaged(section: &Section, end: u64) -> bool {
        matches!(Section::decode(&section.encode(), end), Err(DecodeError::Damaged { .. }))
    }

    #[test]
    fn a_record_is_decoded_if_everything_lies_before_the_directory() {
        for span in [160, 1 << 32, (1 << 32) + 1] {
            let section = section(span);
            let end = end_of(&section);
            assert_eq!(Section::decode(&section.encode(), end), Ok(section));
            assert!(is_damaged(&section, end - 1));
        }
    }

    #[test]
    fn a_record_that_contradicts_itself_is_damaged() {
        let good = section(160);
        let changes: [fn(&mut Section); 14] = [
            |s| s.entries = 41, // each takes at least 4 bytes
            |s| s.tombstones = 41,
            |s| s.entries_offset = 4095,
            |s| s.entries_end = s.entries_offset - 1,
            |s| s.entries_end = 1 << 41,
            |s| s.anchors_offset += 16,
            |s| s.anchors_offset = 1 << 41,
            |s| s.groups_offset += 32,
            |s| s.groups_offset = u64::MAX - 63,
            |s| s.groups = u64::MAX / 32,
            |s| s.groups = u64::MAX,
            |s| s.homes = 6,
            |s| s.homes = 0,
            |s| s.offset_width = OffsetWidth::Six,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = good;
            change(&mut changed);
            assert!(is_damaged(&changed, end_of(&good)), "change {number}");
        }
    }
}
