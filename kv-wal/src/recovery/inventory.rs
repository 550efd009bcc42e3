//! The inventory of a log's directory: which segments there are, which of them are live, and what
//! the mark states. It reads only headers, start frames and the mark.

use kv_core::{Epoch, Error, LogId, Lsn, Result};
use kv_vfs::{Access, Vfs};

use super::{
    LiveSegment,
    scanner::{Scanner, Step},
};
use crate::{
    error,
    format::{
        frame::{Link, start_frame_bytes},
        mark::Mark,
        names,
        segment::Header,
    },
    mark_file,
    segment_file::{self, Segment},
};

/// A segment that was found; its header is valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundSegment {
    pub(crate) header: Header,
    /// The contents of its start frame. `None` if there is no valid one.
    pub(crate) start: Option<FoundStart>,
}

/// A valid start frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundStart {
    pub(crate) epoch: Epoch,
    pub(crate) predecessor: Option<Link>,
    /// The position before the segment's first record.
    pub(crate) base: Lsn,
    /// The durable position that it states.
    pub(crate) watermark: Lsn,
}

impl FoundSegment {
    /// What is known of it, if it is live, has this start frame and ends there.
    pub(crate) fn live(&self, start: FoundStart, end: Option<u64>) -> LiveSegment {
        LiveSegment {
            number: self.header.number,
            identity: self.header.identity,
            base: start.base,
            block: u64::from(self.header.block_bytes),
            length: self.header.length,
            end,
        }
    }

    /// Opens the segment for reading. Its header was checked when it was found.
    pub(crate) fn open(&self, vfs: &dyn Vfs) -> Result<Segment> {
        let file = vfs.open(&names::segment(self.header.number), Access::Read)?;
        Ok(Segment { header: self.header, file, allocation: None })
    }
}

/// Everything that was found, oldest first.
#[derive(Debug)]
pub(crate) struct Inventory<'a> {
    pub(crate) vfs: &'a dyn Vfs,
    pub(crate) segments: Vec<FoundSegment>,
    pub(crate) mark: Option<Mark>,
    pub(crate) live: Live,
}

/// The live segments, which make up the log. Oldest first, as indices into [`Inventory::segments`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) segments: Vec<usize>,
    /// A segment whose successor continues it, but whose own start frame is not valid. The live
    /// segments end before it.
    pub(crate) broken_link: Option<usize>,
}

impl<'a> Inventory<'a> {
    /// Takes the inventory. The first damage is an error.
    pub(crate) fn read(vfs: &'a dyn Vfs) -> Result<Self> {
        Self::read_despite_damage(vfs, &mut Err)
    }

    /// Takes the inventory. Hands each damage to `damaged`, which decides whether to go on.
    pub(crate) fn read_despite_damage(vfs: &'a dyn Vfs, damaged: &mut dyn FnMut(Error) -> Result<()>) -> Result<Self> {
        let mut segments: Vec<FoundSegment> = Vec::new();
        for number in segment_numbers(vfs)? {
            match inspect(vfs, number, log_id(&segments)) {
                Ok(found) => segments.push(found),
                Err(error) if error::is_finding(&error) => damaged(error)?,
                Err(error) => return Err(error),
            }
        }
        let mark = match mark_file::read_of(vfs, log_id(&segments)) {
            Err(error) if error::is_finding(&error) => {
                damaged(error)?;
                None
            }
            slots => slots?.into_iter().reduce(Mark::and),
        };
        let live = find_live(&segments);
        Ok(Self { vfs, segments, mark, live })
    }

    /// Takes the inventory again, from the disk. A failed flush of an earlier process may have left
    /// records or a start frame in memory only; they must not be believed.
    pub(crate) fn read_again_from_disk(&self) -> Result<Self> {
        for found in &self.segments {
            let file = found.open(self.vfs)?.file;
            file.sync_data().and_then(|()| file.drop_cache())?;
        }
        Self::read(self.vfs)
    }

    /// The id of the log that is here.
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
    pub(crate) fn live_segment(&self, at: usize) -> &FoundSegment {
        &self.segments[self.live.segments[at]]
    }

    /// The live segments. Each but the last one ends where the next one continues it.
    pub(crate) fn live_segments(&self) -> Vec<LiveSegment> {
        let mut segments = Vec::with_capacity(self.live.segments.len());
        let mut end = None;
        for at in (0..self.live.segments.len()).rev() {
            let found = self.live_segment(at);
            let Some(start) = found.start else { continue }; // impossible: it is live
            segments.push(found.live(start, end));
            end = start.predecessor.map(|link| link.end);
        }
        segments.reverse();
        segments
    }

    /// The highest durable position that the start frame of a live segment states.
    pub(crate) fn highest_start_watermark(&self) -> Lsn {
        let starts = self.live.segments.iter().filter_map(|at| self.segments[*at].start);
        starts.map(|start| start.watermark).max().unwrap_or_default()
    }

    /// Fails if numbers, links and the mark prove that a segment is missing or was replaced. Reads
    /// nothing.
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

    /// The predecessor of the first live segment is gone if it was trimmed. Its number is never
    /// used again once a later segment continues it. So if a segment with that number is there and
    /// the link does not lead to it, something else has put it there.
    fn check_beginning(&self) -> Result<()> {
        let first = self.live.segments.first().map(|first| &self.segments[*first]);
        let Some(Link { number, .. }) = first.and_then(|first| first.start?.predecessor) else { return Ok(()) };
        if self.segments.iter().all(|found| found.header.number != number) {
            return Ok(());
        }
        let detail =
            "another segment has replaced the one that the log continues: every record of the replaced one is lost";
        Err(Error::corrupt_whole(error::path(self.vfs, &names::segment(number)), detail))
    }

