//! What of the log is there: decided when it is opened, without changing anything.

use std::{fmt, path::PathBuf};

use kv_core::{Epoch, Error, LogId, Lsn, Result};
use kv_vfs::Vfs;

use crate::{
    error,
    frame::{Link, NUMBER_MAX},
    judge::{Judge, Lost, Scanned},
    mark::Mark,
    names, seal,
    survey::{Chain, Found, Survey},
};

/// What was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// There was no log; it was created.
    pub created: bool,
    /// The log had been closed, and nothing was written after.
    pub sealed: bool,
    /// The last position that the log no longer has; [`Lsn::START`] if it goes back to its beginning.
    pub trimmed: Lsn,
    /// The last position that is there.
    pub last: Lsn,
    /// The epoch of this opening.
    pub epoch: Epoch,
    /// What was cut off because it had not been written completely; `None` if there was nothing to cut.
    pub torn: Option<Torn>,
}

/// The torn tail of a log: bytes that were written but never made durable. No record in it was acknowledged as durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment in which the tail begins.
    pub file: PathBuf,
    /// Where in that file, in bytes from its start.
    pub offset: u64,
    /// How many bytes had been written there and in later segments, up to the last one that is not zero.
    pub bytes: u64,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes } = self;
        write!(f, "cut a torn tail of {bytes} bytes off {} at byte {offset}", file.display())
    }
}

/// A segment of the log that has a start frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunSegment {
    pub(crate) number: u64,
    pub(crate) identity: u64,
    /// The position before its first.
    pub(crate) base: Lsn,
    /// The size of the header's block, before the first frame, in bytes.
    pub(crate) block: u64,
    /// Where its last frame ends, in bytes from the start of the file; `None` while it is being written.
    pub(crate) end: Option<u64>,
}

/// How the first write of the opening continues the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// In the block that follows the seal of the last segment, which begins at this byte.
    Sealed(u64),
    /// In a new segment that continues there.
    Cut(Option<Link>),
}

/// Everything that an opening needs to know.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) log_id: LogId,
    pub(crate) run: Vec<RunSegment>,
    pub(crate) tail: Tail,
    /// A segment with nothing but zeroes behind its header, above all others.
    pub(crate) spare: Option<u64>,
    /// Segments that hold nothing of the log.
    pub(crate) garbage: Vec<u64>,
    pub(crate) next_number: u64,
    pub(crate) last: Lsn,
    pub(crate) mark: Option<Mark>,
    /// The highest epoch that was found.
    pub(crate) epoch: Epoch,
    pub(crate) torn: Option<Torn>,
}

/// Finds out what there is; `None` if there is no log.
pub(crate) fn recover(vfs: &dyn Vfs) -> Result<Option<Recovered>> {
    let survey = Survey::read(vfs)?;
    let chain = survey.chain();
    if let Some(scanned) = seal::find(vfs, &survey, &chain)? {
        check_segments(vfs, &survey, &chain)?;
        check_sealed(vfs, &survey, &chain, &scanned)?;
        check_numbers(vfs, &survey, &scanned)?;
        let ending = Ending { run: chain.run, scanned, beyond: Lost::default() };
        return Ok(ending.into_recovered(&survey));
    }
    // What a failed flush of an earlier process left in memory only must not be taken for what is on the disk: neither records nor a
    // start frame. From here on the disk decides.
    sync_and_drop(vfs, &survey.segments)?;
    let survey = Survey::read(vfs)?;
    let chain = survey.chain();
    check_segments(vfs, &survey, &chain)?;
    if survey.segments.is_empty() {
        return Ok(None);
    }
    let ending = find_end(vfs, &survey, &chain)?;
    check_numbers(vfs, &survey, &ending.scanned)?;
    Ok(ending.into_recovered(&survey))
}

/// Numbers from which the log could not go on for long: what it wrote then would not be believed by the next opening. None gets there.
pub(crate) fn check_numbers(vfs: &dyn Vfs, survey: &Survey, end: &Scanned) -> Result<()> {
    let number = survey.segments.last().map_or(0, |found| found.header.number);
    let segment = names::segment(number);
    for (what, number, name) in [
        ("position", end.last.0, segment.as_str()),
        ("epoch", survey.epoch().max(end.epoch).0, &segment),
        ("number", number, &segment),
        ("counter", survey.mark.map_or(0, |mark| mark.counter), names::MARK),
    ] {
        if number > NUMBER_MAX / 2 {
            return Err(Error::corrupt(
                error::path(vfs, name),
                0,
                format!("the {what} {number} is one that no log reaches"),
            ));
        }
    }
    Ok(())
}

