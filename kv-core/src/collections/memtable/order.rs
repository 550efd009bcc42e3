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

use super::{arena::Address, version::Version};

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

type Run = Arc<[Address]>;

/// The keys of a collection as far as it was scanned, each by its first version.
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
        let mut run: Vec<_> = unsorted.map(|at| (beginning(key(at)), at)).collect();
        run.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
        self.upto = newest;
        if !run.is_empty() {
            self.runs.push(run.into_iter().map(|(_, at)| at).collect());
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

fn merge<'a>(first: &[Address], second: &[Address], key: &impl Fn(Address) -> &'a [u8]) -> Run {
    let (mut first, mut second) = (first.iter().copied().peekable(), second.iter().copied().peekable());
    std::iter::from_fn(|| match (first.peek(), second.peek()) {
        (Some(a), Some(b)) if key(*b) < key(*a) => second.next(),
        (None, _) => second.next(),
        _ => first.next(),
    })
    .collect()
}

/// The keys of a collection within bounds that were not taken from either end.
#[derive(Debug)]
pub(super) struct Keys(Vec<(Run, Range<usize>)>);

impl Keys {
    pub(super) fn new<'a>(
        runs: Vec<Run>,
        (lower, upper): (Bound<&[u8]>, Bound<&[u8]>),
        key: impl Fn(Address) -> &'a [u8],
    ) -> Self {
        let within = |run: Run| {
            let start = match lower {
                Bound::Included(bound) => run.partition_point(|at| key(*at) < bound),
                Bound::Excluded(bound) => run.partition_point(|at| key(*at) <= bound),
                Bound::Unbounded => 0,
            };
            let end = match upper {
                Bound::Included(bound) => run.partition_point(|at| key(*at) <= bound),
                Bound::Excluded(bound) => run.partition_point(|at| key(*at) < bound),
                Bound::Unbounded => run.len(),
            };
            (start < end).then_some((run, start..end))
        };
        Self(runs.into_iter().filter_map(within).collect())
    }

    /// Takes the next key from the end that `direction` begins at.
    pub(super) fn next<'a>(&mut self, direction: Direction, key: impl Fn(Address) -> &'a [u8]) -> Option<Address> {
        let at_end = |(at, (run, rest)): (usize, &(Run, Range<usize>))| {
            let first = if direction == Direction::Forward { rest.start } else { rest.end.checked_sub(1)? };
            Some((at, *run.get(first)?))
        };
        let ends = self.0.iter().enumerate().filter_map(at_end);
        let (at, first) = ends.min_by(|(_, a), (_, b)| direction.compare(key(*a), key(*b)))?;
        let rest = &mut self.0[at].1;
        match direction {
            Direction::Forward => rest.start += 1,
            Direction::Backward => rest.end -= 1,
        }
        if rest.start == rest.end {
            self.0.swap_remove(at);
        }
        Some(first)
    }
}
