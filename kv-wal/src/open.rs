//! Opens a log, or creates one.

use std::{
    io::{
        self,
        ErrorKind::{PermissionDenied, ReadOnlyFilesystem},
    },
    sync::Arc,
};

use kv_core::{Epoch, Error, FlushStats, LogId, Lsn, Result};
use kv_vfs::{Access, Lock, Vfs};

use crate::{
    format::{
        frame::{Link, NUMBER_MAX},
        names,
        segment::Header,
    },
    mark_file::MarkWriter,
    options::{Options, Sizes},
    recovery::{self, LogRecovery, Recovered, Tail},
    segment_file::{self, Allocation, CreateError, Segment},
    write::{Buffer, Poison, Positions, Shared, State, Unsynced, new_identity},
};

/// Locks the directory, so that no other log can be open in it.
pub(crate) fn lock(vfs: &dyn Vfs) -> Result<Lock> {
    let locked = vfs.try_lock(names::LOCK, Access::ReadWrite)?;
    locked.ok_or_else(|| Error::locked(vfs.path(), vfs.lock_holder(names::LOCK)))
}

/// Recovers the log. If there is none, creates it or fails, as `options` say.
pub(crate) fn open(vfs: Arc<dyn Vfs>, sizes: Sizes, options: &Options) -> Result<(Arc<Shared>, LogRecovery)> {
    let recovered = recovery::recover(&*vfs)?;
    let created = recovered.is_none();
    let recovered = match recovered {
        Some(recovered) => recovered,
        None if options.create => create(&*vfs, &sizes, LogId(vfs.random()?), Lsn::START)?,
        None => return Err(absent(&*vfs)),
    };
    opened(vfs, sizes, options, recovered, created)
}

/// Creates a log with that identity, in which the first record will have the position after `base`.
/// There must be none.
pub(crate) fn create_after(
    vfs: Arc<dyn Vfs>,
    sizes: Sizes,
    options: &Options,
    log_id: LogId,
    base: Lsn,
) -> Result<(Arc<Shared>, LogRecovery)> {
    if recovery::recover(&*vfs)?.is_some() {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "there is a log in this directory already");
        return Err(Error::from_io("create a log in", vfs.path(), source));
    }
    let created = create(&*vfs, &sizes, log_id, base)?;
    opened(vfs, sizes, options, created, true)
}

fn opened(
    vfs: Arc<dyn Vfs>,
    sizes: Sizes,
    options: &Options,
    recovered: Recovered,
    created: bool,
) -> Result<(Arc<Shared>, LogRecovery)> {
    let epoch = Epoch(recovered.epoch.0 + 1).max(options.epoch_min);
    if epoch.0 > NUMBER_MAX {
        return Err(Error::Misuse("`Options::epoch_min` is too high: it must not exceed 2^62".into()));
    }
    let report = LogRecovery {
        created,
        sealed: matches!(recovered.tail, Tail::BehindSeal(_)),
        trimmed: trimmed(&recovered),
        last: recovered.last,
        epoch,
        torn: recovered.torn.clone(),
    };
    let mark = MarkWriter::new(recovered.log_id, epoch, recovered.mark);
    let log_id = recovered.log_id;
    let state = state(&*vfs, recovered, sizes, epoch)?;
    Ok((Shared::new(vfs, log_id, state, mark), report))
}

pub(crate) fn absent(vfs: &dyn Vfs) -> Error {
    let source = io::Error::new(io::ErrorKind::NotFound, "there is no log in this directory");
    Error::from_io("open the log in", vfs.path(), source)
}

/// Creates a log without records: one spare segment, in which the first record will be written,
/// with the position after `base`. The mark is created with that record.
fn create(vfs: &dyn Vfs, sizes: &Sizes, log_id: LogId, base: Lsn) -> Result<Recovered> {
    let (identity, number) = (new_identity(vfs)?, 1);
    vfs.request_overwriting_in_place();
    let header = Header { log_id, number, identity, block_bytes: sizes.block as u32, length: sizes.segment_min };
    let used = || 1.0; // there is no segment before
    segment_file::create(vfs, &header, Allocation::Zeroed, &used).map_err(CreateError::into_inner)?;
    Ok(Recovered {
        log_id,
        live: Vec::new(),
        tail: Tail::NewSegment(None),
        spare: Some(number),
        obsolete: Vec::new(),
        next_number: number + 1,
        last: base,
        mark: None,
        epoch: Epoch(0),
        torn: None,
    })
}

fn trimmed(recovered: &Recovered) -> Lsn {
    recovered.live.first().map_or(Lsn::START, |first| first.base)
}

fn state(vfs: &dyn Vfs, recovered: Recovered, sizes: Sizes, epoch: Epoch) -> Result<State> {
    let (spare, useless) = spare(vfs, recovered.spare, sizes.block)?;
    Ok(State {
        epoch,
        sizes,
        kept_bytes: 0,
        uses_reserve: false,
        found_free: 0,
        positions: Arc::new(Positions::recovered(
            trimmed(&recovered),
            recovered.mark.map_or(Lsn::START, |mark| mark.durable),
            recovered.last,
        )),
        tail: tail(vfs, &recovered, &sizes)?,
        active: None,
        last_flushed_number: recovered.live.last().map_or(0, |last| last.number),
        live: recovered.live,
        spare,
        wants_spare: false,
        wants_short_segment: false,
        holds_long_records: false,
        preparing: false,
        next_number: recovered.next_number,
        obsolete: recovered.obsolete.into_iter().chain(useless).collect(),
        buffer: Buffer::new(epoch),
        unsynced: Unsynced::default(),
        flushed: FlushStats::default(),
        begun: false,
        mark_overwrites_in_place: false,
        closed: false,
        poison: Poison::default(),
    })
}

/// Opens the segment with that number as the spare, if it can be used. Otherwise returns the number
/// as obsolete.
fn spare(vfs: &dyn Vfs, number: Option<u64>, block: u64) -> Result<(Option<Segment>, Option<u64>)> {
    let Some(number) = number else { return Ok((None, None)) };
    match segment_file::open(vfs, number, Access::ReadWrite) {
        Ok(spare) if spare.is_writable(block)? => Ok((Some(spare), None)),
        Ok(_) => Ok((None, Some(number))),
        // Without write permission the log can still be read; a later write fails.
        Err(Error::Io { source, .. }) if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Ok((None, Some(number)))
        }
        Err(error) => Err(error),
    }
}

/// Decides where a sealed log continues: behind the seal if its segment has room there and can be
/// written, otherwise in the next segment.
fn tail(vfs: &dyn Vfs, recovered: &Recovered, sizes: &Sizes) -> Result<Tail> {
    let (Tail::BehindSeal(end), Some(last)) = (recovered.tail, recovered.live.last()) else {
        return Ok(recovered.tail);
    };
    let segment = segment_file::open(vfs, last.number, Access::Read)?;
    if segment.can_continue_after_seal(end, sizes.block)? {
        return Ok(recovered.tail);
    }
    let Header { number, identity, .. } = segment.header;
    Ok(Tail::NewSegment(Some(Link { number, identity, end })))
}
