//! Going on in the next segment, and closing, while others write.

use kv_core::{Error, Log, Lsn};

use crate::{
    medium::Fault,
    support::{Subject, explore},
};

/// The smallest segment: beside the header and the seal it has two blocks, of which the first record's flush has used one.
const SMALL: u64 = 16 << 10;

/// With the segment full and no spare.
fn full() -> Subject {
    let subject = Subject::with_segments_of(SMALL);
    subject.append_and_sync("second").unwrap();
    subject
}

#[test]
fn two_appenders_need_the_next_segment() {
    explore("roll-over", None, || {
        let subject = full();
        let other = subject.spawn(|subject| subject.append_and_sync("a").unwrap());
        subject.append_and_sync("b").unwrap();
        other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, Lsn(4));
    });
}

#[test]
fn a_segment_that_cannot_be_created_refuses_one_and_poisons_nothing() {
    explore("roll-over on a full disk", None, || {
        let subject = full();
        subject.medium.fail(Fault::Create);
        let other = subject.spawn(|subject| subject.append_and_sync("a"));
        let outcomes = [subject.append_and_sync("b"), other.join().unwrap()];
        let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::DiskFull { .. }))).count();
        assert_eq!(refused, 1, "{outcomes:?}");
        assert_eq!(subject.log.bounds().durable, Lsn(3));
        subject.append_and_sync("later").unwrap();
    });
}

#[test]
fn closing_beside_an_append() {
    explore("close", None, || {
        let subject = Subject::new();
        let other = subject.spawn(|subject| subject.append_and_sync("a"));
        subject.log.close().unwrap();
        let taken = match other.join().unwrap() {
            Ok(lsn) => lsn,
            Err(error) => {
                assert!(matches!(error, Error::Closed), "{error}");
                Lsn(1)
            }
        };
        let bounds = subject.log.bounds();
        assert_eq!((bounds.durable, bounds.appended), (taken, taken));
    });
}
