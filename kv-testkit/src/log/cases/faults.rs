use std::{
    sync::{Arc, Barrier},
    thread,
};

use kv_core::{Durability, Error, Log, Lsn};

use crate::log::{
    LogFaults,
    support::{
        append, append_all, assert_holds, assert_holds_prefix, assert_read, next, open, payload, payloads, read_after,
        reader, rest, sync,
    },
};
use crate::threads::join_all;

/// How many records are durable before the failure, and how many there are.
const DURABLE: u64 = 5;
const APPENDED: u64 = 8;

/// A log with some durable records and some others, whose flush is about to fail.
fn about_to_fail(harness: &mut dyn LogFaults) -> Arc<dyn Log> {
    let records = payloads(APPENDED as usize);
    let log = open(harness);
    append_all(&*log, &records[..DURABLE as usize]);
    assert_eq!(sync(&*log, Lsn(DURABLE)), Lsn(DURABLE));
    append_all(&*log, &records[DURABLE as usize..]);
    assert_eq!(log.bounds().durable, Lsn(DURABLE), "a record was flushed before `sync`, see `LogFaults`");
    harness.fail_next_flush();
    log
}

/// The text of the cause that an unknown outcome carries.
fn unknown(result: Result<Lsn, Error>) -> String {
    match result {
        Err(Error::OutcomeUnknown { cause }) => cause.to_string(),
        other => panic!("L6: instead of an unknown outcome, a sync whose flush failed gave {other:?}"),
    }
}

fn poisoned(log: &dyn Log, durability: Durability) -> Option<String> {
    match log.append(b"after the failure", durability) {
        Err(Error::Poisoned { cause }) => Some(cause.to_string()),
        Err(Error::UnsupportedDurability { .. }) if durability == Durability::Process => None,
        other => panic!("L6: an append after a failure gave {other:?}"),
    }
}

/// After a failure, nothing is accepted or acknowledged any more, though the medium would allow it.
/// Every caller gets the first cause.
pub fn l6_first_failure_is_final(harness: &mut dyn LogFaults) {
    let log = about_to_fail(harness);
    let cause = unknown(log.sync(Lsn(APPENDED)));
    for round in 0..3 {
        for durability in [Durability::Disk, Durability::Process] {
            if let Some(said) = poisoned(&*log, durability) {
                assert_eq!(said, cause, "L6: an append did not carry the first cause");
            }
        }
        for upto in [APPENDED, DURABLE + 1] {
            assert_eq!(unknown(log.sync(Lsn(upto))), cause, "L6: a sync did not carry the first cause");
        }
        assert_eq!(log.sync(Lsn(DURABLE - round)).unwrap(), Lsn(DURABLE), "L6: sync up to the durable position");
    }
    let bounds = log.bounds();
    assert_eq!(bounds.durable, Lsn(DURABLE), "L6: records became durable after the failure");
    assert_eq!(bounds.appended, Lsn(APPENDED), "L6: a record took a position after the failure");
}

/// Every thread that waits for a failing flush gets an error. None hangs, and none gets a durable
/// position.
pub fn l6_failure_reaches_every_waiter(harness: &mut dyn LogFaults) {
    let log = about_to_fail(harness);
    let waiters = (APPENDED - DURABLE) as usize;
    let together = Barrier::new(waiters);
    let causes: Vec<_> = thread::scope(|scope| {
        let wait_for = |lsn| {
            let (log, together) = (&log, &together);
            scope.spawn(move || {
                together.wait();
                unknown(log.sync(Lsn(lsn)))
            })
        };
        let threads: Vec<_> = (DURABLE + 1..=APPENDED).map(wait_for).collect();
        join_all(threads)
    });
    assert!(causes.iter().all(|cause| *cause == causes[0]), "L6: the waiters got different causes: {causes:?}");
}

/// Readers and bounds keep working after a failure, up to the durable position and no further.
pub fn l6_reading_goes_on(harness: &mut dyn LogFaults) {
    let log = about_to_fail(harness);
    let records = &payloads(DURABLE as usize);
    let mut early = reader(&*log, Lsn::START);
    assert!(next(&mut *early).is_some(), "L7: a durable record is not read");
    unknown(log.sync(Lsn(APPENDED)));
    assert_read(&rest(&mut *early), Lsn(1), records);
    assert_read(&read_after(&*log, Lsn::START), Lsn::START, records);
    assert_eq!(log.bounds().durable, Lsn(DURABLE), "L6: records became durable after the failure");
    log.id();
}

/// A `close` that succeeds promises that everything is durable. After a failure some records are
/// not durable, so `close` must fail.
pub fn l6_close_does_not_hide_a_failure(harness: &mut dyn LogFaults) {
    let log = about_to_fail(harness);
    assert!(log.close().is_err(), "L6: a close whose flush failed succeeded");
    assert!(log.close().is_err(), "L6: a close after a failed one succeeded, though records are lost");
    assert_eq!(log.bounds().durable, Lsn(DURABLE), "L6: records became durable after the failure");
}

/// After a failure, the log opens again, holds everything durable and a prefix of the rest, and
/// accepts records.
pub fn l6_opens_again_with_what_was_durable(harness: &mut dyn LogFaults) {
    let log = about_to_fail(harness);
    unknown(log.sync(Lsn(APPENDED)));
    let epoch = log.bounds().epoch;
    harness.kill();
    drop(log);

    let log = open(harness);
    let mut records = payloads(APPENDED as usize);
    let survived = assert_holds_prefix(&*log, &records, Lsn(DURABLE));
    records.truncate(survived);
    assert!(log.bounds().epoch > epoch, "L10: the epoch did not rise");
    records.push(payload(99, 99));
    append(&*log, &records[survived]);
    assert_holds(&*log, &records);
}
