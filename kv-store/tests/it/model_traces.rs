//! The real store does what the model of stacked checkpoints says (`kv_testkit::stack_model`). A
//! store on a simulated disk takes steps, the model follows it, and the two are compared after each
//! step.
//!
//! # What is tried
//!
//! Every step that is possible within some bounds, in every situation that can be reached within
//! them: see [`explore`]. `cargo test -p kv-store --test it model_traces -- --include-ignored` also
//! tries larger bounds.
//!
//! # How actions are mapped
//!
//! Each action of the model, and what the real store does for it:
//!
//! - `Append`: a batch with durability `Process`. Further keys around the two of the model give
//!   these a block of their own in each part, and make each record fill a segment of the log.
//!   Absent keys are not deleted: the real store would write nothing for that.
//! - `Sync`: `sync`.
//! - `Freeze`: a record that fills the memtable, in the first opening; otherwise part of
//!   `checkpoint`.
//! - `BeginWrite`, `PublishWrite`, `FinishWrite`: `checkpoint` in a thread that pauses when a part
//!   is complete, before a manifest gets its name, before that name is synced, and before the first
//!   removal.
//! - `BeginMerge`, `PublishMerge`, `FinishMerge`: the job `kv-merge`, with the same pauses. It
//!   chooses what to merge, so the model tries every choice.
//! - `Trim`, `Remove`: the end of a checkpoint or merge: the store has to do them if the model can.
//!   In between there is a pause.
//! - `Compact`: `compact`, alone and as one step, with a merge of everything before it.
//! - `Pin`, `Unpin`: `pin` at the checkpoint in use, or at the beginning; the pin is dropped.
//! - `Read`: `get` of a key in a damaged part.
//! - `Damage`: a flipped bit in the block of a part that holds the two keys, while the store is
//!   closed.
//! - `Kill`, `CutPower`: the disk as it is, or as a power cut leaves it: nothing unsynced,
//!   everything, or a sample of it.
//! - `Open`: opening.
//!
//! While one thread is between its first rename of a manifest and the sync, or removes, it holds
//! the lock on the directory of checkpoints. The model allows the other thread more than that.
//!
//! # What is compared
//!
//! The follower keeps all states of the model that the store may be in: a power cut may leave many.
//! Each must predict what the store shows, or it is dropped, and one must remain. Compared are the
//! value of each key, or that it is damaged; the position at which opening ended, the checkpoint
//! that it used and those that it found bad; the checkpoints that are listed, with their positions
//! and the parts that they name, which are there or not; the checkpoint in use and how many parts
//! it has; how far the log is trimmed; and whether damage stops removals.
//!
//! # How the two may differ
//!
//! - The store may know that a key is absent, or has another value, without the damaged block.
//! - The log does not trim the segment that it continues.
//! - A checkpoint that a crash kept from being set aside is listed until the next one is made. In
//!   the model it is not listed: the newer checkpoint says what it was made from.
//! - A removal goes on that was decided on before damage was met. So nothing is read in between.
//! - Below a damaged checkpoint that was opened nevertheless, the store may know of bad ones. They
//!   stay as they are.

mod compare;
mod explore;
mod follower;
mod pausing;
mod possible;
mod real;

use explore::{Covered, explore};
use follower::{Crash, Follower, Step, Work};
use kv_testkit::stack_model::{Bounds, Record};
use pausing::Point;

const PUT: Step = Step::Append(Record::Put(0));
const PUT_OTHER: Step = Step::Append(Record::Put(1));
const DELETE: Step = Step::Append(Record::Delete(0));

/// A store that made a checkpoint of each of these records, and was killed.
fn with_checkpoints(records: &[Step]) -> Follower {
    let mut follower = Follower::new();
    follower.take(&Step::Open);
    for record in records {
        follower.take(record);
        follower.take(&Step::Begin(Work::Write));
        while follower.real.at(Work::Write).is_some() {
            follower.take(&Step::GoOn(Work::Write));
        }
    }
    let mut closed = follower.crashed(Crash::Kill);
    closed.real = closed.real.begin_again();
    closed
}

