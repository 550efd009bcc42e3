//! Gets from a loaded database: of present keys, drawn uniformly and by Zipf's law, and of absent
//! keys.

use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, Zipf};

use super::{Bench, get, uniform};
use crate::harness::{data::key, engine::Database};

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
    for threads in [1, 2] {
        bench.rate(&format!("{name}-{threads}"), database, threads, |worker| {
            let index = uniform(worker, entries);
            get(&mut *worker.session, &key(index), true)
        });
        bench.rate(&format!("{name}-absent-{threads}"), database, threads, |worker| {
            let index = entries + uniform(worker, entries);
            get(&mut *worker.session, &key(index), false)
        });
        bench.rate(&format!("{name}-zipf-{threads}"), database, threads, |worker| {
            let at = (worker.thread * (ZIPF_DRAWN as u64 / threads) + worker.done) as usize % ZIPF_DRAWN;
            get(&mut *worker.session, &key(u64::from(drawn[at])), true)
        });
    }
}

/// Indexes below `entries`, drawn by Zipf's law.
fn draw(entries: u64, seed: u64) -> Vec<u32> {
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
