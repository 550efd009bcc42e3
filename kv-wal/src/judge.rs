//! Torn or damaged: where the frames of a segment end, and whether anything proves that there was more.

use std::path::PathBuf;

use kv_core::{Epoch, Error, Lsn, Result};
use kv_vfs::Vfs;

use crate::{
    error,
    file::Segment,
    frame::Link,
    names,
    proof::{self, Beyond},
    recovery::Torn,
    scanner::{Scanner, Step},
    seal,
    survey::{Chain, Found, Survey},
};

/// Where the frames of a segment end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanned {
    pub(crate) offset: u64,
    pub(crate) last: Lsn,
    pub(crate) epoch: Epoch,
    /// Why it ends there, if not for want of bytes.
    pub(crate) bad: Option<&'static str>,
    /// Whether a seal is the last that is there.
    pub(crate) sealed: bool,
}

impl Scanned {
    /// No frame at all, from the log's beginning on.
    pub(crate) fn nothing(first: &Found) -> Self {
        let offset = u64::from(first.header.block_bytes);
        Self { offset, last: Lsn::START, epoch: Epoch(0), bad: None, sealed: false }
    }
}

/// Goes through the frames of a segment up to `limit`.
pub(crate) fn scan(segment: &Segment, limit: u64) -> Result<Scanned> {
    let mut scanner = Scanner::new(segment, limit)?;
    let mut sealed = false;
    let bad = loop {
        match scanner.step()? {
            Step::Frame(frame) => sealed = seal::is_sealed_after(sealed, frame.kind),
            Step::End => break None,
            Step::Bad(reason) => break Some(reason),
        }
    };
    let sealed = sealed && bad.is_none();
    Ok(Scanned { offset: scanner.offset(), last: scanner.last(), epoch: scanner.epoch(), bad, sealed })
}

/// What lies beyond the end of the log and is not missed.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    pub(crate) torn: Option<Torn>,
    /// Whether there is anything in the highest segment.
    pub(crate) highest_is_used: bool,
}

/// A statement that a position was durable.
pub(crate) struct Proof {
    durable: Lsn,
    file: PathBuf,
    offset: u64,
}

/// Tells torn from damaged.
pub(crate) struct Judge<'a> {
    pub(crate) vfs: &'a dyn Vfs,
    pub(crate) survey: &'a Survey,
    pub(crate) chain: &'a Chain,
}

impl Judge<'_> {
    /// Goes through the frames of the run's segment `at`, up to where the next one continues.
    pub(crate) fn scan(&self, at: usize) -> Result<Scanned> {
        let found = self.survey.segments[self.chain.run[at]];
        let limit = self.link_to(at).map_or(found.header.length, |(link, _)| link.end);
        scan(&found.open(self.vfs)?, limit)
    }

    /// Whether the next segment of the run continues exactly there.
    pub(crate) fn is_continued(&self, at: usize, scanned: &Scanned) -> bool {
        scanned.bad.is_none()
            && self.link_to(at).is_some_and(|(link, base)| link.end == scanned.offset && base == scanned.last)
    }

    /// How the segment of the run after `at` continues it: from where, and after which position.
    fn link_to(&self, at: usize) -> Option<(Link, Lsn)> {
        let start = self.survey.segments[*self.chain.run.get(at + 1)?].start?;
        Some((start.predecessor?, start.base))
    }

    /// The log ends where the scan of the run's last of `kept` segments ended. An error if anything proves that there was more which was durable;
    /// otherwise what is cut off.
    pub(crate) fn judge(&self, kept: usize, scanned: &Scanned) -> Result<Lost> {
        let missing = scanned.last.next();
        let mut proof = self.stated_by_mark(missing);
        let mut lost = Lost::default();
        let mut torn_bytes = 0;
        let last = kept.checked_sub(1).map(|at| self.chain.run[at]);
        for (at, found) in self.survey.segments.iter().enumerate().skip(last.unwrap_or(0)) {
            let from = if Some(at) == last { scanned.offset } else { u64::from(found.header.block_bytes) };
            let segment = found.open(self.vfs)?;
            let Beyond { watermark, nonzero_end } = proof::beyond(&segment, from)?;
            torn_bytes += nonzero_end.map_or(0, |end| end - from);
            lost.highest_is_used = nonzero_end.is_some();
            if let Some((durable, offset)) = watermark
                && durable >= missing
                && proof.as_ref().is_none_or(|proof| durable > proof.durable)
            {
                proof = Some(Proof { durable, file: segment.file.path().to_owned(), offset });
            }
        }
        if let Some(proof) = proof {
            return Err(self.lost(kept, scanned, &proof));
        }
        let (file, offset) = self.end_of(kept, scanned);
        lost.torn = (torn_bytes != 0).then_some(Torn { file, offset, bytes: torn_bytes });
        Ok(lost)
    }

    /// The mark, if it states that the position `missing` was durable.
    pub(crate) fn stated_by_mark(&self, missing: Lsn) -> Option<Proof> {
        let durable = self.survey.marked();
        (durable >= missing).then(|| Proof { durable, file: error::path(self.vfs, names::MARK), offset: 0 })
    }

    fn end_of(&self, kept: usize, scanned: &Scanned) -> (PathBuf, u64) {
        let last = kept.checked_sub(1).map_or(0, |at| self.chain.run[at]);
        let number = self.survey.segments.get(last).map_or(1, |found| found.header.number);
        (error::path(self.vfs, &names::segment(number)), scanned.offset)
    }

    /// The error for what is missing although it was durable.
    pub(crate) fn lost(&self, kept: usize, scanned: &Scanned, proof: &Proof) -> Error {
        let (file, offset) = self.end_of(kept, scanned);
        let (file, offset, reason) = match (scanned.bad, self.chain.broken) {
            (Some(bad), _) => (file, offset, bad),
            (None, Some(broken)) if kept == self.chain.run.len() => {
                let header = self.survey.segments[broken].header;
                let path = error::path(self.vfs, &names::segment(header.number));
                (path, u64::from(header.block_bytes), "the segment's start frame is not valid")
            }
            (None, _) => (file, offset, "the log ends here"),
        };
        let (missing, durable) = (scanned.last.next(), proof.durable);
        let stated = format!(
            "{} (at byte {}) states that the log was durable up to position {durable}",
            proof.file.display(),
            proof.offset
        );
        Error::corrupt(file, offset, format!("{reason}, but {stated}: lost from position {missing} on"))
    }
}
