//! Reads the log of another process, or another opening, while that writes to it.

use std::{fmt, io, mem, sync::Arc};

use kv_core::{Epoch, Error, FollowedLog, LogId, Lsn, Record, Result};
use kv_vfs::{Access, Vfs};

use crate::{
    error,
    format::{frame::Kind, mark::Mark, names},
    mark_file, open,
    recovery::{Frame, Inventory, LiveSegment, Scanner, Step, segment_numbers},
    segment_file,
};

/// How often the directory is listed again because a segment came or went meanwhile.
const INVENTORIES_MAX: usize = 100;

/// How often the mark is read again because its owner was writing it.
const MARK_READS_MAX: usize = 4;

/// Follows a log that another opening writes: reads its durable records, and changes nothing. It
/// implements [`FollowedLog`].
///
/// # How it knows what is durable
///
/// The owner of a log writes the ack mark after each flush and before it acknowledges the records
/// of that flush. So the records up to the mark are durable, and every record that was acknowledged
/// as durable is one of them, also while the owner is idle. The mark is what bounds a follower.
///
/// Where the mark says less, a frame may say more: each states what was durable when it was
/// written. A follower looks at the frames behind the mark once in each epoch, since a power cut
/// may have put an older mark in place, and at each look while no mark can be read.
///
/// # Why it reads no record that is taken back or replaced
///
/// Each [`look`](FollowedLog::look) takes three steps, in this order:
///
/// 1. It reads the mark.
/// 2. If that has changed, it takes the inventory of the segments: which are live, and where each
///    ends because the next one continues it. So what an earlier opening left behind that place is
///    not read, although it may look like the records that follow.
/// 3. It forgets the bytes that it has read ahead. After a crash, what lies there may be another
///    record.
///
/// A record up to the mark was complete, in a live segment, before step 1, and no byte of it is
/// ever written again. So if it cannot be read afterwards, then either its segment was trimmed, or
/// it is damaged. Files are read with `pread`, never through a map: a map would keep pages in
/// memory that the next opening of the log wants to read from the disk.
///
/// ```
/// use kv_core::{FollowedLog, Lsn};
/// use kv_wal::{Durability, Log, LogFollower, Options, OsVfs, SegmentedLog};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let log = SegmentedLog::open(OsVfs::create(directory.path())?, Options::default())?;
/// log.sync(log.append(b"one", Durability::Disk)?)?;
///
/// let mut follower = LogFollower::open(OsVfs::open(directory.path())?)?; // in any process
/// assert_eq!(follower.read(Lsn::START)?.unwrap().payload, b"one");
/// log.sync(log.append(b"two", Durability::Disk)?)?;
/// follower.look()?;
/// assert_eq!(follower.read(Lsn(1))?.unwrap().payload, b"two");
/// # Ok::<(), kv_wal::Error>(())
/// ```
pub struct LogFollower {
    vfs: Arc<dyn Vfs>,
    log_id: LogId,
    /// The mark as it was read last; `None` if it could not be read.
    mark: Option<Mark>,
    /// The records up to here are durable.
    bound: Lsn,
    /// The highest epoch that was seen.
    epoch: Epoch,
    /// Whether the frames behind the bound are to be looked at.
    looks_ahead: bool,
    /// The live segments, as they were found after the mark was read. The last one has no end.
    live: Vec<LiveSegment>,
    current: Option<Current>,
}

/// The segment that is being read.
struct Current {
    segment: LiveSegment,
    scanner: Scanner,
    /// The last position that was returned, or the one to start after.
    at: Lsn,
}

impl LogFollower {
    /// Follows the log in the directory `vfs`, and takes a first look at it.
    ///
    /// # Errors
    /// [`Io`](Error::Io), with [`NotFound`](io::ErrorKind::NotFound) if there is no log; otherwise
    /// as [`look`](FollowedLog::look).
    pub fn open(vfs: Arc<dyn Vfs>) -> Result<Self> {
        let Some(log_id) = take_inventory(&*vfs)?.log_id() else { return Err(open::absent(&*vfs)) };
        let mut follower = Self {
            vfs,
            log_id,
            mark: None,
            bound: Lsn::START,
            epoch: Epoch(0),
            looks_ahead: true,
            live: Vec::new(),
            current: None,
        };
        follower.look()?;
        Ok(follower)
    }

