//! Reads a part.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use bytes::Bytes;
use kv_core::{CollectionId, Error, Result, Value};
use kv_vfs::{File, Vfs};

use super::{
    blocks::{Blocks, Source},
    cache::BlockCache,
    file::{self, read_exact, twice},
    in_use::InUse,
    piece::Piece,
    unmapped::Unmapped,
};
use crate::{
    error::{DecodeError, damage_or_error, not_opened},
    format::{
        block::{BLOCK_BYTES, Block},
        entry::{EntryHeader, HEADER_BYTES_MAX, Kind},
        index::{self, ANCHOR_BYTES, ANCHOR_ENTRIES},
        part::{Footer, Header, SECTION_BYTES, Section, Summary, digest},
        tree::Tree,
    },
};

/// An open part.
#[derive(Debug)]
pub(crate) struct Part {
    header: Header,
    footer: Footer,
    digest: u128,
    blocks: Blocks,
    sections: Vec<Section>,
    _in_use: Arc<InUse>,
}

/// Where an entry lies. Its header and its key have been verified; its value has not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    offset: u64,
    key_start: u64,
    header: EntryHeader,
}

impl Entry {
    #[inline]
    fn value_start(self) -> u64 {
        self.key_start + self.header.key_bytes as u64
    }

    /// Where the next entry begins.
    #[inline]
    pub(crate) fn end(self) -> u64 {
        self.value_start() + self.header.value_bytes as u64
    }

    #[inline]
    pub(crate) fn offset(self) -> u64 {
        self.offset
    }

    /// Whether the key is deleted. A tombstone has no value.
    #[inline]
    pub(crate) fn is_tombstone(self) -> bool {
        self.header.kind == Kind::Tombstone
    }

    #[inline]
    pub(crate) fn key_range(self) -> Range<usize> {
        self.key_start as usize..self.value_start() as usize
    }

    #[inline]
    pub(crate) fn value_range(self) -> Range<usize> {
        self.value_start() as usize..self.end() as usize
    }
}

impl Part {
    /// Maps a part. Verifies its header, footer and directory, and nothing else.
    ///
    /// A missing file is [`Error::Io`] with the kind "not found".
    pub(crate) fn open(vfs: &dyn Vfs, name: &str) -> Result<Self> {
        Self::open_through(vfs, name, None, Arc::default())
    }

    /// Like [`open`](Self::open). With a cache, the part is read through that, and never mapped.
    pub(crate) fn open_through(
        vfs: &dyn Vfs,
        name: &str,
        cache: Option<&Arc<BlockCache>>,
        in_use: Arc<InUse>,
    ) -> Result<Self> {
        let file = file::open(vfs, name).map_err(not_opened)?;
        let path = vfs.path().join(name);
        let (map, (ends, length)) = match cache {
            None => {
                let map = in_use.map(twice(|| file.map())?);
                let length = map.len();
                (map.clone(), (map, length))
            }
            Some(_) => (Bytes::new(), read_ends(&*file)?),
        };
        let (header, footer, digest) = Self::open_ends(&ends, length).map_err(|fault| fault.at(&path, 0))?;
        let tree = Tree::new(footer.blocks_covered);
        let source = match cache {
            None => Source::Map(map),
            Some(cache) => Source::File(Unmapped { file, cache: cache.clone(), digest }),
        };
        let blocks = Blocks::new(path, source, header.seed(), tree, footer.root);
        let mut part = Self { header, footer, digest, blocks, sections: Vec::new(), _in_use: in_use };
        part.sections = part.read_directory()?;
        Ok(part)
    }

