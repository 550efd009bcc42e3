//! Who flushes, and how the other threads wait for that: the queue of the group commit. It is
//! entered and left without the log's lock.
//!
//! One thread at a time *leads* a flush, for all records that were appended before it takes its
//! group. When it ends, all others wake: those whose records it covered are done, and the first of
//! the rest that runs leads the next flush. Waking only one of the rest was tried: it took twice
//! the code, and the rates of 2 to 64 threads were the same.

use crate::sync::{AtomicBool, Event, Ordering};

#[derive(Debug)]
pub(crate) struct Flushes {
    /// Whether a thread leads a flush.
    is_led: AtomicBool,
    ended: Event,
}

/// The right to flush. Dropping it ends the flush.
#[derive(Debug)]
pub(crate) struct Lead<'a> {
    flushes: &'a Flushes,
}

impl Flushes {
    pub(crate) fn new() -> Self {
        Self { is_led: AtomicBool::new(false), ended: Event::new() }
    }

    /// The right to flush; `None` if another thread has it.
    pub(crate) fn lead(&self) -> Option<Lead<'_>> {
        let was_led = self.is_led.swap(true, Ordering::AcqRel);
        (!was_led).then(|| Lead { flushes: self })
    }

    /// The right to flush. If another thread has it, waits until its flush has ended, and returns
    /// `None`.
    pub(crate) fn lead_or_wait(&self) -> Option<Lead<'_>> {
        // Counted first: if the flush ends before this waits for it, there is no wait.
        let seen = self.ended.count();
        let lead = self.lead();
        if lead.is_none() {
            self.ended.wait(seen);
        }
        lead
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // A store would do, but loom does not put it after the swap of another thread that it
        // follows.
        self.flushes.is_led.swap(false, Ordering::AcqRel);
        self.flushes.ended.notify();
    }
}
