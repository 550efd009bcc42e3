//! Where the live keys of a collection are, so that a scan from an end need not pass over the
//! tombstones of what was popped there.
//!
//! Only popping and draining narrow it, because only they have just seen, under the writer's lock,
//! that nothing is left there. It is a hint: what has none is scanned whole.
//!
//! The writer knows the [`Ends`] of a collection: how far from each everything is dead, and which
//! keys were put there since. Readers are told how far nothing lives at all, for the positions that
//! they may read ([`LiveAt`]).

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::Bound,
};

use super::Direction;
use crate::{CollectionId, Lsn, Value};

/// How many keys that were put where everything was dead are remembered. Of more, those next to the
/// end are, and what lies beyond them counts as alive.
const REVIVED_MAX: usize = 256;
/// How many states of a collection are kept for readers: what those of the published position know,
/// what those that catch up know, and what the writer knows.
const KEPT_MAX: usize = 3;
/// Roughly how many bytes of memory it takes to know the ends of a collection, without keys.
const NOTE_BYTES: usize = 640;
/// Roughly how many bytes of memory a key takes that was put where everything was dead, without the
/// key itself.
const REVIVED_BYTES: usize = 96;
/// How many bytes of what is known go on to the next memtable at most. They do not count as bytes
/// of that: it would be full at once if its threshold is low.
const CARRIED_BYTES_MAX: usize = 512 << 10;

/// From an end of a collection up to this bound everything is dead.
#[derive(Clone, Debug)]
struct Dead {
    upto: Bound<Value>,
    /// The position of the last deletion there. What relies on it depends on that.
    deleted: Lsn,
}

impl Dead {
    fn as_ref(&self) -> DeadRef<'_> {
        (self.upto.as_ref().map(|key| &**key), self.deleted)
    }
}

/// [`Dead`], borrowed.
type DeadRef<'a> = (Bound<&'a [u8]>, Lsn);

/// Which of two bounds reaches further from an end.
fn compare(end: Direction, a: Bound<&[u8]>, b: Bound<&[u8]>) -> Ordering {
    match (a, b) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => Ordering::Greater,
        (_, Bound::Unbounded) => Ordering::Less,
        (Bound::Included(key) | Bound::Excluded(key), Bound::Included(other) | Bound::Excluded(other)) => {
            let is_included = |bound| matches!(bound, Bound::Included(_));
            end.compare(key, other).then(is_included(a).cmp(&is_included(b)))
        }
    }
}