    /// Decodes the header and the footer of a file of this length, and checks that they belong
    /// together. `ends` begins and ends as the file does.
    fn open_ends(ends: &[u8], length: usize) -> Result<(Header, Footer, u128), DecodeError> {
        let first: &Block = ends
            .first_chunk()
            .ok_or_else(|| DecodeError::damaged(0, "the file is truncated: it ends within its header"))?;
        let header = Header::decode(first)?;
        if !length.is_multiple_of(BLOCK_BYTES) {
            return Err(DecodeError::damaged(length as u64, "the file is truncated: it ends within a block"));
        }
        let footer_offset = length - BLOCK_BYTES;
        let in_footer = |detail: &str| DecodeError::damaged(footer_offset as u64, detail);
        let last: &Block = ends.last_chunk().ok_or_else(|| in_footer("there is no footer"))?;
        let footer = Footer::decode(last, header.seed()).map_err(|fault| match fault {
            DecodeError::Damaged { offset, detail } => DecodeError::damaged(footer_offset as u64 + offset, detail),
            other_version => other_version,
        })?;
        let blocks = (length / BLOCK_BYTES) as u64;
        let sound = footer.identity == header.identity
            && footer.blocks == blocks
            && (1..blocks).contains(&footer.blocks_covered)
            && Tree::new(footer.blocks_covered).end() + 1 == blocks;
        if !sound {
            return Err(in_footer("the footer does not belong to this file"));
        }
        Ok((header, footer, digest(first, last)))
    }

