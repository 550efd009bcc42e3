use kv_core::{Durability, Lsn};

use crate::log::{
    LogHarness,
    support::{
        append, append_all, assert_bounds, assert_holds, assert_holds_and_survives_kill, open, payload, payloads,
        sync_all,
    },
};

/// The first record has position 1, and each further record has the next position. This holds
/// across openings, whether the log was closed cleanly or not.
pub fn l1_dense_positions(harness: &mut dyn LogHarness) {
    let mut records = payloads(15);
    let log = open(harness);
    for (index, record) in records[..5].iter().enumerate() {
        assert_eq!(append(&*log, record), Lsn(index as u64 + 1), "L1: positions are not dense from 1");
        assert_eq!(log.bounds().appended, Lsn(index as u64 + 1), "L1: the bounds do not give the last position");
    }
    sync_all(&*log);
    log.close().unwrap();
    drop(log);

    let log = open(harness);
    assert_eq!(append(&*log, &records[5]), Lsn(6), "L1: positions do not go on after a clean close");
    append_all(&*log, &records[6..10]);
    sync_all(&*log);
    append_all(&*log, &records[10..]);
    harness.kill();
    drop(log);

    let log = open(harness);
    let survived = log.bounds().appended;
    assert!(survived >= Lsn(10), "L3: synced records are gone after a kill");
    records.truncate(survived.0 as usize);
    records.push(payload(1000, 10));
    let lsn = append(&*log, &records[records.len() - 1]);
    assert_eq!(lsn, survived.next(), "L1: positions do not go on after the last that survived a kill");
    assert_holds(&*log, &records);
}

/// Records of every size, and of bytes that a format might mistake for its own, come back as they
/// were appended.
pub fn l2_faithful(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let max = log.bounds().record_bytes_max;
    let sizes = [0, 1, 2, 7, 8, 9, 63, 64, 4000, 4095, 4096, 4097, 8192, 65_535, 65_536, 200_000, 2 << 20];
    let mut records: Vec<Vec<u8>> = sizes.iter().map(|size| payload(*size as u64, (*size).min(max))).collect();
    for byte in [0, 0xff] {
        records.extend([1, 100, 5000, 70_000].iter().map(|size| vec![byte; (*size).min(max)]));
    }
    records.push(Vec::new());
    append_all(&*log, &records);
    assert_holds(&*log, &records);
    drop(log);

    let log = open(harness);
    assert_holds_and_survives_kill(harness, log, &records);
}

/// Many records, several hundred KiB in all, synced in groups of every size.
pub fn l2_faithful_over_many_records(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let records: Vec<_> = (0..600).map(|n| payload(n, (n * 97 % 1500) as usize)).collect();
    let mut group = 0;
    let mut rest = &records[..];
    while !rest.is_empty() {
        group = group % 40 + 1;
        let (now, later) = rest.split_at(group.min(rest.len()));
        append_all(&*log, now);
        sync_all(&*log);
        rest = later;
    }
    assert_holds_and_survives_kill(harness, log, &records);
}

/// A record of exactly the maximum length that the log reports.
pub fn l2_largest_record(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let max = log.bounds().record_bytes_max;
    let records = vec![payload(1, 10), payload(2, max), payload(3, 10)];
    append_all(&*log, &records);
    assert_holds(&*log, &records);
    drop(log);

    assert_holds(&*open(harness), &records);
}

/// `trimmed <= durable <= written <= appended`, at every step.
pub fn bounds_are_ordered(harness: &mut dyn LogHarness) {
    for _ in 0..3 {
        let log = open(harness);
        for n in 0..40 {
            // A log that does not support `Process` refuses, which is fine here.
            let _ = log.append(&payload(n, 50), if n % 3 == 0 { Durability::Process } else { Durability::Disk });
            assert_bounds(&*log);
            if n % 7 == 0 {
                let durable = sync_all(&*log);
                assert_bounds(&*log);
                log.trim(Lsn(durable.0 / 2)).unwrap();
                assert_bounds(&*log);
            }
        }
        harness.kill();
    }
}

/// The reported size on the medium roughly follows its content.
pub fn medium_bytes_grow_with_the_log(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let records: Vec<_> = (0..1024).map(|n| payload(n, 1024)).collect();
    append_all(&*log, &records[..512]);
    let middle = sync_all(&*log);
    append_all(&*log, &records[512..]);
    let end = sync_all(&*log);
    let [all, half, none] = [Lsn::START, middle, end].map(|after| log.medium_bytes_after(after));
    assert!(all >= half && half >= none, "the bytes after {middle} are not between those of all and none");
    assert!(all - none >= 512 << 10, "1 MiB of random records are reported to take {} bytes", all - none);
    assert!(half - none >= 256 << 10, "half a MiB of records is reported to take {} bytes", half - none);
}
