use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use kv_core::{Durability, Error, Log, Lsn};

use crate::{
    log::{
        LogHarness,
        support::{append, assert_holds_and_survives_kill, assert_holds_prefix, next, open, payload, reader, sync},
    },
    threads::{DoneFlag, join_all},
};

const THREADS: u64 = 4;
const RECORDS: u64 = 60;

/// Threads that append at once get dense positions. The positions of each thread rise, and hold
/// what that thread appended.
pub fn l1_dense_with_threads(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let appended = in_threads(|thread, n| {
        let record = payload(thread * RECORDS + n, n as usize * 11 % 500);
        let lsn = match log.append(&record, if n % 3 == 0 { Durability::Process } else { Durability::Disk }) {
            Err(Error::UnsupportedDurability { durability: Durability::Process }) => return None,
            appended => appended.unwrap(),
        };
        if n % 10 == 9 {
            sync(&*log, lsn);
        }
        Some((lsn, record))
    });
    for of_thread in &appended {
        assert!(of_thread.is_sorted_by_key(|(lsn, _)| lsn), "L1: the positions of a thread's records do not rise");
    }
    let count: usize = appended.iter().map(Vec::len).sum();
    let by_position: BTreeMap<_, _> = appended.into_iter().flatten().collect();
    assert!(by_position.keys().copied().eq((1..=count as u64).map(Lsn)), "L1: positions are not dense from 1");
    let records: Vec<_> = by_position.into_values().collect();
    assert_holds_and_survives_kill(harness, log, &records);
}

/// Threads that sync at once each get at least what they asked for, and what was reported as
/// durable survives a kill.
pub fn l3_sync_with_threads(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let reported = in_threads(|thread, n| {
        let lsn = append(&*log, &payload(thread, n as usize));
        let durable = sync(&*log, lsn);
        assert!(durable <= log.bounds().appended, "L3: {durable} is durable, but was never appended");
        Some(durable)
    });
    let reported = reported.into_iter().flatten().max().unwrap();
    assert_eq!(reported, Lsn(THREADS * RECORDS), "L3: the last sync did not reach the last record");
    harness.kill();
    drop(log);

    assert_eq!(open(harness).bounds().appended, reported, "L3: synced records are gone after a kill");
}

/// A kill while threads append leaves a prefix that contains everything acknowledged.
pub fn l9_prefix_after_kill_with_threads(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let (acknowledged, killed) = (AtomicU64::new(0), DoneFlag::default());
    let (promised, appended) = thread::scope(|scope| {
        let appends = scope.spawn(|| {
            in_threads(|thread, n| {
                // The first half of the records comes before the kill, the other half around it.
                if n > RECORDS / 2 && killed.is_set() {
                    return None;
                }
                let record = record_of(thread, n);
                let lsn = append(&*log, &record);
                acknowledged.fetch_max(sync(&*log, lsn).0, Ordering::AcqRel);
                Some((lsn, record))
            })
        });
        let ends = killed.set_when_dropped();
        while acknowledged.load(Ordering::Acquire) < RECORDS && !appends.is_finished() {
            thread::yield_now();
        }
        let promised = Lsn(acknowledged.load(Ordering::Acquire));
        harness.kill();
        drop(ends);
        (promised, join_all([appends]).remove(0))
    });
    drop(log);

    let records: BTreeMap<_, _> = appended.into_iter().flatten().collect();
    let records: Vec<_> = records.into_values().collect();
    assert_holds_prefix(&*open(harness), &records, promised);
}

/// A reader that runs while threads append gives each record once, in order, and only when it is
/// durable.
pub fn l7_reader_while_threads_append(harness: &mut dyn LogHarness) {
    let log = open(harness);
    let appending = DoneFlag::default();
    let read = thread::scope(|scope| {
        let reading = scope.spawn(|| read_until(&*log, &appending));
        let ends = appending.set_when_dropped();
        in_threads(|thread, n| {
            let lsn = append(&*log, &record_of(thread, n));
            Some(sync(&*log, lsn))
        });
        drop(ends);
        join_all([reading]).remove(0)
    });
    assert_eq!(read.len() as u64, THREADS * RECORDS, "L7: the reader missed records");
    let mut next_of_thread = [0; THREADS as usize];
    for payload in read {
        let thread = payload[0];
        let n = &mut next_of_thread[usize::from(thread)];
        assert!(payload == record_of(thread.into(), *n), "L2: a record is not the one that was appended");
        *n += 1;
    }
}

fn record_of(thread: u64, n: u64) -> Vec<u8> {
    let mut record = vec![thread as u8];
    record.extend(payload(thread * RECORDS + n, n as usize * 13));
    record
}

/// Reads until nothing is left and nothing more will come.
fn read_until(log: &dyn Log, appending: &DoneFlag) -> Vec<Vec<u8>> {
    let mut reader = reader(log, Lsn::START);
    let mut payloads = Vec::new();
    loop {
        let nothing_more_comes = appending.is_set();
        while let Some(read) = next(&mut *reader) {
            let durable = log.bounds().durable;
            assert!(read.lsn <= durable, "L7: record {} was read, but only {durable} is durable", read.lsn);
            payloads.push(read.payload);
            assert_eq!(read.lsn, Lsn(payloads.len() as u64), "L7: a record was skipped or repeated");
        }
        if nothing_more_comes {
            return payloads;
        }
        thread::yield_now();
    }
}

/// Runs `work` in several threads, for each record number, and returns the results per thread.
fn in_threads<T: Send>(work: impl Fn(u64, u64) -> Option<T> + Sync) -> Vec<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let start = |thread| scope.spawn(move || (0..RECORDS).filter_map(|n| work(thread, n)).collect());
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        join_all(threads)
    })
}
