//! Flushing what was written with [`Durability::Process`](crate::Durability::Process), a while after it was written.

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
}

pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Box<dyn Wake>> {
    let job = Flusher { shared: Arc::clone(shared), waiting: false };
    shared.options.scheduler.spawn("kv-flush", Box::new(job))
}

/// Woken by the first write after a flush, it waits for the interval to pass, so that the flush is shared by all that follow.
struct Flusher {
    shared: Arc<Shared>,
    waiting: bool,
}

impl Job for Flusher {
    fn run(&mut self) -> Next {
        if !self.waiting {
            self.waiting = true;
            return Next::After(self.shared.options.flush_interval);
        }
        self.waiting = false;
        // Lowered before the flush: a write that comes while it is under way asks for another.
        self.shared.flush_wanted.store(false, Ordering::Release);
        // The log remembers a failure and gives it to the next write.
        let _ = self.shared.sync();
        Next::WhenWoken
    }
}
