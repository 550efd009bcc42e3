//! Notices, while the log is open, that its directory is no longer its own: the directory was
//! removed or replaced, or another writer, which no lock kept out, has begun to write to it
//! (through another mount, for example).
//!
//! The checks run where the log is about to write in a new place: before its first write, before it
//! creates a segment, and before it begins one. A finding poisons the log.

use kv_core::{Error, Result};
use kv_vfs::Vfs;

use crate::{
    format::names,
    segment_file::{CreateError, Segment, read_up_to},
};

/// How many bytes of a block are checked: the beginning of a frame is never all zeroes.
const HEAD_BYTES: usize = 16;

/// Checks before the first write of an opening. That write goes to `segment` from the offset `end`
/// on, if the log continues in one.
pub(super) fn check_begin(vfs: &dyn Vfs, next_number: u64, segment: Option<(&Segment, u64)>) -> Result<()> {
    check_directory(vfs, next_number)?;
    segment.map_or(Ok(()), |(segment, end)| check_unused(segment, end))
}

/// Checks before a segment is created. It may replace `spare`, which is too small.
pub(super) fn check_create(vfs: &dyn Vfs, next_number: u64, spare: Option<&Segment>) -> Result<(), CreateError> {
    let checked = check_directory(vfs, next_number).and_then(|()| check_spare(spare));
    checked.map_err(|error| if is_final(&error) { CreateError::Final(error) } else { CreateError::Refused(error) })
}

/// Checks before the spare is begun.
pub(super) fn check_roll(vfs: &dyn Vfs, spare: Option<&Segment>) -> Result<()> {
    check_place(vfs)?;
    check_spare(spare)
}

/// Whether the error says that the directory is no longer the log's own. Any other error says only
/// that this could not be checked, which refuses the call and is not final.
pub(super) fn is_final(error: &Error) -> bool {
    matches!(error, Error::Fenced | Error::DirectoryReplaced { .. })
}

fn check_place(vfs: &dyn Vfs) -> Result<()> {
    if vfs.is_in_place() {
        return Ok(());
    }
    Err(Error::DirectoryReplaced { path: vfs.path().to_owned() })
}

/// Fails if a segment has a number that this log has not given out: another writer created it.
fn check_directory(vfs: &dyn Vfs, next_number: u64) -> Result<()> {
    check_place(vfs)?;
    let is_given = |name: &String| names::segment_number(name).is_some_and(|number| number >= next_number);
    let is_foreign = vfs.list()?.iter().any(is_given);
    if is_foreign { Err(Error::Fenced) } else { Ok(()) }
}

/// Fails if another writer has begun the spare.
fn check_spare(spare: Option<&Segment>) -> Result<()> {
    spare.map_or(Ok(()), |spare| check_unused(spare, spare.block()))
}

/// Fails if there is anything at the offset `at`, where a block begins.
fn check_unused(segment: &Segment, at: u64) -> Result<()> {
    let mut head = [0; HEAD_BYTES];
    read_up_to(&*segment.file, &mut head, at)?;
    if head == [0; HEAD_BYTES] { Ok(()) } else { Err(Error::Fenced) }
}
