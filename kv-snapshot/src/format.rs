//! The format of a part: an immutable file of sorted entries. This module does no I/O.
//!
//! ```text
//! | header | collection ... collection | directory | checksum tree | footer |
//!            entries, anchors, slots
//! ```
//!
//! All integers are little-endian, all offsets are in bytes from the start of the file. The file is a whole number of blocks of 4,096
//! bytes. Sections begin at multiples of 64 bytes (a cache line); the bytes between sections are zero. Every byte is covered by a
//! checksum; checksums other than the header's are xxh3-64 seeded with the two halves of the part's identity XORed ("the seed"), so that
//! a block of another part does not pass.
//!
//! A part is valid if and only if its header and its footer match their checksums, name the same identity, and the footer's root
//! matches the top of the checksum tree; a block is valid if and only if its checksum stands in its place in the tree and that
//! block of the tree is valid. So header and footer together pin every byte.
//!
//! **Header**, block 0 (begins as in [`preamble`](kv_vfs::preamble); the header checksum covers the whole block):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 56 | preamble, magic `kvpart\r\n`; incompatible features: bit 0 the part holds tombstones, bit 1 it holds deadlines |
//! | 56 | 16 | identity of the part, random |
//! | 72 | 4 | block size in bytes, 4,096 |
//! | 76 | | zero up to the end of the block |
//!
//! **Entries** of a collection, one behind the other without gaps, in byte order of their keys, each key once:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind: 1 put, 2 tombstone (which has no value) |
//! | 1 | 1 | flags: bit 0 a deadline follows; all other bits are incompatible features |
//! | 2 | 2 | key length, at least 1 |
//! | 4 | 4 | value length, at most 1 GiB |
//! | 8 | 8 | only with flag 0: deadline in milliseconds since 1970-01-01 UTC |
//! | | | key, value |
//!
//! **Anchors** of a collection: 16 bytes for the first of each 16 entries, in order, for binary search:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | the 8 bytes of its key behind the prefix common to all keys of the collection (zeroes where it ends before), as an integer whose order is that of the bytes |
//! | 8 | 8 | offset of the entry |
//!
//! **Slots** of a collection: a hash index of 8-byte slots; 0 is an empty slot:
//!
//! | bits | field |
//! |---|---|
//! | 0..48 | offset of the entry |
//! | 48..64 | tag: bits 0..16 of the hash |
//!
//! The hash is xxh3-64 of the key with the seed. With `homes` of the directory, a key's home is the upper half of the 128-bit product of hash and
//! `homes`. Entries stand in order of their hashes, each at its home or, where that is taken, in the next free slot; so what is not found from its
//! home up to an empty slot or the end is absent. There are no more slots than that takes, and at least `homes`. At four entries to five homes about one cache line is read.
//!
//! **Directory**: one record of 96 bytes a collection, in order of ids, each id once:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | collection id: position of the creating record |
//! | 8 | 4 | collection id: index within the record |
//! | 12 | 2 | length of the prefix common to all keys |
//! | 14 | 2 | flags, all bits incompatible features |
//! | 16 | 8 | number of entries, tombstones included |
//! | 24 | 8 | number of tombstones |
//! | 32 | 8 | bytes of all keys and values together, tombstones left out |
//! | 40 | 8 | offset of the entries |
//! | 48 | 8 | end of the entries |
//! | 56 | 8 | offset of the anchors; their number follows from that of the entries |
//! | 64 | 8 | offset of the slots |
//! | 72 | 8 | number of slots |
//! | 80 | 8 | homes |
//! | 88 | 8 | zero |
//!
//! **Checksum tree**: see [`tree`](crate::tree). It covers every block before it.
//!
//! **Footer**, the last block:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `kvpartFT` |
//! | 8 | 8 | checksum of the block from offset 16 |
//! | 16 | 16 | identity, as in the header |
//! | 32 | 8 | number of blocks of the file |
//! | 40 | 8 | number of blocks before the checksum tree |
//! | 48 | 8 | offset of the directory |
//! | 56 | 8 | number of collections in it |
//! | 64 | 8 | checksum of the top block of the tree |
//! | 72 | | zero up to the end of the block |
//!
//! The **digest** of a part is the xxh3-128 of header block and footer block, one after the other.

