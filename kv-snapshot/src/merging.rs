//! Which parts of a stack are merged next. Decides by their sizes alone.
//!
//! Parts belong to classes by their size. Class 0 is below a fixed size, and each class reaches to
//! four times the size of the one below. When four parts of a class have come together they become
//! one, which is of the next class, or nearly. So an entry is written again about once for each
//! class, and there are at most three parts of each.

use std::ops::Range;

use kv_core::Effort;

/// The number of parts of one class that are merged.
const PARTS_MERGED: usize = 4;
/// By how much each class reaches higher than the one below.
const CLASS_FACTOR: u64 = 4;
/// More parts than this are not left at rest ...
const PARTS_AT_REST: usize = 4;
/// ... and of these, the oldest are not touched for that.
const OLDEST_AT_REST: usize = 3;

/// A part takes at most this part more than those that it was merged from.
const INDEX_PART: u64 = 8;

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) bytes: u64,
    pub(crate) tombstones: u64,
    /// Whether it must be left as it is, because it is damaged.
    pub(crate) is_blocked: bool,
}

/// The class of a part.
pub(crate) fn class(bytes: u64, class_bytes: u64) -> u32 {
    let mut end = class_bytes;
    let mut class = 0;
    while bytes >= end {
        class += 1;
        let Some(next) = end.checked_mul(CLASS_FACTOR) else { break };
        end = next;
    }
    class
}

/// The parts to merge into one, newest first as `parts` are; `None` if nothing is worth merging.
pub(crate) fn choose(parts: &[Candidate], effort: Effort, class_bytes: u64) -> Option<Range<usize>> {
    let class_bytes = class_bytes.max(1);
    let needed = || newest_parts(parts, class_bytes).or_else(|| four_of_a_class(parts, class_bytes));
    match effort {
        Effort::Needed => needed(),
        Effort::AtRest => needed().or_else(|| all_but_the_oldest(parts)),
        Effort::Full => everything(parts),
    }
}

/// Four parts of class 0: merges those of them that are worth it, from the newest on.
fn newest_parts(parts: &[Candidate], class_bytes: u64) -> Option<Range<usize>> {
    let is_small =
        |at: &usize| parts.get(*at).is_some_and(|part| !part.is_blocked && class(part.bytes, class_bytes) == 0);
    let small: Vec<usize> = (0..parts.len()).filter(is_small).collect();
    if small.len() < PARTS_MERGED {
        return None;
    }
    let runs = small.iter().map(|start| *start..similar_parts(parts, *start, is_small));
    let worth_it = { runs }.find(|run| is_balanced(&parts[run.clone()]));
    // Otherwise a large part is written again for the sake of a small one. It has to be done: at
    // the least cost.
    let pairs = small.iter().map(|at| *at..at + 2).filter(|pair| is_free(parts, pair));
    worth_it.or_else(|| pairs.min_by_key(|pair| bytes(&parts[pair.clone()])))
}

/// Whether there are several parts, none of them more than twice as large as the others together.
fn is_balanced(parts: &[Candidate]) -> bool {
    let largest = parts.iter().map(|part| part.bytes).max().unwrap_or(0);
    let others = bytes(parts).saturating_sub(largest);
    parts.len() > 1 && largest <= others.saturating_mul(2)
}

fn bytes(parts: &[Candidate]) -> u64 {
    parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add)
}

/// The end of the run from `start` on in which each part is at most twice as large as all before it
/// together. So tiny parts do not rewrite large ones again and again.
fn similar_parts(parts: &[Candidate], start: usize, is_small: impl Fn(&usize) -> bool) -> usize {
    let mut sum = parts[start].bytes;
    let mut end = start + 1;
    while is_small(&end) && parts[end].bytes <= sum.saturating_mul(2) {
        sum = sum.saturating_add(parts[end].bytes);
        end += 1;
    }
    end
}

/// Four parts of a class, with no larger one between them.
fn four_of_a_class(parts: &[Candidate], class_bytes: u64) -> Option<Range<usize>> {
    let classes: Vec<u32> = parts.iter().map(|part| class(part.bytes, class_bytes)).collect();
    let highest = classes.iter().copied().max()?;
    for wanted in 1..=highest {
        let mut of_class: Vec<usize> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if part.is_blocked || classes[at] > wanted {
                of_class.clear();
            } else if classes[at] == wanted {
                of_class.push(at);
            }
            // As many as there are: five become one as well as four.
            let is_last = parts.get(at + 1).is_none_or(|next| next.is_blocked || classes[at + 1] > wanted);
            if is_last
                && let [first, .., last] = of_class[..]
                && of_class.len() >= PARTS_MERGED
            {
                return Some(first..last + 1);
            }
        }
    }
    None
}

