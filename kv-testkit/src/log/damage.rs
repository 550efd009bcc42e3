//! Logs that are damaged at rest, and what they may do then (L14).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use kv_core::{Error, Log, LogId, LogReader, Lsn};

use super::{
    LogDamage,
    harm::{Extent, Harm},
    support::{append, append_process, assert_holds_prefix, open, payload, sync_all},
};
use crate::vfs::Files;

/// A log that nobody has open, as it was left.
pub struct Left {
    /// The files as they are, and as they were after each step, oldest first.
    pub files: Files,
    pub older: Vec<Files>,
    id: LogId,
    /// What the log holds while it is not damaged.
    records: Vec<Vec<u8>>,
    promise: Promise,
}

/// The position up to which no record may be missing silently.
#[derive(Clone, Copy)]
pub struct Promise {
    /// If a block is harmed.
    pub block: Lsn,
    /// If a file is.
    pub file: Lsn,
}

/// A log in use. How it ends is up to the case.
pub struct Life {
    pub log: Arc<dyn Log>,
    records: Vec<Vec<u8>>,
    older: Vec<Files>,
    /// The durable position before the last flush.
    before_last_flush: Lsn,
}

impl Life {
    /// A new log. What lies where in its files depends on `shape`.
    ///
    /// It was closed after `1 + shape` flushes and, where `shape` is odd, opened and killed once
    /// more. The opening that goes on has flushed several groups, and the last records wait for a
    /// flush.
    pub fn lead(harness: &mut (impl LogDamage + ?Sized), shape: u64) -> Self {
        harness.restore(&Files::new());
        let log = open(harness);
        let (records, older) = (Vec::new(), Vec::new());
        let mut life = Self { log, records, older, before_last_flush: Lsn::START };
        (0..=shape).for_each(|_| life.group(harness, 1));
        life.log.close().unwrap();
        life.older.push(harness.files());
        if shape % 2 == 1 {
            life = life.reopen(harness);
            life.group(harness, 2);
            life.tail();
        }
        life = life.reopen(harness);
        for count in [1, 2, 1] {
            life.group(harness, count);
        }
        life.append(9000); // more than a block, and more than is left in a small file
        life.group(harness, 1);
        life.group(harness, 2);
        life.tail();
        life
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
        record.resize(record.len().max(len), 0); // long ones have little in them that could be harmed
        append(&*self.log, &record);
        self.records.push(record);
    }

    fn group(&mut self, harness: &mut (impl LogDamage + ?Sized), count: usize) {
        (0..count).for_each(|_| self.append(0));
        self.before_last_flush = self.log.bounds().durable;
        sync_all(&*self.log);
        self.older.push(harness.files());
    }

    /// Appends records that the kernel has and no flush has reached. Does nothing if the log does
    /// not give `Process`.
    fn tail(&mut self) {
        for n in 0..3 {
            let record = payload(1000 + n, 40);
            if append_process(&*self.log, &record).is_some() {
                self.records.push(record);
            }
        }
    }

    pub fn close(self, harness: &mut (impl LogDamage + ?Sized)) -> Left {
        self.log.close().unwrap();
        let all = self.log.bounds().appended;
        self.end(harness, Promise { block: all, file: all })
    }

    pub fn kill(self, harness: &mut (impl LogDamage + ?Sized)) -> Left {
        harness.kill();
        let durable = self.log.bounds().durable;
        self.end(harness, Promise { block: durable, file: durable })
    }

    /// What a power cut left, after the harness has cut the power.
    pub fn after_power_cut(self, harness: &mut (impl LogDamage + ?Sized)) -> Left {
        let promise = Promise { block: self.before_last_flush, file: Lsn::START };
        self.end(harness, promise)
    }

    fn end(self, harness: &mut (impl LogDamage + ?Sized), promise: Promise) -> Left {
        let Self { log, mut records, older, .. } = self;
        drop(log);
        let files = harness.files();
        let log = open(harness);
        records.truncate(assert_holds_prefix(&*log, &records, promise.block));
        Left { files, older, id: log.id(), records, promise }
    }
}

/// How a log met harm.
#[derive(PartialEq, Eq)]
pub enum Found {
    /// The opening or a reader said that there is damage.
    Reported,
    /// It opened and could be read to the end, which lies at that position.
    Ended(Lsn),
}

