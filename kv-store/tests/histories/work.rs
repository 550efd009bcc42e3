//! The calls of all workers of an incarnation.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use kv_core::Store;
use kv_testkit::ManualScheduler;

use crate::{
    feed_checker::FeedChecker,
    follower_checker::FollowerChecker,
    worker::{Worker, assert_expected},
};

/// What reads beside the workers.
pub struct Checkers<'a> {
    pub feed: &'a mut FeedChecker,
    pub follower: &'a mut FollowerChecker,
}

/// Each worker makes its calls on a thread of its own, while checkpoints are made, and the feed and
/// a follower are checked.
pub fn work_in_threads<'a>(
    workers: Vec<Worker<'a>>,
    calls: u32,
    store: &Store,
    checkpoints: u32,
    checkers: Checkers<'_>,
) -> Vec<Worker<'a>> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let Checkers { feed, follower } = checkers;
        let readers = [scope.spawn(|| feed.follow(store, &done)), scope.spawn(|| follower.follow(&done))];
        let work = |mut worker: Worker<'a>| {
            (0..calls).for_each(|_| worker.step());
            worker
        };
        let threads: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || work(worker))).collect();
        for _ in 0..checkpoints {
            thread::sleep(Duration::from_micros(500));
            checkpoint(store);
        }
        let results: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().unwrap_or_else(|panic| resume_unwind(panic)));
        results.into_iter().map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// The same on this thread, with background work between the calls.
pub fn work_in_turn<'a>(
    mut workers: Vec<Worker<'a>>,
    calls: u32,
    store: &Store,
    rng: &mut fastrand::Rng,
    manual: &ManualScheduler,
    checkers: Checkers<'_>,
) -> Vec<Worker<'a>> {
    let Checkers { feed, follower } = checkers;
    for _ in 0..calls as usize * workers.len() {
        match rng.u8(..20) {
            0..4 => drop(manual.run_woken()),
            4 => checkpoint(store),
            5 => feed.step(store, Duration::ZERO),
            6 => follower.step(),
            _ => {
                let turn = rng.usize(..workers.len());
                workers[turn].step();
            }
        }
    }
    workers
}

/// Makes a checkpoint. One that fails leaves everything as it was.
fn checkpoint(store: &Store) {
    if let Err(error) = store.checkpoint() {
        assert_expected(&error);
    }
}
