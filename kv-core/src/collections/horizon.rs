use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    Lsn,
    sync::{AtomicU64, Mutex, lock},
};

/// How far reads may go, and the older positions at which snapshots are still read.
///
/// There are two upper limits, and neither moves back. Reads in the process see changes up to the
/// *published* position. What leaves the process, such as the change feed, goes up to the *settled*
/// position, the lower of published and durable: every later snapshot includes it, and no power cut
/// takes it back.
///
/// The registry keeps versions from being pruned while a snapshot needs them. Why this is safe: a
/// pruner ([`visible`](Horizon::visible)) loads the published position first and reads the registry
/// second. A snapshot ([`register`](Horizon::register)) loads the published position while it holds
/// the registry's lock. So a registration that the pruner does not see took the lock after the
/// pruner released it, and read a published position that is not below the pruner's. The pruner
/// keeps everything that is visible from its published position on.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    published: AtomicU64,
    settled: AtomicU64,
    readers: Mutex<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    counts: BTreeMap<Lsn, usize>,
    /// The keys of `counts`, in order, to be handed out.
    positions: Arc<[Lsn]>,
    releases: u64,
}

impl Readers {
    fn list(&mut self) {
        self.positions = self.counts.keys().copied().collect();
    }
}

/// The positions at which anything reads now or may read later: the registered ones, and all from
/// the published one on.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    published: Lsn,
    settled: Lsn,
    /// The registered positions, in order.
    readers: Arc<[Lsn]>,
    releases: u64,
}

impl Horizon {
    /// The position up to which readers see changes.
    pub(crate) fn published(&self) -> Lsn {
        Lsn(self.published.load(Ordering::Acquire))
    }

    /// The position up to which changes are both published and durable.
    pub(crate) fn settled(&self) -> Lsn {
        Lsn(self.settled.load(Ordering::Acquire))
    }

    /// Publishes the changes up to `upto`. Those up to `durable` survive a power cut.
    ///
    /// A thread that sees a settled position also sees it published, because `published` is stored
    /// first.
    pub(crate) fn publish(&self, upto: Lsn, durable: Lsn) {
        self.published.fetch_max(upto.0, Ordering::AcqRel);
        self.settled.fetch_max(upto.min(durable).0, Ordering::AcqRel);
    }

    /// Registers a reader at the published position, and returns that position. Keeps the versions
    /// that are visible there from being pruned until it is [released](Horizon::release).
    pub(crate) fn register(&self) -> Lsn {
        let mut readers = lock(&self.readers);
        let position = self.published();
        let count = readers.counts.entry(position).or_default();
        *count += 1;
        if *count == 1 {
            readers.list();
        }
        position
    }

    pub(crate) fn release(&self, position: Lsn) {
        let mut readers = lock(&self.readers);
        if let Some(count) = readers.counts.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                readers.counts.remove(&position);
                readers.list();
                readers.releases += 1;
            }
        }
    }

    /// The positions at which versions are still needed.
    pub(crate) fn visible(&self) -> Visible {
        let (published, settled) = (self.published(), self.settled());
        let readers = lock(&self.readers);
        Visible { published, settled, readers: Arc::clone(&readers.positions), releases: readers.releases }
    }
}

impl Visible {
    /// As if nothing read before `published`, and everything up to it were durable.
    #[cfg(test)]
    pub(crate) fn from(published: Lsn) -> Self {
        Self { published, settled: published, readers: Arc::default(), releases: 0 }
    }

    /// The same, but with nothing durable.
    #[cfg(test)]
    pub(crate) fn unsettled(published: Lsn) -> Self {
        Self { settled: Lsn::START, ..Self::from(published) }
    }

    /// The position from which on anything may be read.
    pub(crate) fn published(&self) -> Lsn {
        self.published
    }

    /// The position up to which changes are also durable.
    pub(crate) fn settled(&self) -> Lsn {
        self.settled
    }

    /// How many times a position has lost its last reader.
    pub(crate) fn releases(&self) -> u64 {
        self.releases
    }

    /// Whether anything reads, now or later, at a position from `from` up to but excluding
    /// `before`.
    pub(crate) fn is_read(&self, from: Lsn, before: Lsn) -> bool {
        let next = self.readers.partition_point(|reader| *reader < from);
        from < before && before > self.published || self.readers.get(next).is_some_and(|reader| *reader < before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_position_never_goes_back() {
        let horizon = Horizon::default();
        horizon.publish(Lsn(5), Lsn(2));
        horizon.publish(Lsn(3), Lsn(1));
        assert_eq!((horizon.published(), horizon.settled()), (Lsn(5), Lsn(2)));
    }

    #[test]
    fn the_settled_position_is_above_neither_the_published_nor_the_durable_one() {
        let horizon = Horizon::default();
        horizon.publish(Lsn(5), Lsn(2));
        assert_eq!(horizon.settled(), Lsn(2), "not durable");
        horizon.publish(Lsn(5), Lsn(9));
        assert_eq!(horizon.settled(), Lsn(5), "not published");
    }

    #[test]
    fn positions_are_read_while_they_are_registered() {
        let horizon = Horizon::default();
        horizon.publish(Lsn(5), Lsn(5));
        let (first, second) = (horizon.register(), horizon.register());
        horizon.publish(Lsn(9), Lsn(9));
        horizon.release(first);
        let visible = horizon.visible();
        assert!(visible.is_read(Lsn(5), Lsn(6)) && visible.is_read(Lsn(3), Lsn(9)), "a reader is at 5");
        assert!(!visible.is_read(Lsn(6), Lsn(9)), "no reader is from 6 to 8");
        assert!(visible.is_read(Lsn(6), Lsn(10)), "later readers are at 9 or above");
        horizon.release(second);
        assert!(!horizon.visible().is_read(Lsn(5), Lsn(6)));
        assert_eq!(horizon.visible().releases(), 1);
    }
}
