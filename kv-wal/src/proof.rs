//! Beyond a bad frame: is there proof that something durable is lost?

use kv_core::{Lsn, Result};

use crate::{
    bytes::{is_zero, len_without_trailing_zeroes},
    file::Segment,
    frame::{ALIGNMENT, FrameHeader, HEADER_BYTES},
    scanner::read_up_to,
};

/// How many bytes are looked at together.
const CHUNK_BYTES: usize = 256 << 10;

/// What lies beyond a place in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// The highest watermark of a valid frame's header, and where in the file that is, in bytes.
    pub(crate) watermark: Option<(Lsn, u64)>,
    /// Where the last byte that is not zero ends, in bytes from the start of the file; `None` if there is nothing but zeroes.
    pub(crate) nonzero_end: Option<u64>,
}

/// Looks at everything in `segment` from `from` on, which is a multiple of eight. A header counts wherever it begins at one: after a bad
/// frame nobody knows where the next should be. It counts without its payload, too, and whatever it lies in: with this
/// segment's identity in its checksum, nobody but this log wrote it, and what it said was true.
pub(crate) fn beyond(segment: &Segment, from: u64) -> Result<Beyond> {
    let mut found = Beyond::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = from;
    loop {
        // Chunks overlap by a header, so that none is cut in two.
        let len = read_up_to(&*segment.file, &mut chunk, at)?;
        look_at(&chunk[..len], at, segment.header.identity, &mut found);
        if len < CHUNK_BYTES {
            return Ok(found);
        }
        at += (CHUNK_BYTES - HEADER_BYTES) as u64;
    }
}

/// Whether there is nothing behind the segment's header.
pub(crate) fn is_unused(segment: &Segment) -> Result<bool> {
    Ok(beyond(segment, segment.block())?.nonzero_end.is_none())
}

fn look_at(chunk: &[u8], chunk_at: u64, identity: u64, found: &mut Beyond) {
    if is_zero(chunk) {
        return;
    }
    found.nonzero_end = Some(chunk_at + len_without_trailing_zeroes(chunk) as u64);
    for at in (0..chunk.len().saturating_sub(HEADER_BYTES - 1)).step_by(ALIGNMENT) {
        if chunk[at] != 0
            && let Some(header) = FrameHeader::decode(&chunk[at..], identity)
            && found.watermark.is_none_or(|(highest, _)| header.watermark > highest)
        {
            found.watermark = Some((header.watermark, chunk_at + at as u64));
        }
    }
}
