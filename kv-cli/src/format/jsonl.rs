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

use super::{Row, RowError, Rows, lines::Lines};

/// A byte takes at most six characters, such as `\u0001`.
const LINE_BYTES_MAX: usize = 6 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 256;

/// Lines `{"key":…,"value":…}`.
pub struct Pairs<R>(Lines<R>);

impl<R: BufRead> Pairs<R> {
    pub fn new(input: R) -> Self {
        Self(Lines::new(input, LINE_BYTES_MAX))
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
        let Some((number, line)) = self.0.next()? else { return Ok(None) };
        let refused = |reason| RowError::refused(number, reason);
        let pair: Pair = serde_json::from_str(object(line).map_err(refused)?).map_err(|e| refused(pair_reason(&e)))?;
        let key = bytes("key", pair.key, pair.key_base64).map_err(refused)?;
        let value = bytes("value", pair.value, pair.value_base64).map_err(refused)?;
        Row::checked(number, key, value).map(Some)
    }
}

/// Lines with any objects. One field is the key; the value is the line.
pub struct Keyed<R> {
    lines: Lines<R>,
    key_field: String,
}

impl<R: BufRead> Keyed<R> {
    pub fn new(input: R, key_field: String) -> Self {
        Self { lines: Lines::new(input, LINE_BYTES_MAX), key_field }
    }
}

impl<R: BufRead> Rows for Keyed<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let Some((number, line)) = self.lines.next()? else { return Ok(None) };
        let refused = |reason| RowError::refused(number, reason);
        let line = object(line).map_err(refused)?;
        let key = key_in(line, &self.key_field).map_err(|e| refused(reason(&e)))?;
        Row::checked(number, key.into(), line.into()).map(Some)
    }
}

/// The line's object as text, without surrounding space.
fn object(line: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(line)
        .map_err(|_| "the line is not UTF-8; iconv converts other encodings".to_owned())?
        .trim_ascii();
    match text.as_bytes().first() {
        Some(b'{') => Ok(text),
        Some(b'[') => Err("the line is not a JSON object; `jq -c '.[]'` makes lines of an array".to_owned()),
        _ => Err("the line is not a JSON object".to_owned()),
    }
}

/// Why a line is not a key and a value, in the words of serde_json.
fn pair_reason(error: &serde_json::Error) -> String {
    let reason = reason(error);
    let hint = if reason.starts_with("unknown field") { "; for other objects, --key names a field" } else { "" };
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

/// The key that an object's field `name` gives.
fn key_in(object: &str, name: &str) -> serde_json::Result<String> {
    let mut input = serde_json::Deserializer::from_str(object);
    let key = KeyField { name }.deserialize(&mut input)?;
    input.end()?;
    Ok(key)
}

/// Reads one field of an object, and skips the others without building them.
struct KeyField<'n> {
    name: &'n str,
}

impl<'de> DeserializeSeed<'de> for KeyField<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<String, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KeyField<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut key = None;
        while let Some(name) = map.next_key::<String>()? {
            if name != self.name {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: &RawValue = map.next_value()?;
            if key.replace(key_text(value).map_err(A::Error::custom)?).is_some() {
                return Err(A::Error::custom(format_args!("the field {name:?} is there twice")));
            }
        }
        key.ok_or_else(|| A::Error::custom(format_args!("there is no field {:?}", self.name)))
    }
}

/// A string's content, or the JSON text of a number or boolean.
fn key_text(value: &RawValue) -> Result<String, String> {
    match value.get() {
        text if text.starts_with('"') => serde_json::from_str(text).map_err(|e| reason(&e)),
        text if text.starts_with(['{', '[', 'n']) => {
            Err(format!("the key is neither a string, number nor boolean: {text:.40}"))
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
