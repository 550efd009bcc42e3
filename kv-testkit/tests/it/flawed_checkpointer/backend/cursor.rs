use std::{collections::VecDeque, ops::ControlFlow, sync::Weak};

use kv_core::{Cursor, ReadEntry, Result, Value};

use super::Flaw;

pub struct Ending {
    pub cursor: Box<dyn Cursor>,
    pub checkpoint: Weak<()>,
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Cursor for Ending {
    fn advance(&mut self) -> Result<bool> {
        Ok(self.checkpoint.strong_count() > 0 && self.cursor.advance()?)
    }

    fn retreat(&mut self) -> Result<bool> {
        Ok(self.checkpoint.strong_count() > 0 && self.cursor.retreat()?)
    }

    fn read_below(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        if self.checkpoint.strong_count() == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        self.cursor.read_below(end, read)
    }

    fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    fn value(&self) -> &[u8] {
        self.cursor.value()
    }

    fn key_handle(&self) -> Value {
        self.cursor.key_handle()
    }

    fn value_handle(&self) -> Value {
        self.cursor.value_handle()
    }
}

/// The entries of a cursor, taken with a flaw.
pub struct Collected {
    entries: VecDeque<(Value, Value)>,
    /// The same entries again, for an end that does not notice what was taken from the other end.
    from_end: VecDeque<(Value, Value)>,
    flaw: Flaw,
    at: Option<(Value, Value)>,
}

impl Collected {
    pub fn new(mut cursor: Box<dyn Cursor>, flaw: Flaw) -> Result<Self> {
        let mut entries = VecDeque::new();
        while cursor.advance()? {
            entries.push_back((cursor.key_handle(), cursor.value_handle()));
        }
        Ok(Self { from_end: entries.clone(), entries, flaw, at: None })
    }
}

impl Cursor for Collected {
    fn advance(&mut self) -> Result<bool> {
        let backwards = self.flaw == Flaw::CursorBackwards;
        self.at = if backwards { self.entries.pop_back() } else { self.entries.pop_front() };
        if self.entries.is_empty() {
            self.from_end.clear();
        }
        Ok(self.at.is_some())
    }

    fn retreat(&mut self) -> Result<bool> {
        self.at = match self.flaw {
            Flaw::EndsPassEachOther => self.from_end.pop_back(),
            Flaw::ReadsBeyondTheEnd => self.entries.pop_back(),
            _ => self.entries.pop_front(),
        };
        if self.from_end.is_empty() {
            self.entries.clear();
        }
        Ok(self.at.is_some())
    }

    fn read_below(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        while let Some((key, value)) = &self.at {
            let is_below = end.is_none_or(|end| **key < *end);
            if !is_below && self.flaw != Flaw::ReadsBeyondTheEnd {
                break;
            }
            if read(key, value).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.advance()?;
            if !is_below {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn key(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |(key, _)| key)
    }

    fn value(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |(_, value)| value)
    }
}
