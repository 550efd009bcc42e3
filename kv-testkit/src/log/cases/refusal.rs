use kv_core::{Durability, Error};

use crate::log::{
    LogHarness, LogSpace,
    support::{append, append_all, assert_holds, assert_holds_and_survives_kill, open, payload, payloads, sync_all},
};

/// The suite tries no record above this size, in bytes.
const RECORD_BYTES_MAX: usize = 1 << 30;
/// What a full medium may still accept, in bytes.
const SPARE_BYTES_MAX: usize = 64 << 20;

/// A record that is too large is refused and leaves no trace. The log keeps working.
pub fn l5_too_large_logs_nothing(harness: &mut dyn LogHarness) {
    let mut records = payloads(6);
    let log = open(harness);
    let max = log.bounds().record_bytes_max;
    assert!(max < RECORD_BYTES_MAX, "this case needs a log whose record_bytes_max is below 1 GiB");
    append_all(&*log, &records[..3]);
    for durability in [Durability::Disk, Durability::Process] {
        let refused = log.append(&vec![0; max + 1], durability);
        let as_expected = match &refused {
            Err(Error::BatchTooLarge { .. }) => true,
            Err(Error::UnsupportedDurability { .. }) => durability == Durability::Process,
            _ => false,
        };
        assert!(as_expected, "L5: a record of one byte too many gave {refused:?}");
    }
    append_all(&*log, &records[3..]);
    assert_holds(&*log, &records);
    harness.kill();
    drop(log);

    let log = open(harness);
    records.push(payload(99, 10));
    append(&*log, &records[records.len() - 1]);
    assert_holds(&*log, &records);
}

/// A full medium refuses a record before anything is logged. Accepted records can be synced and
/// read. Once there is space, the log keeps working.
pub fn l5_full_medium_refuses_until_there_is_space(harness: &mut dyn LogSpace) {
    let log = open(harness);
    let mut records = payloads(5);
    append_all(&*log, &records);
    sync_all(&*log);
    harness.fill();
    let size = (64 << 10).min(log.bounds().record_bytes_max);
    let refusal = loop {
        let record = payload(records.len() as u64, size);
        match log.append(&record, Durability::Disk) {
            Ok(_) => records.push(record),
            Err(error) => break error,
        }
        sync_all(&*log);
        assert!(records.len() * size <= SPARE_BYTES_MAX, "L5: the medium is full, but the log accepts everything");
    };
    assert!(matches!(refusal, Error::DiskFull { .. }), "L5: a full medium gave {refusal:?}");
    assert_holds(&*log, &records);

    harness.free();
    records.push(payload(1000, size));
    append(&*log, &records[records.len() - 1]);
    assert_holds_and_survives_kill(harness, log, &records);
}