    fn try_look(&mut self) -> Result<()> {
        let mark = read_mark(&*self.vfs, self.log_id)?;
        if mark.is_some() && mark == self.mark {
            return Ok(()); // nothing was acknowledged since
        }
        self.take_inventory()?; // after the mark
        self.bound = self.bound.max(mark.map_or(Lsn::START, |mark| mark.durable));
        let epoch = self.epoch.max(mark.map_or(Epoch(0), |mark| mark.epoch));
        self.looks_ahead |= mark.is_none() || epoch > self.epoch;
        (self.epoch, self.mark) = (epoch, mark);
        Ok(())
    }

    /// Finds out which segments are live. The segment that is being read stays open.
    fn take_inventory(&mut self) -> Result<()> {
        let inventory = take_inventory(&*self.vfs)?;
        match inventory.log_id() {
            Some(found) if found == self.log_id => {}
            Some(found) => {
                let detail = format!("it belongs to log {found}, but log {} was here before", self.log_id);
                return Err(Error::corrupt_whole(self.vfs.path(), detail));
            }
            None => return Err(Error::corrupt_whole(self.vfs.path(), "there are no segments of the log any more")),
        }
        self.live = inventory.live_segments();
        self.bound = self.bound.max(inventory.highest_start_watermark());
        if let Some(mut current) = self.current.take()
            && let Some(still) = self.live.iter().find(|live| current.segment.is(live))
        {
            current.segment = *still;
            current.scanner.set_limit(still.end.unwrap_or(still.length));
            current.scanner.forget_read_ahead();
            self.current = Some(current);
        }
        Ok(())
    }

    fn try_read(&mut self, after: Lsn) -> Result<()> {
        let goal = after.next();
        loop {
            let current = self.current_at(after)?;
            let problem = match current.scanner.step()? {
                Step::Frame(Frame { kind: Kind::Record, lsn, .. }) if lsn == goal => {
                    current.at = goal;
                    return Ok(());
                }
                Step::Frame(_) => continue,
                Step::End => "there are no more frames here",
                Step::Bad(problem) => problem,
            };
            let (path, offset) = (current.scanner.path().to_owned(), current.scanner.offset());
            let was_in = current.segment;
            self.current = None;
            if self.locate(after)?.is(&was_in) {
                let detail = format!("{problem}, but record {goal} was durable: it cannot be read");
                return Err(Error::corrupt(path, offset, detail));
            }
        }
    }

    /// The live segment that holds the record after `after`.
    fn locate(&self, after: Lsn) -> Result<LiveSegment> {
        let at = self.live.partition_point(|segment| segment.base <= after);
        match (at.checked_sub(1).and_then(|at| self.live.get(at)), self.live.first()) {
            (Some(segment), _) => Ok(*segment),
            (None, Some(first)) => Err(Error::Trimmed { after, trimmed: first.base }),
            (None, None) => {
                let detail = format!("record {} was durable, but no segment holds records", after.next());
                Err(Error::corrupt_whole(self.vfs.path(), detail))
            }
        }
    }

    /// The segment that holds the record after `after`, open at a place before that record.
    fn current_at(&mut self, after: Lsn) -> Result<&mut Current> {
        let current = match self.current.take().filter(|current| current.at == after) {
            Some(current) => current,
            None => self.open_at(after)?,
        };
        Ok(self.current.insert(current))
    }

    fn open_at(&mut self, after: Lsn) -> Result<Current> {
        for _ in 0..INVENTORIES_MAX {
            let segment = self.locate(after)?;
            if let Some(scanner) = open_segment(&*self.vfs, &segment)? {
                return Ok(Current { segment, scanner: scanner.skip_to(after), at: after });
            }
            self.take_inventory()?; // it was trimmed meanwhile
        }
        let segment = self.locate(after)?;
        let path = error::path(&*self.vfs, &names::segment(segment.number));
        Err(Error::corrupt_whole(path, "the segment can be listed but not opened"))
    }

