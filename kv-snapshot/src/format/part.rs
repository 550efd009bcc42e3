//! The format of a part: an immutable file of sorted entries.
//!
//! ```text
//! | header | collection ... collection | directory | checksum tree | footer |
//!            entries, anchors, slots
//! ```
//!
//! All integers are little-endian, and all offsets are in bytes from the start of the file. The
//! file is a whole number of blocks of 4,096 bytes. Collections, anchors, slots and the directory
//! begin at multiples of 64 bytes (a cache line); the bytes between them are zero.
//!
//! Every byte is covered by a checksum, xxh3-64. All checksums but the header's are seeded with the
//! two halves of the part's identity XORed ("the seed"), so that a block of another part does not
//! match.
//!
//! A part is valid if and only if its header and its footer match their checksums and state the
//! same identity, and the top block of the checksum tree matches the root in the footer. A block is
//! valid if and only if it matches its checksum in the tree, and the block of the tree that holds
//! that checksum is valid. So the header and the footer together determine every byte.
//!
//! **Header**, block 0. It begins as every [`preamble`](kv_vfs::preamble); its checksum covers the
//! whole block.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 56 | preamble, magic `kvpart\r\n`; incompatible features: bit 0 the part holds tombstones, bit 1 it holds deadlines |
//! | 56 | 16 | identity of the part, random |
//! | 72 | 4 | block size in bytes, 4,096 |
//! | 76 | | zero up to the end of the block |
//!
//! **Entries** of a collection, without gaps, in byte order of their keys, each key once:
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
//! **Anchors** of a collection: its sparse index, for binary search. There is one of 16 bytes for
//! the first of every 16 entries, in order:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | the 8 bytes of its key after the prefix common to all keys of the collection (zeroes where the key ends before), as an integer that orders as the bytes do |
//! | 8 | 8 | offset of the entry |
//!
//! **Slots** of a collection: its hash index, of 8 bytes each; 0 is an empty slot:
//!
//! | bits | field |
//! |---|---|
//! | 0..48 | offset of the entry |
//! | 48..64 | tag: bits 0..16 of the hash |
//!
//! The hash is xxh3-64 of the key with the seed. The home of a key, the slot where a search for it
//! begins, is the upper half of the 128-bit product of its hash and `homes`, which the directory
//! holds. Used slots are in order of their hashes, each at its home or, if the home is taken, in
//! the next free slot. So a key that is not found between its home and the next empty slot, or the
//! end, is absent. There are at least `homes` slots, and more only if the last entries need them.
//! With five homes for every four entries, a search reads about one cache line.
//!
//! **Directory**: one record of 96 bytes for each collection, in order of ids, each id once:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | collection id: position of the creating record |
//! | 8 | 4 | collection id: index within the record |
//! | 12 | 2 | length of the prefix common to all keys |
//! | 14 | 2 | flags, all bits incompatible features |
//! | 16 | 8 | number of entries, including tombstones |
//! | 24 | 8 | number of tombstones |
//! | 32 | 8 | bytes of all keys and values together, without tombstones |
//! | 40 | 8 | offset of the entries |
//! | 48 | 8 | end of the entries |
//! | 56 | 8 | offset of the anchors; their number follows from that of the entries |
//! | 64 | 8 | offset of the slots |
//! | 72 | 8 | number of slots |
//! | 80 | 8 | homes |
//! | 88 | 8 | zero |
//!
//! **Checksum tree**: see [`tree`](super::tree). It covers every block before it.
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
//! The **digest** of a part is the xxh3-128 of its header block followed by its footer block.

