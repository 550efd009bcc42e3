//! Crashes, failures, full disks and damage of the whole engine, on a simulated disk: first exhaustively, then sampled.
//!
//! `cargo test` looks at a share of it; `cargo xtask crash` at as much as it is told to.

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
    match std::env::var("KV_CAMPAIGN_REPLAY") {
        Ok(line) => Campaign::replay(&line),
        Err(_) => Campaign::from_env().run(),
    }
}
