//! The checksum tree: where the checksum of each block is.
//!
//! The tree follows the blocks that it covers. Its lowest level has 8 bytes for each of them, 512
//! to a block. Each further level has 8 bytes for each block of the level below, up to a level of a
//! single block, whose checksum is in the footer. The rest of a level's last block is zero.
//!
//! So a block can be verified alone, by reading one block of each level. Blocks of the tree that
//! were verified before need not be verified again.

use std::ops::Range;

use super::block::BLOCK_BYTES;

/// The number of checksums in a block.
const FAN_OUT: u64 = BLOCK_BYTES as u64 / CHECKSUM_BYTES;
/// The size of a checksum, in bytes.
const CHECKSUM_BYTES: u64 = 8;

/// The shape of a checksum tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    /// The first block of each level, the lowest level first, then the first block behind the tree.
    /// The covered blocks come before them.
    starts: Vec<u64>,
}

impl Tree {
    /// The tree over `blocks_covered` blocks, at least one.
    pub(crate) fn new(blocks_covered: u64) -> Self {
        let mut starts = vec![blocks_covered];
        let mut below = blocks_covered;
        let mut end = blocks_covered;
        loop {
            below = below.div_ceil(FAN_OUT);
            end += below;
            starts.push(end);
            if below <= 1 {
                return Self { starts };
            }
        }
    }

    /// The number of the first block behind the tree.
    pub(crate) fn end(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The blocks of each level: the top first, the covered blocks last. The checksums of a level
    /// are in the level before it.
    pub(crate) fn levels_from_top(&self) -> impl Iterator<Item = Range<u64>> {
        let levels = self.starts.windows(2).map(|pair| pair[0]..pair[1]).rev();
        levels.chain(self.starts.first().map(|covered| 0..*covered))
    }

    /// The offset of the checksum of `block`, in bytes; `None` for the top, whose checksum is in
    /// the footer.
    pub(crate) fn checksum_offset(&self, block: u64) -> Option<u64> {
        let level = self.starts.partition_point(|start| *start <= block);
        let first = if level == 0 { 0 } else { self.starts[level - 1] };
        let table = *self.starts.get(level).filter(|table| **table < self.end())?;
        Some(table * BLOCK_BYTES as u64 + (block - first) * CHECKSUM_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level_up_to_512_blocks() {
        let tree = Tree::new(512);
        assert_eq!(tree.end(), 513);
        assert_eq!(tree.checksum_offset(0), Some(512 * 4096));
        assert_eq!(tree.checksum_offset(511), Some(512 * 4096 + 511 * 8));
        assert_eq!(tree.checksum_offset(512), None);
    }

    #[test]
    fn two_levels_above() {
        let tree = Tree::new(513);
        assert_eq!(tree.end(), 516);
        assert_eq!(tree.checksum_offset(512), Some(514 * 4096));
        assert_eq!(tree.checksum_offset(513), Some(515 * 4096));
        assert_eq!(tree.checksum_offset(514), Some(515 * 4096 + 8));
        assert_eq!(tree.checksum_offset(515), None);
    }

    #[test]
    fn every_block_has_a_place_of_its_own() {
        for covered in [1, 2, 511, 512, 513, 1024, 512 * 512, 512 * 512 + 1] {
            let tree = Tree::new(covered);
            let mut places: Vec<_> = (0..tree.end() - 1).map(|block| tree.checksum_offset(block).unwrap()).collect();
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
            places.dedup();
            assert_eq!(places.len() as u64, tree.end() - 1);
            assert!(places.iter().all(|place| (covered * 4096..tree.end() * 4096).contains(place)));
            assert_eq!(tree.checksum_offset(tree.end() - 1), None);
        }
    }
}
