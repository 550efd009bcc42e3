//! Writes and flushes that fail: the first failure is final, and everything acknowledged survives.

use std::{
    io::ErrorKind,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use kv_core::{Durability, Error, Log, Lsn};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Fault, Kind, TestVfs},
};
use kv_wal::{SegmentedLog, is_blank};

use crate::{
    memory::{Files, MemoryVfs},
    support::{append, append_and_sync, assert_holds, read_all, record, small},
};

/// What the log promised to a workload.
#[derive(Default)]
struct Promised {
    /// Durable, as a `sync` returned.
    durable: u64,
    /// With the kernel.
    written: u64,
    appended: u64,
    poisoned: bool,
}

/// Appends, syncs, trims, closes and opens again, until a failure is final.
fn work(vfs: &Arc<TestVfs>, promised: &mut Promised) -> Result<(), Error> {
    for opening in 0..2 {
        let log = SegmentedLog::open(vfs.clone(), small())?;
        let outcome = work_on(&log, promised);
        let bounds = log.bounds();
        assert!(
            bounds.trimmed <= bounds.durable && bounds.durable <= bounds.written && bounds.written <= bounds.appended
        );
        assert!(promised.durable <= bounds.durable.0, "acknowledged, but not durable");
        (promised.written, promised.appended) = (bounds.written.0, bounds.appended.0);
        if let Err(error) = outcome {
            promised.poisoned = matches!(error, Error::OutcomeUnknown { .. } | Error::Poisoned { .. });
            if promised.poisoned {
                vfs.heal(); // must not make a difference
                check_poisoned(&log);
            }
            return Err(error);
        }
        if opening == 0 {
            log.close()?;
        }
    }
    Ok(())
}

fn work_on(log: &SegmentedLog, promised: &mut Promised) -> Result<(), Error> {
    for step in 0..12u64 {
        let lsn = log.bounds().appended.next();
        let durability = if step % 3 == 0 { Durability::Process } else { Durability::Disk };
        let before = log.bounds().appended;
        match log.append(&record(lsn.0), durability) {
            Ok(given) => assert_eq!(given, lsn),
            Err(error @ (Error::DiskFull { .. } | Error::Io { .. })) => {
                assert_eq!(log.bounds().appended, before, "refused, but logged");
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        if step % 2 == 1 {
            promised.durable = log.sync(lsn)?.0;
        }
    }
    log.trim(Lsn(6))
}

fn check_poisoned(log: &SegmentedLog) {
    let bounds = log.bounds();
    assert!(matches!(log.append(b"more", Durability::Disk), Err(Error::Poisoned { .. })));
    assert!(matches!(log.append(b"more", Durability::Process), Err(Error::Poisoned { .. })));
    assert_eq!(log.sync(bounds.durable).unwrap(), bounds.durable);
    if bounds.durable < bounds.appended {
        assert!(matches!(log.sync(bounds.appended), Err(Error::OutcomeUnknown { .. })));
    }
    assert!(log.close().is_err());
    assert_holds(log, bounds.durable.0);
    assert_eq!(log.bounds(), bounds);
}

#[test]
fn whatever_operation_fails_nothing_acknowledged_is_lost() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
        for persistent in [false, true] {
            let mut outcomes = [0; 3];
            for nth in 1.. {
                let memory = MemoryVfs::new(&Files::new());
                let vfs = TestVfs::new(memory.clone());
                // If there is no space, only operations that change the disk fail.
                let fault = if kind == ErrorKind::Other { Fault::on_any() } else { Fault::on_changes() };
                let fault = fault.nth(nth).with(kind);
                vfs.fail(if persistent { fault.for_ever() } else { fault });
                let mut promised = Promised::default();
                let outcome = work(&vfs, &mut promised);
                outcomes[if promised.poisoned { 0 } else { usize::from(outcome.is_err()) + 1 }] += 1;
                vfs.heal();
                let failed = vfs.failures() > 0;
                assert!(failed || outcome.is_ok());

                let what = format!("operation {nth} failed with {kind}, persistent: {persistent}");
                let log = SegmentedLog::open(vfs.clone(), small()).unwrap_or_else(|error| panic!("{what}: {error}"));
                let last = log.bounds().appended.0;
                assert!(last >= promised.durable && last >= promised.written, "{what}: {last} of {}", promised.written);
                assert!(last <= promised.appended, "{what}");
                assert_holds(&log, last);
                append_and_sync(&log, 1);
                log.close().unwrap();
                drop(log);
                assert_holds(&SegmentedLog::open(memory, small()).unwrap(), last + 1);
                if !failed {
                    break;
                }
            }
            let [poisoned, ok, refused] = outcomes;
            assert!(poisoned > 10 && ok > 0 && refused > 3, "poisoned {poisoned}, fine {ok}, refused {refused}");
        }
    }
}

