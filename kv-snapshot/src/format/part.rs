//! The format of a part: an immutable file of sorted entries.
//!
//! ```text
//! | header | collection ... collection | directory | checksum tree | footer |
//!            entries, anchors, groups, offsets
//! ```
//!
//! All integers are little-endian, and all offsets are in bytes from the start of the file, unless
//! said. The file is a whole number of blocks of 4,096 bytes. Entries, anchors, groups, offsets and
//! the directory begin at multiples of 64 bytes (a cache line); the bytes between them are zero.
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
//! | 0 | 56 | preamble, magic `kvpart\r\n`, version 2; incompatible features: bit 0 the part holds deadlines |
//! | 56 | 16 | identity of the part, random |
//! | 72 | 4 | block size in bytes, 4,096 |
//! | 76 | | zero up to the end of the block |
//!
//! **Entries** of a collection, without gaps, in byte order of their keys, each key once:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | bits 0..4 kind: 1 put, 2 tombstone; bit 4 a deadline follows the lengths; bits 4..8 are incompatible features |
//! | 1 to 3 | key length, at least 1 |
//! | 1 to 5 | value length, at most 1 GiB; 0 for a tombstone |
//! | | key, value |
//!
//! A length is written as LEB128: seven bits in each byte, the lowest first, and bit 7 set in each
//! byte but the last. It takes as few bytes as possible; a longer encoding is damage. So an entry
//! with a key and a value below 128 bytes has 3 bytes more than these.
//!
//! **Anchors** of a collection: its sparse index, for binary search. There is one of 16 bytes for
//! the first of every 32 entries, in order:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | the 8 bytes of its key after the prefix common to all keys of the collection (zeroes where the key ends before), as an integer that orders as the bytes do |
//! | 8 | 8 | offset of the entry |
//!
//! **Groups** of a collection: its hash index. A group of 32 bytes has 15 *lanes*, for an entry
//! each, and says which entries it had no room for:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 15 × 2 | the tag of the entry in each lane; 0 is an empty lane, and none follows that is used |
//! | 30 | 2 | overflow filter |
//!
//! **Offsets** of a collection: at (group × 15 + lane) × width, the offset of the entry in that
//! lane, counted from where the collection's entries begin; 0 for an empty lane. The width is 4
//! bytes if the collection's entries take at most 4 GiB, and otherwise 6.
//!
//! The hash is xxh3-64 of the key with the seed:
//!
//! | bits of the hash | use |
//! |---|---|
//! | 0..16 | the tag; a tag of 0 is written as 1 |
//! | 16..20 | the number of the bit in overflow filters |
//! | all, so above all the highest | the home: the upper half of the 128-bit product of the hash and `homes`, which the directory holds |
//!
//! A search begins at the group that is the key's home. It compares the key with those of the
//! entries in all lanes that have the key's tag, and goes on to the next group only if the filter
//! has the key's bit set. An entry is in the first group from its home on that has room after the
//! entries with lower hashes; every group before that is full, and has the entry's bit set in its
//! filter. There are at least `homes` groups, and more only if the last entries need them. In a
//! large collection there is one home for every 12 entries: nine groups in ten have an empty
//! filter, and an absent key is told from one group. A collection of up to 15 entries has one.
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
//! | 32 | 8 | bytes of the keys and values of all puts together |
//! | 40 | 8 | offset of the entries |
//! | 48 | 8 | end of the entries |
//! | 56 | 8 | offset of the anchors; their number follows from that of the entries |
//! | 64 | 8 | offset of the groups; the offsets of entries follow at the next multiple of 64 |
//! | 72 | 8 | number of groups |
//! | 80 | 8 | homes |
//! | 88 | 8 | width of an offset of an entry, in bytes |
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

use kv_vfs::{
    little_endian::{get_u32, get_u64, get_u128, put_u32, put_u64, put_u128},
    preamble::{PREAMBLE_BYTES, Preamble},
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::block::{BLOCK_BYTES, Block};
pub(crate) use super::section::{SECTION_BYTES, Section};
use crate::error::DecodeError;

/// The longest part, in bytes: an offset of an entry has at most 6 bytes.
pub(crate) const PART_BYTES_MAX: u64 = 1 << 48;

const KIND: Preamble = Preamble { magic: *b"kvpart\r\n", version: 2, incompatible_known: 0 };
const FOOTER_MAGIC: [u8; 8] = *b"kvpartFT";
const IDENTITY_AT: usize = PREAMBLE_BYTES;
const BLOCK_BYTES_AT: usize = IDENTITY_AT + 16;

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
