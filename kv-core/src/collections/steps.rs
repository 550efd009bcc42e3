//! Long work in small steps, with a check before each step whether to go on.

use std::{cmp::Ordering, vec};

use crate::Result;

/// Called between the steps of long work. An error ends the work.
pub(crate) type GoOn<'a> = &'a mut dyn FnMut() -> Result<()>;

/// How many entries are processed between two calls of [`GoOn`]. That takes a fraction of a
/// millisecond, or a fraction of a second if each entry has to be looked up on a slow disk.
pub(crate) const STEP_ENTRIES: usize = 256;

/// How many entries are sorted at once.
const RUN_ENTRIES: usize = 64 * STEP_ENTRIES;

/// Collects what an iterator gives.
pub(crate) fn collect<T>(mut from: impl Iterator<Item = T>, go_on: GoOn<'_>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    loop {
        go_on()?;
        let before = all.len();
        all.extend(from.by_ref().take(STEP_ENTRIES));
        if all.len() == before {
            return Ok(all);
        }
    }
}

/// Sorts stably. Needs memory for a second copy of the entries.
pub(crate) fn sort<T>(mut entries: Vec<T>, compare: impl Fn(&T, &T) -> Ordering, go_on: GoOn<'_>) -> Result<Vec<T>> {
    let mut runs = Vec::new();
    while !entries.is_empty() {
        go_on()?;
        let mut run = entries.split_off(entries.len().saturating_sub(RUN_ENTRIES));
        run.sort_by(&compare);
        runs.push(run);
    }
    runs.reverse(); // they were split off from the end
    while runs.len() > 1 {
        let mut longer = Vec::with_capacity(runs.len().div_ceil(2));
        let mut rest = runs.into_iter();
        while let Some(first) = rest.next() {
            let second = rest.next().unwrap_or_default();
            longer.push(merge(first, second, &compare, go_on)?);
        }
        runs = longer;
    }
    Ok(runs.pop().unwrap_or_default())
}

/// Merges two sorted runs. If entries are equal, those of the first run come first.
fn merge<T>(first: Vec<T>, second: Vec<T>, compare: &impl Fn(&T, &T) -> Ordering, go_on: GoOn<'_>) -> Result<Vec<T>> {
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    while let Some(entry) = next(&mut first, &mut second, compare) {
        if merged.len().is_multiple_of(RUN_ENTRIES) {
            go_on()?;
        }
        merged.push(entry);
    }
    Ok(merged)
}

fn next<T>(
    first: &mut vec::IntoIter<T>,
    second: &mut vec::IntoIter<T>,
    compare: &impl Fn(&T, &T) -> Ordering,
) -> Option<T> {
    match (first.as_slice(), second.as_slice()) {
        ([a, ..], [b, ..]) if compare(a, b) == Ordering::Greater => second.next(),
        ([], _) => second.next(),
        _ => first.next(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::Error;

    /// Numbers in no particular order, each with its index; many are equal.
    fn shuffled(count: usize) -> Vec<(u64, usize)> {
        (0..count).map(|at| ((at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48, at)).collect()
    }

    fn by_number(a: &(u64, usize), b: &(u64, usize)) -> Ordering {
        a.0.cmp(&b.0)
    }

    #[test]
    fn the_sort_is_stable() {
        for count in [0, 1, 2, RUN_ENTRIES, RUN_ENTRIES + 1, 5 * RUN_ENTRIES + 7] {
            let mut expected = shuffled(count);
            expected.sort_by(by_number);
            assert_eq!(sort(shuffled(count), by_number, &mut || Ok(())).unwrap(), expected);
        }
    }

    /// Any call of `go_on` may fail. Between two calls there are at most a few comparisons for each
    /// entry of a run.
    #[test]
    fn sorting_stops_soon_at_any_point() {
        let compared = Cell::new(0_usize);
        let compare = |a: &_, b: &_| {
            compared.set(compared.get() + 1);
            by_number(a, b)
        };
        let most_at_once = RUN_ENTRIES * (RUN_ENTRIES.ilog2() as usize + 1);
        let entries = shuffled(3 * RUN_ENTRIES);
        for stop_at in 1.. {
            let (mut asked, mut at_last) = (0, 0);
            compared.set(0);
            let sorted = sort(entries.clone(), compare, &mut || {
                assert!(compared.get() - at_last <= most_at_once, "too much work before call {asked}");
                at_last = compared.get();
                asked += 1;
                if asked == stop_at { Err(Error::Cancelled) } else { Ok(()) }
            });
            if sorted.is_ok() {
                assert!(asked >= 9, "{asked} calls: it sorts three runs, and merges them twice");
                return;
            }
            assert_eq!((asked, compared.get()), (stop_at, at_last), "it did not stop");
        }
    }
}
