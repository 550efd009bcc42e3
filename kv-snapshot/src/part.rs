//! Reads a part in place.

use std::{cmp::Ordering, ops::Range};

use bytes::Bytes;
use kv_core::{CollectionId, Error, Result, Value};
use kv_vfs::{Access, Vfs};

use crate::{
    blocks::Blocks,
    fault::{Fault, from_vfs},
    format::{
        self, ANCHOR_BYTES, ANCHOR_ENTRIES, BLOCK_BYTES, Block, EMPTY_SLOT, ENTRY_HEADER_BYTES, EntryHeader, Footer,
        Header, SECTION_BYTES, SLOT_BYTES, Section,
    },
    part_writer::Summary,
    stripes::Stripes,
    tree::Tree,
};

/// A part, mapped.
#[derive(Debug)]
pub(crate) struct Part {
    header: Header,
    footer: Footer,
    digest: u128,
    blocks: Blocks,
    stripes: Stripes,
    sections: Vec<Section>,
}

/// Where an entry lies. Its header and key have been verified, its value has not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    offset: u64,
    lengths: EntryHeader,
}

impl Entry {
    fn key_start(self) -> u64 {
        self.offset + ENTRY_HEADER_BYTES as u64
    }

    fn value_start(self) -> u64 {
        self.key_start() + self.lengths.key_bytes as u64
    }

    /// Where the next one begins.
    pub(crate) fn end(self) -> u64 {
        self.offset + self.lengths.bytes()
    }

    pub(crate) fn offset(self) -> u64 {
        self.offset
    }

    pub(crate) fn key_range(self) -> Range<usize> {
        self.key_start() as usize..self.value_start() as usize
    }

    pub(crate) fn value_range(self) -> Range<usize> {
        self.value_start() as usize..self.end() as usize
    }
}

impl Part {
    /// Opens a part: verifies header, footer and directory, and nothing else.
    pub(crate) fn open(vfs: &dyn Vfs, name: &str) -> Result<Self> {
        let file = vfs.open(name, Access::Read).map_err(from_vfs)?;
        let path = vfs.path().join(name);
        let map = file.map().map_err(from_vfs)?;
        let (header, footer, digest) = Self::open_ends(&map).map_err(|fault| fault.at(&path, 0))?;
        let tree = Tree::new(footer.blocks_covered);
        let stripes = Stripes::new(&map);
        let blocks = Blocks::new(path, map, header.seed(), tree, footer.root);
        let mut part = Self { header, footer, digest, blocks, stripes, sections: Vec::new() };
        part.sections = part.read_directory()?;
        Ok(part)
    }

    /// Judges the first and the last block of a file.
    fn open_ends(map: &Bytes) -> Result<(Header, Footer, u128), Fault> {
        let first: &Block =
            map.first_chunk().ok_or_else(|| Fault::damaged(0, "the file is cut: there is no header"))?;
        let header = Header::decode(first)?;
        let length = map.len();
        if !length.is_multiple_of(BLOCK_BYTES) {
            return Err(Fault::damaged(length as u64, "the file is cut: it ends within a block"));
        }
        let footer_offset = length - BLOCK_BYTES;
        let in_footer = |detail: &str| Fault::damaged(footer_offset as u64, detail);
        let last: &Block = map.last_chunk().ok_or_else(|| in_footer("there is no footer"))?;
        let footer = Footer::decode(last, header.seed()).map_err(|fault| match fault {
            Fault::Damaged { offset, detail } => Fault::damaged(footer_offset as u64 + offset, detail),
            other_version => other_version,
        })?;
        let blocks = (length / BLOCK_BYTES) as u64;
        let sound = footer.identity == header.identity
            && footer.blocks == blocks
            && (1..blocks).contains(&footer.blocks_covered)
            && Tree::new(footer.blocks_covered).end() + 1 == blocks;
        if !sound {
            return Err(in_footer("the footer is not of this file"));
        }
        Ok((header, footer, format::digest(first, last)))
    }

