//! Torn or damaged: whether anything proves that the log was durable beyond the place where it
//! ends.

use std::path::PathBuf;

use kv_core::{Error, Lsn, Result};

use super::{inventory::Inventory, report::Torn, walk::LogEnd};
use crate::{
    error,
    file::{Segment, read_up_to},
    frame::{ALIGNMENT, FrameHeader, HEADER_BYTES},
    names,
    zeroes::{is_zero, len_without_trailing_zeroes},
};

/// How many bytes are looked at together.
const CHUNK_BYTES: usize = 256 << 10;

/// What lies beyond the end of the log and is not missed.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) torn: Option<Torn>,
    /// Whether there is anything in the highest segment.
    pub(crate) highest_is_used: bool,
}

/// A statement that a position was durable.
struct Proof {
    durable: Lsn,
    file: PathBuf,
    offset: u64,
}

impl Inventory<'_> {
    /// Looks at everything beyond the end of the log: what is torn is cut off.
    ///
    /// # Errors
    /// [`Corrupt`](Error::Corrupt) if the mark, or the header of a frame that lies beyond, states
    /// that a position beyond the end was durable: then it is lost by damage.
    pub(crate) fn look_beyond(&self, log_end: &LogEnd) -> Result<Remains> {
        let missing = log_end.end.last.next();
        let mut proof = self.proof_of_mark(missing);
        let mut remains = Remains::default();
        let mut torn_bytes = 0;
        let last = log_end.segments.checked_sub(1).map(|at| self.live.run[at]);
        for (at, found) in self.segments.iter().enumerate().skip(last.unwrap_or(0)) {
            let segment = found.open(self.vfs)?;
            let from = if Some(at) == last { log_end.end.offset } else { segment.block() };
            let Beyond { watermark, nonzero_end } = beyond(&segment, from)?;
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
            return Err(self.lost(log_end, &proof));
        }
        let (file, offset) = self.place_of(log_end);
        remains.torn = (torn_bytes != 0).then_some(Torn { file, offset, bytes: torn_bytes });
        Ok(remains)
    }

    fn proof_of_mark(&self, missing: Lsn) -> Option<Proof> {
        let durable = self.marked();
        (durable >= missing).then(|| Proof { durable, file: error::path(self.vfs, names::MARK), offset: 0 })
    }

    fn place_of(&self, log_end: &LogEnd) -> (PathBuf, u64) {
        let last = log_end.segments.checked_sub(1).map_or(0, |at| self.live.run[at]);
        let number = self.segments.get(last).map_or(1, |found| found.header.number);
        (error::path(self.vfs, &names::segment(number)), log_end.end.offset)
    }

    /// The error for what is missing although it was durable.
    fn lost(&self, log_end: &LogEnd, proof: &Proof) -> Error {
        let (file, offset) = self.place_of(log_end);
        let (file, offset, reason) = match (log_end.end.bad, self.live.broken) {
            (Some(bad), _) => (file, offset, bad),
            (None, Some(broken)) if log_end.segments == self.live.run.len() => {
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
        Error::corrupt(file, offset, format!("{reason}, but {stated}: lost from position {missing} on"))
    }
}

/// Whether there is nothing in the `bytes` bytes of the segment from `from` on, in bytes from the
/// start of the file.
pub(crate) fn is_unused(segment: &Segment, from: u64, bytes: u64) -> Result<bool> {
    let end = from.saturating_add(bytes);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = from;
    while at < end {
        let wanted = (end - at).min(CHUNK_BYTES as u64) as usize;
        let len = read_up_to(&*segment.file, &mut chunk[..wanted], at)?;
        if !is_zero(&chunk[..len]) {
            return Ok(false);
        }
        if len < wanted {
            break;
        }
        at += len as u64;
    }
    Ok(true)
}

/// What lies beyond a place in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Beyond {
    /// The highest watermark of a valid frame's header, and where in the file that is, in bytes.
    watermark: Option<(Lsn, u64)>,
    /// Where the last byte that is not zero ends, in bytes from the start of the file; `None` if
    /// there is nothing but zeroes.
    nonzero_end: Option<u64>,
}

/// Looks at everything in `segment` from `from` on, which is a multiple of eight.
///
/// A header counts wherever it begins at such a multiple: after a bad frame nobody knows where the
/// next one should be. It counts without its payload, in any epoch, and whatever it lies in: only
/// this log can have written a checksum with this segment's identity, and what it said was true.
fn beyond(segment: &Segment, from: u64) -> Result<Beyond> {
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
