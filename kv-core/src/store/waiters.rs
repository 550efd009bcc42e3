//! Wakers that wait for a position to be reached.

use std::{collections::BTreeMap, sync::atomic::Ordering, task::Waker};

use super::locks;
use crate::{
    Lsn,
    sync::{AtomicU64, AtomicUsize, Mutex, lock},
};

/// Wakers, each with the position that it waits for.
///
/// Wakers are foreign code. None is cloned, woken or dropped under the lock of this set, because it
/// may call back into it. They do not run under any other lock of the store either ([`locks`]).
///
/// No wake-up is lost. A waiter stores its waker, changes `waiting`, and then reads the position.
/// The other side raises the position, then changes `waiting`, and then takes wakers. Both changes
/// are read-modify-writes of one atomic, so one of them comes second and synchronizes with the
/// first. If the waiter comes second, it sees the position. If the other side comes second, it sees
/// the waiter.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// How many wakers there are. [`wake`](Waiters::wake) reads it by adding 0, which is a change
    /// in the sense above. With a plain load, it could miss a waiter that has missed the position.
    waiting: AtomicUsize,
    wakers: Mutex<BTreeMap<Waiting, Waker>>,
    last_number: AtomicU64,
}

/// The key of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    lsn: Lsn,
    number: u64,
}

impl Waiters {
    /// A new key, to wait for `lsn`.
    pub(super) fn number(&self, lsn: Lsn) -> Waiting {
        Waiting { lsn, number: self.last_number.fetch_add(1, Ordering::Relaxed) }
    }

    /// Registers `waker` under this key, replacing an earlier one. Afterwards the caller must check
    /// again whether the position has been reached.
    pub(super) fn register(&self, waiting: Waiting, waker: &Waker) {
        let waker = waker.clone();
        let _replaced = {
            let mut wakers = lock(&self.wakers);
            let replaced = wakers.insert(waiting, waker);
            self.note(&wakers);
            replaced
        };
    }

    /// Removes the waker of this key.
    pub(super) fn forget(&self, waiting: Waiting) {
        let _removed = {
            let mut wakers = lock(&self.wakers);
            let removed = wakers.remove(&waiting);
            self.note(&wakers);
            removed
        };
    }

    /// Wakes the waiters for positions up to `reached`. The caller has already raised the position.
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

    /// Wakes all waiters, because what they wait for may never come.
    pub(super) fn wake_all(&self) {
        self.wake(Lsn(u64::MAX));
    }
}
