//! No waiter is forgotten, in all interleavings.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize as StdAtomicUsize, Ordering},
    },
    task::{Wake, Waker},
};

use kv_testkit::interleavings::explore;
use loom::thread;

use super::waiters::Waiters;
use crate::{Lsn, collections::Horizon};

/// Positions are reached, and a thread waits for one.
#[derive(Default)]
struct Subject {
    horizon: Horizon,
    waiters: Waiters,
}

impl Subject {
    fn reach(&self, lsn: Lsn) {
        self.horizon.publish(lsn, lsn);
        self.waiters.wake(self.horizon.published());
    }

    fn spawn_reach(self: &Arc<Self>, lsn: Lsn) -> thread::JoinHandle<()> {
        let subject = Arc::clone(self);
        thread::spawn(move || subject.reach(lsn))
    }
}

/// Counts the calls of a waker. The counter is not loom's, because the waiting thread is not
/// modelled, only whether it would be woken.
#[derive(Default)]
struct Calls(StdAtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Registers for `lsn` and then checks the position. Returns whether `lsn` had been reached, and
/// the waker that is called otherwise.
fn wait(subject: &Subject, lsn: Lsn) -> (bool, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    subject.waiters.register(subject.waiters.number(lsn), &Waker::from(Arc::clone(&calls)));
    (subject.horizon.published() >= lsn, calls)
}

#[test]
fn a_waiter_sees_the_position_or_is_woken() {
    let ends = explore("one thread waits for a position", None, || {
        let subject = Arc::<Subject>::default();
        let other = subject.spawn_reach(Lsn(1));
        let (is_reached, calls) = wait(&subject, Lsn(1));
        other.join().unwrap();
        let woken = calls.0.load(Ordering::SeqCst);
        assert!(is_reached || woken == 1, "the wake-up was lost");
        (is_reached, woken)
    });
    assert_eq!(ends, [(false, 1), (true, 0), (true, 1)].into());
}

/// Reaching a position neither wakes nor removes a waiter for a higher one.
#[test]
fn a_lower_position_does_not_wake_a_waiter_for_a_higher_one() {
    let ends = explore("two positions are reached", None, || {
        let subject = Arc::<Subject>::default();
        let (less, more) = (subject.spawn_reach(Lsn(1)), subject.spawn_reach(Lsn(2)));
        let (is_reached, calls) = wait(&subject, Lsn(2));
        less.join().unwrap();
        more.join().unwrap();
        let woken = calls.0.load(Ordering::SeqCst);
        assert!(is_reached || woken == 1, "the wake-up was lost");
        (is_reached, woken)
    });
    assert_eq!(ends, [(false, 1), (true, 0), (true, 1)].into());
}

#[test]
fn forgetting_a_waiter_removes_no_other() {
    explore("two threads wait, and one forgets", None, || {
        let subject = Arc::<Subject>::default();
        let other = thread::spawn({
            let subject = Arc::clone(&subject);
            move || {
                let waiting = subject.waiters.number(Lsn(1));
                subject.waiters.register(waiting, Waker::noop());
                subject.waiters.forget(waiting);
            }
        });
        let reaching = subject.spawn_reach(Lsn(1));
        let (is_reached, calls) = wait(&subject, Lsn(1));
        other.join().unwrap();
        reaching.join().unwrap();
        assert!(is_reached || calls.0.load(Ordering::SeqCst) == 1, "the wake-up was lost");
    });
}
