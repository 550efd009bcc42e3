//! The store's locks, and the rule that wakers never run under one.
//!
//! A waker is foreign code and may do anything, even call the store that wakes it. Wakers can
//! become due while a thread holds a lock: for example, the closure of a transaction may sync this
//! store or another, or poll a commit. So each thread counts the store locks that it holds, of all
//! stores. Wakers that become due meanwhile run when it releases the last one.

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
    /// How many locks this thread holds.
    held: usize,
    /// The wakers to run when this thread holds no lock any more; empty while it holds none. Never
    /// dropped, so that a store can still be used while the thread ends.
    due: ManuallyDrop<Vec<Waker>>,
}

/// A held lock of a store. While its thread holds one, [`wake`] only collects the wakers.
pub(super) struct Guard<'a, T> {
    // Dropped in this order: the lock is released before wakers run.
    guard: MutexGuard<'a, T>,
    _held: Held,
}

impl<'a, T> Guard<'a, T> {
    pub(super) fn new(guard: MutexGuard<'a, T>) -> Self {
        Self { guard, _held: Held::new() }
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

/// While its thread holds one, [`wake`] only collects the wakers.
pub(super) struct Held(());

impl Held {
    pub(super) fn new() -> Self {
        LOCKS.with(|locks| locks.borrow_mut().held += 1);
        Self(())
    }
}

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

/// Runs the wakers, now or when this thread releases the last store lock that it holds. Of several
/// in a row that wake the same task, one runs. A panic in one does not keep the others from
/// running.
pub(super) fn wake(mut wakers: Vec<Waker>) {
    LOCKS.with(|locks| {
        let mut locks = locks.borrow_mut();
        if locks.held > 0 {
            locks.due.append(&mut wakers);
        }
    });
    let mut wakers = wakers.into_iter().peekable();
    while let Some(waker) = wakers.next() {
        debug_assert_eq!(LOCKS.with(|locks| locks.borrow().held), 0, "a waker would run under a lock");
        let is_last = wakers.peek().is_none_or(|next| !next.will_wake(&waker));
        let _ = guarded("a waker", || {
            if is_last {
                waker.wake();
            } else {
                drop(waker);
            }
            Ok(())
        }); // the panic hook has reported it
    }
}
