//! Recovery: decides which records a log holds, when it is opened. Changes nothing.
//!
//! [`recover`] follows the steps that the crate's documentation lists. Each file answers one
//! question:
//!
//! | file | question |
//! |---|---|
//! | `inventory` | what is there, and which segments are live? |
//! | `shutdown` | was the log closed cleanly, and was nothing written afterwards? |
//! | `walk` | where do the frames of each live segment end? |
//! | `evidence` | does anything beyond the end prove that more was durable? |
//! | `numbers` | are the log's numbers plausible? |
//! | `report` | what is the caller told? |
//!
//! `scanner` reads frames for all of them, for readers and for the dump. `verify` checks everything
//! without opening the log.

mod evidence;
mod inventory;
mod numbers;
mod report;
mod scanner;
mod shutdown;
mod verify;
mod walk;

use kv_core::{Epoch, LogId, Lsn, Result};
use kv_vfs::Vfs;

use evidence::Remains;
pub(crate) use inventory::{Inventory, segment_numbers};
pub use report::{LogRecovery, TornTail};
pub(crate) use scanner::{Frame, Scanner, Step};
pub use verify::{is_blank, verify};
use walk::LogEnd;

use crate::format::{frame::Link, mark::Mark};

/// A live segment: one that belongs to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveSegment {
    pub(crate) number: u64,
    pub(crate) identity: u64,
    /// The position before its first record.
    pub(crate) base: Lsn,
    /// The size of the header's block, before the first frame, in bytes.
    pub(crate) block: u64,
    /// The length of the file in bytes.
    pub(crate) length: u64,
    /// Where its last frame ends, in bytes from the start of the file. `None` while it is being
    /// written.
    pub(crate) end: Option<u64>,
}

impl LiveSegment {
    /// Whether it is the same file as `other`.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.number, self.identity) == (other.number, other.identity)
    }
}

/// How the first write of an opening continues the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// In the last segment, in the block behind its seal. The block begins at this offset in bytes.
    BehindSeal(u64),
    /// In a new segment, whose start frame holds this link; `None` if the log begins there.
    NewSegment(Option<Link>),
}

/// Everything that an opening needs to know.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) log_id: LogId,
    pub(crate) live: Vec<LiveSegment>,
    pub(crate) tail: Tail,
    /// The highest segment, if it has only zeroes behind its header: the next write may use it as
    /// the spare.
    pub(crate) spare: Option<u64>,
    /// Segments that hold nothing of the log.
    pub(crate) obsolete: Vec<u64>,
    pub(crate) next_number: u64,
    pub(crate) last: Lsn,
    pub(crate) mark: Option<Mark>,
    /// The highest epoch that was found.
    pub(crate) epoch: Epoch,
    pub(crate) torn: Option<TornTail>,
}

/// Finds out what the log holds. `None` if there is no log.
pub(crate) fn recover(vfs: &dyn Vfs) -> Result<Option<Recovered>> {
    let inventory = Inventory::read(vfs)?;
    if let Some(log_end) = inventory.clean_shutdown()? {
        inventory.check_complete()?;
        return inventory.recovered(&log_end, Remains::default());
    }
    let inventory = inventory.read_again_from_disk()?;
    inventory.check_complete()?;
    let log_end = inventory.find_end()?;
    let remains = inventory.classify_remains(&log_end)?;
    inventory.recovered(&log_end, remains)
}

impl Inventory<'_> {
    /// Gathers what an opening needs to know about a log that ends there. `None` if there is no
    /// log.
    fn recovered(&self, log_end: &LogEnd, remains: Remains) -> Result<Option<Recovered>> {
        let Some(log_id) = self.log_id() else { return Ok(None) };
        self.check_numbers(log_end)?;
        let LogEnd { segments, end } = *log_end;
        let kept: Vec<_> = (0..segments).map(|at| self.live_segment(at).header).collect();
        let last = kept.last();
        let highest = self.segments.last().map_or(0, |found| found.header.number);
        // The highest segment is a spare if it is empty. An empty segment below it is not, because
        // the next start frame makes it void.
        let spare = (last.map(|header| header.number) != Some(highest) && !remains.highest_is_used).then_some(highest);
        let numbers = self.segments.iter().map(|found| found.header.number);
        let is_kept = |number| kept.iter().any(|header| header.number == number);
        let obsolete = numbers.filter(|number| !is_kept(*number) && Some(*number) != spare).collect();
        let tail = match last {
            Some(_) if end.sealed && remains.torn.is_none() => Tail::BehindSeal(end.offset),
            _ => Tail::NewSegment(last.map(|header| Link {
                number: header.number,
                identity: header.identity,
                end: end.offset,
            })),
        };
        Ok(Some(Recovered {
            log_id,
            live: self.kept_segments(log_end),
            tail,
            spare,
            obsolete,
            next_number: highest + 1,
            last: end.last,
            mark: self.mark,
            epoch: self.epoch().max(end.epoch),
            torn: remains.torn,
        }))
    }

    /// The live segments, each with its end: the place where the next one continues or, for the
    /// last one, where the log ends.
    fn kept_segments(&self, log_end: &LogEnd) -> Vec<LiveSegment> {
        let mut segments = Vec::with_capacity(log_end.segments);
        let mut end = log_end.end.offset;
        for at in (0..log_end.segments).rev() {
            let found = self.live_segment(at);
            let Some(start) = found.start else { continue };
            segments.push(found.live(start, Some(end)));
            end = start.predecessor.map_or(0, |link| link.end);
        }
        segments.reverse();
        segments
    }
}