    fn read_directory(&self) -> Result<Vec<Section>> {
        let start = self.footer.directory_offset;
        let end = self.footer.collections.checked_mul(SECTION_BYTES as u64).and_then(|bytes| bytes.checked_add(start));
        let covered_end = self.footer.blocks_covered * BLOCK_BYTES as u64;
        let Some(end) = end.filter(|end| *end <= covered_end) else {
            let footer = self.blocks.length() - BLOCK_BYTES as u64;
            return Err(Error::corrupt(self.blocks.file(), footer, "the directory reaches past the end of the data"));
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

    /// Verifies blocks again, the footer too, even if that was done before. All of them are read,
    /// whatever is wrong with some.
    pub(super) fn verify_again(&self, blocks: Range<u64>) -> Result<()> {
        let footer = self.blocks.count() - 1;
        let others = blocks.start..blocks.end.min(footer);
        let mut verified = Ok(());
        match self.blocks.unmapped() {
            Some(file) => verified = self.blocks.verify_on_disk(file, others),
            None => {
                for block in others {
                    verified = damage_or_error(verified, self.blocks.verify_again(block));
                }
            }
        }
        if blocks.contains(&footer) { damage_or_error(verified, self.verify_ends_again()) } else { verified }
    }

    fn verify_ends_again(&self) -> Result<()> {
        let at = |fault: DecodeError| fault.at(self.blocks.file(), 0);
        let (_, _, found) = match self.blocks.unmapped() {
            None => Self::open_ends(self.blocks.map(), self.blocks.map().len()).map_err(at)?,
            Some(unmapped) => {
                let (ends, length) = read_ends(&*unmapped.file)?;
                Self::open_ends(&ends, length).map_err(at)?
            }
        };
        if found == self.digest {
            return Ok(());
        }
        let detail = "its header and footer are not what they were when it was opened";
        Err(Error::corrupt(self.blocks.file(), self.blocks.length() - BLOCK_BYTES as u64, detail))
    }

    /// What identifies this part.
    pub(crate) fn summary(&self) -> Summary {
        Summary { bytes: self.blocks.length(), identity: self.header.identity, digest: self.digest }
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub(crate) fn section(&self, id: CollectionId) -> Option<&Section> {
        let at = self.sections.binary_search_by_key(&id, |section| section.id).ok()?;
        self.sections.get(at)
    }

    /// The prefix and the offset in an anchor.
    pub(crate) fn anchor(&self, section: &Section, anchor: u64) -> Result<(u64, u64)> {
        let offset = section.anchors_offset + anchor * ANCHOR_BYTES;
        Ok(index::decode_anchor(&self.blocks.bytes(offset, offset + ANCHOR_BYTES)?))
    }

    /// The entry at `offset`. Its value is not verified yet.
    #[inline]
    pub(crate) fn entry(&self, section: &Section, offset: u64) -> Result<Entry> {
        match self.short_entry(section, offset) {
            Some((entry, _)) => Ok(entry),
            None => self.any_entry(section, offset),
        }
    }

    /// The entry at `offset` and its key, if its lengths are short, and its header and key lie in
    /// one block that has been verified.
    #[inline]
    pub(super) fn short_entry(&self, section: &Section, offset: u64) -> Option<(Entry, &[u8])> {
        if offset < section.entries_offset {
            return None;
        }
        let rest = self.blocks.rest_of_verified_block(offset)?;
        let (header, header_bytes) = EntryHeader::decode_short(rest.first_chunk()?)?;
        let key = rest.get(header_bytes..header_bytes + header.key_bytes)?;
        let entry = Entry { offset, key_start: offset + header_bytes as u64, header };
        (entry.end() <= section.entries_end).then_some((entry, key))
    }

    /// The entry at `offset`, if it and its value are found as quickly as nearly all are.
    #[inline]
    pub(super) fn verified_entry(&self, section: &Section, offset: u64) -> Option<Entry> {
        let (entry, _) = self.short_entry(section, offset)?;
        self.verified_value(entry).map(|_| entry)
    }

    #[inline(never)]
    pub(super) fn any_entry(&self, section: &Section, offset: u64) -> Result<Entry> {
        if offset < section.entries_offset || offset >= section.entries_end {
            return Err(self.outside(offset));
        }
        let longest = (offset + HEADER_BYTES_MAX as u64).min(section.entries_end);
        // A header that ends within its block must not fail because the next block is damaged.
        let in_block = self.blocks.bytes(offset, longest.min(Blocks::block_end(offset)))?;
        let entry = match self.decode_entry(section, offset, &in_block)? {
            Some(entry) => entry,
            None => {
                let decoded = self.decode_entry(section, offset, &self.blocks.bytes(offset, longest)?)?;
                decoded.ok_or_else(|| self.outside(offset))?
            }
        };
        if !Blocks::is_one_block(offset, entry.value_start()) {
            self.blocks.bytes(offset, entry.value_start())?;
        }
        Ok(entry)
    }

    /// The entry at `offset`, which begins with `bytes`; `None` if its header does not end within
    /// them.
    pub(super) fn decode_entry(&self, section: &Section, offset: u64, bytes: &[u8]) -> Result<Option<Entry>> {
        let decoded = EntryHeader::decode(bytes).map_err(|fault| fault.at(self.blocks.file(), offset))?;
        let Some((header, header_bytes)) = decoded else { return Ok(None) };
        let entry = Entry { offset, key_start: offset + header_bytes as u64, header };
        if entry.end() <= section.entries_end { Ok(Some(entry)) } else { Err(self.outside(offset)) }
    }

    #[cold]
    pub(super) fn outside(&self, offset: u64) -> Error {
        // The offset comes from the file, and may lie outside it.
        let offset = offset.min(self.blocks.length());
        Error::corrupt(self.blocks.file(), offset, "an entry reaches past the end of its collection")
    }

    /// The key of an entry, which was verified when the entry was found.
    #[inline]
    pub(crate) fn key(&self, entry: Entry) -> Result<Piece<'_>> {
        match self.blocks.map().get(entry.key_range()) {
            Some(key) => Ok(Piece::InPlace(key)),
            None => self.blocks.bytes(entry.key_start, entry.value_start()),
        }
    }

    /// The value of an entry, if it has been verified in the map; empty for a tombstone.
    #[inline]
    pub(super) fn verified_value(&self, entry: Entry) -> Option<&[u8]> {
        let is_verified = Blocks::is_one_block(entry.offset, entry.end()) // it was when it was found
            || self.blocks.are_verified(entry.value_start(), entry.end());
        if is_verified { self.blocks.map().get(entry.value_range()) } else { None }
    }

    /// The value of an entry, verified; empty for a tombstone.
    #[inline]
    pub(crate) fn value(&self, entry: Entry) -> Result<Piece<'_>> {
        match self.verified_value(entry) {
            Some(value) => Ok(Piece::InPlace(value)),
            None => self.blocks.bytes(entry.value_start(), entry.end()),
        }
    }

    /// A handle to the value of an entry, verified.
    pub(super) fn value_handle(&self, entry: Entry) -> Result<Value> {
        match self.value(entry)? {
            Piece::InPlace([]) => Ok(Value::default()),
            Piece::InPlace(_) => Ok(self.handle(entry.value_range())),
            Piece::Held(held) => Ok(held.handle()),
        }
    }

    /// The value of an entry of a collection that states that it has no tombstones, verified.
    #[inline]
    pub(crate) fn put_value(&self, entry: Entry) -> Result<Piece<'_>> {
        if entry.is_tombstone() {
            return Err(self.unexpected_tombstone(entry.offset));
        }
        self.value(entry)
    }