/// What the names alone prove: that a segment is missing.
pub(crate) fn check_segments(vfs: &dyn Vfs, survey: &Survey, chain: &Chain) -> Result<()> {
    if survey.segments.is_empty() && survey.marked() != Lsn::START {
        let durable = survey.marked();
        let detail = format!("it states that the log was durable up to position {durable}, but there is no segment");
        return Err(Error::corrupt(error::path(vfs, names::MARK), 0, detail));
    }
    survey.check_no_hole(vfs, chain)
}

/// A seal proves what precedes it. Only the mark could know of more.
fn check_sealed(vfs: &dyn Vfs, survey: &Survey, chain: &Chain, scanned: &Scanned) -> Result<()> {
    let judge = Judge { vfs, survey, chain };
    match judge.stated_by_mark(scanned.last.next()) {
        Some(proof) => Err(judge.lost(chain.run.len(), scanned, &proof)),
        None => Ok(()),
    }
}

struct Ending {
    run: Vec<usize>,
    scanned: Scanned,
    beyond: Lost,
}

impl Ending {
    fn into_recovered(self, survey: &Survey) -> Option<Recovered> {
        let Self { run, scanned, beyond } = self;
        let log_id = survey.log_id()?;
        let highest = survey.segments.last().map_or(0, |found| found.header.number);
        let last = run.last().map(|at| survey.segments[*at].header);
        // The highest segment is a spare if there is nothing in it. One below it is not, as the next start frame makes it void.
        let spare = (last.map(|header| header.number) != Some(highest) && !beyond.highest_is_used).then_some(highest);
        let kept: Vec<_> = run.iter().map(|at| survey.segments[*at].header.number).collect();
        let numbers = survey.segments.iter().map(|found| found.header.number);
        let garbage = numbers.filter(|number| !kept.contains(number) && Some(*number) != spare).collect();
        let tail = match last {
            Some(_) if scanned.sealed && beyond.torn.is_none() => Tail::Sealed(scanned.offset),
            _ => Tail::Cut(last.map(|header| Link {
                number: header.number,
                identity: header.identity,
                end: scanned.offset,
            })),
        };
        Some(Recovered {
            log_id,
            run: run_segments(&run, scanned.offset, survey),
            tail,
            spare,
            garbage,
            next_number: highest + 1,
            last: scanned.last,
            mark: survey.mark,
            epoch: survey.epoch().max(scanned.epoch),
            torn: beyond.torn,
        })
    }
}

/// Each segment of the run ends where the next one says, and the last one where the scan ended.
fn run_segments(run: &[usize], end: u64, survey: &Survey) -> Vec<RunSegment> {
    let mut segments = Vec::with_capacity(run.len());
    let mut end = end;
    for at in run.iter().rev() {
        let Found { header, start: Some(start) } = survey.segments[*at] else { continue };
        segments.push(RunSegment {
            number: header.number,
            identity: header.identity,
            base: start.base,
            block: u64::from(header.block_bytes),
            end: Some(end),
        });
        end = start.predecessor.map_or(0, |link| link.end);
    }
    segments.reverse();
    segments
}

/// Validates every segment that may hold a position above the highest proven one, oldest first, up to where the log ends.
fn find_end(vfs: &dyn Vfs, survey: &Survey, chain: &Chain) -> Result<Ending> {
    let judge = Judge { vfs, survey, chain };
    for at in first_unproven(survey, chain)..chain.run.len() {
        let scanned = judge.scan(at)?;
        if judge.is_continued(at, &scanned) {
            continue;
        }
        let beyond = judge.judge(at + 1, &scanned)?;
        return Ok(Ending { run: chain.run[..=at].to_vec(), scanned, beyond });
    }
    // No start frame at all: the log is empty, or all of it is lost.
    let Some(first) = survey.segments.first() else { return Err(Error::Misuse("there is no log")) };
    let scanned = Scanned::nothing(first);
    let beyond = judge.judge(0, &scanned)?;
    Ok(Ending { run: Vec::new(), scanned, beyond })
}

/// The first segment of the run that may hold something which no start frame of the run proves durable.
///
/// Only these frames count here, not the mark: it may speak of segments that lie beyond the run because their start frame is
/// damaged, and that would be seen only at the place where the run differs from the log.
pub(crate) fn first_unproven(survey: &Survey, chain: &Chain) -> usize {
    let starts: Vec<_> = chain.run.iter().filter_map(|at| survey.segments[*at].start).collect();
    let proven = starts.iter().map(|start| start.watermark).max().unwrap_or_default();
    starts.iter().skip(1).take_while(|next| next.base <= proven).count()
}

fn sync_and_drop(vfs: &dyn Vfs, segments: &[Found]) -> Result<()> {
    for found in segments {
        let file = found.open(vfs)?.file;
        file.sync_data().and_then(|()| file.drop_cache()).map_err(error::io)?;
    }
    Ok(())
}
