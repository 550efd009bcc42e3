//! What is in a log's directory, from headers, start frames and the mark alone, and how the
//! segments hang together.

use kv_core::{Epoch, Error, LogId, Lsn, Result};
use kv_vfs::{Access, Vfs};

use super::walk::LogEnd;
use crate::{
    error,
    file::{self, Segment},
    frame::{Link, NUMBER_MAX, start_frame_bytes},
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
#[derive(Debug)]
pub(crate) struct Inventory<'a> {
    pub(crate) vfs: &'a dyn Vfs,
    pub(crate) segments: Vec<Found>,
    pub(crate) mark: Option<Mark>,
    pub(crate) live: Live,
}

/// The segments that make up the log, oldest first, as indices into [`Inventory::segments`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) run: Vec<usize>,
    /// A segment that a later one continues, though its own start frame is not valid. It and all
    /// after it are not in the run.
    pub(crate) broken: Option<usize>,
}

impl<'a> Inventory<'a> {
    /// Looks at everything; the first damage is an error.
    pub(crate) fn read(vfs: &'a dyn Vfs) -> Result<Self> {
        Self::collect(vfs, &mut Err)
    }

    /// Looks at everything, and goes on after damage if `damaged` says so.
    pub(crate) fn collect(vfs: &'a dyn Vfs, damaged: &mut dyn FnMut(Error) -> Result<()>) -> Result<Self> {
        let mut segments: Vec<Found> = Vec::new();
        for number in segment_numbers(vfs)? {
            match find(vfs, number, log_id(&segments)) {
                Ok(found) => segments.push(found),
                Err(error) if error::is_finding(&error) => damaged(error)?,
                Err(error) => return Err(error),
            }
        }
        let mark = match read_mark(vfs, log_id(&segments)) {
            Err(error) if error::is_finding(&error) => {
                damaged(error)?;
                None
            }
            read => read?,
        };
        let live = live(&segments);
        Ok(Self { vfs, segments, mark, live })
    }

    /// The same once more, of what is on the disk. What a failed flush of an earlier process left
    /// in memory only must not be taken for that: neither records nor a start frame.
    pub(crate) fn read_again_from_disk(&self) -> Result<Self> {
        for found in &self.segments {
            let file = found.open(self.vfs)?.file;
            file.sync_data().and_then(|()| file.drop_cache()).map_err(error::io)?;
        }
        Self::read(self.vfs)
    }

    /// The identity of the log that is here.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        log_id(&self.segments)
    }

    /// The highest position that the mark states.
    pub(crate) fn marked(&self) -> Lsn {
        self.mark.map_or(Lsn::START, |mark| mark.durable)
    }

    /// The highest epoch that a start frame or the mark states.
    pub(crate) fn epoch(&self) -> Epoch {
        let starts = self.segments.iter().filter_map(|found| Some(found.start?.epoch));
        starts.chain(self.mark.map(|mark| mark.epoch)).max().unwrap_or_default()
    }

    /// The live segment with that index, from 0.
    pub(crate) fn live_segment(&self, at: usize) -> &Found {
        &self.segments[self.live.run[at]]
    }

    /// What the names alone prove: that a segment is missing.
    pub(crate) fn check_complete(&self) -> Result<()> {
        if self.segments.is_empty() && self.marked() != Lsn::START {
            let durable = self.marked();
            let detail =
                format!("it states that the log was durable up to position {durable}, but there is no segment");
            return Err(Error::corrupt_whole(error::path(self.vfs, names::MARK), detail));
        }
        self.check_beginning()?;
        self.check_no_hole()
    }

    /// What the first live segment continues is gone, if it was trimmed. A number is never used
    /// again once a later segment continues it: another segment that has it now was put there by
    /// something else.
    fn check_beginning(&self) -> Result<()> {
        let first = self.live.run.first().map(|first| &self.segments[*first]);
        let Some(Link { number, .. }) = first.and_then(|first| first.start?.predecessor) else { return Ok(()) };
        if self.segments.iter().all(|found| found.header.number != number) {
            return Ok(());
        }
        let detail = "it is not the segment of this number that the log continues: every record of that one is lost";
        Err(Error::corrupt_whole(error::path(self.vfs, &names::segment(number)), detail))
    }

    /// Every segment from the last live one to the highest must be there: each was durable before
    /// the next was created, and those after the last start frame that was flushed are never
    /// removed.
    fn check_no_hole(&self) -> Result<()> {
        let (from, mut expected) = match self.live.run.last() {
            Some(last) => (last + 1, self.segments[*last].header.number + 1),
            None => (0, 1),
        };
        if let (None, Some(Found { header, .. })) = (self.live.run.last(), self.segments.first())
            && header.number != expected
        {
            // Damage of the start frame looks like this, if what precedes was trimmed, and so does
            // the loss of every segment that was in use.
            let detail = "the segment's start frame is not valid, and the segments before it are missing: no record can be found";
            let path = error::path(self.vfs, &names::segment(header.number));
            return Err(Error::corrupt(path, u64::from(header.block_bytes), detail));
        }
        for found in &self.segments[from..] {
            if found.header.number != expected {
                let detail = format!(
                    "the segment is missing, with all records that it held, though segment {} was created after it",
                    found.header.number
                );
                return Err(Error::corrupt_whole(error::path(self.vfs, &names::segment(expected)), detail));
            }
            expected += 1;
        }
        Ok(())
    }

    /// Refuses numbers from which the log could not go on for long: what it wrote then would not be
    /// believed by the next opening. None gets there.
    pub(crate) fn check_numbers(&self, log_end: &LogEnd) -> Result<()> {
        let number = self.segments.last().map_or(0, |found| found.header.number);
        let segment = names::segment(number);
        for (what, number, name) in [
            ("position", log_end.end.last.0, segment.as_str()),
            ("epoch", self.epoch().max(log_end.end.epoch).0, &segment),
            ("number", number, &segment),
            ("counter", self.mark.map_or(0, |mark| mark.counter), names::MARK),
        ] {
            if number > NUMBER_MAX / 2 {
                let detail = format!("the {what} {number} is one that no log reaches");
                return Err(Error::corrupt_whole(error::path(self.vfs, name), detail));
            }
        }
        Ok(())
    }
}

