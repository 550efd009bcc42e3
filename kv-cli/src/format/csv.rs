//! csv: RFC 4180 in UTF-8, read strictly: a misplaced quote is an error. Otherwise it could put
//! half of the file into one field. Rows are written with a line feed at the end, and read with a
//! line feed or with carriage return and line feed.

use std::io::{self, BufRead, Write};

use super::{
    BYTE_ORDER_MARK, Row, RowError, Rows, jsonl,
    key::{KeyFields, row_number},
};

mod records;

use records::{Record, Records};

/// Rows of exactly two fields: key, value.
pub struct Pairs<R>(Records<R>);

impl<R: BufRead> Pairs<R> {
    pub fn new(input: R, separator: u8) -> Self {
        Self(Records::new(input, separator))
    }
}

impl<R: BufRead> Rows for Pairs<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let Some(record) = self.0.next()? else { return Ok(None) };
        let line = record.line;
        let fields = record.fields().map_err(|field| not_utf8(line, field, None))?;
        if let [key, value] = fields[..] {
            return Row::checked(line, key.into(), value.into()).map(Some);
        }
        let hint = match fields[..] {
            [field] => separator_hint(field),
            _ => String::new(),
        };
        let count = counted(fields.len());
        let reason = format!("{count}, not 2 (key and value); for rows under a header, --key names a field{hint}");
        Err(RowError::refused(line, reason))
    }
}

/// Rows under a header. The value is the row as a JSON object of strings.
pub struct Named<R> {
    records: Records<R>,
    /// The fields that are the key; `None` for the number of the row.
    key: Option<KeyFields>,
    allows_short: bool,
    header: Option<Header>,
    rows: u64,
}

struct Header {
    /// The names, each as JSON text.
    names: Vec<String>,
    /// Where the fields of the key are.
    key: Vec<usize>,
}

impl<R: BufRead> Named<R> {
    /// With `allows_short` a row may have fewer fields than the header.
    pub fn new(input: R, separator: u8, key: Option<KeyFields>, allows_short: bool) -> Self {
        Self { records: Records::new(input, separator), key, allows_short, header: None, rows: 0 }
    }
}

impl<R: BufRead> Rows for Named<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let header = match &mut self.header {
            Some(header) => header,
            none => {
                let Some(record) = self.records.next_that_is_not_blank()? else {
                    return Err(RowError::refused(1, "there is no header"));
                };
                none.insert(Header::parse(record, self.key.as_ref())?)
            }
        };
        let Some(record) = self.records.next_that_is_not_blank()? else { return Ok(None) };
        let fields = header.fields(record, self.allows_short)?;
        self.rows += 1;
        let key = match &self.key {
            Some(key) => header.key(key, record.line, &fields)?,
            None => row_number(self.rows),
        };
        let value = header.value(record.line, &fields)?;
        Row::checked(record.line, key, value).map(Some)
    }
}

impl Header {
    fn parse(record: &Record, key: Option<&KeyFields>) -> Result<Self, RowError> {
        let refused = |reason| RowError::refused(record.line, reason);
        let names = record.fields().map_err(|field| not_utf8(record.line, field, None))?;
        let mut sorted = names.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(refused(format!("the header names the field {:?} twice", pair[0])));
        }
        let place = |key: &KeyFields, name: &String| {
            names.iter().position(|there| there == name).ok_or_else(|| {
                let hint = if let [only] = names[..] { separator_hint(only) } else { String::new() };
                refused(key.missing("the header", name, names.iter().copied()) + &hint)
            })
        };
        let key = key.into_iter().flat_map(|key| key.names.iter().map(move |name| place(key, name)));
        let key = key.collect::<Result<_, _>>()?;
        Ok(Self { names: names.into_iter().map(jsonl::text).collect(), key })
    }

    fn fields<'r>(&self, record: &'r Record, allows_short: bool) -> Result<Vec<&'r str>, RowError> {
        let fields = record.fields().map_err(|field| not_utf8(record.line, field, self.names.get(field)))?;
        let has = fields.len();
        let expected = self.names.len();
        if has == expected || (has < expected && allows_short) {
            return Ok(fields);
        }
        let hint = match self.names.get(has) {
            Some(name) => format!(" ({name} is missing); --short-rows leaves out what is missing"),
            None => String::new(),
        };
        Err(RowError::refused(record.line, format!("{}, but {expected} in the header{hint}", counted(has))))
    }

    fn key(&self, key: &KeyFields, line: u64, fields: &[&str]) -> Result<Vec<u8>, RowError> {
        let value = |&place: &usize| {
            let missing =
                || RowError::refused(line, format!("the row lacks the field {}, which is the key", self.names[place]));
            fields.get(place).copied().ok_or_else(missing)
        };
        let values = self.key.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let key = key.key(&values).map_err(|reason| RowError::refused(line, reason))?;
        Ok(key.into_bytes())
    }

    fn value(&self, line: u64, fields: &[&str]) -> Result<Vec<u8>, RowError> {
        // Escapes make the value up to six times as long as the row. So its length is checked
        // before it is allocated.
        let mut length = Length(0);
        self.write_object(fields, &mut length)?;
        Row::check_value_length(line, length.0)?;
        let mut value = Vec::with_capacity(length.0);
        self.write_object(fields, &mut value)?;
        Ok(value)
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

/// Why a field is refused: its place, from 0, and its name, if that is known.
fn not_utf8(line: u64, field: usize, name: Option<&String>) -> RowError {
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    let reason =
        format!("field {}{name} is not UTF-8; `iconv -f ENCODING -t utf-8` converts other encodings", field + 1);
    RowError::refused(line, reason)
}

/// What to try if a row has only one field, which contains what other files separate fields with.
fn separator_hint(field: &str) -> String {
    let found = [';', '\t', '|'].into_iter().find(|&separator| field.contains(separator));
    found.map(|separator| format!("; is --separator '{}' meant?", separator.escape_default())).unwrap_or_default()
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
