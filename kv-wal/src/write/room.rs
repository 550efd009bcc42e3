//! Room on the disk: how long a new segment may be, and whether the next record finds room at all.
//!
//! The log grows by whole segments. A segment is made only if it leaves as much of the disk free as
//! the log was told to keep: room for the checkpoint that allows it to be trimmed. Where the
//! preferred length does not fit, shorter ones are tried. An unused spare that is too small for the
//! record is given up if that makes the room.
//!
//! Records that only delete may take of what is kept. The segment that is made for one is as long
//! as others, so that not each of them needs a segment. What is left of it is for such records,
//! too: otherwise each deletion would hand a segment of the reserve to the puts that follow, until
//! nothing is left of it.

use std::io;

use kv_core::{Error, Result};
use kv_vfs::{Space, Vfs};

use super::{
    in_place::check_space,
    shared::{Guard, Shared},
    state::State,
};
use crate::{
    format::names,
    segment_file::{Allocation, CreateError, Segment},
};

/// The segment to be made.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) number: u64,
    /// The length that it should have, in bytes.
    pub(super) preferred: u64,
    /// The shortest length that it may have, in bytes.
    pub(super) shortest: u64,
    /// The size of a block in bytes.
    pub(super) block: u64,
    /// How it gets its space.
    pub(super) allocation: Allocation,
    /// How many bytes of the disk it must leave free.
    pub(super) kept_bytes: u64,
}

/// Which room a record may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// What is not kept free.
    Usual,
    /// Also what is kept free, except for this many bytes.
    Reserve { kept_bytes: u64 },
}

impl Room {
    /// How many bytes of the disk the record leaves free.
    pub(crate) fn kept_bytes(self, state: &State) -> u64 {
        match self {
            Self::Usual => state.kept_bytes,
            Self::Reserve { kept_bytes } => kept_bytes,
        }
    }
}

impl Shared {
    /// Makes sure that a record of up to `record_bytes` bytes finds room, and remembers how much of
    /// the disk to keep free. Writes nothing to the log. If a record is so long that it would need
    /// a segment of unusual length, or if this opening has not written yet, it is only checked
    /// whether there is room.
    ///
    /// # Errors
    /// [`DiskFull`](Error::DiskFull) if there is no room. Otherwise as
    /// [`prepare_spare`](Shared::prepare_spare).
    pub(crate) fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        let mut state = self.lock();
        if kept_bytes < state.kept_bytes {
            state.found_free = 0;
        }
        state.kept_bytes = kept_bytes;
        if state.uses_reserve && state.check_open().is_ok() {
            check_room(&*self.vfs, 0, kept_bytes)?;
            state.uses_reserve = false;
        }
        // A log that takes no more records needs no room: appending to it gives the reason.
        while state.check_open().is_ok() {
            if state.active_fits(record_bytes) || state.spare_fits(record_bytes) {
                self.look_for_kept(&mut state)?;
                return self.check_fitting(state, record_bytes, kept_bytes);
            }
            let length = state.shortest_length(record_bytes);
            if !state.begun || length > state.sizes.segment_max {
                return self.check_length(&state, length, kept_bytes);
            }
            state = self.prepare_spare(state, Room::Usual, record_bytes)?;
        }
        Ok(())
    }

    /// Fails if there is no room for a record of up to `record_bytes` bytes that leaves
    /// `kept_bytes` bytes free.
    pub(crate) fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        let state = self.lock();
        if state.check_open().is_err() {
            return Ok(()); // as above
        }
        if state.active_fits(record_bytes) || state.spare_fits(record_bytes) {
            check_room(&*self.vfs, 0, kept_bytes)?;
            return self.check_fitting(state, record_bytes, kept_bytes);
        }
        self.check_length(&state, state.shortest_length(record_bytes), kept_bytes)
    }

    /// Fails if less of the disk is free than has to be kept. A record that fits a segment takes
    /// nothing of it, but makes the next checkpoint larger.
    fn look_for_kept(&self, state: &mut State) -> Result<()> {
        if state.kept_bytes > state.found_free {
            check_room(&*self.vfs, 0, state.kept_bytes)?;
            state.found_free = state.kept_bytes;
        }
        Ok(())
    }

    /// Fails if a record that fits a segment may nevertheless find no room.
    fn check_fitting(&self, state: Guard<'_>, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        let (in_place, buffered) = (!state.begun || state.overwrites_in_place(), state.buffer.bytes());
        drop(state);
        if in_place { Ok(()) } else { check_space(&*self.vfs, buffered + record_bytes, kept_bytes) }
    }

    /// Fails if there is no room for a segment of that length, even in place of the spare.
    fn check_length(&self, state: &State, length: u64, kept_bytes: u64) -> Result<()> {
        let unused = state.spare.as_ref().map_or(0, |spare| spare.header.length);
        check_room(&*self.vfs, length.saturating_sub(unused), kept_bytes)
    }

    /// Makes a segment of the wanted length or, where there is no room for that, of a shorter one.
    /// If there is room for none, gives up the old spare, provided that this makes the room.
    pub(super) fn create_fitting(&self, wanted: &Wanted, spare: &mut Option<Segment>) -> Result<Segment, CreateError> {
        let refused = match self.create_longest(wanted) {
            Err(CreateError::Refused(refused @ Error::DiskFull { .. })) => refused,
            outcome => return outcome,
        };
        if !spare.as_ref().is_some_and(|spare| self.makes_room(spare, wanted)) {
            return Err(CreateError::Refused(refused));
        }
        // A power cut may bring it back. That does no harm: it is still unused then.
        match self.vfs.remove(&names::segment(wanted.number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(CreateError::Refused(error.into())),
            _ => *spare = None, // closes the file, which frees the space
        }
        self.create_longest(wanted)
    }

    /// Whether there is room for the shortest segment only without the spare.
    fn makes_room(&self, spare: &Segment, wanted: &Wanted) -> bool {
        let needed = wanted.shortest.saturating_add(wanted.kept_bytes);
        self.vfs.space().is_ok_and(|Space { free, .. }| free < needed && free + spare.header.length >= needed)
    }

    fn create_longest(&self, wanted: &Wanted) -> Result<Segment, CreateError> {
        let Wanted { preferred, shortest, block, kept_bytes, .. } = *wanted;
        let mut length = preferred;
        loop {
            let created = check_room(&*self.vfs, length, kept_bytes)
                .map_err(CreateError::Refused)
                .and_then(|()| self.create_segment(wanted, length));
            match created {
                Err(CreateError::Refused(Error::DiskFull { .. })) if length > shortest => {
                    length = (length / 2 / block * block).max(shortest);
                }
                outcome => return outcome,
            }
        }
    }
}

/// Fails if `bytes` more bytes would leave less than `kept_bytes` bytes of the disk free.
///
/// If nothing has to stay free, or if the file system does not say how much is free, there is room
/// until a write says otherwise.
fn check_room(vfs: &dyn Vfs, bytes: u64, kept_bytes: u64) -> Result<()> {
    if kept_bytes == 0 {
        return Ok(());
    }
    let Ok(Space { free, total }) = vfs.space() else { return Ok(()) };
    if total == 0 || free >= bytes.saturating_add(kept_bytes) {
        return Ok(());
    }
    let detail =
        format!("{free} bytes are free, and {kept_bytes} of them are kept for the checkpoint that frees the log");
    Err(refusal(vfs, detail))
}

pub(super) fn refusal(vfs: &dyn Vfs, detail: String) -> Error {
    Error::from_io("write to", vfs.path(), io::Error::new(io::ErrorKind::StorageFull, detail))
}
