//! Logs with one flaw each.

mod backend;

use std::sync::{Arc, Mutex, atomic::AtomicBool};

use kv_core::{Bounds, Crash, Durability, Log, Lsn, MemoryLog, MemoryLogMedium, Result};
use kv_testkit::log::{LogFaults, LogHarness, LogPowerCut, LogSpace, cases};

use crate::caught::flaws;
use backend::{Flaw, FlawedLog};

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
        => l3_synced_survives_kill "had to survive", l3_sync_with_threads "L3",
        l9_prefix_after_kill_with_threads "had to survive", l3_synced_survives_power_cut "had to survive";
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
        => l3_synced_survives_kill "had to survive", l1_dense_positions "L1",
        l4_process_behind_disk_survives_with_it "number of records", l4_process_survives_kill "number of records";
    forgets_a_record_before_the_last: Flaw::ForgetsRecord(1)
        => l2_faithful "number of records", l2_faithful_over_many_records "number of records",
        l9_prefix_after_kill "had to survive", l2_largest_record "number of records";
    full_for_ever: Flaw::FullForEver => l5_full_medium_refuses_until_there_is_space "not taken";
    identity_changes: Flaw::IdentityChanges => l13_identity_stays "L13";
    leaves_gaps: Flaw::LeavesGaps => l1_dense_positions "L1", l7_reader_while_threads_append "L7";
    logs_what_it_refuses: Flaw::LogsWhatItRefuses => l5_too_large_logs_nothing "number of records";
    misorders_bounds: Flaw::MisordersBounds => bounds_stand_in_order "do not stand in order";
    reader_ends_for_good: Flaw::ReaderEndsForGood
        => l7_goes_on_after_the_end "L7";
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
    trims_one_more: Flaw::TrimsOneMore => l8_keeps_what_is_above "L8", l8_trims_beneath_readers_and_writers "L8";
    trims_undurable: Flaw::TrimsUndurable => l8_keeps_what_is_not_durable "L8";
}
