//! Whole runs of the engine on a simulated disk, each from a seed: several users put, get, delete, compare and set, update,
//! take, write batches and transactions, wait for them at once, later or never, iterate and keep snapshots, one follows the
//! feed of changes, while checkpoints are made, and collections are cleared, renamed, dropped and made; the disk fails, fills up,
//! and stops at some operation; the power is cut or the process killed; opening is cut off; and then the store lives on, at
//! least three times. Of each run it is checked that
//!
//! - what all users saw of single keys and of the group, in all lives, has an order in which it can have happened
//!   (linearizability), in which what was acknowledged stays and what was pending in a crash happened before it or never; where
//!   a crash may take acknowledged writes (a power cut, and [`Durability::Process`](kv_core::Durability)), a new history begins;
//! - what is recovered is a prefix of the commits in their order, in which each write finds the state that it was
//!   decided on: with every write that was acknowledged, seen, or given by the feed, at a level that survives the crash;
//! - what was seen of the whole store is the state at one position, and at the right one (below);
//! - what the feed gave, over all lives, is every record once, in order, and leads from a snapshot to the state at each position;
//!   every snapshot taken afterwards has it, and no crash takes it back;
//! - what was answered without a write, at a level that survives the crash, is right at a position
//!   that is recovered: what it rested on is left;
//! - iterations see batches whole, and errors are those that a failing disk leads to.
//!
//! **Strict serializability** needs no search, as the order of commits is known: the log is wrapped by a witness, which knows which
//! call each record is from. So there is one model, to which the writes are applied in that order, and each transaction, with what
//! its reads answered step by step, is held against it at one position: one that wrote, at the position before its own; one that wrote
//! nothing, failed or panicked, at any position between the last that anybody had been told of when it began and the last that was
//! published when it ended. Each transaction having read the state before its own place in the order is what serializable
//! means: a lost update, write skew or a phantom would show as a read that is another there. It is strict as no place is before one of
//! which somebody had been told before the call began. A snapshot says its position, so everything that it answers, however late,
//! has to be the state there; and that position lies between what had been told when it was taken and what had been begun. Reads
//! without a snapshot are held to the same bounds as transactions that wrote nothing.
//!
//! `KV_HISTORIES_SEEDS=N` runs N seeds instead of the usual ones, from `KV_HISTORIES_SEED` on (or 0). A seed that
//! fails is printed. On one thread the run is the same each time; with threads a seed decides what is done, but not
//! how it interleaves: run it many times (`KV_HISTORIES_SEED=S KV_HISTORIES_SEEDS=1 KV_HISTORIES_TIMES=100`).
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod calls;
mod count;
mod deferred;
mod engine;
mod feed_checker;
mod observations;
mod plan;
mod recording_log;
mod run;
mod snapshots;
mod transactions;
mod verbs;
mod work;
mod worker;

use std::{env, panic};

use count::Count;
use run::{Mode, Run};

/// How many seeds are run by default.
const SEEDS_WITH_THREADS: u64 = 100;
const SEEDS_ON_ONE_THREAD: u64 = 150;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}

#[expect(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn run_seeds(mode: Mode, default: u64) {
    let (first, seeds) = (number("KV_HISTORIES_SEED").unwrap_or(0), number("KV_HISTORIES_SEEDS"));
    let mut count = Count::default();
    for seed in first..first + seeds.unwrap_or(default) {
        for _ in 0..number("KV_HISTORIES_TIMES").unwrap_or(1) {
            let mut run = Run::new(seed, mode);
            run.execute();
            count.add(run.count);
        }
    }
    eprintln!("histories, {mode:?}: {count}");
    let something_of_each = count.on_checkpoints > 0 && count.failures > 0 && count.lost > 0 && count.resumed > 0;
    assert!(something_of_each || seeds.is_some(), "the runs are not what they are meant to be");
}

#[test]
fn histories_of_threads_are_linearizable_and_survive_crashes() {
    run_seeds(Mode::Threads, SEEDS_WITH_THREADS);
}

#[test]
fn histories_on_one_thread_are_linearizable_and_survive_crashes() {
    run_seeds(Mode::OneThread, SEEDS_ON_ONE_THREAD);
}

#[test]
fn a_run_on_one_thread_is_the_same_each_time() {
    for seed in 0..10 {
        let trace = || {
            let mut run = Run::new(seed, Mode::OneThread);
            run.execute();
            std::mem::take(&mut run.trace)
        };
        let first = trace();
        assert!(!first.is_empty());
        assert!(first == trace(), "seed {seed} leads to two runs");
    }
}

#[test]
fn a_disk_that_lies_is_found_out() {
    let is_found_out = |seed| panic::catch_unwind(|| Run::new(seed, Mode::LyingDisk).execute()).is_err();
    assert!((0..20).any(is_found_out));
}
