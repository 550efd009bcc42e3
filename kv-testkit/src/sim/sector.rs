//! Sectors: the unit that a disk writes as a whole.

use std::ops::Range;

/// What a disk writes as a whole, in bytes. Only the weakest model tears it.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Splits a write into sectors: the number of each within the write, counted from 1, and the range
/// of the written bytes that lies in it.
pub(super) fn split(offset: u64, len: usize) -> impl Iterator<Item = (u32, Range<usize>)> {
    let end = offset + len as u64;
    let first = offset / SECTOR_BYTES;
    (first..end.div_ceil(SECTOR_BYTES)).map(move |sector| {
        let from = (sector * SECTOR_BYTES).max(offset) - offset;
        let to = ((sector + 1) * SECTOR_BYTES).min(end) - offset;
        ((sector - first) as u32 + 1, from as usize..to as usize)
    })
}
