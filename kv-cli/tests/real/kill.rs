//! A writer with several threads, killed at random moments: after each kill everything acknowledged
//! is there, batches are complete, and the store verifies.

use std::{
    ops::Range,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::{ledger::Ledger, process::Running, tools, writer::Job};

/// How often the writer is killed, at most: by `cargo xtask crash --real`. Otherwise a seventh as
/// often.
const KILLS: u64 = 210;
/// How often it is killed with the same store.
const KILLS_OF_ONE: u64 = 10;
/// More steps than a writer has time for.
const STEPS: u64 = 1_000_000;

#[test]
fn killed_at_any_moment() {
    let mut rng = Rng::with_seed(tools::seed());
    let started = Instant::now();
    let kills = (KILLS / tools::every()).max(KILLS_OF_ONE);
    let mut acknowledged = 0;
    for first in (0..kills).step_by(KILLS_OF_ONE as usize) {
        acknowledged += killed_again_and_again(&mut rng, first..kills.min(first + KILLS_OF_ONE));
    }
    tools::say(&format!(
        "SIGKILL at random: {kills} kills, {acknowledged} writes acknowledged, all recovered, {:.1} s",
        started.elapsed().as_secs_f64()
    ));
}

/// Kills the writers of one store. Returns how many writes were acknowledged.
fn killed_again_and_again(rng: &mut Rng, kills: Range<u64>) -> usize {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for kill in kills {
        let first = kill * STEPS;
        let job = Job { threads: 1 + rng.u32(0..4), incarnations: std::iter::once(first..first + STEPS).collect() };
        let out = killed(&job, home.path(), kill % 2 == 0, rng.u64(1..150));
        ledger.note(&job, &out);
        ledger.prove(home.path(), &(kill, tools::seed(), &job));
    }
    ledger.acknowledged
}

/// Kills a writer `after_ms` after its start, or after its first acknowledgement, and returns what
/// it had printed.
fn killed(job: &Job, dir: &Path, has_begun: bool, after_ms: u64) -> String {
    let mut writer = Running::start(job, dir);
    if has_begun {
        writer.acknowledges();
    }
    thread::sleep(Duration::from_millis(after_ms));
    assert!(writer.runs(), "the writer ended by itself");
    writer.killed()
}
