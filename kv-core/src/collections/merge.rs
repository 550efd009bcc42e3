//! Merges the changes in memory with the entries of the checkpoint, in order of key, from both
//! ends.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, btree_map},
    ops::Bound,
    sync::Arc,
};

use super::{
    entry::Entry,
    memtable::{self, Direction, MemtableScan, Narrowed, SeenValue},
    read_view::ReadView,
};
use crate::{CollectionId, Cursor, Lsn, ReadEntry, Result, Value};

/// What to iterate over.
pub(super) struct Scan<'a> {
    pub(super) view: Arc<ReadView>,
    /// The collection and position to read. `None` if there are only pending changes.
    pub(super) stored: Option<Stored>,
    /// The changes of a pending write. They replace what is stored.
    pub(super) pending: Option<&'a PendingChanges>,
}

/// A collection at a position.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) collection: CollectionId,
    pub(super) position: Lsn,
}

/// The keys that a pending write has changed, and their values; `None` for a deleted key.
pub(crate) type PendingChanges = BTreeMap<Value, Option<Value>>;

impl<'a> Scan<'a> {
    /// The entries within the bounds, which must not be inverted.
    pub(super) fn merge(self, (lower, upper): (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Merge<'a>> {
        let mut merge =
            Merge { changes: Vec::new(), base: None, depends_on: Lsn::START, passed: (Lsn::START, Lsn::START) };
        let pending = self.pending.filter(|pending| !pending.is_empty());
        merge
            .changes
            .extend(pending.map(|pending| Ends::of(Source::Pending(pending.range::<[u8], _>((lower, upper))))));
        if let Some(Stored { collection, position }) = self.stored {
            let live = self.view.active.live(collection, position);
            let Narrowed { bounds: (lower, upper), passed } = live.narrow((lower, upper));
            merge.passed = passed;
            let scans =
                self.view.memtables().filter_map(|memtable| memtable.scan(collection, (lower, upper), position));
            merge.changes.extend(scans.map(|scan| Ends::of(Source::Memtable(scan))));
            if let Some(checkpoint) = &self.view.checkpoint {
                merge.base = Some(Ends::of(checkpoint.range(collection, lower, upper)?));
            }
        }
        Ok(merge)
    }
}

pub(super) fn bytes(bound: &Bound<Value>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

/// Merges several sources of entries. A newer source hides the same key in older ones.
pub(super) struct Merge<'a> {
    /// The changes in order of key, one source for each place; newer places come first. Those that
    /// are used up are left out.
    changes: Vec<Ends<Source<'a>>>,
    /// What the checkpoint has. `None` if there is nothing.
    base: Option<Ends<Box<dyn Cursor>>>,
    /// The highest position of the changes that were taken, tombstones included. Keys that were
    /// only read ahead do not count.
    depends_on: Lsn,
    /// The highest position of the tombstones that need not be looked at, at the front and at the
    /// back.
    passed: (Lsn, Lsn),
}

impl Merge<'_> {
    /// The position of the newest change that the iteration depends on so far. At its end, this
    /// includes the fact that there are no more entries.
    pub(super) fn depends_on(&self) -> Lsn {
        self.depends_on
    }

    /// Takes the next entry from the end that `direction` begins at.
    pub(super) fn next(&mut self, direction: Direction) -> Result<Option<Entry>> {
        let entry = self.next_in_order(direction)?;
        let (front, back) = self.passed;
        let passed = match (&entry, direction) {
            (Some(_), Direction::Forward) => front,
            (Some(_), Direction::Backward) => back,
            (None, _) => front.max(back),
        };
        self.depends_on = self.depends_on.max(passed);
        Ok(entry)
    }

    /// Calls `read` with each entry in place, in order, until it breaks. Nothing may have been
    /// taken before.
    pub(super) fn read_each(mut self, read: ReadEntry<'_>) -> Result<()> {
        let mut base = self.base.take().map(|base| base.source);
        if let Some(base) = &mut base {
            base.advance()?;
        }
        while let Some(first) = self.first_change(Direction::Forward)?
            && let Some(Change { key, value, .. }) = self.changes[first].change(Direction::Forward)
        {
            if let Some(base) = &mut base {
                if base.read_below(Some(key), read)?.is_break() {
                    return Ok(());
                }
                if base.key() == key {
                    base.advance()?;
                }
            }
            if let Some(value) = value
                && read(key, value.bytes()).is_break()
            {
                return Ok(());
            }
            self.pass(first, Direction::Forward)?;
        }
        base.map_or(Ok(()), |mut base| base.read_below(None, read).map(drop))
    }

    /// Passes the first change, which is in this place, and those of the same key in older places.
    fn pass(&mut self, first: usize, direction: Direction) -> Result<()> {
        let (newer, older) = self.changes.split_at_mut(first + 1);
        let Some(newest) = newer.last_mut() else { return Ok(()) };
        for older in older {
            if let (Some(passed), Some(other)) = (newest.change(direction), older.change(direction))
                && passed.key == other.key
            {
                older.take(direction)?;
            }
        }
        newest.take(direction).map(drop)
    }

