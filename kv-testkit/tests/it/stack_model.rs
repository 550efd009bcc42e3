//! The model of a store over stacked checkpoints keeps its promises, and each of its rules is
//! needed for them. `cargo test --release -p kv-testkit stack_model -- --include-ignored` also
//! tries the larger bounds.

use kv_testkit::stack_model::{Action, Bounds, Flaw, Reached, explore};

fn assert_kept(bounds: Bounds) -> Reached {
    let reached = explore(bounds, Flaw::None).unwrap_or_else(|found| panic!("{} by {:?}", found.what, found.steps));
    assert!(reached.is_complete, "{reached:?}");
    reached
}

#[test]
fn two_records() {
    let reached = assert_kept(ONE_KEY);
    assert!(reached.opened_newest > 0 && reached.fell_back > 0 && reached.opened_damaged > 0, "{reached:?}");
}

#[test]
fn two_crashes() {
    assert_kept(Bounds { crashes: 2, numbers: 5, ..ONE_KEY });
}

#[test]
fn three_checkpoints() {
    assert_kept(Bounds { damages: 0, ..THREE });
}

#[test]
fn pins() {
    assert_kept(Bounds { crashes: 0, damages: 0, pins: true, ..THREE });
}

#[test]
fn deletions_in_merges() {
    assert_kept(Bounds { numbers: 7, ..DELETIONS });
}

#[test]
#[ignore = "takes seconds in a release build"]
fn larger_bounds() {
    assert_kept(Bounds { kinds: 2, ..Bounds::SMALL });
    assert_kept(Bounds { crashes: 2, ..ONE_KEY });
    assert_kept(THREE);
    assert_kept(DELETIONS);
}

#[test]
#[ignore = "takes a minute in a release build"]
fn three_records_of_every_kind() {
    let reached = assert_kept(Bounds { records: 3, ..Bounds::SMALL });
    assert!(reached.states > 1_000_000, "{reached:?}");
}

/// Asserts that exploring the flawed model breaks a promise, by these steps among others.
fn assert_found(bounds: Bounds, flaw: Flaw, what: &str, last: Action) {
    let Err(found) = explore(bounds, flaw) else { panic!("no promise is broken") };
    assert_eq!(found.what, what, "by {:?}", found.steps);
    assert_eq!(found.steps.last(), Some(&last), "by {:?}", found.steps);
}

/// Makes a test for each flaw.
macro_rules! flaws {
    ($($test:ident: $flaw:ident in $bounds:expr => $what:literal, $last:expr;)*) => {
        $(#[test] fn $test() {
            assert_found($bounds, Flaw::$flaw, $what, $last);
            crate::caught::say_caught(module_path!(), stringify!($test), &["explore"]);
        })*
    };
}

const DELETIONS: Bounds = Bounds { records: 3, kinds: 2, numbers: 8, crashes: 0, damages: 0, ..Bounds::SMALL };
const ONE_KEY: Bounds = Bounds { kinds: 1, ..Bounds::SMALL };
const THREE: Bounds = Bounds { records: 3, ..ONE_KEY };

flaws! {
    checkpoint_ahead_of_log: CheckpointAheadOfLog in Bounds::SMALL
        => "locked out: the log ends before its newest checkpoint", Action::Open;
    damage_stays_undecided: DamageStaysUndecided in ONE_KEY
        => "damage that nothing can heal stops removals for good", Action::Open;
    drops_tombstones: DropsTombstones in DELETIONS
        => "a key has another value than the records say", Action::FinishMerge;
    ignores_pins: IgnoresPins in Bounds { crashes: 0, damages: 0, pins: true, ..THREE }
        => "what is pinned is gone", Action::Compact;
    merges_in_wrong_order: MergesInWrongOrder in Bounds::SMALL
        => "a key has another value than the records say", Action::FinishMerge;
    merges_over_newer: MergesOverNewer in Bounds { numbers: 8, crashes: 0, damages: 0, ..THREE }
        => "a key has another value than the records say", Action::FinishMerge;
    open_does_not_examine: OpenDoesNotExamine in ONE_KEY => "damage that was met is not healed", Action::Open;
    publishes_unsynced: PublishesUnsynced in ONE_KEY
        => "a checkpoint is bad although nothing was damaged", Action::Open;
    removes_before_sync: RemovesBeforeSync in Bounds { crashes: 2, ..ONE_KEY }
        => "locked out: history is missing", Action::Open;
    removes_though_damage_was_met: RemovesThoughDamageWasMet in THREE
        => "what could heal the damage was removed", Action::Open;
    set_aside_comes_back: SetAsideComesBack in Bounds { numbers: 8, crashes: 2, ..THREE }
        => "the log is trimmed to a checkpoint that is known to be bad", Action::Trim;
    tries_two_positions: TriesTwoPositions in THREE
        => "the store is damaged, although what is left restores everything", Action::Open;
    trims_to_newest: TrimsToNewest in ONE_KEY => "the log does not reach back to two checkpoints", Action::Trim;
}
