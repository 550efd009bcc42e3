use std::{
    ops::{Bound, Range},
    sync::Arc,
};

use kv_core::{Cursor, Result, Value};

use crate::{format::Section, part::Part};

/// Goes through the entries of a part in order of their keys, reading in place. It keeps the file mapped.
#[derive(Debug)]
pub struct TableCursor {
    part: Arc<Part>,
    section: Section,
    /// Where the next entry begins.
    next: u64,
    /// Where the entries beyond the upper bound begin.
    end: u64,
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
        Ok(Self { part, section, next, end, key: 0..0, value: 0..0 })
    }

    fn step(&mut self) -> Result<bool> {
        if self.next >= self.end {
            return Ok(false);
        }
        let entry = self.part.entry(&self.section, self.next)?;
        self.part.value(entry)?;
        self.next = entry.end();
        self.key = entry.key_range();
        self.value = entry.value_range();
        Ok(true)
    }
}

impl Cursor for TableCursor {
    fn advance(&mut self) -> Result<bool> {
        self.key = 0..0;
        self.value = 0..0;
        let stepped = self.step();
        if stepped.is_err() {
            self.next = self.end;
        }
        stepped
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
