//! Logs with one flaw each.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kv_core::{
    Bounds, Crash, Durability, Epoch, Error, Log, LogId, LogReader, Lsn, MemoryLog, MemoryLogMedium, Record, Result,
};
use kv_testkit::log::{LogFaults, LogHarness, LogPowerCut, LogSpace, cases};

use crate::caught::flaws;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    AcknowledgesWithoutWriting,
    AcknowledgesWithoutFlushing,
    AnswersLate,
    AppendsAfterClose,
    AppendsAfterFailure,
    AppendsProcessLikeDisk,
    CloseDoesNotSync,
    CloseHidesFailures,
    CloseStopsReading,
    CountsNoBytes,
    EpochStays,
    ForgetsRecord(usize),
    FullForEver,
    IdentityChanges,
    LeavesGaps,
    LogsWhatItRefuses,
    MisordersBounds,
    ReaderEndsForGood,
    ReaderGivesUndurable,
    ReaderIncludesAfter,
    ReaderSkipsTrimmed,
    RetriesFlushes,
    ReusesPositionsAfterTrim,
    StripsZeroes,
    SyncFallsShort,
    SyncsTheFuture,
    TrimsOneMore,
    TrimsUndurable,
}

struct FlawedLog {
    inner: MemoryLog,
    flaw: Flaw,
    opened: u64,
    trimmed: Mutex<Lsn>,
    /// What was appended in this opening.
    shadow: Arc<Mutex<Vec<Vec<u8>>>>,
    failed: AtomicBool,
    was_full: AtomicBool,
    closed: AtomicBool,
}

impl FlawedLog {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

impl Log for FlawedLog {
    fn id(&self) -> LogId {
        let id = self.inner.id();
        if self.is(Flaw::IdentityChanges) { LogId(id.0 ^ u128::from(self.opened)) } else { id }
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        let max = self.inner.bounds().record_bytes_max;
        if self.is(Flaw::LogsWhatItRefuses) && record.len() > max {
            self.inner.append(&record[..max], durability)?;
        }
        if self.is(Flaw::LeavesGaps) && record.len() % 7 == 3 {
            self.inner.append(b"", durability)?;
        }
        if self.is(Flaw::FullForEver) && self.was_full.load(Ordering::Relaxed) {
            return Err(Error::from_io("append to", "", std::io::ErrorKind::StorageFull.into()));
        }
        let record = match self.flaw {
            Flaw::StripsZeroes => &record[..record.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)],
            _ => record,
        };
        let durability = match self.flaw {
            Flaw::AppendsProcessLikeDisk => Durability::Disk,
            Flaw::AcknowledgesWithoutFlushing => Durability::Process,
            _ => durability,
        };
        self.shadow.lock().unwrap().push(record.to_vec());
        match self.inner.append(record, durability) {
            Err(Error::Closed) if self.is(Flaw::AppendsAfterClose) => Ok(self.inner.bounds().appended.next()),
            Err(Error::Poisoned { .. }) if self.is(Flaw::AppendsAfterFailure) => {
                Ok(self.inner.bounds().appended.next())
            }
            Err(error @ Error::DiskFull { .. }) => {
                self.was_full.store(true, Ordering::Relaxed);
                Err(error)
            }
            Ok(_) if self.is(Flaw::AnswersLate) => {
                thread::sleep(Duration::from_micros(50));
                Ok(self.inner.bounds().appended)
            }
            appended => appended,
        }
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        match self.flaw {
            Flaw::AcknowledgesWithoutWriting | Flaw::AcknowledgesWithoutFlushing => return Ok(upto),
            Flaw::SyncsTheFuture if upto > self.inner.bounds().appended => return Ok(upto),
            Flaw::RetriesFlushes if self.failed.load(Ordering::Relaxed) => return Ok(upto),
            _ => {}
        }
        let durable = self.inner.sync(upto);
        if durable.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        if self.is(Flaw::SyncFallsShort) { durable.map(|durable| Lsn(durable.0.saturating_sub(1))) } else { durable }
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        if self.is(Flaw::CloseStopsReading) && self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        if self.is(Flaw::ReaderGivesUndurable) {
            return Ok(Box::new(ShadowReader { shadow: Arc::clone(&self.shadow), after, payload: Vec::new() }));
        }
        let after = match self.flaw {
            Flaw::ReaderIncludesAfter => Lsn(after.0.saturating_sub(1)),
            Flaw::ReaderSkipsTrimmed => after.max(self.inner.bounds().trimmed),
            _ => after,
        };
        Ok(Box::new(FlawedReader { inner: self.inner.reader(after)?, flaw: self.flaw, ended: false }))
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        *self.trimmed.lock().unwrap() = upto;
        self.inner.trim(if self.is(Flaw::TrimsOneMore) { upto.next() } else { upto })
    }

