//! The locks, atomics and condition variables: those of the standard library, or in a loom build
//! those of loom, which tries all interleavings (`cargo xtask loom`). And events to wait for.

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

pub(crate) use events::{Events, look_for};

#[cfg(not(loom))]
mod events {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::{Duration, Instant},
    };

    use rustix::thread::futex;

    /// How long a thread looks for an event before it sleeps: about as long as it takes to wake it.
    const LOOKED_FOR: Duration = Duration::from_micros(5);

    /// Waits without sleeping until it is so, but at most that long. Returns whether it is.
    pub(crate) fn look_for(limit: Duration, is_so: impl Fn() -> bool) -> bool {
        if is_so() {
            return true;
        }
        let began = Instant::now();
        while began.elapsed() < limit {
            thread::yield_now();
            if is_so() {
                return true;
            }
        }
        false
    }

    /// Two things, 0 and 1, that happen again and again, and that many threads wait for. In
    /// contrast to a condition variable, those that wake need no lock.
    #[derive(Debug)]
    pub(crate) struct Events {
        counts: [AtomicU32; 2],
    }

    impl Events {
        pub(crate) fn new() -> Self {
            Self { counts: [AtomicU32::new(0), AtomicU32::new(0)] }
        }

        /// How often each has happened, modulo 2^32.
        pub(crate) fn counts(&self) -> [u32; 2] {
            [0, 1].map(|event| self.count(event))
        }

        fn count(&self, event: usize) -> u32 {
            self.counts[event].load(Ordering::Acquire)
        }

        /// Waits until the event has happened more often than it had in `seen`. Returns earlier if
        /// `is_over` turns true before the thread sleeps.
        pub(crate) fn wait(&self, event: usize, seen: [u32; 2], is_over: impl Fn() -> bool) {
            if look_for(LOOKED_FOR, || self.count(event) != seen[event] || is_over()) {
                return;
            }
            while self.count(event) == seen[event] {
                // Whatever the outcome: the count decides.
                let _ = futex::wait(&self.counts[event], futex::Flags::PRIVATE, seen[event], None);
            }
        }

        /// Counts both. Threads that are about to wait no longer do.
        pub(crate) fn count_up(&self) {
            for count in &self.counts {
                count.fetch_add(1, Ordering::Release);
            }
        }

        /// Wakes one of the threads that wait for the event.
        pub(crate) fn wake_one(&self, event: usize) {
            let _ = futex::wake(&self.counts[event], futex::Flags::PRIVATE, 1);
        }

        /// Wakes all threads that wait for the event.
        pub(crate) fn wake_all(&self, event: usize) {
            let _ = futex::wake(&self.counts[event], futex::Flags::PRIVATE, i32::MAX as u32);
        }
    }
}

/// The same with a lock and condition variables, because loom does not know futexes. No thread
/// looks before it sleeps: that would only add interleavings.
#[cfg(loom)]
mod events {
    use std::{sync::PoisonError, time::Duration};

    use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn look_for(_limit: Duration, _is_so: impl Fn() -> bool) -> bool {
        false
    }

    #[derive(Debug)]
    pub(crate) struct Events {
        counts: Mutex<[u32; 2]>,
        happened: [Condvar; 2],
    }

    impl Events {
        pub(crate) fn new() -> Self {
            Self { counts: Mutex::new([0, 0]), happened: [Condvar::new(), Condvar::new()] }
        }

        fn lock(&self) -> MutexGuard<'_, [u32; 2]> {
            self.counts.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn counts(&self) -> [u32; 2] {
            *self.lock()
        }

        pub(crate) fn wait(&self, event: usize, seen: [u32; 2], _is_over: impl Fn() -> bool) {
            let mut counts = self.lock();
            while counts[event] == seen[event] {
                counts = self.happened[event].wait(counts).unwrap_or_else(PoisonError::into_inner);
            }
        }

        pub(crate) fn count_up(&self) {
            self.lock().iter_mut().for_each(|count| *count += 1);
        }

        pub(crate) fn wake_one(&self, event: usize) {
            self.happened[event].notify_one();
        }

        pub(crate) fn wake_all(&self, event: usize) {
            self.happened[event].notify_all();
        }
    }
}