#[test]
fn a_failed_flush_leaves_the_outcome_unknown_and_is_never_retried() {
    let vfs = TestVfs::new(MemoryVfs::new(&Files::new()));
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    let last = append(&log, 3, Durability::Disk);
    vfs.take_trace();
    vfs.fail(Fault::on(Kind::Sync));
    let Err(Error::OutcomeUnknown { cause }) = log.sync(Lsn(3)) else { panic!() };
    assert!(matches!(*cause, Error::Io { .. }));
    assert!(matches!(log.sync(last), Err(Error::OutcomeUnknown { .. })), "a failed flush is never retried");
    let Err(Error::Poisoned { cause: carried }) = log.append(b"more", Durability::Disk) else { panic!() };
    assert!(Arc::ptr_eq(&cause, &carried), "every error carries the first cause");
    let trace = vfs.take_trace();
    assert!(trace.lines().count() == 2 && trace.ends_with("failed\n"), "expected no mark and no second flush: {trace}");
    assert_eq!((log.flush_stats().flushes, log.flush_stats().records), (1, 1), "a failed flush is not counted");
    assert_holds(&log, 1);
}

fn no_space_for_files() -> Fault {
    Fault::on(Kind::Create).for_ever().with(ErrorKind::StorageFull)
}

#[test]
fn a_full_disk_refuses_before_anything_is_logged_and_the_last_spare_is_used_up() {
    let vfs = TestVfs::new(MemoryVfs::new(&Files::new()));
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    // From now on no file can be created.
    vfs.fail(no_space_for_files());
    let error = loop {
        match log.append(&record(log.bounds().appended.0 + 1), Durability::Disk) {
            Ok(lsn) => assert!(log.sync(lsn).unwrap() >= lsn),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    let last = log.bounds().appended;
    assert!(last >= Lsn(3), "the spare was not used: {last}");
    assert_holds(&log, last.0);
    assert!(matches!(log.append(&[1; 100_000], Durability::Process), Err(Error::DiskFull { .. })));
    vfs.heal();
    append_and_sync(&log, 30);
    assert_holds(&log, last.0 + 30);
}

#[test]
fn a_record_larger_than_the_spare_leaves_it_in_place_when_there_is_no_space() {
    let vfs = TestVfs::new(MemoryVfs::new(&Files::new()));
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    vfs.fail(no_space_for_files());
    assert!(matches!(log.append(&[1; 100_000], Durability::Disk), Err(Error::DiskFull { .. })));
    for _ in 0..3 {
        append_and_sync(&log, 1); // continues in the spare
    }
    assert_holds(&log, 4);
    vfs.heal();
    let lsn = log.append(&[1; 100_000], Durability::Disk).unwrap();
    log.sync(lsn).unwrap();
    assert_eq!(read_all(&log).unwrap().last().unwrap().1.len(), 100_000);
}

#[test]
fn a_segment_that_took_the_place_of_a_spare_is_used_though_it_cannot_be_opened_again() {
    let memory = MemoryVfs::new(&Files::new());
    let vfs = TestVfs::new(memory.clone());
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    vfs.fail(Fault::on(Kind::Open).for_ever());
    let _ = log.append(&[1; 20_000], Durability::Disk);
    for _ in 0..20 {
        append_and_sync(&log, 1);
    }
    let last = log.bounds().durable;
    drop(log);
    assert_eq!(SegmentedLog::open(memory, small()).unwrap().bounds().durable, last);
}

#[test]
fn a_log_that_could_not_be_created_is_blank_and_can_be_created_later() {
    for nth in 1.. {
        let memory = MemoryVfs::new(&Files::new());
        let vfs = TestVfs::new(memory.clone());
        vfs.fail(Fault::on_changes().nth(nth).for_ever().with(ErrorKind::StorageFull));
        let opened = SegmentedLog::open(vfs.clone(), small());
        vfs.heal();
        if opened.is_ok() {
            assert!(nth > 5);
            break;
        }
        assert!(matches!(opened, Err(Error::DiskFull { .. })));
        assert!(is_blank(&*memory).unwrap());
        append_and_sync(&SegmentedLog::open(vfs, small()).unwrap(), 1);
    }
}

/// A disk may write fewer bytes than it was given, without an error.
#[test]
fn short_writes_are_continued() {
    let fill = |disk: &SimDisk| {
        let log = SegmentedLog::open(disk.vfs(), small()).unwrap();
        for _ in 0..10 {
            append_and_sync(&log, 3);
        }
    };
    let disk = SimDisk::new(1);
    fill(&disk);
    let writes = disk.take_trace().lines().filter(|line| line.starts_with("write")).count();
    assert!(writes > 20, "{writes}");
    for n in 1..=writes {
        let disk = SimDisk::new(1);
        disk.fail(Fault::on(Kind::Write).nth(n as u64).short());
        fill(&disk);
        assert_holds(&SegmentedLog::open(disk.vfs(), small()).unwrap(), 30);
    }
}

/// While a flush is under way, nothing that it flushes counts as durable for any caller.
#[test]
fn nothing_is_acknowledged_before_the_flush_has_ended() {
    let vfs = TestVfs::new(MemoryVfs::new(&Files::new()));
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    append(&log, 2, Durability::Disk);
    let (entered, is_under_way) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    // Never fails, but holds the flush until the test lets it end.
    vfs.fail(Fault::when(move |event| {
        if event.kind == Kind::Sync {
            entered.send(()).unwrap();
            let _ = ends.recv();
        }
        false
    }));
    let mut reader = log.reader(Lsn(1)).unwrap();
    let (meanwhile, read, told) = thread::scope(|scope| {
        let leader = scope.spawn(|| log.sync(Lsn(3)));
        is_under_way.recv().unwrap();
        let meanwhile = log.bounds().durable;
        let read = reader.next().map(|record| record.map(|record| record.lsn));
        end.send(()).unwrap();
        (meanwhile, read, leader.join().unwrap())
    });
    assert_eq!((meanwhile, read.unwrap(), told.unwrap()), (Lsn(1), None, Lsn(3)));
    assert_eq!(reader.next().unwrap().unwrap().lsn, Lsn(2));
}

/// Threads that wait for another thread's flush get its outcome.
#[test]
fn followers_of_a_failed_flush_get_its_error() {
    const FOLLOWERS: u64 = 8;
    let vfs = TestVfs::new(MemoryVfs::new(&Files::new()));
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    let last = append(&log, FOLLOWERS, Durability::Disk);
    let (entered, is_under_way) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    vfs.fail(Fault::when(move |event| {
        event.kind == Kind::Sync && {
            entered.send(()).unwrap();
            let _ = ends.recv();
            true
        }
    }));
    let told = thread::scope(|scope| {
        let leader = scope.spawn(|| log.sync(last));
        is_under_way.recv().unwrap();
        let (begin, begun) = mpsc::channel();
        let followers = (2..=last.0).map(|lsn| {
            let (log, begin) = (&log, begin.clone());
            scope.spawn(move || {
                begin.send(()).unwrap();
                log.sync(Lsn(lsn))
            })
        });
        let waiting: Vec<_> = followers.chain([leader]).collect();
        begun.iter().take(FOLLOWERS as usize).for_each(drop);
        // Gives the followers time to begin to wait. A later one gets the same error, but not as a
        // follower.
        thread::sleep(Duration::from_millis(100));
        end.send(()).unwrap();
        waiting.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for told in told {
        assert!(matches!(told, Err(Error::OutcomeUnknown { .. })), "{told:?}");
    }
}