    fn read_directory(&self) -> Result<Vec<Section>> {
        let start = self.footer.directory_offset;
        let end = self.footer.collections.checked_mul(SECTION_BYTES as u64).and_then(|bytes| bytes.checked_add(start));
        let covered_end = self.footer.blocks_covered * BLOCK_BYTES as u64;
        let Some(end) = end.filter(|end| *end <= covered_end) else {
            let footer = self.blocks.map().len() - BLOCK_BYTES;
            return Err(Error::corrupt(self.blocks.file(), footer as u64, "the directory reaches beyond the data"));
        };
        let mut sections: Vec<Section> = Vec::with_capacity((end - start) as usize / SECTION_BYTES);
        let records = self.blocks.bytes(start, end)?;
        for (record, offset) in records.as_chunks().0.iter().zip((start..).step_by(SECTION_BYTES)) {
            let section = Section::decode(record, start).map_err(|fault| fault.at(self.blocks.file(), offset))?;
            if sections.last().is_some_and(|last| last.id >= section.id) {
                return Err(Error::corrupt(self.blocks.file(), offset, "the directory is not in order"));
            }
            sections.push(section);
        }
        Ok(sections)
    }

    pub(crate) fn header(&self) -> Header {
        self.header
    }

    pub(crate) fn footer(&self) -> Footer {
        self.footer
    }

