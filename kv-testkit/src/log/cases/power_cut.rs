use fastrand::Rng;
use kv_core::{Durability, Lsn};

use super::{durability, opening};
use crate::log::{
    LogPowerCut,
    support::{
        append, append_all, append_to, assert_holds, assert_holds_prefix, open, payload, payloads, read_after, sync,
        sync_all,
    },
};

/// Synced records survive a power cut.
pub fn l3_synced_survives_power_cut(harness: &mut dyn LogPowerCut) {
    durability::synced_survives(harness, <dyn LogPowerCut>::cut_power);
}

/// A record that a reader returned survives a power cut.
pub fn l7_what_was_read_survives_power_cut(harness: &mut dyn LogPowerCut) {
    let mut records: Vec<Vec<u8>> = Vec::new();
    for round in 0..8 {
        let log = open(harness);
        for n in 0..10 {
            let durability = if n % 2 == 0 { Durability::Disk } else { Durability::Process };
            append_to(&mut records, &*log, payload(round * 10 + n, 300), durability);
            if n == round {
                sync_all(&*log);
            }
        }
        let read = read_after(&*log, Lsn::START).len() as u64;
        harness.cut_power();
        drop(log);

        let survived = assert_holds_prefix(&*open(harness), &records, Lsn(read));
        records.truncate(survived);
    }
}

/// After a power cut at any point, over many openings, the log is a prefix of what was appended and
/// has everything durable.
pub fn l9_prefix_after_power_cut(harness: &mut dyn LogPowerCut) {
    let mut rng = Rng::with_seed(9);
    let mut records: Vec<Vec<u8>> = Vec::new();
    for round in 0..16 {
        let log = open(harness);
        for _ in 0..rng.usize(0..40) {
            let record = payload(rng.u64(..), rng.usize(0..3000));
            let durability = if rng.bool() { Durability::Disk } else { Durability::Process };
            append_to(&mut records, &*log, record, durability);
            if rng.u8(0..8) == 0 {
                sync(&*log, Lsn(rng.u64(0..=records.len() as u64)));
            }
        }
        let promised = log.bounds().durable;
        match round % 4 {
            0 => harness.kill(), // then the power is cut before anything is synced
            _ => harness.cut_power(),
        }
        drop(log);

        let log = open(harness);
        let survived = assert_holds_prefix(&*log, &records, promised);
        records.truncate(survived);
        harness.cut_power(); // the next opening must show the same as this one
        drop(log);
        assert_holds(&*open(harness), &records);
    }
}

/// Epochs rise over power cuts too.
pub fn l10_epochs_rise_over_power_cuts(harness: &mut dyn LogPowerCut) {
    opening::epochs_rise(harness, |harness, _| harness.cut_power());
}

/// A position that was durable is never given to another record, even if everything was trimmed
/// before the power cut.
pub fn l11_no_reuse_after_power_cut(harness: &mut dyn LogPowerCut) {
    let mut durable = Lsn::START;
    for round in 0..6 {
        let log = open(harness);
        append_all(&*log, &payloads(20));
        durable = sync(&*log, Lsn(durable.0 + 10));
        if round % 2 == 0 {
            log.trim(durable).unwrap();
        }
        harness.cut_power();
        drop(log);

        let log = open(harness);
        let lsn = append(&*log, &payload(round, 10));
        assert!(lsn > durable, "L11: position {lsn} was durable before, and is used again");
        durable = sync(&*log, lsn);
    }
}

/// Everything appended before `close` survives a power cut after it.
pub fn l12_closed_survives_power_cut(harness: &mut dyn LogPowerCut) {
    let records = payloads(25);
    for upto in [1, 5, 25] {
        let log = open(harness);
        let there = log.bounds().appended.0 as usize;
        append_all(&*log, &records[there..upto]);
        log.close().unwrap();
        harness.cut_power();
        drop(log);

        assert_holds(&*open(harness), &records[..upto]);
    }
}
