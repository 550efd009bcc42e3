//! Trimming segments that are no longer needed, and estimating how much of the disk the records
//! take.

use std::io;

use kv_core::{Error, Lsn, Result};

use super::{shared::Shared, state::State};
use crate::{format::names, recovery::LiveSegment};

impl Shared {
    /// Removes the segments whose records are all durable and at or below `upto`, oldest first, and
    /// those that hold nothing of the log.
    ///
    /// The segments leave the state under the lock, so no reader is sent to them any more, and two
    /// trims at once remove different files. The files are removed without the lock.
    pub(crate) fn trim(&self, upto: Lsn) -> Result<()> {
        let mut numbers = {
            let mut state = self.lock();
            if upto > state.appended {
                return Err(Error::never_appended(upto, state.appended));
            }
            state.poison.refuse()?;
            state.take_unneeded(upto)
        };
        numbers.sort_unstable();
        if numbers.is_empty() {
            return Ok(());
        }
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
        let upto = upto.min(self.durable);
        if upto < self.trimmed {
            return Vec::new();
        }
        // Remove a segment only if the start frame of the next one is durable: that frame then
        // proves where the log stands. So the last segment always stays.
        let forgotten = self.live.iter().skip(1).take_while(|next| next.base <= upto && self.is_flushed(next)).count();
        let mut numbers: Vec<_> = self.live.drain(..forgotten).map(|segment| segment.number).collect();
        self.trimmed = self.live.first().map_or(self.trimmed, |first| first.base);
        // A start frame makes older segments void, once it is durable itself.
        let void_below = self.live.iter().rev().find(|segment| self.is_flushed(segment)).map_or(0, |last| last.number);
        let (void, kept) = std::mem::take(&mut self.obsolete).into_iter().partition(|number| *number < void_below);
        self.obsolete = kept;
        numbers.extend::<Vec<_>>(void);
        numbers
    }

    /// Whether the segment's start frame is durable: either it was there when the log was opened,
    /// or a record behind it is durable.
    fn is_flushed(&self, segment: &LiveSegment) -> bool {
        segment.number <= self.last_recovered_number || segment.base < self.durable
    }

    /// About how many bytes on the disk hold the records after `after`: each segment's bytes, in
    /// proportion to how many of its records are meant.
    pub(crate) fn medium_bytes_after(&self, after: Lsn) -> u64 {
        let lasts = self.live.iter().skip(1).map(|next| next.base).chain([self.appended]);
        self.live
            .iter()
            .zip(lasts)
            .map(|(segment, last)| {
                let used = self.end_of(segment).saturating_sub(segment.block);
                let records = last.0.saturating_sub(segment.base.0);
                let wanted = last.0.saturating_sub(after.0).min(records);
                if records == 0 { 0 } else { (u128::from(used) * u128::from(wanted) / u128::from(records)) as u64 }
            })
            .sum()
    }
}
