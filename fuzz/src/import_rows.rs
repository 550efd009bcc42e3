//! The readers of the rows that `kv import` takes.

use crate::{
    Heavy,
    format::{Format, Input, KeyFields, KeySource, Reading, RowError},
};

/// Longer inputs are ignored: they would take longer and reach nothing new.
const INPUT_BYTES_MAX: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Rows of key and value, and lines that are one or the other.
pub(crate) fn tsv(input: &[u8]) {
    try_rows(Format::Tsv, &pairs(Input::Tsv), input);
    try_rows(Format::Jsonl, &pairs(Input::Lines), input);
    try_rows(Format::Jsonl, &Reading { key: KeySource::RowNumber, ..pairs(Input::Tsv) }, input);
}

/// Rows of two fields, and rows under a header.
pub(crate) fn csv(input: &[u8]) {
    try_rows(Format::Csv, &pairs(Input::Csv), input);
    try_rows(Format::Csv, &keyed(Input::Csv, &["id"]), input);
    try_rows(Format::Csv, &Reading { allows_short: true, ..keyed(Input::Csv, &["x", "id"]) }, input);
    try_rows(Format::Csv, &Reading { separator: Some(b';'), ..pairs(Input::Csv) }, input);
}

/// Lines of key and value, and lines of any object.
pub(crate) fn jsonl(input: &[u8]) {
    try_rows(Format::Jsonl, &pairs(Input::Jsonl), input);
    try_rows(Format::Jsonl, &keyed(Input::Jsonl, &["id"]), input);
    try_rows(Format::Jsonl, &keyed(Input::Jsonl, &["x", "id"]), input);
}

/// Arrays of objects, and objects one after the other.
pub(crate) fn json(input: &[u8]) {
    try_rows(Format::Jsonl, &pairs(Input::Json), input);
    try_rows(Format::Jsonl, &keyed(Input::Json, &["id"]), input);
    try_rows(Format::Jsonl, &Reading { key: KeySource::RowNumber, ..pairs(Input::Json) }, input);
}

fn pairs(input: Input) -> Reading {
    Reading { input: Some(input), ..Reading::default() }
}

fn keyed(input: Input, names: &[&str]) -> Reading {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Reading { key: KeySource::Fields(KeyFields { names, joined_by: "/".into() }), ..pairs(input) }
}

type Entry = (Vec<u8>, Vec<u8>);

/// Reads rows, writes them in a format, and reads that again.
fn try_rows(format: Format, reading: &Reading, input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let (entries, _) = read(reading, input);
    let carried = |(key, value): &&Entry| format.objection(key, value).is_none();
    let carried: Vec<&Entry> = entries.iter().filter(carried).collect();
    let is_tsv = reading.input == Some(Input::Tsv) && reading.key == KeySource::Pair;
    if is_tsv {
        let marks = entries.iter().filter(|(key, _)| key.starts_with(BYTE_ORDER_MARK));
        assert!(carried.len() + marks.count() == entries.len(), "tsv gave what it cannot carry");
    }
    let mut written = Vec::new();
    for (key, value) in &carried {
        format.write_row(&mut written, key, value).unwrap_or_else(|error| panic!("cannot write to memory: {error}"));
    }
    let again = match format {
        Format::Tsv => Input::Tsv,
        Format::Csv => Input::Csv,
        Format::Jsonl => Input::Jsonl,
    };
    let (again, whole) = read(&pairs(again), &written);
    assert!(whole, "what was written is refused");
    assert!(again.iter().eq(carried.iter().copied()), "what was written is not what is read");
    if is_tsv && carried.len() == entries.len() {
        let input = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
        assert!(input.starts_with(&written[..written.len().saturating_sub(1)]), "tsv is byte for byte");
    }
}