use kv_core::{CollectionId, KEY_BYTES_MAX, Lsn};
use kv_vfs::preamble::{PREAMBLE_BYTES, Preamble};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::{
    bytes::{put_u32, put_u64, put_u128, u16_at, u32_at, u64_at, u128_at},
    fault::Fault,
};

/// The unit of checksums, in bytes: a page, so that verifying touches no page more than reading does.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// Where sections may begin.
pub(crate) const ALIGN_BYTES: u64 = 64;
/// The longest value that the format carries, in bytes.
pub(crate) const VALUE_BYTES_CAP: usize = 1 << 30;
/// The longest part, in bytes: offsets have 48 bits.
pub(crate) const PART_BYTES_MAX: u64 = 1 << 48;
/// The fixed part of an entry, in bytes.
pub(crate) const ENTRY_HEADER_BYTES: usize = 8;
/// Every how many entries there is an anchor.
pub(crate) const ANCHOR_ENTRIES: u64 = 16;
/// The size of an anchor, in bytes.
pub(crate) const ANCHOR_BYTES: u64 = 16;
/// The size of a slot, in bytes.
pub(crate) const SLOT_BYTES: u64 = 8;
/// The slot that holds nothing. No entry has offset 0: the header is there.
pub(crate) const EMPTY_SLOT: u64 = 0;
/// The size of a record of the directory, in bytes.
pub(crate) const SECTION_BYTES: usize = 96;

const KIND: Preamble = Preamble { magic: *b"kvpart\r\n", version: 1, incompatible_known: 0 };
const FOOTER_MAGIC: [u8; 8] = *b"kvpartFT";
const IDENTITY_AT: usize = PREAMBLE_BYTES;
const BLOCK_BYTES_AT: usize = IDENTITY_AT + 16;
const ENTRY_PUT: u8 = 1;
const ENTRY_TOMBSTONE: u8 = 2;
const TAG_SHIFT: u32 = 48;

const _: () = assert!(BLOCK_BYTES.is_multiple_of(ALIGN_BYTES as usize), "sections align with blocks");
const _: () = assert!((ALIGN_BYTES as usize).is_multiple_of(SLOT_BYTES as usize), "a slot lies in one block");
const _: () = assert!(BLOCK_BYTES.is_multiple_of(ANCHOR_BYTES as usize), "an anchor lies in one block");
const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize, "a key length fits");
const _: () = assert!(VALUE_BYTES_CAP <= u32::MAX as usize, "a value length fits");
const _: () = assert!(PART_BYTES_MAX <= 1 << TAG_SHIFT, "an offset fits beside the tag");

/// A block of a file.
pub(crate) type Block = [u8; BLOCK_BYTES];

/// The header of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store: u128,
    pub(crate) identity: u128,
}

impl Header {
    pub(crate) fn encode(&self) -> Box<Block> {
        let mut block = Box::new([0; BLOCK_BYTES]);
        put_u128(&mut *block, IDENTITY_AT, self.identity);
        put_u32(&mut *block, BLOCK_BYTES_AT, BLOCK_BYTES as u32);
        KIND.seal(&mut *block, 0, self.store);
        block
    }

    pub(crate) fn decode(block: &Block) -> Result<Self, Fault> {
        let store = KIND.open(block)?;
        match u32_at(block, BLOCK_BYTES_AT) as usize {
            BLOCK_BYTES => Ok(Self { store, identity: u128_at(block, IDENTITY_AT) }),
            other => Err(Fault::damaged(BLOCK_BYTES_AT as u64, format!("blocks of {other} bytes"))),
        }
    }

