use std::io::BufRead;

use kv_store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

use crate::format::RowError;

/// The longest record, in bytes of its fields: the longest key and value fit.
const RECORD_BYTES_MAX: usize = KEY_BYTES_MAX + VALUE_BYTES_MAX;
/// The most fields of a record: the columns of the largest spreadsheets.
const FIELDS_MAX: usize = 16_384;

/// Splits input into records. Holds one record at a time, and none that is too long.
pub struct Records<R> {
    input: R,
    record: Record,
    /// The line that the next byte is on.
    line: u64,
    separator: u8,
}

/// The fields of one record.
#[derive(Default)]
pub struct Record {
    /// The line on which the record begins, from 1.
    pub line: u64,
    bytes: Vec<u8>,
    /// Where each field ends in `bytes`.
    ends: Vec<usize>,
    /// Whether there is nothing on the line, not even quotes.
    is_blank: bool,
}

/// Where in a record the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the beginning of a field.
    FieldStart,
    /// In a field that did not begin with a quote.
    Plain,
    /// In a field that began with a quote.
    Quoted,
    /// After a quote in such a field: the closing one, or the first half of a doubled one.
    Quote,
    /// After a carriage return, which a line feed has to follow.
    CarriageReturn,
    /// The record is complete.
    End,
}

impl Record {
    /// The fields as text; the error is the place of the first that is not UTF-8, from 0.
    pub fn fields(&self) -> Result<Vec<&str>, usize> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let mut fields = Vec::with_capacity(self.ends.len());
        for (&start, &end) in starts.zip(&self.ends) {
            let field = str::from_utf8(&self.bytes[start..end]);
            fields.push(field.map_err(|_| fields.len())?);
        }
        Ok(fields)
    }

    fn begin(&mut self, line: u64) {
        self.line = line;
        self.bytes.clear();
        self.ends.clear();
        self.is_blank = true;
    }

    fn refused(&self, reason: &str) -> RowError {
        RowError::refused(self.line, reason)
    }

    fn push(&mut self, byte: u8) -> Result<(), RowError> {
        if self.bytes.len() == RECORD_BYTES_MAX {
            return Err(self.refused(&format!("the row is longer than {RECORD_BYTES_MAX} bytes")));
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn end_field(&mut self) -> Result<(), RowError> {
        if self.ends.len() == FIELDS_MAX {
            return Err(self.refused(&format!("the row has more than {FIELDS_MAX} fields")));
        }
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Takes one more byte.
    fn step(&mut self, state: State, byte: u8, separator: u8) -> Result<State, RowError> {
        use State::{CarriageReturn, End, FieldStart, Plain, Quote, Quoted};
        self.is_blank &= matches!(byte, b'\r' | b'\n');
        match (state, byte) {
            (FieldStart, b'"') => Ok(Quoted),
            (Plain, b'"') => Err(self.refused("a quote inside a field that does not begin with one")),
            (Quoted, b'"') => Ok(Quote),
            (Quoted, byte) => self.push(byte).map(|()| Quoted),
            (Quote, b'"') => self.push(b'"').map(|()| Quoted),
            (FieldStart | Plain | Quote, byte) if byte == separator => self.end_field().map(|()| FieldStart),
            (FieldStart | Plain | Quote, b'\r') => Ok(CarriageReturn),
            (FieldStart | Plain | Quote | CarriageReturn, b'\n') => self.end_field().map(|()| End),
            (Quote, _) => Err(self.refused("text after a field's closing quote")),
            (CarriageReturn, _) => Err(self.refused("a carriage return without a line feed outside of quotes")),
            (FieldStart | Plain | End, byte) => self.push(byte).map(|()| Plain),
        }
    }

    /// Takes the end of the input after at least one byte of the record.
    fn finish(&mut self, state: State) -> Result<(), RowError> {
        match state {
            State::Quoted => Err(self.refused("a quoted field is not closed")),
            State::CarriageReturn => Err(self.refused("a carriage return without a line feed outside of quotes")),
            _ => self.end_field(),
        }
    }
}

impl<R: BufRead> Records<R> {
    pub fn new(input: R, separator: u8) -> Self {
        Self { input, record: Record::default(), line: 1, separator }
    }

    /// The next record that is not an empty line, or `None` at the end of the input.
    pub fn next_that_is_not_blank(&mut self) -> Result<Option<&Record>, RowError> {
        while self.advance()? {
            if !self.record.is_blank {
                return Ok(Some(&self.record));
            }
        }
        Ok(None)
    }

    /// The next record, or `None` at the end of the input.
    pub fn next(&mut self) -> Result<Option<&Record>, RowError> {
        Ok(if self.advance()? { Some(&self.record) } else { None })
    }

    /// Reads the next record, if there is one.
    fn advance(&mut self) -> Result<bool, RowError> {
        self.record.begin(self.line);
        let mut state = State::FieldStart;
        let mut empty = true;
        while state != State::End {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                if empty {
                    return Ok(false);
                }
                self.record.finish(state)?;
                break;
            }
            empty = false;
            let mut used = 0;
            for &byte in buffer {
                used += 1;
                self.line += u64::from(byte == b'\n');
                state = self.record.step(state, byte, self.separator)?;
                if state == State::End {
                    break;
                }
            }
            self.input.consume(used);
        }
        Ok(true)
    }
}
