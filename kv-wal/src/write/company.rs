//! How long a thread that could lead a flush waits for other threads before.
//!
//! Threads that commit again and again tend to split into two halves. While one half is flushed,
//! the other appends and waits, so each record takes the time of two flushes. Together they would
//! take one. After a flush its threads are back within a small part of the time that it took. So a
//! thread that could lead waits until as many threads are there as during the last flush, but at
//! most an eighth of the time of that flush. It does not lead yet meanwhile: if it loses the
//! processor, another thread leads. A thread that is alone does not wait.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::sync;

/// The wait takes at most this part of the time that the last flush took ...
const PART: u32 = 8;
/// ... and at most this long, because the thread does not sleep meanwhile. On slow disks that is
/// enough for the threads of the last group to be back.
const WAIT_MAX: Duration = Duration::from_micros(100);

/// Counts the threads that come to wait for a flush. Only the leader changes anything but
/// `arrived`. Nothing depends on these numbers but the length of a wait, so they need no order.
#[derive(Debug, Default)]
pub(crate) struct Company {
    /// How many threads have come to wait for a flush.
    arrived: AtomicU64,
    /// `arrived` at the moment the last group was taken, and the group before it.
    taken: AtomicU64,
    taken_before: AtomicU64,
    /// How many threads were there during the last flush: its own, and those that came meanwhile.
    expected: AtomicU64,
    /// How long the last flush took, in nanoseconds.
    flush_ns: AtomicU64,
}

impl Company {
    /// Counts a thread that has come to wait for a flush.
    pub(crate) fn arrive(&self) {
        self.arrived.fetch_add(1, Relaxed);
    }

    /// Waits until the expected threads are there or `is_over`, but not longer than it may pay.
    pub(crate) fn wait(&self, is_over: impl Fn() -> bool) {
        let limit = Duration::from_nanos(self.flush_ns.load(Relaxed)) / PART;
        sync::look_for(limit.min(WAIT_MAX), || self.is_complete() || is_over());
    }

    fn is_complete(&self) -> bool {
        self.arrived_since(&self.taken) >= self.expected.load(Relaxed)
    }

    /// None, if another thread raises `earlier` just now.
    fn arrived_since(&self, earlier: &AtomicU64) -> u64 {
        self.arrived.load(Relaxed).saturating_sub(earlier.load(Relaxed))
    }

    /// Notes that the threads that are there become a group.
    pub(crate) fn take(&self) {
        self.taken_before.store(self.taken.load(Relaxed), Relaxed);
        self.taken.store(self.arrived.load(Relaxed), Relaxed);
    }

    /// Notes how long the flush of that group has taken.
    pub(crate) fn note(&self, time: Duration) {
        self.expected.store(self.arrived_since(&self.taken_before), Relaxed);
        self.flush_ns.store(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn arrive(company: &Company, threads: u64) {
        (0..threads).for_each(|_| company.arrive());
    }

    fn flush(company: &Company, threads_meanwhile: u64) {
        company.take();
        arrive(company, threads_meanwhile);
        company.note(Duration::from_millis(1));
    }

    #[test]
    fn a_thread_that_is_alone_does_not_wait() {
        let company = Company::default();
        for _ in 0..3 {
            arrive(&company, 1);
            assert!(company.is_complete());
            flush(&company, 0);
        }
    }

    #[test]
    fn two_halves_become_one_group_that_stays_together() {
        let company = Company::default();
        arrive(&company, 4);
        flush(&company, 4);
        assert!(!company.is_complete(), "those that were flushed will be back");
        arrive(&company, 4);
        for _ in 0..3 {
            assert!(company.is_complete());
            flush(&company, 0);
            arrive(&company, 7);
            assert!(!company.is_complete());
            arrive(&company, 1);
        }
    }

    #[test]
    fn threads_that_stay_away_are_waited_for_twice_at_most() {
        let company = Company::default();
        arrive(&company, 8);
        flush(&company, 0);
        for _ in 0..2 {
            arrive(&company, 1);
            flush(&company, 0);
        }
        arrive(&company, 1);
        assert!(company.is_complete());
    }

    #[test]
    fn threads_look_while_a_group_is_taken() {
        let company = Company::default();
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| (0..200_000).filter(|_| company.is_complete()).count());
            (0..200_000).for_each(|_| {
                company.arrive();
                company.take();
            });
            looks.join().unwrap();
        });
    }

    #[test]
    fn the_wait_ends_when_another_thread_leads() {
        let company = Company::default();
        arrive(&company, 8);
        flush(&company, 0);
        company.note(Duration::from_secs(3600));
        company.wait(|| true);
        let began = std::time::Instant::now();
        company.wait(|| false);
        assert!(began.elapsed() < Duration::from_secs(60), "it is bounded, too");
    }
}
