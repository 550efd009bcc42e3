//! Where the live keys of a collection are, so that a scan from an end need not pass over the
//! tombstones of what was popped there.
//!
//! Only popping narrows it, because only popping has just seen that there is nothing beyond a key.
//! It is a hint: what has none is scanned whole.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    ops::{Bound, RangeBounds},
};

use super::Direction;
use crate::{Lsn, Value};

/// From a position on, the live keys of a collection lie within these limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    since: Lsn,
    lower: Limit,
    upper: Limit,
}

/// Where live keys end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    bound: Bound<Value>,
    /// The position of the last deletion beyond the bound. What relies on the bound depends on it.
    deleted: Lsn,
}

impl Limit {
    const NONE: Self = Self { bound: Bound::Unbounded, deleted: Lsn::START };

    fn bound(&self) -> Bound<&[u8]> {
        self.bound.as_ref().map(|key| &**key)
    }

    fn with(&self, key: &[u8]) -> Self {
        Self { bound: Bound::Included(Value::copy_from(key)), deleted: self.deleted }
    }
}

/// The part of a range that may have live keys.
pub(crate) struct Narrowed<'a> {
    pub(crate) bounds: (Bound<&'a [u8]>, Bound<&'a [u8]>),
    /// What an answer from the front depends on, because keys there are passed over;
    /// [`Lsn::START`] if none are. The same from the back.
    pub(crate) passed: (Lsn, Lsn),
}

impl Live {
    /// Nothing is known.
    pub(crate) const ANYWHERE: Self = Self { since: Lsn::START, lower: Limit::NONE, upper: Limit::NONE };

    /// From `since` on there is nothing beyond `key` towards `end`, nor the key itself.
    fn without(&self, since: Lsn, end: Direction, key: Value) -> Self {
        let limit = Limit { bound: Bound::Excluded(key), deleted: since };
        match end {
            Direction::Forward => Self { since, lower: limit, upper: self.upper.clone() },
            Direction::Backward => Self { since, lower: self.lower.clone(), upper: limit },
        }
    }

    /// With a key that is there from `since` on; `None` if that changes nothing.
    fn with(&self, since: Lsn, key: &[u8]) -> Option<Self> {
        let is_within = |bounds: (Bound<&[u8]>, Bound<&[u8]>)| RangeBounds::<[u8]>::contains(&bounds, key);
        let is_below = !is_within((self.lower.bound(), Bound::Unbounded));
        let is_above = !is_within((Bound::Unbounded, self.upper.bound()));
        (is_below || is_above).then(|| Self {
            since,
            lower: if is_below { self.lower.with(key) } else { self.lower.clone() },
            upper: if is_above { self.upper.with(key) } else { self.upper.clone() },
        })
    }

    /// The part of a range that may have live keys. It may be empty or inverted.
    pub(crate) fn narrow<'a>(&'a self, (lower, upper): (Bound<&'a [u8]>, Bound<&'a [u8]>)) -> Narrowed<'a> {
        let (lower, passed_below) = narrower(lower, &self.lower, Direction::Forward);
        let (upper, passed_above) = narrower(upper, &self.upper, Direction::Backward);
        Narrowed { bounds: (lower, upper), passed: (passed_below, passed_above) }
    }
}

/// The narrower of a bound and a limit, at the end of a range that `end` begins at, and what that
/// depends on.
fn narrower<'a>(bound: Bound<&'a [u8]>, limit: &'a Limit, end: Direction) -> (Bound<&'a [u8]>, Lsn) {
    let is_limit = match (bound, limit.bound()) {
        (_, Bound::Unbounded) => false,
        (Bound::Unbounded, _) => true,
        (Bound::Included(key) | Bound::Excluded(key), Bound::Included(last) | Bound::Excluded(last)) => {
            let is_excluded = matches!((bound, limit.bound()), (Bound::Included(_), Bound::Excluded(_)));
            match end.compare(key, last) {
                Ordering::Less => true,
                Ordering::Equal => is_excluded,
                Ordering::Greater => false,
            }
        }
    };
    if is_limit { (limit.bound(), limit.deleted) } else { (bound, Lsn::START) }
}

/// How many changes are kept at most. A reader that lags behind by more scans the whole range.
const KEPT_MAX: usize = 4096;

