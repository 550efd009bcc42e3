//! What is in a log's directory, from headers, start frames and the mark alone, and how the segments hang together.

use kv_core::{Epoch, Error, LogId, Lsn, Result};
use kv_vfs::{Access, Vfs};

use crate::{
    error,
    file::{self, Segment},
    frame::{Link, start_frame_bytes},
    mark::Mark,
    mark_file, names,
    scanner::{Scanner, Step},
    segment::Header,
};

/// A segment that was found, its header valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) header: Header,
    /// What the start frame says; `None` if there is no valid one.
    pub(crate) start: Option<FoundStart>,
}

/// A valid start frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundStart {
    pub(crate) epoch: Epoch,
    pub(crate) predecessor: Option<Link>,
    /// The position before the segment's first.
    pub(crate) base: Lsn,
    /// The durable position that it states.
    pub(crate) watermark: Lsn,
}

impl Found {
    /// The segment for reading; its header was validated when it was found.
    pub(crate) fn open(&self, vfs: &dyn Vfs) -> Result<Segment> {
        let file = vfs.open(&names::segment(self.header.number), Access::Read).map_err(error::io)?;
        Ok(Segment { header: self.header, file })
    }
}

/// Everything that was found, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) segments: Vec<Found>,
    pub(crate) mark: Option<Mark>,
}

/// The segments that make up the log, oldest first, as indices into [`Survey::segments`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) run: Vec<usize>,
    /// A segment that a later one continues, though its own start frame is not valid. It and all after it are not in the run.
    pub(crate) broken: Option<usize>,
}

impl Survey {
    /// Looks at everything; the first damage is an error.
    pub(crate) fn read(vfs: &dyn Vfs) -> Result<Self> {
        Self::collect(vfs, &mut Err)
    }

    /// Looks at everything, and goes on after damage if `damaged` says so.
    pub(crate) fn collect(vfs: &dyn Vfs, damaged: &mut dyn FnMut(Error) -> Result<()>) -> Result<Self> {
        let mut survey = Self::default();
        for number in segment_numbers(vfs)? {
            match find(vfs, number, survey.log_id()) {
                Ok(found) => survey.segments.push(found),
                Err(error) => judge(error, damaged)?,
            }
        }
        match mark_file::read(vfs) {
            Ok(mark) => survey.mark = mark,
            Err(error) => judge(error, damaged)?,
        }
        if let (Some(mark), Some(log_id)) = (survey.mark, survey.log_id())
            && mark.log_id != log_id
        {
            let detail = format!("it belongs to the log {}, not to the log {log_id} that is here", mark.log_id);
            damaged(Error::corrupt(error::path(vfs, names::MARK), 0, detail))?;
            survey.mark = None;
        }
        Ok(survey)
    }

    /// The identity of the log that is here.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        self.segments.first().map(|found| found.header.log_id)
    }

    /// The highest position that the mark states.
    pub(crate) fn marked(&self) -> Lsn {
        self.mark.map_or(Lsn::START, |mark| mark.durable)
    }

    /// The highest epoch that a start frame states.
    pub(crate) fn epoch(&self) -> Epoch {
        self.starts().map(|start| start.epoch).max().unwrap_or_default()
    }

    fn starts(&self) -> impl Iterator<Item = &FoundStart> {
        self.segments.iter().filter_map(|found| found.start.as_ref())
    }

    /// The run of segments that ends at the highest valid start frame, following the links to predecessors.
    ///
    /// A predecessor that is not there was trimmed: the run begins after it. One that is there without a valid start frame was
    /// never flushed, nor was what follows it, unless something is damaged: the run ends before it, and whoever finds proof
    /// beyond that end knows.
    pub(crate) fn chain(&self) -> Chain {
        let mut chain = Chain::default();
        let mut top = self.last_with_start(self.segments.len());
        while let Some(mut at) = top {
            chain.run = vec![at];
            loop {
                match self.predecessor(at) {
                    Some(predecessor) if self.segments[predecessor].start.is_some() => at = predecessor,
                    Some(broken) => {
                        chain = Chain { run: Vec::new(), broken: Some(broken) };
                        top = self.last_with_start(broken);
                        break;
                    }
                    None => {
                        chain.run.reverse();
                        return chain;
                    }
                }
                chain.run.push(at);
            }
        }
        chain
    }

    fn last_with_start(&self, before: usize) -> Option<usize> {
        self.segments[..before].iter().rposition(|found| found.start.is_some())
    }

    fn predecessor(&self, at: usize) -> Option<usize> {
        let link = self.segments[at].start?.predecessor?;
        self.segments[..at]
            .iter()
            .rposition(|found| found.header.number == link.number && found.header.identity == link.identity)
    }

    /// Every segment from the run's last to the highest must be there: each was durable before the next was created, and those after the last
    /// start frame that was flushed are never removed.
    pub(crate) fn check_no_hole(&self, vfs: &dyn Vfs, chain: &Chain) -> Result<()> {
        let (from, mut expected) = match chain.run.last() {
            Some(last) => (last + 1, self.segments[*last].header.number + 1),
            None => (0, 1),
        };
        if let (None, Some(Found { header, .. })) = (chain.run.last(), self.segments.first())
            && header.number != expected
        {
            // Damage of the start frame looks like this, if what precedes was trimmed, and so does the loss of every segment that was in use.
            let detail = "the segment's start frame is not valid, and the segments before it are missing: no record can be found";
            let path = error::path(vfs, &names::segment(header.number));
            return Err(Error::corrupt(path, u64::from(header.block_bytes), detail));
        }
        for found in &self.segments[from..] {
            if found.header.number != expected {
                let detail = format!(
                    "the segment is missing, with all records that it held, though segment {} was created after it",
                    found.header.number
                );
                return Err(Error::corrupt(error::path(vfs, &names::segment(expected)), 0, detail));
            }
            expected += 1;
        }
        Ok(())
    }
}

