use std::{fmt, iter::FusedIterator, mem, ops::Bound, sync::Arc};

use super::{
    NEWEST, WriterToken,
    entry::Entry,
    memtable::Direction,
    merge::{Merge, PendingChanges, Scan, Stored, bytes},
    read_view::ReadView,
    snapshot::Snapshot,
};
use crate::{CollectionId, Error, Lsn, ReadEntry, Result, Value};

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The entries of a collection in byte order of their keys, from either end, all at one position of
/// the log. Writers do not wait for it.
///
/// The iterator ends after an error. It is cheap to take only a few of many entries.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// let users = store.collection("users")?;
/// for name in ["alice", "bob", "carol"] {
///     users.put(name, "")?;
/// }
/// let mut entries = users.iter();
/// users.delete("bob")?; // writing while iterating is fine: the iterator sees what was there when it began
/// assert_eq!(entries.next().unwrap()?.key, "alice");
/// assert_eq!(entries.next_back().unwrap()?.key, "carol");
/// assert_eq!(entries.next().unwrap()?.key, "bob");
/// assert!(entries.next().is_none());
/// # Ok::<(), kv_core::Error>(())
/// ```
pub struct Entries(Walk<'static>);

/// Entries in order, from both ends, with the changes of a pending write if there is one.
pub(crate) struct Walk<'a> {
    state: State<'a>,
    /// The highest position of the changes in memory that were passed over or returned.
    depends_on: Lsn,
}

enum State<'a> {
    /// Nothing has been taken yet. So an iterator that is never used costs next to nothing.
    NotBegun {
        scan: Scan<'a>,
        lower: Bound<Value>,
        upper: Bound<Value>,
    },
    Begun(Merge<'a>),
    /// It could not begin. The first entry that is taken is this error.
    Failed(Error),
    Ended,
}

impl Entries {
    /// No entries.
    pub(super) fn empty() -> Self {
        Self(Walk { state: State::Ended, depends_on: Lsn::START })
    }

    /// An error in place of entries.
    pub(super) fn failed(error: Error) -> Self {
        Self(Walk { state: State::Failed(error), depends_on: Lsn::START })
    }

    /// The entries of a collection within the bounds, at the position of the snapshot.
    pub(super) fn of_snapshot(snapshot: &Snapshot, collection: CollectionId, bounds: Bounds<'_>) -> Result<Self> {
        let stored = Stored { collection, position: snapshot.position() };
        let scan = Scan { view: Arc::clone(snapshot.view()?), stored: Some(stored), pending: None };
        Ok(Self(Walk::within(scan, bounds)))
    }

    /// As [`Walk::read_each`].
    pub(crate) fn read_each(self, read: ReadEntry<'_>) -> Result<()> {
        self.0.read_each(read)
    }
}

impl<'a> Walk<'a> {
    /// The entries of a collection within the bounds after every applied change, with the changes
    /// in `pending` on top. It must be used up before anything else is applied.
    pub(crate) fn of_newest(
        _writer: &WriterToken,
        view: Arc<ReadView>,
        collection: Option<CollectionId>,
        bounds: Bounds<'_>,
        pending: Option<&'a PendingChanges>,
    ) -> Self {
        let stored = collection.map(|collection| Stored { collection, position: NEWEST });
        Self::within(Scan { view, stored, pending }, bounds)
    }

    /// Calls `read` with each entry in place, in order, until it breaks. Nothing may have been
    /// taken before.
    fn read_each(self, read: ReadEntry<'_>) -> Result<()> {
        match self.state {
            State::NotBegun { scan, lower, upper } => scan.merge((bytes(&lower), bytes(&upper)))?.read_each(read),
            State::Begun(merge) => merge.read_each(read),
            State::Failed(error) => Err(error),
            State::Ended => Ok(()),
        }
    }

    fn within(scan: Scan<'a>, (lower, upper): Bounds<'_>) -> Self {
        let state = if is_empty(lower, upper) {
            State::Ended
        } else {
            State::NotBegun { scan, lower: lower.map(Value::copy_from), upper: upper.map(Value::copy_from) }
        };
        Self { state, depends_on: Lsn::START }
    }

    /// The position of the newest change that the iteration depends on so far. At its end, this
    /// includes the fact that there are no more entries.
    pub(crate) fn depends_on(&self) -> Lsn {
        self.depends_on
    }

    /// Takes the next entry from the end that `direction` begins at. There are none after an error.
    pub(crate) fn take(&mut self, direction: Direction) -> Option<Result<Entry>> {
        let taken = self.try_take(direction).transpose();
        if !matches!(taken, Some(Ok(_))) {
            self.state = State::Ended;
        }
        taken
    }

    fn try_take(&mut self, direction: Direction) -> Result<Option<Entry>> {
        if !matches!(self.state, State::Begun(_)) {
            match mem::replace(&mut self.state, State::Ended) {
                State::NotBegun { scan, lower, upper } => {
                    self.state = State::Begun(scan.merge((bytes(&lower), bytes(&upper)))?);
                }
                State::Failed(error) => return Err(error),
                State::Begun(_) | State::Ended => {}
            }
        }
        let State::Begun(merge) = &mut self.state else { return Ok(None) };
        let entry = merge.next(direction);
        self.depends_on = merge.depends_on();
        entry
    }
}

/// Whether the bounds alone exclude every key.
fn is_empty(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
            lower >= upper
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.0.take(Direction::Forward)
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Result<Entry>> {
        self.0.take(Direction::Backward)
    }
}

impl FusedIterator for Entries {}

impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").finish_non_exhaustive()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}
