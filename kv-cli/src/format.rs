//! The file formats of import and export: rows in, rows out. This module knows nothing of stores.

mod csv;
mod input;
mod json;
mod jsonl;
mod key;
mod lines;
mod tsv;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{self, Write},
};

pub use input::{Input, Reading};
pub use jsonl::{LINE_BYTES_MAX, object, pair, write_member, write_text};
pub use key::{KeyFields, KeySource};
use kv_store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub use lines::Lines;

/// A file format that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Key, tab, value
    Tsv,
    /// Two fields as in RFC 4180
    Csv,
    /// A JSON object per line
    Jsonl,
}

impl Format {
    /// Why the format cannot carry an entry; `None` if it can.
    pub fn objection(self, key: &[u8], value: &[u8]) -> Option<&'static str> {
        match self {
            Self::Tsv => tsv::objection(key, value),
            Self::Csv => csv::objection(key, value),
            Self::Jsonl => None,
        }
    }

    /// Writes an entry as one row. The caller has checked that there is no
    /// [`objection`](Self::objection).
    pub fn write_row(self, out: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
        match self {
            Self::Tsv => tsv::write_row(out, key, value),
            Self::Csv => csv::write_row(out, key, value),
            Self::Jsonl => jsonl::write_row(out, key, value),
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads one row after the other. Must not be used after an error.
pub trait Rows {
    /// The next row, or `None` at the end.
    fn next(&mut self) -> Result<Option<Row>, RowError>;
}

/// A suggestion for the name of a field that is not there, as the end of a sentence.
fn near_field<'n>(name: &str, there: impl Iterator<Item = &'n str>) -> String {
    super::near::nearest(name, there).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// An entry, and the line on which it begins, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub line: u64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl Row {
    /// A row whose key and value have lengths that a store accepts.
    pub fn checked(line: u64, key: Vec<u8>, value: Vec<u8>) -> Result<Self, RowError> {
        if key.is_empty() {
            return Err(RowError::refused(line, "the key is empty"));
        }
        if key.len() > KEY_BYTES_MAX {
            let reason = format!("the key of {} bytes is longer than {KEY_BYTES_MAX} bytes", key.len());
            return Err(RowError::refused(line, reason));
        }
        Self::check_value_length(line, value.len())?;
        Ok(Self { line, key, value })
    }

    fn check_value_length(line: u64, bytes: usize) -> Result<(), RowError> {
        if bytes > VALUE_BYTES_MAX {
            let reason = format!("the value of {bytes} bytes is longer than {VALUE_BYTES_MAX} bytes");
            return Err(RowError::refused(line, reason));
        }
        Ok(())
    }
}

/// Why there is no next row.
#[derive(Debug)]
pub enum RowError {
    /// The row that begins on this line is not valid.
    Refused { line: u64, reason: String },
    /// The input could not be read.
    Io(io::Error),
}

impl RowError {
    pub fn refused(line: u64, reason: impl Into<String>) -> Self {
        Self::Refused { line, reason: reason.into() }
    }
}

impl From<io::Error> for RowError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { line, reason } => write!(f, "line {line}: {reason}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}
