//! Refuses implausible numbers: positions, epochs and others that no log ever reaches.

use kv_core::{Error, Result};

use super::{inventory::Inventory, walk::LogEnd};
use crate::{
    error,
    format::{frame::NUMBER_MAX, names},
};

impl Inventory<'_> {
    /// Fails if a number is so high that the log would soon exceed [`NUMBER_MAX`]: the next opening
    /// would not believe what this one wrote. No log gets there, so it is damage.
    pub(crate) fn check_numbers(&self, log_end: &LogEnd) -> Result<()> {
        let number = self.segments.last().map_or(0, |found| found.header.number);
        let segment = names::segment(number);
        for (what, number, name) in [
            ("position", log_end.end.last.0, segment.as_str()),
            ("epoch", self.epoch().max(log_end.end.epoch).0, &segment),
            ("number", number, &segment),
            ("counter", self.mark.map_or(0, |mark| mark.counter), names::MARK),
        ] {
            if number > NUMBER_MAX / 2 {
                let detail = format!("the {what} {number} is too high: no log reaches it");
                return Err(Error::corrupt_whole(error::path(self.vfs, name), detail));
            }
        }
        Ok(())
    }
}