    pub(crate) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// What pins this part.
    pub(crate) fn summary(&self) -> Summary {
        Summary { bytes: self.blocks.map().len() as u64, identity: self.header.identity, digest: self.digest }
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub(crate) fn section(&self, id: CollectionId) -> Option<&Section> {
        let at = self.sections.binary_search_by_key(&id, |section| section.id).ok()?;
        self.sections.get(at)
    }

    /// The entry of a key, through the hash index.
    #[inline]
    pub(crate) fn find(&self, section: &Section, key: &[u8]) -> Result<Option<Entry>> {
        let hash = format::hash(key, self.blocks.seed());
        let mut start = section.slots_offset + format::home(hash, section.homes) * SLOT_BYTES;
        let slots_end = section.slots_offset + section.slots * SLOT_BYTES;
        while start < slots_end {
            let end = Blocks::block_end(start).min(slots_end);
            for slot in self.blocks.bytes(start, end)?.as_chunks().0 {
                let slot = u64::from_le_bytes(*slot);
                if slot == EMPTY_SLOT {
                    return Ok(None);
                }
                if let Some(offset) = format::slot_candidate(slot, hash) {
                    let entry = self.entry(section, offset)?;
                    if self.key(entry) == key {
                        return Ok(Some(entry));
                    }
                }
            }
            start = end;
        }
        Ok(None)
    }

    pub(crate) fn slot(&self, section: &Section, slot: u64) -> Result<u64> {
        let offset = section.slots_offset + slot * SLOT_BYTES;
        Ok(crate::bytes::u64_at(self.blocks.bytes(offset, offset + SLOT_BYTES)?, 0))
    }

    /// Prefix and offset of an anchor.
    pub(crate) fn anchor(&self, section: &Section, anchor: u64) -> Result<(u64, u64)> {
        let offset = section.anchors_offset + anchor * ANCHOR_BYTES;
        Ok(format::decode_anchor(self.blocks.bytes(offset, offset + ANCHOR_BYTES)?))
    }

    /// The entry at `offset`; its value is not verified yet.
    #[inline]
    pub(crate) fn entry(&self, section: &Section, offset: u64) -> Result<Entry> {
        let header_end = offset.saturating_add(ENTRY_HEADER_BYTES as u64);
        if offset < section.entries_offset || header_end > section.entries_end {
            return Err(self.outside(offset));
        }
        let header = self.blocks.bytes(offset, header_end)?.first_chunk().ok_or_else(|| self.outside(offset))?;
        let lengths = EntryHeader::decode(header).map_err(|fault| fault.at(self.blocks.file(), offset))?;
        let entry = Entry { offset, lengths };
        if entry.end() > section.entries_end {
            return Err(self.outside(offset));
        }
        if !Blocks::is_one_block(offset, entry.value_start()) {
            self.blocks.bytes(offset, entry.value_start())?;
        }
        Ok(entry)
    }

    #[cold]
    fn outside(&self, offset: u64) -> Error {
        // What refers to it may name a place that the file does not have.
        let offset = offset.min(self.blocks.map().len() as u64);
        Error::corrupt(self.blocks.file(), offset, "an entry reaches beyond its collection")
    }

    /// The key of an entry, which was verified when it was found.
    #[inline]
    pub(crate) fn key(&self, entry: Entry) -> &[u8] {
        &self.blocks.map()[entry.key_range()]
    }

    /// The value of an entry, verified.
    #[inline]
    pub(crate) fn value(&self, entry: Entry) -> Result<&[u8]> {
        if Blocks::is_one_block(entry.offset, entry.end()) {
            return Ok(&self.blocks.map()[entry.value_range()]); // the block in which the entry was found
        }
        self.blocks.bytes(entry.value_start(), entry.end())
    }

    /// A handle to a range, which must have been verified.
    pub(crate) fn handle(&self, range: Range<usize>) -> Value {
        self.stripes.slice(range)
    }

    /// The offset of the first entry whose key is at or above `bound` (above, if `after`); the end of the entries if there is none.
    pub(crate) fn seek(&self, section: &Section, bound: &[u8], after: bool) -> Result<u64> {
        if section.entries == 0 {
            return Ok(section.entries_end);
        }
        let first = self.entry(section, section.entries_offset)?;
        let common = self.key(first).get(..section.common_bytes).ok_or_else(|| {
            Error::corrupt(
                self.blocks.file(),
                first.offset(),
                "the first key is shorter than what all keys have in common",
            )
        })?;
        let (head, rest) = bound.split_at(bound.len().min(common.len()));
        match head.cmp(common) {
            Ordering::Less => return Ok(section.entries_offset),
            Ordering::Greater => return Ok(section.entries_end),
            Ordering::Equal => {}
        }
        let is_before = |entry: Entry| match self.key(entry).cmp(bound) {
            Ordering::Less => true,
            Ordering::Equal => after,
            Ordering::Greater => false,
        };
        let start = self.anchor_before(section, format::anchor_prefix(rest), &is_before)?;
        self.scan(section, start, &is_before)
    }

    /// The offset of the last anchored entry that is before the bound, or of the first entry.
    fn anchor_before(&self, section: &Section, prefix: u64, is_before: &impl Fn(Entry) -> bool) -> Result<u64> {
        let (mut low, mut high) = (0, section.anchors());
        let mut found = section.entries_offset;
        while low < high {
            let middle = low + (high - low) / 2;
            let (anchor_prefix, offset) = self.anchor(section, middle)?;
            let before = match anchor_prefix.cmp(&prefix) {
                Ordering::Equal => is_before(self.entry(section, offset)?),
                order => order == Ordering::Less,
            };
            if before {
                found = offset;
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(found)
    }

    /// The offsets of the last entries before `end`, which ends an entry, in order: from the last anchor there on.
    pub(crate) fn entries_before(&self, section: &Section, end: u64) -> Result<Vec<u64>> {
        let (mut low, mut high) = (0, section.anchors());
        let mut offset = section.entries_offset;
        while low < high {
            let middle = low + (high - low) / 2;
            let (_, anchored) = self.anchor(section, middle)?;
            if anchored < end {
                offset = anchored;
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut offsets = Vec::with_capacity(ANCHOR_ENTRIES as usize);
        while offset < end {
            offsets.push(offset);
            offset = self.entry(section, offset)?.end();
        }
        Ok(offsets)
    }

    /// The offset of the first entry from `offset` on that is not before the bound.
    fn scan(&self, section: &Section, mut offset: u64, is_before: &impl Fn(Entry) -> bool) -> Result<u64> {
        while offset < section.entries_end {
            let entry = self.entry(section, offset)?;
            if !is_before(entry) {
                break;
            }
            offset = entry.end();
        }
        Ok(offset)
    }
}
