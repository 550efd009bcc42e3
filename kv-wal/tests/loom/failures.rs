//! The first failure is final, and everybody hears of it.

use kv_core::{Durability, Error, Log, Lsn, Result};
use kv_testkit::interleavings::explore;

use crate::{medium::Fault, support::Subject};

/// How an append and the sync of it ended, in a word.
fn told(outcome: &Result<Lsn>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(Error::OutcomeUnknown { .. }) => "unknown",
        Err(Error::Poisoned { .. }) => "refused",
        Err(error) => panic!("another error: {error}"),
    }
}

/// Nothing that was appended after the first record is acknowledged, now or later.
fn assert_poisoned(subject: &Subject) {
    let bounds = subject.log.bounds();
    assert_eq!(bounds.durable, Lsn(1), "something was acknowledged after the failure");
    assert!(matches!(subject.log.append(b"later", Durability::Disk), Err(Error::Poisoned { .. })));
    assert!(matches!(subject.log.append(b"later", Durability::Process), Err(Error::Poisoned { .. })));
    assert!(matches!(subject.log.sync(bounds.appended), Err(Error::OutcomeUnknown { .. })));
    assert_eq!(subject.log.sync(Lsn(1)).unwrap(), Lsn(1), "what was durable stays so");
}

fn two_appenders_and(fault: Fault) {
    let outcomes = explore(&format!("two appenders, {fault:?}"), None, move || {
        let subject = Subject::new();
        subject.medium.fail(fault);
        let other = subject.spawn(|subject| subject.append_and_sync("a"));
        let outcome = subject.append_and_sync("b");
        let mut told = [told(&outcome), told(&other.join().unwrap())];
        assert!(subject.medium.has_failed());
        assert_poisoned(&subject);
        told.sort_unstable();
        told
    });
    assert_eq!(outcomes, [["refused", "unknown"], ["unknown", "unknown"]].into());
}

#[test]
fn a_failed_sync_is_told_to_all_who_wait() {
    two_appenders_and(Fault::Sync);
}

#[test]
fn a_failed_write_is_told_to_all_who_wait() {
    two_appenders_and(Fault::Write);
}

#[test]
fn a_panic_of_the_file_layer_is_told_to_all_who_wait() {
    two_appenders_and(Fault::SyncPanics);
}

#[test]
fn a_failed_sync_is_told_to_two_who_wait_for_a_third() {
    let outcomes = explore("three appenders, Sync", None, || {
        let subject = Subject::new();
        subject.medium.fail(Fault::Sync);
        let others = ["a", "b"].map(|record| subject.spawn(move |subject| subject.append_and_sync(record)));
        let outcome = subject.append_and_sync("c");
        let [a, b] = others.map(|other| other.join().unwrap());
        let mut told = [told(&outcome), told(&a), told(&b)];
        assert_poisoned(&subject);
        told.sort_unstable();
        told
    });
    let expected =
        [["refused", "refused", "unknown"], ["refused", "unknown", "unknown"], ["unknown", "unknown", "unknown"]];
    assert_eq!(outcomes, expected.into());
}

/// The flush itself succeeds; but where a write beside it failed before it ended, it is not acknowledged.
#[test]
fn a_process_write_that_fails_beside_a_flush_is_final() {
    let outcomes = explore("a Process append that fails beside a flush", None, || {
        let subject = Subject::new();
        let lsn = subject.log.append(b"disk", Durability::Disk).unwrap();
        let other = subject.spawn(move |subject| subject.sync(lsn, "disk").map(|()| lsn));
        while subject.log.bounds().written < lsn {
            loom::thread::yield_now(); // until the write of the flush is done: the next one fails
        }
        subject.medium.fail(Fault::Write);
        let appended = subject.log.append(b"process", Durability::Process);
        let durable = subject.log.bounds().durable;
        let synced = other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, durable, "acknowledged after the failure");
        assert_eq!(synced.is_ok(), durable >= lsn);
        assert!(matches!(subject.log.append(b"later", Durability::Disk), Err(Error::Poisoned { .. })));
        (told(&synced), told(&appended))
    });
    assert_eq!(outcomes, [("done", "unknown"), ("unknown", "unknown")].into());
}
