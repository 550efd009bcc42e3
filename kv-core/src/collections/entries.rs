use std::{cmp::Ordering, iter::Peekable, vec};

use super::generation::Changed;
use crate::{Cursor, Result, Value};

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Value,
    /// The value.
    pub value: Value,
}

/// The entries of a collection in byte order of their keys, all as they were at one position of the log. Writers do not wait for it.
///
/// It ends after an error.
pub struct Entries {
    changed: Peekable<vec::IntoIter<Changed>>,
    /// Stands at the next entry of the checkpoint; `None` when there is no other.
    cursor: Option<Box<dyn Cursor>>,
}

impl Entries {
    /// No entries.
    pub(super) fn empty() -> Self {
        Self { changed: Vec::new().into_iter().peekable(), cursor: None }
    }

    /// Those in `changed`, and those under the cursor that are not. Both are of one position; they keep what they show alive, so nobody else
    /// needs to.
    pub(super) fn merge(changed: Vec<Changed>, cursor: Option<Box<dyn Cursor>>) -> Result<Self> {
        let mut entries = Self { changed: changed.into_iter().peekable(), cursor };
        entries.advance_cursor()?;
        Ok(entries)
    }

    fn advance_cursor(&mut self) -> Result<()> {
        if let Some(cursor) = &mut self.cursor
            && !cursor.advance()?
        {
            self.cursor = None;
        }
        Ok(())
    }

    fn try_next(&mut self) -> Result<Option<Entry>> {
        loop {
            let first = match (self.changed.peek(), &self.cursor) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(change), Some(cursor)) => (*change.key).cmp(cursor.key()),
            };
            if first == Ordering::Greater {
                let entry = self.cursor.as_ref().map(|at| Entry { key: at.key_handle(), value: at.value_handle() });
                self.advance_cursor()?;
                return Ok(entry);
            }
            if first == Ordering::Equal {
                self.advance_cursor()?; // the change stands in the place of what the checkpoint has
            }
            if let Some(Changed { key, value: Some(value), .. }) = self.changed.next() {
                return Ok(Some(Entry { key, value }));
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let next = self.try_next();
        if next.is_err() {
            *self = Self::empty();
        }
        next.transpose()
    }
}
