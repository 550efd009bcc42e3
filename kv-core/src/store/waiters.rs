//! Who waits, without a thread of its own, for a position to be reached.

use std::{collections::BTreeMap, sync::atomic::Ordering, task::Waker};

use super::locks;
use crate::{
    Lsn,
    sync::{AtomicU64, AtomicUsize, Mutex, lock},
};

/// Wakers, each with the position that it waits for.
///
/// They are somebody else's code: none is cloned, woken or dropped under the lock, since it may
/// come back here. They run under no other lock of the store either ([`locks`]).
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// How many there are. It is changed, or read as if it were changed, after the position was set by the one side and before it is looked
    /// at again by the other: whichever comes second knows of the other.
    waiting: AtomicUsize,
    wakers: Mutex<BTreeMap<Waiting, Waker>>,
    last_number: AtomicU64,
}

/// The key of somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    lsn: Lsn,
    number: u64,
}

impl Waiters {
    /// A key for somebody who may come to wait for `lsn`.
    pub(super) fn number(&self, lsn: Lsn) -> Waiting {
        Waiting { lsn, number: self.last_number.fetch_add(1, Ordering::Relaxed) }
    }

    /// Has the waker woken when the position is reached, in the place of one that it gave before. Who calls looks after this whether that has
    /// happened meanwhile.
    pub(super) fn register(&self, waiting: Waiting, waker: &Waker) {
        let waker = waker.clone();
        let _replaced = {
            let mut wakers = lock(&self.wakers);
            let replaced = wakers.insert(waiting, waker);
            self.note(&wakers);
            replaced
        };
    }

    pub(super) fn forget(&self, waiting: Waiting) {
        let _removed = {
            let mut wakers = lock(&self.wakers);
            let removed = wakers.remove(&waiting);
            self.note(&wakers);
            removed
        };
    }

    /// Wakes those who wait for positions up to `reached`, which others can see already.
    pub(super) fn wake(&self, reached: Lsn) {
        if self.waiting.fetch_add(0, Ordering::AcqRel) == 0 {
            return;
        }
        let reached = {
            let mut wakers = lock(&self.wakers);
            let later = wakers.split_off(&Waiting { lsn: Lsn(reached.0.saturating_add(1)), number: 0 });
            let reached = std::mem::replace(&mut *wakers, later);
            self.note(&wakers);
            reached
        };
        locks::wake(reached.into_values().collect());
    }

    fn note(&self, wakers: &BTreeMap<Waiting, Waker>) {
        self.waiting.swap(wakers.len(), Ordering::AcqRel);
    }

    /// Wakes everybody: there is nothing left to wait for.
    pub(super) fn wake_all(&self) {
        self.wake(Lsn(u64::MAX));
    }
}
