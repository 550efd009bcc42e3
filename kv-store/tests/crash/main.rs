//! The crash campaign: the whole engine, on a simulated disk that crashes, fails, fills up and
//! rots.
//!
//! # What is generated
//!
//! Workloads drive a store: a random reference workload, a few small ones, and every verb in every
//! state of log and checkpoints. The simulated disk records each operation. Each phase then turns
//! the recordings into states of the disk, exhaustively where that is possible, and by samples that
//! follow from the seed otherwise.
//!
//! | phase | what it checks |
//! |---|---|
//! | after every operation | the reference workload, the small ones, and every verb in every state: the process is killed, or the power is cut and all or nothing unsynced is lost |
//! | damage after a power cut | one damage to the log's segments, with states in which a power cut may leave the acknowledgement mark |
//! | damage | small stores, closed and killed: every bit flipped, every length, sectors zeroed, swapped, stale and misdirected, files missing, older, or copied to a neighbour's name |
//! | every operation fails | each operation of the reference workload and of recoveries, with each error, once and for ever; then crashes |
//! | every size of the disk | space runs out at each size and at each step; then crashes, and there is space again |
//! | crash after a crash | each operation of a recovery, and of the recovery after that |
//! | crash at every operation | each operation of the reference workload, in all legal states or, if these are too many, a share of them |
//!
//! # What is checked
//!
//! Everything acknowledged is there, at the level that it was acknowledged for. Batches are whole.
//! A second recovery gives the same state as the first. Damage is reported as damage, and nothing
//! else is. The store stays usable, and what it acknowledges later survives the next crash.
//!
//! The campaign also counts which verb, state and fault came together. With
//! `KV_CRASH_COVERAGE=check`, a pair that is never reached is an error, unless it is listed as
//! impossible.
//!
//! # How a failure is replayed
//!
//! A failure prints a line such as
//!
//! ```text
//! in the state KV_CRASH_SEED=0 KV_CRASH_REPLAY='store@120:posix:only:17'
//! ```
//!
//! With these variables in the environment, or with `cargo xtask crash --replay`, the campaign
//! checks this state alone.
//!
//! `cargo test` checks a small share of the states. `cargo xtask crash` checks 500,000, or as many
//! as `--states` says. `KV_CRASH_STATES` bounds the number of states, and `KV_CRASH_SEED` chooses
//! among them. `KV_CRASH_PART` selects a part of them, such as `1/4`. `KV_CRASH_COVERAGE=check`
//! makes it an error that a combination of verb, state and fault is not reached; `table` also
//! prints all counts.
//!
//! # Modules
//!
//! Workloads and the store:
//! - [`workload`]: the steps that workloads are made of, and the workloads.
//! - [`verbs`]: calls each verb of the engine and checks its answer.
//! - [`situation`]: every verb in every state, with the steps that lead there.
//! - [`engine`]: opens the engine on a simulated disk, and compares its content with the model.
//! - [`driver`]: drives a store through steps, and tells the oracle what was acknowledged.
//! - [`gate`]: holds a checkpoint half-way while something else is done.
//!
//! What must hold:
//! - [`oracle`]: what was begun and acknowledged, and so what each crash must leave.
//! - [`use_after_damage`]: a store that opens on a damaged disk can be used and crashed once more.
//! - [`findings`]: violations, progress and the table of results.
//! - [`coverage`]: which combinations of verb, state and fault were reached.
//! - [`impossible`]: combinations that cannot be reached, each with its reason.
//!
//! Phases:
//! - [`campaign`]: runs all phases within the number of states, and replays single ones.
//! - [`plan`]: the environment, and how the states are shared out.
//! - [`every_operation`]: after every operation.
//! - [`marks`]: damage after a power cut.
//! - [`damage`]: damage to small stores. [`fixture`] makes the stores, and [`damage_case`] lists
//!   the damage.
//! - [`faults`]: every operation fails.
//! - [`space`]: every size of the disk.
//! - [`crashes`]: crash at every operation, and crash after a crash.
//! - [`faulty_run`]: one workload on a disk that fails or is full; used by `faults` and `space`.
//! - [`parallel`]: runs work on all cores.
//! - [`self_tests`]: tests of the campaign itself.
//!
//! # Words
//!
//! - **moment**: the disk before one of its operations, in a recording.
//! - **choice**: which state a crash leaves, as in `posix:only:17`; see [`kv_testkit::sim`].
//! - **case**: one thing to check, with a name that replays it.
//! - **verb**: a call of the engine's interface. **State**: what holds of log and checkpoints, such
//!   as "torn" or "frozen"; [`coverage::State`] lists them. **Fault**: what the disk does.
//! - **activity**: a verb together with the states that hold when it begins.
//! - **promise**: the position up to which a crash of some kind must leave everything.
//! - **mark**: the acknowledgement mark (ack mark), the file `log/MARK`. It states which position
//!   was durable at the last acknowledgement, and so proves it.
//! - **claim**: the position that one written state of the mark proves.
//! - **group**: the records that one flush makes durable.

mod campaign;
mod coverage;
mod crashes;
mod damage;
mod damage_case;
mod driver;
mod engine;
mod every_operation;
mod faults;
mod faulty_run;
mod findings;
mod fixture;
mod gate;
mod impossible;
mod marks;
mod oracle;
mod parallel;
mod plan;
mod self_tests;
mod situation;
mod space;
mod use_after_damage;
mod verbs;
mod workload;

use campaign::Campaign;
use plan::Plan;

#[test]
fn campaign() {
    match std::env::var("KV_CRASH_REPLAY") {
        Ok(case) => Campaign::new(Plan::from_env()).replay(&case),
        Err(_) => Campaign::new(Plan::from_env()).run(),
    }
}
