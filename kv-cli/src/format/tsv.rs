//! tsv: the key is everything before the first tab, the value the rest of the line, byte for byte.
//! Lines end with a line feed alone, so that a value may end with a carriage return.

use std::io::{self, BufRead, Write};

use kv_store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

use super::{Row, RowError, Rows, lines::Lines};

const LINE_BYTES_MAX: usize = KEY_BYTES_MAX + 1 + VALUE_BYTES_MAX;

pub struct Reader<R>(Lines<R>);

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Self {
        Self(Lines::new(input, LINE_BYTES_MAX))
    }
}

impl<R: BufRead> Rows for Reader<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let Some((number, line)) = self.0.next()? else { return Ok(None) };
        let Some(tab) = line.iter().position(|&b| b == b'\t') else {
            return Err(RowError::refused(
                number,
                "there is no tab between a key and a value; --format reads other formats than tsv",
            ));
        };
        Row::checked(number, line[..tab].to_vec(), line[tab + 1..].to_vec()).map(Some)
    }
}

pub fn objection(key: &[u8], value: &[u8]) -> Option<&'static str> {
    if key.contains(&b'\t') {
        return Some("tsv cannot carry a tab in a key");
    }
    (key.contains(&b'\n') || value.contains(&b'\n')).then_some("tsv cannot carry a line feed")
}

pub fn write_row(out: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    out.write_all(key)?;
    out.write_all(b"\t")?;
    out.write_all(value)?;
    out.write_all(b"\n")
}