    #[cold]
    pub(super) fn unexpected_tombstone(&self, offset: u64) -> Error {
        let detail = "there is a tombstone in a collection that should have none";
        Error::corrupt(self.blocks.file(), offset, detail)
    }

    /// A handle to a range of the map, or a copy if it is short. The caller must have verified it.
    pub(crate) fn handle(&self, range: Range<usize>) -> Value {
        let map = self.blocks.map();
        if range.len() <= Value::COPIED_BYTES_MAX { Value::copy_from(&map[range]) } else { map.slice(range).into() }
    }

    /// The offset of the first entry whose key is at or above `bound`, or above it if `after`; the
    /// end of the entries if there is none.
    pub(crate) fn seek(&self, section: &Section, bound: &[u8], after: bool) -> Result<u64> {
        if section.entries == 0 {
            return Ok(section.entries_end);
        }
        let first = self.entry(section, section.entries_offset)?;
        let first_key = self.key(first)?;
        let common = first_key.get(..section.common_bytes).ok_or_else(|| {
            Error::corrupt(
                self.blocks.file(),
                first.offset(),
                "the first key is shorter than the prefix common to all keys",
            )
        })?;
        let (head, rest) = bound.split_at(bound.len().min(common.len()));
        match head.cmp(common) {
            Ordering::Less => return Ok(section.entries_offset),
            Ordering::Greater => return Ok(section.entries_end),
            Ordering::Equal => {}
        }
        let is_before = |entry: Entry| match (*self.key(entry)?).cmp(bound) {
            Ordering::Less => Ok(true),
            Ordering::Equal => Ok(after),
            Ordering::Greater => Ok(false),
        };
        let start = self.anchor_before(section, index::anchor_prefix(rest), &is_before)?;
        self.scan(section, start, &is_before)
    }

    /// The offset of the last entry before the bound that has an anchor, or of the first entry if
    /// there is none.
    fn anchor_before(&self, section: &Section, prefix: u64, is_before: &impl Fn(Entry) -> Result<bool>) -> Result<u64> {
        let (mut low, mut high) = (0, section.anchors());
        let mut found = section.entries_offset;
        while low < high {
            let middle = low + (high - low) / 2;
            let (anchor_prefix, offset) = self.anchor(section, middle)?;
            let before = match anchor_prefix.cmp(&prefix) {
                Ordering::Equal => is_before(self.entry(section, offset)?)?,
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

    /// The offsets of the last few entries before `end`, in order, from the last anchor before
    /// `end` on. `end` must be the end of an entry. `entry` reads the entry at an offset.
    pub(super) fn entries_before(
        &self,
        section: &Section,
        end: u64,
        mut entry: impl FnMut(u64) -> Result<Entry>,
    ) -> Result<Vec<u64>> {
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
            offset = entry(offset)?.end();
        }
        Ok(offsets)
    }

    /// The offset of the first entry at or after `offset` that is not before the bound.
    fn scan(&self, section: &Section, mut offset: u64, is_before: &impl Fn(Entry) -> Result<bool>) -> Result<u64> {
        while offset < section.entries_end {
            let entry = self.entry(section, offset)?;
            if !is_before(entry)? {
                break;
            }
            offset = entry.end();
        }
        Ok(offset)
    }
}

/// The first and the last block of a file, one after the other, and its length. There are none if
/// the file is shorter than a block.
fn read_ends(file: &dyn File) -> Result<(Bytes, usize)> {
    let length = twice(|| file.len())?;
    let Some(last) = length.checked_sub(BLOCK_BYTES as u64) else { return Ok((Bytes::new(), length as usize)) };
    let mut ends = vec![0; 2 * BLOCK_BYTES];
    let (first_block, last_block) = ends.split_at_mut(BLOCK_BYTES);
    read_exact(file, first_block, 0)?;
    read_exact(file, last_block, last)?;
    Ok((ends.into(), length as usize))
}
