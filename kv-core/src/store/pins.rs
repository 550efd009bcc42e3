//! Pins: what the store has to keep for something in this process.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{Inner, Shared, Store};
use crate::{
    CheckpointId, Error, Lsn, Result,
    sync::{Mutex, lock},
};

/// Keeps the records of the log after a position, and the newest checkpoint at or before that
/// position, until it is dropped. Made by [`Store::pin`].
///
/// A pin also keeps the store open, as every handle does.
pub struct Pin {
    inner: Arc<Inner>,
    position: Lsn,
}

impl Pin {
    /// The position after which the records are kept.
    pub fn position(&self) -> Lsn {
        self.position
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // A child made by `fork` does not touch locks: another thread may have held one.
        if self.inner.check_owner().is_ok() {
            self.inner.pins.remove(self.position);
        }
    }
}

/// The positions that are pinned.
#[derive(Debug, Default)]
pub(super) struct Pins {
    counts: Mutex<BTreeMap<Lsn, usize>>,
    /// Held while something is pinned and while something is removed, so that nothing is removed
    /// that has just been pinned. Taken before `counts`.
    removing: Mutex<()>,
}

impl Pins {
    /// The lowest pinned position.
    pub(super) fn lowest(&self) -> Option<Lsn> {
        lock(&self.counts).keys().next().copied()
    }

    /// The checkpoints of a list, newest first, that are pinned.
    fn pinned(&self, ids: &[CheckpointId]) -> Vec<CheckpointId> {
        let before = |position: &Lsn| ids.iter().find(|id| id.lsn <= *position).copied();
        lock(&self.counts).keys().filter_map(before).collect()
    }

    /// How many pins there are.
    pub(super) fn count(&self) -> usize {
        lock(&self.counts).values().sum()
    }

    fn remove(&self, position: Lsn) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&position);
            }
        }
    }
}

impl Store {
    /// Keeps the records of the log after position `after`, and the newest checkpoint at or before
    /// it, until the returned pin is dropped. What is kept takes room on the medium, without a
    /// limit: [`stats`](Store::stats) shows how many pins there are, and the lowest position.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// let users = store.collection("users")?;
    /// users.put("alice", "Alice Liddell")?;
    /// let pin = store.pin(store.snapshot().position())?;
    /// users.put("bob", "Bob")?;
    /// for _ in 0..3 {
    ///     users.put("carol", "Carol")?;
    ///     store.checkpoint()?;
    /// }
    /// assert_eq!(store.changes(pin.position())?.count(), 4); // nothing of it was trimmed
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Trimmed`](Error::Trimmed) if the log no longer reaches back to that position.
    pub fn pin(&self, after: Lsn) -> Result<Pin> {
        self.inner.check_owner()?;
        let pins = &self.inner.pins;
        let _removing = lock(&pins.removing);
        let trimmed = self.inner.log.bounds().trimmed;
        // Without a checkpoint before them, records are of no use, unless they are all there.
        let ids = self.inner.checkpointer.list()?;
        let is_reached = trimmed == Lsn::START || ids.iter().any(|id| (trimmed..=after).contains(&id.lsn));
        if trimmed > after || !is_reached {
            return Err(Error::Trimmed { after, trimmed: ids.last().map_or(trimmed, |oldest| oldest.lsn) });
        }
        *lock(&pins.counts).entry(after).or_default() += 1;
        Ok(Pin { inner: Arc::clone(&self.inner), position: after })
    }
}

impl Shared {
    /// Removes the checkpoints that are no longer needed, and trims the log.
    ///
    /// Two checkpoints are kept, of different positions, and the log back to the older of them. So
    /// one bad checkpoint loses nothing. What is pinned is kept, too. While there is damage that no
    /// opening has examined, nothing is removed or trimmed, because it may be what heals that
    /// damage.
    pub(super) fn release(&self) -> Result<()> {
        let Some(newest) = self.collections.checkpoint_id() else { return Ok(()) };
        let older = |ids: &[CheckpointId]| ids.iter().find(|id| id.lsn < newest.lsn).copied();
        self.release_except(newest, older).map(drop)
    }

    /// As [`release`](Shared::release), but keeps only this checkpoint, which the caller has
    /// verified, and the log from there on. Returns whether a checkpoint was removed.
    pub(super) fn release_all_before(&self, newest: CheckpointId) -> Result<bool> {
        self.release_except(newest, |_| Some(newest))
    }

    /// Trims the log up to the checkpoint that `older` selects from the list, and removes all
    /// others below `newest`, except what is pinned. If `older` selects none, the log is not
    /// trimmed.
    ///
    /// Returns whether a checkpoint was removed.
    ///
    /// The log comes first: without a checkpoint before them, its records would be of no use.
    fn release_except(
        &self,
        newest: CheckpointId,
        older: impl Fn(&[CheckpointId]) -> Option<CheckpointId>,
    ) -> Result<bool> {
        if self.checkpointer.damage().is_some() {
            return Ok(false);
        }
        let _removing = lock(&self.pins.removing);
        let ids = self.checkpointer.list()?;
        let (older, pinned) = (older(&ids), self.pins.pinned(&ids));
        // A pin from before the first checkpoint needs the log from its beginning.
        let reached = |position: Lsn| ids.iter().any(|id| id.lsn <= position);
        if let Some(older) = older
            && self.pins.lowest().is_none_or(reached)
        {
            self.log.trim(self.pins.lowest().map_or(older.lsn, |lowest| lowest.min(older.lsn)))?;
        }
        let mut unneeded = ids.iter().filter(|id| **id < newest && Some(**id) != older && !pinned.contains(id));
        let removed = unneeded.try_fold(0, |removed, id| self.checkpointer.remove(*id).map(|()| removed + 1))?;
        Ok(removed > 0)
    }
}
