//! The basic calls of a log: appending, syncing, reading, reopening, trimming.

use std::sync::Arc;

use kv_core::{Durability, Epoch, Error, Log, Lsn};
use kv_wal::{Options, SegmentedLog, is_blank, verify};

use crate::support::{Disk, append, append_and_sync, assert_holds, read_after, read_all, record, small};

#[test]
fn records_come_back_after_a_kill_and_after_a_close() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    assert!(log.recovery().created);
    let id = log.id();
    append_and_sync(&log, 300);
    assert_holds(&log, 300);
    drop(log);

    let log = disk.open().unwrap();
    assert_eq!(log.id(), id);
    assert_eq!((log.recovery().sealed, log.recovery().last, &log.recovery().torn), (false, Lsn(300), &None));
    assert_holds(&log, 300);
    append_and_sync(&log, 100);
    log.close().unwrap();
    assert_holds(&log, 400);
    drop(log);

    let log = disk.open().unwrap();
    assert!(log.recovery().sealed);
    assert_holds(&log, 400);
    append_and_sync(&log, 1);
    drop(log);
    assert_eq!(verify(&*disk.vfs()).unwrap().len(), 0);
    assert_holds(&disk.open().unwrap(), 401);
}

#[test]
fn flushes_are_counted_with_the_sizes_of_their_groups() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    assert_eq!(log.flush_stats(), Default::default());
    for group in [1, 5, 2] {
        append(&log, group, Durability::Disk);
        let waiting = log.flush_stats().waiting_bytes;
        assert!((group * 30..(group + 1) * 200).contains(&waiting), "{waiting} bytes of {group} records");
        log.sync(log.bounds().appended).unwrap();
        log.sync(log.bounds().appended).unwrap(); // has nothing to flush
    }
    let stats = log.flush_stats();
    assert_eq!((stats.flushes, stats.records, stats.largest_group, stats.waiting_bytes), (3, 8, 5, 0));
    assert!(stats.longest.as_nanos() > 0 && stats.longest < stats.time);
}

#[test]
fn records_of_every_size_come_back() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    let sizes: Vec<usize> = (0..50).chain(3950..4150).chain([8191, 12_000, 16_000, 16_384, 70_000, 1 << 20]).collect();
    for round in 0..2 {
        for size in &sizes {
            let lsn = log.append(&vec![*size as u8; *size], Durability::Disk).unwrap();
            if size % 3 == round {
                log.sync(lsn).unwrap();
            }
        }
    }
    log.close().unwrap();
    drop(log);
    let log = disk.open().unwrap();
    let read = read_all(&log).unwrap();
    let expected: Vec<usize> = sizes.iter().chain(&sizes).copied().collect();
    assert_eq!(read.len(), expected.len());
    for ((_, bytes), size) in read.iter().zip(expected) {
        assert!(bytes.len() == size && bytes.iter().all(|byte| *byte == size as u8), "size {size}");
    }
}

#[test]
fn process_records_survive_a_kill_without_a_sync() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    for count in [1, 2, 200] {
        append(&log, count, Durability::Process);
        assert_eq!(log.bounds().written, log.bounds().appended);
    }
    assert_eq!(log.bounds().durable, Lsn(0));
    assert_eq!(read_all(&log).unwrap(), [], "not durable, not read");
    let copy = disk.copy();
    assert_holds(&copy.open().unwrap(), 203);
    log.sync(Lsn(203)).unwrap();
    assert_holds(&log, 203);
}

#[test]
fn disk_records_wait_and_process_records_behind_them_too() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    append_and_sync(&log, 1);
    append(&log, 1, Durability::Disk);
    append(&log, 1, Durability::Process);
    let bounds = log.bounds();
    assert_eq!((bounds.durable, bounds.written, bounds.appended), (Lsn(1), Lsn(1), Lsn(3)));
    assert_holds(&disk.copy().open().unwrap(), 1);
    assert_eq!(log.sync(Lsn(2)).unwrap(), Lsn(3), "they leave together");
    assert_holds(&disk.copy().open().unwrap(), 3);
}

#[test]
fn every_opening_that_writes_has_an_epoch_of_its_own() {
    let disk = Disk::new();
    let mut expected = Vec::new();
    for opening in 1..=6u64 {
        let log = disk.open().unwrap();
        assert_eq!(log.bounds().epoch, Epoch(opening));
        append_and_sync(&log, 2);
        expected.extend([opening, opening]);
        if opening % 2 == 0 {
            log.close().unwrap();
        }
    }
    let log = disk.open_with(Options { epoch_min: Epoch(40), ..small() }).unwrap();
    append_and_sync(&log, 1);
    expected.push(40);
    let mut reader = log.reader(Lsn::START).unwrap();
    for epoch in expected {
        assert_eq!(reader.next().unwrap().unwrap().epoch, Epoch(epoch));
    }
    drop(log);
    assert_eq!(disk.open().unwrap().bounds().epoch, Epoch(41));
}

