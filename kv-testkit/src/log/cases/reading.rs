use kv_core::{Error, LogReader, Lsn};

use crate::log::{
    LogHarness,
    support::{
        append, append_all, assert_read, next, open, payload, payloads, read_after, reader, rest, sync, sync_all,
    },
};

/// A reader gives the records after any position asked for, and all of them.
pub fn l7_starts_after_any_position(harness: &mut dyn LogHarness) {
    let records = payloads(50);
    let log = open(harness);
    append_all(&*log, &records);
    sync_all(&*log);
    for after in 0..=50 {
        assert_read(&read_after(&*log, Lsn(after)), Lsn(after), &records);
    }
    drop(log);

    let log = open(harness);
    sync_all(&*log);
    for after in (0..=50).rev() {
        assert_read(&read_after(&*log, Lsn(after)), Lsn(after), &records);
    }
}

/// At the end a reader gives `None`, and goes on when there is more, also over many files.
pub fn l7_goes_on_after_the_end(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let mut reader = reader(&*log, Lsn::START);
    let mut records = Vec::new();
    for round in 0..50 {
        assert!(next(&mut *reader).is_none(), "L7: there is a record after the last");
        assert!(next(&mut *reader).is_none(), "L7: there is a record after the last");
        let after = Lsn(records.len() as u64);
        for n in 0..=round % 4 {
            records.push(payload(n, 700 * n as usize));
            append(&*log, &records[records.len() - 1]);
        }
        sync_all(&*log);
        assert_read(&rest(&mut *reader), after, &records);
    }
}

/// No record is read before it is durable, neither by a reader that waits at the end nor by a new one.
pub fn l7_only_durable_records(harness: &mut dyn LogHarness) {
    let records = payloads(30);
    let log = open(harness);
    append_all(&*log, &records[..10]);
    sync(&*log, Lsn(10));
    let mut waiting = reader(&*log, Lsn::START);
    assert!(rest(&mut *waiting).len() >= 10, "L7: durable records are not read");
    for record in &records[10..] {
        append(&*log, record);
        for reader in [&mut *waiting, &mut *reader(&*log, Lsn(9))] {
            if let Some(last) = rest(reader).last() {
                let durable = log.bounds().durable;
                assert!(last.lsn <= durable, "L7: record {} was read, but only {durable} is durable", last.lsn);
            }
        }
    }
    // After a position that is not durable yet, there is nothing until it is.
    let after = log.bounds().appended;
    let mut ahead = reader(&*log, after);
    assert!(next(&mut *ahead).is_none(), "L7: a record after the last was read");
    let mut records = records;
    records.push(payload(99, 99));
    append(&*log, &records[30]);
    sync_all(&*log);
    assert_read(&rest(&mut *ahead), after, &records);
}

/// Where records have been trimmed, a reader says so. It never leaves any out.
pub fn l7_trimmed_never_a_gap(harness: &mut dyn LogHarness) {
    let records: Vec<_> = (0..200).map(|n| payload(n, 2000)).collect();
    let log = open(harness);
    append_all(&*log, &records);
    sync_all(&*log);
    let mut readers: Vec<_> = (0..=200).step_by(20).map(|after| (after, reader(&*log, Lsn(after)))).collect();
    let (position, behind) = &mut readers[0];
    assert!(next(&mut **behind).is_some(), "L7: a durable record is not read");
    *position = 1;
    log.trim(Lsn(150)).unwrap();
    let trimmed = log.bounds().trimmed;

    for (after, reader) in &mut readers {
        read_on_or_trimmed(*after, &mut **reader, &records);
    }
    for after in (0..=200).map(Lsn) {
        match log.reader(after) {
            Ok(mut reader) => {
                assert!(after >= trimmed, "L7: a reader of records that were trimmed");
                read_on_or_trimmed(after.0, &mut *reader, &records);
            }
            Err(Error::Trimmed { after: said, trimmed }) => {
                assert_eq!(said, after, "L7: Trimmed names another position than was asked for");
                assert!(after < trimmed && trimmed <= Lsn(150), "L7: trimmed up to {trimmed}, no reader after {after}");
            }
            Err(error) => panic!("L7: no reader after {after}: {error:?}"),
        }
    }
}

/// A reader that was there before a trim reads on to the end, or is told.
fn read_on_or_trimmed(after: u64, reader: &mut dyn LogReader, records: &[Vec<u8>]) {
    let mut position = after;
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                assert_eq!(record.lsn, Lsn(position + 1), "L7: a gap after position {position}");
                assert!(record.payload == records[position as usize], "L2: record {} is another", record.lsn);
                position += 1;
            }
            Ok(None) => return assert_eq!(position, records.len() as u64, "L7: the end came early"),
            Err(Error::Trimmed { trimmed, .. }) => {
                return assert!(Lsn(position) < trimmed, "L7: the record after {position} was not trimmed");
            }
            Err(error) => panic!("L7: reading fails: {error:?}"),
        }
    }
}
