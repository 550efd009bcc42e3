//! Writes the entries of a new checkpoint: those of the previous one with the changes applied, in
//! one pass over both.

use std::{cmp::Ordering, ops::Bound};

use kv_core::{Changes, Checkpoint, CollectionId, CollectionInfo, Cursor, Error, Result};

use super::part_writer::PartWriter;

/// Fails with [`Error::Cancelled`] if the checkpoint is no longer wanted.
pub(crate) fn go_on(changes: &dyn Changes) -> Result<()> {
    if changes.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

/// The number of entries after which the merge asks whether to go on ...
const ASK_ENTRIES: u64 = 256;
/// ... and the number of bytes.
const ASK_BYTES: u64 = 1 << 20;

/// Writes every collection in the head of `changes`.
pub(crate) fn merge(
    previous: Option<&dyn Checkpoint>,
    changes: &mut dyn Changes,
    writer: &mut PartWriter,
) -> Result<()> {
    let collections = changes.head().collections.clone();
    let mut merge = Merge { change: Pending::default(), changes, writer, entries: 0, asked_at: 0 };
    merge.next_change()?;
    for info in &collections {
        let old = previous.map(|previous| previous.range(info.id, Bound::Unbounded, Bound::Unbounded)).transpose()?;
        merge.collection(info, old)?;
    }
    match merge.change.collection {
        None => Ok(()),
        Some(_) => Err(Error::Misuse(
            "the changes are not in order, or belong to a collection that is not in their head".into(),
        )),
    }
}

struct Merge<'a> {
    changes: &'a mut dyn Changes,
    /// The next change.
    change: Pending,
    writer: &'a mut PartWriter,
    entries: u64,
    asked_at: u64,
}

/// A copy of a change that is not written yet. It does not borrow the source, so the source can be
/// asked meanwhile whether to go on.
#[derive(Default)]
struct Pending {
    /// `None` after the last change.
    collection: Option<CollectionId>,
    key: Vec<u8>,
    /// The new value. If this change is a deletion, it is left over from an earlier change and not
    /// used.
    value: Vec<u8>,
    deletes: bool,
}

impl Merge<'_> {
    fn collection(&mut self, info: &CollectionInfo, mut old: Option<Box<dyn Cursor>>) -> Result<()> {
        let changes = &*self.changes;
        self.writer.start_collection(info.id, info.entries, &mut || go_on(changes))?;
        let mut has_old = advance(&mut old)?;
        loop {
            self.ask_to_go_on()?;
            let has_change = self.change.collection == Some(info.id);
            // The lower key is next. If both have the same key, the change replaces the old entry.
            let order = match &old {
                Some(old) if has_old && has_change => old.key().cmp(&self.change.key),
                _ if has_old => Ordering::Less,
                _ if has_change => Ordering::Greater,
                _ => break,
            };
            if let (Some(old), Ordering::Less) = (&old, order) {
                self.writer.insert(old.key(), Some(old.value()))?;
            }
            if order != Ordering::Greater {
                has_old = advance(&mut old)?;
            }
            if order != Ordering::Less {
                if !self.change.deletes {
                    self.writer.insert(&self.change.key, Some(&self.change.value))?;
                }
                self.next_change()?;
            }
        }
        if self.writer.counts() != (info.entries, info.bytes) {
            return Err(Error::Misuse("the counts in the head are not those after the changes".into()));
        }
        Ok(())
    }

    fn next_change(&mut self) -> Result<()> {
        let pending = &mut self.change;
        let Some(change) = self.changes.next()? else {
            pending.collection = None;
            return Ok(());
        };
        if pending.collection == Some(change.collection) && pending.key[..] >= *change.key {
            return Err(Error::Misuse("the changes must be in order of their keys, each once".into()));
        }
        pending.collection = Some(change.collection);
        pending.key.clear();
        pending.key.extend_from_slice(change.key);
        pending.deletes = change.value.is_none();
        if let Some(value) = change.value {
            pending.value.clear();
            pending.value.extend_from_slice(value);
        }
        Ok(())
    }

    fn ask_to_go_on(&mut self) -> Result<()> {
        self.entries += 1;
        let bytes = self.writer.position() - self.asked_at;
        if self.entries.is_multiple_of(ASK_ENTRIES) || bytes >= ASK_BYTES {
            go_on(self.changes)?;
        }
        if bytes >= ASK_BYTES {
            self.asked_at = self.writer.position();
        }
        Ok(())
    }
}

fn advance(cursor: &mut Option<Box<dyn Cursor>>) -> Result<bool> {
    cursor.as_mut().map_or(Ok(false), |cursor| cursor.advance())
}
