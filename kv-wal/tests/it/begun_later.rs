//! Logs that begin after a position, as if everything before had been trimmed.

use std::{io::ErrorKind, sync::Arc};

use kv_core::{Durability, Epoch, Error, Log, LogId, Lsn};
use kv_testkit::{
    ManualScheduler,
    sim::{CrashModel, Exploration, SimDisk},
    vfs::Fault,
};
use kv_wal::{Options, SegmentedLog, verify};

use crate::support::{read_all, small};

const ID: LogId = LogId(77);
const BASE: Lsn = Lsn(41);

fn options() -> Options {
    Options { epoch_min: Epoch(9), scheduler: Arc::new(ManualScheduler::new()), ..small() }
}

#[test]
fn it_has_no_record_and_goes_on_after_its_base() {
    for base in [Lsn::START, BASE] {
        let disk = SimDisk::new(1);
        SegmentedLog::create_after(disk.vfs(), ID, base, options()).unwrap();
        assert!(verify(&*disk.vfs()).unwrap().is_empty());
        for opening in 0..3 {
            let log = SegmentedLog::open(disk.vfs(), small()).unwrap();
            assert!(opening > 0 || log.recovery().sealed, "it was closed");
            let (bounds, appended) = (log.bounds(), Lsn(base.0 + opening));
            assert_eq!((log.id(), bounds.trimmed, bounds.durable, bounds.appended), (ID, base, appended, appended));
            assert_eq!(bounds.epoch, Epoch(10 + opening));
            if base > Lsn::START {
                assert!(matches!(log.reader(Lsn(base.0 - 1)), Err(Error::Trimmed { trimmed, .. }) if trimmed == base));
            }
            let lsn = log.append(b"record", Durability::Disk).unwrap();
            assert_eq!(lsn, appended.next());
            log.sync(lsn).unwrap();
            assert_eq!(read_all(&log).unwrap().len() as u64, opening + 1);
            log.close().unwrap();
        }
        assert!(verify(&*disk.vfs()).unwrap().is_empty());
    }
}

#[test]
fn it_is_created_only_where_there_is_none() {
    let disk = SimDisk::new(1);
    drop(SegmentedLog::open(disk.vfs(), small()).unwrap());
    let refused = SegmentedLog::create_after(disk.vfs(), ID, BASE, options());
    assert!(matches!(refused, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists));
}

/// Once it was created, no power cut takes it back; and what it takes from then on is durable.
#[test]
fn it_is_durable_when_it_was_created() {
    let exploration = Exploration::from_env(4000);
    let disk = SimDisk::new(exploration.seed());
    SegmentedLog::create_after(disk.vfs(), ID, BASE, options()).unwrap();
    disk.record();
    let log = SegmentedLog::open(disk.vfs(), small()).unwrap();
    let lsn = log.append(b"record", Durability::Disk).unwrap();
    log.sync(lsn).unwrap();
    let acknowledged_at = disk.operations();
    drop(log);
    exploration.run("begun later", &disk.take_recording(), &CrashModel::ALL, &|moment, _, left| {
        let log = SegmentedLog::open(left.vfs(), small()).unwrap_or_else(|error| panic!("{}", error.chain()));
        let bounds = log.bounds();
        assert_eq!((log.id(), bounds.trimmed), (ID, BASE));
        assert!(bounds.durable == BASE.next() || (bounds.durable == BASE && moment.operation < acknowledged_at));
    });
}

/// If creating it fails, that is an error.
#[test]
fn a_failure_is_reported() {
    let mut nth = 1;
    loop {
        let disk = SimDisk::new(1);
        disk.fail(Fault::on_changes().nth(nth));
        let created = SegmentedLog::create_after(disk.vfs(), ID, BASE, options());
        let has_failed = disk.failures() > 0;
        disk.heal();
        assert_eq!(created.is_ok(), !has_failed, "operation {nth}");
        if !has_failed {
            assert!(nth > 8, "{nth}");
            return;
        }
        nth += 1;
    }
}