    /// Every segment from the last live one to the highest must be there. Each was durable before
    /// the next was created, and no segment above the last durable start frame is ever removed.
    fn check_no_hole(&self) -> Result<()> {
        let (from, mut expected) = match self.live.segments.last() {
            Some(last) => (last + 1, self.segments[*last].header.number + 1),
            None => (0, 1),
        };
        if let (None, Some(FoundSegment { header, .. })) = (self.live.segments.last(), self.segments.first())
            && header.number != expected
        {
            // Two cases look like this: a damaged start frame after the segments before it were
            // trimmed, and the loss of every segment that was in use.
            let detail = "the segment's start frame is not valid, and the segments before it are missing: \
                          no record can be found";
            let path = error::path(self.vfs, &names::segment(header.number));
            return Err(Error::corrupt(path, u64::from(header.block_bytes), detail));
        }
        for found in &self.segments[from..] {
            if found.header.number != expected {
                let detail = format!(
                    "the segment is missing, and its records are lost: segment {} was created after it",
                    found.header.number
                );
                return Err(Error::corrupt_whole(error::path(self.vfs, &names::segment(expected)), detail));
            }
            expected += 1;
        }
        Ok(())
    }
}

fn log_id(segments: &[FoundSegment]) -> Option<LogId> {
    segments.first().map(|found| found.header.log_id)
}

/// Finds the live segments, by following the links from the highest valid start frame back through
/// its predecessors.
///
/// A predecessor that is not there was trimmed: the live segments begin after it. A predecessor
/// that is there without a valid start frame was never flushed, and neither was anything after it,
/// unless something is damaged. So the live segments end before it. If it is damaged, the search
/// beyond that end finds the proof.
fn find_live(segments: &[FoundSegment]) -> Live {
    let last_with_start = |before: usize| segments[..before].iter().rposition(|found| found.start.is_some());
    let mut live = Live::default();
    let mut top = last_with_start(segments.len());
    while let Some(mut at) = top {
        live.segments = vec![at];
        loop {
            match predecessor(segments, at) {
                Some(before) if segments[before].start.is_some() => at = before,
                Some(broken) => {
                    live = Live { segments: Vec::new(), broken_link: Some(broken) };
                    top = last_with_start(broken);
                    break;
                }
                None => {
                    live.segments.reverse();
                    return live;
                }
            }
            live.segments.push(at);
        }
    }
    live
}

fn predecessor(segments: &[FoundSegment], at: usize) -> Option<usize> {
    let link = segments[at].start?.predecessor?;
    segments[..at]
        .iter()
        .rposition(|found| found.header.number == link.number && found.header.identity == link.identity)
}

/// The numbers of the segments in the directory, lowest first.
pub(crate) fn segment_numbers(vfs: &dyn Vfs) -> Result<Vec<u64>> {
    let names = vfs.list()?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| names::segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn inspect(vfs: &dyn Vfs, number: u64, log_id: Option<LogId>) -> Result<FoundSegment> {
    let segment = segment_file::open(vfs, number, Access::Read)?;
    if let Some(log_id) = log_id
        && log_id != segment.header.log_id
    {
        let detail = format!("it belongs to log {}, but this is log {log_id}", segment.header.log_id);
        return Err(Error::corrupt_whole(segment.file.path(), detail));
    }
    Ok(FoundSegment { header: segment.header, start: find_start(&segment)? })
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

#[cfg(test)]
mod tests {
    use kv_core::{Epoch, LogId, Lsn};

    use super::{FoundSegment, FoundStart, Live, find_live};
    use crate::format::{frame::Link, segment::Header};

    /// Segments with these numbers; the identity of each is ten times its number. Each has a start
    /// frame that names a predecessor (0: none), or has none.
    fn found(segments: &[(u64, Option<u64>)]) -> Vec<FoundSegment> {
        let found = |&(number, start): &(u64, Option<u64>)| FoundSegment {
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
        find_live(&found(segments))
    }

    fn whole(segments: &[usize]) -> Live {
        Live { segments: segments.to_vec(), broken_link: None }
    }

    #[test]
    fn links_decide_what_belongs_to_the_log() {
        assert_eq!(live_of(&[]), whole(&[]));
        assert_eq!(live_of(&[(1, None)]), whole(&[]), "only a spare");
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (3, None)]), whole(&[0, 1]), "and a spare");
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (3, Some(1))]), whole(&[0, 2]), "2 is void");
        assert_eq!(live_of(&[(4, Some(3)), (5, Some(4))]), whole(&[0, 1]), "3 was trimmed");
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (4, Some(3))]), whole(&[2]), "1 and 2 came back");
    }

    #[test]
    fn the_live_segments_end_before_one_without_a_start_frame() {
        let broken = |segments: &[usize], at| Live { segments: segments.to_vec(), broken_link: Some(at) };
        assert_eq!(live_of(&[(1, Some(0)), (2, None), (3, Some(2))]), broken(&[0], 1));
        assert_eq!(live_of(&[(1, None), (2, Some(1)), (3, Some(2))]), broken(&[], 0));
        assert_eq!(live_of(&[(1, Some(0)), (2, Some(1)), (3, None), (4, Some(3)), (5, Some(4))]), broken(&[0, 1], 2));
    }

    #[test]
    fn a_predecessor_of_another_identity_is_not_the_one_that_is_meant() {
        let mut segments = found(&[(1, Some(0)), (2, Some(1))]);
        segments[0].header.identity = 11;
        assert_eq!(find_live(&segments), whole(&[1]));
    }
}
