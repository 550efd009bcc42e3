//! One flushes for all who wait.

use kv_core::{Durability, Log, Lsn};

use crate::support::{Subject, explore};

#[test]
fn two_appenders_share_flushes() {
    explore("two appenders", None, || {
        let subject = Subject::new();
        let other = subject.spawn(|subject| subject.append_and_sync("a").unwrap());
        subject.append_and_sync("b").unwrap();
        other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(3));
    });
}

#[test]
fn two_appenders_twice() {
    explore("two appenders, twice", None, || {
        let subject = Subject::new();
        let other = subject.spawn(|subject| {
            subject.append_and_sync("a1").unwrap();
            subject.append_and_sync("a2").unwrap();
        });
        subject.append_and_sync("b1").unwrap();
        subject.append_and_sync("b2").unwrap();
        other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(5));
    });
}

#[test]
fn three_appenders_share_flushes() {
    explore("three appenders", None, || {
        let subject = Subject::new();
        let others = ["a", "b"].map(|record| subject.spawn(move |subject| subject.append_and_sync(record).unwrap()));
        subject.append_and_sync("c").unwrap();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(subject.log.bounds().durable, Lsn(4));
    });
}

#[test]
fn bounds_never_run_ahead_of_the_disk() {
    explore("bounds", None, || {
        let subject = Subject::new();
        let lsn = subject.log.append(b"a", Durability::Disk).unwrap();
        let other = subject.spawn(move |subject| subject.sync(lsn, "a").unwrap());
        let bounds = subject.log.bounds();
        assert!(bounds.written < lsn || subject.medium.has_written(b"a"));
        assert!(bounds.durable < lsn || subject.medium.has_synced(b"a"));
        other.join().unwrap();
    });
}

#[test]
fn a_process_append_beside_a_flush() {
    explore("a Process append beside a flush", None, || {
        let subject = Subject::new();
        let other = subject.spawn(|subject| subject.append_and_sync("disk").unwrap());
        let lsn = subject.log.append(b"process", Durability::Process).unwrap();
        let came_first = lsn == Lsn(2); // no Disk record can wait before it
        let handed_over = subject.log.bounds().written >= lsn;
        assert!(handed_over || !came_first);
        assert!(subject.medium.has_written(b"process") || !handed_over);
        subject.sync(lsn, "process").unwrap();
        other.join().unwrap();
    });
}