fn all_but_the_oldest(parts: &[Candidate]) -> Option<Range<usize>> {
    let run = 0..parts.len().saturating_sub(OLDEST_AT_REST);
    let free = parts[run.clone()].iter().take_while(|part| !part.is_blocked).count();
    (parts.len() > PARTS_AT_REST && free > 1).then_some(0..free)
}

fn everything(parts: &[Candidate]) -> Option<Range<usize>> {
    let is_one = matches!(parts, [] | [Candidate { tombstones: 0, .. }]);
    (!is_one && is_free(parts, &(0..parts.len()))).then_some(0..parts.len())
}

/// How many parts to merge at once, from the newest on, if there is room for `room` bytes and all
/// should become one: as many as surely find room for what they become. If these are fewer than
/// two, two: what was deleted may make them fit nevertheless.
pub(crate) fn fitting(parts: &[Candidate], room: u64) -> usize {
    let sums = parts.iter().scan(0, |sum: &mut u64, part| {
        *sum = sum.saturating_add(part.bytes);
        Some(*sum)
    });
    // The index of a part may take more than those of the parts that it was merged from.
    let fits = |sum: &u64| sum.saturating_add(sum / INDEX_PART) <= room;
    match sums.take_while(fits).count() {
        0 | 1 => parts.len().min(2),
        count => count,
    }
}