    fn bounds(&self) -> Bounds {
        let mut bounds = self.inner.bounds();
        match self.flaw {
            Flaw::AcknowledgesWithoutWriting | Flaw::AcknowledgesWithoutFlushing => bounds.durable = bounds.appended,
            Flaw::EpochStays => bounds.epoch = Epoch(1),
            Flaw::MisordersBounds => bounds.written = bounds.appended.next(),
            Flaw::TrimsUndurable => bounds.trimmed = *self.trimmed.lock().unwrap(),
            _ => {}
        }
        bounds
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        if self.is(Flaw::CountsNoBytes) { 0 } else { self.inner.medium_bytes_after(after) }
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        match self.flaw {
            Flaw::CloseDoesNotSync => Ok(()),
            Flaw::CloseHidesFailures => {
                let _ = self.inner.close();
                Ok(())
            }
            _ => self.inner.close(),
        }
    }
}

struct FlawedReader {
    inner: Box<dyn LogReader>,
    flaw: Flaw,
    ended: bool,
}

impl LogReader for FlawedReader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        if self.ended && self.flaw == Flaw::ReaderEndsForGood {
            return Ok(None);
        }
        let record = self.inner.next()?;
        self.ended = record.is_none();
        let epoch = |record: Record<'_>| if self.flaw == Flaw::EpochStays { Epoch(1) } else { record.epoch };
        Ok(record.map(|record| Record { epoch: epoch(record), ..record }))
    }
}

struct ShadowReader {
    shadow: Arc<Mutex<Vec<Vec<u8>>>>,
    after: Lsn,
    payload: Vec<u8>,
}

impl LogReader for ShadowReader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        let Some(payload) = self.shadow.lock().unwrap().get(self.after.0 as usize).cloned() else { return Ok(None) };
        self.after = self.after.next();
        self.payload = payload;
        Ok(Some(Record { epoch: Epoch(1), lsn: self.after, payload: &self.payload }))
    }
}

struct Harness {
    medium: MemoryLogMedium,
    flaw: Flaw,
    opened: u64,
}

impl Harness {
    fn new(flaw: Flaw) -> Self {
        Self { medium: MemoryLogMedium::with_record_bytes_max(1 << 20), flaw, opened: 0 }
    }

    /// Without the n-th record from the end.
    fn forget(&mut self, from_end: usize) {
        let log = MemoryLog::open(&self.medium).unwrap();
        let mut records = Vec::new();
        let mut reader = log.reader(Lsn::START).unwrap();
        while let Some(record) = reader.next().unwrap() {
            records.push(record.payload.to_vec());
        }
        if records.len() > from_end {
            records.remove(records.len() - 1 - from_end);
        }
        self.medium = MemoryLogMedium::new();
        let log = MemoryLog::open(&self.medium).unwrap();
        for record in records {
            log.append(&record, Durability::Process).unwrap();
        }
    }
}

