use std::{
    ops::{Bound, Range},
    sync::Arc,
};

use kv_core::{Cursor, Result, Value};

use super::part::{Entry, Part};
use crate::format::part::Section;

/// Goes through the entries of a [`Table`](crate::Table) in order of their keys, from either end,
/// reading in place. It keeps the file mapped.
#[derive(Debug)]
pub struct TableCursor {
    part: Arc<Part>,
    section: Section,
    /// Where the entries that are still to come begin.
    next: u64,
    /// Where the entries that are still to come end.
    end: u64,
    /// The offsets of the last few entries before `end`, from the last anchor on: an entry does not
    /// say where the one before it begins.
    before_end: Vec<u64>,
    key: Range<usize>,
    value: Range<usize>,
}

impl TableCursor {
    pub(crate) fn new(part: Arc<Part>, section: Section, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Self> {
        let next = match lower {
            Bound::Unbounded => section.entries_offset,
            Bound::Included(key) => part.seek(&section, key, false)?,
            Bound::Excluded(key) => part.seek(&section, key, true)?,
        };
        let end = match upper {
            Bound::Unbounded => section.entries_end,
            Bound::Included(key) => part.seek(&section, key, true)?,
            Bound::Excluded(key) => part.seek(&section, key, false)?,
        };
        Ok(Self { part, section, next, end, before_end: Vec::new(), key: 0..0, value: 0..0 })
    }

    fn take_first(&mut self) -> Result<bool> {
        if self.next >= self.end {
            return Ok(false);
        }
        let entry = self.part.entry(&self.section, self.next)?;
        self.next = entry.end();
        self.move_to(entry)
    }

    fn take_last(&mut self) -> Result<bool> {
        if self.next >= self.end {
            return Ok(false);
        }
        if self.before_end.is_empty() {
            self.before_end = self.part.entries_before(&self.section, self.end)?;
        }
        let Some(last) = self.before_end.pop() else { return Ok(false) };
        let entry = self.part.entry(&self.section, last)?;
        self.end = last;
        self.move_to(entry)
    }

    fn move_to(&mut self, entry: Entry) -> Result<bool> {
        self.part.value(entry)?;
        self.key = entry.key_range();
        self.value = entry.value_range();
        Ok(true)
    }

    fn take(&mut self, take: impl FnOnce(&mut Self) -> Result<bool>) -> Result<bool> {
        self.key = 0..0;
        self.value = 0..0;
        let taken = take(self);
        if taken.is_err() {
            self.next = self.end;
        }
        taken
    }
}

impl Cursor for TableCursor {
    fn advance(&mut self) -> Result<bool> {
        self.take(Self::take_first)
    }

    fn retreat(&mut self) -> Result<bool> {
        self.take(Self::take_last)
    }

    fn key(&self) -> &[u8] {
        &self.part.blocks().map()[self.key.clone()]
    }

    fn value(&self) -> &[u8] {
        &self.part.blocks().map()[self.value.clone()]
    }

    fn key_handle(&self) -> Value {
        self.part.handle(self.key.clone())
    }

    fn value_handle(&self) -> Value {
        self.part.handle(self.value.clone())
    }
}
