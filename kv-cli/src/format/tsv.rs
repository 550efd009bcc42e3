//! tsv: the key is everything before the first tab, the value the rest of the line, byte for byte.
//! Lines end with a line feed alone, so that a value may end with a carriage return.

use std::io::{self, BufRead, Write};

use kv_store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

use super::{BYTE_ORDER_MARK, Row, RowError, Rows, key::row_number, lines::Lines};

const LINE_BYTES_MAX: usize = KEY_BYTES_MAX + 1 + VALUE_BYTES_MAX;

/// Lines of a key, a separator and a value, or any lines.
pub struct Reader<R> {
    lines: Lines<R>,
    separator: u8,
    /// What a line is, if it is not a key and a value.
    whole: Option<Whole>,
    rows: u64,
    /// What the message adds if there is no separator.
    hint: &'static str,
}

/// What a whole line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// A key, whose value is empty.
    Key,
    /// A value, whose key is the number of the row.
    Value,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R, separator: u8, whole: Option<Whole>, hint: &'static str) -> Self {
        Self { lines: Lines::new(input, LINE_BYTES_MAX), separator, whole, rows: 0, hint }
    }
}

impl<R: BufRead> Rows for Reader<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        loop {
            let Some((number, line)) = self.lines.next()? else { return Ok(None) };
            return match self.whole {
                Some(Whole::Key) if line.is_empty() => continue,
                Some(Whole::Key) => Row::checked(number, line.to_vec(), Vec::new()),
                Some(Whole::Value) => {
                    self.rows += 1;
                    Row::checked(number, row_number(self.rows), line.to_vec())
                }
                None => pair(number, line, self.separator, self.hint),
            }
            .map(Some);
        }
    }
}

fn pair(number: u64, line: &[u8], separator: u8, hint: &str) -> Result<Row, RowError> {
    if let Some(at) = line.iter().position(|&byte| byte == separator) {
        return Row::checked(number, line[..at].to_vec(), line[at + 1..].to_vec());
    }
    let name = match separator {
        b'\t' => "tab".to_owned(),
        other => format!("\"{}\"", other.escape_ascii()),
    };
    let json = if line.trim_ascii_start().starts_with(b"[") || line.trim_ascii_start().starts_with(b"{") {
        " (it looks like JSON: --format json)"
    } else {
        ""
    };
    let reason =
        format!("there is no {name} between a key and a value; --format reads other formats than tsv{json}{hint}");
    Err(RowError::refused(number, reason))
}

pub fn objection(key: &[u8], value: &[u8]) -> Option<&'static str> {
    if key.contains(&b'\t') {
        return Some("tsv cannot carry a tab in a key");
    }
    // At the beginning of a file it would be taken for the mark of the file.
    if key.starts_with(BYTE_ORDER_MARK) {
        return Some("tsv cannot carry a key that begins with a byte order mark");
    }
    (key.contains(&b'\n') || value.contains(&b'\n')).then_some("tsv cannot carry a line feed")
}

pub fn write_row(out: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    out.write_all(key)?;
    out.write_all(b"\t")?;
    out.write_all(value)?;
    out.write_all(b"\n")
}