impl LogHarness for Harness {
    fn open(&mut self) -> Result<Arc<dyn Log>> {
        self.opened += 1;
        if let Flaw::ForgetsRecord(from_end) = self.flaw {
            self.forget(from_end);
        }
        let mut inner = MemoryLog::open(&self.medium)?;
        let Bounds { trimmed, durable, .. } = inner.bounds();
        if self.flaw == Flaw::ReusesPositionsAfterTrim && trimmed == durable {
            drop(inner);
            self.medium = MemoryLogMedium::with_record_bytes_max(1 << 20);
            inner = MemoryLog::open(&self.medium)?;
        }
        Ok(Arc::new(FlawedLog {
            inner,
            flaw: self.flaw,
            opened: self.opened,
            trimmed: Mutex::default(),
            shadow: Arc::default(),
            failed: AtomicBool::new(false),
            was_full: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    fn kill(&mut self) {
        self.medium = self.medium.after(Crash::Killed);
    }
}

impl LogPowerCut for Harness {
    fn cut_power(&mut self) {
        self.medium = self.medium.after(Crash::PowerCut);
    }
}

impl LogFaults for Harness {
    fn fail_next_flush(&mut self) {
        self.medium.fail_next_flush();
    }
}

impl LogSpace for Harness {
    fn fill(&mut self) {
        self.medium.set_full(true);
    }

    fn free(&mut self) {
        self.medium.set_full(false);
    }
}

macro_rules! run {
    ($case:ident, $flaw:expr) => {
        cases::$case(&mut Harness::new($flaw))
    };
}

flaws! { run:
    acknowledges_without_writing: Flaw::AcknowledgesWithoutWriting
        => l3_synced_survives_kill "had to survive", l3_sync_with_threads "L3", l3_synced_survives_power_cut "had to survive";
    acknowledges_without_flushing: Flaw::AcknowledgesWithoutFlushing
        => l3_synced_survives_power_cut "had to survive", l9_prefix_after_power_cut "had to survive";
    answers_late: Flaw::AnswersLate => l1_dense_with_threads "L1";
    appends_after_close: Flaw::AppendsAfterClose => l12_close_makes_durable "L12";
    appends_after_failure: Flaw::AppendsAfterFailure => l6_first_failure_is_final "L6";
    appends_process_like_disk: Flaw::AppendsProcessLikeDisk => l4_process_survives_kill "L4";
    close_does_not_sync: Flaw::CloseDoesNotSync => l12_close_makes_durable "L12", l12_closed_survives_power_cut "number of records";
    close_hides_failures: Flaw::CloseHidesFailures => l6_close_does_not_hide_a_failure "L6";
    close_stops_reading: Flaw::CloseStopsReading => l12_closed_log_is_readable "L7";
    counts_no_bytes: Flaw::CountsNoBytes => medium_bytes_grow_with_the_log "said to take";
    epoch_stays: Flaw::EpochStays
        => l10_epochs_rise "L10", l10_epochs_rise_over_power_cuts "L10", l6_opens_again_with_what_was_durable "L10";
    forgets_the_last_record: Flaw::ForgetsRecord(0)
        => l3_synced_survives_kill "had to survive", l1_dense_positions "L1", l4_process_survives_kill "number of records";
    forgets_a_record_before_the_last: Flaw::ForgetsRecord(1)
        => l2_faithful "number of records", l9_prefix_after_kill "had to survive", l2_largest_record "number of records";
    full_for_ever: Flaw::FullForEver => l5_full_medium_refuses_until_there_is_space "not taken";
    identity_changes: Flaw::IdentityChanges => l13_identity_stays "L13";
    leaves_gaps: Flaw::LeavesGaps => l1_dense_positions "L1";
    logs_what_it_refuses: Flaw::LogsWhatItRefuses => l5_too_large_logs_nothing "number of records";
    misorders_bounds: Flaw::MisordersBounds => bounds_stand_in_order "do not stand in order";
    reader_ends_for_good: Flaw::ReaderEndsForGood
        => l7_goes_on_after_the_end "L7", l7_reader_while_threads_append "L7";
    reader_gives_undurable: Flaw::ReaderGivesUndurable
        => l7_only_durable_records "L7", l6_reading_goes_on "L2", l7_what_was_read_survives_power_cut "had to survive";
    reader_includes_after: Flaw::ReaderIncludesAfter => l7_starts_after_any_position "L7";
    reader_skips_trimmed: Flaw::ReaderSkipsTrimmed => l7_trimmed_never_a_gap "L7";
    retries_flushes: Flaw::RetriesFlushes => l6_first_failure_is_final "L6", l6_failure_reaches_every_waiter "L6";
    reuses_positions_after_trim: Flaw::ReusesPositionsAfterTrim
        => l11_no_reuse_after_trimming_all "L11", l13_identity_stays "L13", l11_no_reuse_after_power_cut "L11";
    strips_zeroes: Flaw::StripsZeroes => l2_faithful "L2";
    sync_falls_short: Flaw::SyncFallsShort => l3_sync_reaches_what_was_asked "L3";
    syncs_the_future: Flaw::SyncsTheFuture => sync_of_what_was_never_appended_is_misuse "never appended";
    trims_one_more: Flaw::TrimsOneMore => l8_keeps_what_is_above "L8";
    trims_undurable: Flaw::TrimsUndurable => l8_keeps_what_is_not_durable "L8";
}