impl Left {
    /// Opens the log with that harm done to it, reads it, and asserts that nothing is wrong. If it
    /// does not say that there is damage and `goes_on`, it takes a record and is opened again.
    pub fn judge(&self, harness: &mut (impl LogDamage + ?Sized), harm: &Harm, goes_on: bool) -> Found {
        harness.restore(&harm.done_to(&self.files));
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let promised = if harm.extent() == Extent::File { self.promise.file } else { self.promise.block };
            let must = Must { id: self.id, records: self.records.clone(), promised };
            match must.open_and_read(harness, harm) {
                (Some(log), Found::Ended(position)) if goes_on => must.go_on(harness, harm, log, position),
                (_, found) => found,
            }
        }));
        judged.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            panic!("{} ({harm})", message.unwrap_or_else(|| "L14: a panic".to_owned()));
        })
    }
}

/// What has to be in a damaged log, if it does not say that it is damaged.
struct Must {
    id: LogId,
    records: Vec<Vec<u8>>,
    /// No record up to there may be missing.
    promised: Lsn,
}

#[derive(PartialEq, Eq)]
enum Step {
    Record,
    End,
    Damage,
}

impl Must {
    fn open_and_read(&self, harness: &mut (impl LogDamage + ?Sized), harm: &Harm) -> (Option<Arc<dyn Log>>, Found) {
        match harness.open() {
            Ok(log) => {
                let found = self.read(&*log, harm);
                (Some(log), found)
            }
            Err(error) => {
                assert_names_damage(&error);
                (None, Found::Reported)
            }
        }
    }

    fn read(&self, log: &dyn Log, harm: &Harm) -> Found {
        assert_eq!(log.id(), self.id, "L14: the identity is another, and no damage was reported");
        let (trimmed, durable) = (log.bounds().trimmed, log.bounds().durable);
        assert!(
            trimmed == Lsn::START || harm.extent() == Extent::File,
            "L14: the records up to {trimmed} are missing as if they had been trimmed"
        );
        let mut position = trimmed;
        let mut reader = log.reader(trimmed).unwrap_or_else(|error| panic!("L7: no reader after {trimmed}: {error:?}"));
        let end = loop {
            match self.step(&mut *reader, &mut position) {
                Step::Record => {}
                end => break end,
            }
        };
        if end == Step::Damage {
            self.step(&mut *reader, &mut position); // which gives nothing that lies behind it
            return Found::Reported;
        }
        assert_eq!(position, durable, "L14: the reader ends before the durable position");
        assert!(
            position >= self.promised,
            "L14: the records after {position} are missing, of {} that must not be, and nothing says so",
            self.promised
        );
        let is_cut = position.0 < self.records.len() as u64;
        assert!(
            !(is_cut && harm.extent() == Extent::Byte && log.opening_notes().is_empty()),
            "L14: what follows {position} was cut, and the opening notes do not tell"
        );
        Found::Ended(position)
    }

    /// Takes the next record and asserts that it is right.
    fn step(&self, reader: &mut dyn LogReader, position: &mut Lsn) -> Step {
        match reader.next() {
            Ok(None) => Step::End,
            Ok(Some(record)) => {
                *position = position.next();
                assert_eq!(record.lsn, *position, "L14: a reader left a record out");
                let expected = self.records.get(position.0 as usize - 1);
                assert!(
                    expected.is_some_and(|expected| expected == record.payload),
                    "L14: record {position} is not the one that was appended"
                );
                Step::Record
            }
            Err(error) => {
                assert_names_damage(&error);
                Step::Damage
            }
        }
    }

    /// What was found once is there when the log has gone on and is opened again, unless the damage
    /// shows only then; and nothing that was cut comes back.
    fn go_on(&self, harness: &mut (impl LogDamage + ?Sized), harm: &Harm, log: Arc<dyn Log>, position: Lsn) -> Found {
        let mut records = self.records[..position.0 as usize].to_vec();
        // Of the length of the next one: what was cut then lies right behind it.
        records.push(payload(77, self.records.get(records.len()).map_or(10, Vec::len)));
        let last = append(&*log, &records[position.0 as usize]);
        sync_all(&*log);
        drop(log);

        Self { id: self.id, records, promised: last }.open_and_read(harness, harm).1
    }
}

fn assert_names_damage(error: &Error) {
    let Error::Corrupt { place, detail, .. } = error else {
        panic!("L14: instead of Corrupt, damage gave {error:?}");
    };
    assert!(!place.to_string().is_empty() && !detail.is_empty(), "L14: {error:?} names no place");
}
