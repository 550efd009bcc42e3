use fastrand::Rng;
use kv_core::{Durability, Lsn};

use crate::log::{
    LogHarness,
    support::{
        append, append_all, append_process, append_to, assert_holds, assert_holds_prefix, assert_misuse, open, payload,
        payloads, sync, sync_all,
    },
};

/// `sync` returns at least the position it was asked for, whatever the order of calls, and the
/// durable position only rises.
pub fn l3_sync_reaches_what_was_asked(harness: &mut dyn LogHarness) {
    let log = open(harness);
    assert_eq!(sync(&*log, Lsn::START), Lsn::START, "L3: an empty log has a durable position");
    append_all(&*log, &payloads(30));
    let mut durable = Lsn::START;
    for upto in [1, 10, 9, 3, 25, 0, 30, 30] {
        let now = sync(&*log, Lsn(upto));
        assert!(now >= durable, "L3: the durable position went back from {durable} to {now}");
        assert!(now <= Lsn(30), "L3: {now} is durable, but was never appended");
        durable = now;
    }
    assert_holds(&*log, &payloads(30));
}

/// A position that no record has cannot become durable.
pub fn sync_of_what_was_never_appended_is_misuse(harness: &mut dyn LogHarness) {
    let log = open(harness);
    append_all(&*log, &payloads(3));
    assert_misuse("sync", &log.sync(Lsn(4)).map(drop), Lsn(4), Lsn(3));
    assert_eq!(sync(&*log, Lsn(3)), Lsn(3));
    assert_holds(&*log, &payloads(3));
}

/// Synced records survive a kill.
pub fn l3_synced_survives_kill(harness: &mut dyn LogHarness) {
    synced_survives(harness, <dyn LogHarness>::kill);
}

pub(super) fn synced_survives<H: LogHarness + ?Sized>(harness: &mut H, crash: impl Fn(&mut H)) {
    let records = payloads(40);
    let log = open(harness);
    let mut synced = Lsn::START;
    for (index, record) in records.iter().enumerate() {
        let lsn = append(&*log, record);
        if index % 4 == 0 {
            synced = sync(&*log, lsn);
        }
    }
    crash(harness);
    drop(log);

    assert_holds_prefix(&*open(harness), &records, synced);
}

/// A `Process` record is with the kernel when `append` returns. A log that does not support this
/// says so, and logs nothing.
pub fn l4_process_survives_kill(harness: &mut dyn LogHarness) {
    let mut records = Vec::new();
    for round in 0..3 {
        let log = open(harness);
        for n in 0..20 {
            let record = payload(round * 20 + n, 100 * n as usize);
            if let Some(lsn) = append_process(&*log, &record) {
                records.push(record);
                assert!(log.bounds().written >= lsn, "L4: the bounds do not say that {lsn} is written");
            }
        }
        harness.kill();
        drop(log);
        assert_holds(&*open(harness), &records);
    }
}

/// A `Process` record behind `Disk` records survives if these survive, and never without them.
pub fn l4_process_behind_disk_survives_with_it(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let mut records = vec![payload(1, 500), payload(2, 500)];
    let disk = append(&*log, &records[0]);
    if append_process(&*log, &records[1]).is_none() {
        records.pop();
    }
    harness.kill();
    let killed_before_sync = open(harness);
    assert_holds_prefix(&*killed_before_sync, &records, Lsn::START);
    drop((log, killed_before_sync));

    let log = open(harness);
    let survived = log.bounds().appended.0 as usize;
    records.truncate(survived);
    records.push(payload(3, 500));
    let disk = Lsn(disk.0 + survived as u64);
    assert_eq!(append(&*log, &records[survived]), disk, "L1: positions are not dense");
    records.push(payload(4, 500));
    if append_process(&*log, &records[survived + 1]).is_none() {
        records.pop();
    }
    sync(&*log, disk);
    harness.kill();
    drop(log);

    assert_holds(&*open(harness), &records);
}

/// After a kill at any point, over many openings, the log is a prefix of what was appended and has
/// everything that its bounds promised.
pub fn l9_prefix_after_kill(harness: &mut dyn LogHarness) {
    let mut rng = Rng::with_seed(9);
    let mut records: Vec<Vec<u8>> = Vec::new();
    for round in 0..12 {
        let log = open(harness);
        for _ in 0..rng.usize(0..40) {
            let record = payload(rng.u64(..), rng.usize(0..3000));
            let durability = if rng.bool() { Durability::Disk } else { Durability::Process };
            append_to(&mut records, &*log, record, durability);
            match rng.u8(0..8) {
                0 => _ = sync_all(&*log),
                1 => _ = sync(&*log, Lsn(rng.u64(0..=records.len() as u64))),
                _ => {}
            }
        }
        let promised = log.bounds().written;
        if round % 4 != 3 {
            harness.kill(); // otherwise it is just dropped, which promises the same
        }
        drop(log);

        let survived = assert_holds_prefix(&*open(harness), &records, promised);
        records.truncate(survived);
    }
}
