//! The store's locks, and the rule that nobody else's code runs under one.
//!
//! A waker may do anything, also call the store that wakes it. A position may move while this
//! thread holds a lock, in a transaction's closure: the closure may sync a store, or poll a commit,
//! of this store or another. So each thread counts the store locks that it holds, of all stores,
//! and wakers that are due meanwhile run when the last one is released.

use std::{
    cell::RefCell,
    mem::{self, ManuallyDrop},
    ops::{Deref, DerefMut},
    task::Waker,
};

use crate::{
    panics::guarded,
    sync::{MutexGuard, thread_local},
};

thread_local! {
    static LOCKS: RefCell<Locks> = RefCell::new(Locks::default());
}

#[derive(Default)]
struct Locks {
    /// How many this thread holds.
    held: usize,
    /// The wakers to run when it holds none; empty then. Never dropped, so that a store can be used
    /// while its thread ends.
    due: ManuallyDrop<Vec<Waker>>,
}

/// A lock of a store, held. While it is, [`wake`] runs nothing.
pub(super) struct Guard<'a, T> {
    // Dropped in this order: the lock is released before wakers run.
    guard: MutexGuard<'a, T>,
    _held: Held,
}

impl<'a, T> Guard<'a, T> {
    pub(super) fn new(guard: MutexGuard<'a, T>) -> Self {
        LOCKS.with(|locks| locks.borrow_mut().held += 1);
        Self { guard, _held: Held }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        let due = LOCKS.with(|locks| {
            let mut locks = locks.borrow_mut();
            locks.held -= 1;
            if locks.held == 0 { mem::take(&mut *locks.due) } else { Vec::new() }
        });
        wake(due);
    }
}

/// Runs the wakers, when this thread holds no lock of any store. One that panics is passed over.
pub(super) fn wake(mut wakers: Vec<Waker>) {
    LOCKS.with(|locks| {
        let mut locks = locks.borrow_mut();
        if locks.held > 0 {
            locks.due.append(&mut wakers);
        }
    });
    for waker in wakers {
        debug_assert_eq!(LOCKS.with(|locks| locks.borrow().held), 0, "a waker would run under a lock");
        let _ = guarded("a waker", || {
            waker.wake();
            Ok(())
        }); // the panic hook has told of it
    }
}