    /// The seed of the part's checksums and hashes.
    pub(crate) fn seed(&self) -> u64 {
        (self.identity >> 64) as u64 ^ self.identity as u64
    }
}

/// The footer of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) identity: u128,
    pub(crate) blocks: u64,
    pub(crate) blocks_covered: u64,
    pub(crate) directory_offset: u64,
    pub(crate) collections: u64,
    pub(crate) root: u64,
}

impl Footer {
    pub(crate) fn encode(&self, seed: u64) -> Box<Block> {
        let mut block = Box::new([0; BLOCK_BYTES]);
        block[..8].copy_from_slice(&FOOTER_MAGIC);
        put_u128(&mut *block, 16, self.identity);
        put_u64(&mut *block, 32, self.blocks);
        put_u64(&mut *block, 40, self.blocks_covered);
        put_u64(&mut *block, 48, self.directory_offset);
        put_u64(&mut *block, 56, self.collections);
        put_u64(&mut *block, 64, self.root);
        let checksum = xxh3_64_with_seed(&block[16..], seed);
        put_u64(&mut *block, 8, checksum);
        block
    }

    pub(crate) fn decode(block: &Block, seed: u64) -> Result<Self, Fault> {
        if block[..8] != FOOTER_MAGIC {
            return Err(Fault::damaged(0, "there is no footer: the file is cut, or its end is damaged"));
        }
        if u64_at(block, 8) != xxh3_64_with_seed(&block[16..], seed) {
            return Err(Fault::damaged(8, "the footer does not match its checksum"));
        }
        Ok(Self {
            identity: u128_at(block, 16),
            blocks: u64_at(block, 32),
            blocks_covered: u64_at(block, 40),
            directory_offset: u64_at(block, 48),
            collections: u64_at(block, 56),
            root: u64_at(block, 64),
        })
    }
}

/// A record of the directory: where a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) id: CollectionId,
    pub(crate) common_bytes: usize,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) entries_offset: u64,
    pub(crate) entries_end: u64,
    pub(crate) anchors_offset: u64,
    pub(crate) slots_offset: u64,
    pub(crate) slots: u64,
    pub(crate) homes: u64,
}

impl Section {
    pub(crate) fn encode(&self) -> [u8; SECTION_BYTES] {
        let mut record = [0; SECTION_BYTES];
        put_u64(&mut record, 0, self.id.lsn.0);
        put_u32(&mut record, 8, self.id.index);
        record[12..14].copy_from_slice(&(self.common_bytes as u16).to_le_bytes());
        put_u64(&mut record, 16, self.entries);
        put_u64(&mut record, 32, self.bytes);
        put_u64(&mut record, 40, self.entries_offset);
        put_u64(&mut record, 48, self.entries_end);
        put_u64(&mut record, 56, self.anchors_offset);
        put_u64(&mut record, 64, self.slots_offset);
        put_u64(&mut record, 72, self.slots);
        put_u64(&mut record, 80, self.homes);
        record
    }

    /// Decodes a record and checks that all it points to lies before `end` (in bytes), where the directory begins.
    pub(crate) fn decode(record: &[u8; SECTION_BYTES], end: u64) -> Result<Self, Fault> {
        let flags = u16_at(record, 14);
        if flags != 0 {
            return Err(Fault::newer(format!("a collection has flags {flags:#x}, which this software does not know")));
        }
        if u64_at(record, 24) != 0 {
            return Err(Fault::newer("a collection has tombstones, which this software does not know"));
        }
        let section = Self {
            id: CollectionId { lsn: Lsn(u64_at(record, 0)), index: u32_at(record, 8) },
            common_bytes: u16_at(record, 12).into(),
            entries: u64_at(record, 16),
            bytes: u64_at(record, 32),
            entries_offset: u64_at(record, 40),
            entries_end: u64_at(record, 48),
            anchors_offset: u64_at(record, 56),
            slots_offset: u64_at(record, 64),
            slots: u64_at(record, 72),
            homes: u64_at(record, 80),
        };
        let lies_within = section.lies_within(end);
        lies_within.then_some(section).ok_or_else(|| Fault::damaged(0, "a record of the directory makes no sense"))
    }

