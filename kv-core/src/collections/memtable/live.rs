//! Where the live keys of a collection are, so that a scan from an end need not pass over the
//! tombstones of what was popped there.
//!
//! Only popping and draining an end narrow it, because only they have just seen that there is
//! nothing beyond a key. It is a hint: what has none is scanned whole.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, VecDeque},
    ops::Bound,
};

use super::Direction;
use crate::{Lsn, Value};

/// The longest key that is remembered.
const KEY_BYTES_MAX: usize = 1024;
/// How many keys that were put beyond an end are remembered. If there are more, nothing is known of
/// that end until the next pop.
const REVIVED_MAX: usize = 32;
/// How many changes are kept at most. A reader that lags behind by more scans the whole range.
const KEPT_MAX: usize = 1024;

/// From a position on, the live keys of a collection lie within these limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    since: Lsn,
    front: Option<Limit>,
    back: Option<Limit>,
}

/// Where live keys end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    /// Up to this key, counted from the end, everything is dead,
    last_dead: Value,
    /// but for some of these keys, which were put since.
    revived: BTreeSet<Value>,
    /// The position of the last deletion up to `last_dead`. What relies on the limit depends on it.
    deleted: Lsn,
}

impl Limit {
    /// The bound of the live keys.
    fn bound(&self, end: Direction) -> Bound<&[u8]> {
        let first = match end {
            Direction::Forward => self.revived.first(),
            Direction::Backward => self.revived.last(),
        };
        first.map_or(Bound::Excluded(&*self.last_dead), |key| Bound::Included(&**key))
    }

    /// After the first live key from the end, and everything before it, was deleted at `since`.
    fn after_deletion(before: Option<&Self>, since: Lsn, end: Direction, key: Value) -> Self {
        let Some(before) = before else {
            return Self { last_dead: key, revived: BTreeSet::new(), deleted: since };
        };
        let mut revived = before.revived.clone();
        revived.retain(|other| end.compare(other, &key).is_gt());
        let last_dead = if end.compare(&before.last_dead, &key).is_gt() { before.last_dead.clone() } else { key };
        Self { last_dead, revived, deleted: since }
    }

    /// Whether a key lies where everything was dead.
    fn is_beyond(&self, end: Direction, key: &[u8]) -> bool {
        end.compare(key, &self.last_dead).is_le() && !self.revived.contains(key)
    }

    /// With a key that is there again; `None` if there are too many of them.
    fn with(&self, key: &[u8]) -> Option<Self> {
        if self.revived.len() == REVIVED_MAX || key.len() > KEY_BYTES_MAX {
            return None;
        }
        let mut with = self.clone();
        with.revived.insert(Value::copy_from(key));
        Some(with)
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
    pub(crate) const ANYWHERE: Self = Self { since: Lsn::START, front: None, back: None };

    fn limit(&self, end: Direction) -> &Option<Limit> {
        match end {
            Direction::Forward => &self.front,
            Direction::Backward => &self.back,
        }
    }

    fn with_limit(&self, since: Lsn, end: Direction, limit: Option<Limit>) -> Self {
        match end {
            Direction::Forward => Self { since, front: limit, back: self.back.clone() },
            Direction::Backward => Self { since, front: self.front.clone(), back: limit },
        }
    }

    /// From `since` on there is nothing beyond `key` towards `end`, nor the key itself.
    fn without(&self, since: Lsn, end: Direction, key: Value) -> Self {
        let is_short = key.len() <= KEY_BYTES_MAX;
        let limit = is_short.then(|| Limit::after_deletion(self.limit(end).as_ref(), since, end, key));
        self.with_limit(since, end, limit)
    }

    /// With a key that is there from `since` on; `None` if that changes nothing.
    fn with(&self, since: Lsn, key: &[u8]) -> Option<Self> {
        let mut changed = None;
        for end in [Direction::Forward, Direction::Backward] {
            if let Some(limit) = self.limit(end)
                && limit.is_beyond(end, key)
            {
                changed = Some(changed.as_ref().unwrap_or(self).with_limit(since, end, limit.with(key)));
            }
        }
        changed
    }

    fn is_anywhere(&self) -> bool {
        self.front.is_none() && self.back.is_none()
    }

    /// The part of a range that may have live keys. It may be empty or inverted.
    pub(crate) fn narrow<'a>(&'a self, (lower, upper): (Bound<&'a [u8]>, Bound<&'a [u8]>)) -> Narrowed<'a> {
        let (lower, passed_below) = narrower(lower, self.front.as_ref(), Direction::Forward);
        let (upper, passed_above) = narrower(upper, self.back.as_ref(), Direction::Backward);
        Narrowed { bounds: (lower, upper), passed: (passed_below, passed_above) }
    }
}

