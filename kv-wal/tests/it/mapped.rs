//! Segments that are written through a map.

use std::{fs, thread};

use kv_core::{Durability, Log, Lsn};
use kv_testkit::kernel::{changed_bytes, copies_through_maps, mapped_files};
use kv_wal::Options;

use crate::support::{Disk, small};

/// How many segments of the log this process has mapped.
fn maps(disk: &Disk) -> usize {
    mapped_files(disk.path()).len()
}

#[test]
fn only_the_segments_in_use_are_mapped() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    for n in 0..1000 {
        log.append(&[n as u8; 100], Durability::Process).unwrap();
        // The last flush was two segments ago at most.
        if n % 100 == 0 {
            log.sync(Lsn(n + 1)).unwrap();
        }
        assert!(maps(&disk) <= 3, "record {n}");
    }
    assert_eq!(maps(&disk) > 0, copies_through_maps(Disk::new().path()));
}

/// The blocks of other segments may be larger units in memory, and may have no space on the disk.
#[test]
fn no_segment_is_mapped_that_another_opening_has_made() {
    let disk = Disk::new();
    let open =
        || disk.open_with(Options { segment_bytes_min: 64 << 10, segment_bytes_max: 64 << 10, ..small() }).unwrap();
    let log = open();
    log.append(b"one", Durability::Process).unwrap();
    log.close().unwrap();
    drop(log);
    let segment = |number: u64| disk.path().join(format!("{number:016x}.wal"));
    for number in [1, 2] {
        let log = open(); // it continues behind the seal, and then, after a kill, in the spare
        log.append(b"more", Durability::Process).unwrap();
        let bytes = fs::read(segment(number)).unwrap();
        assert!(bytes.windows(4).any(|bytes| bytes == b"more"), "the record is in segment {number}");
        assert_eq!(maps(&disk), 0, "segment {number}");
        while !segment(number + 1).exists() {
            thread::yield_now(); // until there is a spare
        }
    }
}

/// No block that holds a flushed byte is written again when the next record is copied.
#[test]
fn a_flush_writes_its_own_blocks() {
    let disk = Disk::new();
    let options = Options { segment_bytes_min: 4 << 20, ..Options::default() };
    let log = disk.open_with(options).unwrap();
    let mut last = Lsn::START;
    // The first segment was made when the log was created, and is written by calls.
    while maps(&disk) == 0 && last < Lsn(100) {
        log.append(&[1; 100_000], Durability::Process).unwrap();
        last = log.append(b"short", Durability::Process).unwrap();
    }
    log.sync(last).unwrap();
    let (true, Some(mut before)) = (maps(&disk) > 0, changed_bytes()) else {
        return; // on this file system no map is made
    };
    for n in 0..100_u64 {
        let lsn = log.append(&[n as u8; 100], Durability::Process).unwrap();
        let after = log.sync(lsn).map(|_| changed_bytes().unwrap()).unwrap();
        let (block, mark) = (4096, 4096);
        assert!(after - before <= block + mark, "record {n}: {} bytes", after - before);
        before = after;
    }
}

#[test]
fn no_segment_is_mapped_if_the_options_say_so() {
    let disk = Disk::new();
    let log = disk.open_with(Options { map_segments: false, ..small() }).unwrap();
    log.append(b"one", Durability::Process).unwrap();
    assert_eq!(maps(&disk), 0);
}

#[test]
fn no_segment_is_mapped_for_records_that_are_flushed() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    for n in 0..10 {
        let lsn = log.append(&[n; 100], Durability::Disk).unwrap();
        log.sync(lsn).unwrap();
    }
    log.close().unwrap();
    assert_eq!(maps(&disk), 0);
}

/// Pages that are mapped stay in memory when the next opening drops the page cache.
#[test]
fn a_reader_that_outlives_the_log_keeps_no_map() {
    for is_closed in [false, true] {
        let disk = Disk::new();
        let log = disk.open().unwrap();
        let last = (0..300).map(|n| log.append(&[n as u8; 100], Durability::Process).unwrap()).last().unwrap();
        log.sync(last).unwrap();
        let mut reader = log.reader(Lsn::START).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().lsn, Lsn(1));
        if is_closed {
            log.close().unwrap();
        }
        drop(log);
        assert_eq!(maps(&disk), 0);
        let rest = (2..=last.0).all(|n| reader.next().unwrap().is_some_and(|record| record.lsn == Lsn(n)));
        assert!(rest && reader.next().unwrap().is_none());
    }
}