#[test]
fn readers_go_on_where_they_were_and_begin_anywhere() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    let mut reader = log.reader(Lsn::START).unwrap();
    assert_eq!(reader.next().unwrap(), None);
    for lsn in 1..=200 {
        append_and_sync(&log, 1);
        assert_eq!(reader.next().unwrap().unwrap().payload, record(lsn));
        assert_eq!(reader.next().unwrap(), None);
    }
    append(&log, 3, Durability::Disk);
    let mut ahead = log.reader(Lsn(203)).unwrap();
    assert_eq!(ahead.next().unwrap(), None, "not durable yet");
    append_and_sync(&log, 1);
    assert_eq!(ahead.next().unwrap().unwrap().lsn, Lsn(204));
    for after in 0..=204 {
        let records = read_after(&log, Lsn(after)).unwrap();
        assert_eq!(records.len() as u64, 204 - after);
        assert!(records.first().is_none_or(|(lsn, bytes)| *lsn == after + 1 && *bytes == record(after + 1)));
    }
}

#[test]
fn a_trimmed_log_says_so_and_keeps_its_position() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    append_and_sync(&log, 900);
    let mut slow = log.reader(Lsn::START).unwrap();
    assert_eq!(slow.next().unwrap().unwrap().lsn, Lsn(1));
    let segments = disk.segments().len();
    log.trim(Lsn(450)).unwrap();
    let trimmed = log.bounds().trimmed;
    assert!(trimmed > Lsn(300) && trimmed <= Lsn(450), "{trimmed}");
    assert!(disk.segments().len() < segments);
    assert!(matches!(log.reader(Lsn(trimmed.0 - 1)), Err(Error::Trimmed { .. })));
    assert_holds(&log, 900);
    let end = loop {
        match slow.next() {
            Ok(Some(_)) => {}
            other => break other.map(|_| ()),
        }
    };
    assert!(matches!(end, Err(Error::Trimmed { .. })), "{end:?}");

    log.trim(Lsn(900)).unwrap();
    assert!(log.bounds().trimmed < Lsn(900), "the last segment stays");
    drop(log);
    let log = disk.open().unwrap();
    assert_eq!(log.bounds().appended, Lsn(900));
    append_and_sync(&log, 1);
    log.trim(Lsn(900)).unwrap();
    assert_eq!(log.bounds().trimmed, Lsn(900));
    assert_holds(&log, 901);
    drop(log);
    assert_holds(&disk.open().unwrap(), 901);
}

#[test]
fn segments_that_come_back_after_a_trim_are_harmless() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    append_and_sync(&log, 900);
    let before = disk.files();
    log.trim(Lsn(600)).unwrap();
    drop(log);
    let after = disk.files();
    let removed: Vec<_> = before.iter().filter(|(name, _)| !after.iter().any(|(kept, _)| kept == name)).collect();
    assert!(removed.len() > 3);
    // A crash may undo any of the removals. Here the newest removed segment stays away: with it,
    // the log would reach further back.
    for back in 0..1 << (removed.len() - 1).min(6) {
        disk.restore(&after);
        for (bit, (name, bytes)) in removed.iter().enumerate() {
            if back & 1 << bit != 0 {
                disk.write(name, bytes);
            }
        }
        let log = disk.open().unwrap();
        assert!(log.bounds().trimmed.0 > 450, "history before a gap must not count");
        assert_holds(&log, 900);
        log.trim(log.bounds().trimmed).unwrap();
        assert!(removed.iter().all(|(name, _)| !disk.segments().contains(name)), "the remains are removed");
    }
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    assert!(matches!(disk.open(), Err(Error::Locked { .. })));
    let reader = log.reader(Lsn::START).unwrap();
    drop(log);
    disk.open().unwrap();
    drop(reader);
}

#[test]
fn a_closed_log_takes_nothing_more_but_can_be_read() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    append(&log, 2, Durability::Disk);
    log.close().unwrap();
    log.close().unwrap();
    assert!(matches!(log.append(b"late", Durability::Disk), Err(Error::Closed)));
    assert_eq!(log.sync(Lsn(2)).unwrap(), Lsn(2));
    assert!(matches!(log.sync(Lsn(3)), Err(Error::Misuse(_))));
    assert_holds(&log, 2);
    log.trim(Lsn(2)).unwrap();
}

#[test]
fn a_record_that_is_too_large_is_refused_and_nothing_is_logged() {
    let disk = Disk::new();
    let log = disk.open_with(Options { record_bytes_max: 100, ..small() }).unwrap();
    assert!(matches!(log.append(&[0; 101], Durability::Disk), Err(Error::BatchTooLarge { bytes: 101, max: 100 })));
    assert_eq!(log.append(&[0; 100], Durability::Disk).unwrap(), Lsn(1));
}

