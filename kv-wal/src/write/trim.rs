//! Forgetting what is not needed any more, and what the rest takes.

use std::io;

use kv_core::{Error, Lsn, Result};

use super::{shared::Shared, state::State};
use crate::{error, format::names, recovery::LiveSegment};

impl Shared {
    /// Removes the segments of which every position is at most `upto` and durable, oldest first, and those that hold nothing.
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
                    self.lock().obsolete.extend(&numbers[at..]); // for the next time
                    return Err(error::io(error));
                }
                _ => {}
            }
        }
        self.vfs.sync_directory().or_else(|error| {
            let mut state = self.lock();
            state.poison.set(error::io(error));
            state.poison.refuse()
        })
    }
}

impl State {
    /// Takes out of the log what may be forgotten, and returns the numbers of the segments to be removed.
    fn take_unneeded(&mut self, upto: Lsn) -> Vec<u64> {
        let upto = upto.min(self.durable);
        if upto < self.trimmed {
            return Vec::new();
        }
        // A segment goes only when the start frame of the next is durable, which is the evidence of where the log stands. The last one stays.
        let forgotten = self.live.iter().skip(1).take_while(|next| next.base <= upto && self.is_flushed(next)).count();
        let mut numbers: Vec<_> = self.live.drain(..forgotten).map(|segment| segment.number).collect();
        self.trimmed = self.live.first().map_or(self.trimmed, |first| first.base);
        // What is void is so by the start frame of a later segment, once that is durable.
        let void_below = self.live.iter().rev().find(|segment| self.is_flushed(segment)).map_or(0, |last| last.number);
        let (void, kept) = std::mem::take(&mut self.obsolete).into_iter().partition(|number| *number < void_below);
        self.obsolete = kept;
        numbers.extend::<Vec<_>>(void);
        numbers
    }

    /// Whether the segment's start frame is durable: it was there when the log was opened, or something behind it is durable.
    fn is_flushed(&self, segment: &LiveSegment) -> bool {
        segment.number <= self.last_recovered_number || segment.base < self.durable
    }

    /// The bytes that the records after `after` take, by their share of the segments in which they lie.
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
