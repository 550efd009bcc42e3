//! A disk that copies on write, where zeroes written ahead reserve nothing. When it is full,
//! records are refused before they get a position, and the log goes on when there is space again.
//! And copies with holes, where there is no space to overwrite.

use std::thread;

use kv_core::{Durability, Error, Log};
use kv_testkit::sim::SimDisk;
use kv_wal::{Options, SegmentedLog};

use crate::support::{Disk, append_and_sync, assert_holds, read_all, record, small};

const PAGE_BYTES: u64 = 4096;

fn disk() -> SimDisk {
    let disk = SimDisk::new(0);
    disk.copy_on_write();
    disk
}

fn open(disk: &SimDisk) -> SegmentedLog {
    SegmentedLog::open(disk.vfs(), small()).unwrap()
}

/// Appends and syncs until a record is refused, which must be for lack of space. Returns how many
/// records the log has then.
fn fill(log: &SegmentedLog, durability: Durability) -> u64 {
    loop {
        let next = log.bounds().appended.next();
        match log.append(&record(next.0), durability) {
            Ok(lsn) => {
                assert!(log.sync(lsn).is_ok_and(|durable| durable >= lsn), "{lsn:?} has a position but no space");
            }
            Err(Error::DiskFull { .. }) => return next.0 - 1,
            Err(error) => panic!("record {next:?}: {}", error.chain()),
        }
    }
}

#[test]
fn a_full_disk_that_copies_on_write_refuses_before_a_record_has_a_position() {
    for (round, durability) in [Durability::Disk, Durability::Process].into_iter().cycle().take(40).enumerate() {
        let disk = disk();
        let log = open(&disk);
        let before = append_and_sync(&log, 3);
        // Another program takes the space. Each round leaves a different amount.
        disk.limit_space(disk.space_bytes() + round as u64 * 7 * PAGE_BYTES);
        let last = fill(&log, durability);
        assert!(last >= before.0);
        assert_holds(&log, last);

        disk.limit_space(u64::MAX);
        append_and_sync(&log, 2);
        log.close().unwrap();
        drop(log);
        assert_holds(&open(&disk), last + 2);
    }
}

#[test]
fn an_opening_on_a_full_disk_that_copies_on_write_reads_and_refuses() {
    for is_closed in [true, false] {
        let disk = disk();
        // A segment with room behind the seal. The log would continue in it if it were overwritten
        // in place.
        let options = Options { segment_bytes_max: 64 << 10, ..small() };
        let log = SegmentedLog::open(disk.vfs(), options).unwrap();
        let last = append_and_sync(&log, 3);
        if is_closed {
            log.close().unwrap();
        }
        drop(log);
        disk.limit_space(disk.space_bytes());
        let log = open(&disk);
        assert_eq!(fill(&log, Durability::Disk), last.0);
        assert_holds(&log, last.0);
        disk.limit_space(u64::MAX);
        append_and_sync(&log, 2);
        assert_holds(&log, last.0 + 2);
    }
}

/// On a file system that overwrites in place, the space that was written ahead is used up to the
/// last block.
#[test]
fn a_full_disk_that_overwrites_in_place_uses_up_the_space_written_ahead() {
    let disk = SimDisk::new(0);
    let log = open(&disk);
    append_and_sync(&log, 1);
    disk.limit_space(disk.space_bytes());
    let last = fill(&log, Durability::Disk);
    assert!(last > 3, "only {last} records in two segments of four blocks");
    assert_holds(&log, last);
}

/// Records of almost two pages, and of slightly more than one. Each round leaves a different number
/// of pages free.
#[test]
fn the_space_that_a_group_takes_beyond_its_records_stays_free() {
    for (pages, bytes) in (0..80).flat_map(|pages| [(pages, 8000), (pages, 4100)]) {
        let disk = disk();
        let log = open(&disk);
        append_and_sync(&log, 1);
        disk.limit_space(disk.space_bytes() + pages * PAGE_BYTES);
        match log.append(&vec![1; bytes], Durability::Disk) {
            Ok(lsn) => assert!(log.sync(lsn).is_ok(), "{bytes} bytes have a position, with {pages} pages free"),
            Err(Error::DiskFull { .. }) => {}
            Err(error) => panic!("{bytes} bytes, with {pages} pages free: {}", error.chain()),
        }
    }
}

/// Where a copy of a log has holes, a record would need new space after it has got its position. A
/// program that copies files may leave out what is zero.
#[test]
fn a_sparse_copy_is_continued_in_new_segments() {
    let original = Disk::new();
    let options = || Options { segment_bytes_min: 64 << 10, segment_bytes_max: 64 << 10, ..small() };
    let log = original.open_with(options()).unwrap();
    log.append(b"one", Durability::Disk).unwrap();
    while original.segments().len() < 2 {
        thread::yield_now(); // until there is a spare
    }
    log.close().unwrap();
    drop(log);
    for (is_sparse, continued) in [(false, 1), (true, 3)] {
        let copy = original.copy();
        if is_sparse {
            original.files().iter().for_each(|(name, bytes)| write_sparsely(&copy, name, bytes));
        }
        let log = copy.open_with(options()).unwrap();
        log.append(b"more", Durability::Process).unwrap();
        let holding = copy.files().into_iter().find(|(_, bytes)| bytes.windows(4).any(|bytes| bytes == b"more"));
        assert_eq!(holding.unwrap().0, format!("{continued:016x}.wal"), "sparse: {is_sparse}");
        log.sync(log.bounds().appended).unwrap();
        let read: Vec<_> = read_all(&log).unwrap().into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(read, [&b"one"[..], b"more"]);
    }
}

fn write_sparsely(disk: &Disk, name: &str, bytes: &[u8]) {
    let vfs = disk.vfs();
    vfs.remove(name).unwrap();
    let file = vfs.create(name).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (block, at) in bytes.chunks(4096).zip((0..).step_by(4096)) {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, at).unwrap();
        }
    }
}
