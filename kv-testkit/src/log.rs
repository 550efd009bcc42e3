//! The suites for [`Log`] backends.
//!
//! A backend brings a harness, most easily one of [`harness`](crate::harness), and enrols with one
//! line per suite. Each line makes a module with one named `#[test]` per case, and a case is named
//! after the guarantee that it checks. What only some harnesses can do (cut the power, make a flush
//! fail, fill the disk, damage files) has a trait and a suite of its own. A harness that lacks an
//! ability has no line for its suite, and so no tests. No test passes without testing anything.
//!
//! The cases are plain functions in [`cases`]. They panic if the guarantee is broken.

use std::sync::Arc;

use kv_core::{Log, Result};

use crate::vfs::Files;

pub mod cases;
mod damage;
mod file_damage;
mod support;

/// A medium that a log is kept on, for [`log_suite!`](crate::log_suite). A new harness has a medium
/// without a log.
///
/// Give the log a small `record_bytes_max`, if it can be set, and small files, so that a few
/// records fill several of them.
pub trait LogHarness {
    /// Opens the log on the medium for writing, and creates it at the first call. What was opened
    /// on this medium before has been dropped, with or without [`close`](Log::close), and so have
    /// its readers.
    fn open(&mut self) -> Result<Arc<dyn Log>>;

    /// Replaces the medium by what is left if the process is killed at this instant. A log that is
    /// open stays on the old medium, and its changes do not show on the new one.
    ///
    /// Other threads may be appending meanwhile, so this must capture a single instant. For files,
    /// that is a copy of the directory: see [`TestVfs::image`](crate::vfs::TestVfs::image).
    fn kill(&mut self);
}

/// A medium whose power can be cut, for [`log_power_cut_suite!`](crate::log_power_cut_suite).
pub trait LogPowerCut: LogHarness {
    /// Like [`kill`](LogHarness::kill), but leaves what a power cut leaves: everything durable, and
    /// any part of the rest. The harshest choice finds the most bugs.
    fn cut_power(&mut self);
}

/// A medium that can be made to fail, for [`log_fault_suite!`](crate::log_fault_suite). The cases
/// have records wait for the flush that fails, so the log must flush `Disk` records in
/// [`sync`](Log::sync), and not on its own before that.
pub trait LogFaults: LogHarness {
    /// Makes the next flush of records fail once, in a way whose outcome cannot be known. Flushes
    /// of anything else, such as a file prepared in advance, do not count. Later flushes succeed,
    /// so a log that wrongly retries is detected.
    fn fail_next_flush(&mut self);
}

/// A medium that can be full, for [`log_space_suite!`](crate::log_space_suite).
pub trait LogSpace: LogHarness {
    /// From now on, the medium has no space beyond what it has already reserved, which is at most
    /// 64 MiB.
    fn fill(&mut self);

    /// Makes space available again.
    fn free(&mut self);
}

/// A medium whose bytes can be changed, for [`log_damage_suite!`](crate::log_damage_suite): the log
/// is kept in files.
pub trait LogDamage: LogHarness {
    /// Every file on the medium, as it is now. The log may be open.
    fn files(&mut self) -> Files;

    /// Replaces the medium by one that holds exactly these files, all of them durable. No log is
    /// open on it.
    fn restore(&mut self, files: &Files);
}

/// Enrols a backend in the suite for every [`Log`](kv_core::Log): the name of a module, and an
/// expression that makes a [`LogHarness`](crate::log::LogHarness). [The guide](crate) has an
/// example.
#[macro_export]
macro_rules! log_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, log, [
            l1_dense_positions,
            l1_dense_with_threads,
            l2_faithful,
            l2_faithful_over_many_records,
            l2_largest_record,
            l3_sync_reaches_what_was_asked,
            l3_sync_with_threads,
            l3_synced_survives_kill,
            l4_process_behind_disk_survives_with_it,
            l4_process_survives_kill,
            l5_too_large_logs_nothing,
            l7_begins_ahead_of_what_is_durable,
            l7_beyond_the_end_is_misuse,
            l7_goes_on_after_the_end,
            l7_only_durable_records,
            l7_reader_while_threads_append,
            l7_starts_after_any_position,
            l7_trimmed_never_a_gap,
            l8_beyond_the_end_is_misuse,
            l8_keeps_what_is_above,
            l8_keeps_what_is_not_durable,
            l8_trims_beneath_readers_and_writers,
            l9_prefix_after_kill,
            l9_prefix_after_kill_with_threads,
            l10_epochs_rise,
            l11_no_reuse_after_trimming_all,
            l12_close_makes_durable,
            l12_closed_log_is_readable,
            l13_identity_stays,
            bounds_are_ordered,
            medium_bytes_grow_with_the_log,
            sync_of_what_was_never_appended_is_misuse,
        ] }
    };
}

/// Enrols a backend whose harness is a [`LogPowerCut`](crate::log::LogPowerCut). Use it beside
/// [`log_suite!`](crate::log_suite).
#[macro_export]
macro_rules! log_power_cut_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, log, [
            l3_synced_survives_power_cut,
            l7_what_was_read_survives_power_cut,
            l9_prefix_after_power_cut,
            l10_epochs_rise_over_power_cuts,
            l11_no_reuse_after_power_cut,
            l12_closed_survives_power_cut,
        ] }
    };
}

/// Enrols a backend whose harness is a [`LogFaults`](crate::log::LogFaults). Use it beside
/// [`log_suite!`](crate::log_suite).
#[macro_export]
macro_rules! log_fault_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, log, [
            l6_close_does_not_hide_a_failure,
            l6_first_failure_is_final,
            l6_failure_reaches_every_waiter,
            l6_opens_again_with_what_was_durable,
            l6_reading_goes_on,
        ] }
    };
}

/// Enrols a backend whose harness is a [`LogSpace`](crate::log::LogSpace). Use it beside
/// [`log_suite!`](crate::log_suite).
#[macro_export]
macro_rules! log_space_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, log, [l5_full_medium_refuses_until_there_is_space] }
    };
}

/// Enrols a backend whose harness is a [`LogDamage`](crate::log::LogDamage). Use it beside
/// [`log_suite!`](crate::log_suite).
///
/// It damages a closed log and a killed log some ten thousand times, and opens it each time.
#[macro_export]
macro_rules! log_damage_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, log, [
            l14_flipped_bytes_after_close,
            l14_flipped_bytes_after_kill,
            l14_damaged_blocks_after_close,
            l14_damaged_blocks_after_kill,
            l14_damaged_files_after_close,
            l14_damaged_files_after_kill,
            l14_torn_tail_is_cut_and_reported,
        ] }
    };
}

/// Enrols a backend whose harness is a [`LogDamage`](crate::log::LogDamage) and a
/// [`LogPowerCut`](crate::log::LogPowerCut). Use it beside
/// [`log_damage_suite!`](crate::log_damage_suite).
#[macro_export]
macro_rules! log_power_cut_damage_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, log, [
            l14_flipped_bytes_after_power_cut,
            l14_damaged_blocks_after_power_cut,
            l14_damaged_files_after_power_cut,
        ] }
    };
}