fn is_free(parts: &[Candidate], run: &Range<usize>) -> bool {
    parts.get(run.clone()).is_some_and(|parts| parts.iter().all(|part| !part.is_blocked))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const CLASS: u64 = 64 * MIB;

    fn parts(mib: &[u64]) -> Vec<Candidate> {
        mib.iter().map(|mib| Candidate { bytes: mib * MIB, tombstones: 0, is_blocked: false }).collect()
    }

    fn chosen(mib: &[u64], effort: Effort) -> Option<Range<usize>> {
        choose(&parts(mib), effort, CLASS)
    }

    #[test]
    fn classes_are_powers_of_four() {
        let classes = [0, 63, 64, 255, 256, 1023, 1024].map(|mib| class(mib * MIB, CLASS));
        assert_eq!(classes, [0, 0, 1, 1, 2, 2, 3]);
        assert!(class(u64::MAX, CLASS) < 32 && class(u64::MAX, 1) <= 32);
    }

    #[test]
    fn four_small_parts_are_merged_and_tiny_ones_leave_large_ones_alone() {
        assert_eq!(chosen(&[1, 1, 1], Effort::Needed), None);
        assert_eq!(chosen(&[1, 1, 1, 1], Effort::Needed), Some(0..4));
        assert_eq!(chosen(&[1, 1, 1, 60], Effort::Needed), Some(0..3));
        assert_eq!(chosen(&[1, 1, 1, 6], Effort::Needed), Some(0..4));
        assert_eq!(chosen(&[1, 1, 1, 1, 100, 300], Effort::Needed), Some(0..4), "not what is of another class");
        assert_eq!(chosen(&[1, 3, 10, 50], Effort::Needed), Some(0..2), "two at least");
        assert_eq!(chosen(&[1, 50, 2, 2], Effort::Needed), Some(2..4), "not with a large one above");
        assert_eq!(chosen(&[10, 1, 60, 5], Effort::Needed), Some(0..2), "what costs least");
        assert_eq!(chosen(&[1, 100, 1, 100, 1, 100, 1], Effort::Needed), Some(0..2));
    }

    #[test]
    fn four_of_a_class_are_merged() {
        assert_eq!(chosen(&[100, 100, 100, 300], Effort::Needed), None);
        assert_eq!(chosen(&[100, 100, 100, 100, 300], Effort::Needed), Some(0..4));
        assert_eq!(chosen(&[1, 100, 100, 100, 100, 300], Effort::Needed), Some(1..5));
        assert_eq!(
            chosen(&[300, 100, 300, 300, 300, 2000], Effort::Needed),
            Some(0..5),
            "with the smaller one between"
        );
        assert_eq!(chosen(&[100, 100, 300, 100, 100], Effort::Needed), None, "a larger one lies between");
    }

    #[test]
    fn at_rest_few_parts_remain() {
        assert_eq!(chosen(&[1, 100, 300, 2000], Effort::AtRest), None);
        assert_eq!(chosen(&[1, 1, 100, 300, 2000], Effort::AtRest), Some(0..2));
        assert_eq!(chosen(&[1, 1, 1, 100, 100, 300, 2000], Effort::AtRest), Some(0..4));
    }

    #[test]
    fn full_leaves_one_part_without_tombstones() {
        assert_eq!(chosen(&[], Effort::Full), None);
        assert_eq!(chosen(&[1], Effort::Full), None);
        assert_eq!(chosen(&[1, 5000], Effort::Full), Some(0..2));
        let with_tombstones = Candidate { bytes: 1, tombstones: 1, is_blocked: false };
        assert_eq!(choose(&[with_tombstones], Effort::Full, CLASS), Some(0..1));
    }

    #[test]
    fn what_surely_finds_room_is_merged_first() {
        let fitting = |mib: &[u64], room| fitting(&parts(mib), room * MIB);
        assert_eq!(fitting(&[1, 16, 16, 16], 40), 3);
        assert_eq!(fitting(&[1, 16, 16, 16], 20), 2);
        assert_eq!(fitting(&[1, 16, 16, 16], 56), 4);
        assert_eq!(fitting(&[1, 16, 16, 16], 18), 2, "nothing surely fits: what was deleted decides");
        assert_eq!(fitting(&[16, 16, 16], 1), 2);
        assert_eq!(fitting(&[16], 1), 1);
        assert_eq!(fitting(&[300, 1], 10), 2);
        assert_eq!(fitting(&[1, 2], 1000), 2);
    }

    /// No run has a blocked part, whatever the sizes.
    #[test]
    fn what_is_blocked_is_never_merged() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut merged = 0;
        for _ in 0..20_000 {
            let candidate = |_| Candidate {
                bytes: (rng.u64(1..100) * MIB) << rng.u32(0..6),
                tombstones: rng.u64(0..2),
                is_blocked: rng.u8(0..5) == 0,
            };
            let parts: Vec<_> = (0..12).map(candidate).collect();
            for effort in [Effort::Needed, Effort::AtRest, Effort::Full] {
                if let Some(run) = choose(&parts, effort, CLASS) {
                    assert!(is_free(&parts, &run) && !run.is_empty(), "{effort:?} {run:?} of {parts:?}");
                    merged += 1;
                }
            }
        }
        assert!(merged > 1000);
    }

    /// Adds parts and merges after each. Returns how often an entry was written on average.
    fn write_amplification(added: impl Iterator<Item = u64>) -> f64 {
        let mut stack: Vec<Candidate> = Vec::new();
        let (mut written, mut total) = (0, 0);
        for bytes in added {
            stack.insert(0, Candidate { bytes, tombstones: 0, is_blocked: false });
            total += bytes;
            written += bytes;
            while let Some(run) = choose(&stack, Effort::Needed, CLASS) {
                let bytes = stack[run.clone()].iter().map(|part| part.bytes).sum();
                written += bytes;
                stack.splice(run, [Candidate { bytes, tombstones: 0, is_blocked: false }]);
            }
            let of_class = |wanted| stack.iter().filter(|part| class(part.bytes, CLASS) == wanted).count();
            assert!(of_class(0) < PARTS_MERGED && stack.len() < 24, "{stack:?}");
            let is_sorted = stack.is_sorted_by_key(|part| class(part.bytes, CLASS));
            assert!(!is_sorted || (0..20).all(|class| of_class(class) < PARTS_MERGED), "{stack:?}");
        }
        written as f64 / total as f64
    }

    #[test]
    fn little_is_written_again() {
        let equal = write_amplification((0..40).map(|_| CLASS - 1));
        assert!(equal <= 6.0, "equal parts of one threshold: {equal}");
        let above = write_amplification((0..40).map(|_| CLASS + MIB));
        assert!(above <= 6.0, "equal parts above one threshold: {above}");
        let many = write_amplification((0..4000).map(|_| CLASS - 1));
        assert!(many <= 9.0, "many parts: {many}");
        // With three parts of class 0 at most, tiny ones are written again more often: it is little
        // data.
        let tiny = write_amplification((0..4000).map(|_| MIB / 8));
        assert!(tiny <= 20.0, "tiny parts: {tiny}");
        let mut rng = fastrand::Rng::with_seed(4);
        let mixed = write_amplification((0..4000).map(|_| 4096 << rng.u32(0..16)));
        assert!(mixed <= 15.0, "parts of all sizes, in no order: {mixed}");
    }
}
