//! Which reader reads a file.

use std::{
    ffi::OsStr,
    io::{self, BufRead, Read},
    path::Path,
};

use super::{BYTE_ORDER_MARK, Row, RowError, Rows, csv, jsonl, key::KeySource, tsv};

/// A file format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Input {
    /// Key, tab, value
    Tsv,
    /// Two fields as in RFC 4180; with --key or --row-numbers, rows under a header
    Csv,
    /// A JSON object per line
    Jsonl,
    /// A JSON array of objects, or objects one after the other
    Json,
    /// Each line is a key with an empty value
    Lines,
}

impl Input {
    /// The format that a file's extension names.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
            "tsv" => Some(Self::Tsv),
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl<R: Rows + ?Sized> Rows for Box<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        (**self).next()
    }
}

/// How a file is read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// `None` if nothing says what it is: then it is tsv.
    pub input: Option<Input>,
    pub key: KeySource,
    /// What separates fields in tsv and csv; `None` for a tab or a comma.
    pub separator: Option<u8>,
    /// Whether a row of csv may have fewer fields than the header.
    pub allows_short: bool,
}

impl Reading {
    /// Reads the rows of `input`. A byte order mark at its beginning is skipped.
    pub fn rows<'a>(&self, input: impl BufRead + 'a) -> io::Result<Box<dyn Rows + 'a>> {
        let input = without_byte_order_mark(input)?;
        let separator = |default| self.separator.unwrap_or(default);
        let fields = match &self.key {
            KeySource::Fields(fields) => Some(fields.clone()),
            KeySource::Pair | KeySource::RowNumber => None,
        };
        let whole = (self.key == KeySource::RowNumber).then_some(tsv::Whole::Value);
        let is_pair = self.key == KeySource::Pair;
        Ok(match self.input {
            None => Box::new(tsv::Reader::new(input, separator(b'\t'), whole, ASSUMED)),
            Some(Input::Tsv) => Box::new(tsv::Reader::new(input, separator(b'\t'), whole, "")),
            Some(Input::Lines) => Box::new(tsv::Reader::new(input, b'\t', whole.or(Some(tsv::Whole::Key)), "")),
            Some(Input::Csv) if is_pair => Box::new(csv::Pairs::new(input, separator(b','))),
            Some(Input::Csv) => Box::new(csv::Named::new(input, separator(b','), fields, self.allows_short)),
            Some(Input::Jsonl) if is_pair => Box::new(jsonl::Pairs::new(jsonl::Objects::in_lines(input))),
            Some(Input::Jsonl) => Box::new(jsonl::Named::new(jsonl::Objects::in_lines(input), fields)),
            Some(Input::Json) if is_pair => Box::new(jsonl::Pairs::new(jsonl::Objects::in_json(input))),
            Some(Input::Json) => Box::new(jsonl::Named::new(jsonl::Objects::in_json(input), fields)),
        })
    }
}

const ASSUMED: &str = ", which is assumed because the name of the file does not say what it is";

fn without_byte_order_mark(mut input: impl BufRead) -> io::Result<impl BufRead> {
    let mut head = Vec::new();
    input.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut head)?;
    if head == BYTE_ORDER_MARK {
        head.clear();
    }
    Ok(io::Cursor::new(head).chain(input))
}
