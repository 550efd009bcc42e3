//! Random histories: whole runs of the engine on a simulated disk, each from a seed.
//!
//! # What is generated
//!
//! A run has at least three incarnations of a store. In each of them:
//!
//! - Several workers put, get, delete, compare and set, update and take keys. They write batches
//!   and transactions. They wait for a write at once, later or never. They iterate, and keep
//!   snapshots.
//! - A feed checker reads the change feed.
//! - A follower is opened beside the store, refreshed and read.
//! - Checkpoints are made. Collections are cleared, renamed, dropped and created.
//! - The disk fails, fills up, or stops at some operation.
//! - At the end, the power is cut or the process is killed. Some of the next openings are
//!   interrupted by another crash.
//!
//! # What is checked
//!
//! - **Linearizability.** What all workers saw of single keys and of the group, over all
//!   incarnations, has a sequential order. Acknowledged writes stay. A call that was pending in a
//!   crash took effect before the crash, or never. Where a crash may lose acknowledged writes (a
//!   power cut, and [`Durability::Process`](kv_core::Durability)), a new history begins.
//! - **Prefix.** The recovered state is the result of a prefix of the commits, in which each write
//!   finds the state that it was decided on. The prefix has every write that was acknowledged,
//!   seen, or given by the feed, at a level that survives the crash.
//! - **Strict serializability.** All reads of one transaction or snapshot show the state at a
//!   single position, and at the right one (see below).
//! - **Feed.** Over all incarnations, the feed gave every record once and in order. Its records
//!   lead from a snapshot to the state at each position. Every later snapshot has what the feed
//!   gave, and no crash takes it back.
//! - **Followers.** A follower shows at each position what the store has there, never goes back,
//!   and no crash takes back what it showed.
//! - **Answers without a write.** Each answer at a level that survives the crash is right at a
//!   position that was recovered: what the call looked at is still there.
//! - **Others.** Iterations see batches whole. Calls fail only with errors that the injected faults
//!   lead to.
//!
//! Strict serializability needs no search, because the order of commits is known: a recording log
//! knows which call each record comes from. So the writes are applied to one model, in that order.
//! Each transaction is checked against the model, step by step, at one position:
//!
//! - A transaction that wrote is checked at the position before its own.
//! - One that wrote nothing, failed or panicked is checked at any position between the last one
//!   that any caller was told of when it began, and the last one that was published when it ended.
//!
//! If each transaction has read the state before its own place in the order, the history is
//! serializable: a lost update, a write skew or a phantom would show as a read that differs from
//! the model. It is strict, because no transaction has a place before a position that any caller
//! had been told of when the transaction began.
//!
//! A snapshot reports its position, so each of its answers, however late, must match the state
//! there. That position must not be below what callers had been told of when the snapshot was
//! taken, nor above what had been begun by then. Reads without a snapshot have the same bounds as
//! transactions that wrote nothing.
//!
//! # How a failure is replayed
//!
//! A run that fails prints its seed and the command that repeats it. `KV_HISTORIES_SEEDS=N` runs N
//! seeds instead of the default number, from `KV_HISTORIES_SEED` on (or 0). On one thread, a seed
//! always gives the same run. With threads, the seed decides what each thread does, but not how the
//! threads interleave. So run a seed many times: `KV_HISTORIES_SEED=S KV_HISTORIES_SEEDS=1
//! KV_HISTORIES_TIMES=100`.
//!
//! # Modules
//!
//! - [`run`]: a run and its incarnations, and the checks after each crash.
//! - [`plan`]: what happens in one incarnation: faults, the end, the crash.
//! - [`engine`]: opens the engine on a simulated disk, with a recording log.
//! - [`recording_log`]: a log that records the order of commits.
//! - [`work`]: runs the workers, on threads or in turn.
//! - [`worker`]: one worker: its calls and what it knows.
//! - [`calls`]: the random calls; single keys and the group.
//! - [`verbs`]: calls that read a key and write it in one step.
//! - [`deferred`]: writes that are waited for later, or never.
//! - [`transactions`]: random transactions.
//! - [`snapshots`]: snapshots, iterations and reads.
//! - [`feed_checker`]: reads the change feed and checks it.
//! - [`follower_checker`]: follows the store and checks what is shown.
//! - [`observations`]: checks what was seen against the model.
//! - [`count`]: how much was done.
//!
//! # Words
//!
//! - **incarnation**: one opening of the store, up to its close or crash.
//! - **call**: one call of a worker. Its number is also the value that it writes.
//! - **group**: keys that only batches write, always together and with one value.
//! - **tag**: a value without its padding; it names the call that wrote it.
//! - **observation**: reads that must all be right at one position.
//! - **floor**: the last position that any caller was told of; a later call must not see less.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod count;
mod deferred;
mod engine;
mod feed_checker;
mod follower_checker;
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

#[expect(clippy::print_stderr, reason = "how much was done is part of the result")]
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
    let something_of_each =
        count.on_checkpoints > 0 && count.failures > 0 && count.lost > 0 && count.resumed > 0 && count.followed > 0;
    assert!(
        something_of_each || seeds.is_some(),
        "the runs did not reach checkpoints, failures, losses, resumed feeds and followers"
    );
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
