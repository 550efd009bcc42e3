use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    Lsn,
    sync::{AtomicU64, Mutex, lock},
};

/// How far everything that shows state may go, and the older positions that somebody still reads
/// at.
///
/// There are two ends. Reads in the process follow the *published* position. What leaves the
/// process, as the change feed does, follows the *settled* position, the lower of published and
/// durable: every snapshot taken afterwards has it, and no power cut takes it back. Neither goes
/// back. The published position is loaded before the registry is read
/// ([`visible`](Horizon::visible)), and a position is registered as loaded under the registry's
/// lock: so a position that is registered after the registry was read is not below the one loaded
/// before.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    published: AtomicU64,
    settled: AtomicU64,
    readers: Mutex<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    counts: BTreeMap<Lsn, usize>,
    /// The positions in `counts`, in order, to be handed out.
    positions: Arc<[Lsn]>,
    releases: u64,
}

impl Readers {
    fn list(&mut self) {
        self.positions = self.counts.keys().copied().collect();
    }
}

/// The positions that anybody reads at, or will: those that were registered, and all from the published one on.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    published: Lsn,
    settled: Lsn,
    /// In order.
    readers: Arc<[Lsn]>,
    releases: u64,
}

impl Horizon {
    /// The position up to which everything may be seen.
    pub(crate) fn published(&self) -> Lsn {
        Lsn(self.published.load(Ordering::Acquire))
    }

    /// The position up to which everything is published and durable.
    pub(crate) fn settled(&self) -> Lsn {
        Lsn(self.settled.load(Ordering::Acquire))
    }

    /// Lets everything up to `upto` be seen, of which what lies up to `durable` survives a power
    /// cut.
    ///
    /// A thread that sees a settled position also sees it published.
    pub(crate) fn publish(&self, upto: Lsn, durable: Lsn) {
        self.published.fetch_max(upto.0, Ordering::AcqRel);
        self.settled.fetch_max(upto.min(durable).0, Ordering::AcqRel);
    }

    /// Keeps what is visible at the published position from being pruned, until [`release`](Horizon::release) of the position returned.
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
    /// Nothing before `published` is read, and everything up to there is durable.
    #[cfg(test)]
    pub(crate) fn from(published: Lsn) -> Self {
        Self { published, settled: published, readers: Arc::default(), releases: 0 }
    }

    /// The same, while nothing is durable.
    #[cfg(test)]
    pub(crate) fn unsettled(published: Lsn) -> Self {
        Self { settled: Lsn::START, ..Self::from(published) }
    }

    /// The position from which on everything may be read.
    pub(crate) fn published(&self) -> Lsn {
        self.published
    }

    /// The position up to which everything is durable, too.
    pub(crate) fn settled(&self) -> Lsn {
        self.settled
    }

    /// Rises when a registered position is no longer read at.
    pub(crate) fn releases(&self) -> u64 {
        self.releases
    }

    /// Whether anybody reads at `from` or later, but before `before`.
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
        assert!(visible.is_read(Lsn(5), Lsn(6)) && visible.is_read(Lsn(3), Lsn(9)), "somebody reads at 5");
        assert!(!visible.is_read(Lsn(6), Lsn(9)), "nobody reads from 6 to 8");
        assert!(visible.is_read(Lsn(6), Lsn(10)), "whoever comes reads at 9 or later");
        horizon.release(second);
        assert!(!horizon.visible().is_read(Lsn(5), Lsn(6)));
        assert_eq!(horizon.visible().releases(), 1);
    }
}
