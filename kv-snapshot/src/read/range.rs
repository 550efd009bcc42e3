//! The cursors over a range of a collection in a stack.

use std::ops::{Bound, ControlFlow};

use kv_core::{CollectionId, Cursor, ReadEntry, Result, Value};

use super::{
    cursor::PartCursor,
    merged::{From, Merged},
    open_part::WatchedCursor,
    stack::Stack,
};

impl Stack {
    /// The entries of a collection within bounds. If only one part has any, they are read from it
    /// as fast as if there were no other.
    pub(crate) fn range(
        &self,
        collection: CollectionId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Result<Box<dyn Cursor>> {
        let mut cursors = Vec::new();
        for part in &self.parts {
            let Some(section) = part.section(collection) else { continue };
            let cursor = part.cursor(section, lower, upper)?;
            if !cursor.cursor.is_at_end() {
                cursors.push(cursor);
            }
        }
        match cursors.len() {
            0 => Ok(Box::new(EmptyCursor)),
            1 => Ok(Box::new(OneCursor(cursors.swap_remove(0)))),
            _ => Ok(Box::new(StackCursor::new(cursors))),
        }
    }
}

/// The entries of the one part that has any, without tombstones.
struct OneCursor(WatchedCursor);

impl Cursor for OneCursor {
    fn advance(&mut self) -> Result<bool> {
        while self.0.advance()? {
            if !self.0.cursor.is_tombstone() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn retreat(&mut self) -> Result<bool> {
        while self.0.retreat()? {
            if !self.0.cursor.is_tombstone() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn key(&self) -> &[u8] {
        self.0.cursor.key()
    }

    fn value(&self) -> &[u8] {
        self.0.cursor.value()
    }

    fn key_handle(&self) -> Value {
        self.0.cursor.key_handle()
    }

    fn value_handle(&self) -> Value {
        self.0.cursor.value_handle()
    }
}

/// The entries of several parts, without tombstones and what newer parts hide.
///
/// Each end has cursors of its own, which know nothing of the other end. The two have met when the
/// key at one end lies at or beyond the last key that was taken from the other end.
struct StackCursor {
    first: Merged,
    last: Merged,
    /// The end that the current entry was taken from.
    taken_from: Option<From>,
    ended: bool,
}

impl StackCursor {
    /// `cursors` have not moved yet, and are those of the newest part first.
    fn new(cursors: Vec<WatchedCursor>) -> Self {
        let first = Merged::new(From::First, cursors.clone());
        Self { first, last: Merged::new(From::Last, cursors), taken_from: None, ended: false }
    }

    fn take(&mut self, from: From) -> Result<bool> {
        self.taken_from = None;
        if self.ended {
            return Ok(false);
        }
        let taken = match from {
            From::First => next_put(&mut self.first, self.last.current(), |key, last| key < last),
            From::Last => next_put(&mut self.last, self.first.current(), |key, first| key > first),
        };
        match taken {
            Ok(true) => self.taken_from = Some(from),
            _ => self.ended = true,
        }
        taken
    }

    /// Reads entries of one part, and moves to the next entry that was not read.
    fn read_run(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        let run = self.first.read_run(end, read);
        match self.first.current().map(PartCursor::is_tombstone) {
            Some(false) => run,
            Some(true) => self.take(From::First).map(|_| ControlFlow::Continue(())),
            None => {
                (self.taken_from, self.ended) = (None, true);
                run
            }
        }
    }

    fn current(&self) -> Option<&PartCursor> {
        match self.taken_from? {
            From::First => self.first.current(),
            From::Last => self.last.current(),
        }
    }
}

/// Moves to the next entry that is not a tombstone. Returns `false` if there is none whose key
/// `is_before` the one that was taken from the other end.
fn next_put(
    merged: &mut Merged,
    other_end: Option<&PartCursor>,
    is_before: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<bool> {
    while merged.step()? {
        let Some(current) = merged.current() else { break };
        if other_end.is_some_and(|other| !is_before(current.key(), other.key())) {
            break;
        }
        if !current.is_tombstone() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Cursor for StackCursor {
    fn advance(&mut self) -> Result<bool> {
        self.take(From::First)
    }

    fn retreat(&mut self) -> Result<bool> {
        self.take(From::Last)
    }

    /// As long as nothing was taken from the other end, whole runs of one part are read without
    /// looking at the others.
    fn read_below(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        while !self.key().is_empty() && end.is_none_or(|end| self.key() < end) {
            let is_one_ended = self.taken_from == Some(From::First) && self.last.current().is_none();
            if is_one_ended {
                if self.read_run(end, read)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            } else {
                if read(self.key(), self.value()).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                self.advance()?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn key(&self) -> &[u8] {
        self.current().map_or(&[], Cursor::key)
    }

    fn value(&self) -> &[u8] {
        self.current().map_or(&[], Cursor::value)
    }

    fn key_handle(&self) -> Value {
        self.current().map_or_else(Value::default, Cursor::key_handle)
    }

    fn value_handle(&self) -> Value {
        self.current().map_or_else(Value::default, Cursor::value_handle)
    }
}

/// The entries of a range that has none.
struct EmptyCursor;

impl Cursor for EmptyCursor {
    fn advance(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn retreat(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn key(&self) -> &[u8] {
        &[]
    }

    fn value(&self) -> &[u8] {
        &[]
    }
}
