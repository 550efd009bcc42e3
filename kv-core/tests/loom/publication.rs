//! How far readers see, and what writers learn.

use kv_core::{Durability, Error, Lsn};
use kv_testkit::interleavings::explore;

use crate::support::Subject;

fn last(value: u8) -> Lsn {
    Lsn(value.into())
}

#[test]
fn a_reader_sees_nothing_that_a_power_cut_could_take() {
    let seen = explore("a Disk writer and a reader", None, || {
        let subject = Subject::new();
        let writer = subject.spawn(|subject| {
            subject.put(2, Durability::Disk).unwrap();
            assert_eq!(subject.get(), 2, "acknowledged but not seen");
        });
        let first = subject.get();
        assert!(last(first) <= subject.log.may_be_seen());
        let second = subject.get();
        assert!(last(second) <= subject.log.may_be_seen());
        writer.join().unwrap();
        (first, second)
    });
    assert_eq!(seen, [(1, 1), (1, 2), (2, 2)].into(), "a later read never sees an older value");
}

/// The writer with [`Durability::Process`] may have to wait for the other one, and must not make
/// the other's write visible early.
#[test]
fn writers_of_both_durabilities_see_what_they_wrote() {
    let seen = explore("a Disk writer and a Process writer", Some(3), || {
        let subject = Subject::new();
        let process = subject.all.with_durability(Durability::Process);
        let writer = subject.spawn(|subject| {
            subject.all.put("disk", "").unwrap();
            assert!(subject.all.get("disk").unwrap().is_some(), "acknowledged but not seen");
        });
        process.put("process", "").unwrap();
        assert!(process.get("process").unwrap().is_some(), "acknowledged but not seen");
        let published = subject.store.stats().published;
        assert!(published <= subject.log.may_be_seen());
        writer.join().unwrap();
        published
    });
    assert_eq!(seen, [Lsn(2), Lsn(3)].into());
}

#[test]
fn a_reader_with_writers_of_both_durabilities() {
    explore("a Disk writer, a Process writer and a reader", Some(2), || {
        let subject = Subject::new();
        let disk = subject.spawn(|subject| subject.put(2, Durability::Disk).unwrap());
        let process = subject.spawn(|subject| subject.put(3, Durability::Process).unwrap());
        let first = subject.store.stats().published;
        assert!(first <= subject.log.may_be_seen());
        let second = subject.store.stats().published;
        assert!(first <= second && second <= subject.log.may_be_seen());
        disk.join().unwrap();
        process.join().unwrap();
        assert_eq!(subject.store.stats().published, Lsn(3));
    });
}

#[test]
fn an_answer_is_returned_when_what_it_depends_on_is_visible() {
    let outcomes = explore("two deletions", Some(3), || {
        let subject = Subject::new();
        let delete = |subject: &Subject| {
            let outcome = subject.all.delete("k");
            assert!(subject.all.get("k").unwrap().is_none(), "the answer depends on a change that is not visible");
            match outcome {
                Ok(()) => "deleted",
                Err(Error::KeyNotFound { .. }) => "absent",
                Err(error) => panic!("another error: {error}"),
            }
        };
        let other = subject.spawn(delete);
        [delete(&subject), other.join().unwrap()]
    });
    assert_eq!(outcomes, [["absent", "deleted"], ["deleted", "absent"]].into());
}

#[test]
fn what_a_failed_flush_lost_is_never_seen() {
    let outcomes = explore("a failed flush", Some(5), || {
        let subject = Subject::new();
        subject.log.fail_flush();
        let name = |outcome| match outcome {
            Ok(()) => "done",
            Err(Error::OutcomeUnknown { .. }) => "unknown",
            Err(Error::Poisoned { .. }) => "refused",
            Err(error) => panic!("another error: {error}"),
        };
        let other = subject.spawn(move |subject| name(subject.put(2, Durability::Disk)));
        let mine = name(subject.put(3, Durability::Process));
        let outcomes = (mine, other.join().unwrap());
        assert_eq!(subject.get() == 3, outcomes.0 == "done");
        assert_ne!(subject.get(), 2);
        assert!(subject.store.stats().published <= subject.log.may_be_seen());
        outcomes
    });
    assert_eq!(outcomes, [("done", "unknown"), ("refused", "unknown"), ("unknown", "unknown")].into());
}

/// Either the flush that is under way includes the write, or another flush was requested.
#[test]
fn the_flusher_forgets_no_write() {
    let left = explore("a Process writer and the flusher", Some(3), || {
        let subject = Subject::new();
        subject.put(2, Durability::Process).unwrap();
        subject.scheduler.run("kv-flush"); // waits for the interval
        let flusher = subject.spawn(|subject| {
            subject.scheduler.run("kv-flush");
        });
        subject.put(3, Durability::Process).unwrap();
        flusher.join().unwrap();
        let durable = subject.store.stats().log.durable;
        let asked = subject.scheduler.woken().contains(&"kv-flush");
        assert!(durable >= Lsn(3) || asked, "no flush is requested");
        (durable, asked)
    });
    assert_eq!(left, [(Lsn(2), true), (Lsn(3), false), (Lsn(3), true)].into());
}
