//! csv: RFC 4180 in UTF-8, read strictly: a misplaced quote is an error. Otherwise it could put
//! half of the file into one field. Rows are written with a line feed at the end, and read with a
//! line feed or with carriage return and line feed.

use std::io::{self, BufRead, Write};

use super::{BYTE_ORDER_MARK, Row, RowError, Rows, jsonl};

mod records;

use records::{Record, Records};

/// Rows of exactly two fields: key, value.
pub struct Pairs<R>(Records<R>);

impl<R: BufRead> Pairs<R> {
    pub fn new(input: R) -> Self {
        Self(Records::new(input))
    }
}

impl<R: BufRead> Rows for Pairs<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let Some(record) = self.0.next()? else { return Ok(None) };
        let line = record.line;
        let other = || {
            RowError::refused(
                line,
                format!(
                    "{}, not 2 (key and value); for rows under a header, --key names a field",
                    counted(record.len())
                ),
            )
        };
        if record.len() != 2 {
            return Err(other());
        }
        let [key, value] = record.fields()?[..] else { return Err(other()) };
        Row::checked(line, key.into(), value.into()).map(Some)
    }
}

/// Rows under a header. One field is the key; the value is the row as a JSON object of strings.
pub struct Keyed<R> {
    records: Records<R>,
    key_field: String,
    header: Option<Header>,
}

struct Header {
    /// The names, each as JSON text.
    names: Vec<String>,
    key_index: usize,
}

impl<R: BufRead> Keyed<R> {
    pub fn new(input: R, key_field: String) -> Self {
        Self { records: Records::new(input), key_field, header: None }
    }
}

impl<R: BufRead> Rows for Keyed<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let header = match &mut self.header {
            Some(header) => header,
            none => {
                let Some(record) = self.records.next()? else {
                    return Err(RowError::refused(1, "there is no header"));
                };
                none.insert(Header::parse(record, &self.key_field)?)
            }
        };
        let Some(record) = self.records.next()? else { return Ok(None) };
        header.row(record).map(Some)
    }
}

impl Header {
    fn parse(record: &Record, key_field: &str) -> Result<Self, RowError> {
        let names = record.fields()?;
        let mut sorted = names.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(RowError::refused(record.line, format!("the header names the field {:?} twice", pair[0])));
        }
        let Some(key_index) = names.iter().position(|&name| name == key_field) else {
            let reason = format!("the header has no field {key_field:?}, only {}", listed(&names));
            return Err(RowError::refused(record.line, reason));
        };
        Ok(Self { names: names.into_iter().map(jsonl::text).collect(), key_index })
    }

    fn row(&self, record: &Record) -> Result<Row, RowError> {
        let fields = record.fields()?;
        if fields.len() != self.names.len() {
            let reason = format!("{}, but {} in the header", counted(fields.len()), self.names.len());
            return Err(RowError::refused(record.line, reason));
        }
        // Escapes make the value up to six times as long as the row. So its length is checked
        // before it is allocated.
        let mut length = Length(0);
        self.write_object(&fields, &mut length)?;
        Row::check_value_length(record.line, length.0)?;
        let mut value = Vec::with_capacity(length.0);
        self.write_object(&fields, &mut value)?;
        Row::checked(record.line, fields[self.key_index].into(), value)
    }

    fn write_object(&self, fields: &[&str], out: &mut dyn Write) -> io::Result<()> {
        let mut before = b"{";
        for (name, field) in self.names.iter().zip(fields) {
            out.write_all(before)?;
            write!(out, "{name}:")?;
            jsonl::write_text(out, field)?;
            before = b",";
        }
        out.write_all(b"}")
    }
}

/// Counts the bytes that are written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first names of a header, for a message.
fn listed(names: &[&str]) -> String {
    const NAMES_MAX: usize = 8;
    let shown: Vec<String> = names.iter().take(NAMES_MAX).map(|name| format!("{:?}", excerpt(name))).collect();
    shown.join(", ") + if names.len() > NAMES_MAX { ", …" } else { "" }
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

fn counted(fields: usize) -> String {
    format!("{fields} field{}", if fields == 1 { "" } else { "s" })
}

pub fn objection(key: &[u8], value: &[u8]) -> Option<&'static str> {
    let text = str::from_utf8(key).is_ok() && str::from_utf8(value).is_ok();
    (!text).then_some("csv cannot carry bytes that are not UTF-8")
}

pub fn write_row(out: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    write_field(out, key)?;
    out.write_all(b",")?;
    write_field(out, value)?;
    out.write_all(b"\n")
}

fn write_field(out: &mut dyn Write, field: &[u8]) -> io::Result<()> {
    // A leading byte order mark is quoted so that it is not taken for the file's.
    let plain = !field.iter().any(|b| b",\"\r\n".contains(b)) && !field.starts_with(BYTE_ORDER_MARK);
    if plain {
        return out.write_all(field);
    }
    out.write_all(b"\"")?;
    for (i, part) in field.split(|&b| b == b'"').enumerate() {
        if i > 0 {
            out.write_all(b"\"\"")?;
        }
        out.write_all(part)?;
    }
    out.write_all(b"\"")
}
