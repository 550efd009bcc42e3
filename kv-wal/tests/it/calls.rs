//! How many operations on the disk each call costs: one too many is as wrong as one too few.

use std::{
    sync::{Arc, Barrier},
    thread,
};

use kv_core::{Durability, Log, Lsn};
use kv_testkit::vfs::{Kind, TestVfs};
use kv_wal::{Options, SegmentedLog};

use crate::{
    memory::{Files, MemoryVfs},
    support::{Disk, append, append_and_sync, assert_holds, small},
};

/// The operations on the disk since the last call, one on each line, without offsets.
fn calls(vfs: &TestVfs) -> String {
    let trace = vfs.take_trace();
    let without_place = |line: &str| match line.split_once(' ') {
        Some(("write", rest)) => format!("write {}\n", rest.split(' ').next().unwrap()),
        _ => format!("{line}\n"),
    };
    trace.lines().map(without_place).collect()
}

fn name(number: u64) -> String {
    format!("{number:016x}.wal")
}

fn write(number: u64) -> String {
    format!("write {}\n", name(number))
}

fn sync(number: u64) -> String {
    format!("sync {}\n", name(number))
}

const SYNC_DIRECTORY: &str = "sync directory\n";
const MARK: &str = "write MARK\n";
/// The start of an opening's first write: its epoch in both slots of the mark, made durable.
const BEGIN: &str = "write MARK\nwrite MARK\nsync MARK\nsync directory\n";

fn open() -> (Arc<TestVfs>, SegmentedLog) {
    let vfs = TestVfs::new(MemoryVfs::new(&Files::new()));
    let log = SegmentedLog::open(vfs.clone(), Options { segment_bytes_max: 64 << 10, ..small() }).unwrap();
    (vfs, log)
}

/// How a new segment is prepared: filled, synced, renamed, the directory synced.
fn preparation(number: u64) -> String {
    let fill = "create segment.tmp\nwrite segment.tmp\nwrite segment.tmp\nsync segment.tmp\n";
    format!("{fill}rename segment.tmp {}\n{SYNC_DIRECTORY}", name(number))
}

#[test]
fn a_disk_record_costs_one_write_one_flush_and_one_mark() {
    let (vfs, log) = open();
    append_and_sync(&log, 1);
    calls(&vfs);
    append(&log, 1, Durability::Disk);
    assert_eq!(calls(&vfs), "");
    log.sync(Lsn(2)).unwrap();
    assert_eq!(calls(&vfs), [write(1), sync(1), MARK.to_owned()].concat());
    log.sync(Lsn(1)).unwrap();
    log.sync(Lsn(2)).unwrap();
    assert_eq!(calls(&vfs), "", "the records are durable already");
}

#[test]
fn process_records_cost_one_write_each_and_one_flush_together() {
    let (vfs, log) = open();
    append_and_sync(&log, 1);
    calls(&vfs);
    append(&log, 3, Durability::Process);
    assert_eq!(calls(&vfs), [write(1), write(1), write(1)].concat());
    log.sync(Lsn(4)).unwrap();
    assert_eq!(calls(&vfs), [write(1), sync(1), MARK.to_owned()].concat(), "the padding closes the block");
}

#[test]
fn many_records_leave_as_one_group() {
    let (vfs, log) = open();
    append_and_sync(&log, 1);
    calls(&vfs);
    append(&log, 100, Durability::Disk);
    append(&log, 1, Durability::Process);
    assert_eq!(calls(&vfs), "");
    log.sync(Lsn(50)).unwrap();
    assert_eq!(calls(&vfs), [write(1), sync(1), MARK.to_owned()].concat());
    assert_eq!(log.bounds().durable, Lsn(102));
}

#[test]
fn a_group_over_two_segments_flushes_the_older_one_first() {
    let (vfs, log) = open();
    append_and_sync(&log, 1);
    calls(&vfs);
    for _ in 0..2 {
        log.append(&[1; 30_000], Durability::Disk).unwrap();
    }
    assert_eq!(calls(&vfs), preparation(3), "the next spare, once the last one is used");
    log.sync(Lsn(3)).unwrap();
    assert_eq!(calls(&vfs), [write(1), write(2), sync(1), sync(2), MARK.to_owned()].concat());
}

