//! Logs that are damaged at rest, and what they may do then (L14).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use kv_core::{Durability, Error, Log, LogId, LogReader, Lsn};

use super::{
    LogDamage,
    file_damage::{Extent, FileDamage},
    support::{append, append_to, assert_holds_prefix, open, payload, sync_all},
};
use crate::vfs::Files;

/// A log that is not open, as it was left.
pub struct LogAtRest {
    /// The files as they are now.
    pub files: Files,
    /// The files as they were after each step, oldest first.
    pub older: Vec<Files>,
    id: LogId,
    /// The records in the undamaged log.
    records: Vec<Vec<u8>>,
    promise: Promise,
}

/// The position up to which every record must be there, unless damage is reported.
#[derive(Clone, Copy)]
pub struct Promise {
    /// If a block is damaged.
    pub block: Lsn,
    /// If a file is damaged.
    pub file: Lsn,
}

/// A log in use. The case decides how it ends.
pub struct Workload {
    pub log: Arc<dyn Log>,
    records: Vec<Vec<u8>>,
    older: Vec<Files>,
    /// The durable position before the last flush.
    before_last_flush: Lsn,
}

impl Workload {
    /// Writes a new log. `shape` determines what lies where in its files.
    ///
    /// It is closed after `1 + shape` flushes. If `shape` is odd, it is then opened and killed once
    /// more. The last opening flushes several groups and leaves a few records that wait for a
    /// flush.
    pub fn run(harness: &mut (impl LogDamage + ?Sized), shape: u64) -> Self {
        harness.restore(&Files::new());
        let log = open(harness);
        let (records, older) = (Vec::new(), Vec::new());
        let mut workload = Self { log, records, older, before_last_flush: Lsn::START };
        (0..=shape).for_each(|_| workload.group(harness, 1));
        workload.log.close().unwrap();
        workload.older.push(harness.files());
        if shape % 2 == 1 {
            workload = workload.reopen(harness);
            workload.group(harness, 2);
            workload.tail();
        }
        workload = workload.reopen(harness);
        for count in [1, 2, 1] {
            workload.group(harness, count);
        }
        workload.append(9000); // more than a block, and more than fits into a small file
        workload.group(harness, 1);
        workload.group(harness, 2);
        workload.tail();
        workload
    }

    /// Drops the log, as a killed process does, and opens it again.
    fn reopen(self, harness: &mut (impl LogDamage + ?Sized)) -> Self {
        let Self { log, mut records, older, before_last_flush } = self;
        let durable = log.bounds().durable;
        drop(log);
        let log = open(harness);
        records.truncate(assert_holds_prefix(&*log, &records, durable));
        Self { log, records, older, before_last_flush }
    }

    fn append(&mut self, len: usize) {
        let n = self.records.len() as u64 + 1;
        let mut record = payload(n, 20 + n as usize * 7 % 60);
        // The rest of the record is zeroes, which are damaged in a few places only.
        record.resize(record.len().max(len), 0);
        append(&*self.log, &record);
        self.records.push(record);
    }

    fn group(&mut self, harness: &mut (impl LogDamage + ?Sized), count: usize) {
        (0..count).for_each(|_| self.append(0));
        self.before_last_flush = self.log.bounds().durable;
        sync_all(&*self.log);
        self.older.push(harness.files());
    }

    /// Appends records that the kernel has and that no flush has covered. Does nothing if the log
    /// does not support `Process`.
    fn tail(&mut self) {
        for n in 0..3 {
            append_to(&mut self.records, &*self.log, payload(1000 + n, 40), Durability::Process);
        }
    }

    pub fn close(self, harness: &mut (impl LogDamage + ?Sized)) -> LogAtRest {
        self.log.close().unwrap();
        let all = self.log.bounds().appended;
        self.end(harness, Promise { block: all, file: all })
    }

    pub fn kill(self, harness: &mut (impl LogDamage + ?Sized)) -> LogAtRest {
        harness.kill();
        let durable = self.log.bounds().durable;
        self.end(harness, Promise { block: durable, file: durable })
    }

    /// The log that a power cut left, after the harness has cut the power.
    pub fn after_power_cut(self, harness: &mut (impl LogDamage + ?Sized)) -> LogAtRest {
        let promise = Promise { block: self.before_last_flush, file: Lsn::START };
        self.end(harness, promise)
    }

    fn end(self, harness: &mut (impl LogDamage + ?Sized), promise: Promise) -> LogAtRest {
        let Self { log, mut records, older, .. } = self;
        drop(log);
        let files = harness.files();
        let log = open(harness);
        records.truncate(assert_holds_prefix(&*log, &records, promise.block));
        LogAtRest { files, older, id: log.id(), records, promise }
    }
}

/// How a log dealt with damage.
#[derive(PartialEq, Eq)]
pub enum DamageOutcome {
    /// The opening or a reader reported damage.
    Reported,
    /// It opened and could be read to its end, which is at this position.
    Ended(Lsn),
}

