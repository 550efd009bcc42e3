//! Crashes, failures, full disks and damage of the whole engine, on a simulated disk: exhaustively where that is possible, and sampled beyond.
//!
//! | phase | what is looked at |
//! |---|---|
//! | after every operation | of the reference workload, the small ones, and of every verb in every state: killed, all lost, all kept |
//! | damage after a power cut | one damage to the log's segments, with every state in which a power cut may leave the ack mark |
//! | damage | every bit of every file of a small closed and a small killed store flipped, every length, sectors zeroed, swapped, stale and astray, files missing, older, under a neighbour's name |
//! | every operation fails | each operation of the reference workload, and of recoveries, with each error, once and for ever; then crashes |
//! | every size of the disk | space runs out at each size and at each step; then crashes, and space again |
//! | crash after a crash | each operation of a recovery, and of one after that |
//! | crash at every operation | of the reference workload, in all legal states or, where they are more, a share of them |
//!
//! After each: everything that was acknowledged is there, batches whole; a second recovery gives the same; damage is reported as damage, and nothing else is.
//!
//! `cargo test` looks at a share of it, `cargo xtask crash` at as much as it is told to.
//! `KV_CRASH_STATES` bounds the states, `KV_CRASH_SEED` chooses among them, `KV_CRASH_REPLAY` names
//! one of them alone, as a failure prints it, `KV_CRASH_PART` a part of them, as in `1/4`.
//! `KV_CRASH_COVERAGE` as `check` makes it an error that a combination of verb, state and fault is
//! not reached; as `table` it has all printed.

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
