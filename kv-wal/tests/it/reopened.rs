//! What an opening may believe of what an earlier one left: in memory only, behind a seal, or in a
//! spare.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use kv_core::{Durability, Error, Log, Lsn, Result};
use kv_testkit::{
    ManualScheduler,
    sim::{CrashChoice, CrashModel, SimDisk, Survivors},
    vfs::{Fault, Kind},
};
use kv_wal::{Options, SegmentedLog, verify};

use crate::support::{Disk, read_all, small};

/// The job never runs, so a spare is prepared only when an append needs one.
fn without_spares(segment_bytes: u64) -> Options {
    let scheduler = Arc::new(ManualScheduler::new());
    Options { segment_bytes_min: segment_bytes, segment_bytes_max: segment_bytes, scheduler, ..small() }
}

fn open(disk: &SimDisk, segment_bytes: u64) -> Result<SegmentedLog> {
    SegmentedLog::open(disk.vfs(), without_spares(segment_bytes))
}

fn put(log: &SegmentedLog, record: &[u8]) {
    let lsn = log.append(record, Durability::Disk).unwrap();
    log.sync(lsn).unwrap();
}

/// A closed log of one record, whose seal lies in the last block of its segment.
fn sealed_at_the_end(disk: &Disk) {
    let log = disk.open_with(without_spares(16 << 10)).unwrap();
    put(&log, &[b'a'; 4096 + 2000]);
    log.close().unwrap();
}

/// Zeroes block 1 of segment 2, as a power cut may leave it.
fn lose_first_block(disk: &Disk) {
    let name = "0000000000000002.wal";
    let mut bytes = std::fs::read(disk.file(name)).unwrap();
    bytes[4096..8192].fill(0);
    disk.write(name, &bytes);
}

#[test]
fn what_a_power_cut_left_in_the_segment_after_a_seal_is_never_taken_for_new() {
    let disk = Disk::new();
    sealed_at_the_end(&disk);
    let log = disk.open_with(without_spares(16 << 10)).unwrap();
    log.append(&[b'O'; 3984], Durability::Process).unwrap(); // fills block 1
    log.append(b"OLD", Durability::Process).unwrap(); // begins block 2
    drop(log);
    lose_first_block(&disk);

    let log = disk.open_with(without_spares(16 << 10)).unwrap();
    put(&log, b"new");
    let expected = read_all(&log).unwrap();
    assert_eq!(expected.len(), 2);
    drop(log);
    assert_eq!(read_all(&disk.open().unwrap()).unwrap(), expected);
}

/// The log must not continue in place where a torn tail was truncated. Otherwise the remains of the
/// tail would follow the new records as if they had been written later.
#[test]
fn what_was_cut_off_does_not_come_back_behind_new_records() {
    let disk = Disk::new();
    let log = disk.open_with(without_spares(64 << 10)).unwrap();
    put(&log, b"first");
    log.append(&[b'x'; 2 * 4096 - 40], Durability::Process).unwrap(); // fills blocks 2 and 3
    log.append(b"void", Durability::Process).unwrap(); // begins block 4
    drop(log);
    let name = "0000000000000001.wal";
    let mut bytes = std::fs::read(disk.file(name)).unwrap();
    bytes[2 * 4096..4 * 4096].fill(0); // as a power cut may leave it
    disk.write(name, &bytes);

    let log = disk.open_with(without_spares(64 << 10)).unwrap();
    put(&log, b"second");
    drop(log);
    let log = disk.open_with(without_spares(64 << 10)).unwrap();
    assert_eq!(read_all(&log).unwrap(), [(1, b"first".to_vec()), (2, b"second".to_vec())]);
}

#[test]
fn records_after_a_seal_are_not_hidden_when_the_block_before_them_is_gone() {
    let disk = Disk::new();
    sealed_at_the_end(&disk);
    let log = disk.open_with(without_spares(16 << 10)).unwrap();
    put(&log, b"first");
    put(&log, b"second");
    drop(log);
    disk.write("MARK", &[]); // a power cut may tear both slots
    lose_first_block(&disk);
    assert_eq!(verify(&*disk.vfs()).unwrap().len(), 1);
    assert!(matches!(disk.open(), Err(Error::Corrupt { .. })));
}

