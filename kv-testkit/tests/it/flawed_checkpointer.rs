//! Checkpointers with one flaw each.

mod backend;

use std::sync::{Arc, Mutex};

use kv_core::{Checkpointer, MemoryCheckpointMedium, MemoryCheckpointer};
use kv_testkit::{
    checkpointer::cases,
    harness::{Harness, in_memory},
};

use crate::caught::flaws;
use backend::{Flaw, Flawed};

fn flawed(flaw: Flaw) -> Harness<MemoryCheckpointMedium, Flawed> {
    in_memory(MemoryCheckpointMedium::new(), move |medium| {
        let inner = MemoryCheckpointer::open(medium);
        let newest = inner.list()?.first().copied();
        let hidden = newest.filter(|_| flaw == Flaw::ForgetsNewestAtOpening);
        Ok(Flawed {
            inner,
            flaw,
            removed: Arc::default(),
            newest: Arc::default(),
            writing: Arc::default(),
            hidden,
            mixed: Mutex::default(),
        })
    })
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
    damage_is_absence: Flaw::DamageIsAbsence => c4_damage_is_never_data "C5";
    drops_tombstones: Flaw::DropsTombstones => c5_tombstones "C5", c5_applies_changes "C5";
    empty_is_absent: Flaw::EmptyIsAbsent => c5_large_and_empty_values "C5", c5_empty "C5", c5_many_entries "C5";
    ends_pass_each_other: Flaw::EndsPassEachOther => c5_taken_from_both_ends "C5";
    failure_loses_old: Flaw::FailureLosesOld
        => c2_failed_write_leaves_nothing "C2", c2_failed_changes_leave_nothing "C2";
    failure_succeeds: Flaw::FailureSucceeds
        => c2_failed_write_leaves_nothing "C2", c2_failed_changes_leave_nothing "C2";
    follows_newest: Flaw::FollowsNewest => checkpoint_stays_as_it_is "C5";
    forgets_newest_at_opening: Flaw::ForgetsNewestAtOpening
        => c1_written_survives_kill "C1", c1_written_survives_power_cut "C1", c3_lists_newest_first "C3";
    get_many_skips_the_absent: Flaw::GetManySkipsTheAbsent => c5_applies_changes "get_many";
    get_with_forgets_to_call: Flaw::GetWithForgetsToCall => c5_applies_changes "get_with";
    hides_damaged: Flaw::HidesDamaged => c3_lists_what_is_damaged "C3";
    ignores_damage_met: Flaw::IgnoresDamageMet => c9_damage_stops_maintenance "C9";
    keeps_dropped_collections: Flaw::KeepsDroppedCollections => c5_drops_collections "C5";
    lists_oldest_first: Flaw::ListsOldestFirst => c3_lists_newest_first "C3";
    lists_what_is_set_aside: Flaw::ListsWhatIsSetAside
        => c7_sets_newer_ones_aside "C7", c7_sets_all_aside_without_previous "C7", c7_sets_damaged_ones_aside "C7";
    maintains_to_nothing: Flaw::MaintainsToNothing => c5_keeps_state_in_maintenance "C5";
    publishes_first: Flaw::PublishesFirst
        => c2_killed_write_leaves_nothing "C2", c2_power_cut_in_a_write_leaves_nothing "C2";
    remove_closes_it: Flaw::RemoveClosesIt => c6_removal_leaves_open_checkpoints_readable "C5";
    remove_fails_if_absent: Flaw::RemoveFailsIfAbsent => c6_removing_what_is_not_there "it is not there";
    retreats_from_the_front: Flaw::RetreatsFromTheFront
        => c5_taken_from_both_ends "C5", c5_keys_in_byte_order "C5", c5_bounds_of_every_kind "C5";
    seq_stays: Flaw::SeqStays => c8_ids_rise "C8";
    truncates_keys: Flaw::TruncatesKeys => c5_keys_in_byte_order "C5";
    write_disturbs_readers: Flaw::WriteDisturbsReaders => reads_with_threads_beside_a_write "C5";
    writers_mix: Flaw::WritersMix => writers_wait_for_each_other "C5";
}
