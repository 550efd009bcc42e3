//! Trims segments that are no longer needed, and estimates how much of the disk the records take.

use std::io;

use kv_core::{Error, Lsn, Result, event};

use super::{room::Room, shared::Shared, state::State};
use crate::{format::names, recovery::LiveSegment};

/// A segment is too long if it is longer than this many short ones, and what it holds fits a single
/// short one.
const LENGTHS_TOO_LONG: u64 = 4;

impl Shared {
    /// Removes what [`remove_unneeded`](Shared::remove_unneeded) removes. If the last segment is
    /// then far longer than what the log still holds, begins a short one, so that the long one can
    /// be removed, at once or by a later trim.
    pub(crate) fn trim(&self, upto: Lsn) -> Result<()> {
        self.remove_unneeded(upto)?;
        if self.leave_long_segment(upto)? { self.remove_unneeded(upto) } else { Ok(()) }
    }

    /// Begins a short segment if the last one is too long for what the log holds after `upto`.
    /// Returns whether it did, and the start frame of the short segment is durable.
    fn leave_long_segment(&self, upto: Lsn) -> Result<bool> {
        let mut state = self.lock();
        if !state.is_too_long(upto) {
            return Ok(false);
        }
        state.wants_short_segment = true;
        // If it cannot be made now, the segments are only longer than they need to be.
        let Ok(mut state) = self.prepare_spare(state, Room::Usual, 0) else {
            return self.lock().poison.refuse().map(|()| false);
        };
        let is_short = state.spare.as_ref().is_some_and(|spare| spare.header.length <= state.sizes.segment_min);
        if !is_short || !state.is_too_long(upto) {
            return Ok(false);
        }
        self.check_roll(&mut state)?;
        state.roll();
        let number = state.last_number();
        while state.last_flushed_number < number {
            state.poison.refuse()?;
            state = self.flush_or_wait(state);
        }
        Ok(true)
    }

    /// Removes the segments whose records are all durable and at or below `upto`, oldest first, and
    /// those that hold nothing of the log.
    ///
    /// The segments leave the state under the lock, so no reader is sent to them any more, and two
    /// trims at once remove different files. The files are removed without the lock.
    fn remove_unneeded(&self, upto: Lsn) -> Result<()> {
        let mut numbers = {
            let mut state = self.lock();
            if upto > state.appended() {
                return Err(Error::never_appended(upto, state.appended()));
            }
            state.poison.refuse()?;
            state.take_unneeded(upto)
        };
        numbers.sort_unstable();
        if numbers.is_empty() {
            return Ok(());
        }
        event!(DEBUG, upto = upto.0, segments = numbers.len(), "trimming the log");
        for (at, number) in numbers.iter().enumerate() {
            match self.vfs.remove(&names::segment(*number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.lock().obsolete.extend(&numbers[at..]); // the next trim tries again
                    return Err(error.into());
                }
                _ => {}
            }
        }
        self.vfs.sync_directory().or_else(|error| {
            let mut state = self.lock();
            state.poison.set(error.into());
            state.poison.refuse()
        })
    }
}

impl State {
    /// Takes the segments that are no longer needed out of the state, and returns their numbers.
    fn take_unneeded(&mut self, upto: Lsn) -> Vec<u64> {
        let upto = upto.min(self.durable());
        if upto < self.positions.trimmed() {
            return Vec::new();
        }
        // Remove a segment only if the start frame of the next one is durable: that frame then
        // proves which positions the log had reached. So the last segment always stays.
        let forgotten = self.live.iter().skip(1).take_while(|next| next.base <= upto && self.is_flushed(next)).count();
        let mut numbers: Vec<_> = self.live.drain(..forgotten).map(|segment| segment.number).collect();
        self.positions.set_trimmed(self.live.first().map_or(self.positions.trimmed(), |first| first.base));
        // The segments before a start frame that are not live are void once that start frame is
        // durable.
        let void_below = self.live.iter().rev().find(|segment| self.is_flushed(segment)).map_or(0, |last| last.number);
        let (void, kept) = std::mem::take(&mut self.obsolete).into_iter().partition(|number| *number < void_below);
        self.obsolete = kept;
        numbers.extend::<Vec<_>>(void);
        numbers
    }

    /// Whether the segment's start frame is durable.
    fn is_flushed(&self, segment: &LiveSegment) -> bool {
        segment.number <= self.last_flushed_number
    }

    /// Whether the log has one segment, which is far longer than what it holds after `upto`.
    fn is_too_long(&self, upto: Lsn) -> bool {
        let [only] = &self.live[..] else { return false };
        let short = self.sizes.segment_min;
        let holds_little = only.length > LENGTHS_TOO_LONG * short && self.medium_bytes_after(upto) <= short;
        holds_little && self.active.is_some() && self.check_open().is_ok()
    }

    /// About how many bytes of the disk the log takes because of the records after `after`: of each
    /// segment as much as it takes, in proportion to how many of its records come after `after`.
    ///
    /// A segment that another one continues takes its whole length, however little of it was used:
    /// each life of a process that is killed early leaves such a segment.
    pub(crate) fn medium_bytes_after(&self, after: Lsn) -> u64 {
        let bytes_of = |(at, segment): (usize, &LiveSegment)| match self.live.get(at + 1) {
            Some(next) => share_after(after, segment.base, next.base, segment.length),
            None => {
                share_after(after, segment.base, self.appended(), self.end_of(segment).saturating_sub(segment.block))
            }
        };
        self.live.iter().enumerate().map(bytes_of).sum()
    }
}

/// How many of `bytes`, which hold the records after `base` up to `last`, belong to records after
/// `after`.
fn share_after(after: Lsn, base: Lsn, last: Lsn, bytes: u64) -> u64 {
    if after < base {
        return bytes;
    }
    let (records, wanted) = (last.0.saturating_sub(base.0), last.0.saturating_sub(after.0));
    (u128::from(bytes) * u128::from(wanted) / u128::from(records.max(1))) as u64
}
