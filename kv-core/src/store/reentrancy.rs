//! Remembers which thread runs a closure under the writer's lock. If that thread asks for the lock
//! again, it gets an error instead of waiting for itself.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

thread_local! {
    /// This thread's number, which no other thread has. Not zero.
    static THREAD: Cell<u64> = Cell::new({
        static LAST: AtomicU64 = AtomicU64::new(0);
        LAST.fetch_add(1, Ordering::Relaxed) + 1
    });
}

/// The number of the thread that runs a closure under the writer's lock; 0 if there is none.
///
/// `Relaxed` is enough: a thread only compares the stored number with its own number, and no other
/// thread stores or removes that number. Any other value that it may see differs from its own.
#[derive(Debug, Default)]
pub(super) struct ReentrancyGuard(AtomicU64);

impl ReentrancyGuard {
    /// Called with the writer's lock held. The returned value is dropped when the closure has
    /// ended.
    pub(super) fn enter(&self) -> impl Drop + '_ {
        self.0.store(THREAD.get(), Ordering::Relaxed);
        Leave(self)
    }

    /// Whether this thread runs such a closure.
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
