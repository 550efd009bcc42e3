//! Flushing what nobody waits for: what was written with [`Durability::Process`](crate::Durability::Process), a while after it was written, and
//! deferred commits, at once.

use std::sync::{Arc, atomic::Ordering};

use super::{Inner, Shared};
use crate::{
    Result,
    background::{Job, Next, Wake},
};

impl Inner {
    /// Has everything flushed within the interval.
    pub(super) fn want_flush(&self) {
        if !self.flush_wanted.swap(true, Ordering::AcqRel) {
            self.flusher.wake();
        }
    }

    /// Has everything flushed as soon as can be.
    pub(super) fn want_flush_now(&self) {
        if !self.flush_wanted_now.swap(true, Ordering::AcqRel) {
            self.flusher.wake();
        }
    }
}

impl Shared {
    /// Has those who wait for what was flushed look again.
    pub(super) fn note_flush(&self, flushed: &Result<()>) {
        match flushed {
            Ok(()) => self.publish(),
            Err(_) => {
                self.flush_failed.store(true, Ordering::Release);
                self.for_published.wake_all();
                self.for_settled.wake_all();
            }
        }
    }
}

pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Box<dyn Wake>> {
    let job = Flusher { shared: Arc::clone(shared), waiting: false };
    shared.options.scheduler.spawn("kv-flush", Box::new(job))
}

/// Woken by the first write after a flush, it waits for the interval to pass, so that the flush is shared by all that follow; unless it is wanted now.
struct Flusher {
    shared: Arc<Shared>,
    waiting: bool,
}

impl Job for Flusher {
    fn run(&mut self) -> Next {
        // Lowered before the flush: a write that comes while it is under way asks for another.
        let now = self.shared.flush_wanted_now.swap(false, Ordering::AcqRel);
        if !now && !self.waiting {
            self.waiting = true;
            return Next::After(self.shared.options.flush_interval);
        }
        self.waiting = false;
        self.shared.flush_wanted.store(false, Ordering::Release);
        // The log remembers a failure and gives it to the next write, and to whoever waits for one.
        self.shared.note_flush(&self.shared.sync());
        Next::WhenWoken
    }
}
