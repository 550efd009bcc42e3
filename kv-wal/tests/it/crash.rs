//! Crashes at every operation of a workload, with every state in which the crash may leave the
//! disk, or a sample of them; and second crashes while the log recovers.

use std::sync::Mutex;

use kv_core::{Durability, Error, Log, Lsn, Result};
use kv_testkit::sim::{Count, CrashChoice, CrashModel, Exploration, Moment, SimDisk, Survivors};
use kv_wal::{SegmentedLog, verify};

use crate::support::small;

/// How many states a run checks by default, not counting those of second crashes.
const STATES: u64 = 20_000;
/// One in this many states is crashed a second time.
const AGAIN_ONE_IN: u64 = 24;
/// How many states of each second crash are checked.
const AGAIN_STATES: u64 = 16;

/// What a user of the log knows. Each item has the number of operations that were done when it
/// became known.
#[derive(Clone, Default)]
struct Known {
    /// The records by position, from 1, and when each append began.
    records: Vec<(u64, Vec<u8>)>,
    /// Positions that were acknowledged as durable.
    durable: Vec<(u64, Lsn)>,
    /// Positions that were with the kernel.
    written: Vec<(u64, Lsn)>,
    /// Positions up to which the log was allowed to trim.
    trimmed: Vec<(u64, Lsn)>,
}

fn highest_at(known: &[(u64, Lsn)], operation: u64) -> Lsn {
    known.iter().filter(|(at, _)| *at <= operation).map(|(_, lsn)| *lsn).max().unwrap_or_default()
}

/// One incarnation: a log in use, and what is known about it.
struct Incarnation<'a> {
    disk: &'a SimDisk,
    log: SegmentedLog,
    known: Known,
    /// Its records contain this number, which distinguishes them from those of other incarnations.
    number: u8,
}

impl<'a> Incarnation<'a> {
    /// Opens the log on the disk. `known` is what is known about it.
    fn begin(disk: &'a SimDisk, mut known: Known, number: u8) -> Result<Self> {
        let log = SegmentedLog::open(disk.vfs(), small())?;
        known.durable.push((disk.operations(), Lsn(known.records.len() as u64)));
        Ok(Self { disk, log, known, number })
    }

    fn append(&mut self, bytes: usize, durability: Durability) -> Result<()> {
        let lsn = self.known.records.len() as u64 + 1;
        let mut record = format!("open {}, record {lsn} ", self.number).into_bytes();
        record.resize(record.len() + bytes, lsn as u8);
        self.known.records.push((self.disk.operations(), record.clone()));
        assert_eq!(self.log.append(&record, durability)?, Lsn(lsn));
        let written = self.log.bounds().written;
        self.known.written.push((self.disk.operations(), written));
        Ok(())
    }

    fn put(&mut self, bytes: usize) -> Result<()> {
        self.append(bytes, Durability::Disk)?;
        self.sync()
    }

    fn sync(&mut self) -> Result<()> {
        let durable = self.log.sync(self.log.bounds().appended)?;
        self.known.durable.push((self.disk.operations(), durable));
        Ok(())
    }

    fn trim(&mut self, upto: u64) -> Result<()> {
        self.known.trimmed.push((self.disk.operations(), Lsn(upto)));
        self.log.trim(Lsn(upto))
    }

    fn close(&mut self) -> Result<()> {
        self.log.close()?;
        self.known.durable.push((self.disk.operations(), self.log.bounds().appended));
        Ok(())
    }

    /// Opens the log again, as the next process would.
    fn reopen(&mut self) -> Result<()> {
        let parked = SimDisk::new(0);
        self.log = SegmentedLog::open(parked.vfs(), small())?; // drops the old log and its lock
        self.log = SegmentedLog::open(self.disk.vfs(), small())?;
        self.known.durable.push((self.disk.operations(), self.log.bounds().durable));
        Ok(())
    }
}

/// Creation, both durabilities and mixtures of them, roll-overs with and without a spare, a record
/// larger than a segment, trimming, and openings with and without a clean close before.
fn long_workload(disk: &SimDisk) -> Result<Known> {
    let mut log = Incarnation::begin(disk, Known::default(), 1)?;
    for bytes in [0, 10, 700] {
        log.put(bytes)?;
    }
    for bytes in [100, 3000, 20, 500, 1400, 9] {
        log.append(bytes, Durability::Process)?;
    }
    log.append(50, Durability::Disk)?;
    log.append(60, Durability::Process)?;
    log.sync()?;
    log.append(30_000, Durability::Disk)?;
    log.append(10, Durability::Disk)?;
    log.sync()?;
    log.trim(4)?;
    log.put(5000)?;
    log.close()?;
    log.reopen()?;
    log.append(40, Durability::Process)?;
    log.put(2000)?;
    log.trim(13)?;
    log.append(70, Durability::Process)?;
    log.append(7000, Durability::Process)?;
    log.append(7000, Durability::Process)?;
    log.reopen()?;
    log.put(10)?;
    log.append(10, Durability::Process)?;
    log.trim(17)?;
    log.close()?;
    Ok(log.known)
}

/// The first writes after a crash, and a clean close.
fn short_workload(disk: &SimDisk, known: Known) -> Result<Known> {
    let mut log = Incarnation::begin(disk, known, 2)?;
    log.append(600, Durability::Process)?;
    log.put(30)?;
    log.trim(log.known.records.len() as u64 - 2)?;
    log.put(3000)?;
    log.close()?;
    Ok(log.known)
}