/// The bound of what lies on the other side of a bound.
fn other_side<T>(bound: Bound<T>) -> Bound<T> {
    match bound {
        Bound::Included(key) => Bound::Excluded(key),
        Bound::Excluded(key) => Bound::Included(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// An end of a collection where everything is dead, but for some keys.
#[derive(Clone, Debug)]
struct DeadEnd {
    dead: Dead,
    /// The keys that were put there since.
    revived: BTreeSet<Value>,
    revived_bytes: usize,
}

impl DeadEnd {
    fn contains(&self, end: Direction, key: &[u8]) -> bool {
        reaches(end, &self.dead.upto, key)
    }

    fn first_revived(&self, end: Direction) -> Option<&Value> {
        match end {
            Direction::Forward => self.revived.first(),
            Direction::Backward => self.revived.last(),
        }
    }

    /// Where nothing lives at all.
    fn lifeless(&self, end: Direction) -> DeadRef<'_> {
        match self.first_revived(end) {
            Some(first) => (Bound::Excluded(first), self.dead.deleted),
            None => self.dead.as_ref(),
        }
    }

    /// Everything up to `upto` is dead.
    fn narrow(&mut self, end: Direction, Dead { upto, deleted }: Dead) {
        while let Some(first) = self.first_revived(end)
            && reaches(end, &upto, first)
        {
            let first = first.clone();
            self.remove(&first);
        }
        let further = |bound: &Bound<Value>| compare(end, bytes(bound), bytes(&self.dead.upto)).is_gt();
        if further(&upto) {
            self.dead.upto = upto;
        }
        self.dead.deleted = self.dead.deleted.max(deleted);
    }

    /// Notes that a key is there. Returns whether less is lifeless than before.
    fn put(&mut self, end: Direction, key: &[u8]) -> bool {
        if !self.contains(end, key) || self.revived.contains(key) {
            return false;
        }
        let is_first = self.first_revived(end).is_none_or(|first| end.compare(key, first).is_lt());
        self.revived.insert(Value::copy_from(key));
        self.revived_bytes += key.len() + REVIVED_BYTES;
        if self.revived.len() > REVIVED_MAX {
            let outermost = match end {
                Direction::Forward => self.revived.last(),
                Direction::Backward => self.revived.first(),
            };
            if let Some(outermost) = outermost.cloned() {
                self.remove(&outermost);
                self.dead.upto = Bound::Excluded(outermost);
            }
        }
        is_first
    }

    fn remove(&mut self, key: &Value) {
        if self.revived.remove(key) {
            self.revived_bytes -= key.len() + REVIVED_BYTES;
        }
    }

    fn bytes(&self) -> usize {
        let key_bytes = match &self.dead.upto {
            Bound::Included(key) | Bound::Excluded(key) => key.len(),
            Bound::Unbounded => 0,
        };
        KEPT_MAX * key_bytes + self.revived_bytes
    }
}

fn bytes(bound: &Bound<Value>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

/// Whether what reaches up to a bound has a key.
fn reaches(end: Direction, upto: &Bound<Value>, key: &[u8]) -> bool {
    compare(end, bytes(upto), Bound::Included(key)).is_ge()
}

/// What is known of the two ends of a collection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    front: Option<DeadEnd>,
    back: Option<DeadEnd>,
}

impl Ends {
    /// Notes that from an end up to a bound everything is dead. The last deletion there was at
    /// `deleted`, or in the record that this is noted for if that is above its position.
    pub(crate) fn narrow(&mut self, end: Direction, upto: Bound<Value>, deleted: Lsn) {
        let dead = Dead { upto, deleted };
        match self.end_mut(end) {
            Some(known) => known.narrow(end, dead),
            unknown => *unknown = Some(DeadEnd { dead, revived: BTreeSet::new(), revived_bytes: 0 }),
        }
    }

    /// Notes that a key is there. Returns whether less is lifeless than before.
    pub(crate) fn put(&mut self, key: &[u8]) -> bool {
        let mut put = |end| self.end_mut(end).as_mut().is_some_and(|known| known.put(end, key));
        let (front, back) = (put(Direction::Forward), put(Direction::Backward));
        front || back
    }

    /// The part of a range that may have live keys.
    pub(crate) fn narrowed<'a>(&'a self, bounds: (Bound<&'a [u8]>, Bound<&'a [u8]>)) -> Narrowed<'a> {
        let lifeless = |end| self.end(end).as_ref().map(|known| known.lifeless(end));
        Narrowed::new(bounds, lifeless(Direction::Forward), lifeless(Direction::Backward))
    }

    /// What is known after the record at `since`, for which `newer` was noted.
    fn absorb(&mut self, newer: Self, since: Lsn) {
        for (end, newer) in [(Direction::Forward, newer.front), (Direction::Backward, newer.back)] {
            let Some(newer) = newer else { continue };
            self.narrow(end, newer.dead.upto, newer.dead.deleted.min(since));
            if let Some(known) = self.end_mut(end) {
                for key in &newer.revived {
                    known.put(end, key);
                }
            }
        }
    }

    /// What readers are told, from `since` on.
    fn live(&self, since: Lsn) -> Live {
        let lifeless = |end| {
            let (upto, deleted) = self.end(end).as_ref()?.lifeless(end);
            Some(Dead { upto: upto.map(Value::copy_from), deleted })
        };
        Live { since, front: lifeless(Direction::Forward), back: lifeless(Direction::Backward) }
    }

    fn end(&self, end: Direction) -> &Option<DeadEnd> {
        match end {
            Direction::Forward => &self.front,
            Direction::Backward => &self.back,
        }
    }

    fn end_mut(&mut self, end: Direction) -> &mut Option<DeadEnd> {
        match end {
            Direction::Forward => &mut self.front,
            Direction::Backward => &mut self.back,
        }
    }

    fn bytes(&self) -> usize {
        NOTE_BYTES + [&self.front, &self.back].into_iter().flatten().map(DeadEnd::bytes).sum::<usize>()
    }
}

