//! Trying every order of the steps of threads, for crates that are built with `--cfg loom`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Instant,
};

/// Runs `model`, whose locks, atomics and threads are loom's, once for every order of their steps, or for every one with at most so many
/// preemptions. Prints how many those were, and returns what the runs came to: a test that compares this with what it expects sees that the search reached it.
///
/// # Panics
/// If a run does, if its threads wait for each other for ever, or if it does not do the same each time.
#[expect(clippy::print_stdout, reason = "how much was tried is a result")]
pub fn explore<T: Ord + Send + 'static>(
    name: &str,
    preemptions_max: Option<usize>,
    model: impl Fn() -> T + Send + Sync + 'static,
) -> BTreeSet<T> {
    let outcomes = Arc::new(Mutex::new((0, BTreeSet::new())));
    let counted = Arc::clone(&outcomes);
    let start = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = BRANCHES_MAX;
    builder.preemption_bound = preemptions_max;
    builder.check(move || {
        let outcome = model();
        let mut counted = counted.lock().unwrap();
        counted.0 += 1;
        counted.1.insert(outcome);
    });
    let (orders, outcomes) = std::mem::take(&mut *outcomes.lock().unwrap());
    let bound = preemptions_max.map_or_else(|| "all".to_owned(), |max| format!("at most {max} preemptions"));
    println!("{name}: {orders} orders ({bound}), {} outcomes, {:.1} s", outcomes.len(), start.elapsed().as_secs_f64());
    outcomes
}

/// How many steps one run may take: more than any does that ends.
const BRANCHES_MAX: usize = 20_000;
