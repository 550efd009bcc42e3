//! Gets from a loaded database: of present keys, drawn uniformly and by Zipf's law, and of absent
//! keys. In most loops look-ups overlap; in one, each depends on the last answer.

use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, Zipf};

use super::{Bench, dependent, get, uniform};
use crate::harness::{
    data::key,
    engine::{Database, Result},
    measure::Worker,
};

const ZIPF_EXPONENT: f64 = 0.99;
/// How many indexes are drawn by Zipf's law in advance. Drawing one takes longer than the get of
/// some engines.
const ZIPF_DRAWN: usize = 1 << 22;
/// A prime above any number of entries. A multiplication by it scatters the keys that are drawn
/// most often.
const SCATTER: u64 = 2_654_435_761;

/// Measures the workloads whose names start with `name`.
pub fn gets(bench: &mut Bench<'_>, database: &dyn Database, name: &str) {
    let entries = bench.entries;
    let drawn = draw(entries, bench.seed);
    read_all(bench, database, name);
    dependent_gets(bench, database, &format!("{name}-dependent-1"));
    for threads in [1, 2] {
        present_gets(bench, database, &format!("{name}-{threads}"), threads);
        absent_gets(bench, database, &format!("{name}-absent-{threads}"), threads);
        bench.rate(&format!("{name}-zipf-{threads}"), database, threads, |worker| zipfian(worker, &drawn, threads));
    }
}

/// Gets each entry once, so that no later get is the first to touch a page. Another process that
/// holds the data has touched it.
pub fn read_all(bench: &mut Bench<'_>, database: &dyn Database, name: &str) {
    if !database.processes().is_empty() {
        return;
    }
    let read = || -> Result {
        let mut session = database.session()?;
        (0..bench.entries).try_for_each(|index| get(&mut *session, &key(index), true).map(drop))
    };
    let read = read();
    bench.note(name, read);
}

/// Gets whose keys depend on no answer: a processor works at several of them at once.
pub fn present_gets(bench: &mut Bench<'_>, database: &dyn Database, workload: &str, threads: u64) {
    let entries = bench.entries;
    bench.rate(workload, database, threads, |worker| {
        let index = uniform(worker, entries);
        get(&mut *worker.session, &key(index), true).map(drop)
    });
}

/// Gets of which each makes its key from the last answer.
pub fn dependent_gets(bench: &mut Bench<'_>, database: &dyn Database, workload: &str) {
    let entries = bench.entries;
    bench.rate(workload, database, 1, |worker| {
        let index = dependent(worker, entries);
        worker.answer = get(&mut *worker.session, &key(index), true)?;
        Ok(())
    });
}

/// Gets of keys that are not there.
pub fn absent_gets(bench: &mut Bench<'_>, database: &dyn Database, workload: &str, threads: u64) {
    let entries = bench.entries;
    bench.rate(workload, database, threads, |worker| {
        let index = entries + uniform(worker, entries);
        get(&mut *worker.session, &key(index), false).map(drop)
    });
}

/// The next get of a thread from among the indexes that were drawn.
pub fn zipfian(worker: &mut Worker<'_>, drawn: &[u32], threads: u64) -> Result {
    let at = worker.thread * (drawn.len() as u64 / threads) + worker.done;
    let index = drawn[at as usize % drawn.len()];
    get(&mut *worker.session, &key(u64::from(index)), true).map(drop)
}

/// Indexes below `entries`, drawn by Zipf's law.
pub fn draw(entries: u64, seed: u64) -> Vec<u32> {
    let Ok(zipf) = Zipf::new(entries as f64, ZIPF_EXPONENT) else {
        return vec![0; ZIPF_DRAWN]; // there are no entries
    };
    let mut random = SmallRng::seed_from_u64(seed);
    let scattered = |rank: f64| (rank as u64 * SCATTER % entries) as u32;
    (0..ZIPF_DRAWN).map(|_| scattered(zipf.sample(&mut random))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_few_keys_are_drawn_often() {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for index in draw(1_000_000, 1) {
            *counts.entry(index).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let share = |most: usize| counts[..most].iter().sum::<usize>() as f64 / ZIPF_DRAWN as f64;
        // The sums of i^-0.99 up to 100 and up to 10,000, divided by the sum up to a million.
        assert!((share(100) - 0.345).abs() < 0.01, "{}", share(100));
        assert!((share(10_000) - 0.665).abs() < 0.01, "{}", share(10_000));
    }
}