impl LogAtRest {
    /// Opens the log with this damage, reads it, and asserts that every answer is right. If it
    /// reports no damage and `goes_on` is set, it also appends a record and reopens the log.
    pub fn check_damaged(
        &self,
        harness: &mut (impl LogDamage + ?Sized),
        damage: &FileDamage,
        goes_on: bool,
    ) -> DamageOutcome {
        harness.restore(&damage.apply_to(&self.files));
        let checked = catch_unwind(AssertUnwindSafe(|| {
            let promised = if damage.extent() == Extent::File { self.promise.file } else { self.promise.block };
            let expectation = Expectation { id: self.id, records: self.records.clone(), promised };
            match expectation.open_and_read(harness, damage) {
                (Some(log), DamageOutcome::Ended(position)) if goes_on => {
                    expectation.go_on(harness, damage, log, position)
                }
                (_, found) => found,
            }
        }));
        checked.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            panic!("{} ({damage})", message.unwrap_or_else(|| "L14: a panic".to_owned()));
        })
    }
}

/// What must be in a damaged log that reports no damage.
struct Expectation {
    id: LogId,
    records: Vec<Vec<u8>>,
    /// No record up to this position may be missing.
    promised: Lsn,
}

#[derive(PartialEq, Eq)]
enum ReadStep {
    Record,
    End,
    Damage,
}

impl Expectation {
    fn open_and_read(
        &self,
        harness: &mut (impl LogDamage + ?Sized),
        damage: &FileDamage,
    ) -> (Option<Arc<dyn Log>>, DamageOutcome) {
        match harness.open() {
            Ok(log) => {
                let found = self.read(&*log, damage);
                (Some(log), found)
            }
            Err(error) => {
                assert_names_damage(&error);
                (None, DamageOutcome::Reported)
            }
        }
    }

    fn read(&self, log: &dyn Log, damage: &FileDamage) -> DamageOutcome {
        assert_eq!(log.id(), self.id, "L14: the identity differs, and no damage was reported");
        let (trimmed, durable) = (log.bounds().trimmed, log.bounds().durable);
        assert!(
            trimmed == Lsn::START || damage.extent() == Extent::File,
            "L14: the records up to {trimmed} are missing as if they had been trimmed"
        );
        let mut position = trimmed;
        let mut reader = log.reader(trimmed).unwrap_or_else(|error| panic!("L7: no reader after {trimmed}: {error:?}"));
        let end = loop {
            match self.step(&mut *reader, &mut position) {
                ReadStep::Record => {}
                end => break end,
            }
        };
        if end == ReadStep::Damage {
            // Asserts that no record beyond the damage is given.
            self.step(&mut *reader, &mut position);
            return DamageOutcome::Reported;
        }
        assert_eq!(position, durable, "L14: the reader ends before the durable position");
        assert!(
            position >= self.promised,
            "L14: the records after {position} are missing silently, though those up to {} must be there",
            self.promised
        );
        let is_cut = position.0 < self.records.len() as u64;
        assert!(
            !(is_cut && damage.extent() == Extent::Byte && log.opening_notes().is_empty()),
            "L14: records after {position} were cut, and the opening notes do not report it"
        );
        DamageOutcome::Ended(position)
    }

    /// Reads the next record and asserts that it is right.
    fn step(&self, reader: &mut dyn LogReader, position: &mut Lsn) -> ReadStep {
        match reader.next() {
            Ok(None) => ReadStep::End,
            Ok(Some(record)) => {
                *position = position.next();
                assert_eq!(record.lsn, *position, "L14: a reader skipped a record");
                let expected = self.records.get(position.0 as usize - 1);
                assert!(
                    expected.is_some_and(|expected| expected == record.payload),
                    "L14: record {position} is not the one that was appended"
                );
                ReadStep::Record
            }
            Err(error) => {
                assert_names_damage(&error);
                ReadStep::Damage
            }
        }
    }

    /// Appends a record and reopens the log. Everything that was found once must still be there,
    /// unless the damage shows only now, and nothing that was cut may come back.
    fn go_on(
        &self,
        harness: &mut (impl LogDamage + ?Sized),
        damage: &FileDamage,
        log: Arc<dyn Log>,
        position: Lsn,
    ) -> DamageOutcome {
        let mut records = self.records[..position.0 as usize].to_vec();
        // The new record has the length of the next old one. So what was cut off lies directly
        // behind it.
        records.push(payload(77, self.records.get(records.len()).map_or(10, Vec::len)));
        let last = append(&*log, &records[position.0 as usize]);
        sync_all(&*log);
        drop(log);

        Self { id: self.id, records, promised: last }.open_and_read(harness, damage).1
    }
}

fn assert_names_damage(error: &Error) {
    let Error::Corrupt { place, detail, .. } = error else {
        panic!("L14: instead of Corrupt, damage gave {error:?}");
    };
    assert!(!place.to_string().is_empty() && !detail.is_empty(), "L14: {error:?} does not say where the damage is");
}
