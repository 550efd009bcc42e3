//! The readers of the rows that `kv import` takes.

use crate::{
    Heavy,
    format::{Format, RowError},
};

/// Longer inputs are ignored: they would take longer and reach nothing new.
const INPUT_BYTES_MAX: usize = 16 << 20;

pub(crate) fn tsv(input: &[u8]) {
    try_rows(Format::Tsv, None, input);
}

/// Rows of two fields, and rows under a header.
pub(crate) fn csv(input: &[u8]) {
    try_rows(Format::Csv, None, input);
    try_rows(Format::Csv, Some("id"), input);
}

/// Lines of key and value, and lines of any object.
pub(crate) fn jsonl(input: &[u8]) {
    try_rows(Format::Jsonl, None, input);
    try_rows(Format::Jsonl, Some("id"), input);
}

type Entry = (Vec<u8>, Vec<u8>);

fn try_rows(format: Format, key_field: Option<&str>, input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let (entries, _) = read(format, key_field, input);
    let carried = |(key, value): &&Entry| format.objection(key, value).is_none();
    let carried: Vec<&Entry> = entries.iter().filter(carried).collect();
    assert!(format != Format::Tsv || carried.len() == entries.len(), "tsv gave what it cannot carry");
    let mut written = Vec::new();
    for (key, value) in &carried {
        format.write_row(&mut written, key, value).unwrap_or_else(|error| panic!("cannot write to memory: {error}"));
    }
    let (again, whole) = read(format, None, &written);
    assert!(whole, "what was written is refused");
    assert!(again.iter().eq(carried), "what was written is not what is read");
    if format == Format::Tsv {
        assert!(input.starts_with(&written[..written.len().saturating_sub(1)]), "tsv is byte for byte");
    }
}

/// The rows before the first that is refused, and whether all were read.
fn read(format: Format, key_field: Option<&str>, input: &[u8]) -> (Vec<Entry>, bool) {
    let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count() as u64;
    let key_field = key_field.map(str::to_owned);
    let mut rows = format.rows(input, key_field).unwrap_or_else(|error| panic!("cannot read memory: {error}"));
    let mut entries = Vec::new();
    let mut last = 0;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                assert!(last < row.line && row.line <= lines, "line {} after {last} of {lines}", row.line);
                last = row.line;
                entries.push((row.key, row.value));
            }
            Ok(None) => return (entries, true),
            Err(RowError::Refused { line, reason }) => {
                assert!(last < line && line <= lines, "line {line} after {last} of {lines}: {reason}");
                return (entries, false);
            }
            Err(RowError::Io(error)) => panic!("cannot read memory: {error}"),
        }
    }
}

/// The inputs to start from, by the target's name.
pub(crate) fn seeds(target: &str) -> Vec<crate::Seed> {
    let texts: &[(&str, &str)] = match target {
        "tsv" => &[("rows", "a\t1\nb\t\nc\ttab\there\r\n"), ("no-line-feed", "a\t1"), ("no-tab", "a\t1\nb")],
        "csv" => &[
            ("rows", "a,1\n\"b,\"\"c\"\"\",\"two\nlines\"\r\nd,\n"),
            ("header", "name,id,\"odd\nname\"\nA,1,x\nB,2,\"\"\"\"\n"),
            ("byte-order-mark", "\u{feff}id,x\n1,2"),
            ("bad-quote", "a,b\"c\n"),
        ],
        _ => &[
            ("rows", "{\"key\":\"a\",\"value\":\"\\u0001\u{e9}\"}\n{\"key_base64\":\"/w==\",\"value_base64\":\"\"}\n"),
            ("objects", "{\"id\":7,\"x\":[1,{\"y\":null}]}\n{\"id\":\"\\ud83d\\ude00\"} \n{\"id\":true}"),
            ("byte-order-mark", "\u{feff}{\"id\":1e400}\n"),
            ("not-an-object", "[]\n"),
        ],
    };
    texts.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

/// One row of several mebibytes, which is read and dropped.
pub(crate) fn heavy(target: &str) -> Vec<Heavy> {
    const BYTES: usize = (4 << 20) + 1;
    let heavy = |what, format: Format, key_field: Option<&str>, input: Vec<u8>| {
        let key_field = key_field.map(str::to_owned);
        let bytes = input.len();
        let decode = move || {
            let mut rows = format.rows(&input[..], key_field).unwrap_or_else(|error| panic!("cannot read: {error}"));
            while let Ok(Some(_)) = rows.next() {}
        };
        Heavy { what, bytes, decode: Box::new(decode) }
    };
    let long =
        |before: &str, of: &str, after: &str| [before, &of.repeat(BYTES / of.len()), after].concat().into_bytes();
    match target {
        "tsv" => vec![
            heavy("a value", Format::Tsv, None, long("k\t", "v", "\n")),
            heavy("no tab", Format::Tsv, None, long("", "v", "")),
        ],
        "csv" => vec![
            heavy("a value", Format::Csv, None, long("k,", "v", "\n")),
            heavy("quotes", Format::Csv, None, long("k,\"", "\"\"", "\"\n")),
            heavy("fields", Format::Csv, None, long("", ",", "\n")),
            heavy("as many fields as there may be", Format::Csv, Some("id"), ",".repeat(16_383).into()),
            heavy("a header", Format::Csv, Some("id"), wide_header().into()),
            heavy("an object", Format::Csv, Some("id"), long("id,x\nk,\"", "v", "\"\n")),
        ],
        _ => vec![
            heavy("a value", Format::Jsonl, None, long("{\"key\":\"k\",\"value\":\"", "v", "\"}\n")),
            heavy("escapes", Format::Jsonl, None, long("{\"key\":\"k\",\"value\":\"", "\\n", "\"}\n")),
            heavy("base64", Format::Jsonl, None, long("{\"key\":\"k\",\"value_base64\":\"", "AAAA", "\"}\n")),
            heavy("an object", Format::Jsonl, Some("id"), long("{\"id\":\"k\",\"x\":\"", "\\n", "\"}\n")),
            heavy("a long key", Format::Jsonl, Some("id"), long("{\"id\":\"", "\\n", "\"}\n")),
            heavy("nesting", Format::Jsonl, Some("id"), long("{\"id\":", "[", "\n")),
        ],
    }
}

fn wide_header() -> String {
    let names: Vec<String> = (1..16_384).map(|n| format!("{n:x}")).collect();
    format!("id,{}\n{}", names.join(","), ",".repeat(16_383))
}