/// The rows before the first that is refused, and whether all were read.
fn read(reading: &Reading, input: &[u8]) -> (Vec<Entry>, bool) {
    let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count() as u64;
    // Several objects of an array may be on one line.
    let step = u64::from(reading.input != Some(Input::Json));
    let mut rows = reading.rows(input).unwrap_or_else(|error| panic!("cannot read memory: {error}"));
    let mut entries = Vec::new();
    let mut last = 1 - step;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                assert!(last + step <= row.line && row.line <= lines, "line {} after {last} of {lines}", row.line);
                last = row.line;
                entries.push((row.key, row.value));
            }
            Ok(None) => return (entries, true),
            Err(RowError::Refused { line, reason }) => {
                assert!(last + step <= line && line <= lines, "line {line} after {last} of {lines}: {reason}");
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
        "json" => &[
            ("array", "[{\"key\":\"a\",\"value\":\"}]\\\"\"},\n {\"key_base64\":\"/w==\",\"value\":\"\"}]\n"),
            ("objects", "{\"id\":7,\"x\":[1,{\"y\":null}]}{\"id\":true}\n"),
            ("pretty", "\u{feff}[\n  {\n    \"id\": 1\n  }\n]\n"),
            ("not-closed", "[{\"id\":1},"),
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
    let heavy = |what, input: Input, key_field: Option<&str>, text: Vec<u8>| {
        let reading = key_field.map_or(pairs(input), |name| keyed(input, &[name]));
        let bytes = text.len();
        let decode = move || {
            let mut rows = reading.rows(&text[..]).unwrap_or_else(|error| panic!("cannot read: {error}"));
            while let Ok(Some(_)) = rows.next() {}
        };
        Heavy { what, bytes, decode: Box::new(decode) }
    };
    let long =
        |before: &str, of: &str, after: &str| [before, &of.repeat(BYTES / of.len()), after].concat().into_bytes();
    match target {
        "tsv" => vec![
            heavy("a value", Input::Tsv, None, long("k\t", "v", "\n")),
            heavy("no tab", Input::Tsv, None, long("", "v", "")),
        ],
        "csv" => vec![
            heavy("a value", Input::Csv, None, long("k,", "v", "\n")),
            heavy("quotes", Input::Csv, None, long("k,\"", "\"\"", "\"\n")),
            heavy("fields", Input::Csv, None, long("", ",", "\n")),
            heavy("as many fields as there may be", Input::Csv, Some("id"), ",".repeat(16_383).into()),
            heavy("a header", Input::Csv, Some("id"), wide_header().into()),
            heavy("an object", Input::Csv, Some("id"), long("id,x\nk,\"", "v", "\"\n")),
        ],
        "json" => vec![
            heavy("a value", Input::Json, None, long("[{\"key\":\"k\",\"value\":\"", "v", "\"}]\n")),
            heavy("an object", Input::Json, Some("id"), long("{\"id\":\"k\",\"x\":\"", "\\n", "\"}\n")),
            heavy("fields without the key", Input::Json, Some("id"), long("[{\"a\":0", ",\"b\":0", "}]")),
            heavy("nesting", Input::Json, Some("id"), long("[", "{\"a\":", "")),
        ],
        _ => vec![
            heavy("a value", Input::Jsonl, None, long("{\"key\":\"k\",\"value\":\"", "v", "\"}\n")),
            heavy("escapes", Input::Jsonl, None, long("{\"key\":\"k\",\"value\":\"", "\\n", "\"}\n")),
            heavy("base64", Input::Jsonl, None, long("{\"key\":\"k\",\"value_base64\":\"", "AAAA", "\"}\n")),
            heavy("an object", Input::Jsonl, Some("id"), long("{\"id\":\"k\",\"x\":\"", "\\n", "\"}\n")),
            heavy("a long key", Input::Jsonl, Some("id"), long("{\"id\":\"", "\\n", "\"}\n")),
            heavy("nesting", Input::Jsonl, Some("id"), long("{\"id\":", "[", "\n")),
        ],
    }
}

fn wide_header() -> String {
    let names: Vec<String> = (1..16_384).map(|n| format!("{n:x}")).collect();
    format!("id,{}\n{}", names.join(","), ",".repeat(16_383))
}
