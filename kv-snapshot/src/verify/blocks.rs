//! Verifies every block of a part.

use std::ops::Range;

use kv_core::{Error, Result};
use kv_vfs::{File, Vfs, little_endian::get_u64};

use crate::{
    error::missing_part_is_damage,
    format::{
        block::{BLOCK_BYTES, Block, checksum},
        manifest::PartRef,
        names,
        part::{Footer, Header, Summary, digest},
        tree::Tree,
    },
    read::file::{self, read_exact, twice},
};

/// The number of blocks in one read.
const CHUNK_BLOCKS: usize = 256;

/// Reads the whole file of a part that a manifest names, from the disk, as [`verify_blocks`] does.
pub(crate) fn verify_file(vfs: &dyn Vfs, part: &PartRef, go_on: impl FnMut() -> Result<()>) -> Result<()> {
    let opened = file::open(vfs, &names::part(part.seq)).map_err(Error::from);
    let file = opened.map_err(missing_part_is_damage)?;
    twice(|| file.drop_cache())?;
    verify_blocks(&*file, &part.summary, go_on)
}

/// Reads the whole file and verifies that every block matches its checksum, and that the file is
/// the one that `expected` describes. `go_on` is called between reads; an error from it ends the
/// work.
///
/// It does not read through a map: a sector that cannot be read would end the process.
pub(crate) fn verify_blocks(file: &dyn File, expected: &Summary, mut go_on: impl FnMut() -> Result<()>) -> Result<()> {
    let wrong = |offset: u64, detail: &str| Error::corrupt(file.path(), offset, detail);
    let length = twice(|| file.len())?;
    if length != expected.bytes || length < 2 * BLOCK_BYTES as u64 {
        return Err(wrong(length, &format!("the file has {length} bytes, and should have {}", expected.bytes)));
    }
    let footer_offset = length - BLOCK_BYTES as u64;
    let first = read_block(file, 0)?;
    let last = read_block(file, footer_offset)?;
    if digest(&first, &last) != expected.digest {
        return Err(wrong(0, "its header and footer are not those of the part that was written"));
    }
    let header = Header::decode(&first).map_err(|fault| fault.at(file.path(), 0))?;
    let footer = Footer::decode(&last, header.seed()).map_err(|fault| fault.at(file.path(), footer_offset))?;
    let tree = Tree::new(footer.blocks_covered);
    if tree.end().checked_mul(BLOCK_BYTES as u64) != Some(footer_offset) {
        return Err(wrong(footer_offset, "the footer does not belong to this file"));
    }
    let chunk_blocks = CHUNK_BLOCKS.min((length / BLOCK_BYTES as u64) as usize);
    let mut reader = Reader { file, seed: header.seed(), buffer: vec![0; chunk_blocks * BLOCK_BYTES] };
    // From the top of the tree down: the checksums of a level have been verified before it is read.
    let mut expected = vec![footer.root];
    for level in tree.levels_from_top() {
        expected = reader.level(level, &expected, &mut go_on)?;
    }
    Ok(())
}

struct Reader<'a> {
    file: &'a dyn File,
    seed: u64,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// Verifies the blocks of a level. For a level of the tree, returns the checksums that it
    /// holds.
    fn level(
        &mut self,
        level: Range<u64>,
        expected: &[u64],
        go_on: &mut impl FnMut() -> Result<()>,
    ) -> Result<Vec<u64>> {
        let mut held = Vec::new();
        let is_tree = level.start > 0;
        for (expected, start) in expected.chunks(CHUNK_BLOCKS).zip((level.start..level.end).step_by(CHUNK_BLOCKS)) {
            go_on()?;
            let blocks = expected.len().min((level.end - start) as usize);
            let chunk = &mut self.buffer[..blocks * BLOCK_BYTES];
            read_exact(self.file, chunk, start * BLOCK_BYTES as u64)?;
            for ((block, expected), number) in chunk.chunks_exact(BLOCK_BYTES).zip(expected).zip(start..) {
                if checksum(block, self.seed) != *expected {
                    let detail = "the block does not match its checksum";
                    return Err(Error::corrupt(self.file.path(), number * BLOCK_BYTES as u64, detail));
                }
            }
            if is_tree {
                held.extend(chunk.chunks_exact(8).map(|checksum| get_u64(checksum, 0)));
            }
        }
        Ok(held)
    }
}

fn read_block(file: &dyn File, offset: u64) -> Result<Box<Block>> {
    let mut block = Box::new([0; BLOCK_BYTES]);
    read_exact(file, &mut *block, offset)?;
    Ok(block)
}
