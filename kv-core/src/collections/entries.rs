use std::{
    collections::VecDeque,
    fmt,
    iter::FusedIterator,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use super::{
    merge::{Merge, Scan},
    order::Direction,
    snapshot::Snapshot,
};
use crate::{Result, Value};

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Value,
    /// The value.
    pub value: Value,
}

/// Entries of a collection in byte order of their keys, from either end, all as they were at one position of the log. Writers do not wait for it.
///
/// It ends after an error. Taking few of many entries costs little.
pub struct Entries {
    scan: Option<Scan>,
    /// Keeps what is seen from being forgotten.
    _snapshot: Option<Arc<Snapshot>>,
    /// What was not taken yet lies between these.
    lower: Bound<Value>,
    upper: Bound<Value>,
    front: Option<Merge>,
    back: Option<Merge>,
}

impl Entries {
    /// No entries.
    pub(super) fn empty() -> Self {
        Self { scan: None, _snapshot: None, lower: Bound::Unbounded, upper: Bound::Unbounded, front: None, back: None }
    }

    /// The entries of `scan`, at the position of `snapshot`, within the bounds.
    pub(super) fn new(snapshot: Arc<Snapshot>, scan: Scan, lower: Bound<Value>, upper: Bound<Value>) -> Self {
        Self { scan: Some(scan), _snapshot: Some(snapshot), lower, upper, front: None, back: None }
    }

    fn take(&mut self, direction: Direction) -> Result<Option<Entry>> {
        let Some(scan) = &self.scan else { return Ok(None) };
        let end = match direction {
            Direction::Forward => &mut self.front,
            Direction::Backward => &mut self.back,
        };
        let merge = match end {
            Some(merge) => merge,
            None => end.insert(scan.merge(&self.lower, &self.upper, direction, VecDeque::new())?),
        };
        // The other end may have taken it already.
        let entry = merge.next()?.filter(|entry| (self.lower.as_ref(), self.upper.as_ref()).contains(&entry.key));
        match (&entry, direction) {
            (Some(entry), Direction::Forward) => self.lower = Bound::Excluded(entry.key.clone()),
            (Some(entry), Direction::Backward) => self.upper = Bound::Excluded(entry.key.clone()),
            (None, _) => *self = Self::empty(),
        }
        Ok(entry)
    }

    fn take_or_end(&mut self, direction: Direction) -> Option<Result<Entry>> {
        let taken = self.take(direction);
        if taken.is_err() {
            *self = Self::empty();
        }
        taken.transpose()
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.take_or_end(Direction::Forward)
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Result<Entry>> {
        self.take_or_end(Direction::Backward)
    }
}

impl FusedIterator for Entries {}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("lower", &self.lower).field("upper", &self.upper).finish_non_exhaustive()
    }
}
