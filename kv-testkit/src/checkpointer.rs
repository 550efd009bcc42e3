//! The suites for [`Checkpointer`] backends. They are built like [those for logs](crate::log):
//! harness traits, one macro per suite, and the cases as plain functions in [`cases`].
//! [`harness`](crate::harness) has harnesses for most backends.

use std::sync::Arc;

use kv_core::{CheckpointId, Checkpointer, Result};

pub mod cases;
mod image;
mod support;

pub use support::read_below;

/// A medium that checkpoints are kept on, for [`checkpointer_suite!`](crate::checkpointer_suite). A
/// new harness has an empty medium.
pub trait CheckpointerHarness {
    /// Opens the checkpoints on the medium. Everything that was opened on this medium before has
    /// been dropped.
    fn open(&mut self) -> Result<Arc<dyn Checkpointer>>;

    /// Replaces the medium by what is left if the process is killed at this instant, which may be
    /// in the middle of a `write`. What is open stays on the old medium, and its changes do not
    /// show on the new one.
    fn kill(&mut self);
}

/// A medium whose power can be cut, for
/// [`checkpointer_power_cut_suite!`](crate::checkpointer_power_cut_suite).
pub trait CheckpointerPowerCut: CheckpointerHarness {
    /// Like [`kill`](CheckpointerHarness::kill), but leaves what a power cut leaves: everything
    /// durable, and any part of the rest.
    fn cut_power(&mut self);
}

/// A medium that can be made to fail, for
/// [`checkpointer_fault_suite!`](crate::checkpointer_fault_suite).
pub trait CheckpointerFaults: CheckpointerHarness {
    /// Makes the n-th operation on the medium from now on fail once, counted from 1. Only
    /// operations that a `write` or `maintain` needs for its success count: writing, syncing,
    /// renaming.
    fn fail_nth_operation(&mut self, n: u64);

    /// Returns whether the requested failure has happened. If it has not, it is cancelled.
    fn failed(&mut self) -> bool;
}

/// A medium that can be damaged, for
/// [`checkpointer_damage_suite!`](crate::checkpointer_damage_suite). Nothing is open when these
/// methods are called.
pub trait CheckpointerDamage: CheckpointerHarness {
    /// Changes at least one byte of what is stored for a checkpoint, but not its name. Each number
    /// selects another place.
    fn damage(&mut self, id: CheckpointId, number: u64);

    /// Repairs all damage.
    fn repair(&mut self);

    /// Runs the backend's full verification.
    fn verify(&mut self) -> Result<()>;
}

/// Enrols a backend in the suite for every [`Checkpointer`](kv_core::Checkpointer): the name of a
/// module, and an expression that makes a
/// [`CheckpointerHarness`](crate::checkpointer::CheckpointerHarness).
#[macro_export]
macro_rules! checkpointer_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, checkpointer, [
            c1_maintained_survives_kill,
            c1_written_survives_kill,
            c2_cancelled_maintenance_leaves_nothing,
            c2_cancelled_write_leaves_nothing,
            c2_failed_changes_leave_nothing,
            c2_killed_maintenance_leaves_nothing,
            c2_killed_write_leaves_nothing,
            c3_lists_newest_first,
            c5_applies_changes,
            c5_bounds_of_every_kind,
            c5_collections_are_independent,
            c5_deletions_of_nothing,
            c5_drops_collections,
            c5_empty,
            c5_keys_in_byte_order,
            c5_large_and_empty_values,
            c5_maintenance_keeps_the_state,
            c5_maintenance_of_nothing,
            c5_maintenance_takes_in_a_write,
            c5_many_entries,
            c5_renames_collections,
            c5_taken_from_both_ends,
            c5_tombstones,
            c6_removal_leaves_open_checkpoints_readable,
            c6_removing_what_is_not_there,
            c7_keeps_what_maintenance_made,
            c7_sets_newer_ones_aside,
            c7_sets_all_aside_without_previous,
            c8_ids_rise,
            c8_no_number_is_used_twice,
            checkpoint_stays_as_it_is,
            cursor_is_owned,
            maintenance_beside_writes,
            maintenance_does_not_wait_for_a_write,
            reads_with_threads_beside_a_write,
            writers_wait_for_each_other,
        ] }
    };
}

/// Enrols a backend whose harness is a
/// [`CheckpointerPowerCut`](crate::checkpointer::CheckpointerPowerCut). Use it beside
/// [`checkpointer_suite!`](crate::checkpointer_suite).
#[macro_export]
macro_rules! checkpointer_power_cut_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, checkpointer, [
            c1_maintained_survives_power_cut,
            c1_written_survives_power_cut,
            c2_power_cut_in_maintenance_leaves_nothing,
            c2_power_cut_in_a_write_leaves_nothing,
        ] }
    };
}

/// Enrols a backend whose harness is a
/// [`CheckpointerFaults`](crate::checkpointer::CheckpointerFaults). Use it beside
/// [`checkpointer_suite!`](crate::checkpointer_suite).
#[macro_export]
macro_rules! checkpointer_fault_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, checkpointer, [
            c2_failed_maintenance_leaves_nothing,
            c2_failed_write_leaves_nothing,
        ] }
    };
}

/// Enrols a backend whose harness is a
/// [`CheckpointerDamage`](crate::checkpointer::CheckpointerDamage). Use it beside
/// [`checkpointer_suite!`](crate::checkpointer_suite).
#[macro_export]
macro_rules! checkpointer_damage_suite {
    ($module:ident, $make:expr) => {
        $crate::enrol! { $module, $make, checkpointer, [
            c3_lists_what_is_damaged,
            c4_damage_is_never_data,
            c7_sets_damaged_ones_aside,
            c9_damage_stops_removal,
            c9_damage_that_is_set_aside_stops_nothing, c9_writing_goes_on_after_damage,
            c10_damage_is_examined,
        ] }
    };
}
