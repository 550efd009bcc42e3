//! A disk with little room: short segments, the spare given up, room kept free, long segments left.

use std::io::ErrorKind;

use kv_core::{Durability, Error, Log, Lsn};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Fault, Kind},
};
use kv_wal::{Options, SegmentedLog};

use crate::support::{append, append_and_sync, assert_holds, read_all, small};

const KIB: u64 = 1 << 10;

fn open_with(disk: &SimDisk, options: Options) -> SegmentedLog {
    SegmentedLog::open(disk.vfs(), options).unwrap()
}

/// Segments of 1 MiB.
fn long() -> Options {
    Options { segment_bytes_max: 1 << 20, ..small() }
}

fn free(disk: &SimDisk) -> u64 {
    disk.vfs().space().unwrap().free
}

fn segment_bytes(disk: &SimDisk) -> Vec<u64> {
    disk.file_bytes().into_iter().filter(|(path, _)| path.ends_with(".wal")).map(|(_, bytes)| bytes).collect()
}

#[test]
fn a_short_segment_is_made_where_a_long_one_does_not_fit() {
    let disk = SimDisk::new(0);
    let log = open_with(&disk, long());
    append_and_sync(&log, 1);
    disk.limit_space(disk.space_bytes() + 300 * KIB);
    let count = (2 * KIB + 200) * KIB / 4096; // the active segment, the spare and most of the rest, a block each
    for _ in 0..count {
        append_and_sync(&log, 1);
    }
    assert!(segment_bytes(&disk).contains(&(256 * KIB)), "{:?}", segment_bytes(&disk));
    assert!(free(&disk) < 32 * KIB, "what is left is used as well: {}", free(&disk));
    drop(log);
    assert_holds(&open_with(&disk, long()), count + 1);
}

/// A log with a spare of 16 KiB, on a disk in which a record of 24,000 bytes fits only in place of
/// the spare.
fn tight() -> (SimDisk, SegmentedLog) {
    let disk = SimDisk::new(1);
    let log = open_with(&disk, small());
    append_and_sync(&log, 1);
    assert_eq!(segment_bytes(&disk), [16 * KIB; 2]);
    disk.limit_space(disk.space_bytes() + 24 * KIB);
    (disk, log)
}

#[test]
fn a_spare_that_is_too_small_is_given_up_if_that_makes_the_room() {
    let (disk, log) = tight();
    disk.record();
    let lsn = log.append(&[7; 24_000], Durability::Disk).unwrap();
    assert_eq!(log.sync(lsn).unwrap(), lsn);
    for moment in disk.take_recording() {
        for cut in 0..12 {
            let left = open_with(&moment.disk.power_cut(cut), small());
            assert!(left.bounds().durable >= Lsn(1), "{}", moment.next);
            append_and_sync(&left, 2);
        }
    }
    drop(log);
    assert_eq!(read_all(&open_with(&disk, small())).unwrap()[1].1, [7; 24_000]);
}

/// The numbers of segments must have no gap: that is how a lost segment looks.
#[test]
fn the_next_segment_takes_the_number_of_a_spare_that_was_given_up() {
    let (disk, log) = tight();
    // The first attempts find no room. The one after the spare was given up fails in its last step.
    disk.fail(Fault::on(Kind::Rename).with(ErrorKind::StorageFull));
    assert!(matches!(log.append(&[7; 24_000], Durability::Disk), Err(Error::DiskFull { .. })));
    assert_eq!(segment_bytes(&disk).len(), 1, "it was given up");
    disk.heal();
    log.make_room(6000, 0).unwrap(); // makes a spare, and does not begin it
    drop(log);
    let log = open_with(&disk, small());
    append_and_sync(&log, 20);
    drop(log);
    assert_holds(&open_with(&disk, small()), 21);
}