    fn lies_within(&self, end: u64) -> bool {
        let fits = |offset: u64, count: u64, each: u64| {
            count.checked_mul(each).and_then(|bytes| bytes.checked_add(offset)).is_some_and(|last| last <= end)
        };
        let header_bytes = ENTRY_HEADER_BYTES as u64;
        self.entries_offset >= BLOCK_BYTES as u64
            && self.entries_end <= end
            && self.entries_end.checked_sub(self.entries_offset).is_some_and(|b| b / header_bytes >= self.entries)
            && fits(self.anchors_offset, self.anchors(), ANCHOR_BYTES)
            && self.anchors_offset.is_multiple_of(ALIGN_BYTES)
            && fits(self.slots_offset, self.slots, SLOT_BYTES)
            && self.slots_offset.is_multiple_of(ALIGN_BYTES)
            && self.homes <= self.slots
            && (self.homes > 0 || self.entries == 0)
    }

    /// How many anchors there are.
    pub(crate) fn anchors(&self) -> u64 {
        self.entries.div_ceil(ANCHOR_ENTRIES)
    }
}

/// The lengths of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
}

impl EntryHeader {
    pub(crate) fn encode(&self) -> [u8; ENTRY_HEADER_BYTES] {
        let mut header = [ENTRY_PUT, 0, 0, 0, 0, 0, 0, 0];
        header[2..4].copy_from_slice(&(self.key_bytes as u16).to_le_bytes());
        put_u32(&mut header, 4, self.value_bytes as u32);
        header
    }

    #[inline]
    pub(crate) fn decode(header: &[u8; ENTRY_HEADER_BYTES]) -> Result<Self, Fault> {
        let key_bytes = usize::from(u16_at(header, 2));
        let value_bytes = u32_at(header, 4) as usize;
        if u16_at(header, 0) != u16::from(ENTRY_PUT) || key_bytes == 0 || value_bytes > VALUE_BYTES_CAP {
            return Err(Self::fault(header));
        }
        Ok(Self { key_bytes, value_bytes })
    }

    #[cold]
    fn fault(header: &[u8; ENTRY_HEADER_BYTES]) -> Fault {
        match (header[0], header[1]) {
            (0, _) => Fault::damaged(0, "there is no entry here"),
            (ENTRY_PUT, 0) => Fault::damaged(2, "an entry with impossible lengths"),
            (ENTRY_TOMBSTONE, 0) => Fault::newer("an entry is a tombstone, which this software does not know"),
            (kind, flags) => Fault::newer(format!(
                "an entry of kind {kind} with flags {flags:#x}, which this software does not know"
            )),
        }
    }

    /// The size of the whole entry, in bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        (ENTRY_HEADER_BYTES + self.key_bytes + self.value_bytes) as u64
    }
}

/// What the index is searched by.
pub(crate) fn hash(key: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(key, seed)
}

/// The checksum of a block.
pub(crate) fn checksum(block: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(block, seed)
}

/// How many homes a collection of `entries` entries gets: 5 for each 4, in whole cache lines.
pub(crate) fn homes(entries: u64) -> u64 {
    (entries + entries.div_ceil(4)).next_multiple_of(ALIGN_BYTES / SLOT_BYTES)
}

/// The slot where the search for a hash begins.
#[inline]
pub(crate) fn home(hash: u64, homes: u64) -> u64 {
    ((u128::from(hash) * u128::from(homes)) >> 64) as u64
}

