//! The locks and condition variables: those of the standard library, or in a loom build those of
//! loom, which tries all interleavings (`cargo xtask loom`).

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
