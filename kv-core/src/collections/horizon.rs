use std::{collections::BTreeMap, sync::atomic::Ordering};

use crate::{
    Lsn,
    sync::{AtomicU64, Mutex, lock},
};

/// What readers can see: the published position, and the older positions that somebody still reads at.
///
/// The published position only rises. It is loaded before the registry is read ([`oldest_visible`](Horizon::oldest_visible)), and a position
/// is registered as loaded under the registry's lock: so a position that is registered after the registry was read is not below the
/// one loaded before.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    published: AtomicU64,
    readers: Mutex<BTreeMap<Lsn, usize>>,
}

impl Horizon {
    /// The position up to which everything may be seen.
    pub(crate) fn published(&self) -> Lsn {
        Lsn(self.published.load(Ordering::Acquire))
    }

    /// Lets everything up to `upto` be seen. Never goes back.
    pub(crate) fn publish(&self, upto: Lsn) {
        self.published.fetch_max(upto.0, Ordering::AcqRel);
    }

    /// Keeps what is visible at the published position from being pruned, until [`release`](Horizon::release) of the position returned.
    pub(crate) fn register(&self) -> Lsn {
        let mut readers = lock(&self.readers);
        let position = self.published();
        *readers.entry(position).or_default() += 1;
        position
    }

    pub(crate) fn release(&self, position: Lsn) {
        let mut readers = lock(&self.readers);
        if let Some(count) = readers.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&position);
            }
        }
    }

    /// The oldest position that anybody reads at, or will: of the versions at or before it only the newest is still needed.
    pub(crate) fn oldest_visible(&self) -> Lsn {
        let published = self.published();
        let oldest = lock(&self.readers).first_key_value().map(|(&position, _)| position);
        oldest.map_or(published, |oldest| oldest.min(published))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_position_never_goes_back() {
        let horizon = Horizon::default();
        horizon.publish(Lsn(5));
        horizon.publish(Lsn(3));
        assert_eq!(horizon.published(), Lsn(5));
    }

    #[test]
    fn registered_positions_hold_the_horizon_back() {
        let horizon = Horizon::default();
        horizon.publish(Lsn(5));
        let (first, second) = (horizon.register(), horizon.register());
        horizon.publish(Lsn(9));
        horizon.release(first);
        assert_eq!(horizon.oldest_visible(), Lsn(5));
        horizon.release(second);
        assert_eq!(horizon.oldest_visible(), Lsn(9));
    }
}
