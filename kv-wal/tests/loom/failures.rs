//! The first failure is final, and everybody hears of it.

use kv_core::{Durability, Error, Log, Lsn, Result};

use crate::{
    medium::Fault,
    support::{Subject, explore},
};

/// Everybody got an error, and what follows does too.
fn assert_poisoned(subject: &Subject, outcomes: &[Result<Lsn>]) {
    for outcome in outcomes {
        assert!(matches!(outcome, Err(Error::OutcomeUnknown { .. } | Error::Poisoned { .. })), "{outcome:?}");
    }
    let bounds = subject.log.bounds();
    assert_eq!(bounds.durable, Lsn(1), "something was acknowledged after the failure");
    assert!(matches!(subject.log.append(b"later", Durability::Disk), Err(Error::Poisoned { .. })));
    assert!(
        bounds.appended == Lsn(1) || matches!(subject.log.sync(bounds.appended), Err(Error::OutcomeUnknown { .. }))
    );
    assert_eq!(subject.log.sync(Lsn(1)).unwrap(), Lsn(1), "what was durable stays so");
}

fn two_appenders_and(fault: Fault) {
    let subject = Subject::new();
    subject.medium.fail(fault);
    let other = subject.spawn(|subject| subject.append_and_sync("a"));
    let outcome = subject.append_and_sync("b");
    let outcomes = [outcome, other.join().unwrap()];
    assert!(subject.medium.has_failed());
    assert_poisoned(&subject, &outcomes);
}

#[test]
fn a_failed_sync_is_told_to_all_who_wait() {
    explore("a failed sync", None, || two_appenders_and(Fault::Sync));
}

#[test]
fn a_failed_write_is_told_to_all_who_wait() {
    explore("a failed write", None, || two_appenders_and(Fault::Write));
}

#[test]
fn a_panic_of_the_file_layer_is_told_to_all_who_wait() {
    explore("a panic", None, || two_appenders_and(Fault::SyncPanics));
}

#[test]
fn a_failed_sync_is_told_to_two_who_wait_for_a_third() {
    explore("a failed sync, three appenders", None, || {
        let subject = Subject::new();
        subject.medium.fail(Fault::Sync);
        let others = ["a", "b"].map(|record| subject.spawn(move |subject| subject.append_and_sync(record)));
        let [a, b] = others.map(|other| other.join().unwrap());
        assert_poisoned(&subject, &[subject.append_and_sync("c"), a, b]);
    });
}

/// The flush itself succeeds; but if a write beside it failed before it ended, it may not be acknowledged.
#[test]
fn a_process_write_that_fails_beside_a_flush_is_final() {
    explore("a failed write beside a flush", None, || {
        let subject = Subject::new();
        let lsn = subject.log.append(b"disk", Durability::Disk).unwrap();
        subject.medium.fail(Fault::Write);
        let other = subject.spawn(move |subject| subject.sync(lsn, "disk"));
        let outcome = subject.log.append(b"process", Durability::Process);
        let refused_at = subject.log.bounds().durable;
        let synced = other.join().unwrap();
        let bounds = subject.log.bounds();
        assert!(subject.medium.has_failed());
        assert!(outcome.is_ok() || bounds.durable == refused_at, "acknowledged after the failure");
        assert_eq!(synced.is_ok(), bounds.durable >= lsn);
        assert!(matches!(subject.log.append(b"later", Durability::Disk), Err(Error::Poisoned { .. })));
    });
}
