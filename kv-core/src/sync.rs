//! Locks, atomics and swappable pointers that threads share. Under `cfg(loom)` they are replaced by
//! loom's, so that loom can explore the interleavings of threads (`cargo xtask loom`).

#[cfg(loom)]
mod arc_swap;

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize},
};
#[cfg(not(loom))]
pub(crate) use std::{thread::yield_now, thread_local};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize},
};
#[cfg(loom)]
pub(crate) use loom::{thread::yield_now, thread_local};

#[cfg(not(loom))]
pub(crate) use ::arc_swap::ArcSwap;
#[cfg(loom)]
pub(crate) use arc_swap::ArcSwap;

#[cfg(loom)]
pub(crate) use foldhash::quality::FixedState as RandomState;
/// Hashes with a random seed. Under loom the seed is fixed, because every execution must compute
/// the same hashes.
#[cfg(not(loom))]
pub(crate) use foldhash::quality::RandomState;

use std::sync::PoisonError;

/// Locks a mutex and ignores poison. Use it only for state that a panicking holder cannot leave
/// half changed. The same holds for [`read`] and [`write()`].
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Locks a mutex that another thread may hold for long, unless waiting for it is `cancelled`.
/// Ignores poison, as [`lock`] does.
#[cfg(not(loom))]
pub(crate) fn lock_unless<'a, T: ?Sized>(
    mutex: &'a Mutex<T>,
    cancelled: &dyn Fn() -> bool,
) -> Option<MutexGuard<'a, T>> {
    use std::{sync::TryLockError, thread, time::Duration};
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if cancelled() => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// In a model nothing is cancelled, and loom has to see which thread waits for which.
#[cfg(loom)]
pub(crate) fn lock_unless<'a, T>(mutex: &'a Mutex<T>, _cancelled: &dyn Fn() -> bool) -> Option<MutexGuard<'a, T>> {
    Some(lock(mutex))
}
