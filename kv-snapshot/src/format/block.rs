//! Blocks: the unit of checksums.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The size of a block, in bytes: a page, so that verifying touches no page that reading does not.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// Collections, anchors, slots and the directory begin at multiples of this many bytes.
pub(crate) const ALIGN_BYTES: u64 = 64;

/// A block of a file.
pub(crate) type Block = [u8; BLOCK_BYTES];

const _: () = assert!(BLOCK_BYTES.is_multiple_of(ALIGN_BYTES as usize), "a block holds whole cache lines");

/// The checksum of a block.
pub(crate) fn checksum(block: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(block, seed)
}