fn read_all(log: &SegmentedLog) -> (Lsn, Vec<Vec<u8>>) {
    let trimmed = log.bounds().trimmed;
    let mut reader = log.reader(trimmed).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        assert_eq!(record.lsn.0, trimmed.0 + records.len() as u64 + 1, "positions are dense");
        records.push(record.payload.to_vec());
    }
    (trimmed, records)
}

/// Opens what a crash left and compares it with what was known. Returns what is known about the
/// result.
fn check(known: &Known, operation: u64, model: CrashModel, left: &SimDisk) -> Known {
    let damages = verify(&*left.vfs()).unwrap();
    assert!(damages.is_empty(), "verify finds damage that does not exist: {damages:?}");
    let log = SegmentedLog::open(left.vfs(), small()).unwrap_or_else(|error| panic!("locked out: {}", error.chain()));
    let (trimmed, records) = read_all(&log);
    let last = Lsn(trimmed.0 + records.len() as u64);
    let durable = highest_at(&known.durable, operation);
    let promised =
        if model == CrashModel::Killed { durable.max(highest_at(&known.written, operation)) } else { durable };
    let begun = known.records.iter().filter(|(at, _)| *at <= operation).count() as u64;
    assert!(last >= promised, "position {promised} was acknowledged, but the log ends at {last}");
    assert!(last.0 <= begun, "position {last} was never appended");
    assert!(trimmed <= highest_at(&known.trimmed, operation), "trimmed up to {trimmed}, further than allowed");
    let all = known.records[..last.0 as usize].iter().map(|(_, bytes)| bytes);
    assert!(all.clone().skip(trimmed.0 as usize).eq(&records), "records differ");
    drop(log);

    // What one opening finds, the next one finds too, even after a power cut between them.
    let again = left.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
    let log = SegmentedLog::open(again.vfs(), small()).unwrap();
    let (trimmed_again, records_again) = read_all(&log);
    // A removed segment may have come back.
    assert!(trimmed_again <= trimmed, "a second recovery lost older records");
    let all_again = known.records[trimmed_again.0 as usize..last.0 as usize].iter().map(|(_, bytes)| bytes);
    assert!(all_again.eq(&records_again), "a second recovery finds other records");
    Known {
        records: all.map(|bytes| (0, bytes.clone())).collect(),
        trimmed: vec![(0, highest_at(&known.trimmed, operation))],
        ..Known::default()
    }
}

fn explore(exploration: &Exploration, name: &str, depth: u32, moments: &[Moment], known: &Known) -> Count {
    let second = Mutex::new(Count::default());
    let mut count = exploration.run(name, moments, &CrashModel::ALL, &|moment, choice, left| {
        let found = check(known, moment.operation, choice.model, left);
        if depth == 1
            && let Some(again) = exploration.again(moment, choice, AGAIN_ONE_IN, AGAIN_STATES)
        {
            let left = moment.disk.crash(choice);
            left.record();
            let known = short_workload(&left, found).unwrap_or_else(|error| panic!("{}", error.chain()));
            second.lock().unwrap().add(&explore(&again, "log again", 2, &left.take_recording(), &known));
        }
    });
    count.add(&second.into_inner().unwrap());
    count
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn no_crash_loses_what_was_acknowledged_or_locks_out() {
    let disk = SimDisk::new(1);
    disk.record();
    let known = long_workload(&disk).unwrap();
    let moments = disk.take_recording();
    let count = explore(&Exploration::from_env(STATES), "log", 1, &moments, &known);
    eprintln!("crashes of a log: {count}");
}

/// A seal must never be on the disk without everything that precedes it. The long workload has too
/// many operations to check many states of each.
#[test]
fn a_close_can_be_cut_off_anywhere() {
    let disk = SimDisk::new(1);
    disk.record();
    let mut log = Incarnation::begin(&disk, Known::default(), 1).unwrap();
    log.put(10).unwrap();
    for bytes in [3000, 3000, 2000] {
        log.append(bytes, Durability::Process).unwrap();
    }
    log.close().unwrap();
    let Incarnation { known, log, .. } = log;
    drop(log);
    explore(&Exploration::from_env(4000), "log closed", 2, &disk.take_recording(), &known);
}

/// On a disk whose syncs do nothing, an acknowledged record is lost. The check must notice.
#[test]
fn a_disk_that_lies_is_found_out() {
    let disk = SimDisk::new(1);
    let mut log = Incarnation::begin(&disk, Known::default(), 1).unwrap();
    log.put(10).unwrap();
    disk.lie();
    log.put(10).unwrap();
    let known = log.known;
    let left = disk.crash(&CrashChoice { model: CrashModel::Ext4, survivors: Survivors::Nothing });
    let checked = std::panic::catch_unwind(|| check(&known, disk.operations(), CrashModel::Ext4, &left));
    assert!(checked.is_err());
}

/// An operation that fails because its process has ended acknowledges nothing.
#[test]
fn a_process_that_ends_acknowledges_nothing_more() {
    let operations = {
        let disk = SimDisk::new(1);
        long_workload(&disk).unwrap();
        disk.operations()
    };
    for stop in 0..operations {
        let disk = SimDisk::new(1);
        disk.stop_at(stop);
        match long_workload(&disk) {
            Err(Error::Io { .. } | Error::Poisoned { .. } | Error::OutcomeUnknown { .. }) => {}
            other => panic!("stopped at {stop} of {operations}: {:?}", other.map(|_| ())),
        }
    }
}