#[test]
fn a_seal_that_is_in_memory_only_is_none() {
    let disk = SimDisk::new(1);
    let log = open(&disk, 64 << 10).unwrap();
    put(&log, b"one");
    disk.fail(Fault::on(Kind::Sync).of(".wal").forgetful());
    assert!(log.close().is_err());
    drop(log);

    let log = open(&disk, 64 << 10).unwrap();
    assert!(!log.recovery().sealed);
    put(&log, b"two");
    put(&log, b"three");
    let cut = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
    let log = open(&cut, 64 << 10).unwrap();
    assert_eq!(log.bounds().durable, Lsn(3));
}

#[test]
fn a_start_frame_that_is_in_memory_only_refuses_nothing() {
    let disk = SimDisk::new(1);
    let log = open(&disk, 16 << 10).unwrap();
    put(&log, &[1; 4000]);
    let lsn = log.append(&[2; 6000], Durability::Disk).unwrap(); // in the next segment
    disk.fail(Fault::on(Kind::Sync).of(".wal").forgetful().for_ever());
    assert!(matches!(log.sync(lsn), Err(Error::OutcomeUnknown { .. })));
    drop(log);
    disk.heal();

    let log = open(&disk, 16 << 10).unwrap();
    assert_eq!(log.bounds().durable, Lsn(1));
    put(&log, b"two");
    assert_eq!(read_all(&log).unwrap().len(), 2);
}

#[test]
fn a_panic_in_the_file_layer_poisons_the_log_and_no_thread_hangs() {
    for durability in [Durability::Process, Durability::Disk] {
        let disk = SimDisk::new(1);
        let log = Arc::new(open(&disk, 64 << 10).unwrap());
        put(&log, b"one");
        disk.fail(Fault::when(|event| {
            assert!(event.kind != Kind::Write, "a bug in the file layer");
            false
        }));
        let first = Arc::clone(&log);
        let _ = thread::spawn(move || first.append(b"two", durability).and_then(|lsn| first.sync(lsn))).join();
        let (tell, told) = mpsc::channel();
        let second = Arc::clone(&log);
        thread::spawn(move || tell.send(second.append(b"three", Durability::Disk).and_then(|lsn| second.sync(lsn))));
        let answer = told.recv_timeout(Duration::from_secs(20)).expect("the thread hangs");
        assert!(matches!(answer, Err(Error::Poisoned { .. } | Error::OutcomeUnknown { .. })), "{answer:?}");
    }
}

/// A process is killed at any operation, the next one acknowledges a record, and then the power is
/// cut. What the first process left half done, such as a segment whose name is in memory only, must
/// not take the record with it.
#[test]
fn half_done_work_of_a_killed_process_is_finished_before_anything_is_acknowledged() {
    let work = |disk: &SimDisk| -> Result<()> {
        let log = SegmentedLog::open(disk.vfs(), small())?;
        for _ in 0..6 {
            let lsn = log.append(&[1; 3000], Durability::Disk)?;
            log.sync(lsn)?;
        }
        Ok(())
    };
    let whole = SimDisk::new(1);
    work(&whole).unwrap();
    assert!(whole.operations() > 40, "{}", whole.operations());
    for stop in 0..whole.operations() {
        let disk = SimDisk::new(1);
        disk.stop_at(stop);
        work(&disk).unwrap_err();
        disk.heal();
        let log = open(&disk, 16 << 10).unwrap();
        let lsn = log.append(b"acknowledged", Durability::Disk).unwrap();
        log.sync(lsn).unwrap();
        for model in [CrashModel::Ext4, CrashModel::Xfs, CrashModel::Posix] {
            let cut = disk.crash(&CrashChoice { model, survivors: Survivors::Nothing });
            let log = SegmentedLog::open(cut.vfs(), small()).unwrap();
            let records = read_all(&log).unwrap();
            assert_eq!(records.last().unwrap(), &(lsn.0, b"acknowledged".to_vec()), "stopped at {stop}, then {model}");
        }
    }
}
