//! Notices, while the log is open, that its directory is not its own any more: it was removed or
//! replaced, or somebody whom no lock held off, through another mount say, has begun to write to
//! it.
//!
//! It is looked at where the log is about to write in a new place: before its first write, before a
//! segment is created, and before one is begun. What is found poisons the log.

use kv_core::{Error, Result};

use crate::{
    error,
    file::{CreateError, Segment, read_up_to},
    names,
    shared::Shared,
    state::State,
};

/// How much of a block is looked at, in bytes: the beginning of a frame is never all zeroes.
const HEAD_BYTES: usize = 16;

impl Shared {
    /// Before the first write, which goes to `segment` from `end` on, if the log goes on in one.
    pub(crate) fn check_begin(&self, state: &mut State, segment: Option<(&Segment, u64)>) -> Result<()> {
        let checked = self.check_directory(state.next_number);
        note(state, checked.and_then(|()| segment.map_or(Ok(()), |(segment, end)| check_unused(segment, end))))
    }

    /// Before a segment is created, in the place of a spare that is too small, if there is one.
    pub(crate) fn check_create(&self, next_number: u64, spare: Option<&Segment>) -> Result<(), CreateError> {
        let checked = self.check_directory(next_number).and_then(|()| check_spare(spare));
        checked.map_err(|error| if is_final(&error) { CreateError::Final(error) } else { CreateError::Refused(error) })
    }

    /// Before the spare is begun.
    pub(crate) fn check_roll(&self, state: &mut State) -> Result<()> {
        let checked = self.check_place();
        note(state, checked.and_then(|()| check_spare(state.spare.as_ref())))
    }

    fn check_place(&self) -> Result<()> {
        if self.vfs.is_in_place() {
            return Ok(());
        }
        Err(Error::DirectoryReplaced { path: self.vfs.path().to_owned() })
    }

    /// Nobody else gives numbers to segments.
    fn check_directory(&self, next_number: u64) -> Result<()> {
        self.check_place()?;
        let is_given = |name: &String| names::segment_number(name).is_some_and(|number| number >= next_number);
        let is_foreign = self.vfs.list().map_err(error::io)?.iter().any(is_given);
        if is_foreign { Err(Error::Fenced) } else { Ok(()) }
    }
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

fn note(state: &mut State, checked: Result<()>) -> Result<()> {
    match checked {
        Err(cause) if is_final(&cause) => {
            state.poison.set(cause);
            state.poison.refuse()
        }
        other => other,
    }
}

/// That it could not be looked at is no more than a refusal.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::Fenced | Error::DirectoryReplaced { .. })
}
