//! Opening a log, and creating one.

use std::{
    io::{
        self,
        ErrorKind::{PermissionDenied, ReadOnlyFilesystem},
    },
    sync::Arc,
};

use kv_core::{Epoch, Error, LogId, Lsn, Result};
use kv_vfs::{Access, Lock, Vfs};

use crate::{
    Options, Recovery,
    buffer::{Buffer, Unsynced},
    error,
    file::{self, CreateError, Segment},
    frame::NUMBER_MAX,
    mark_file::MarkWriter,
    names,
    options::Sizes,
    poison::Poison,
    recovery::{self, Recovered, Tail},
    segment::Header,
    shared::{Shared, new_identity},
    state::State,
};

/// Makes this the only log that is open in the directory.
pub(crate) fn lock(vfs: &dyn Vfs) -> Result<Lock> {
    let locked = vfs.try_lock(names::LOCK, Access::ReadWrite).map_err(error::io)?;
    locked.ok_or_else(|| Error::locked(vfs.path(), vfs.lock_holder(names::LOCK)))
}

/// Recovers the log, or creates it if there is none and `options` say so.
pub(crate) fn open(vfs: Arc<dyn Vfs>, sizes: Sizes, options: &Options) -> Result<(Arc<Shared>, Recovery)> {
    let recovered = recovery::recover(&*vfs)?;
    let created = recovered.is_none();
    let recovered = match recovered {
        Some(recovered) => recovered,
        None if options.create => create(&*vfs, &sizes)?,
        None => return Err(absent(&*vfs)),
    };
    let epoch = Epoch(recovered.epoch.0 + 1).max(options.epoch_min);
    if epoch.0 > NUMBER_MAX {
        return Err(Error::Misuse("the epoch asked for is too high".into()));
    }
    let report = Recovery {
        created,
        sealed: matches!(recovered.tail, Tail::Sealed(_)),
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

fn absent(vfs: &dyn Vfs) -> Error {
    let source = io::Error::new(io::ErrorKind::NotFound, "there is no log in this directory");
    Error::from_io("open the log in", vfs.path(), source)
}

/// A log without a record: a segment in which the first record will be written. The mark comes with
/// that record.
fn create(vfs: &dyn Vfs, sizes: &Sizes) -> Result<Recovered> {
    let log_id = LogId(vfs.random().map_err(error::io)?);
    let (identity, number) = (new_identity(vfs)?, 1);
    vfs.request_overwriting_in_place();
    let header = Header { log_id, number, identity, block_bytes: sizes.block as u32, length: sizes.segment_min };
    file::create(vfs, &header).map_err(CreateError::into_inner)?;
    Ok(Recovered {
        log_id,
        run: Vec::new(),
        tail: Tail::Cut(None),
        spare: Some(number),
        garbage: Vec::new(),
        next_number: number + 1,
        last: Lsn::START,
        mark: None,
        epoch: Epoch(0),
        torn: None,
    })
}

fn trimmed(recovered: &Recovered) -> Lsn {
    recovered.run.first().map_or(Lsn::START, |first| first.base)
}

fn state(vfs: &dyn Vfs, recovered: Recovered, sizes: Sizes, epoch: Epoch) -> Result<State> {
    let (spare, useless) = spare(vfs, recovered.spare, sizes.block)?;
    Ok(State {
        epoch,
        sizes,
        trimmed: trimmed(&recovered),
        tail: tail(vfs, &recovered, &sizes)?,
        active: None,
        recovered_number: recovered.run.last().map_or(0, |last| last.number),
        run: recovered.run,
        spare,
        wants_spare: false,
        preparing: false,
        next_number: recovered.next_number,
        garbage: recovered.garbage.into_iter().chain(useless).collect(),
        buffer: Buffer::new(epoch),
        unsynced: Unsynced::default(),
        appended: recovered.last,
        written: recovered.last,
        durable: recovered.last,
        marked: recovered.mark.map_or(Lsn::START, |mark| mark.durable),
        flushing: false,
        begun: false,
        mark_is_in_place: false,
        closed: false,
        poison: Poison::default(),
    })
}

/// The spare of that number, if it can be used, or otherwise its number.
fn spare(vfs: &dyn Vfs, number: Option<u64>, block: u64) -> Result<(Option<Segment>, Option<u64>)> {
    let Some(number) = number else { return Ok((None, None)) };
    match file::open(vfs, number, Access::ReadWrite) {
        Ok(spare) if spare.is_whole(block)? => Ok((Some(spare), None)),
        Ok(_) => Ok((None, Some(number))),
        // Who may only read reads the log; a write is refused when it comes.
        Err(Error::Io { source, .. }) if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Ok((None, Some(number)))
        }
        Err(error) => Err(error),
    }
}

/// A sealed segment is written further only if that is possible; otherwise the next one takes over behind the seal.
fn tail(vfs: &dyn Vfs, recovered: &Recovered, sizes: &Sizes) -> Result<Tail> {
    let (Tail::Sealed(end), Some(last)) = (recovered.tail, recovered.run.last()) else { return Ok(recovered.tail) };
    let segment = file::open(vfs, last.number, Access::Read)?;
    if segment.goes_on_behind_seal(end, sizes.block)? {
        return Ok(recovered.tail);
    }
    let Header { number, identity, .. } = segment.header;
    Ok(Tail::Cut(Some(crate::frame::Link { number, identity, end })))
}
