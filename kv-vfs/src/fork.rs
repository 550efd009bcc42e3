//! Notices that this process is a child, made by `fork`, of the one in which something was opened.
//! A counter that each fork raises tells, so that asking costs no system call.
#![expect(unsafe_code, reason = "registering a handler for forks is unsafe; this module does nothing else")]

use std::{
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// How many forks lie between the first process that asked and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// Whether each fork raises the counter.
static IS_COUNTED: AtomicBool = AtomicBool::new(false);

/// The process in which something was opened.
///
/// A child that is made by `fork` inherits everything: memory, open files, and the locks on them.
/// It has none of the parent's other threads, and mutexes that those held stay locked in it for
/// ever. So what belongs to the parent must be told apart before any lock is taken, and before a
/// file is touched.
///
/// A child that is made by the raw system call (`clone`, glibc's `_Fork`), past the C library's
/// handlers, is not noticed.
///
/// ```
/// use kv_vfs::Origin;
///
/// let origin = Origin::here();
/// assert!(origin.is_here()); // in a child of this process: no
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

    /// Whether this is the same process. Takes no lock.
    #[inline]
    pub fn is_here(&self) -> bool {
        if IS_COUNTED.load(Ordering::Acquire) {
            self.forks == FORKS.load(Ordering::Relaxed)
        } else {
            self.process == process::id() // no handler could be registered: this costs a system call
        }
    }
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Two threads that come here at once register the handler twice, which harms nobody: the counter
/// is only compared. A mutex around it could stay locked in a child.
fn count_forks() {
    // SAFETY: the handler is a function without arguments that lives as long as the program. It
    // runs in the child, where only async-signal-safe calls are allowed: it makes none, and adds to
    // an atomic.
    let registered = unsafe { libc::pthread_atfork(None, None, Some(in_child)) } == 0;
    if registered {
        IS_COUNTED.store(true, Ordering::Release);
    }
}
