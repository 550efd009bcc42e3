use std::collections::BTreeMap;

use kv_core::{Durability, Epoch, Error, Lsn};

use crate::log::{
    LogHarness,
    support::{append, append_all, assert_holds, open, payload, payloads, read_after, sync_all},
};

/// Each opening has an epoch above that of every earlier record, and each record keeps the epoch of
/// its opening.
pub fn l10_epochs_rise(harness: &mut dyn LogHarness) {
    epochs_rise(harness, |harness, round| {
        if round % 3 == 0 {
            harness.kill();
        }
    });
}

/// Appends in several openings, ends each with `end`, and checks the epochs.
pub(super) fn epochs_rise<H: LogHarness + ?Sized>(harness: &mut H, end: impl Fn(&mut H, u64)) {
    let mut epochs: BTreeMap<Lsn, Epoch> = BTreeMap::new();
    for round in 0..6 {
        let log = open(harness);
        let epoch = log.bounds().epoch;
        assert!(log.bounds().durable >= Lsn(epochs.len() as u64), "L3: synced records are gone");
        for read in read_after(&*log, Lsn::START) {
            assert!(read.epoch < epoch, "L10: opening {round} has epoch {epoch}, record {} {}", read.lsn, read.epoch);
            assert_eq!(epochs.get(&read.lsn), Some(&read.epoch), "L10: record {} changed its epoch", read.lsn);
        }
        if round == 2 {
            continue; // an opening that writes nothing
        }
        for n in 0..3 {
            epochs.insert(append(&*log, &payload(n, 100)), epoch);
        }
        sync_all(&*log);
        assert_eq!(log.bounds().epoch, epoch, "L10: the epoch changed while the log was open");
        let last = read_after(&*log, Lsn(epochs.len() as u64 - 1));
        assert_eq!(last[0].epoch, epoch, "L10: a record does not have the epoch of its opening");
        if round % 2 == 0 {
            log.close().unwrap();
        }
        end(harness, round);
    }
}

/// `close` makes everything durable, and accepts no more records. Closing twice is allowed.
pub fn l12_close_makes_durable(harness: &mut dyn LogHarness) {
    let mut records = payloads(10);
    let log = open(harness);
    append_all(&*log, &records);
    log.close().unwrap();
    assert_eq!(log.bounds().durable, Lsn(10), "L12: close left records that are not durable");
    for durability in [Durability::Disk, Durability::Process] {
        let refused = log.append(b"late", durability);
        let as_expected = match &refused {
            Err(Error::Closed) => true,
            Err(Error::UnsupportedDurability { .. }) => durability == Durability::Process,
            _ => false,
        };
        assert!(as_expected, "L12: an append after close gave {refused:?}");
    }
    log.close().unwrap();
    harness.kill();
    drop(log);

    let log = open(harness);
    records.push(payload(99, 9));
    append(&*log, &records[10]);
    assert_holds(&*log, &records);
}

/// After `close`, everything but appending still works.
pub fn l12_closed_log_is_readable(harness: &mut dyn LogHarness) {
    let records = payloads(10);
    let log = open(harness);
    let id = log.id();
    append_all(&*log, &records);
    log.close().unwrap();
    assert_eq!(log.id(), id, "L13: closing changed the identity");
    assert_eq!(log.sync(Lsn(10)).unwrap(), Lsn(10), "L12: sync after close");
    assert_holds(&*log, &records);
    log.trim(Lsn(5)).unwrap();
    assert!(log.bounds().trimmed <= Lsn(5), "L8: more was trimmed than was asked for");
    assert_holds(&*log, &records);
}

/// The identity is the same at each opening, even of an empty log.
pub fn l13_identity_stays(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let id = log.id();
    drop(log);
    for round in 0..6 {
        let log = open(harness);
        assert_eq!(log.id(), id, "L13: the identity changed");
        append_all(&*log, &payloads(round));
        let durable = sync_all(&*log);
        match round % 3 {
            0 => log.close().unwrap(),
            1 => harness.kill(),
            _ => log.trim(durable).unwrap(),
        }
        assert_eq!(log.id(), id, "L13: the identity changed");
    }
}
