//! The blocks of a mapped part, each verified when it is touched for the first time.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use kv_core::{Error, Result};

use crate::{
    bytes::u64_at,
    format::{self, BLOCK_BYTES},
    tree::Tree,
};

const BLOCK_SHIFT: u32 = BLOCK_BYTES.trailing_zeros();
const WORD_BITS: u64 = u64::BITS as u64;

/// A mapped file, the tree of its checksums, and what of it has been verified.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: PathBuf,
    map: Bytes,
    seed: u64,
    tree: Tree,
    root: u64,
    /// A bit a block. Relaxed throughout: the bit says something about bytes that never change, and publishes nothing; two
    /// threads that verify the same block do the same work twice.
    verified: Box<[AtomicU64]>,
}

impl Blocks {
    /// The file's whole blocks, of which `tree`, whose top has the checksum `root`, covers all but the last.
    pub(crate) fn new(file: PathBuf, map: Bytes, seed: u64, tree: Tree, root: u64) -> Self {
        let words = tree.end().div_ceil(WORD_BITS);
        let verified = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { file, map, seed, tree, root, verified }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The map, whatever has been verified of it.
    pub(crate) fn map(&self) -> &Bytes {
        &self.map
    }

    /// The end of the block in which the byte at `offset` lies.
    #[inline]
    pub(crate) fn block_end(offset: u64) -> u64 {
        (offset >> BLOCK_SHIFT << BLOCK_SHIFT) + BLOCK_BYTES as u64
    }

    /// Whether the bytes from `start` to before `end`, of which there is one at least, lie in one block.
    #[inline]
    pub(crate) fn is_one_block(start: u64, end: u64) -> bool {
        start >> BLOCK_SHIFT == (end - 1) >> BLOCK_SHIFT
    }

    /// The bytes from `start` to before `end`, verified.
    #[inline]
    pub(crate) fn bytes(&self, start: u64, end: u64) -> Result<&[u8]> {
        if start >= end {
            return Ok(&[]);
        }
        // The last block is the footer: nothing outside the tree is ever asked for.
        if end > self.tree.end() << BLOCK_SHIFT {
            return Err(self.beyond(start));
        }
        let (first, last) = (start >> BLOCK_SHIFT, (end - 1) >> BLOCK_SHIFT);
        if first != last || !self.is_verified(first) {
            self.verify_all(first..=last)?;
        }
        Ok(&self.map[start as usize..end as usize])
    }

    #[inline(never)]
    fn verify_all(&self, mut blocks: RangeInclusive<u64>) -> Result<()> {
        blocks.try_for_each(|block| if self.is_verified(block) { Ok(()) } else { self.verify(block) })
    }

    #[inline]
    fn is_verified(&self, block: u64) -> bool {
        self.verified[(block / WORD_BITS) as usize].load(Ordering::Relaxed) >> (block % WORD_BITS) & 1 == 1
    }

    #[cold]
    fn verify(&self, block: u64) -> Result<()> {
        let expected = match self.tree.checksum_offset(block) {
            // The block of the tree that holds the checksum lies further up: this ends at the root.
            Some(offset) => u64_at(self.bytes(offset, offset + 8)?, 0),
            None => self.root,
        };
        let start = block << BLOCK_SHIFT;
        if format::checksum(&self.map[start as usize..start as usize + BLOCK_BYTES], self.seed) != expected {
            let detail = format!("the block of {BLOCK_BYTES} bytes does not match its checksum");
            return Err(Error::corrupt(&self.file, start, detail));
        }
        self.verified[(block / WORD_BITS) as usize].fetch_or(1 << (block % WORD_BITS), Ordering::Relaxed);
        Ok(())
    }

    #[cold]
    fn beyond(&self, start: u64) -> Error {
        Error::corrupt(&self.file, start, "something is said to lie here that would reach beyond the data")
    }
}