    /// The newest place that holds the first of the changed keys. Each place that is left has read
    /// ahead.
    fn first_change(&mut self, direction: Direction) -> Result<Option<usize>> {
        self.changes.iter_mut().try_for_each(|source| source.read_ahead(direction))?;
        self.changes.retain(|source| source.ahead(direction).is_some());
        let ahead =
            self.changes.iter().enumerate().filter_map(|(at, source)| Some((at, source.change(direction)?.key)));
        // Of equal keys the first, which is the newest.
        Ok(ahead.min_by(|(_, a), (_, b)| direction.compare(a, b)).map(|(at, _)| at))
    }

    fn next_in_order(&mut self, direction: Direction) -> Result<Option<Entry>> {
        loop {
            let Some(first) = self.first_change(direction)? else {
                return self.base.as_mut().map_or(Ok(None), |base| base.take(direction));
            };
            let Some(Change { lsn, key, value }) = self.changes[first].change(direction) else { return Ok(None) };
            if let Some(base) = &mut self.base {
                base.read_ahead(direction)?;
                match base.ahead(direction).map(|entry| direction.compare(key, &entry.key)) {
                    Some(Ordering::Greater) => return base.take(direction),
                    Some(Ordering::Equal) => drop(base.take(direction)?),
                    Some(Ordering::Less) | None => {}
                }
            }
            self.depends_on = self.depends_on.max(lsn);
            let (key, value) = (Value::copy_from(key), value.map(SeenValue::handle));
            self.pass(first, direction)?;
            if let Some(value) = value {
                return Ok(Some(Entry { key, value }));
            }
        }
    }
}

/// What is taken from one of its two ends.
trait TwoEnded {
    type Item;

    /// Takes the next item from the end that `direction` begins at; `None` if there are no more.
    fn next(&mut self, direction: Direction) -> Result<Option<Self::Item>>;
}

/// A source of entries, with up to one that was read ahead at each end, to compare it with those of
/// other sources.
struct Ends<S: TwoEnded> {
    source: S,
    front: Option<S::Item>,
    back: Option<S::Item>,
}

impl<S: TwoEnded> Ends<S> {
    fn of(source: S) -> Self {
        Self { source, front: None, back: None }
    }

    /// What was read ahead at the end that `direction` begins at, and at the other one.
    fn ends(&mut self, direction: Direction) -> (&mut Option<S::Item>, &mut Option<S::Item>) {
        match direction {
            Direction::Forward => (&mut self.front, &mut self.back),
            Direction::Backward => (&mut self.back, &mut self.front),
        }
    }

    /// What was read ahead. After [`read_ahead`](Ends::read_ahead) it is `None` only if everything
    /// was taken.
    fn ahead(&self, direction: Direction) -> Option<&S::Item> {
        match direction {
            Direction::Forward => self.front.as_ref(),
            Direction::Backward => self.back.as_ref(),
        }
    }

    fn read_ahead(&mut self, direction: Direction) -> Result<()> {
        if self.ahead(direction).is_none() {
            let taken = self.take(direction)?;
            *self.ends(direction).0 = taken;
        }
        Ok(())
    }

    fn take(&mut self, direction: Direction) -> Result<Option<S::Item>> {
        if self.ahead(direction).is_some() {
            return Ok(self.ends(direction).0.take());
        }
        let next = self.source.next(direction)?;
        Ok(next.or_else(|| self.ends(direction).1.take()))
    }
}

impl TwoEnded for Box<dyn Cursor> {
    type Item = Entry;

    fn next(&mut self, direction: Direction) -> Result<Option<Entry>> {
        let found = match direction {
            Direction::Forward => self.advance()?,
            Direction::Backward => self.retreat()?,
        };
        Ok(found.then(|| Entry { key: self.key_handle(), value: self.value_handle() }))
    }
}

/// Where changes come from.
enum Source<'a> {
    /// A pending write.
    Pending(btree_map::Range<'a, Value, Option<Value>>),
    /// A memtable.
    Memtable(MemtableScan),
}

/// What was taken from a [`Source`], which reads it in place.
enum Taken<'a> {
    Pending(&'a Value, Option<&'a Value>),
    Memtable(memtable::Taken),
}

/// A change and its position, which is [`Lsn::START`] for one of a pending write.
struct Change<'a> {
    lsn: Lsn,
    key: &'a [u8],
    value: Option<SeenValue<'a>>,
}

impl Ends<Source<'_>> {
    /// The change that was read ahead.
    fn change(&self, direction: Direction) -> Option<Change<'_>> {
        Some(match (&self.source, self.ahead(direction)?) {
            (Source::Memtable(scan), Taken::Memtable(taken)) => {
                let (key, seen) = scan.read(*taken);
                Change { lsn: seen.lsn, key, value: seen.value }
            }
            (_, Taken::Pending(key, value)) => Change { lsn: Lsn::START, key, value: value.map(SeenValue::Apart) },
            (Source::Pending(_), Taken::Memtable(_)) => return None, // each source takes its own
        })
    }
}

impl<'a> TwoEnded for Source<'a> {
    type Item = Taken<'a>;

    fn next(&mut self, direction: Direction) -> Result<Option<Taken<'a>>> {
        Ok(match self {
            Self::Pending(changes) => {
                let next = match direction {
                    Direction::Forward => changes.next(),
                    Direction::Backward => changes.next_back(),
                };
                next.map(|(key, value)| Taken::Pending(key, value.as_ref()))
            }
            Self::Memtable(scan) => scan.next(direction).map(Taken::Memtable),
        })
    }
}