#[test]
fn segments_leave_free_what_is_kept_back() {
    let disk = SimDisk::new(2);
    let log = open_with(&disk, long());
    append_and_sync(&log, 1);
    disk.limit_space(disk.space_bytes() + 4096 * KIB);
    let kept = 3000 * KIB;
    let refusal = loop {
        match log.make_room(100, kept) {
            Ok(()) => drop(append_and_sync(&log, 1)),
            Err(refusal) => break refusal,
        }
        assert!(free(&disk) >= kept, "{}", free(&disk));
    };
    assert!(matches!(refusal, Error::DiskFull { .. }), "{refusal}");
    assert!(free(&disk) < kept + 32 * KIB, "short segments were tried: {}", free(&disk));
    // Less is kept back for what frees the log.
    log.make_room(100, kept - 100 * KIB).unwrap();
    let last = append(&log, 1, Durability::Disk);
    assert_eq!(log.sync(last).unwrap(), last);
}

#[test]
fn room_is_asked_for_without_writing_anything_to_the_log() {
    let disk = SimDisk::new(3);
    let log = open_with(&disk, small());
    append_and_sync(&log, 1);
    log.close().unwrap();
    drop(log);
    let log = open_with(&disk, small());
    disk.take_trace();
    log.make_room(100, 0).unwrap();
    log.make_room(100_000, 0).unwrap();
    assert_eq!(disk.take_trace(), "");
}

#[test]
fn a_long_segment_is_left_when_the_log_holds_little() {
    let disk = SimDisk::new(4);
    let options = Options { segment_bytes_min: 16 * KIB, segment_bytes_max: 1 << 20, ..small() };
    let log = open_with(&disk, options.clone());
    for _ in 0..500 {
        append_and_sync(&log, 1);
    }
    assert!(disk.space_bytes() > 3 << 20, "{:?}", segment_bytes(&disk));
    disk.record();
    log.trim(Lsn(500)).unwrap();
    assert!(disk.space_bytes() < 128 * KIB, "{:?}", segment_bytes(&disk));
    for moment in disk.take_recording() {
        for cut in 0..12 {
            let left = open_with(&moment.disk.power_cut(cut), options.clone());
            assert_eq!(left.bounds().durable, Lsn(500), "{}", moment.next);
            assert_eq!(append_and_sync(&left, 1), Lsn(501));
        }
    }
    append_and_sync(&log, 3);
    drop(log);
    let log = open_with(&disk, options);
    assert_eq!(log.bounds().trimmed, Lsn(500));
    assert_holds(&log, 503);
}

/// A deletion may take of what is kept, and leaves nothing of that to other records.
#[test]
fn a_segment_for_deletions_takes_no_other_records() {
    let disk = SimDisk::new(5);
    let log = open_with(&disk, long());
    append_and_sync(&log, 1);
    disk.limit_space(disk.space_bytes() + 1000 * KIB);
    let kept = 900 * KIB;
    while log.make_room(100, kept).is_ok() {
        append_and_sync(&log, 1);
    }
    let before = segment_bytes(&disk).len();
    assert!(matches!(log.make_room(100, kept), Err(Error::DiskFull { .. })));
    log.check_room(100, 100 * KIB).unwrap();
    assert!(matches!(log.check_room(100, 990 * KIB), Err(Error::DiskFull { .. })));
    assert_eq!(segment_bytes(&disk).len(), before, "what only looks makes no segment");

    let deletion = |kept| log.append_deletion(&[7; 100], Durability::Disk, kept).and_then(|lsn| log.sync(lsn));
    deletion(500 * KIB).unwrap();
    assert_eq!(segment_bytes(&disk).len(), before + 1);
    assert!(free(&disk) >= 500 * KIB, "{}", free(&disk));
    assert!(matches!(log.make_room(100, kept), Err(Error::DiskFull { .. })), "there is room in that segment");
    deletion(500 * KIB).unwrap(); // fits the same segment
    assert_eq!(segment_bytes(&disk).len(), before + 1);

    disk.limit_space(disk.space_bytes() + 2000 * KIB);
    log.make_room(100, kept).unwrap();
    append_and_sync(&log, 1);
}
