//! Continuing in the next segment, and closing, while other threads write.

use kv_core::{Error, Log, Lsn, Result};
use kv_testkit::interleavings::explore;

use crate::{medium::Fault, support::Subject};

/// The smallest segment: besides header and seal it has two blocks, and each flush uses one of
/// them.
const SMALL: u64 = 16 << 10;

/// A log whose segment is full and that has no spare.
fn full() -> Subject {
    let subject = Subject::with_segments_of(SMALL);
    subject.append_and_sync("second").unwrap();
    subject
}

#[test]
fn two_appenders_wait_for_the_next_segment() {
    let segments = explore("roll-over", None, || {
        let subject = full();
        let other = subject.spawn(|subject| subject.append_and_sync("a").unwrap());
        subject.append_and_sync("b").unwrap();
        other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(4));
        subject.medium.segments()
    });
    assert_eq!(segments, [2].into(), "one thread prepares the segment, and both use it");
}

#[test]
fn an_append_and_the_background_prepare_the_next_segment() {
    let segments = explore("roll-over beside the background's preparation", Some(2), || {
        let subject = full();
        let background = subject.spawn(|subject| subject.scheduler.run("kv-wal-spare"));
        let other = subject.spawn(|subject| subject.append_and_sync("a").unwrap());
        subject.append_and_sync("b").unwrap();
        other.join().unwrap();
        background.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(4));
        subject.medium.segments()
    });
    assert_eq!(segments, [2, 3].into(), "with or without the next one prepared ahead");
}

/// The larger record needs a segment of its own size in place of the spare, which the other append
/// would use.
#[test]
fn a_spare_is_replaced_while_another_append_needs_it() {
    let segments = explore("a spare that is too small", Some(3), || {
        let subject = full();
        subject.scheduler.run("kv-wal-spare");
        let other = subject.spawn(|subject| subject.append_and_sync("small").unwrap());
        subject.append_and_sync(&"large".repeat(4000)).unwrap();
        other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(4));
        subject.medium.segments()
    });
    assert_eq!(segments, [2, 3].into(), "one for both, or one for each");
}

#[test]
fn a_segment_that_cannot_be_created_refuses_one_and_poisons_nothing() {
    explore("roll-over on a full disk", None, || {
        let subject = full();
        subject.medium.fail(Fault::Create);
        let other = subject.spawn(|subject| subject.append_and_sync("a"));
        let outcomes = [subject.append_and_sync("b"), other.join().unwrap()];
        let refused = |outcome: &&Result<Lsn>| matches!(outcome, Err(Error::DiskFull { .. }));
        assert_eq!(outcomes.iter().filter(refused).count(), 1, "{outcomes:?}");
        assert_eq!(subject.log.bounds().durable, Lsn(3));
        subject.append_and_sync("later").unwrap();
    });
}

#[test]
fn closing_beside_an_append() {
    let last = explore("closing beside an append", None, || {
        let subject = Subject::new();
        let other = subject.spawn(|subject| subject.append_and_sync("a"));
        subject.log.close().unwrap();
        let last = match other.join().unwrap() {
            Ok(lsn) => lsn,
            Err(Error::Closed) => Lsn(1),
            Err(error) => panic!("another error: {error}"),
        };
        let bounds = subject.log.bounds();
        assert_eq!((bounds.durable, bounds.appended), (last, last));
        last
    });
    assert_eq!(last, [Lsn(1), Lsn(2)].into(), "the append came too late, or just in time");
}
