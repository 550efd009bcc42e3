//! The entries of a collection in order, from one end: what has changed in memory, over what the checkpoint has.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use super::{
    entries::Entry,
    memtable::Memtable,
    order::{Direction, Order},
    read_view::ReadView,
};
use crate::{CollectionId, Cursor, Lsn, Result, Value};

/// How many keys are taken from memory the first time, and at most: few, so that whoever wants the first entry only does not pay for others.
const KEYS_AT_ONCE: usize = 4;
const KEYS_AT_ONCE_MAX: usize = 256;

/// What is scanned.
pub(super) struct Scan {
    pub(super) view: Arc<ReadView>,
    /// Where the entries are; `None` if there are none but those above.
    pub(super) stored: Option<Stored>,
    /// Changes that stand in the place of what is stored, in order.
    pub(super) above: VecDeque<KeyChange>,
}

/// A collection at a position. Who scans it keeps the position registered.
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
        let above = self.above.iter().filter(|(key, _)| (lower.as_ref(), upper.as_ref()).contains(key)).cloned();
        let above = above.map(|(key, value)| Found { lsn: Lsn::START, key, value });
        let ready = match direction {
            Direction::Forward => above.collect(),
            Direction::Backward => above.rev().collect(),
        };
        let sources = vec![Source { ready, rest: None }];
        let mut merge = Merge { direction, sources, cursor: None, depends_on: Lsn::START };
        if let Some(stored) = self.stored {
            for memtable in self.view.memtables() {
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

/// Several sources of entries, the newer ones standing in the place of the older ones.
pub(super) struct Merge {
    direction: Direction,
    /// What has changed in memory, the newest first.
    sources: Vec<Source>,
    /// Stands at the next entry of the checkpoint; `None` when there is no other.
    cursor: Option<Box<dyn Cursor>>,
    /// The highest position of the changes that were passed, deletions too. Keys that were taken
    /// ahead do not count.
    depends_on: Lsn,
}

impl Merge {
    /// The position that everything rests on that was given, the end too.
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
            let Some(Found { lsn, key, value }) = newest[0].ready.pop_front() else { continue };
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

    /// The newest source of the key that comes first, and that key.
    fn first_changed(&self) -> Option<(usize, &[u8])> {
        let keys = self.sources.iter().enumerate().filter_map(|(at, source)| Some((at, &*source.ready.front()?.key)));
        keys.min_by(|(_, a), (_, b)| self.direction.compare(a, b)) // of equals the first, which is the newest
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

/// A change and its position, which is [`Lsn::START`] for one of a pending.
struct Found {
    lsn: Lsn,
    key: Value,
    value: Option<Value>,
}

/// Changes in order.
struct Source {
    ready: VecDeque<Found>,
    /// Where there are others.
    rest: Option<Rest>,
}

/// The changes of a memtable that were not taken yet.
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
    /// Has a change ready, if there is another.
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
    /// Takes the next few keys, of which some may not have changed yet at the position; `false` if there are no others.
    fn take(&mut self, ready: &mut VecDeque<Found>) -> bool {
        let keys = self.order.keys(bytes(&self.lower), bytes(&self.upper), self.direction, self.count);
        let Some(last) = keys.last().cloned() else { return false };
        let is_end = keys.len() < self.count;
        for key in keys {
            if let Some((lsn, value)) = self.memtable.version(self.stored.collection, &key, || self.stored.position) {
                ready.push_back(Found { lsn, key, value });
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
