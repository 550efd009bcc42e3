//! Reads records back from the segments.

use std::{io, sync::Arc};

use kv_core::{Error, LogReader, Lsn, Record, Result};
use kv_vfs::Access;

use crate::{
    format::{frame::Kind, names},
    recovery::{Frame, LiveSegment, Scanner, Step},
    segment_file,
    write::Shared,
};

/// Returns the records after a position, in order, up to the durable position.
///
/// It holds no lock while it reads, although writers append to the same file at the same time. That
/// is safe for three reasons:
///
/// - It reads record n only after it has seen that n is durable. The bytes of that record were
///   written before and never change: frames are only added behind others.
/// - It may read ahead into a write that is still under way. Such bytes count only once their
///   record is durable, and only as a complete, valid frame. If they seem to end the segment or
///   look bad, the reader discards them and reads again, up to the segment's current end.
/// - A segment may be trimmed while the reader has it open: its file stays readable. If a segment's
///   file is gone before it is opened, the state tells whether it was trimmed or is lost.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// The last position that was returned, or the one to start after.
    after: Lsn,
    current: Option<Current>,
}

/// The segment that is being read.
struct Current {
    number: u64,
    scanner: Scanner,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, after: Lsn) -> Result<Self> {
        let (trimmed, appended) = (shared.positions.trimmed(), shared.positions.appended());
        if after < trimmed {
            return Err(Error::Trimmed { after, trimmed });
        }
        if after > appended {
            return Err(Error::never_appended(after, appended));
        }
        Ok(Self { shared, after, current: None })
    }

    /// Moves to the next record. It is durable, so it must be there.
    fn advance(&mut self) -> Result<()> {
        let goal = self.after.next();
        let mut retried = false;
        loop {
            let current = match &mut self.current {
                Some(current) => current,
                none => none.insert(open(&self.shared, self.after)?),
            };
            let problem = match current.scanner.step()? {
                Step::Frame(Frame { kind: Kind::Record, lsn, .. }) if lsn == goal => {
                    self.after = goal;
                    return Ok(());
                }
                Step::Frame(_) => continue,
                Step::End => "there are no more frames here",
                Step::Bad(problem) => problem,
            };
            let (segment, end) = locate(&self.shared, self.after)?;
            if segment.number != current.number {
                self.current = None; // the record is in a later segment
            } else if retried {
                let detail = format!("{problem}, but record {goal} was durable: it cannot be read");
                return Err(Error::corrupt(current.scanner.path(), current.scanner.offset(), detail));
            } else {
                // What was read ahead may have been written since. If the same step fails on fresh
                // bytes, it is damage.
                current.scanner.forget_read_ahead();
                current.scanner.set_limit(end);
                retried = true;
            }
        }
    }
}

impl LogReader for Reader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        if !self.shared.origin.is_here() {
            return Err(Error::Forked);
        }
        if self.after >= self.shared.positions.durable() {
            return Ok(None);
        }
        self.advance()?;
        let (lsn, after) = (self.after, self.after);
        let Some(Current { scanner, .. }) = &self.current else { return Err(Error::Trimmed { after, trimmed: lsn }) };
        Ok(Some(Record { epoch: scanner.epoch(), lsn, payload: scanner.payload() }))
    }
}

/// The segment that holds the record after `after`, and where its frames end at the moment, in
/// bytes from the start of the file.
fn locate(shared: &Shared, after: Lsn) -> Result<(LiveSegment, u64)> {
    let state = shared.lock();
    let at = state.live.partition_point(|segment| segment.base <= after);
    match at.checked_sub(1).map(|at| state.live[at]) {
        Some(segment) => Ok((segment, state.end_of(&segment))),
        None => Err(Error::Trimmed { after, trimmed: shared.positions.trimmed() }),
    }
}

fn open(shared: &Shared, after: Lsn) -> Result<Current> {
    let (segment, end) = locate(shared, after)?;
    let opened = match segment_file::open(&*shared.vfs, segment.number, Access::Read) {
        Ok(opened) if opened.header.identity == segment.identity => opened,
        Ok(opened) => {
            return Err(Error::corrupt_whole(
                opened.file.path(),
                "the file was replaced by another segment since the log was opened",
            ));
        }
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            locate(shared, after)?; // fails if the segment was trimmed meanwhile
            let path = shared.vfs.path().join(names::segment(segment.number));
            return Err(Error::corrupt_whole(
                path,
                "the segment's file has disappeared since the log was opened: its records are lost",
            ));
        }
        Err(error) => return Err(error),
    };
    Ok(Current { number: segment.number, scanner: Scanner::new(&opened, end)?.skip_to(after) })
}
