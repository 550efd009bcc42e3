//! What leaves the process: the feed, and answers that must survive a power cut.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use kv_core::{ChangeFeed, Durability, Lsn};
use kv_testkit::interleavings::explore;

use crate::support::Subject;

/// Reads the feed to its present end. A snapshot taken now includes every record, and no power cut
/// undoes one.
fn follow(subject: &Subject, feed: &mut ChangeFeed) -> Lsn {
    for record in &mut *feed {
        let returned = record.unwrap().lsn;
        assert!(returned <= subject.log.durable(), "{returned} was returned, and a power cut undoes it");
        let seen = subject.store.snapshot().position();
        assert!(returned <= seen, "{returned} was returned, and a snapshot is at {seen}");
    }
    ChangeFeed::position(feed)
}

/// The flush of one record may include another one that is in the log and not applied yet.
#[test]
fn a_feed_with_a_writer_and_a_flush() {
    let returned = explore("a feed with a Process writer and a flush", Some(3), || {
        let subject = Subject::new();
        let mut feed = subject.store.changes(Lsn(1)).unwrap();
        let writer = subject.spawn(|subject| {
            subject.put(2, Durability::Process).unwrap();
            subject.put(3, Durability::Process).unwrap();
        });
        subject.store.sync().unwrap();
        let first = follow(&subject, &mut feed);
        writer.join().unwrap();
        let second = follow(&subject, &mut feed);
        subject.store.sync().unwrap();
        assert_eq!(follow(&subject, &mut feed), Lsn(3), "a record is held back");
        (first, second)
    });
    let firsts: BTreeSet<_> = returned.iter().map(|(first, _)| first.0).collect();
    assert_eq!(firsts, [1, 2, 3].into());
}

#[test]
fn a_feed_with_writers_of_both_durabilities() {
    let returned = explore("a feed with a Disk writer and a Process writer", Some(2), || {
        let subject = Subject::new();
        let mut feed = subject.store.changes(Lsn(1)).unwrap();
        let disk = subject.spawn(|subject| subject.put(2, Durability::Disk).unwrap());
        let process = subject.spawn(|subject| subject.put(3, Durability::Process).unwrap());
        let first = follow(&subject, &mut feed);
        disk.join().unwrap();
        process.join().unwrap();
        let second = follow(&subject, &mut feed);
        subject.store.sync().unwrap();
        assert_eq!(follow(&subject, &mut feed), Lsn(3), "a record is held back");
        (first, second)
    });
    assert!(
        returned.contains(&(Lsn(1), Lsn(2))),
        "no interleaving in which the Process write is not durable yet: {returned:?}"
    );
    assert!(
        returned.contains(&(Lsn(1), Lsn(3))),
        "no interleaving in which one flush makes both durable: {returned:?}"
    );
}

/// Counts its wake-ups. The atomic is not loom's: the thread of the waiter is not modelled, only
/// whether it would be woken.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The answer depends on a write that is published and not durable.
#[test]
fn a_waiter_for_a_durable_answer_is_woken() {
    let ends = explore("an awaited answer and the flusher", Some(3), || {
        let subject = Subject::new();
        subject.put(2, Durability::Process).unwrap();
        let mut answer = subject.store.deferred().transact(|tx| tx.get("all", "k")).unwrap();
        assert_eq!(answer.lsn(), Lsn(2));
        let flusher = subject.spawn(|subject| subject.scheduler.run("kv-flush"));
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(Arc::clone(&calls));
        let polled = Pin::new(&mut answer).poll(&mut Context::from_waker(&waker));
        let is_due = polled.is_ready();
        assert!(
            !is_due || subject.log.durable() >= Lsn(2),
            "it was returned, and a power cut undoes what it depends on"
        );
        flusher.join().unwrap();
        let woken = calls.0.load(Ordering::SeqCst);
        assert!(is_due || woken == 1, "the wake-up was lost");
        let again = || Pin::new(&mut answer).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(Some(found))) = polled.is_pending().then(again).unwrap_or(polled) else {
            panic!("the answer was not given")
        };
        assert_eq!(found[0], 2);
        is_due
    });
    assert_eq!(ends, [false, true].into());
}
