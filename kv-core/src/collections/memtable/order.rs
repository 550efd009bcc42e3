//! The keys of a collection in byte order. They are sorted when the collection is scanned, by the
//! thread that scans it: the writer does nothing for it, and never waits for it.
//!
//! What a scan finds new since the last one becomes a sorted run. Runs are merged so that each is
//! at least twice as long as the one after it. So there are few of them, and a key is moved about
//! as many times as there are runs.

use std::{
    cmp::Ordering,
    ops::{Bound, Range},
    sync::Arc,
};

use super::{TOUCHED_AHEAD, arena::Address, version::Version};

/// The most keys that are prefetched in a step. Loom gains nothing from prefetching.
const PREFETCHED_MAX: usize = if cfg!(loom) { 1 } else { TOUCHED_AHEAD };
/// The factor by which a step prefetches more keys than the step before.
const PREFETCH_GROWTH: usize = 4;

/// The end of a range that entries are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

impl Direction {
    /// Which of two keys comes first in this direction.
    pub(crate) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Forward => a.cmp(b),
            Self::Backward => b.cmp(a),
        }
    }
}

/// A key in a run: its first bytes, which tell it apart from most others without a look at the
/// arena, and its first version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sorted {
    beginning: [u8; size_of::<u64>()],
    pub(super) at: Address,
}

type Run = Arc<[Sorted]>;

impl Sorted {
    fn cmp<'a>(&self, other: &Self, key: &impl Fn(Address) -> &'a [u8]) -> Ordering {
        self.beginning.cmp(&other.beginning).then_with(|| key(self.at).cmp(key(other.at)))
    }
}

/// The keys of a collection as far as it was scanned.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The version that was the newest at the last scan.
    upto: Option<Address>,
    runs: Vec<Run>,
}

impl Order {
    /// The runs of all keys up to the version `newest`. `at` reads a version.
    pub(super) fn upto<'a>(&mut self, newest: Option<Address>, at: impl Fn(Address) -> Version<'a>) -> Vec<Run> {
        let key = |address| at(address).key;
        let new = std::iter::successors(newest, |address| at(*address).before);
        let new = new.take_while(|address| Some(*address) != self.upto);
        let unsorted = new.filter(|address| at(*address).older.is_none());
        let mut run: Vec<_> = unsorted.map(|at| Sorted { beginning: beginning(key(at)).to_be_bytes(), at }).collect();
        run.sort_unstable_by(|a, b| a.cmp(b, &key));
        self.upto = newest;
        if !run.is_empty() {
            self.runs.push(run.into());
        }
        while let [.., longer, shorter] = &self.runs[..]
            && longer.len() < 2 * shorter.len()
        {
            let merged = merge(longer, shorter, &key);
            self.runs.truncate(self.runs.len() - 2);
            self.runs.push(merged);
        }
        self.runs.clone()
    }

    /// How many bytes of memory the runs take.
    pub(super) fn bytes(&self) -> usize {
        self.runs.iter().map(|run| size_of_val(&run[..])).sum()
    }
}

/// The first bytes of a key as a number that sorts as they do.
pub(super) fn beginning(key: &[u8]) -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    let length = key.len().min(bytes.len());
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

fn merge<'a>(first: &[Sorted], second: &[Sorted], key: &impl Fn(Address) -> &'a [u8]) -> Run {
    let (mut first, mut second) = (first.iter().copied().peekable(), second.iter().copied().peekable());
    std::iter::from_fn(|| match (first.peek(), second.peek()) {
        (Some(a), Some(b)) if b.cmp(a, key) == Ordering::Less => second.next(),
        (None, _) => second.next(),
        _ => first.next(),
    })
    .collect()
}

/// The keys of a collection within bounds that were not taken from either end.
#[derive(Debug)]
pub(super) struct Keys(Vec<Rest>);

/// The part of a run that was not taken yet.
#[derive(Debug)]
struct Rest {
    run: Run,
    range: Range<usize>,
    /// The part of the range that was not prefetched yet.
    unfetched: Range<usize>,
    /// The number of keys that the next step prefetches.
    ahead: usize,
}

impl Keys {
    pub(super) fn new<'a>(
        runs: Vec<Run>,
        (lower, upper): (Bound<&[u8]>, Bound<&[u8]>),
        key: impl Fn(Address) -> &'a [u8],
    ) -> Self {
        let before = |run: &Run, bound: &[u8], or_equal: bool| {
            let bound_beginning = beginning(bound).to_be_bytes();
            run.partition_point(|sorted| {
                match sorted.beginning.cmp(&bound_beginning).then_with(|| key(sorted.at).cmp(bound)) {
                    Ordering::Less => true,
                    Ordering::Equal => or_equal,
                    Ordering::Greater => false,
                }
            })
        };
        let within = |run: Run| {
            let start = match lower {
                Bound::Included(bound) => before(&run, bound, false),
                Bound::Excluded(bound) => before(&run, bound, true),
                Bound::Unbounded => 0,
            };
            let end = match upper {
                Bound::Included(bound) => before(&run, bound, true),
                Bound::Excluded(bound) => before(&run, bound, false),
                Bound::Unbounded => run.len(),
            };
            (start < end).then_some(Rest { run, range: start..end, unfetched: start..end, ahead: 1 })
        };
        Self(runs.into_iter().filter_map(within).collect())
    }

    /// Takes the next key from the end that `direction` begins at. `prefetch` is called with keys
    /// that come next: few at first, more the longer the scan goes on.
    pub(super) fn next<'a>(
        &mut self,
        direction: Direction,
        key: impl Fn(Address) -> &'a [u8],
        prefetch: impl FnOnce(&[Sorted]),
    ) -> Option<Address> {
        let ends = self.0.iter().enumerate().filter_map(|(at, rest)| Some((at, rest.first(direction)?)));
        let (at, first) = ends.min_by(|(_, a), (_, b)| match direction {
            Direction::Forward => a.cmp(b, &key),
            Direction::Backward => b.cmp(a, &key),
        })?;
        let rest = &mut self.0[at];
        if let Some(ahead) = rest.prefetch_next(direction) {
            prefetch(ahead);
        }
        match direction {
            Direction::Forward => rest.range.start += 1,
            Direction::Backward => rest.range.end -= 1,
        }
        if rest.range.is_empty() {
            self.0.swap_remove(at);
        }
        Some(first.at)
    }
}

impl Rest {
    fn first(&self, direction: Direction) -> Option<Sorted> {
        let first = if direction == Direction::Forward { self.range.start } else { self.range.end.checked_sub(1)? };
        self.run.get(first).copied()
    }

    /// The keys to prefetch before the first one is taken; `None` if that one was prefetched
    /// already.
    fn prefetch_next(&mut self, direction: Direction) -> Option<&[Sorted]> {
        let Range { start, end } = self.unfetched;
        let next = match direction {
            Direction::Forward if start == self.range.start => start..end.min(start + self.ahead),
            Direction::Backward if end == self.range.end => start.max(end.saturating_sub(self.ahead))..end,
            _ => return None,
        };
        match direction {
            Direction::Forward => self.unfetched.start = next.end,
            Direction::Backward => self.unfetched.end = next.start,
        }
        self.ahead = (PREFETCH_GROWTH * self.ahead).min(PREFETCHED_MAX);
        self.run.get(next).filter(|next| next.len() > 1)
    }
}
