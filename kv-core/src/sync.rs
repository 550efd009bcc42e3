//! What threads share state with: locks, atomics, and pointers that are exchanged whole. Under `cfg(loom)` they are loom's, which tries every order
//! (`cargo xtask loom`).

#[cfg(loom)]
mod arc_swap;

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
};
#[cfg(not(loom))]
pub(crate) use std::thread_local;

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
};
#[cfg(loom)]
pub(crate) use loom::thread_local;

#[cfg(not(loom))]
pub(crate) use ::arc_swap::ArcSwap;
#[cfg(loom)]
pub(crate) use arc_swap::ArcSwap;

#[cfg(loom)]
pub(crate) use foldhash::quality::FixedState as RandomState;
/// Hashes with a seed of its own; under loom, which must find the same in each execution, with none.
#[cfg(not(loom))]
pub(crate) use foldhash::quality::RandomState;

use std::sync::PoisonError;

/// Locks what a holder cannot leave half done, so that a panic in one does not matter. So do [`read`] and [`write`].
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