/// What is known for the positions that may be read, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveAt(VecDeque<Live>);

impl LiveAt {
    /// What is known at a position.
    pub(super) fn at(&self, position: Lsn) -> Live {
        self.0.iter().rev().find(|live| live.since <= position).cloned().unwrap_or(Live::ANYWHERE)
    }

    /// Notes that from `since` on nothing is beyond a key. Forgets what no reader from `published`
    /// on needs.
    pub(super) fn remove(&mut self, since: Lsn, end: Direction, key: Value, published: Lsn) {
        let live = self.newest().without(since, end, key);
        self.push(live);
        while self.0.get(1).is_some_and(|newer| newer.since <= published) {
            self.0.pop_front();
        }
    }

    /// Notes that a key is there from `since` on.
    pub(super) fn add(&mut self, since: Lsn, key: &[u8]) {
        if let Some(live) = self.newest().with(since, key) {
            self.push(live);
        }
    }

    fn newest(&self) -> &Live {
        self.0.back().unwrap_or(&Live::ANYWHERE)
    }

    /// What one record changes is known as a whole.
    fn push(&mut self, live: Live) {
        if self.newest().since == live.since {
            self.0.pop_back();
        }
        if self.0.len() == KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(live);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);

    fn key(key: &str) -> Value {
        key.into()
    }

    #[test]
    fn popping_narrows_and_putting_widens_from_their_positions_on() {
        let mut live = LiveAt::default();
        live.remove(Lsn(5), Direction::Forward, key("c"), Lsn(4));
        live.remove(Lsn(6), Direction::Backward, key("x"), Lsn(4));
        live.add(Lsn(7), b"m"); // within
        live.add(Lsn(8), b"b");
        live.remove(Lsn(9), Direction::Forward, key("b"), Lsn(4));
        let bounds = |position| {
            let live = live.at(Lsn(position));
            let Narrowed { bounds: (lower, upper), passed } = live.narrow(ALL);
            let text = |bound: Bound<&[u8]>| bound.map(|key| String::from_utf8(key.to_vec()).unwrap());
            (text(lower), text(upper), passed)
        };
        let (c, x, b) = (|| "c".to_owned(), || "x".to_owned(), || "b".to_owned());
        assert_eq!(bounds(4), (Bound::Unbounded, Bound::Unbounded, (Lsn(0), Lsn(0))));
        assert_eq!(bounds(5), (Bound::Excluded(c()), Bound::Unbounded, (Lsn(5), Lsn(0))));
        assert_eq!(bounds(7), (Bound::Excluded(c()), Bound::Excluded(x()), (Lsn(5), Lsn(6))));
        assert_eq!(bounds(8), (Bound::Included(b()), Bound::Excluded(x()), (Lsn(5), Lsn(6))));
        assert_eq!(bounds(9), (Bound::Excluded(b()), Bound::Excluded(x()), (Lsn(9), Lsn(6))));
    }

    #[test]
    fn only_what_is_passed_over_counts() {
        let live = Live::ANYWHERE.without(Lsn(5), Direction::Forward, key("c"));
        let passed = |lower| live.narrow((lower, Bound::Unbounded)).passed.0;
        assert_eq!(passed(Bound::Included(b"b")), Lsn(5));
        assert_eq!(passed(Bound::Included(b"c")), Lsn(5));
        assert_eq!(passed(Bound::Excluded(b"c")), Lsn(0), "nothing is passed over");
        assert_eq!(passed(Bound::Included(b"d")), Lsn(0), "nothing is passed over");
    }

    #[test]
    fn what_no_reader_needs_is_forgotten() {
        let mut live = LiveAt::default();
        for lsn in 1..100 {
            live.remove(Lsn(lsn), Direction::Forward, key("k"), Lsn(lsn - 1));
        }
        assert!(live.0.len() <= 2, "{} are kept", live.0.len());
        for lsn in 100..10_000 {
            live.remove(Lsn(lsn), Direction::Forward, key("k"), Lsn(99));
        }
        assert!(live.0.len() <= KEPT_MAX, "{} are kept", live.0.len());
        assert_eq!(live.at(Lsn(99)), Live::ANYWHERE, "too far behind");
    }
}
