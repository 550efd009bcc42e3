//! Logs with one flaw each.

mod backend;
pub mod in_files;

use std::sync::{Arc, Mutex, atomic::AtomicBool};

use kv_core::{Bounds, Durability, Log, Lsn, MemoryLog, MemoryLogMedium};
use kv_testkit::{
    harness::{Harness, OnDisk, in_memory, on_disk},
    log::cases,
};

use crate::caught::flaws;
use backend::{Flaw, FlawedLog};
use in_files::{FileLog, Flaw as FileFlaw};

fn flawed(flaw: Flaw) -> Harness<MemoryLogMedium, FlawedLog> {
    let mut opened = 0;
    in_memory(empty(), move |medium| {
        opened += 1;
        if let Flaw::ForgetsRecord(from_end) = flaw {
            forget(medium, from_end);
        }
        let mut inner = MemoryLog::open(medium)?;
        let Bounds { trimmed, durable, .. } = inner.bounds();
        if flaw == Flaw::ReusesPositionsAfterTrim && trimmed == durable {
            drop(inner);
            *medium = empty();
            inner = MemoryLog::open(medium)?;
        }
        Ok(FlawedLog {
            inner,
            flaw,
            opened,
            trimmed: Mutex::default(),
            shadow: Arc::default(),
            failed: AtomicBool::new(false),
            was_full: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    })
}

fn empty() -> MemoryLogMedium {
    MemoryLogMedium::with_record_bytes_max(1 << 20)
}

/// Removes the n-th record from the end.
fn forget(medium: &mut MemoryLogMedium, from_end: usize) {
    let log = MemoryLog::open(medium).unwrap();
    let mut records = Vec::new();
    let mut reader = log.reader(Lsn::START).unwrap();
    while let Some(record) = reader.next().unwrap() {
        records.push(record.payload.to_vec());
    }
    if records.len() > from_end {
        records.remove(records.len() - 1 - from_end);
    }
    *medium = empty();
    let log = MemoryLog::open(medium).unwrap();
    for record in records {
        log.append(&record, Durability::Process).unwrap();
    }
}

fn flawed_in_files(flaw: FileFlaw) -> OnDisk<FileLog> {
    on_disk(move |vfs| FileLog::open_with(&*vfs, flaw)).records_in("log")
}

macro_rules! run {
    ($case:ident, $flaw:expr) => {
        cases::$case(&mut flawed($flaw))
    };
}

macro_rules! run_in_files {
    ($case:ident, $flaw:expr) => {
        cases::$case(&mut flawed_in_files($flaw))
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
    counts_no_bytes: Flaw::CountsNoBytes => medium_bytes_grow_with_the_log "reported to take";
    epoch_stays: Flaw::EpochStays
        => l10_epochs_rise "L10", l10_epochs_rise_over_power_cuts "L10", l6_opens_again_with_what_was_durable "L10";
    forgets_the_last_record: Flaw::ForgetsRecord(0)
        => l3_synced_survives_kill "had to survive", l1_dense_positions "L1",
        l4_process_behind_disk_survives_with_it "number of records", l4_process_survives_kill "number of records";
    forgets_a_record_before_the_last: Flaw::ForgetsRecord(1)
        => l2_faithful "number of records", l2_faithful_over_many_records "number of records",
        l9_prefix_after_kill "had to survive", l2_largest_record "number of records";
    full_for_ever: Flaw::FullForEver => l5_full_medium_refuses_until_there_is_space "is refused";
    identity_changes: Flaw::IdentityChanges => l13_identity_stays "L13";
    leaves_gaps: Flaw::LeavesGaps => l1_dense_positions "L1", l7_reader_while_threads_append "L7";
    logs_what_it_refuses: Flaw::LogsWhatItRefuses => l5_too_large_logs_nothing "number of records";
    misorders_bounds: Flaw::MisordersBounds => bounds_are_ordered "are out of order";
    reader_begins_where_it_is_durable: Flaw::ReaderBeginsWhereItIsDurable
        => l7_begins_ahead_of_what_is_durable "a reader after 6 gave record 6";
    reader_ends_for_good: Flaw::ReaderEndsForGood
        => l7_goes_on_after_the_end "L7";
    reader_gives_undurable: Flaw::ReaderGivesUndurable
        => l7_only_durable_records "L7", l6_reading_goes_on "L2", l7_what_was_read_survives_power_cut "had to survive";
    reader_includes_after: Flaw::ReaderIncludesAfter => l7_starts_after_any_position "L7";
    reader_skips_trimmed: Flaw::ReaderSkipsTrimmed => l7_trimmed_never_a_gap "L7";
    reads_the_future: Flaw::ReadsTheFuture => l7_beyond_the_end_is_misuse "reader of position 1 gave Ok";
    refuses_without_a_word: Flaw::RefusesWithoutAWord => l7_beyond_the_end_is_misuse "says only";
    retries_flushes: Flaw::RetriesFlushes => l6_first_failure_is_final "L6", l6_failure_reaches_every_waiter "L6";
    reuses_positions_after_trim: Flaw::ReusesPositionsAfterTrim
        => l11_no_reuse_after_trimming_all "L11", l13_identity_stays "L13", l11_no_reuse_after_power_cut "L11";
    strips_zeroes: Flaw::StripsZeroes => l2_faithful "L2";
    sync_falls_short: Flaw::SyncFallsShort => l3_sync_reaches_what_was_asked "L3";
    syncs_the_future: Flaw::SyncsTheFuture => sync_of_what_was_never_appended_is_misuse "sync of position 4 gave Ok";
    trims_one_more: Flaw::TrimsOneMore => l8_keeps_what_is_above "L8", l8_trims_beneath_readers_and_writers "L8";
    trims_the_future: Flaw::TrimsTheFuture => l8_beyond_the_end_is_misuse "trim of position 1 gave Ok";
    trims_undurable: Flaw::TrimsUndurable => l8_keeps_what_is_not_durable "L8";
}

// The same in files, whose bytes can be damaged.
flaws! { run_in_files:
    cuts_without_a_word: FileFlaw::CutsWithoutAWord => l14_torn_tail_is_cut_and_reported "do not report it";
    damage_is_an_io_error: FileFlaw::DamageIsAnIoError
        => l14_flipped_bytes_after_close "instead of Corrupt", l14_damaged_blocks_after_kill "instead of Corrupt";
    drops_what_follows_damage: FileFlaw::DropsWhatFollowsDamage
        => l14_flipped_bytes_after_close "are missing", l14_flipped_bytes_after_kill "are missing",
        l14_damaged_blocks_after_close "are missing", l14_damaged_blocks_after_kill "are missing",
        l14_damaged_files_after_close "are missing", l14_damaged_files_after_kill "are missing",
        l14_flipped_bytes_after_power_cut "are missing", l14_damaged_blocks_after_power_cut "are missing";
    forgets_to_sync_the_directory: FileFlaw::ForgetsToSyncTheDirectory
        => l3_synced_survives_power_cut "had to survive", l12_closed_survives_power_cut "number of records";
    gives_damaged_bytes: FileFlaw::GivesDamagedBytes
        => l14_flipped_bytes_after_close "not the one", l14_flipped_bytes_after_kill "not the one",
        l14_damaged_blocks_after_close "not the one";
    leaves_what_it_cuts: FileFlaw::LeavesWhatItCuts => l14_torn_tail_is_cut_and_reported "is not the one";
    marks_without_sync: FileFlaw::MarksWithoutSync
        => l14_flipped_bytes_after_power_cut "are missing", l14_damaged_blocks_after_power_cut "are missing";
    missing_is_new: FileFlaw::MissingIsNew
        => l14_damaged_files_after_close "log is gone", l14_damaged_files_after_kill "log is gone";
    names_no_place: FileFlaw::NamesNoPlace
        => l14_flipped_bytes_after_close "does not say where", l14_damaged_files_after_power_cut "does not say where";
    panics_over_damage: FileFlaw::PanicsOverDamage => l14_flipped_bytes_after_kill "damage: log has bit";
    reads_on_behind_damage: FileFlaw::ReadsOnBehindDamage => l14_flipped_bytes_after_close "skipped a record";
    refuses_torn_tails: FileFlaw::RefusesTornTails => l14_torn_tail_is_cut_and_reported "torn tail is refused";
    skips_damaged_records: FileFlaw::SkipsDamagedRecords => l14_flipped_bytes_after_close "skipped a record";
    trusts_its_header: FileFlaw::TrustsItsHeader
        => l14_flipped_bytes_after_close "identity";
}
