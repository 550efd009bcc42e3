//! Reading blocks of a part that is not mapped, with `pread` and through a cache.
//!
//! A page that the disk cannot read is an error here, while it ends a process that reads through a
//! map.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use kv_core::Result;
use kv_vfs::File;

use super::{
    blocks::{BLOCK_SHIFT, Blocks},
    cache::BlockCache,
    file::read_exact,
    piece::Held,
};
use crate::{
    error::{damage_or_error, is_damage},
    format::block::BLOCK_BYTES,
};

/// The most blocks that are read at once, unless one value takes more.
pub(crate) const READ_BLOCKS: u64 = 32;

/// The file of a part that is not mapped.
#[derive(Debug)]
pub(crate) struct Unmapped {
    pub(crate) file: Arc<dyn File>,
    pub(crate) cache: Arc<BlockCache>,
    /// The digest of the part.
    pub(crate) digest: u128,
}

impl Unmapped {
    /// Blocks of the file, not verified.
    fn read(&self, blocks: &Range<u64>) -> Result<Vec<u8>> {
        let mut buffer = vec![0; (blocks.end - blocks.start) as usize * BLOCK_BYTES];
        read_exact(&*self.file, &mut buffer, blocks.start << BLOCK_SHIFT)?;
        Ok(buffer)
    }
}

impl Blocks {
    /// The bytes from `start` to before `end`, of which there is at least one.
    pub(super) fn read(&self, from: &Unmapped, start: u64, end: u64) -> Result<Held> {
        let blocks = start >> BLOCK_SHIFT..((end - 1) >> BLOCK_SHIFT) + 1;
        let within = (start - (blocks.start << BLOCK_SHIFT)) as usize..(end - (blocks.start << BLOCK_SHIFT)) as usize;
        match blocks.end - blocks.start {
            1 => Ok(Held::new(self.cached(from, blocks.start)?, within)),
            // Something short that lies across the end of a block.
            2 => {
                let (first, second) = (self.cached(from, blocks.start)?, self.cached(from, blocks.start + 1)?);
                let joined = [&first[within.start..], &second[..within.end - BLOCK_BYTES]].concat();
                Ok(Held::new(joined.into(), 0..within.len()))
            }
            // Something longer than a block. It would push many blocks out of the cache.
            _ => Ok(Held::new(self.read_some(from, &blocks, &blocks)?.1, within)),
        }
    }

    fn cached(&self, from: &Unmapped, block: u64) -> Result<Bytes> {
        let key = (from.digest, block);
        if let Some(bytes) = from.cache.get(key) {
            return Ok(bytes);
        }
        let bytes = from.read(&(block..block + 1))?;
        self.compare(block, &bytes)?;
        let bytes = Bytes::from(bytes);
        from.cache.insert(key, bytes.clone());
        Ok(bytes)
    }

    /// Reads the blocks `wanted`. Gives those `needed`, and as many around them as are sound: the
    /// number of the first block, and the bytes. Nothing is left in the cache, except a block that
    /// is read alone.
    pub(super) fn read_some(&self, from: &Unmapped, wanted: &Range<u64>, needed: &Range<u64>) -> Result<(u64, Bytes)> {
        if wanted.end - wanted.start == 1 {
            return Ok((needed.start, self.cached(from, needed.start)?));
        }
        let bytes = match from.read(wanted) {
            // The file ends, or cannot be read, where it is not needed yet. That is met when its
            // turn comes.
            Err(error) if is_damage(&error) && wanted != needed => return self.read_some(from, needed, needed),
            read => Bytes::from(read?),
        };
        let place = |block: u64| (block - wanted.start) as usize * BLOCK_BYTES;
        let check = |block: u64| self.compare(block, &bytes[place(block)..][..BLOCK_BYTES]);
        needed.clone().try_for_each(check)?;
        let start = (wanted.start..needed.start).rev().take_while(|block| check(*block).is_ok()).last();
        let end = (needed.end..wanted.end).take_while(|block| check(*block).is_ok()).last();
        let start = start.unwrap_or(needed.start);
        let end = end.map_or(needed.end, |last| last + 1);
        Ok((start, bytes.slice(place(start)..place(end))))
    }

    /// Reads and verifies blocks, past the cache. All of them are read, whatever is wrong with
    /// some. Returns the first damage, or else the first error.
    pub(super) fn verify_on_disk(&self, from: &Unmapped, blocks: Range<u64>) -> Result<()> {
        let mut verified = Ok(());
        let mut note = |result| verified = damage_or_error(std::mem::replace(&mut verified, Ok(())), result);
        for start in blocks.clone().step_by(READ_BLOCKS as usize) {
            let piece = start..(start + READ_BLOCKS).min(blocks.end);
            match from.read(&piece) {
                Ok(bytes) => {
                    piece
                        .zip(bytes.chunks_exact(BLOCK_BYTES))
                        .for_each(|(block, bytes)| note(self.compare(block, bytes)));
                }
                Err(_) => piece.for_each(|block| {
                    note(from.read(&(block..block + 1)).and_then(|bytes| self.compare(block, &bytes)));
                }),
            }
        }
        verified
    }
}
