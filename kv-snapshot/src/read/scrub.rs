//! Reading a checkpoint block by block, to bring it into memory and to find damage.

use std::ops::Range;

use kv_core::Result;

use super::{open_part::OpenPart, stack::Stack};
use crate::{error::damage_or_error, format::block::BLOCK_BYTES};

impl Stack {
    /// Reads about `bytes` bytes of the parts, one after the other, and verifies them, also if that
    /// was done before. Returns where the next piece begins, or `None` at the end.
    ///
    /// Nothing ends the piece: all of it is read, and the first damage is returned, or else the
    /// first error.
    pub(crate) fn scrub(&self, from: u64, bytes: u64) -> Result<Option<u64>> {
        let block_bytes = BLOCK_BYTES as u64;
        let start = from / block_bytes;
        let end = from.saturating_add(bytes).div_ceil(block_bytes).max(start + 1);
        let mut part_start = 0;
        let mut scrubbed = Ok(());
        for part in &self.parts {
            let part_end = part_start + part.part().blocks().count();
            let piece = start.max(part_start)..end.min(part_end);
            if piece.start < piece.end {
                let read = part.scrub(piece.start - part_start..piece.end - part_start);
                scrubbed = damage_or_error(scrubbed, read);
            }
            part_start = part_end;
        }
        scrubbed.map(|()| (end < part_start).then(|| end * block_bytes))
    }
}

impl OpenPart {
    fn scrub(&self, blocks: Range<u64>) -> Result<()> {
        // No verified bit is trusted: a page that was dropped and read again may have changed.
        self.watch(self.part().verify_again(blocks))
    }
}