/// The narrower of a bound and a limit, at the end of a range that `end` begins at, and what that
/// depends on.
fn narrower<'a>(bound: Bound<&'a [u8]>, limit: Option<&'a Limit>, end: Direction) -> (Bound<&'a [u8]>, Lsn) {
    let Some(limit) = limit else { return (bound, Lsn::START) };
    let is_limit = match (bound, limit.bound(end)) {
        (_, Bound::Unbounded) => false,
        (Bound::Unbounded, _) => true,
        (Bound::Included(key) | Bound::Excluded(key), Bound::Included(last) | Bound::Excluded(last)) => {
            let is_excluded = matches!((bound, limit.bound(end)), (Bound::Included(_), Bound::Excluded(_)));
            match end.compare(key, last) {
                Ordering::Less => true,
                Ordering::Equal => is_excluded,
                Ordering::Greater => false,
            }
        }
    };
    if is_limit { (limit.bound(end), limit.deleted) } else { (bound, Lsn::START) }
}

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

    /// Notes that a key is there from `since` on. Returns whether anything is known still.
    pub(super) fn add(&mut self, since: Lsn, key: &[u8]) -> bool {
        if let Some(live) = self.newest().with(since, key) {
            self.push(live);
        }
        !self.newest().is_anywhere()
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
        live.add(Lsn(9), b"a");
        live.remove(Lsn(10), Direction::Forward, key("a"), Lsn(4));
        live.remove(Lsn(11), Direction::Forward, key("b"), Lsn(4));
        let bounds = |position| {
            let live = live.at(Lsn(position));
            let Narrowed { bounds: (lower, upper), passed } = live.narrow(ALL);
            let text = |bound: Bound<&[u8]>| bound.map(|key| String::from_utf8(key.to_vec()).unwrap());
            (text(lower), text(upper), passed)
        };
        let (x, included, excluded) = (
            || Bound::Excluded("x".to_owned()),
            |key: &str| Bound::Included(key.to_owned()),
            |key: &str| Bound::Excluded(key.to_owned()),
        );
        assert_eq!(bounds(4), (Bound::Unbounded, Bound::Unbounded, (Lsn(0), Lsn(0))));
        assert_eq!(bounds(5), (excluded("c"), Bound::Unbounded, (Lsn(5), Lsn(0))));
        assert_eq!(bounds(7), (excluded("c"), x(), (Lsn(5), Lsn(6))));
        assert_eq!(bounds(8), (included("b"), x(), (Lsn(5), Lsn(6))));
        assert_eq!(bounds(9), (included("a"), x(), (Lsn(5), Lsn(6))));
        assert_eq!(bounds(10), (included("b"), x(), (Lsn(10), Lsn(6))));
        assert_eq!(bounds(11), (excluded("c"), x(), (Lsn(11), Lsn(6))), "up to c all is dead again");
    }

    #[test]
    fn too_much_that_is_put_beyond_an_end_ends_what_is_known() {
        let mut live = LiveAt::default();
        live.remove(Lsn(1), Direction::Backward, key("a"), Lsn(0));
        for lsn in 2..2 + REVIVED_MAX as u64 {
            assert!(live.add(Lsn(lsn), &lsn.to_be_bytes().map(|byte| byte | 0x80)), "{lsn}");
        }
        assert!(!live.add(Lsn(100), b"z"), "an appended collection is not a stack");
        live.remove(Lsn(200), Direction::Forward, key(&"k".repeat(KEY_BYTES_MAX + 1)), Lsn(0));
        assert!(live.newest().is_anywhere(), "long keys are not remembered");
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
