//! Merges the changes in memory with the entries of the checkpoint, in order of key, from both
//! ends.

use std::{cmp::Ordering, collections::VecDeque, ops::Bound, sync::Arc};

use super::{
    entry::Entry,
    memtable::Memtable,
    order::{Direction, Order},
    read_view::ReadView,
};
use crate::{CollectionId, Cursor, Lsn, Result, Value};

/// How many keys are taken from a memtable at first, and at most. The number is small at first, so
/// that a caller that takes only the first entry does not pay for more.
const KEYS_AT_ONCE: usize = 4;
const KEYS_AT_ONCE_MAX: usize = 256;

/// What to iterate over.
pub(super) struct Scan {
    pub(super) view: Arc<ReadView>,
    /// The collection and position to read. `None` if there are only pending changes.
    pub(super) stored: Option<Stored>,
    /// The changes of a pending write within the bounds, in order of key. They replace what is
    /// stored.
    pub(super) pending: VecDeque<KeyChange>,
}

/// A collection at a position. The caller keeps the position registered.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) collection: CollectionId,
    pub(super) position: Lsn,
}

/// A key that has changed, and its value; `None` if it was deleted.
pub(crate) type KeyChange = (Value, Option<Value>);

impl Scan {
    /// The entries within the bounds.
    pub(super) fn merge(self, (lower, upper): (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Merge> {
        let pending = self.pending.into_iter().map(|(key, value)| ReadyChange { lsn: Lsn::START, key, value });
        let pending = Source { front: pending.collect(), ..Source::default() };
        let mut merge = Merge { sources: vec![pending], base: None, depends_on: Lsn::START };
        if let Some(stored) = self.stored {
            for memtable in self.view.memtables().filter(|memtable| memtable.entries() > 0) {
                let rest = Rest {
                    memtable: Arc::clone(memtable),
                    order: memtable.in_order(stored.collection),
                    stored,
                    lower: lower.map(Value::copy_from),
                    upper: upper.map(Value::copy_from),
                    count: KEYS_AT_ONCE,
                };
                merge.sources.push(Source { rest: Some(rest), ..Source::default() });
            }
            if let Some(checkpoint) = &self.view.checkpoint {
                let cursor = checkpoint.range(stored.collection, lower, upper)?;
                merge.base = Some(Base { cursor, front: None, back: None });
            }
        }
        Ok(merge)
    }
}

pub(super) fn bytes(bound: &Bound<Value>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

/// Merges several sources of entries. A newer source hides the same key in older ones.
pub(super) struct Merge {
    /// The changes in order of key, one source for each place; newer places come first. Those that
    /// are used up are left out.
    sources: Vec<Source>,
    /// What the checkpoint has. `None` if there is nothing.
    base: Option<Base>,
    /// The highest position of the changes that were taken, tombstones included. Keys that were
    /// only read ahead do not count.
    depends_on: Lsn,
}

impl Merge {
    /// The position of the newest change that the iteration depends on so far. At its end, this
    /// includes the fact that there are no more entries.
    pub(super) fn depends_on(&self) -> Lsn {
        self.depends_on
    }

    /// Takes the next entry from the end that `direction` begins at.
    pub(super) fn next(&mut self, direction: Direction) -> Result<Option<Entry>> {
        loop {
            if !self.sources.is_empty() {
                self.sources.retain_mut(|source| source.make_ready(direction));
            }
            let Some(first) = self.first_changed(direction) else {
                return self.base.as_mut().map_or(Ok(None), |base| base.take(direction));
            };
            let (newest, older) = self.sources[first..].split_at_mut(1);
            let Some(ReadyChange { key, .. }) = newest[0].peek(direction) else { continue };
            if let Some(base) = &mut self.base
                && let Some(entry) = base.peek(direction)?
            {
                match direction.compare(key, &entry.key) {
                    Ordering::Greater => return base.take(direction),
                    Ordering::Equal => drop(base.take(direction)?),
                    Ordering::Less => {}
                }
            }
            let Some(ReadyChange { lsn, key, value }) = newest[0].take(direction) else { continue };
            self.depends_on = self.depends_on.max(lsn);
            for source in older {
                if source.peek(direction).is_some_and(|other| other.key == key) {
                    source.take(direction);
                }
            }
            if let Some(value) = value {
                return Ok(Some(Entry { key, value }));
            }
        }
    }

    /// The newest source that holds the first key.
    fn first_changed(&self, direction: Direction) -> Option<usize> {
        let keys = self.sources.iter().enumerate().filter_map(|(at, source)| Some((at, &source.peek(direction)?.key)));
        keys.min_by(|(_, a), (_, b)| direction.compare(a, b)).map(|(at, _)| at) // of equal keys the first, which is the newest
    }
}

/// The entries of the checkpoint, with one read ahead at each end where that was necessary to
/// compare it.
struct Base {
    cursor: Box<dyn Cursor>,
    front: Option<Entry>,
    back: Option<Entry>,
}

impl Base {
    fn peek(&mut self, direction: Direction) -> Result<Option<&Entry>> {
        let ahead = self.take(direction)?;
        let place = match direction {
            Direction::Forward => &mut self.front,
            Direction::Backward => &mut self.back,
        };
        *place = ahead;
        Ok(place.as_ref())
    }

    fn take(&mut self, direction: Direction) -> Result<Option<Entry>> {
        let (ahead, at_other_end) = match direction {
            Direction::Forward => (&mut self.front, &mut self.back),
            Direction::Backward => (&mut self.back, &mut self.front),
        };
        if ahead.is_some() {
            return Ok(ahead.take());
        }
        let found = match direction {
            Direction::Forward => self.cursor.advance()?,
            Direction::Backward => self.cursor.retreat()?,
        };
        let entry = || Entry { key: self.cursor.key_handle(), value: self.cursor.value_handle() };
        Ok(if found { Some(entry()) } else { at_other_end.take() })
    }
}

/// A change and its position, which is [`Lsn::START`] for one of a pending write.
struct ReadyChange {
    lsn: Lsn,
    key: Value,
    value: Option<Value>,
}

/// The changes of one place: those that were read at the front, the rest, those that were read at
/// the back, all in ascending order of key.
#[derive(Default)]
struct Source {
    front: VecDeque<ReadyChange>,
    /// What has not been read yet. `None` if there is nothing; then all that was read is in
    /// `front`.
    rest: Option<Rest>,
    back: VecDeque<ReadyChange>,
}

impl Source {
    /// Reads until there is a change at the end that `direction` begins at. Returns `false` if the
    /// source is used up.
    fn make_ready(&mut self, direction: Direction) -> bool {
        while self.peek(direction).is_none()
            && let Some(rest) = &mut self.rest
        {
            let ready = match direction {
                Direction::Forward => &mut self.front,
                Direction::Backward => &mut self.back,
            };
            if !rest.take(ready, direction) {
                self.rest = None;
                self.front.append(&mut self.back);
            }
        }
        self.peek(direction).is_some()
    }

    fn peek(&self, direction: Direction) -> Option<&ReadyChange> {
        match direction {
            Direction::Forward => self.front.front(),
            Direction::Backward if self.rest.is_none() => self.front.back(),
            Direction::Backward => self.back.back(),
        }
    }

    fn take(&mut self, direction: Direction) -> Option<ReadyChange> {
        match direction {
            Direction::Forward => self.front.pop_front(),
            Direction::Backward if self.rest.is_none() => self.front.pop_back(),
            Direction::Backward => self.back.pop_back(),
        }
    }
}

/// The changes of a memtable that have not been read yet.
struct Rest {
    memtable: Arc<Memtable>,
    order: Arc<Order>,
    stored: Stored,
    lower: Bound<Value>,
    upper: Bound<Value>,
    count: usize,
}

impl Rest {
    /// Reads the next few keys from the end that `direction` begins at. Some of them may have no
    /// version at the position. Returns `false` if there are no more.
    fn take(&mut self, ready: &mut VecDeque<ReadyChange>, direction: Direction) -> bool {
        let keys = self.order.keys(bytes(&self.lower), bytes(&self.upper), direction, self.count);
        let Some(last) = keys.last().cloned() else { return false };
        let is_end = keys.len() < self.count;
        for key in keys {
            if let Some((lsn, value)) = self.memtable.version(self.stored.collection, &key, || self.stored.position) {
                let change = ReadyChange { lsn, key, value };
                match direction {
                    Direction::Forward => ready.push_back(change),
                    Direction::Backward => ready.push_front(change),
                }
            }
        }
        match direction {
            Direction::Forward => self.lower = Bound::Excluded(last),
            Direction::Backward => self.upper = Bound::Excluded(last),
        }
        self.count = (self.count * 2).min(KEYS_AT_ONCE_MAX);
        !is_end
    }
}
