//! Exploring every interleaving of the steps of threads, for crates that are built with `--cfg
//! loom`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Instant,
};

/// Runs `model`, whose locks, atomics and threads are loom's, once for every interleaving of their
/// steps, or for those with at most `preemptions_max` preemptions. Prints how many runs there were,
/// and returns the set of their results. A test compares this set with the results that it expects.
/// So it notices if the search does not reach one of them.
///
/// # Panics
/// If a run panics, if its threads deadlock, or if the model is not deterministic.
#[expect(clippy::print_stdout, reason = "the number of interleavings is a result")]
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
    let (interleavings, outcomes) = std::mem::take(&mut *outcomes.lock().unwrap());
    let bound = preemptions_max.map_or_else(|| "all".to_owned(), |max| format!("at most {max} preemptions"));
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: {interleavings} interleavings ({bound}), {} outcomes, {seconds:.1} s", outcomes.len());
    outcomes
}

/// How many steps one run may take: more than any run that terminates.
const BRANCHES_MAX: usize = 20_000;
