//! The first failure is final, and every waiting thread gets it.

use kv_core::{Durability, Error, Log, Lsn, Result};
use kv_testkit::interleavings::explore;

use crate::{medium::Fault, support::Subject};

/// The outcome of an append and its sync, in one word.
fn outcome_of(ended: &Result<Lsn>) -> &'static str {
    match ended {
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
    let outcomes = explore(&format!("two appenders, {fault:?}"), Some(5), move || {
        let subject = Subject::new();
        subject.medium.fail(fault);
        let other = subject.spawn(|subject| subject.append_and_sync("a"));
        let outcome = subject.append_and_sync("b");
        let mut outcomes = [outcome_of(&outcome), outcome_of(&other.join().unwrap())];
        assert!(subject.medium.has_failed());
        assert_poisoned(&subject);
        outcomes.sort_unstable();
        outcomes
    });
    assert_eq!(outcomes, [["refused", "unknown"], ["unknown", "unknown"]].into());
}

#[test]
fn a_failed_sync_reaches_all_waiting_threads() {
    two_appenders_and(Fault::Sync);
}

#[test]
fn a_failed_write_reaches_all_waiting_threads() {
    two_appenders_and(Fault::Write);
}

#[test]
fn a_panic_of_the_file_layer_reaches_all_waiting_threads() {
    two_appenders_and(Fault::SyncPanics);
}

#[test]
fn a_failed_sync_reaches_two_threads_that_wait_for_a_third() {
    let outcomes = explore("three appenders, Sync", Some(3), || {
        let subject = Subject::new();
        subject.medium.fail(Fault::Sync);
        let others = ["a", "b"].map(|record| subject.spawn(move |subject| subject.append_and_sync(record)));
        let outcome = subject.append_and_sync("c");
        let [a, b] = others.map(|other| other.join().unwrap());
        let mut outcomes = [outcome_of(&outcome), outcome_of(&a), outcome_of(&b)];
        assert_poisoned(&subject);
        outcomes.sort_unstable();
        outcomes
    });
    let expected =
        [["refused", "refused", "unknown"], ["refused", "unknown", "unknown"], ["unknown", "unknown", "unknown"]];
    assert_eq!(outcomes, expected.into());
}

/// The flush itself succeeds. But if a write beside it failed before the flush ended, nothing is
/// acknowledged.
#[test]
fn a_process_write_that_fails_beside_a_flush_is_final() {
    let outcomes = explore("a Process append that fails beside a flush", None, || {
        let subject = Subject::new();
        let lsn = subject.log.append(b"disk", Durability::Disk).unwrap();
        let other = subject.spawn(move |subject| subject.sync(lsn, "disk").map(|()| lsn));
        while subject.log.bounds().written < lsn {
            loom::thread::yield_now(); // until the flush has written: the next write is to fail
        }
        subject.medium.fail(Fault::Write);
        let appended = subject.log.append(b"process", Durability::Process);
        let durable = subject.log.bounds().durable;
        let synced = other.join().unwrap();
        assert_eq!(subject.log.bounds().durable, durable, "acknowledged after the failure");
        assert_eq!(synced.is_ok(), durable >= lsn);
        assert!(matches!(subject.log.append(b"later", Durability::Disk), Err(Error::Poisoned { .. })));
        (outcome_of(&synced), outcome_of(&appended))
    });
    assert_eq!(outcomes, [("done", "unknown"), ("unknown", "unknown")].into());
}
