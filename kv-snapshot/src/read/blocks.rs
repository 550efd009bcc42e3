//! The blocks of a part. Each is verified when it is touched for the first time after opening, or
//! when it is read into the cache.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use kv_core::{Error, Result};
use kv_vfs::little_endian::get_u64;

use super::{piece::Piece, unmapped::Unmapped};
use crate::format::{
    block::{BLOCK_BYTES, checksum},
    tree::Tree,
};

pub(super) const BLOCK_SHIFT: u32 = BLOCK_BYTES.trailing_zeros();
const WORD_BITS: u64 = u64::BITS as u64;

/// A file, the shape of its checksum tree, and which blocks have been verified.
///
/// A file that is not mapped has an empty map and no verified blocks. So whatever looks for bytes
/// in place finds none, and goes on to where they are read: the quick ways ask for nothing more.
///
/// Any number of threads read at once, without locks. That is race-free because the file never
/// changes while it is mapped:
///
/// - A thread that sees the bit of a block set may use the block. The bit states a fact about bytes
///   that never change, and publishes nothing else, so `Relaxed` is enough.
/// - A thread that does not see the bit yet verifies the block again, with the same result.
/// - A block that does not match leaves its bit unset: every later read fails as well.
///
/// A bit stays set for as long as the part is open and no damage was met in it. If the kernel drops
/// the page and reads it from the disk again, the block is not verified again.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: PathBuf,
    /// Empty if the file is not mapped.
    map: Bytes,
    seed: u64,
    tree: Tree,
    root: u64,
    /// One bit for each block that is mapped.
    verified: Box<[AtomicU64]>,
    unmapped: Option<Unmapped>,
}

/// Where the bytes of a file come from.
#[derive(Debug)]
pub(crate) enum Source {
    Map(Bytes),
    File(Unmapped),
}

impl Blocks {
    /// The blocks of a file. `tree` covers all of them but the last, which is the footer; `root` is
    /// the checksum of its top block.
    pub(crate) fn new(file: PathBuf, source: Source, seed: u64, tree: Tree, root: u64) -> Self {
        let (map, unmapped) = match source {
            Source::Map(map) => (map, None),
            Source::File(file) => (Bytes::new(), Some(file)),
        };
        let words = if unmapped.is_some() { 0 } else { tree.end().div_ceil(WORD_BITS) };
        let verified = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { file, map, seed, tree, root, verified, unmapped }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    #[inline]
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The whole map, verified or not; empty if the file is not mapped.
    #[inline]
    pub(crate) fn map(&self) -> &Bytes {
        &self.map
    }

    /// The file, if it is not mapped.
    #[inline]
    pub(crate) fn unmapped(&self) -> Option<&Unmapped> {
        self.unmapped.as_ref()
    }

    /// The end of the block that holds the byte at `offset`.
    #[inline]
    pub(crate) fn block_end(offset: u64) -> u64 {
        (offset >> BLOCK_SHIFT << BLOCK_SHIFT) + BLOCK_BYTES as u64
    }

    /// Whether the bytes from `start` to before `end` lie in one block. There must be at least one.
    #[inline]
    pub(crate) fn is_one_block(start: u64, end: u64) -> bool {
        start >> BLOCK_SHIFT == (end - 1) >> BLOCK_SHIFT
    }

    /// The bytes from `start` to before `end`, verified.
    #[inline]
    pub(crate) fn bytes(&self, start: u64, end: u64) -> Result<Piece<'_>> {
        match self.bytes_of_verified_block(start, end) {
            Some(bytes) => Ok(Piece::InPlace(bytes)),
            None => self.verify_bytes(start, end),
        }
    }

    /// The bytes from `start` to before `end`, if they lie in one block that has been verified:
    /// what nearly every read finds.
    ///
    /// This is small, so that it becomes part of its callers. It gives no [`Result`], because a
    /// look-up that stores one in memory and loads it again would wait for all loads before it,
    /// instead of letting the look-ups after it begin.
    #[inline]
    pub(crate) fn bytes_of_verified_block(&self, start: u64, end: u64) -> Option<&[u8]> {
        let rest = self.rest_of_verified_block(start)?;
        rest.get(..end.checked_sub(start)? as usize)
    }

