//! Proves that a checkpoint is the one before it with the log between the two.

#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, btree_map},
    ops::Bound,
};

use super::recovery::undecodable;
use crate::{
    Checkpoint, CollectionId, Cursor, Error, Log, Lsn, Result,
    operation::{Operation, decode},
};

/// The most bytes of keys and values that are held at once, but for one change. If the log has
/// more, it is read several times.
const WINDOW_BYTES: usize = 64 << 20;

/// Compares the checkpoint `newer` with the checkpoint `older` and the records of the log between
/// the two: whether each entry is there, and nothing else. Without `older` the log must reach back
/// to the beginning. Reads all entries of both, and holds 64 MiB of changes and one record at most.
///
/// It proves that what was acknowledged is what the checkpoint holds, whatever made the checkpoint.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Checkpointer, Log, MemoryCheckpointer, MemoryLog, Store, StoreOptions, verify_replay};
///
/// let (log, checkpointer) = (Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()));
/// let store = Store::with_backends(log.clone(), checkpointer.clone(), StoreOptions::default())?;
/// store.collection("users")?.put("alice", "Alice")?;
/// let checkpoint = checkpointer.open(store.checkpoint()?.unwrap())?;
/// verify_replay(&*log, None, &*checkpoint)?;
/// # Ok::<(), kv_core::Error>(())
/// ```
///
/// # Errors
/// [`Corrupt`](Error::Corrupt) if they differ, naming `newer` and the first key that differs, or if
/// a record or an entry is damaged; [`Trimmed`](Error::Trimmed) if the log does not reach back far
/// enough; [`Io`](Error::Io).
pub fn verify_replay(log: &dyn Log, older: Option<&dyn Checkpoint>, newer: &dyn Checkpoint) -> Result<()> {
    verify_in_windows(log, older, newer, WINDOW_BYTES)
}

fn verify_in_windows(
    log: &dyn Log,
    older: Option<&dyn Checkpoint>,
    newer: &dyn Checkpoint,
    bytes_max: usize,
) -> Result<()> {
    let mut from = Some((CollectionId::NAMES, Vec::new()));
    while let Some(start) = from {
        let window = Window::read(log, older, newer, start, bytes_max)?;
        window.compare(older, newer)?;
        from = window.to;
    }
    Ok(())
}

type Key = (CollectionId, Vec<u8>);

/// What the log changed in a range of keys.
struct Window {
    from: Key,
    /// The first key beyond it; `None` if there is none.
    to: Option<Key>,
    bytes_max: usize,
    bytes: usize,
    /// For each key, what the last change made of it.
    changes: BTreeMap<Key, Option<Vec<u8>>>,
}

impl Window {
    /// Reads the log, and keeps the changes from `from` on, as many as there is room for.
    fn read(
        log: &dyn Log,
        older: Option<&dyn Checkpoint>,
        newer: &dyn Checkpoint,
        from: Key,
        bytes_max: usize,
    ) -> Result<Self> {
        let mut window = Self { from, to: None, bytes_max, bytes: 0, changes: BTreeMap::new() };
        let (mut position, end) = (older.map_or(Lsn::START, |older| older.head().lsn), newer.head().lsn);
        let mut reader = log.reader(position)?;
        while position < end {
            let Some(record) = reader.next()? else {
                return Err(Error::corrupt_whole(
                    newer.id(),
                    format!("the log ends before it, at position {position}"),
                ));
            };
            position = record.lsn;
            window.add_record(record.payload, position)?;
        }
        Ok(window)
    }

    fn add_record(&mut self, payload: &[u8], lsn: Lsn) -> Result<()> {
        let undecodable = |error| undecodable(lsn, error);
        for (operation, index) in decode(payload, lsn).map_err(undecodable)?.zip(0..) {
            match operation.map_err(undecodable)? {
                Operation::Put { collection, key, value } => self.add(collection, key, Some(value)),
                Operation::Delete { collection, key } => self.add(collection, key, None),
                Operation::Create { name } => self.add_name(CollectionId { lsn, index }, Some(name)),
                Operation::Drop { collection, .. } => self.add_name(collection, None),
                Operation::Rename { collection, to, .. } => self.add_name(collection, Some(to)),
            }
        }
        Ok(())
    }

    fn add_name(&mut self, collection: CollectionId, name: Option<&str>) {
        self.add(CollectionId::NAMES, &collection.to_key(), name.map(str::as_bytes));
    }

    fn add(&mut self, collection: CollectionId, key: &[u8], value: Option<&[u8]>) {
        let key = (collection, key.to_vec());
        if key < self.from || self.to.as_ref().is_some_and(|to| key >= *to) {
            return;
        }
        let key_bytes = key.1.len();
        self.bytes += value.map_or(0, <[u8]>::len);
        match self.changes.insert(key, value.map(<[u8]>::to_vec)) {
            Some(before) => self.bytes -= before.map_or(0, |value| value.len()),
            None => self.bytes += key_bytes,
        }
        while self.bytes > self.bytes_max && self.changes.len() > 1 {
            let Some((key, value)) = self.changes.pop_last() else { break };
            self.bytes -= key.1.len() + value.map_or(0, |value| value.len());
            self.to = Some(key);
        }
    }

