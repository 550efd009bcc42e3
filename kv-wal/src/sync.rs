//! The locks, atomics and condition variables: those of the standard library, or in a loom build
//! those of loom, which tries all interleavings (`cargo xtask loom`). And an event to wait for.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

pub(crate) use event::Event;

#[cfg(not(loom))]
mod event {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::{Duration, Instant},
    };

    use rustix::thread::futex;

    /// How long a thread looks for the event before it sleeps: about as long as it takes to wake
    /// it.
    const LOOKED_FOR: Duration = Duration::from_micros(5);

    /// Something that happens again and again, and that many threads wait for. In contrast to a
    /// condition variable, those that wake need no lock.
    #[derive(Debug)]
    pub(crate) struct Event {
        count: AtomicU32,
    }

    impl Event {
        pub(crate) fn new() -> Self {
            Self { count: AtomicU32::new(0) }
        }

        /// How often it has happened, modulo 2^32.
        pub(crate) fn count(&self) -> u32 {
            self.count.load(Ordering::Acquire)
        }

        /// Waits until it has happened more often than `seen`.
        pub(crate) fn wait(&self, seen: u32) {
            let began = Instant::now();
            while self.count() == seen {
                if began.elapsed() < LOOKED_FOR {
                    thread::yield_now();
                } else {
                    // Whatever the outcome: the count decides.
                    let _ = futex::wait(&self.count, futex::Flags::PRIVATE, seen, None);
                }
            }
        }

        /// Counts it, and wakes all threads that wait.
        pub(crate) fn notify(&self) {
            self.count.fetch_add(1, Ordering::Release);
            let _ = futex::wake(&self.count, futex::Flags::PRIVATE, i32::MAX as u32);
        }
    }
}

/// The same with a lock and a condition variable, because loom does not know futexes.
#[cfg(loom)]
mod event {
    use std::sync::PoisonError;

    use loom::sync::{Condvar, Mutex, MutexGuard};

    #[derive(Debug)]
    pub(crate) struct Event {
        count: Mutex<u32>,
        happened: Condvar,
    }

    impl Event {
        pub(crate) fn new() -> Self {
            Self { count: Mutex::new(0), happened: Condvar::new() }
        }

        fn lock(&self) -> MutexGuard<'_, u32> {
            self.count.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn count(&self) -> u32 {
            *self.lock()
        }

        pub(crate) fn wait(&self, seen: u32) {
            let mut count = self.lock();
            while *count == seen {
                count = self.happened.wait(count).unwrap_or_else(PoisonError::into_inner);
            }
        }

        pub(crate) fn notify(&self) {
            *self.lock() += 1;
            self.happened.notify_all();
        }
    }
}
