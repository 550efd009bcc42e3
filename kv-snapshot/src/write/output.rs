//! Buffers the bytes of a part, writes them to its file a mebibyte at a time, and computes the
//! checksum of each block.

use std::sync::Arc;

use kv_core::Result;
use kv_vfs::File;

use super::steps::{GoOn, STEP};
use crate::format::{
    block::{BLOCK_BYTES, checksum},
    tree::Tree,
};

/// The size of a write, in bytes.
const BUFFER_BYTES: usize = 1 << 20;
/// The file is synced each time that so much was written. So there is little left to write at the
/// end, and no long flush that those of the log would have to wait for.
const SYNC_BYTES: u64 = 8 << 20;

const _: () = assert!(BUFFER_BYTES.is_multiple_of(BLOCK_BYTES), "the buffer holds whole blocks");

#[derive(Debug)]
pub(crate) struct Output {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
    seed: u64,
    /// One for each block written since the last level of the tree began: 8 bytes per 4 KiB.
    checksums: Vec<u64>,
}

impl Output {
    pub(crate) fn new(file: Arc<dyn File>, seed: u64) -> Self {
        Self { file, buffer: Vec::with_capacity(BUFFER_BYTES), written: 0, synced: 0, seed, checksums: Vec::new() }
    }

    /// The offset of the next byte.
    pub(crate) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            if self.buffer.len() == BUFFER_BYTES {
                self.flush()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Writes zeroes up to the next multiple of `align` bytes. `align` divides the size of a block.
    pub(crate) fn pad_to(&mut self, align: u64) -> Result<()> {
        let gap = self.position().next_multiple_of(align) - self.position();
        self.write(&[0; BLOCK_BYTES][..gap as usize])
    }

    /// Writes the checksum tree over everything so far, which must be whole blocks, and returns the
    /// checksum of its top block.
    pub(crate) fn write_tree(&mut self, go_on: GoOn<'_>) -> Result<u64> {
        self.flush()?;
        let tree = Tree::new(self.checksums.len() as u64);
        let mut below = std::mem::take(&mut self.checksums);
        loop {
            for (number, checksum) in below.iter().enumerate() {
                if number.is_multiple_of(STEP) {
                    go_on()?;
                }
                self.write(&checksum.to_le_bytes())?;
            }
            self.pad_to(BLOCK_BYTES as u64)?;
            self.flush()?;
            let level = std::mem::take(&mut self.checksums);
            if let [root] = level[..] {
                debug_assert_eq!(self.position(), tree.end() * BLOCK_BYTES as u64);
                return Ok(root);
            }
            below = level;
        }
    }

    /// Writes the buffer, which holds whole blocks, to the file.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let blocks = self.buffer.chunks_exact(BLOCK_BYTES);
        self.checksums.extend(blocks.map(|block| checksum(block, self.seed)));
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.written;
        }
        Ok(())
    }
}