    /// Compares every collection that `newer` has. The entries of others cannot be read.
    fn compare(&self, older: Option<&dyn Checkpoint>, newer: &dyn Checkpoint) -> Result<()> {
        self.compare_collection(CollectionId::NAMES, older, newer)?;
        let mut names = newer.range(CollectionId::NAMES, Bound::Unbounded, Bound::Unbounded)?;
        while names.advance()? {
            if let Some(collection) = CollectionId::from_key(names.key()) {
                self.compare_collection(collection, older, newer)?;
            }
        }
        Ok(())
    }

    fn compare_collection(
        &self,
        collection: CollectionId,
        older: Option<&dyn Checkpoint>,
        newer: &dyn Checkpoint,
    ) -> Result<()> {
        let is_outside = collection < self.from.0 || self.to.as_ref().is_some_and(|(last, _)| collection > *last);
        if is_outside {
            return Ok(());
        }
        let lower = match &self.from {
            (first, key) if *first == collection && !key.is_empty() => Bound::Included(&key[..]),
            _ => Bound::Unbounded,
        };
        let upper = match &self.to {
            Some((last, key)) if *last == collection => Bound::Excluded(&key[..]),
            _ => Bound::Unbounded,
        };
        let base = older.map(|older| older.range(collection, lower, upper)).transpose()?;
        let mut expected = Expected::new(base, self.changes_of(collection))?;
        let mut found = newer.range(collection, lower, upper)?;
        loop {
            let (is_expected, is_found) = (expected.advance()?, found.advance()?);
            if !is_expected && !is_found {
                return Ok(());
            }
            let expected = is_expected.then(|| expected.entry());
            let found = is_found.then(|| (found.key(), found.value()));
            if expected != found {
                return Err(differs(newer, collection, expected, found));
            }
        }
    }

    fn changes_of(&self, collection: CollectionId) -> btree_map::Range<'_, Key, Option<Vec<u8>>> {
        let next = match collection.index.checked_add(1) {
            Some(index) => CollectionId { index, ..collection },
            None => CollectionId { lsn: Lsn(collection.lsn.0.saturating_add(1)), index: 0 },
        };
        self.changes.range((collection, Vec::new())..(next, Vec::new()))
    }
}

type EntryRef<'a> = (&'a [u8], &'a [u8]);

#[cold]
fn differs(
    newer: &dyn Checkpoint,
    collection: CollectionId,
    expected: Option<EntryRef<'_>>,
    found: Option<EntryRef<'_>>,
) -> Error {
    let (key, what) = match (expected, found) {
        (Some((key, _)), None) => (key, "is missing"),
        (Some((key, _)), Some((found, _))) if key < found => (key, "is missing"),
        (Some((key, _)), Some((found, _))) if key == found => (key, "has another value"),
        (_, found) => (found.unwrap_or_default().0, "should not be there"),
    };
    let (key, CollectionId { lsn, index }) = (key.escape_ascii(), collection);
    let detail = format!(
        "it is not the checkpoint before it with the log between the two: key \"{key}\" of collection {lsn}.{index} {what}"
    );
    Error::corrupt_whole(newer.id(), detail)
}

/// The entries of a collection with changes applied.
struct Expected<'a> {
    /// Stands on the next entry of the older checkpoint; `None` if there is none.
    base: Option<Box<dyn Cursor>>,
    changes: btree_map::Range<'a, Key, Option<Vec<u8>>>,
    change: Option<(&'a Key, &'a Option<Vec<u8>>)>,
    current: Current<'a>,
}

enum Current<'a> {
    None,
    Base,
    Changed(EntryRef<'a>),
}

impl<'a> Expected<'a> {
    fn new(base: Option<Box<dyn Cursor>>, mut changes: btree_map::Range<'a, Key, Option<Vec<u8>>>) -> Result<Self> {
        let change = changes.next();
        let mut expected = Self { base, changes, change, current: Current::None };
        expected.advance_base()?;
        Ok(expected)
    }

    fn advance_base(&mut self) -> Result<()> {
        if let Some(base) = &mut self.base
            && !base.advance()?
        {
            self.base = None;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<bool> {
        if matches!(self.current, Current::Base) {
            self.advance_base()?;
        }
        self.current = Current::None;
        while let Some((key, value)) = self.change {
            let order = self.base.as_ref().map(|base| base.key().cmp(&key.1));
            if order == Some(Ordering::Less) {
                break;
            }
            if order == Some(Ordering::Equal) {
                self.advance_base()?; // the change hides it
            }
            self.change = self.changes.next();
            if let Some(value) = value {
                self.current = Current::Changed((&key.1, value));
                return Ok(true);
            }
        }
        if self.base.is_some() {
            self.current = Current::Base;
        }
        Ok(self.base.is_some())
    }

    /// The key and the value of the current entry.
    fn entry(&self) -> EntryRef<'_> {
        match (&self.current, &self.base) {
            (Current::Changed(entry), _) => *entry,
            (Current::Base, Some(base)) => (base.key(), base.value()),
            _ => Default::default(),
        }
    }
}
