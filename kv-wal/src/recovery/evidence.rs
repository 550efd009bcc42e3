//! Torn or damaged? Searches for proof that the log was durable beyond the place where it ends.

use std::path::PathBuf;

use kv_core::{Error, Lsn, Result};

use super::{inventory::Inventory, report::TornTail, walk::LogEnd};
use crate::{
    error,
    format::{
        frame::{ALIGNMENT, FrameHeader, HEADER_BYTES},
        names,
        zeroes::{is_zero, len_without_trailing_zeroes},
    },
    segment_file::{Segment, read_up_to},
};

/// How many bytes are searched at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What lies beyond the end of the log, if none of it was durable.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) torn: Option<TornTail>,
    /// Whether the highest segment holds anything beyond its header.
    pub(crate) highest_is_used: bool,
}

/// Proof that a position was durable: what states it, and where.
struct Proof {
    durable: Lsn,
    file: PathBuf,
    offset: u64,
}

impl Inventory<'_> {
    /// Searches everything beyond the end of the log. Returns it as a torn tail if nothing proves
    /// that it was durable.
    ///
    /// # Errors
    /// [`Corrupt`](Error::Corrupt) if the mark, or the header of a frame beyond the end, states
    /// that a position beyond the end was durable: damage has lost it.
    pub(crate) fn classify_remains(&self, log_end: &LogEnd) -> Result<Remains> {
        let missing = log_end.end.last.next();
        let mut proof = self.proof_of_mark(missing);
        let mut remains = Remains::default();
        let mut torn_bytes = 0;
        let last = log_end.segments.checked_sub(1).map(|at| self.live.segments[at]);
        for (at, found) in self.segments.iter().enumerate().skip(last.unwrap_or(0)) {
            let segment = found.open(self.vfs)?;
            let from = if Some(at) == last { log_end.end.offset } else { segment.block() };
            let Evidence { watermark, nonzero_end } = search(&segment, from)?;
            torn_bytes += nonzero_end.map_or(0, |end| end - from);
            remains.highest_is_used = nonzero_end.is_some();
            if let Some((durable, offset)) = watermark
                && durable >= missing
                && proof.as_ref().is_none_or(|proof| durable > proof.durable)
            {
                proof = Some(Proof { durable, file: segment.file.path().to_owned(), offset });
            }
        }
        if let Some(proof) = proof {
            return Err(self.corruption(log_end, &proof));
        }
        let (file, offset) = self.place_of(log_end);
        remains.torn = (torn_bytes != 0).then_some(TornTail { file, offset, bytes: torn_bytes });
        Ok(remains)
    }

    fn proof_of_mark(&self, missing: Lsn) -> Option<Proof> {
        let durable = self.marked();
        (durable >= missing).then(|| Proof { durable, file: error::path(self.vfs, names::MARK), offset: 0 })
    }

    fn place_of(&self, log_end: &LogEnd) -> (PathBuf, u64) {
        let last = log_end.segments.checked_sub(1).map_or(0, |at| self.live.segments[at]);
        let number = self.segments.get(last).map_or(1, |found| found.header.number);
        (error::path(self.vfs, &names::segment(number)), log_end.end.offset)
    }

    /// The error for a record that was durable and is missing. It says where the log ends, and what
    /// proves the loss.
    fn corruption(&self, log_end: &LogEnd, proof: &Proof) -> Error {
        let (file, offset) = self.place_of(log_end);
        let (file, offset, reason) = match (log_end.end.bad, self.live.broken_link) {
            (Some(bad), _) => (file, offset, bad),
            (None, Some(broken)) if log_end.segments == self.live.segments.len() => {
                let header = self.segments[broken].header;
                let path = error::path(self.vfs, &names::segment(header.number));
                (path, u64::from(header.block_bytes), "the segment's start frame is not valid")
            }
            (None, _) => (file, offset, "the log ends here"),
        };
        let (missing, durable) = (log_end.end.last.next(), proof.durable);
        let stated = format!(
            "{} (at byte {}) states that the log was durable up to position {durable}",
            proof.file.display(),
            proof.offset
        );
        Error::corrupt(file, offset, format!("{reason}, but {stated}: records are lost from position {missing} on"))
    }
}

/// What the search of a segment found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Evidence {
    /// The highest watermark in the header of a frame, and the header's offset in bytes from the
    /// start of the file.
    watermark: Option<(Lsn, u64)>,
    /// Where the last byte that is not zero ends, in bytes from the start of the file. `None` if
    /// there are only zeroes.
    nonzero_end: Option<u64>,
}

/// Searches `segment` from the offset `from` on, which is a multiple of eight.
///
/// A header counts at any such multiple, because after a bad frame it is unknown where the next one
/// begins. It counts without its payload, in any epoch, and even inside another frame: only this
/// log can have written a checksum that is seeded with this segment's identity, and what it stated
/// was true.
fn search(segment: &Segment, from: u64) -> Result<Evidence> {
    let mut found = Evidence::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = from;
    loop {
        // Chunks overlap by one header, so that no header is cut in two.
        let len = read_up_to(&*segment.file, &mut chunk, at)?;
        search_chunk(&chunk[..len], at, segment.header.identity, &mut found);
        if len < CHUNK_BYTES {
            return Ok(found);
        }
        at += (CHUNK_BYTES - HEADER_BYTES) as u64;
    }
}

fn search_chunk(chunk: &[u8], chunk_at: u64, identity: u64, found: &mut Evidence) {
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
