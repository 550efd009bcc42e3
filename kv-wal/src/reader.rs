//! Reading records back.

use std::{io, sync::Arc};

use kv_core::{Error, LogReader, Lsn, Record, Result};
use kv_vfs::Access;

use crate::{
    file,
    frame::Kind,
    names,
    recovery::RunSegment,
    scanner::{Frame, Scanner, Step},
    shared::Shared,
};

/// Gives the records after a position, up to the durable one.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// The last position that was given, or after which to begin.
    after: Lsn,
    current: Option<Current>,
}

/// A segment that is being read.
struct Current {
    number: u64,
    scanner: Scanner,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, after: Lsn) -> Result<Self> {
        let state = shared.lock();
        let (trimmed, appended) = (state.trimmed, state.appended);
        drop(state);
        if after < trimmed {
            return Err(Error::Trimmed { after, trimmed });
        }
        if after > appended {
            return Err(Error::never_appended(after, appended));
        }
        Ok(Self { shared, after, current: None })
    }

    /// Moves to the next record, which is durable.
    fn advance(&mut self) -> Result<()> {
        let goal = self.after.next();
        let mut looked_again = false;
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
                Step::End => "the log ends here",
                Step::Bad(problem) => problem,
            };
            let (segment, end) = locate(&self.shared, self.after)?;
            if segment.number != current.number {
                self.current = None; // it goes on there
            } else if looked_again {
                let detail = format!("{problem}: record {goal} cannot be read, though it was durable");
                return Err(Error::corrupt(current.scanner.path(), current.scanner.offset(), detail));
            } else {
                // What was read ahead may have been written since.
                current.scanner.forget();
                current.scanner.set_limit(end);
                looked_again = true;
            }
        }
    }
}

impl LogReader for Reader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        if !self.shared.origin.is_here() {
            return Err(Error::Forked);
        }
        if self.after >= self.shared.lock().durable {
            return Ok(None);
        }
        self.advance()?;
        let (lsn, after) = (self.after, self.after);
        let Some(Current { scanner, .. }) = &self.current else { return Err(Error::Trimmed { after, trimmed: lsn }) };
        Ok(Some(Record { epoch: scanner.epoch(), lsn, payload: scanner.payload() }))
    }
}

/// The segment that holds the record after `after`, and where its frames end, in bytes from the start of its file.
fn locate(shared: &Shared, after: Lsn) -> Result<(RunSegment, u64)> {
    let state = shared.lock();
    let at = state.run.partition_point(|segment| segment.base <= after);
    match at.checked_sub(1).map(|at| state.run[at]) {
        Some(segment) => Ok((segment, state.end_of(&segment))),
        None => Err(Error::Trimmed { after, trimmed: state.trimmed }),
    }
}

fn open(shared: &Shared, after: Lsn) -> Result<Current> {
    let (segment, end) = locate(shared, after)?;
    let opened = match file::open(&*shared.vfs, segment.number, Access::Read) {
        Ok(opened) if opened.header.identity == segment.identity => opened,
        Ok(opened) => return Err(Error::corrupt_whole(opened.file.path(), "it is another segment than it was")),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            locate(shared, after)?; // trimmed meanwhile, or
            let path = shared.vfs.path().join(names::segment(segment.number));
            return Err(Error::corrupt_whole(path, "the segment has disappeared"));
        }
        Err(error) => return Err(error),
    };
    Ok(Current { number: segment.number, scanner: Scanner::new(&opened, end)?.skip_to(after) })
}
