//! Merges the changes in memory with the entries of the checkpoint, in order of key, from one end.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

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
    /// The changes of a pending write in order of key. They replace what is stored.
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
    /// The entries within the bounds, from the end that `direction` begins at.
    pub(super) fn merge(&self, lower: &Bound<Value>, upper: &Bound<Value>, direction: Direction) -> Result<Merge> {
        let pending = self.pending.iter().filter(|(key, _)| (lower.as_ref(), upper.as_ref()).contains(key)).cloned();
        let pending = pending.map(|(key, value)| ReadyChange { lsn: Lsn::START, key, value });
        let ready = match direction {
            Direction::Forward => pending.collect(),
            Direction::Backward => pending.rev().collect(),
        };
        let sources = vec![Source { ready, rest: None }];
        let mut merge = Merge { direction, sources, cursor: None, depends_on: Lsn::START };
        if let Some(stored) = self.stored {
            for memtable in self.view.memtables().filter(|memtable| memtable.entries() > 0) {
                let rest = Rest {
                    memtable: Arc::clone(memtable),
                    order: memtable.in_order(stored.collection),
                    stored,
                    direction,
                    lower: lower.clone(),
                    upper: upper.clone(),
                    count: KEYS_AT_ONCE,
                };
                merge.sources.push(Source { ready: VecDeque::new(), rest: Some(rest) });
            }
            if let Some(checkpoint) = &self.view.checkpoint {
                merge.cursor = Some(checkpoint.range(stored.collection, bytes(lower), bytes(upper))?);
            }
        }
        merge.step_cursor()?;
        Ok(merge)
    }
}

pub(super) fn bytes(bound: &Bound<Value>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

/// Merges several sources of entries. A newer source hides the same key in older ones.
pub(super) struct Merge {
    direction: Direction,
    /// The changes in order of key, one source for each place; newer places come first.
    sources: Vec<Source>,
    /// A cursor at the checkpoint's first entry that has not been taken yet. `None` if there are no
    /// more.
    cursor: Option<Box<dyn Cursor>>,
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

    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            self.sources.iter_mut().for_each(Source::make_ready);
            let Some((first, key)) = self.first_changed() else { return self.take_from_cursor() };
            let order = self.cursor.as_ref().map(|cursor| self.direction.compare(key, cursor.key()));
            match order {
                Some(Ordering::Greater) => return self.take_from_cursor(),
                Some(Ordering::Equal) => self.step_cursor()?,
                Some(Ordering::Less) | None => {}
            }
            let (newest, older) = self.sources[first..].split_at_mut(1);
            let Some(ReadyChange { lsn, key, value }) = newest[0].ready.pop_front() else { continue };
            self.depends_on = self.depends_on.max(lsn);
            for source in older {
                if source.ready.front().is_some_and(|other| other.key == key) {
                    source.ready.pop_front();
                }
            }
            if let Some(value) = value {
                return Ok(Some(Entry { key, value }));
            }
        }
    }

    /// The newest source that holds the first key, and that key.
    fn first_changed(&self) -> Option<(usize, &[u8])> {
        let keys = self.sources.iter().enumerate().filter_map(|(at, source)| Some((at, &*source.ready.front()?.key)));
        keys.min_by(|(_, a), (_, b)| self.direction.compare(a, b)) // of equal keys the first, which is the newest
    }

    fn take_from_cursor(&mut self) -> Result<Option<Entry>> {
        let entry = self.cursor.as_ref().map(|at| Entry { key: at.key_handle(), value: at.value_handle() });
        self.step_cursor()?;
        Ok(entry)
    }

    fn step_cursor(&mut self) -> Result<()> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let found = match self.direction {
            Direction::Forward => cursor.advance()?,
            Direction::Backward => cursor.retreat()?,
        };
        if !found {
            self.cursor = None;
        }
        Ok(())
    }
}

/// A change and its position, which is [`Lsn::START`] for one of a pending write.
struct ReadyChange {
    lsn: Lsn,
    key: Value,
    value: Option<Value>,
}

/// The changes of one place, in order.
struct Source {
    ready: VecDeque<ReadyChange>,
    /// Where to read more.
    rest: Option<Rest>,
}

/// The changes of a memtable that have not been read yet.
struct Rest {
    memtable: Arc<Memtable>,
    order: Arc<Order>,
    stored: Stored,
    direction: Direction,
    lower: Bound<Value>,
    upper: Bound<Value>,
    count: usize,
}

impl Source {
    /// Makes the next change ready, if there is one.
    fn make_ready(&mut self) {
        while self.ready.is_empty()
            && let Some(rest) = &mut self.rest
        {
            if !rest.take(&mut self.ready) {
                self.rest = None;
            }
        }
    }
}

impl Rest {
    /// Reads the next few keys. Some of them may have no version at the position. Returns `false`
    /// if there are no more.
    fn take(&mut self, ready: &mut VecDeque<ReadyChange>) -> bool {
        let keys = self.order.keys(bytes(&self.lower), bytes(&self.upper), self.direction, self.count);
        let Some(last) = keys.last().cloned() else { return false };
        let is_end = keys.len() < self.count;
        for key in keys {
            if let Some((lsn, value)) = self.memtable.version(self.stored.collection, &key, || self.stored.position) {
                ready.push_back(ReadyChange { lsn, key, value });
            }
        }
        match self.direction {
            Direction::Forward => self.lower = Bound::Excluded(last),
            Direction::Backward => self.upper = Bound::Excluded(last),
        }
        self.count = (self.count * 2).min(KEYS_AT_ONCE_MAX);
        !is_end
    }
}