    /// The bytes from `start` to the end of its block, if that has been verified.
    #[inline]
    pub(crate) fn rest_of_verified_block(&self, start: u64) -> Option<&[u8]> {
        let block = start >> BLOCK_SHIFT;
        let bytes = self.map.as_chunks::<BLOCK_BYTES>().0.get(block as usize)?;
        let rest = &bytes[(start % BLOCK_BYTES as u64) as usize..];
        self.is_verified(block).then_some(rest)
    }

    /// Whether all blocks that hold the bytes from `start` to before `end` have been verified.
    #[inline]
    pub(crate) fn are_verified(&self, start: u64, end: u64) -> bool {
        (start >> BLOCK_SHIFT..end.div_ceil(BLOCK_BYTES as u64)).all(|block| self.is_verified(block))
    }

    #[inline(never)]
    fn verify_bytes(&self, start: u64, end: u64) -> Result<Piece<'_>> {
        if start >= end {
            return Ok(Piece::InPlace(&[]));
        }
        // Only the footer comes after the tree, and it is never read through here.
        if end > self.tree.end() << BLOCK_SHIFT {
            return Err(self.beyond(start));
        }
        if let Some(file) = &self.unmapped {
            return self.read(file, start, end).map(Piece::Held);
        }
        let (first, last) = (start >> BLOCK_SHIFT, (end - 1) >> BLOCK_SHIFT);
        (first..=last).try_for_each(|block| if self.is_verified(block) { Ok(()) } else { self.verify(block) })?;
        Ok(Piece::InPlace(&self.map[start as usize..end as usize]))
    }

    /// The length of the file in blocks.
    pub(crate) fn count(&self) -> u64 {
        self.tree.end() + 1
    }

    /// The length of the file in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.count() << BLOCK_SHIFT
    }

    /// Verifies a block again, even if that was done before. The footer is not one of these blocks.
    pub(crate) fn verify_again(&self, block: u64) -> Result<()> {
        if block >= self.tree.end() {
            return Err(self.beyond(block << BLOCK_SHIFT));
        }
        self.verify(block)
    }

    /// Forgets which blocks were verified, so that each is verified again before its next use.
    #[cold]
    pub(crate) fn forget(&self) {
        self.verified.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    #[inline]
    fn is_verified(&self, block: u64) -> bool {
        let word = self.verified.get((block / WORD_BITS) as usize);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (block % WORD_BITS) & 1 == 1)
    }

    /// Verifies a block of the map.
    #[cold]
    fn verify(&self, block: u64) -> Result<()> {
        let start = (block << BLOCK_SHIFT) as usize;
        self.compare(block, &self.map[start..start + BLOCK_BYTES])?;
        self.verified[(block / WORD_BITS) as usize].fetch_or(1 << (block % WORD_BITS), Ordering::Relaxed);
        Ok(())
    }

    /// Compares what was read of a block with its checksum.
    pub(super) fn compare(&self, block: u64, bytes: &[u8]) -> Result<()> {
        let expected = match self.tree.checksum_offset(block) {
            // Verifies the block of the tree that holds the checksum, one level up. This ends at
            // the root.
            Some(offset) => get_u64(&self.bytes(offset, offset + 8)?, 0),
            None => self.root,
        };
        if checksum(bytes, self.seed) != expected {
            let detail = format!("the block of {BLOCK_BYTES} bytes does not match its checksum");
            return Err(Error::corrupt(&self.file, block << BLOCK_SHIFT, detail));
        }
        Ok(())
    }

    #[cold]
    fn beyond(&self, start: u64) -> Error {
        Error::corrupt(&self.file, start, "a reference to this place reaches past the end of the data")
    }
}