/// The slot for the entry at `offset`, whose key has that hash.
#[inline]
pub(crate) fn slot(hash: u64, offset: u64) -> u64 {
    hash << TAG_SHIFT | offset
}

/// The offset in a slot, if its tag is that of `hash`.
#[inline]
pub(crate) fn slot_candidate(slot: u64, hash: u64) -> Option<u64> {
    (slot_tag(slot) == hash & 0xffff).then_some(slot_offset(slot))
}

/// The tag in a slot.
#[inline]
pub(crate) fn slot_tag(slot: u64) -> u64 {
    slot >> TAG_SHIFT
}

/// The offset in a slot.
#[inline]
pub(crate) fn slot_offset(slot: u64) -> u64 {
    slot & ((1 << TAG_SHIFT) - 1)
}

/// The part of a key, behind the common prefix, that stands in an anchor.
pub(crate) fn anchor_prefix(key_rest: &[u8]) -> u64 {
    let mut prefix = [0; 8];
    let n = key_rest.len().min(8);
    prefix[..n].copy_from_slice(&key_rest[..n]);
    u64::from_be_bytes(prefix)
}

/// The bytes of an anchor.
pub(crate) fn encode_anchor(prefix: u64, offset: u64) -> [u8; ANCHOR_BYTES as usize] {
    let mut anchor = [0; ANCHOR_BYTES as usize];
    put_u64(&mut anchor, 0, prefix);
    put_u64(&mut anchor, 8, offset);
    anchor
}

/// Prefix and offset of an anchor.
pub(crate) fn decode_anchor(anchor: &[u8]) -> (u64, u64) {
    (u64_at(anchor, 0), u64_at(anchor, 8))
}

/// What stands for all of a part.
pub(crate) fn digest(header: &Block, footer: &Block) -> u128 {
    let mut digest = Xxh3::new();
    digest.update(header);
    digest.update(footer);
    digest.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_not_known_are_newer_and_not_damaged() {
        let header = EntryHeader { key_bytes: 3, value_bytes: 70_000 };
        assert_eq!(EntryHeader::decode(&header.encode()), Ok(header));
        assert_eq!(header.bytes(), 8 + 3 + 70_000);
        let decode = |change: fn(&mut [u8; 8])| {
            let mut bytes = header.encode();
            change(&mut bytes);
            EntryHeader::decode(&bytes)
        };
        let newer: [fn(&mut [u8; 8]); 4] =
            [|entry| entry[0] = ENTRY_TOMBSTONE, |entry| entry[0] = 77, |entry| entry[1] = 1, |entry| entry[1] = 128];
        for change in newer {
            assert!(matches!(decode(change), Err(Fault::Newer { .. })));
        }
        let damaged: [fn(&mut [u8; 8]); 3] = [|entry| *entry = [0; 8], |entry| entry[2] = 0, |entry| entry[7] = 0x80];
        for change in damaged {
            assert!(matches!(decode(change), Err(Fault::Damaged { .. })));
        }
    }

    #[test]
    fn homes_keep_the_load_at_four_fifths_and_cover_all_hashes() {
        assert_eq!((homes(0), homes(1), homes(6), homes(7)), (0, 8, 8, 16));
        assert!((1..10_000).all(|entries| homes(entries) * 4 >= entries * 5 && homes(entries) < entries * 5 / 4 + 10));
        assert_eq!((home(0, 8), home(u64::MAX, 8), home(u64::MAX / 2 + 1, 8)), (0, 7, 4));
    }

    #[test]
    fn anchor_prefixes_order_as_keys_do() {
        let keys: [&[u8]; 6] = [b"", b"\0", b"\0\x01", b"a", b"abcdefgh", b"abcdefgi"];
        assert!(keys.is_sorted_by_key(|key| anchor_prefix(key)));
        assert_eq!(anchor_prefix(b"abcdefgh"), anchor_prefix(b"abcdefgh and more"));
    }
}