#[test]
fn the_first_record_uses_what_creation_made_and_only_then_a_spare_is_prepared() {
    let (vfs, log) = open();
    assert_eq!(calls(&vfs), preparation(1));
    append(&log, 1, Durability::Process);
    assert_eq!(calls(&vfs), ["create MARK\n", BEGIN, &write(1), &preparation(2)].concat());
}

#[test]
fn the_epoch_is_durable_in_both_slots_of_the_mark_before_anything_is_written_behind_a_seal() {
    let (vfs, log) = open();
    append_and_sync(&log, 1);
    calls(&vfs);
    log.close().unwrap();
    assert_eq!(calls(&vfs), [&write(1), &sync(1), "sync MARK\n"].concat(), "the mark is synced behind the seal");
    drop(log);
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    log.close().unwrap();
    drop(log);
    assert_eq!(calls(&vfs), [sync(1)].concat(), "the seal may be in memory only");
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    calls(&vfs);
    append(&log, 1, Durability::Process);
    assert_eq!(calls(&vfs), [BEGIN, &write(1)].concat());
}

#[test]
fn a_trim_removes_oldest_first_and_syncs_the_directory_once() {
    let (vfs, log) = open();
    for _ in 0..4 {
        log.append(&[1; 50_000], Durability::Disk).unwrap();
    }
    log.sync(Lsn(4)).unwrap();
    calls(&vfs);
    log.trim(Lsn(2)).unwrap();
    assert_eq!(
        calls(&vfs),
        [format!("remove {}\n", name(1)), format!("remove {}\n", name(2)), SYNC_DIRECTORY.to_owned()].concat()
    );
    log.trim(Lsn(2)).unwrap();
    assert_eq!(calls(&vfs), "");
}

#[test]
fn a_position_that_was_recovered_is_marked_before_a_sync_returns_it() {
    let (vfs, log) = open();
    append(&log, 3, Durability::Process);
    drop(log);
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    calls(&vfs);
    assert_eq!(log.sync(Lsn(3)).unwrap(), Lsn(3));
    assert_eq!(calls(&vfs), BEGIN);
}

#[test]
fn threads_share_a_flush() {
    const THREADS: u64 = 8;
    const RECORDS: u64 = 50;
    let disk = Disk::new();
    let vfs = TestVfs::new(disk.vfs());
    let log = SegmentedLog::open(vfs.clone(), Options { segment_bytes_max: 1 << 20, ..small() }).unwrap();
    let barrier = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, barrier) = (&log, &barrier);
            scope.spawn(move || {
                for round in 0..RECORDS {
                    barrier.wait();
                    let durability = if thread == 0 { Durability::Process } else { Durability::Disk };
                    let lsn = log.append(&[thread as u8, round as u8], durability).unwrap();
                    assert!(log.sync(lsn).unwrap() >= lsn);
                    assert!(log.bounds().durable >= lsn);
                }
            });
        }
    });
    let flushes = vfs.count(Kind::Sync);
    assert!(flushes < THREADS * RECORDS / 2, "{flushes} flushes for {} records", THREADS * RECORDS);
    drop(log);
    let log = disk.open().unwrap();
    let mut reader = log.reader(Lsn::START).unwrap();
    let mut rounds = [0; THREADS as usize];
    while let Some(record) = reader.next().unwrap() {
        let round = &mut rounds[record.payload[0] as usize];
        assert_eq!(record.payload[1], *round, "the records of each thread are in order");
        *round += 1;
    }
    assert_eq!(rounds, [RECORDS as u8; THREADS as usize]);
}

#[test]
fn readers_follow_writers() {
    let disk = Disk::new();
    let log = disk.open_with(Options { segment_bytes_max: 64 << 10, ..Options::default() }).unwrap();
    thread::scope(|scope| {
        for reader in 0..3 {
            let log = &log;
            scope.spawn(move || {
                let mut records = log.reader(Lsn::START).unwrap();
                for lsn in 1..=1000 {
                    loop {
                        if let Some(record) = records.next().unwrap() {
                            assert_eq!(
                                (record.lsn.0, record.payload),
                                (lsn, &*crate::support::record(lsn)),
                                "{reader}"
                            );
                            break;
                        }
                        thread::yield_now();
                    }
                }
            });
        }
        for lsn in 1..=1000 {
            append(&log, 1, if lsn % 3 == 0 { Durability::Disk } else { Durability::Process });
            if lsn % 5 == 0 {
                log.sync(Lsn(lsn)).unwrap();
            }
        }
    });
    assert_holds(&log, 1000);
}