    /// The highest durable position that a frame behind `after` states. What a frame states was
    /// true when it was written, and stays true whatever becomes of the frame.
    fn highest_watermark(&mut self, after: Lsn) -> Result<Lsn> {
        let mut highest = Lsn::START;
        let at = self.live.partition_point(|segment| segment.base <= after);
        for segment in &self.live[at.saturating_sub(1)..] {
            let mut scanner = match &self.current {
                Some(current) if current.segment.is(segment) => current.scanner.clone(),
                _ => match open_segment(&*self.vfs, segment)? {
                    Some(scanner) => scanner.skip_to(after),
                    None => continue, // trimmed meanwhile
                },
            };
            while let Step::Frame(frame) = scanner.step()? {
                highest = highest.max(frame.watermark);
            }
        }
        Ok(highest)
    }

    /// Says what is behind an error: the directory may have been removed or replaced.
    fn explain(&self, error: Error) -> Error {
        if error::is_finding(&error) && !self.vfs.is_in_place() {
            return Error::DirectoryReplaced { path: self.vfs.path().to_owned() };
        }
        error
    }
}

impl FollowedLog for LogFollower {
    fn id(&self) -> LogId {
        self.log_id
    }

    fn look(&mut self) -> Result<()> {
        self.try_look().map_err(|error| self.explain(error))
    }

    fn trimmed(&self) -> Lsn {
        self.live.first().map_or(Lsn::START, |first| first.base)
    }

    fn read(&mut self, after: Lsn) -> Result<Option<Record<'_>>> {
        if after >= self.bound && mem::take(&mut self.looks_ahead) {
            let highest = self.highest_watermark(after).map_err(|error| self.explain(error))?;
            self.bound = self.bound.max(highest);
        }
        if after >= self.bound {
            return Ok(None);
        }
        self.try_read(after).map_err(|error| self.explain(error))?;
        let Some(Current { scanner, at, .. }) = &self.current else { return Ok(None) };
        Ok(Some(Record { epoch: scanner.epoch(), lsn: *at, payload: scanner.payload() }))
    }
}

impl fmt::Debug for LogFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFollower")
            .field("directory", &self.vfs.path())
            .field("id", &self.log_id)
            .field("durable", &self.bound)
            .finish_non_exhaustive()
    }
}

/// Takes the inventory of a log whose owner may be at work. It counts if no segment came or went
/// meanwhile: otherwise one that is not there may look lost.
fn take_inventory(vfs: &dyn Vfs) -> Result<Inventory<'_>> {
    let mut taken = 0;
    loop {
        let before = segment_numbers(vfs)?;
        let inventory = Inventory::read(vfs).and_then(|found| found.check_complete().map(|()| found));
        taken += 1;
        if taken == INVENTORIES_MAX || segment_numbers(vfs)? == before {
            return inventory;
        }
    }
}

/// What the mark states. A slot that its owner is just writing cannot be read, and the other one is
/// older, so that the mark is read again.
fn read_mark(vfs: &dyn Vfs, log_id: LogId) -> Result<Option<Mark>> {
    let mut stated: Option<Mark> = None;
    for _ in 0..MARK_READS_MAX {
        let slots = mark_file::read_of(vfs, Some(log_id))?;
        let both = slots.len() == mark_file::SLOTS;
        let slots = slots.into_iter().chain(stated);
        stated = slots.reduce(Mark::and);
        if both {
            break;
        }
    }
    Ok(stated)
}

/// A scanner of a live segment. `None` if the file is gone, or is another segment by now.
fn open_segment(vfs: &dyn Vfs, segment: &LiveSegment) -> Result<Option<Scanner>> {
    match segment_file::open(vfs, segment.number, Access::Read) {
        Ok(opened) if opened.header.identity == segment.identity => {
            Scanner::new(&opened, segment.end.unwrap_or(segment.length)).map(Some)
        }
        Ok(_) => Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
