//! jsonl: one JSON object per line. Bytes that are not UTF-8 are in base64, in a member with
//! another name.

use std::{
    fmt,
    io::{self, BufRead, Write},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kv_store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Row, RowError, Rows,
    json::Elements,
    key::{KeyFields, row_number},
    lines::Lines,
};

/// A byte takes at most six characters, such as `\u0001`.
pub const LINE_BYTES_MAX: usize = 6 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 256;

/// The texts of objects, each with the line on which it begins.
pub enum Objects<R> {
    /// One per line.
    Lines(Lines<R>),
    /// In an array, or one after the other.
    Elements(Elements<R>),
}

impl<R: BufRead> Objects<R> {
    pub fn in_lines(input: R) -> Self {
        Self::Lines(Lines::new(input, LINE_BYTES_MAX))
    }

    pub fn in_json(input: R) -> Self {
        Self::Elements(Elements::new(input, LINE_BYTES_MAX))
    }

    fn next(&mut self) -> Result<Option<(u64, &str)>, RowError> {
        let next = match self {
            Self::Lines(lines) => lines.next_that_is_not_blank()?,
            Self::Elements(elements) => elements.next()?,
        };
        let Some((number, text)) = next else { return Ok(None) };
        let text = object(text).map_err(|reason| RowError::refused(number, reason))?;
        Ok(Some((number, text)))
    }
}

/// Objects `{"key":…,"value":…}`.
pub struct Pairs<R>(Objects<R>);

impl<R: BufRead> Pairs<R> {
    pub fn new(objects: Objects<R>) -> Self {
        Self(objects)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
}

impl<R: BufRead> Rows for Pairs<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let Some((number, text)) = self.0.next()? else { return Ok(None) };
        pair(number, text).map(Some)
    }
}

/// The row that an object `{"key":…,"value":…}` stands for.
pub fn pair(number: u64, text: &str) -> Result<Row, RowError> {
    let refused = |reason| RowError::refused(number, reason);
    let pair: Pair = serde_json::from_str(text).map_err(|e| refused(pair_reason(&e)))?;
    let key = bytes("key", pair.key, pair.key_base64).map_err(refused)?;
    let value = bytes("value", pair.value, pair.value_base64).map_err(refused)?;
    Row::checked(number, key, value)
}

/// Any objects. The value is the object's text.
pub struct Named<R> {
    objects: Objects<R>,
    /// The fields that are the key; `None` for the number of the row.
    key: Option<KeyFields>,
    rows: u64,
}

impl<R: BufRead> Named<R> {
    pub fn new(objects: Objects<R>, key: Option<KeyFields>) -> Self {
        Self { objects, key, rows: 0 }
    }
}

impl<R: BufRead> Rows for Named<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let Some((number, text)) = self.objects.next()? else { return Ok(None) };
        let refused = |reason| RowError::refused(number, reason);
        self.rows += 1;
        let key = match &self.key {
            Some(key) => key_in(text, key).map_err(refused)?.into_bytes(),
            None => {
                serde_json::from_str::<IgnoredAny>(text).map_err(|e| refused(reason(&e)))?;
                row_number(self.rows)
            }
        };
        Row::checked(number, key, text.into()).map(Some)
    }
}

/// The line's object as text, without surrounding space.
pub fn object(line: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(line)
        .map_err(|_| "the line is not UTF-8; iconv converts other encodings".to_owned())?
        .trim_ascii();
    match text.as_bytes().first() {
        Some(b'{') => Ok(text),
        Some(b'[') => Err("the line is not a JSON object; --format json reads an array".to_owned()),
        _ => Err("the line is not a JSON object".to_owned()),
    }
}

/// Why a line is not a key and a value, in the words of serde_json.
fn pair_reason(error: &serde_json::Error) -> String {
    let reason = reason(error);
    let hint = if reason.starts_with("unknown field") {
        "; for other objects, --key names the field that is the key"
    } else {
        ""
    };
    reason + hint
}

/// The message of serde_json without the line number: serde_json sees one line only, and calls it
/// line 1.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    if error.is_data() { text.to_owned() } else { format!("not JSON: {text} at column {}", error.column()) }
}

fn bytes(name: &str, text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(text)) => BASE64_STANDARD.decode(text).map_err(|e| {
            let reason = e.to_string();
            format!("{name}_base64 is not base64: {}", reason.trim_end_matches('.'))
        }),
        (None, None) => Err(format!("neither \"{name}\" nor \"{name}_base64\" is there")),
        (Some(_), Some(_)) => Err(format!("both \"{name}\" and \"{name}_base64\" are there")),
    }
}

/// The key that an object's fields give.
fn key_in(object: &str, key: &KeyFields) -> Result<String, String> {
    let read = || {
        let mut input = serde_json::Deserializer::from_str(object);
        let values = FieldValues(&key.names).deserialize(&mut input)?;
        input.end()?;
        Ok(values)
    };
    let mut present = Vec::new();
    for (name, value) in key.names.iter().zip(read().map_err(|e: serde_json::Error| reason(&e))?) {
        let Some(value) = value else {
            let FieldNames(names) = serde_json::from_str(object).map_err(|e| reason(&e))?;
            return Err(key.missing("the object", name, names.iter().map(String::as_str)));
        };
        present.push(value);
    }
    key.key(&present)
}

/// Reads these fields of an object, and skips the others without building them.
struct FieldValues<'n>(&'n [String]);

impl<'de> DeserializeSeed<'de> for FieldValues<'_> {
    type Value = Vec<Option<String>>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldValues<'_> {
    type Value = Vec<Option<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.0.len()];
        while let Some(name) = map.next_key::<String>()? {
            let Some(place) = self.0.iter().position(|wanted| *wanted == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            let text =
                key_text(value).map_err(|reason| A::Error::custom(format_args!("the field {name:?}: {reason}")))?;
            if values[place].replace(text).is_some() {
                return Err(A::Error::custom(format_args!("the field {name:?} is there twice")));
            }
        }
        Ok(values)
    }
}

/// The names of an object's first fields.
struct FieldNames(Vec<String>);

impl<'de> Deserialize<'de> for FieldNames {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(FieldNames(Vec::new()))
    }
}

impl<'de> Visitor<'de> for FieldNames {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        const NAMES_MAX: usize = 1_000;
        while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if self.0.len() < NAMES_MAX {
                self.0.push(name);
            }
        }
        Ok(self)
    }
}

/// A string's content, or the JSON text of a number or boolean.
fn key_text(value: &RawValue) -> Result<String, String> {
    match value.get() {
        text if text.starts_with('"') => serde_json::from_str(text).map_err(|e| reason(&e)),
        text if text.starts_with(['{', '[', 'n']) => {
            Err(format!("it is neither a string, number nor boolean, so it cannot be the key: {text:.40}"))
        }
        text => Ok(text.to_owned()),
    }
}

pub fn write_row(out: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    out.write_all(b"{")?;
    write_member(out, "key", key)?;
    out.write_all(b",")?;
    write_member(out, "value", value)?;
    out.write_all(b"}\n")
}

/// Writes `"name":"…"`, or `"name_base64":"…"` if the bytes are not UTF-8.
pub fn write_member(out: &mut dyn Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    match str::from_utf8(bytes) {
        Ok(text) => {
            write!(out, "\"{name}\":")?;
            write_text(out, text)
        }
        Err(_) => write!(out, "\"{name}_base64\":\"{}\"", BASE64_STANDARD.encode(bytes)),
    }
}

/// Writes text as a JSON string.
pub fn write_text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    Ok(serde_json::to_writer(out, text)?)
}

/// Text as a JSON string.
pub fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
