//! Fills a new segment with zeroes, at a pace that leaves the disk to the flushes of the log.
//!
//! The zeroes are synced piece by piece, so a flush that comes meanwhile waits for one piece at
//! most. Nothing waits for them while little of the segment before is used: then the pieces are
//! short, with pauses between them. If the log fills that segment faster than this one is filled,
//! there are no pauses, and each piece is twice as long as the one before it.

use std::{
    thread,
    time::{Duration, Instant},
};

use kv_vfs::File;

/// How many zeroes are written before they are synced, while nothing waits for them.
const PIECE_BYTES: u64 = 128 << 10;
/// A piece is at most this long, however fast the log grows.
const PIECE_BYTES_MAX: u64 = 16 << 20;
/// A pause takes this many times as long as the sync before it.
const PAUSES: u32 = 4;
/// A pause takes at most this long, for disks whose syncs take much longer at times.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// There are pauses only while at least this many times as much of the new segment is filled as is
/// used of the segment before it. So it is full long before it is needed.
const LEAD: f64 = 2.0;

/// Writes `bytes` zeroes at `at`, and syncs all of them but those of the last piece. `used` gives
/// which part of the segment before is used, from 0 to 1.
pub(crate) fn fill_with_zeroes(file: &dyn File, at: u64, bytes: u64, used: &dyn Fn() -> f64) -> kv_vfs::Result<()> {
    let (mut filled, mut piece) = (0, PIECE_BYTES);
    while bytes - filled > piece {
        file.write_zeroes(at + filled, piece)?;
        let began = Instant::now();
        file.sync_data()?;
        let took = began.elapsed();
        filled += piece;
        if filled as f64 / bytes as f64 >= LEAD * used() {
            piece = PIECE_BYTES;
            thread::sleep((took * PAUSES).min(PAUSE_MAX));
        } else {
            piece = (2 * piece).min(PIECE_BYTES_MAX);
        }
    }
    file.write_zeroes(at + filled, bytes - filled)
}