/// The part of a range that may have live keys.
#[derive(Debug)]
pub(crate) struct Narrowed<'a> {
    /// They may be inverted, which is to say that there are none.
    pub(crate) bounds: (Bound<&'a [u8]>, Bound<&'a [u8]>),
    /// What an answer from the front depends on, because keys there are passed over;
    /// [`Lsn::START`] if none are. The same from the back.
    pub(crate) passed: (Lsn, Lsn),
}

impl<'a> Narrowed<'a> {
    fn new(
        (lower, upper): (Bound<&'a [u8]>, Bound<&'a [u8]>),
        front: Option<DeadRef<'a>>,
        back: Option<DeadRef<'a>>,
    ) -> Self {
        let (lower, passed_below) = narrower(lower, front, Direction::Forward);
        let (upper, passed_above) = narrower(upper, back, Direction::Backward);
        match (lower, upper) {
            (Some(lower), Some(upper)) => Self { bounds: (lower, upper), passed: (passed_below, passed_above) },
            // Everything is passed over from either end. No key is below the empty one.
            _ => {
                let passed = passed_below.max(passed_above);
                Self { bounds: (Bound::Unbounded, Bound::Excluded(&[])), passed: (passed, passed) }
            }
        }
    }
}

/// The narrower of a bound and what is beyond the dead, at the end of a range that `end` begins at;
/// `None` if nothing is. And what that depends on.
fn narrower<'a>(bound: Bound<&'a [u8]>, dead: Option<DeadRef<'a>>, end: Direction) -> (Option<Bound<&'a [u8]>>, Lsn) {
    match dead {
        Some((upto, deleted)) if bound == Bound::Unbounded || compare(end, upto, other_side(bound)).is_gt() => {
            ((upto != Bound::Unbounded).then(|| other_side(upto)), deleted)
        }
        _ => (Some(bound), Lsn::START),
    }
}

/// What readers know of a collection from a position on.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    since: Lsn,
    /// Where nothing lives, from the front; `None` if that is not known.
    front: Option<Dead>,
    /// The same from the back.
    back: Option<Dead>,
}

impl Live {
    /// Nothing is known.
    pub(crate) const ANYWHERE: Self = Self { since: Lsn::START, front: None, back: None };

    /// The part of a range that may have live keys.
    pub(crate) fn narrow<'a>(&'a self, bounds: (Bound<&'a [u8]>, Bound<&'a [u8]>)) -> Narrowed<'a> {
        Narrowed::new(bounds, self.front.as_ref().map(Dead::as_ref), self.back.as_ref().map(Dead::as_ref))
    }

    /// Forgets what does not hold later, where `later` holds.
    fn outlast(&mut self, later: Self) {
        for (end, known, later) in
            [(Direction::Forward, &mut self.front, later.front), (Direction::Backward, &mut self.back, later.back)]
        {
            *known = match (known.take(), later) {
                (Some(known), Some(later)) => {
                    let deleted = known.deleted.max(later.deleted);
                    let is_known_less = compare(end, bytes(&known.upto), bytes(&later.upto)).is_lt();
                    Some(Dead { upto: if is_known_less { known.upto } else { later.upto }, deleted })
                }
                _ => None,
            };
        }
    }
}

/// What is known for the positions that may be read, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveAt(Vec<Live>);

impl LiveAt {
    /// What is known at a position.
    pub(super) fn at(&self, position: Lsn) -> Live {
        self.0.iter().rev().find(|live| live.since <= position).cloned().unwrap_or(Live::ANYWHERE)
    }

    /// Adds what is known from now on. What one record changes is known as a whole.
    ///
    /// If too much is kept, the newest two become one, of what both know. So what is kept moves on
    /// with the published position, however far that lags behind.
    pub(super) fn push(&mut self, live: Live) {
        let is_full = self.0.len() == KEPT_MAX;
        let replaced = self.0.pop_if(|newest| is_full || newest.since == live.since);
        if let Some(newest) = replaced.filter(|newest| newest.since < live.since)
            && let Some(before) = self.0.last_mut()
        {
            before.outlast(newest);
        }
        self.0.push(live);
    }