/// The numbers of the segments in the directory, lowest first.
pub(crate) fn segment_numbers(vfs: &dyn Vfs) -> Result<Vec<u64>> {
    let names = vfs.list().map_err(error::io)?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| names::segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn find(vfs: &dyn Vfs, number: u64, log_id: Option<LogId>) -> Result<Found> {
    let segment = file::open(vfs, number, Access::Read)?;
    if let Some(log_id) = log_id
        && log_id != segment.header.log_id
    {
        let detail = format!("it belongs to the log {}, not to the log {log_id} that is here", segment.header.log_id);
        return Err(Error::corrupt(segment.file.path(), 0, detail));
    }
    Ok(Found { header: segment.header, start: find_start(&segment)? })
}

fn find_start(segment: &Segment) -> Result<Option<FoundStart>> {
    let mut scanner = Scanner::new(segment, segment.block() + start_frame_bytes())?;
    let Step::Frame(frame) = scanner.step()? else { return Ok(None) };
    Ok(scanner.start().map(|start| FoundStart {
        epoch: start.epoch,
        predecessor: start.predecessor,
        base: frame.lsn,
        watermark: frame.watermark,
    }))
}

/// Damage goes to `damaged`; that something cannot be read at all ends everything.
fn judge(error: Error, damaged: &mut dyn FnMut(Error) -> Result<()>) -> Result<()> {
    match error {
        Error::Corrupt { .. } | Error::NewerVersion { .. } => damaged(error),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use kv_core::{Epoch, LogId, Lsn};

    use super::{Chain, Found, FoundStart, Survey};
    use crate::{frame::Link, segment::Header};

    /// A segment of each number, whose identity is ten times that; with a start frame that names the predecessor (0: none), or without.
    fn survey(segments: &[(u64, Option<u64>)]) -> Survey {
        let found = |&(number, start): &(u64, Option<u64>)| Found {
            header: Header { log_id: LogId(1), number, identity: number * 10, block_bytes: 4096, length: 16384 },
            start: start.map(|predecessor| FoundStart {
                epoch: Epoch(1),
                predecessor: (predecessor != 0).then_some(Link {
                    number: predecessor,
                    identity: predecessor * 10,
                    end: 8192,
                }),
                base: Lsn(number),
                watermark: Lsn(0),
            }),
        };
        Survey { segments: segments.iter().map(found).collect(), mark: None }
    }

    fn chain(segments: &[(u64, Option<u64>)]) -> Chain {
        survey(segments).chain()
    }

    fn run(run: &[usize]) -> Chain {
        Chain { run: run.to_vec(), broken: None }
    }

    #[test]
    fn links_decide_what_belongs_to_the_log() {
        assert_eq!(chain(&[]), run(&[]));
        assert_eq!(chain(&[(1, None)]), run(&[]), "only a spare");
        assert_eq!(chain(&[(1, Some(0)), (2, Some(1)), (3, None)]), run(&[0, 1]), "and a spare");
        assert_eq!(chain(&[(1, Some(0)), (2, Some(1)), (3, Some(1))]), run(&[0, 2]), "2 is void");
        assert_eq!(chain(&[(4, Some(3)), (5, Some(4))]), run(&[0, 1]), "3 was trimmed");
        assert_eq!(chain(&[(1, Some(0)), (2, Some(1)), (4, Some(3))]), run(&[2]), "1 and 2 came back");
    }

    #[test]
    fn a_segment_without_start_frame_ends_the_run_before_it() {
        let broken = |run: &[usize], at| Chain { run: run.to_vec(), broken: Some(at) };
        assert_eq!(chain(&[(1, Some(0)), (2, None), (3, Some(2))]), broken(&[0], 1));
        assert_eq!(chain(&[(1, None), (2, Some(1)), (3, Some(2))]), broken(&[], 0));
        assert_eq!(chain(&[(1, Some(0)), (2, Some(1)), (3, None), (4, Some(3)), (5, Some(4))]), broken(&[0, 1], 2));
    }

    #[test]
    fn a_predecessor_of_another_identity_is_not_the_one_that_is_meant() {
        let mut survey = survey(&[(1, Some(0)), (2, Some(1))]);
        survey.segments[0].header.identity = 11;
        assert_eq!(survey.chain(), run(&[1]));
    }
}
