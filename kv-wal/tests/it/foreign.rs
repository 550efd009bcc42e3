//! A second log on the same files, which no lock keeps out, and a directory that is removed or
//! replaced: the log notices both where it continues in a new place, and that is final.

use std::fs;

use kv_core::{Durability, Error, Log, Result};
use kv_testkit::fork;
use kv_wal::{Options, SegmentedLog};

use crate::support::{Disk, append, append_and_sync, assert_holds, record};

/// Opens a second log on the same directory, as through a mount that does not pass locks on.
fn another(disk: &Disk) -> SegmentedLog {
    fs::remove_file(disk.file("LOCK")).unwrap();
    disk.open().unwrap()
}

/// Writes until an append or sync is refused.
fn fill(log: &SegmentedLog) -> Error {
    let refused = || -> Result<()> {
        for _ in 0..100 {
            let lsn = log.append(&record(log.bounds().appended.0 + 1), Durability::Disk)?;
            log.sync(lsn)?;
        }
        Ok(())
    };
    refused().unwrap_err()
}

#[track_caller]
fn is_fenced(log: &SegmentedLog, error: &Error) {
    assert!(matches!(error, Error::Poisoned { cause } if matches!(**cause, Error::Fenced)), "{error:?}");
    let again = log.append(b"x", Durability::Disk).unwrap_err();
    assert!(matches!(again, Error::Poisoned { .. }), "the failure is not final: {again:?}");
}

#[test]
fn another_that_began_the_spare_is_noticed() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    append_and_sync(&log, 1); // prepares a spare
    let other = another(&disk);
    append_and_sync(&other, 3);
    let error = fill(&log);
    is_fenced(&log, &error);
    drop(log);
    append_and_sync(&other, 20);
    other.close().unwrap();
    drop(other);
    assert_holds(&disk.open().unwrap(), 24);
}

#[test]
fn another_that_created_segments_is_noticed() {
    let disk = Disk::new();
    // The job never runs, so an append prepares a spare only when it needs one.
    let lazy =
        || Options { scheduler: std::sync::Arc::new(kv_testkit::ManualScheduler::new()), ..crate::support::small() };
    let log = disk.open_with(lazy()).unwrap();
    append_and_sync(&log, 1);
    let other = another(&disk);
    append_and_sync(&other, 1);
    let error = fill(&log);
    is_fenced(&log, &error);
    append_and_sync(&other, 20);
    other.close().unwrap();
    drop((log, other));
    assert_holds(&disk.open().unwrap(), 22);
}

#[test]
fn another_that_wrote_before_the_first_write_is_noticed() {
    for closed_before in [true, false] {
        let disk = Disk::new();
        let before = disk.open().unwrap();
        append_and_sync(&before, 2);
        if closed_before {
            before.close().unwrap();
        }
        drop(before);
        let log = disk.open().unwrap(); // has only read so far
        let other = another(&disk);
        append_and_sync(&other, 1);
        other.close().unwrap();
        drop(other);
        let error = log.append(&record(3), Durability::Disk).unwrap_err();
        is_fenced(&log, &error);
        drop(log);
        assert_holds(&disk.open().unwrap(), 3);
    }
}

#[test]
fn a_directory_that_was_removed_or_replaced_is_noticed() {
    for replaced in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        let log = SegmentedLog::open(kv_vfs::OsVfs::create(&path).unwrap(), crate::support::small()).unwrap();
        append_and_sync(&log, 1);
        fs::remove_dir_all(&path).unwrap();
        if replaced {
            fs::create_dir(&path).unwrap();
        }
        let error = fill(&log);
        let is_told = matches!(&error, Error::Poisoned { cause } if matches!(**cause, Error::DirectoryReplaced { .. }));
        assert!(is_told && error.chain().contains(path.to_str().unwrap()), "{error:?}");
        assert!(log.close().is_err());
        drop(log);
        assert!(!replaced || fs::read_dir(&path).unwrap().next().is_none(), "the log has written to another directory");
    }
}

/// In a child of the process that opened the log, nothing is written, synced or closed.
#[test]
fn a_child_is_refused_and_its_parent_goes_on() {
    let disk = Disk::new();
    let log = SegmentedLog::open(disk.vfs(), Options { segment_bytes_max: 16 << 10, ..Options::default() }).unwrap();
    append_and_sync(&log, 5);
    let unsynced = append(&log, 1, Durability::Disk);
    let mut reader = log.reader(kv_core::Lsn::START).unwrap();
    match fork::fork() {
        None => fork::end(move || {
            let refusals = [
                log.append(b"child", Durability::Disk).map(drop),
                log.append(b"child", Durability::Process).map(drop),
                log.sync(unsynced).map(drop),
                log.trim(kv_core::Lsn(3)),
                log.reader(kv_core::Lsn::START).map(drop),
                reader.next().map(drop),
                log.close(),
                log.check_owner(),
            ];
            for (at, refusal) in refusals.into_iter().enumerate() {
                assert!(matches!(refusal, Err(Error::Forked)), "call {at}: {refusal:?}");
            }
            drop(log); // must not wait for the job's thread, which only the parent has
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    assert!(matches!(disk.open(), Err(Error::Locked { .. })), "the child has released the lock");
    assert!(reader.next().unwrap().is_some());
    log.sync(unsynced).unwrap();
    append_and_sync(&log, 20);
    log.close().unwrap();
    drop(log);
    assert_holds(&disk.open().unwrap(), 26);
}
