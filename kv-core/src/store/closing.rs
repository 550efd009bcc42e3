//! Closing: on a thread of its own, so that a caller can stop waiting for it.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Instant,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{Inner, Shared, locks::Held};
use crate::{
    Error, Result,
    panics::guarded,
    sync::{Mutex, lock},
};

/// The name of the thread that closes the store.
const THREAD: &str = "kv-close";

/// The close that is under way, if any. All calls of `close` wait for the same one.
#[derive(Default)]
pub(super) struct CloseCall(Mutex<Option<UnderWay>>);

struct UnderWay {
    /// Only one of the calls that wait receives the outcome. The others ask again.
    outcome: Receiver<Result<()>>,
    thread: JoinHandle<()>,
}

impl CloseCall {
    /// The outcome of the close that is under way. Begins one if there is none.
    fn under_way(&self, shared: &Arc<Shared>) -> Result<Receiver<Result<()>>> {
        let mut under_way = lock(&self.0);
        if let Some(UnderWay { outcome, .. }) = &*under_way {
            return Ok(outcome.clone());
        }
        let (sender, outcome) = crossbeam_channel::bounded(1);
        let shared = Arc::clone(shared);
        let close = move || {
            let _held = Held::new(); // a waker may call `close`, which waits for the outcome
            let _ = sender.send(guarded("closing the store", || shared.close()));
        };
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(close)
            .map_err(|source| Error::from_io("start the thread", THREAD, source))?;
        *under_way = Some(UnderWay { outcome: outcome.clone(), thread });
        Ok(outcome)
    }

    /// Waits until the thread with that outcome holds nothing of the store any more, unless this is
    /// that thread, which runs a waker.
    fn end(&self, outcome: &Receiver<Result<()>>) {
        let ended = lock(&self.0).take_if(|under_way| under_way.outcome.same_channel(outcome));
        if let Some(UnderWay { thread, .. }) = ended
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join(); // a panic in it was passed on as an error
        }
    }
}

impl Inner {
    /// The thread that closes the store takes the writer's lock, which a stuck write may hold for
    /// ever. It knows nothing of a closure that the caller may run under that lock, so this is
    /// checked here.
    pub(super) fn close_in_time(&self) -> Result<()> {
        self.check_lockable()?;
        let (began, limit) = (Instant::now(), self.options.close_wait);
        loop {
            let outcome = self.close_call.under_way(&self.shared)?;
            match outcome.recv_timeout(limit.saturating_sub(began.elapsed())) {
                Ok(closed) => {
                    self.close_call.end(&outcome);
                    return closed;
                }
                Err(RecvTimeoutError::Timeout) => return Err(Error::StillClosing { waited: limit }),
                Err(RecvTimeoutError::Disconnected) => self.close_call.end(&outcome),
            }
        }
    }
}

impl Shared {
    fn close(&self) -> Result<()> {
        if std::mem::replace(&mut self.lock_writer()?.closed, true) {
            return self.close_log();
        }
        // `closed` was set under the writer's lock, so no write can follow. `closing` stops a
        // merge, and keeps a new background checkpoint from starting. One that is under way goes
        // on: this call would have to write the same again.
        self.closing.store(true, Ordering::Release);
        self.room.wake();
        let checkpointed = guarded("the checkpoint", || self.checkpoint_on_close());
        self.close_log()?;
        self.publish();
        checkpointed
    }

    /// Flushes everything and closes the log cleanly, unless a flush has failed.
    pub(super) fn close_log(&self) -> Result<()> {
        if let Some(cause) = self.flush_failure.cause() {
            return Err(Error::Poisoned { cause });
        }
        guarded("the log", || self.log.close()).map_err(|error| self.fail_flush(error))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{MemoryCheckpointer, MemoryLog, Store, StoreOptions};

    fn thread_of(store: &Store) -> Option<thread::ThreadId> {
        lock(&store.inner.close_call.0).as_ref().map(|under_way| under_way.thread.thread().id())
    }

    #[test]
    fn calls_that_give_up_wait_for_the_same_thread() {
        let options = StoreOptions { close_wait: Duration::from_millis(10), ..StoreOptions::default() };
        let store =
            Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options).unwrap();
        let stuck = store.inner.writer().unwrap();
        let closes = |store: &Store| {
            let store = store.clone();
            thread::spawn(move || store.close()).join().unwrap()
        };
        assert!(matches!(closes(&store), Err(Error::StillClosing { .. })));
        let first = thread_of(&store);
        assert!(first.is_some());
        assert!(matches!(closes(&store), Err(Error::StillClosing { .. })));
        assert_eq!(thread_of(&store), first);
        drop(stuck);
        while let Err(Error::StillClosing { .. }) = store.close() {}
        store.close().unwrap();
        assert_eq!(thread_of(&store), None, "nothing is left");
    }
}
