//! Long work in steps, between which it is asked whether to go on.

use std::ops::Range;

use kv_core::Result;

/// Asked between the steps of long work. An error ends it.
pub(crate) type GoOn<'a> = &'a mut dyn FnMut() -> Result<()>;

/// How many small things, such as slots, are dealt with between two questions: about a millisecond.
pub(crate) const STEP: usize = 1 << 16;

/// Sorts numbers that are all different, and spread about evenly, in place.
pub(crate) fn sort(numbers: &mut [u128], go_on: GoOn<'_>) -> Result<()> {
    sort_within(numbers, 0..u128::MAX, go_on)
}

/// Halves the range of values, and with it the numbers, until few are left. So the depth is at most
/// that of the bits of a number, however they are spread.
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

    /// As the hashes of keys are: all bits change from one to the next.
    fn numbers(count: usize) -> Vec<u128> {
        let spread = |n: u128| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        (1..=count as u128).map(spread).collect()
    }

    #[test]
    fn numbers_come_in_order() {
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
    fn sorting_stops_at_each_question() {
        for stop_at in 1.. {
            let mut asked = 0;
            let sorted = sort(&mut numbers(2 * STEP), &mut || {
                asked += 1;
                if asked == stop_at { Err(Error::Cancelled) } else { Ok(()) }
            });
            if sorted.is_ok() {
                return assert!(asked >= 5, "{asked} questions for two times what is sorted at once");
            }
            assert_eq!(asked, stop_at, "it went on");
        }
    }
}
