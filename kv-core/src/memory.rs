//! Backends without files, for tests and for data that may end with the process. They keep every guarantee of their traits, and
//! are meant to be read by whoever writes a backend of their own.

mod checkpointer;
mod log;

pub use checkpointer::{CheckpointDamage, MemoryCheckpointMedium, MemoryCheckpointer};
pub use log::{Crash, MemoryLog, MemoryLogMedium};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. A thread that panicked while it held the lock left nothing half done: every change of a medium is made after all that
/// can fail.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
