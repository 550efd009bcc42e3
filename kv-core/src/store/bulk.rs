//! Deleting many entries of a collection.

use std::ops::{Bound, ControlFlow, RangeBounds};

use super::Collection;
use crate::{Entry, Result, Value, collections::prefix_bounds};

/// How many entries [`Collection::retain`] collects before it deletes them, ...
const STEP_ENTRIES: usize = 1024;
/// ... how many bytes of their keys and values, ...
const STEP_BYTES: usize = 1 << 20;
/// ... and how many entries it looks at before it lets go of what it reads, so that it holds no old
/// memory for long.
const STEP_LOOKS: usize = 16 << 10;

/// # Verbs that delete many entries
///
/// [`delete_range`](Collection::delete_range) and [`delete_prefix`](Collection::delete_prefix) are
/// one step each: all of the entries are deleted, or none. What one record cannot delete they
/// refuse. The others have no limit, because they work in steps. Each step deletes at most 1,024
/// entries and is atomic, and other writes come between the steps. If one of them fails, or the
/// process ends, the steps before it stay: call the verb again.
///
/// To delete everything, [`clear_collection`](crate::Store::clear_collection) and
/// [`drop_collection`](crate::Store::drop_collection) are quicker, at a cost that does not depend
/// on the size.
impl Collection {
    /// Deletes the entries whose keys lie in `keys`, and returns how many there were. It is one
    /// step: all of them are deleted, or none. A range that contains nothing, even an inverted one,
    /// deletes nothing.
    ///
    /// Other writers wait meanwhile.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let visits = store.collection("visits")?;
    /// for day in ["2024-12-30", "2024-12-31", "2025-01-01"] {
    ///     visits.put(day, "7")?;
    /// }
    /// assert_eq!(visits.delete_range(.."2025")?, 2);
    /// assert_eq!(visits.len()?, 1);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`RangeTooLarge`](crate::Error::RangeTooLarge) if there are more than one record can delete,
    /// which are about four million of 10 bytes: use
    /// [`delete_range_in_steps`](Collection::delete_range_in_steps). Otherwise as
    /// [`put`](Collection::put). Nothing was deleted.
    pub fn delete_range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Result<u64> {
        let (lower, upper) = (keys.start_bound().map(AsRef::as_ref), keys.end_bound().map(AsRef::as_ref));
        self.write(&[], None, |pending| pending.delete_range(self.name(), lower, upper))
    }

    /// Deletes the entries whose keys begin with `prefix`, and returns how many there were;
    /// otherwise as [`delete_range`](Collection::delete_range).
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let sessions = store.collection("sessions")?;
    /// for key in ["alice/1", "alice/2", "bob/1"] {
    ///     sessions.put(key, "")?;
    /// }
    /// assert_eq!(sessions.delete_prefix("alice/")?, 2);
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`delete_range`](Collection::delete_range).
    pub fn delete_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<u64> {
        let (lower, upper) = prefix_bounds(prefix.as_ref());
        self.delete_range::<&[u8]>((lower, upper.as_ref().map(|key| &**key)))
    }

    /// Deletes the entries whose keys lie in `keys`, however many there are, in steps from the
    /// first key to the last. Returns how many were deleted. What others put into the range
    /// meanwhile may be deleted or not.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let events = store.collection("events")?;
    /// for number in 0..5000_u32 {
    ///     events.put(number.to_be_bytes(), "happened")?;
    /// }
    /// assert_eq!(events.delete_range_in_steps(..4000_u32.to_be_bytes())?, 4000);
    /// assert_eq!(events.first()?.unwrap().key, 4000_u32.to_be_bytes());
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Collection::put). What earlier steps deleted stays deleted.
    pub fn delete_range_in_steps<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Result<u64> {
        let upper = keys.end_bound().map(AsRef::as_ref);
        let mut lower = keys.start_bound().map(|key| Value::copy_from(key.as_ref()));
        let (mut deleted, mut reached) = (0, None);
        loop {
            let from = lower.as_ref().map(|key| &**key);
            let step = self.write(&[], None, |pending| pending.delete_step(self.name(), from, upper))?;
            deleted += step.entries;
            let Some(last) = step.last else { return Ok(deleted) };
            // At the front of the collection each step begins again from the front, because it then
            // notes that nothing is left there, for later scans. If others put as much there as one
            // step deletes, that would never end.
            let advances = reached.as_ref().is_none_or(|reached| *reached < last);
            let farthest = reached.map_or(last.clone(), |reached: Value| reached.max(last));
            if lower != Bound::Unbounded || !advances {
                lower = Bound::Excluded(farthest.clone());
            }
            reached = Some(farthest);
        }
    }

    /// Deletes the entries whose keys begin with `prefix`, however many there are; otherwise as
    /// [`delete_range_in_steps`](Collection::delete_range_in_steps).
    ///
    /// # Errors
    /// As [`delete_range_in_steps`](Collection::delete_range_in_steps).
    pub fn delete_prefix_in_steps(&self, prefix: impl AsRef<[u8]>) -> Result<u64> {
        let (lower, upper) = prefix_bounds(prefix.as_ref());
        self.delete_range_in_steps::<&[u8]>((lower, upper.as_ref().map(|key| &**key)))
    }

    /// Deletes the entries for which `keep` returns `false`, in steps in the order of the keys.
    /// Returns how many were deleted.
    ///
    /// `keep` gets each key with the value that is published when its step begins. An entry is
    /// deleted only if it still has that value: what others write meanwhile stays. `keep` runs
    /// under no lock and may use the store.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let stock = store.collection("stock")?;
    /// for (fruit, left) in [("apples", 3), ("pears", 0), ("plums", 0)] {
    ///     stock.put(fruit, [left])?;
    /// }
    /// assert_eq!(stock.retain(|_fruit, left| left[0] > 0)?, 2);
    /// assert_eq!(stock.first()?.unwrap().key, "apples");
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Collection::put) and [`get`](Collection::get). What earlier steps deleted stays
    /// deleted.
    pub fn retain(&self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> Result<u64> {
        let (mut after, mut deleted) = (Bound::Unbounded, 0);
        loop {
            let (mut condemned, mut bytes, mut looks) = (Vec::new(), 0, 0);
            let step = |key: &[u8], value: &[u8]| {
                looks += 1;
                if !keep(key, value) {
                    bytes += key.len() + value.len();
                    condemned.push(Entry { key: Value::copy_from(key), value: Value::copy_from(value) });
                }
                let is_long = looks >= STEP_LOOKS || condemned.len() >= STEP_ENTRIES || bytes >= STEP_BYTES;
                if is_long { ControlFlow::Break(Value::copy_from(key)) } else { ControlFlow::Continue(()) }
            };
            let last = self.scan_with((after, Bound::Unbounded), step)?;
            deleted += self.delete_unchanged(&condemned)?;
            let Some(last) = last else { return Ok(deleted) };
            after = Bound::Excluded(last);
        }
    }

    /// Deletes those of the entries that still have these values, and returns how many did.
    fn delete_unchanged(&self, mut entries: &[Entry]) -> Result<u64> {
        let mut deleted = 0;
        while !entries.is_empty() {
            let (looked_at, of_these) =
                self.write(&[], None, |pending| pending.delete_unchanged(self.name(), entries))?;
            deleted += of_these;
            entries = &entries[looked_at..];
        }
        Ok(deleted)
    }
}
