//! Group commit: one thread flushes for all that wait.

use kv_core::{Durability, Log, Lsn};
use kv_testkit::interleavings::explore;
use kv_wal::{Options, SegmentedLog};

use crate::support::Subject;

#[test]
fn two_appenders_share_flushes() {
    let flushes = explore("two appenders", None, || {
        let subject = Subject::new();
        let before = subject.medium.flushes();
        let other = subject.spawn(|subject| subject.append_and_sync("a").unwrap());
        subject.append_and_sync("b").unwrap();
        other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(3));
        subject.medium.flushes() - before
    });
    assert_eq!(flushes, [1, 2].into(), "one for both, or one for each");
}

#[test]
fn two_appenders_go_on_appending() {
    let flushes = explore("two appenders, twice", Some(4), || {
        let subject = Subject::new();
        let before = subject.medium.flushes();
        let other = subject.spawn(|subject| {
            subject.append_and_sync("a1").unwrap();
            subject.append_and_sync("a2").unwrap();
        });
        subject.append_and_sync("b1").unwrap();
        subject.append_and_sync("b2").unwrap();
        other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(5));
        subject.medium.flushes() - before
    });
    assert_eq!(flushes, [2, 3, 4].into());
}

#[test]
fn three_appenders_share_flushes() {
    let flushes = explore("three appenders", Some(3), || {
        let subject = Subject::new();
        let before = subject.medium.flushes();
        let others = ["a", "b"].map(|record| subject.spawn(move |subject| subject.append_and_sync(record).unwrap()));
        subject.append_and_sync("c").unwrap();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(subject.log.bounds().durable, Lsn(4));
        subject.medium.flushes() - before
    });
    assert_eq!(flushes, [1, 2, 3].into());
}

#[test]
fn the_bounds_never_run_ahead_of_the_disk() {
    let seen = explore("the bounds beside a flush", None, || {
        let subject = Subject::new();
        let lsn = subject.log.append(b"a", Durability::Disk).unwrap();
        let other = subject.spawn(move |subject| {
            subject.log.medium_bytes_after(Lsn(1)); // a step that loom can put anywhere in the flush
            let bounds = subject.log.bounds();
            assert!(bounds.written < lsn || subject.medium.has_written(b"a"));
            assert!(bounds.durable < lsn || subject.medium.has_synced(b"a"));
            (bounds.written >= lsn, bounds.durable >= lsn)
        });
        subject.sync(lsn, "a").unwrap();
        other.join().unwrap()
    });
    assert_eq!(seen, [(false, false), (true, false), (true, true)].into());
}

/// Everything is written already, so the flush writes only padding, and the other append continues
/// behind that.
#[test]
fn process_appends_survive_a_killed_process_also_beside_a_flush() {
    explore("Process appends and a flush", None, || {
        let subject = Subject::new();
        let first = subject.log.append(b"a", Durability::Process).unwrap();
        let other = subject.spawn(move |subject| subject.sync(first, "a").unwrap());
        let second = subject.log.append(b"b", Durability::Process).unwrap();
        let left = subject.medium.after_kill();
        let log = SegmentedLog::open(left, Options::default()).unwrap();
        assert_eq!(log.bounds().durable, second, "{:?}", log.recovery());
        other.join().unwrap();
    });
}

#[test]
fn a_process_append_beside_a_flush() {
    let seen = explore("a Process append beside a flush", None, || {
        let subject = Subject::new();
        let other = subject.spawn(|subject| subject.append_and_sync("disk").unwrap());
        let lsn = subject.log.append(b"process", Durability::Process).unwrap();
        let came_first = lsn == Lsn(2); // then no Disk record waits before it
        let handed_over = subject.log.bounds().written >= lsn;
        assert!(handed_over || !came_first);
        assert!(subject.medium.has_written(b"process") || !handed_over);
        subject.sync(lsn, "process").unwrap();
        other.join().unwrap();
        (came_first, handed_over)
    });
    assert_eq!(seen, [(true, true), (false, true), (false, false)].into());
}
