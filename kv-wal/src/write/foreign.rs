//! Notices, while the log is open, that its directory is not its own any more: it was removed or
//! replaced, or somebody whom no lock held off, through another mount say, has begun to write to
//! it.
//!
//! It is looked at where the log is about to write in a new place: before its first write, before a
//! segment is created, and before one is begun. What is found poisons the log.

use kv_core::{Error, Result};
use kv_vfs::Vfs;

use crate::{
    error,
    format::names,
    segment_file::{CreateError, Segment, read_up_to},
};

/// How much of a block is looked at, in bytes: the beginning of a frame is never all zeroes.
const HEAD_BYTES: usize = 16;

/// Before the first write, which goes to `segment` from `end` on, if the log continues in one.
pub(super) fn check_begin(vfs: &dyn Vfs, next_number: u64, segment: Option<(&Segment, u64)>) -> Result<()> {
    check_directory(vfs, next_number)?;
    segment.map_or(Ok(()), |(segment, end)| check_unused(segment, end))
}

/// Before a segment is created, in the place of a spare that is too small, if there is one.
pub(super) fn check_create(vfs: &dyn Vfs, next_number: u64, spare: Option<&Segment>) -> Result<(), CreateError> {
    let checked = check_directory(vfs, next_number).and_then(|()| check_spare(spare));
    checked.map_err(|error| if is_final(&error) { CreateError::Final(error) } else { CreateError::Refused(error) })
}

/// Before the spare is begun.
pub(super) fn check_roll(vfs: &dyn Vfs, spare: Option<&Segment>) -> Result<()> {
    check_place(vfs)?;
    check_spare(spare)
}

/// Whether the error says that the directory is not the log's own any more. Any other one says that
/// this could not be checked, which is no more than a refusal.
pub(super) fn is_final(error: &Error) -> bool {
    matches!(error, Error::Fenced | Error::DirectoryReplaced { .. })
}

fn check_place(vfs: &dyn Vfs) -> Result<()> {
    if vfs.is_in_place() {
        return Ok(());
    }
    Err(Error::DirectoryReplaced { path: vfs.path().to_owned() })
}

/// Nobody else gives numbers to segments.
fn check_directory(vfs: &dyn Vfs, next_number: u64) -> Result<()> {
    check_place(vfs)?;
    let is_given = |name: &String| names::segment_number(name).is_some_and(|number| number >= next_number);
    let is_foreign = vfs.list().map_err(error::io)?.iter().any(is_given);
    if is_foreign { Err(Error::Fenced) } else { Ok(()) }
}

/// Nobody else begins our spare.
fn check_spare(spare: Option<&Segment>) -> Result<()> {
    spare.map_or(Ok(()), |spare| check_unused(spare, spare.block()))
}

/// Whether there is nothing at `at`, where a block begins.
fn check_unused(segment: &Segment, at: u64) -> Result<()> {
    let mut head = [0; HEAD_BYTES];
    read_up_to(&*segment.file, &mut head, at)?;
    if head == [0; HEAD_BYTES] { Ok(()) } else { Err(Error::Fenced) }
}
