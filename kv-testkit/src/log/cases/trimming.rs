use std::thread;

use kv_core::{Error, Log, Lsn};

use crate::log::{
    LogHarness,
    support::{append, append_all, assert_holds, assert_misuse, open, payload, sync, sync_all},
};
use crate::threads::{DoneFlag, join_all};

/// Trims of any extent, and any number of them, leave the records above, now and after each kind of
/// reopening.
pub fn l8_keeps_what_is_above(harness: &mut dyn LogHarness) {
    let mut records: Vec<_> = (0..300).map(|n| payload(n, 1000)).collect();
    let mut log = open(harness);
    append_all(&*log, &records);
    sync_all(&*log);
    let mut allowed = Lsn::START;
    for upto in [0, 1, 20, 10, 150, 150, 299].map(Lsn) {
        allowed = allowed.max(upto);
        log.trim(upto).unwrap();
        let trimmed = log.bounds().trimmed;
        assert!(trimmed <= allowed, "L8: trim up to {upto} trimmed everything up to {trimmed}");
        assert_holds(&*log, &records);
        if upto == Lsn(20) {
            harness.kill();
        }
        drop(log);
        log = open(harness);
        assert!(log.bounds().trimmed <= allowed, "L8: reopening trimmed more than was asked for");
        assert_holds(&*log, &records);
    }
    records.push(payload(1000, 10));
    append(&*log, &records[300]);
    assert_holds(&*log, &records);
}

/// A record that is not durable cannot be trimmed, because its outcome is not known yet.
pub fn l8_keeps_what_is_not_durable(harness: &mut dyn LogHarness) {
    let records: Vec<_> = (0..60).map(|n| payload(n, 1000)).collect();
    let log = open(harness);
    append_all(&*log, &records[..30]);
    sync(&*log, Lsn(30));
    append_all(&*log, &records[30..]);
    log.trim(Lsn(60)).unwrap();
    let bounds = log.bounds();
    assert!(bounds.trimmed <= bounds.durable, "L8: records were trimmed that were not durable");
    assert_holds(&*log, &records);
}

/// Trimming a position that no record has fails, and trims nothing.
pub fn l8_beyond_the_end_is_misuse(harness: &mut dyn LogHarness) {
    let records: Vec<_> = (0..60).map(|n| payload(n, 1000)).collect();
    let log = open(harness);
    assert_misuse("trim", &log.trim(Lsn(1)), Lsn(1), Lsn::START);
    append_all(&*log, &records);
    sync_all(&*log);
    for beyond in [61, 1000, u64::MAX].map(Lsn) {
        assert_misuse("trim", &log.trim(beyond), beyond, Lsn(60));
    }
    assert_eq!(log.bounds().trimmed, Lsn::START, "L8: a trim that was refused has trimmed records");
    assert_holds(&*log, &records);
}

/// Trimming while other threads append and read takes nothing from either.
pub fn l8_trims_beneath_readers_and_writers(harness: &mut dyn LogHarness) {
    let records: Vec<_> = (0..400).map(|n| payload(n, 500)).collect();
    let log = open(harness);
    let appending = DoneFlag::default();
    thread::scope(|scope| {
        let appends = scope.spawn(|| {
            let _ends = appending.set_when_dropped();
            for record in &records {
                let lsn = append(&*log, record);
                sync(&*log, lsn);
            }
        });
        let trims = scope.spawn(|| {
            let mut all_appended = false;
            while !all_appended {
                all_appended = appending.is_set();
                log.trim(Lsn(log.bounds().durable.0.saturating_sub(20).min(300))).unwrap();
                thread::yield_now();
            }
        });
        let reads = scope.spawn(|| {
            let mut position = Lsn::START;
            let mut nothing_more_comes = false;
            while !nothing_more_comes {
                nothing_more_comes = appending.is_set();
                position = read_on(&*log, position, &records);
            }
            assert_eq!(position, Lsn(400), "L7: the reader missed records");
        });
        join_all([appends, trims, reads]);
    });
    assert!(log.bounds().trimmed <= Lsn(300), "L8: more was trimmed than was asked for");
    assert_holds(&*log, &records);
}

/// Reads to the end, with a new reader wherever records were trimmed, and returns where it ended.
fn read_on(log: &dyn Log, after: Lsn, records: &[Vec<u8>]) -> Lsn {
    let mut position = after;
    let mut reader = match log.reader(after) {
        Err(Error::Trimmed { trimmed, .. }) if trimmed > after => return read_on(log, trimmed, records),
        reader => reader.unwrap(),
    };
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                assert_eq!(record.lsn, position.next(), "L7: a gap");
                assert!(record.payload == records[position.0 as usize], "L2: record {} differs", record.lsn);
                position = record.lsn;
            }
            Ok(None) => return position,
            Err(Error::Trimmed { trimmed, .. }) if trimmed > position => return read_on(log, trimmed, records),
            Err(error) => panic!("L7: reading fails: {error:?}"),
        }
    }
}

/// A log that has trimmed everything still knows its positions.
pub fn l11_no_reuse_after_trimming_all(harness: &mut dyn LogHarness) {
    let mut records: Vec<_> = (0..50).map(|n| payload(n, 1000)).collect();
    let log = open(harness);
    append_all(&*log, &records);
    sync_all(&*log);
    log.trim(Lsn(50)).unwrap();
    drop(log);

    for round in 0..4 {
        let log = open(harness); // and nothing is appended
        assert_eq!(log.bounds().appended, Lsn(records.len() as u64), "L11: positions were lost");
        drop(log);

        let log = open(harness);
        records.push(payload(100 + round, 1000));
        let lsn = append(&*log, &records[records.len() - 1]);
        assert_eq!(lsn, Lsn(records.len() as u64), "L11: a position was used again");
        sync(&*log, lsn);
        log.trim(lsn).unwrap();
        if round % 2 == 0 {
            harness.kill();
        }
        drop(log);
    }
    assert_holds(&*open(harness), &records);
}