    /// Forgets what no reader from `published` on needs.
    pub(super) fn forget_before(&mut self, published: Lsn) {
        let needed = self.0.iter().rposition(|live| live.since <= published).unwrap_or(0);
        self.0.drain(..needed);
    }
}

/// What the writer knows of the ends of collections.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// In order, so that the same go on to the next memtable in each run.
    collections: BTreeMap<CollectionId, KnownOf>,
    bytes: usize,
    /// How many of the bytes are from the memtable before.
    carried_bytes: usize,
}

#[derive(Debug, Default)]
struct KnownOf {
    ends: Ends,
    /// Whether anything was learned since the memtable was begun.
    is_recent: bool,
}

impl Known {
    /// Adds what was noted for the record at `since`. Returns what readers are told.
    pub(super) fn narrow(&mut self, id: CollectionId, ends: Ends, since: Lsn) -> Live {
        let known = self.collections.entry(id).or_insert_with(|| {
            self.bytes += NOTE_BYTES;
            KnownOf::default()
        });
        let bytes_before = known.ends.bytes();
        known.is_recent = true;
        known.ends.absorb(ends, since);
        self.bytes = self.bytes + known.ends.bytes() - bytes_before;
        known.ends.live(since)
    }

    /// Notes that a key is there from `since` on. Returns what readers are told if that changes.
    pub(super) fn put(&mut self, id: CollectionId, key: &[u8], since: Lsn) -> Option<Live> {
        let ends = &mut self.collections.get_mut(&id)?.ends;
        let bytes_before = ends.bytes();
        let is_told = ends.put(key);
        self.bytes = self.bytes + ends.bytes() - bytes_before;
        is_told.then(|| ends.live(since))
    }

    /// Forgets a collection, which was dropped.
    pub(super) fn forget(&mut self, id: CollectionId) {
        if let Some(known) = self.collections.remove(&id) {
            // What readers were told stays.
            self.bytes -= known.ends.bytes() - NOTE_BYTES;
        }
    }

