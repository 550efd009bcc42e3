//! Corrects the checksums of a log's files, whatever else is in them.

use kv_vfs::little_endian::{get_u32, get_u64, put_u64};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::BLOCK_BYTES;

const IDENTITY_AT: usize = 64;
const FRAME_HEADER_BYTES: usize = 32;

/// Corrects the checksums of the header and of the consecutive frames from block 1 on.
pub(super) fn fix_segment(file: &mut [u8]) {
    fix_preamble(&mut file[..BLOCK_BYTES]);
    let identity = get_u64(file, IDENTITY_AT);
    let mut rest = &mut file[BLOCK_BYTES..];
    while let Some((frame, behind)) = split_frame(rest) {
        fix_frame(frame, identity);
        rest = behind;
    }
}

/// Corrects the checksum of a slot of a mark.
pub(super) fn fix_mark_slot(slot: &mut [u8]) {
    fix_preamble(slot);
}

fn fix_preamble(header: &mut [u8]) {
    let checksum = xxh3_64(&header[16..]);
    put_u64(header, 8, checksum);
}

/// The frame that begins here, and the bytes after it. If its length reaches too far, only the
/// header is taken.
fn split_frame(rest: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    if rest.len() < FRAME_HEADER_BYTES || rest[0] == 0 {
        return None;
    }
    let whole = FRAME_HEADER_BYTES + (get_u32(rest, 4) as usize).next_multiple_of(8) + 8;
    let end = if whole <= rest.len() { whole } else { FRAME_HEADER_BYTES };
    Some(rest.split_at_mut(end))
}

fn fix_frame(frame: &mut [u8], identity: u64) {
    let checksum = xxh3_64_with_seed(&frame[..24], identity);
    put_u64(frame, 24, checksum);
    if frame.len() > FRAME_HEADER_BYTES {
        let at = frame.len() - 8;
        let seed = identity ^ get_u64(frame, 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let checksum = xxh3_64_with_seed(&frame[FRAME_HEADER_BYTES..at], seed);
        put_u64(frame, at, checksum);
    }
}
