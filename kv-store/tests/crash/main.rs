//! Crashes, failures, full disks and damage of the whole engine, on a simulated disk: exhaustively where that is possible, and sampled beyond.
//!
//! | phase | what is looked at |
//! |---|---|
//! | damage | every bit of every file of a small closed and a small killed store flipped, every length, sectors zeroed, swapped, stale and astray, files missing, older, under a neighbour's name |
//! | every operation fails | each operation of the reference workload, and of recoveries, with each error, once and for ever; then crashes |
//! | every size of the disk | space runs out at each size and at each step; then crashes, and space again |
//! | crash after a crash | each operation of a recovery, and of one after that |
//! | crash at every operation | of the reference workload, in all legal states or, where they are more, a share of them |
//!
//! After each: everything that was acknowledged is there, batches whole; a second recovery gives the same; damage is reported as damage, and nothing else is.
//!
//! `cargo test` looks at a share of it, `cargo xtask crash` at as much as it is told to. `KV_CRASH_STATES` bounds the states, `KV_CRASH_SEED` chooses among
//! them, `KV_CRASH_REPLAY` names one of them alone, as a failure prints it.

mod base;
mod campaign;
mod case;
mod crashes;
mod damage;
mod engine;
mod faults;
mod finding;
mod known;
mod space;
mod spread;
mod suite;
mod trial;
mod workload;

use campaign::Campaign;

#[test]
fn campaign() {
    match std::env::var("KV_CRASH_REPLAY") {
        Ok(case) => Campaign::from_env().replay(&case),
        Err(_) => Campaign::from_env().run(),
    }
}
