//! Divides long work into steps, so that it can be stopped between them.

use std::ops::Range;

use kv_core::Result;

/// Called between the steps of long work. An error ends the work.
pub(crate) type GoOn<'a> = &'a mut dyn FnMut() -> Result<()>;

/// The number of small items, such as slots, in one step: about a millisecond of work.
pub(crate) const STEP: usize = 1 << 16;

/// Sorts numbers in place. They must all be different, and should be spread evenly.
pub(crate) fn sort(numbers: &mut [u128], go_on: GoOn<'_>) -> Result<()> {
    sort_within(numbers, 0..u128::MAX, go_on)
}

/// Halves the range of values, and with it the numbers, until few are left. So the depth of the
/// recursion is at most the number of bits in a number, however they are spread.
fn sort_within(numbers: &mut [u128], range: Range<u128>, go_on: GoOn<'_>) -> Result<()> {
    go_on()?;
    if numbers.len() <= STEP {
        numbers.sort_unstable();
        return Ok(());
    }
    let middle = range.start + (range.end - range.start) / 2;
    let mut below = 0;
    for at in 0..numbers.len() {
        if at.is_multiple_of(STEP) {
            go_on()?;
        }
        if numbers[at] < middle {
            numbers.swap(at, below);
            below += 1;
        }
    }
    let (lower, upper) = numbers.split_at_mut(below);
    sort_within(lower, range.start..middle, go_on)?;
    sort_within(upper, middle..range.end, go_on)
}

#[cfg(test)]
mod tests {
    use kv_core::Error;

    use super::*;

    /// Spread like the hashes of keys: all bits change from one to the next.
    fn numbers(count: usize) -> Vec<u128> {
        let spread = |n: u128| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        (1..=count as u128).map(spread).collect()
    }

    #[test]
    fn numbers_are_sorted() {
        for count in [0, 1, STEP, 2 * STEP + 3] {
            let mut sorted = numbers(count);
            sort(&mut sorted, &mut || Ok(())).unwrap();
            assert!(sorted.is_sorted_by(|a, b| a < b) && sorted.len() == count);
        }
        let mut close_together: Vec<u128> = (0..2 * STEP as u128).map(|n| (n ^ 0x5555) + (7 << 100)).collect();
        sort(&mut close_together, &mut || Ok(())).unwrap();
        assert!(close_together.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn sorting_can_be_stopped_at_each_step() {
        for stop_at in 1.. {
            let mut asked = 0;
            let sorted = sort(&mut numbers(2 * STEP), &mut || {
                asked += 1;
                if asked == stop_at { Err(Error::Cancelled) } else { Ok(()) }
            });
            if sorted.is_ok() {
                return assert!(asked >= 5, "asked only {asked} times for twice what is sorted at once");
            }
            assert_eq!(asked, stop_at, "it went on");
        }
    }
}