fn log_id(segments: &[Found]) -> Option<LogId> {
    segments.first().map(|found| found.header.log_id)
}

/// The run of segments that ends at the highest valid start frame, following the links to
/// predecessors.
///
/// A predecessor that is not there was trimmed: the run begins after it. One that is there without
/// a valid start frame was never flushed, nor was what follows it, unless something is damaged: the
/// run ends before it, and proof that lies beyond that end shows the damage.
fn live(segments: &[Found]) -> Live {
    let last_with_start = |before: usize| segments[..before].iter().rposition(|found| found.start.is_some());
    let mut live = Live::default();
    let mut top = last_with_start(segments.len());
    while let Some(mut at) = top {
        live.run = vec![at];
        loop {
            match predecessor(segments, at) {
                Some(before) if segments[before].start.is_some() => at = before,
                Some(broken) => {
                    live = Live { run: Vec::new(), broken: Some(broken) };
                    top = last_with_start(broken);
                    break;
                }
                None => {
                    live.run.reverse();
                    return live;
                }
            }
            live.run.push(at);
        }
    }
    live
}

fn predecessor(segments: &[Found], at: usize) -> Option<usize> {
    let link = segments[at].start?.predecessor?;
    segments[..at]
        .iter()
        .rposition(|found| found.header.number == link.number && found.header.identity == link.identity)
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
        return Err(Error::corrupt_whole(segment.file.path(), detail));
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

/// What the mark states, if it is one of this log.
fn read_mark(vfs: &dyn Vfs, log_id: Option<LogId>) -> Result<Option<Mark>> {
    let slots = mark_file::read(vfs)?;
    let Some(first) = slots.first() else { return Ok(None) };
    let expected = log_id.unwrap_or(first.log_id);
    if let Some(foreign) = slots.iter().find(|mark| mark.log_id != expected) {
        let detail = format!("it belongs to the log {}, not to the log {expected} that is here", foreign.log_id);
        return Err(Error::corrupt_whole(error::path(vfs, names::MARK), detail));
    }
    Ok(slots.into_iter().reduce(Mark::and))
}

#[cfg(test)]
mod tests {
    use kv_core::{Epoch, LogId, Lsn};

    use super::{Found, FoundStart, Live, live};
    use crate::{frame::Link, segment::Header};

    /// A segment of each number, whose identity is ten times that; with a start frame that names
    /// the predecessor (0: none), or without.
    fn found(segments: &[(u64, Option<u64>)]) -> Vec<Found> {
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
        segments.iter().map(found).collect()
    }

    fn live_of(segments: &[(u64, Option<u64>)]) -> Live {
        live(&found(segments))
    }

    fn run(run: &[usize]) -> Live {
        Live { run: run.to_vec(), broken: None }
    }

    #[test]
    fn links_decide_what_belongs_to_the_log() {
        assert_eq!(live_of(&[]), run(&[]));
        assert_eq!(live_of(&[(1, None)]), run(&[]), "only a spare");
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (3, None)]), run(&[0, 1]), "and a spare");
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (3, Some(1))]), run(&[0, 2]), "2 is void");
        assert_eq!(live_of(&[(4, Some(3)), (5, Some(4))]), run(&[0, 1]), "3 was trimmed");
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (4, Some(3))]), run(&[2]), "1 and 2 came back");
    }

    #[test]
    fn a_segment_without_start_frame_ends_the_run_before_it() {
        let broken = |run: &[usize], at| Live { run: run.to_vec(), broken: Some(at) };
        assert_eq!(live_of(&[(1, Some(0)), (2, None), (3, Some(2))]), broken(&[0], 1));
        assert_eq!(live_of(&[(1, None), (2, Some(1)), (3, Some(2))]), broken(&[], 0));
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (3, None), (4, Some(3)), (5, Some(4))]), broken(&[0, 1], 2));
    }

    #[test]
    fn a_predecessor_of_another_identity_is_not_the_one_that_is_meant() {
        let mut segments = found(&[(1, Some(0)), (2, Some(1))]);
        segments[0].header.identity = 11;
        assert_eq!(live(&segments), run(&[1]));
    }
}