use kv_core::{CollectionId, KEY_BYTES_MAX, Lsn};
use kv_vfs::{
    little_endian::{get_u16, get_u32, get_u64, get_u128, put_u16, put_u32, put_u64, put_u128},
    preamble::{PREAMBLE_BYTES, Preamble},
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::{
    block::{ALIGN_BYTES, BLOCK_BYTES, Block},
    index::{ANCHOR_BYTES, ANCHOR_ENTRIES, OFFSET_BITS, SLOT_BYTES},
};
use crate::error::DecodeError;

/// The longest value that the format can hold, in bytes.
pub(crate) const VALUE_BYTES_CAP: usize = 1 << 30;
/// The longest part, in bytes: offsets in slots have 48 bits.
pub(crate) const PART_BYTES_MAX: u64 = 1 << 48;
/// The fixed part of an entry, in bytes.
pub(crate) const ENTRY_HEADER_BYTES: usize = 8;
/// The size of a record of the directory, in bytes.
pub(crate) const SECTION_BYTES: usize = 96;

const KIND: Preamble = Preamble { magic: *b"kvpart\r\n", version: 1, incompatible_known: 0 };
const FOOTER_MAGIC: [u8; 8] = *b"kvpartFT";
const IDENTITY_AT: usize = PREAMBLE_BYTES;
const BLOCK_BYTES_AT: usize = IDENTITY_AT + 16;
const ENTRY_PUT: u8 = 1;
const ENTRY_TOMBSTONE: u8 = 2;

const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize, "a key length fits");
const _: () = assert!(VALUE_BYTES_CAP <= u32::MAX as usize, "a value length fits");
const _: () = assert!(PART_BYTES_MAX <= 1 << OFFSET_BITS, "an offset fits beside the tag");

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

    pub(crate) fn decode(block: &Block) -> Result<Self, DecodeError> {
        let store = KIND.open(block)?;
        match get_u32(block, BLOCK_BYTES_AT) as usize {
            BLOCK_BYTES => Ok(Self { store, identity: get_u128(block, IDENTITY_AT) }),
            other => {
                Err(DecodeError::damaged(BLOCK_BYTES_AT as u64, format!("blocks of {other} bytes, which no part has")))
            }
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

    pub(crate) fn decode(block: &Block, seed: u64) -> Result<Self, DecodeError> {
        if block[..8] != FOOTER_MAGIC {
            return Err(DecodeError::damaged(0, "there is no footer: the file is truncated, or its end is damaged"));
        }
        if get_u64(block, 8) != xxh3_64_with_seed(&block[16..], seed) {
            return Err(DecodeError::damaged(8, "the footer does not match its checksum"));
        }
        Ok(Self {
            identity: get_u128(block, 16),
            blocks: get_u64(block, 32),
            blocks_covered: get_u64(block, 40),
            directory_offset: get_u64(block, 48),
            collections: get_u64(block, 56),
            root: get_u64(block, 64),
        })
    }
}

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
    pub(crate) slots_offset: u64,
    pub(crate) slots: u64,
    pub(crate) homes: u64,
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
        put_u64(&mut record, 64, self.slots_offset);
        put_u64(&mut record, 72, self.slots);
        put_u64(&mut record, 80, self.homes);
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
        let section = Self {
            id: CollectionId { lsn: Lsn(get_u64(record, 0)), index: get_u32(record, 8) },
            common_bytes: get_u16(record, 12).into(),
            entries: get_u64(record, 16),
            tombstones: get_u64(record, 24),
            bytes: get_u64(record, 32),
            entries_offset: get_u64(record, 40),
            entries_end: get_u64(record, 48),
            anchors_offset: get_u64(record, 56),
            slots_offset: get_u64(record, 64),
            slots: get_u64(record, 72),
            homes: get_u64(record, 80),
        };
        let lies_within = section.lies_within(end);
        lies_within
            .then_some(section)
            .ok_or_else(|| DecodeError::damaged(0, "a record of the directory points outside the data"))
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
            && self.tombstones <= self.entries
            && self.homes <= self.slots
            && (self.homes > 0 || self.entries == 0)
    }

    /// The number of anchors.
    pub(crate) fn anchors(&self) -> u64 {
        self.entries.div_ceil(ANCHOR_ENTRIES)
    }
}

/// The kind of an entry, and its lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    /// Whether the key is deleted. A tombstone has no value.
    pub(crate) tombstone: bool,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
}

impl EntryHeader {
    pub(crate) fn encode(&self) -> [u8; ENTRY_HEADER_BYTES] {
        let kind = if self.tombstone { ENTRY_TOMBSTONE } else { ENTRY_PUT };
        let mut header = [kind, 0, 0, 0, 0, 0, 0, 0];
        put_u16(&mut header, 2, self.key_bytes as u16);
        put_u32(&mut header, 4, self.value_bytes as u32);
        header
    }

    #[inline]
    pub(crate) fn decode(header: &[u8; ENTRY_HEADER_BYTES]) -> Result<Self, DecodeError> {
        let key_bytes = usize::from(get_u16(header, 2));
        let value_bytes = get_u32(header, 4) as usize;
        let tombstone = get_u16(header, 0) == u16::from(ENTRY_TOMBSTONE);
        let is_known = tombstone || get_u16(header, 0) == u16::from(ENTRY_PUT);
        if !is_known || key_bytes == 0 || value_bytes > if tombstone { 0 } else { VALUE_BYTES_CAP } {
            return Err(Self::fault(header));
        }
        Ok(Self { tombstone, key_bytes, value_bytes })
    }

    #[cold]
    fn fault(header: &[u8; ENTRY_HEADER_BYTES]) -> DecodeError {
        match (header[0], header[1]) {
            (0, _) => DecodeError::damaged(0, "there is no entry here"),
            (ENTRY_PUT | ENTRY_TOMBSTONE, 0) => DecodeError::damaged(2, "an entry has impossible lengths"),
            (kind, flags) => DecodeError::newer(format!(
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

/// What identifies a part, byte for byte. A manifest holds it for each of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) bytes: u64,
    pub(crate) identity: u128,
    pub(crate) digest: u128,
}

/// The digest of a part, which pins every byte of it.
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
        let header = EntryHeader { tombstone: false, key_bytes: 3, value_bytes: 70_000 };
        assert_eq!(EntryHeader::decode(&header.encode()), Ok(header));
        assert_eq!(header.bytes(), 8 + 3 + 70_000);
        let decode = |change: fn(&mut [u8; 8])| {
            let mut bytes = header.encode();
            change(&mut bytes);
            EntryHeader::decode(&bytes)
        };
        let newer: [fn(&mut [u8; 8]); 3] = [|entry| entry[0] = 77, |entry| entry[1] = 1, |entry| entry[1] = 128];
        for change in newer {
            assert!(matches!(decode(change), Err(DecodeError::Newer { .. })));
        }
        let damaged: [fn(&mut [u8; 8]); 4] = [
            |entry| *entry = [0; 8],
            |entry| entry[0] = ENTRY_TOMBSTONE,
            |entry| entry[2] = 0,
            |entry| entry[7] = 0x80,
        ];
        for change in damaged {
            assert!(matches!(decode(change), Err(DecodeError::Damaged { .. })));
        }
    }
}
