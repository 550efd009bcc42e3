//! Which thread runs a closure while it holds the writer's lock, so that it is told when it asks for that lock again, and does not wait for itself.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

thread_local! {
    /// A number that no other thread has, and not zero.
    static THREAD: Cell<u64> = Cell::new({
        static LAST: AtomicU64 = AtomicU64::new(0);
        LAST.fetch_add(1, Ordering::Relaxed) + 1
    });
}

/// The thread that runs a closure under the writer's lock; 0 if there is none. A thread only ever compares it with its own number, so that
/// no order between threads matters.
#[derive(Debug, Default)]
pub(super) struct ReentrancyGuard(AtomicU64);

impl ReentrancyGuard {
    /// To be called by who holds the writer's lock, until the closure has ended.
    pub(super) fn enter(&self) -> impl Drop + '_ {
        self.0.store(THREAD.get(), Ordering::Relaxed);
        Leave(self)
    }

    /// Whether it is this thread.
    pub(super) fn is_here(&self) -> bool {
        self.0.load(Ordering::Relaxed) == THREAD.get()
    }
}

struct Leave<'a>(&'a ReentrancyGuard);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
}
