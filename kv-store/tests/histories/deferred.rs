//! Deferred writes: waited for later, or never.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use kv_core::{Batch, Commit, Durability, Error, Result};
use kv_testkit::{
    Operation,
    linearizability::{Action, Invoked, Part},
};

use crate::{
    calls::{GROUP, SINGLE},
    observations::Observation,
    recording_log::{Write, announce},
    worker::{Parts, Worker, tag},
};

/// How many commits a worker leaves in flight.
const IN_FLIGHT_MAX: usize = 8;

/// A write that was made and not yet waited for.
pub struct InFlight {
    pub call: u64,
    pub invoked: Invoked,
    pub done: Parts,
    /// Its answer, if it has written nothing. Once the answer is given, it must survive a power
    /// cut.
    pub answer: Option<Observation>,
    pub commit: Commit,
}

impl Worker<'_> {
    pub fn put_deferred(&mut self) {
        let key = *self.rng.choice(SINGLE).unwrap();
        let (call, value) = self.new_value();
        let durability = self.durability();
        let operation = Operation::put("single", key, value.clone());
        let done = vec![(format!("single/{key}"), Action::Put(tag(&value)))];
        let single = self.store.collection("single").unwrap().with_durability(durability);
        self.begun(Write { call, operations: vec![operation], durability }, done, || {
            single.deferred().put(key, &value)
        });
    }

    pub fn write_deferred(&mut self) {
        let (call, value) = self.new_value();
        let mut batch = Batch::new();
        for key in GROUP {
            batch.put("group", key, &value);
        }
        let operations = GROUP.iter().map(|key| Operation::put("group", *key, value.clone())).collect();
        let done = GROUP.iter().map(|key| (format!("group/{key}"), Action::Put(tag(&value)))).collect();
        let store = self.store.clone();
        let durability = Durability::Disk;
        self.begun(Write { call, operations, durability }, done, || store.deferred().write(&batch));
    }

    fn begun(&mut self, write: Write, done: Parts, make: impl FnOnce() -> Result<Commit>) {
        let call = write.call;
        announce(write);
        let invoked = self.invoke();
        match make() {
            Ok(commit) => {
                self.check_place(call, &commit);
                self.in_flight.push(InFlight { call, invoked, done, answer: None, commit });
            }
            Err(error) => self.failed(&invoked, done, &error),
        }
        while self.in_flight.len() > IN_FLIGHT_MAX {
            self.wait_for_one();
        }
    }

    /// Waits for a random commit in flight, or abandons it.
    pub fn wait_for_one(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.in_flight.len());
        let InFlight { call, invoked, done, answer, commit } = self.in_flight.remove(at);
        let outcome = match self.rng.u8(..8) {
            // The write may still become durable, or the crash loses it.
            0 => return self.returned(&invoked, done, Part::maybe),
            1..4 => commit.wait(),
            _ if self.has_threads => block_on(commit),
            _ => poll_once(commit),
        };
        match outcome {
            Ok(()) => {
                self.acknowledged(call);
                self.returned(&invoked, done, Part::certain);
                answer.into_iter().for_each(|answer| self.promised(Durability::Disk, answer));
            }
            Err(error) => {
                // An answer that depends on recovered data may be refused if the log cannot begin
                // to write.
                let was_logged = answer.is_none();
                assert!(
                    !was_logged || matches!(error, Error::OutcomeUnknown { .. }),
                    "it was logged: {}",
                    error.chain()
                );
                self.failed(&invoked, done, &error);
            }
        }
    }

    /// Records that the remaining commits are in flight during the crash.
    pub fn leave_in_flight(&mut self) {
        for InFlight { invoked, done, .. } in std::mem::take(&mut self.in_flight) {
            self.returned(&invoked, done, Part::maybe);
        }
    }
}

/// Wakes a thread, and remembers that it did: a parked thread may also resume by itself.
struct Unpark {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Awaits the commit on this thread. Polls it again only after its waker was called, and fails if
/// that does not happen.
fn block_on(commit: Commit) -> Result<()> {
    let woken = Arc::new(Unpark { thread: thread::current(), is_woken: AtomicBool::new(false) });
    let (waker, begun) = (Waker::from(Arc::clone(&woken)), Instant::now());
    let mut commit = pin!(commit);
    loop {
        if let Poll::Ready(outcome) = commit.as_mut().poll(&mut Context::from_waker(&waker)) {
            return outcome;
        }
        while !woken.is_woken.swap(false, Ordering::AcqRel) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the waker of a commit was never called");
            thread::park_timeout(Duration::from_secs(1));
        }
    }
}

/// Where no other thread runs, the call itself does the waiting.
fn poll_once(mut commit: Commit) -> Result<()> {
    match std::pin::Pin::new(&mut commit).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => commit.wait(),
    }
}
