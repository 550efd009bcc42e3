//! Checkpointers with one flaw each.

mod backend;

use std::sync::Arc;

use kv_core::{MemoryCheckpointMedium, MemoryCheckpointer};
use kv_testkit::{
    checkpointer::cases,
    harness::{Harness, in_memory},
};

use crate::caught::flaws;
use backend::{Flaw, Flawed, Shared};

fn flawed(flaw: Flaw) -> Harness<MemoryCheckpointMedium, Flawed> {
    let of_all_openings = Arc::new(Shared::default());
    in_memory(MemoryCheckpointMedium::new(), move |medium| {
        let shared = if flaw == Flaw::DamageIsNeverOver { Arc::clone(&of_all_openings) } else { Arc::default() };
        Flawed::new(MemoryCheckpointer::open(medium), flaw, shared)
    })
}

/// The flaws are what the cases find, and not the way in which they are brought in.
mod without_a_flaw {
    use super::{Flaw, Flawed, Harness, MemoryCheckpointMedium, flawed};

    fn sound() -> Harness<MemoryCheckpointMedium, Flawed> {
        flawed(Flaw::None)
    }

    kv_testkit::checkpointer_suite!(suite, sound);
    kv_testkit::checkpointer_power_cut_suite!(power_cut, sound);
    kv_testkit::checkpointer_fault_suite!(faults, sound);
    kv_testkit::checkpointer_damage_suite!(damage, sound);
}

macro_rules! run {
    ($case:ident, $flaw:expr) => {
        cases::$case(&mut flawed($flaw))
    };
}

