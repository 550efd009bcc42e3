//! Distinguishes a child made by `fork` from the process in which something was opened. Every fork
//! raises a counter in the child, so the check takes no system call.
#![expect(unsafe_code, reason = "registering a handler for forks is unsafe; this module does nothing else")]

use std::{
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Counts the forks that lie between the first process that called [`Origin::here`] and this one.
/// It is only compared for equality.
///
/// Only a child changes it, in its only thread, before `fork` returns there. Every thread that the
/// child starts later sees the new value, and no thread of the parent sees a change at all. So
/// `Relaxed` is enough.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// Whether forks are counted: set after the handler was registered (`Release`), so that a thread
/// that sees it set (`Acquire`) can rely on the counter.
static IS_COUNTED: AtomicBool = AtomicBool::new(false);

/// The process in which something was opened.
///
/// A child made by `fork` inherits everything: memory, open files, and the locks on them. It does
/// not inherit the parent's other threads, so a mutex that one of those threads held stays locked
/// in the child for ever. Code must therefore check whether it runs in a child before it takes any
/// lock or touches a file.
///
/// A child that is made without the C library's fork handlers (by the system call `clone`, or by
/// glibc's `_Fork`) is not noticed.
///
/// ```
/// use kv_vfs::Origin;
///
/// let origin = Origin::here();
/// assert!(origin.is_here()); // false in a child of this process
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    forks: u64,
    process: u32,
}

impl Origin {
    /// This process.
    pub fn here() -> Self {
        if !IS_COUNTED.load(Ordering::Acquire) {
            count_forks();
        }
        Self { forks: FORKS.load(Ordering::Relaxed), process: process::id() }
    }

    /// Whether the calling process is still that process. Takes no lock.
    #[inline]
    pub fn is_here(&self) -> bool {
        if IS_COUNTED.load(Ordering::Acquire) {
            self.forks == FORKS.load(Ordering::Relaxed)
        } else {
            // The handler could not be registered. This costs a system call.
            self.process == process::id()
        }
    }
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Two threads that call this at once register the handler twice. That does no harm: the counter is
/// only compared for equality, and each fork then raises it by two. A mutex could prevent it, but
/// could stay locked in a child.
fn count_forks() {
    // SAFETY: the handler takes no arguments and lives as long as the program. It runs in the
    // child, where only async-signal-safe calls are allowed: it makes no call, and adds to an
    // atomic.
    let registered = unsafe { libc::pthread_atfork(None, None, Some(in_child)) } == 0;
    if registered {
        IS_COUNTED.store(true, Ordering::Release);
    }
}
