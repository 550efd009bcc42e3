//! Deleting many entries with one record.

use std::ops::Bound;

use super::PendingWrite;
use crate::{
    Entry, Error, Result, Value,
    collections::{Direction, Walk},
    operation::OPERATION_HEADER_BYTES,
};

/// How many entries one step deletes at most.
const STEP_ENTRIES: usize = 1024;
/// A step ends when its record has this many bytes.
const STEP_BYTES: usize = 256 << 10;

/// How much of a range is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of it, or nothing.
    Whole,
    /// As much as one step may delete, from its beginning on.
    Step,
}

/// What one step has deleted.
#[derive(Debug)]
pub(in crate::store) struct DeletedStep {
    /// How many entries.
    pub(in crate::store) entries: u64,
    /// The last key, if there may be more behind it.
    pub(in crate::store) last: Option<Value>,
}

impl PendingWrite<'_> {
    /// Deletes the entries within the bounds, and returns them.
    pub(in crate::store) fn drain(
        &mut self,
        name: &str,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Result<Vec<Entry>> {
        let (found, _) = self.delete_within(name, lower, upper, Extent::Whole, |value| value)?;
        Ok(found.into_iter().map(|(key, value)| Entry { key, value }).collect())
    }

    /// Deletes the entries within the bounds, and returns how many there were.
    pub(in crate::store) fn delete_range(
        &mut self,
        name: &str,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Result<u64> {
        let (found, _) = self.delete_within(name, lower, upper, Extent::Whole, drop)?;
        Ok(found.len() as u64)
    }

    /// Deletes the first entries within the bounds, as many as one step may.
    pub(in crate::store) fn delete_step(
        &mut self,
        name: &str,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Result<DeletedStep> {
        let (mut found, is_all) = self.delete_within(name, lower, upper, Extent::Step, drop)?;
        let entries = found.len() as u64;
        Ok(DeletedStep { entries, last: found.pop().filter(|_| !is_all).map(|(key, ())| key) })
    }

    /// Deletes those of the entries that still have these values, as many as one record can.
    /// Returns how many were looked at, and how many of them were deleted.
    pub(in crate::store) fn delete_unchanged(&mut self, name: &str, entries: &[Entry]) -> Result<(usize, u64)> {
        let mut deleted = 0;
        for (at, Entry { key, value }) in entries.iter().enumerate() {
            let is_full = self.limits.check_batch(self.record.len() + OPERATION_HEADER_BYTES + key.len()).is_err();
            if is_full && deleted > 0 {
                return Ok((at, deleted));
            }
            let mut is_unchanged = false;
            self.get_with(name, key, &mut |present| is_unchanged = present == &**value)?;
            if is_unchanged {
                self.delete_present(name, key)?;
                deleted += 1;
            }
        }
        Ok((entries.len(), deleted))
    }

    /// Deletes entries within the bounds. Returns their keys with what `keep` makes of their
    /// values, and whether these were all.
    fn delete_within<T>(
        &mut self,
        name: &str,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        extent: Extent,
        keep: impl Fn(Value) -> T,
    ) -> Result<(Vec<(Value, T)>, bool)> {
        let mut entries = self.range(name, lower, upper);
        let found = self.find_deletable(&mut entries, extent, keep);
        let depends_on = entries.depends_on();
        self.observed.note(depends_on);
        let (found, is_all) = found?;
        found.iter().try_for_each(|(key, _)| self.delete_present(name, key))?;
        let ends =
            [(Direction::Forward, lower, upper, found.last()), (Direction::Backward, upper, lower, found.first())];
        for (end, begins, reaches, last) in ends {
            match last {
                _ if begins != Bound::Unbounded => {}
                _ if end == Direction::Backward && !is_all => {}
                Some((last, _)) => self.note_popped(name, end, last),
                None => self.note_empty(name, end, reaches, depends_on),
            }
        }
        Ok((found, is_all))
    }

    /// The entries that one record or one step can delete, and whether these are all. This is found
    /// out before anything is deleted, because a transaction may go on after an error.
    fn find_deletable<T>(
        &self,
        entries: &mut Walk<'_>,
        extent: Extent,
        keep: impl Fn(Value) -> T,
    ) -> Result<(Vec<(Value, T)>, bool)> {
        let (mut found, mut record_bytes) = (Vec::new(), self.record.len());
        while let Some(Entry { key, value }) = entries.take(Direction::Forward).transpose()? {
            record_bytes += OPERATION_HEADER_BYTES + key.len();
            let is_too_large = self.limits.check_batch(record_bytes).is_err();
            match extent {
                Extent::Whole if is_too_large => {
                    return Err(Error::RangeTooLarge { max: self.limits.batch_bytes_max });
                }
                Extent::Step if is_too_large && !found.is_empty() => return Ok((found, false)),
                Extent::Whole | Extent::Step => found.push((key, keep(value))),
            }
            if extent == Extent::Step && (found.len() >= STEP_ENTRIES || record_bytes >= STEP_BYTES) {
                return Ok((found, false));
            }
        }
        Ok((found, true))
    }
}
