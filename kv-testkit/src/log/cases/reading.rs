use kv_core::{Error, LogReader, Lsn};

use crate::log::{
    LogHarness,
    support::{
        append, append_all, assert_misuse, assert_read, next, open, payload, payloads, read_after, reader, rest, sync,
        sync_all,
    },
};

/// A reader gives all records after any position asked for.
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

/// At the end, a reader gives `None`. It continues when there is more, even if the log grows by
/// many files.
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

/// No record is read before it is durable, neither by a reader that waits at the end nor by a new
/// one.
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
}

/// A reader may begin ahead of the durable position. It gives nothing until its position is
/// durable, and then the records after it.
pub fn l7_begins_ahead_of_what_is_durable(harness: &mut dyn LogHarness) {
    let records = payloads(24);
    let log = open(harness);
    append_all(&*log, &records[..5]);
    sync(&*log, Lsn(5));
    append_all(&*log, &records[5..12]);
    let mut readers: Vec<_> = (3..=12).map(|after| (Lsn(after), reader(&*log, Lsn(after)))).collect();
    for (round, appended) in [8, 9, 12, 20, 24].into_iter().enumerate() {
        if appended > 12 {
            append_all(&*log, &records[log.bounds().appended.0 as usize..appended]);
        }
        for (position, reader) in &mut readers {
            while let Some(read) = next(&mut **reader) {
                let durable = log.bounds().durable;
                assert!(read.lsn <= durable, "L7: record {} was read, but only {durable} is durable", read.lsn);
                assert_read(&[read], *position, &records[..position.0 as usize + 1]);
                *position = position.next();
            }
        }
        sync(&*log, Lsn(appended as u64 - u64::from(round == 3)));
    }
    for (position, reader) in &mut readers {
        assert_read(&rest(&mut **reader), *position, &records);
    }
}

/// No reader begins after a position that was never given to a record, or that a crash took back.
pub fn l7_beyond_the_end_is_misuse(harness: &mut dyn LogHarness) {
    let log = open(harness);
    for count in [0, 21] {
        append_all(&*log, &payloads(count));
        for beyond in [1, 30, u64::MAX - count as u64].map(|more| Lsn(count as u64 + more)) {
            assert_misuse("reader", &log.reader(beyond).map(drop), beyond, Lsn(count as u64));
        }
    }
    let appended = log.bounds().appended;
    harness.kill();
    drop(log);

    let log = open(harness);
    let survived = log.bounds().appended;
    if survived < appended {
        assert_misuse("reader", &log.reader(appended).map(drop), appended, survived);
    }
    read_after(&*log, survived);
}

/// Where records have been trimmed, a reader reports it. It never skips any.
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

/// A reader that was opened before a trim reads on to the end, or reports the trim.
fn read_on_or_trimmed(after: u64, reader: &mut dyn LogReader, records: &[Vec<u8>]) {
    let mut position = after;
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                assert_eq!(record.lsn, Lsn(position + 1), "L7: a gap after position {position}");
                assert!(record.payload == records[position as usize], "L2: record {} differs", record.lsn);
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