flaws! { run:
    bounds_are_exclusive: Flaw::BoundsAreExclusive => c5_bounds_of_every_kind "C5";
    cancelled_is_done: Flaw::CancelledIsDone => c2_cancelled_write_leaves_nothing "C2";
    cursor_backwards: Flaw::CursorBackwards
        => c5_keys_in_byte_order "C5", c5_bounds_of_every_kind "C5";
    collections_are_one: Flaw::CollectionsAreOne => c5_collections_are_independent "C5";
    cursor_ends_with_checkpoint: Flaw::CursorEndsWithCheckpoint => cursor_is_owned "ends before";
    damage_is_absence: Flaw::DamageIsAbsence => c4_damage_is_never_data "C5", c10_damage_is_examined "C5";
    damage_is_never_over: Flaw::DamageIsNeverOver
        => c9_damage_stops_removal "C9", c9_damage_that_is_set_aside_stops_nothing "C9";
    damage_is_not_reported: Flaw::DamageIsNotReported => c9_damage_stops_removal "C9";
    drops_tombstones: Flaw::DropsTombstones => c5_tombstones "C5", c5_applies_changes "C5";
    empty_is_absent: Flaw::EmptyIsAbsent => c5_large_and_empty_values "C5", c5_empty "C5", c5_many_entries "C5";
    ends_pass_each_other: Flaw::EndsPassEachOther => c5_taken_from_both_ends "C5";
    failure_loses_old: Flaw::FailureLosesOld
        => c2_failed_write_leaves_nothing "C2", c2_failed_changes_leave_nothing "C2";
    failure_succeeds: Flaw::FailureSucceeds
        => c2_failed_write_leaves_nothing "C2", c2_failed_changes_leave_nothing "C2",
        c2_failed_maintenance_leaves_nothing "C2";
    follows_newest: Flaw::FollowsNewest => checkpoint_stays_as_it_is "C5";
    forgets_damage_at_opening: Flaw::ForgetsDamageAtOpening => c9_damage_stops_removal "C9";
    forgets_newest_at_opening: Flaw::ForgetsNewestAtOpening
        => c1_written_survives_kill "C1", c1_written_survives_power_cut "C1", c3_lists_newest_first "C3",
        c1_maintained_survives_kill "C1", c1_maintained_survives_power_cut "C1";
    get_many_skips_the_absent: Flaw::GetManySkipsTheAbsent => c5_applies_changes "get_many";
    get_with_forgets_to_call: Flaw::GetWithForgetsToCall => c5_applies_changes "get_with";
    hides_damaged: Flaw::HidesDamaged => c3_lists_what_is_damaged "C3";
    keeps_dropped_collections: Flaw::KeepsDroppedCollections => c5_drops_collections "C5";
    keeps_old_names: Flaw::KeepsOldNames => c5_renames_collections "C5";
    lists_oldest_first: Flaw::ListsOldestFirst => c3_lists_newest_first "C3";
    lists_what_is_set_aside: Flaw::ListsWhatIsSetAside
        => c7_sets_newer_ones_aside "C7", c7_sets_all_aside_without_previous "C7", c7_sets_damaged_ones_aside "C7";
    maintains_before_asking: Flaw::MaintainsBeforeAsking
        => c2_cancelled_maintenance_leaves_nothing "C2", c2_killed_maintenance_leaves_nothing "C2",
        c2_power_cut_in_maintenance_leaves_nothing "C2", c5_maintenance_takes_in_a_write "C7";
    maintains_for_ever: Flaw::MaintainsForEver => c5_maintenance_keeps_the_state "never ends";
    maintains_nothing: Flaw::MaintainsNothing => c5_maintenance_of_nothing "C5";
    maintains_over_newer: Flaw::MaintainsOverNewer => c5_maintenance_takes_in_a_write "C7";
    maintains_to_nothing: Flaw::MaintainsToNothing => c5_maintenance_keeps_the_state "C7";
    maintains_without_a_key: Flaw::MaintainsWithoutAKey
        => c5_maintenance_keeps_the_state "C5", maintenance_beside_writes "C5";
    maintenance_waits_for_writes: Flaw::MaintenanceWaitsForWrites
        => maintenance_does_not_wait_for_a_write "wait for each other";
    names_are_missing: Flaw::NamesAreMissing => c5_empty "C5", c5_drops_collections "C5";
    open_damaged_refuses: Flaw::OpenDamagedRefuses => c10_damage_is_examined "C10";
    open_does_not_examine: Flaw::OpenDoesNotExamine
        => c10_damage_is_examined "C10", c9_damage_that_is_set_aside_stops_nothing "C10";
    publishes_first: Flaw::PublishesFirst
        => c2_killed_write_leaves_nothing "C2", c2_power_cut_in_a_write_leaves_nothing "C2";
    reads_beyond_the_end: Flaw::ReadsBeyondTheEnd => c5_taken_from_both_ends "C5";
    remove_closes_it: Flaw::RemoveClosesIt => c6_removal_leaves_open_checkpoints_readable "C5";
    remove_fails_if_absent: Flaw::RemoveFailsIfAbsent => c6_removing_what_is_not_there "it is not there";
    removes_though_damage_was_met: Flaw::RemovesThoughDamageWasMet => c9_damage_stops_removal "C9";
    retreats_from_the_front: Flaw::RetreatsFromTheFront
        => c5_taken_from_both_ends "C5", c5_keys_in_byte_order "C5", c5_bounds_of_every_kind "C5";
    seq_is_used_again: Flaw::SeqIsUsedAgain => c8_no_number_is_used_twice "C8";
    seq_stays: Flaw::SeqStays => c8_ids_rise "C8";
    sets_maintained_aside: Flaw::SetsMaintainedAside
        => c7_keeps_what_maintenance_made "C7", maintenance_does_not_wait_for_a_write "C7";
    size_counts_deletions_of_nothing: Flaw::SizeCountsDeletionsOfNothing => c5_deletions_of_nothing "C5";
    size_ignores_deletions: Flaw::SizeIgnoresDeletions => c5_tombstones "C5";
    tombstone_is_an_entry: Flaw::TombstoneIsAnEntry => c5_deletions_of_nothing "C5", c5_tombstones "C5";
    truncates_keys: Flaw::TruncatesKeys => c5_keys_in_byte_order "C5";
    write_disturbs_readers: Flaw::WriteDisturbsReaders => reads_with_threads_beside_a_write "C5";
    write_stops_at_damage: Flaw::WriteStopsAtDamage => c9_writing_goes_on_after_damage "C9";
    writers_mix: Flaw::WritersMix => writers_wait_for_each_other "C5";
}