    /// Roughly how many bytes of memory it takes, here and for readers, above what was known when
    /// the memtable was begun.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.saturating_sub(self.carried_bytes)
    }

    /// What goes on to the next memtable: what was in use in this one, as far as there is room.
    pub(super) fn carry_over(&mut self) -> Self {
        let mut next = Self::default();
        for (id, KnownOf { ends, is_recent }) in mem::take(&mut self.collections) {
            if is_recent && next.bytes + ends.bytes() <= CARRIED_BYTES_MAX {
                next.bytes += ends.bytes();
                next.collections.insert(id, KnownOf { ends, is_recent: false });
            }
        }
        next.carried_bytes = next.bytes;
        next
    }

    /// The collections of which anything is known.
    pub(super) fn collections(&self) -> impl Iterator<Item = CollectionId> {
        self.collections.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const ALL: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);
    const ID: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };

    fn upto(key: &[u8]) -> Bound<Value> {
        Bound::Included(Value::copy_from(key))
    }

    fn narrowed(end: Direction, upto: Bound<Value>, deleted: u64) -> Ends {
        let mut ends = Ends::default();
        ends.narrow(end, upto, Lsn(deleted));
        ends
    }

    /// What the writer and readers know of a collection.
    #[derive(Default)]
    struct Noted {
        known: Known,
        told: LiveAt,
    }

    impl Noted {
        fn narrow(&mut self, lsn: u64, ends: Ends, published: u64) {
            let live = self.known.narrow(ID, ends, Lsn(lsn));
            self.told.push(live);
            self.told.forget_before(Lsn(published));
        }

        fn pop(&mut self, lsn: u64, end: Direction, key: &[u8], published: u64) {
            self.narrow(lsn, narrowed(end, upto(key), lsn), published);
        }

        fn put(&mut self, lsn: u64, key: &[u8]) {
            if let Some(live) = self.known.put(ID, key, Lsn(lsn)) {
                self.told.push(live);
            }
        }

        fn lower(&self, position: u64) -> Bound<Vec<u8>> {
            self.told.at(Lsn(position)).narrow(ALL).bounds.0.map(<[u8]>::to_vec)
        }
    }

    fn is_within((lower, upper): (Bound<&[u8]>, Bound<&[u8]>), key: &[u8]) -> bool {
        let is_above = match lower {
            Bound::Included(bound) => key >= bound,
            Bound::Excluded(bound) => key > bound,
            Bound::Unbounded => true,
        };
        let is_below = match upper {
            Bound::Included(bound) => key <= bound,
            Bound::Excluded(bound) => key < bound,
            Bound::Unbounded => true,
        };
        is_above && is_below
    }

    #[test]
    fn popping_narrows_and_putting_widens_from_their_positions_on() {
        let mut noted = Noted::default();
        noted.pop(5, Direction::Forward, b"c", 4);
        assert_eq!(noted.lower(4), Bound::Unbounded);
        assert_eq!(noted.lower(5), Bound::Excluded(b"c".to_vec()));
        noted.put(6, b"m"); // within
        noted.put(7, b"b");
        assert_eq!(noted.lower(6), Bound::Excluded(b"c".to_vec()));
        assert_eq!(noted.lower(7), Bound::Included(b"b".to_vec()));
        noted.put(8, b"a");
        noted.pop(9, Direction::Forward, b"a", 8);
        assert_eq!(noted.lower(8), Bound::Included(b"a".to_vec()));
        assert_eq!(noted.lower(9), Bound::Included(b"b".to_vec()));
        noted.pop(10, Direction::Forward, b"b", 9);
        assert_eq!(noted.lower(10), Bound::Excluded(b"c".to_vec()), "up to c all is dead again");
    }

    /// Random changes of a few keys in records that are published late. At each position that may
    /// be read, the keys of a map at that position lie within what is known there.
    #[test]
    fn what_lives_is_never_taken_for_dead() {
        for seed in 0..300_u64 {
            let mut state = seed;
            let mut below = |bound: u64| {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                (state >> 33) % bound
            };
            let (mut noted, mut map) = (Noted::default(), BTreeMap::new());
            let mut states = vec![map.clone()];
            let (lag, mut published) = (below(12), 0);
            for lsn in 1..200 {
                // A transaction: what it finds at the ends is noted when it is committed.
                let mut ends = Ends::default();
                for _ in 0..=below(3) {
                    let key = [below(30) as u8, below(2) as u8][..1 + below(2) as usize].to_vec();
                    let end = if below(2) == 0 { Direction::Forward } else { Direction::Backward };
                    match below(10) {
                        0..5 => {
                            noted.put(lsn, &key);
                            ends.put(&key);
                            map.insert(key, ());
                        }
                        5..9 => {
                            let bounds = ends.narrowed(ALL).bounds;
                            assert!(map.keys().all(|key| is_within(bounds, key)));
                            let popped = if end == Direction::Forward { map.pop_first() } else { map.pop_last() };
                            let upto = popped.map_or(Bound::Unbounded, |(key, ()): (Vec<u8>, ())| upto(&key));
                            ends.narrow(end, upto, Lsn(u64::MAX));
                        }
                        _ => drop(map.remove(&key)),
                    }
                }
                states.push(map.clone());
                noted.narrow(lsn, ends, published);
                if below(6) == 0 {
                    noted.known = noted.known.carry_over();
                    noted.told.forget_before(Lsn(published));
                }
                if lsn > lag && below(2) == 0 {
                    published = lsn - lag;
                }
                for position in published..=lsn {
                    let live = noted.told.at(Lsn(position));
                    let bounds = live.narrow(ALL).bounds;
                    let outside = states[position as usize].keys().find(|key| !is_within(bounds, key));
                    assert_eq!(outside, None, "seed {seed}: {bounds:?} at {position} of {lsn}");
                }
            }
        }
    }

    /// A stack that was deep and is short now: what is above it stays known, however much is pushed
    /// at once.
    #[test]
    fn many_keys_that_are_put_at_an_end_leave_the_rest_dead() {
        for pushed in [1, 1000, 10_000_u32] {
            let mut noted = Noted::default();
            noted.pop(1, Direction::Backward, b"", 0);
            (0..pushed).for_each(|key| noted.put(2, &key.to_be_bytes()));
            for key in (0..pushed).rev() {
                let live = noted.told.at(Lsn(u64::MAX));
                let bounds = live.narrow(ALL).bounds;
                let is_there = |key: u32| is_within(bounds, &key.to_be_bytes());
                assert!(is_there(key) && !is_there(key + 1), "{key} of {pushed}");
                noted.pop(3, Direction::Backward, &key.to_be_bytes(), 3);
            }
        }
    }

    /// Readers of a published position that lags behind, by however much, know what was popped
    /// before about twice as many records.
    #[test]
    fn what_readers_know_follows_the_published_position() {
        for lag in [0, 1, 2, 3, 10, 1000] {
            let mut noted = Noted::default();
            for lsn in 1..10 * lag + 10 {
                let published = lsn - u64::min(lag, lsn);
                noted.pop(lsn, Direction::Forward, &lsn.to_be_bytes(), published);
                assert!(noted.told.0.len() <= KEPT_MAX);
                let known = match noted.lower(published) {
                    Bound::Excluded(key) => u64::from_be_bytes(key.try_into().unwrap()),
                    _ => 0,
                };
                assert!(known + 2 * lag + 1 >= published && known <= published, "{known} at {published}, lag {lag}");
            }
        }
    }

    #[test]
    fn only_what_is_passed_over_counts() {
        let live = narrowed(Direction::Forward, upto(b"c"), 5).live(Lsn(5));
        let passed = |lower| live.narrow((lower, Bound::Unbounded)).passed.0;
        assert_eq!(passed(Bound::Included(b"b")), Lsn(5));
        assert_eq!(passed(Bound::Included(b"c")), Lsn(5));
        assert_eq!(passed(Bound::Excluded(b"c")), Lsn(0), "nothing is passed over");
        assert_eq!(passed(Bound::Included(b"d")), Lsn(0), "nothing is passed over");
        let live = narrowed(Direction::Forward, Bound::Unbounded, 5).live(Lsn(7));
        let Narrowed { bounds, passed } = live.narrow((Bound::Included(b"b"), Bound::Unbounded));
        assert!(!is_within(bounds, b"b") && !is_within(bounds, b"z"));
        assert_eq!(passed, (Lsn(5), Lsn(5)), "whatever is put first is so because nothing else is there");
    }

    /// What is known is counted, and the count goes down with it.
    #[test]
    fn what_is_known_takes_little() {
        let mut noted = Noted::default();
        noted.pop(1, Direction::Forward, b"m", 0);
        let before = noted.known.bytes();
        let put_and_pop = |noted: &mut Noted| {
            (0..100_u8).for_each(|key| noted.put(2, &[key]));
            let after_puts = noted.known.bytes();
            (0..100).for_each(|key| noted.pop(3, Direction::Forward, &[key], 3));
            after_puts
        };
        assert!(put_and_pop(&mut noted) >= before + 100 * REVIVED_BYTES);
        assert_eq!(noted.known.bytes(), before);
        for _ in 0..10 {
            put_and_pop(&mut noted);
        }
        assert_eq!(noted.known.bytes(), before);
        noted.known = noted.known.carry_over();
        assert_eq!(noted.known.bytes(), 0, "the next memtable is empty");
        noted.known = noted.known.carry_over();
        assert_eq!(noted.known.collections().count(), 0, "not in use for a whole memtable");
    }

    #[test]
    fn as_much_is_carried_over_as_there_is_room() {
        let mut known = Known::default();
        for index in 0..10_000 {
            let ends = narrowed(Direction::Forward, upto(&[7; 100]), 1);
            known.narrow(CollectionId { lsn: Lsn(1), index }, ends, Lsn(1));
        }
        let next = known.carry_over();
        assert!((100..2000).contains(&next.collections().count()));
        assert_eq!(next.bytes(), 0);
    }
}