/// Bounds for what comes after this number of checkpoints, which are behind one crash: how many
/// records, and how many numbers, of which a checkpoint and a merge each take two.
fn bounds(checkpoints: u8, records: u8, numbers: u8) -> Bounds {
    Bounds {
        records: checkpoints + records,
        kinds: 1,
        numbers: 2 * checkpoints + numbers,
        crashes: 1 + u8::from(checkpoints > 0),
        damages: 0,
        pins: false,
        states: usize::MAX,
    }
}

/// Asserts that as many steps were taken as there are, nearly, and that this was seen.
fn assert_covered(covered: &Covered, steps: usize, seen: &[&str]) {
    assert!(covered.steps >= steps, "{covered:#?}");
    assert!(seen.iter().all(|what| covered.seen.contains(what)), "{seen:?} are not all among {covered:#?}");
}

/// Asserts that a crash came at each of these points of a write, while a merge was at that point.
fn assert_crashed(covered: &Covered, write: &[Option<Point>], merge: &[Option<Point>]) {
    for at in write.iter().flat_map(|write| merge.iter().map(|merge| [*write, *merge])) {
        assert!(covered.crashes.contains(&at), "no crash at {at:?}: {covered:#?}");
    }
}

const IDLE: Option<Point> = None;
const PART: Option<Point> = Some(Point::Part);
const PUBLISH: Option<Point> = Some(Point::Publish);
const FINISH: Option<Point> = Some(Point::Finish);
const REMOVE: Option<Point> = Some(Point::Remove);

#[test]
fn two_records_and_two_checkpoints() {
    let covered = explore(Follower::new(), Bounds { kinds: 2, ..bounds(0, 2, 4) });
    assert_covered(&covered, 2000, &["two memtables are frozen"]);
    assert_crashed(&covered, &[IDLE, PART, PUBLISH, FINISH], &[IDLE]);
}

#[test]
fn a_checkpoint_that_lets_an_older_one_go() {
    let covered = explore(with_checkpoints(&[PUT, PUT]), bounds(2, 1, 4));
    assert_covered(&covered, 600, &[]);
    assert_crashed(&covered, &[IDLE, PART, PUBLISH, FINISH, REMOVE], &[IDLE]);
}

#[test]
fn a_merge_behind_a_checkpoint() {
    let covered = explore(with_checkpoints(&[PUT, PUT, PUT]), bounds(3, 1, 4));
    assert_covered(&covered, 1000, &[]);
    assert_crashed(&covered, &[IDLE, PART, PUBLISH, FINISH, REMOVE], &[IDLE]);
    assert_crashed(&covered, &[IDLE], &[PART, PUBLISH, FINISH, REMOVE]);
}

/// The oldest part is large and is not merged, so that the deletion stays.
fn with_four_parts() -> Follower {
    with_checkpoints(&[Step::Fill, DELETE, PUT_OTHER, PUT_OTHER])
}

#[test]
fn a_merge_beside_a_checkpoint() {
    let covered = explore(with_four_parts(), Bounds { crashes: 1, ..bounds(4, 1, 4) });
    assert_covered(&covered, 400, &["a write and a merge", "merged above the bottom"]);
}

#[test]
fn damage_is_healed_or_reported() {
    let covered = explore(with_checkpoints(&[PUT, PUT_OTHER]), Bounds { damages: 1, ..bounds(2, 1, 2) });
    assert_covered(&covered, 1500, &["an older checkpoint stands in", "a value is lost", "removals stop"]);
}

#[test]
fn what_is_pinned_is_kept() {
    let covered = explore(with_checkpoints(&[PUT, PUT]), Bounds { crashes: 1, pins: true, ..bounds(2, 1, 4) });
    assert_covered(&covered, 250, &["compacted above a pin"]);
}

#[test]
#[ignore = "takes minutes"]
fn larger_bounds() {
    explore(Follower::new(), Bounds { crashes: 2, ..bounds(0, 2, 4) });
    let covered = explore(with_four_parts(), bounds(4, 1, 4));
    assert_crashed(&covered, &[PART], &[PART, PUBLISH, FINISH, REMOVE]);
    assert_crashed(&covered, &[PUBLISH, FINISH, REMOVE], &[PART]);
    explore(with_checkpoints(&[PUT, PUT]), Bounds { crashes: 3, damages: 1, ..bounds(2, 1, 2) });
    explore(with_checkpoints(&[PUT]), Bounds { crashes: 1, pins: true, ..bounds(1, 2, 4) });
}