#[test]
fn opening_reading_and_closing_write_no_file() {
    let disk = Disk::new();
    for close in [false, true] {
        let log = disk.open().unwrap();
        append_and_sync(&log, 100);
        let last = append(&log, 3, Durability::Process);
        if close {
            log.close().unwrap();
        }
        drop(log);
        let state = |disk: &Disk| -> Vec<_> {
            let modified = |name: &str| disk.file(name).metadata().unwrap().modified().unwrap();
            disk.files().into_iter().map(|(name, bytes)| (modified(&name), name, bytes)).collect()
        };
        let before = state(&disk);
        let log = disk.open().unwrap();
        assert!(!read_all(&log).unwrap().is_empty());
        log.close().unwrap();
        assert_eq!(log.sync(last).unwrap(), last, "the log is closed, and everything it found is durable");
        drop(log);
        verify(&*disk.vfs()).unwrap();
        disk.dump();
        assert!(!is_blank(&*disk.vfs()).unwrap());
        assert!(state(&disk) == before);
    }
}

#[test]
fn a_log_is_blank_until_something_is_written() {
    let disk = Disk::new();
    assert!(is_blank(&*disk.vfs()).unwrap());
    disk.open().unwrap().close().unwrap();
    assert!(is_blank(&*disk.vfs()).unwrap());
    let log = disk.open().unwrap();
    assert!(!log.recovery().created);
    append(&log, 1, Durability::Disk);
    assert!(is_blank(&*disk.vfs()).unwrap(), "the record waits in memory");
    log.sync(Lsn(1)).unwrap();
    assert!(!is_blank(&*disk.vfs()).unwrap());
    drop(log);
    for (name, _) in disk.files().into_iter().filter(|(name, _)| name.ends_with(".wal")) {
        std::fs::remove_file(disk.file(&name)).unwrap();
    }
    assert!(!is_blank(&*disk.vfs()).unwrap(), "the mark states a durable position");
    assert!(matches!(disk.open(), Err(Error::Corrupt { .. })));
}

#[test]
fn killed_again_and_again_a_log_stays_small() {
    let disk = Disk::new();
    for opening in 0..50 {
        let log =
            disk.open_with(Options { segment_bytes_max: 1 << 20, segment_bytes_min: 16 << 10, ..small() }).unwrap();
        assert_holds(&log, opening);
        append_and_sync(&log, 1);
    }
    let bytes: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 1_100_000, "{bytes}");
    let log = disk.open().unwrap();
    append_and_sync(&log, 1);
    log.trim(Lsn(50)).unwrap();
    assert_eq!(disk.segments().len(), 2, "the active one and a spare");
}

#[test]
fn medium_bytes_after_counts_only_the_records_after_the_position() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    assert_eq!(log.medium_bytes_after(Lsn::START), 0);
    for _ in 0..100 {
        append_and_sync(&log, 1);
    }
    let all = log.medium_bytes_after(Lsn::START);
    assert!((810_000..820_000).contains(&all), "each segment of four blocks has two records: {all}");
    let half = log.medium_bytes_after(Lsn(50));
    assert!((all * 4 / 10..all * 6 / 10).contains(&half), "{half} of {all}");
    assert_eq!(log.medium_bytes_after(Lsn(100)), 0);
}

#[test]
fn an_append_beyond_the_buffer_flushes_first() {
    let disk = Disk::new();
    let log = disk.open_with(Options { buffered_bytes_max: 10_000, ..small() }).unwrap();
    for _ in 0..20 {
        log.append(&[7; 1000], Durability::Disk).unwrap();
    }
    assert!(log.bounds().durable >= Lsn(9), "{:?}", log.bounds());
}

#[test]
fn a_record_larger_than_the_buffer_gets_exactly_one_new_segment() {
    for durability in [Durability::Disk, Durability::Process] {
        let disk = Disk::new();
        let log = disk.open_with(Options { buffered_bytes_max: 8 << 10, ..small() }).unwrap();
        append(&log, 3, Durability::Disk);
        for bytes in [20 << 10, 100 << 10, 9 << 10] {
            let lsn = log.append(&vec![7; bytes], durability).unwrap();
            log.sync(lsn).unwrap();
        }
        assert!(disk.segments().len() <= 6, "{:?}", disk.segments());
        drop(log);
        let sizes: Vec<_> =
            read_after(&disk.open().unwrap(), Lsn(3)).unwrap().iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(sizes, [20 << 10, 100 << 10, 9 << 10]);
    }
}

#[test]
fn default_options_prepare_segments_in_a_thread() {
    let disk = Disk::new();
    let log = Arc::new(SegmentedLog::open(disk.vfs(), Options::default()).unwrap());
    for _ in 0..40 {
        let lsn = log.append(&vec![1; 100_000], Durability::Disk).unwrap();
        log.sync(lsn).unwrap();
    }
    log.close().unwrap();
    assert_eq!(read_all(&log).unwrap().len(), 40);
}
