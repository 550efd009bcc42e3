use std::{
    ops::{Bound, ControlFlow, Range},
    sync::Arc,
};

use kv_core::{Cursor, ReadEntry, Result, Value};

use super::{
    ahead::Ahead,
    part::{Entry, Part},
};
use crate::format::part::Section;

/// Goes through the entries of a [`Table`](crate::Table) in order of their keys, from either end,
/// reading in place. It keeps the file mapped.
#[derive(Debug)]
pub struct TableCursor(PartCursor);

impl TableCursor {
    /// The entries of a collection that has no tombstones. A tombstone that is there nevertheless
    /// is damage.
    pub(crate) fn new(part: Arc<Part>, section: Section, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Self> {
        PartCursor::new(part, section, lower, upper).map(Self)
    }

    fn check(&mut self, moved: Result<bool>) -> Result<bool> {
        if self.0.is_tombstone() {
            return Err(self.0.refuse_tombstone());
        }
        moved
    }
}

impl Cursor for TableCursor {
    fn advance(&mut self) -> Result<bool> {
        let moved = self.0.advance();
        self.check(moved)
    }

    fn retreat(&mut self) -> Result<bool> {
        let moved = self.0.retreat();
        self.check(moved)
    }

    fn key(&self) -> &[u8] {
        self.0.key()
    }

    fn value(&self) -> &[u8] {
        self.0.value()
    }

    fn key_handle(&self) -> Value {
        self.0.key_handle()
    }

    fn value_handle(&self) -> Value {
        self.0.value_handle()
    }
}

/// Goes through the entries of a collection of a part, including its tombstones.
#[derive(Clone, Debug)]
pub(crate) struct PartCursor {
    part: Arc<Part>,
    section: Section,
    /// Where the entries that are still to come begin.
    next: u64,
    /// Where the entries that are still to come end.
    end: u64,
    /// The offsets of the last few entries before `end`, from the last anchor on: an entry does not
    /// say where the one before it begins.
    before_end: Vec<u64>,
    /// The entry that it stands on, verified.
    current: Option<Entry>,
    /// What was read of a part that is not mapped, with the current entry in it.
    ahead: Option<Box<Ahead>>,
}

impl PartCursor {
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
        let ahead = part.blocks().unmapped().map(|_| Box::new(Ahead::new(next..end)));
        Ok(Self { part, section, next, end, before_end: Vec::new(), current: None, ahead })
    }

    /// Whether there are no more entries.
    pub(crate) fn is_at_end(&self) -> bool {
        self.next >= self.end
    }

    /// Whether it stands on a tombstone. Its value is empty.
    #[inline]
    pub(crate) fn is_tombstone(&self) -> bool {
        self.current.is_some_and(Entry::is_tombstone)
    }

    /// Ends the cursor at a tombstone that should not be there.
    #[cold]
    fn refuse_tombstone(&mut self) -> kv_core::Error {
        self.next = self.end;
        let offset = self.current.take().map_or(self.end, Entry::offset);
        self.part.unexpected_tombstone(offset)
    }

    #[inline]
    fn take_first(&mut self) -> Result<bool> {
        if self.next >= self.end {
            return Ok(false);
        }
        if let Some(entry) = self.part.verified_entry(&self.section, self.next) {
            self.next = entry.end();
            self.current = Some(entry);
            return Ok(true);
        }
        self.take_first_slowly()
    }

    #[inline(never)]
    fn take_first_slowly(&mut self) -> Result<bool> {
        let entry = self.read(self.next..self.next + 1)?;
        self.next = entry.end();
        self.current = Some(entry);
        Ok(true)
    }

    fn take_last(&mut self) -> Result<bool> {
        if self.next >= self.end {
            return Ok(false);
        }
        if self.before_end.is_empty() {
            self.before_end = self.read_entries_before()?;
        }
        let Some(last) = self.before_end.pop() else { return Ok(false) };
        let entry = self.read(last..self.end)?;
        self.end = last;
        self.current = Some(entry);
        Ok(true)
    }

    /// The entry at the start of `known`, which is not longer than the entry. It is verified with
    /// its value.
    #[inline]
    fn read(&mut self, known: Range<u64>) -> Result<Entry> {
        if let (Some(ahead), Some(file)) = (&mut self.ahead, self.part.blocks().unmapped()) {
            return ahead.entry(file, &self.part, &self.section, known);
        }
        let entry = self.part.entry(&self.section, known.start)?;
        self.part.value(entry)?;
        Ok(entry)
    }

    fn read_entries_before(&self) -> Result<Vec<u64>> {
        let (part, section) = (&self.part, &self.section);
        part.entries_before(section, self.end, |offset| {
            let read_before = self.ahead.as_ref().map(|ahead| ahead.peek(part, section, offset)).transpose()?;
            read_before.flatten().map_or_else(|| part.entry(section, offset), Ok)
        })
    }

    /// As [`Cursor::read_below`], but passes over tombstones.
    pub(crate) fn read_puts_below(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        while let Some(entry) = self.current
            && end.is_none_or(|end| self.key() < end)
        {
            if !entry.is_tombstone() && read(self.key(), self.value()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.advance()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn take(&mut self, take: impl FnOnce(&mut Self) -> Result<bool>) -> Result<bool> {
        self.current = None;
        let taken = take(self);
        if taken.is_err() {
            self.next = self.end;
        }
        taken
    }

    fn key_range(&self) -> Range<usize> {
        self.current.map_or(0..0, Entry::key_range)
    }

    fn value_range(&self) -> Range<usize> {
        self.current.map_or(0..0, Entry::value_range)
    }

    /// Bytes of the current entry.
    #[inline]
    fn bytes(&self, range: Range<usize>) -> &[u8] {
        match &self.ahead {
            None => &self.part.blocks().map()[range],
            Some(ahead) => ahead.bytes(range.start as u64..range.end as u64),
        }
    }

    fn handle(&self, range: Range<usize>) -> Value {
        match &self.ahead {
            None => self.part.handle(range),
            Some(ahead) => ahead.handle(range.start as u64..range.end as u64),
        }
    }
}

impl Cursor for PartCursor {
    fn advance(&mut self) -> Result<bool> {
        self.take(Self::take_first)
    }

    fn retreat(&mut self) -> Result<bool> {
        self.take(Self::take_last)
    }

    fn key(&self) -> &[u8] {
        self.bytes(self.key_range())
    }

    fn value(&self) -> &[u8] {
        self.bytes(self.value_range())
    }

    fn key_handle(&self) -> Value {
        self.handle(self.key_range())
    }

    fn value_handle(&self) -> Value {
        self.handle(self.value_range())
    }
}
