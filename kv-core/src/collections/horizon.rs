use std::sync::atomic::Ordering;

use crate::{Lsn, sync::AtomicU64};

/// How far reads may go.
///
/// There are two upper limits, and neither moves back. Reads in the process see changes up to the
/// *published* position. What leaves the process, such as the change feed, goes up to the *settled*
/// position, the lower of published and durable: every later snapshot includes it, and no power cut
/// takes it back.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    published: AtomicU64,
    settled: AtomicU64,
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
}
