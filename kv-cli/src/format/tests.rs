use proptest::prelude::*;

use super::*;

fn read(format: Format, key: Option<&str>, input: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut rows = format.rows(input, key.map(Into::into)).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(|e| e.to_string())? {
        all.push((String::from_utf8(row.key).unwrap(), String::from_utf8(row.value).unwrap()));
    }
    Ok(all)
}

#[track_caller]
fn gives(format: Format, key: Option<&str>, input: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    assert_eq!(read(format, key, input.as_bytes()).as_ref(), Ok(&expected), "{input:?}");
}

#[track_caller]
fn refuses(format: Format, key: Option<&str>, input: &str, expected: &str) {
    let error = read(format, key, input.as_bytes()).unwrap_err();
    assert!(error.starts_with(expected), "{input:?}: {error}");
}

#[test]
fn extensions_choose_the_format() {
    for (path, format) in [
        ("a.tsv", Format::Tsv),
        ("a.csv", Format::Csv),
        ("a.CSV", Format::Csv),
        ("a.jsonl", Format::Jsonl),
        ("a.ndjson", Format::Jsonl),
        ("a.txt", Format::Tsv),
        ("a", Format::Tsv),
        ("-", Format::Tsv),
    ] {
        assert_eq!(Format::of(path.as_ref()), format, "{path}");
    }
}

#[test]
fn tsv_rows() {
    gives(Format::Tsv, None, "", &[]);
    gives(Format::Tsv, None, "a\tb\nc\t\nd\te\tf", &[("a", "b"), ("c", ""), ("d", "e\tf")]);
    gives(Format::Tsv, None, "a\tb\r\n", &[("a", "b\r")]);
    gives(Format::Tsv, None, "\u{feff}a\tb\n", &[("\u{feff}a", "b")]);
    refuses(Format::Tsv, None, "a\tb\nc\n", "line 2: there is no tab");
    refuses(Format::Tsv, None, "a\tb\n\n", "line 2: there is no tab");
    refuses(Format::Tsv, None, "\tb\n", "line 1: the key is empty");
    refuses(Format::Tsv, None, &format!("{}\tb", "k".repeat(65_536)), "line 1: the key of 65536 bytes is longer");
    gives(Format::Tsv, None, &format!("{}\tb", "k".repeat(65_535)), &[(&"k".repeat(65_535), "b")]);
}

#[test]
fn csv_pairs() {
    gives(Format::Csv, None, "", &[]);
    gives(Format::Csv, None, "a,b\r\nc,\nd,e", &[("a", "b"), ("c", ""), ("d", "e")]);
    gives(Format::Csv, None, "\"a,\"\"1\"\"\",\"x\r\ny\"\n", &[("a,\"1\"", "x\r\ny")]);
    gives(Format::Csv, None, "a,\"\"", &[("a", "")]);
    gives(Format::Csv, None, "a,", &[("a", "")]);
    gives(Format::Csv, None, "\u{feff}\"a\",b\n", &[("a", "b")]);
    gives(Format::Csv, None, "\"\u{feff}a\",b\n", &[("\u{feff}a", "b")]);
    refuses(Format::Csv, None, "a,b\nc\n", "line 2: 1 field, not 2");
    refuses(Format::Csv, None, "a,b\n\n", "line 2: 1 field, not 2");
    refuses(Format::Csv, None, "a,b,c\n", "line 1: 3 fields, not 2");
    refuses(Format::Csv, None, "a,\"x\ny\"\nb,c\"d\n", "line 3: a quote inside a field");
    refuses(Format::Csv, None, "a,\"b\"c\n", "line 1: text after a field's closing quote");
    refuses(Format::Csv, None, "a,\"b\nc\n", "line 1: a quoted field is not closed");
    refuses(Format::Csv, None, "a,b\rc,d", "line 1: a carriage return");
    refuses(Format::Csv, None, "a,b\r", "line 1: a carriage return");
    refuses(Format::Csv, None, ",b\n", "line 1: the key is empty");
}

#[test]
fn csv_with_a_key_field() {
    let input = "id,name\n1,\"Zoë \"\"Z\"\"\"\n2,\n";
    let rows = [("1", r#"{"id":"1","name":"Zoë \"Z\""}"#), ("2", r#"{"id":"2","name":""}"#)];
    gives(Format::Csv, Some("id"), input, &rows);
    gives(Format::Csv, Some("id"), "id,name\n", &[]);
    refuses(Format::Csv, Some("id"), "", "line 1: there is no header");
    refuses(Format::Csv, Some("no"), input, "line 1: the header has no field \"no\"");
    refuses(Format::Csv, Some("id"), "id,id\n", "line 1: the header names the field \"id\" twice");
    refuses(Format::Csv, Some("id"), "id,name\n1\n", "line 2: 1 field, but 2 in the header");
    refuses(Format::Csv, Some("name"), input, "line 3: the key is empty");
}

#[test]
fn jsonl_pairs() {
    gives(Format::Jsonl, None, "{\"key\":\"a\",\"value\":\"b\\n\"}\r\n", &[("a", "b\n")]);
    gives(Format::Jsonl, None, "\u{feff} {\"value_base64\":\"Yg==\",\"key_base64\":\"YQ==\"}", &[("a", "b")]);
    refuses(Format::Jsonl, None, "\n", "line 1: the line is not a JSON object");
    refuses(Format::Jsonl, None, "[1]\n", "line 1: the line is not a JSON object");
    refuses(Format::Jsonl, None, "{\"key\":\"a\"}\n", "line 1: neither \"value\" nor \"value_base64\"");
    refuses(Format::Jsonl, None, "{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"\"}", "line 1: both \"key\"");
    refuses(Format::Jsonl, None, "{\"key\":\"a\",\"value_base64\":\"Y\"}", "line 1: value_base64 is not base64");
    refuses(Format::Jsonl, None, "{\"key\":\"a\",\"key\":\"b\",\"value\":\"\"}", "line 1: duplicate field `key`");
    refuses(Format::Jsonl, None, "{\"key\":\"a\",\"value\":\"\",\"x\":1}", "line 1: unknown field `x`");
    refuses(Format::Jsonl, None, "{\"key\":\"a\",\"value\":5}", "line 1: invalid type: integer `5`, expected a string");
    refuses(
        Format::Jsonl,
        None,
        "{\"key\":\"a\",\"value\":\"",
        "line 1: not JSON: EOF while parsing a string at column",
    );
    refuses(Format::Jsonl, None, "{\"key\":\"a\",\"value\":\"\"} x", "line 1: not JSON: trailing characters");
}

#[test]
fn jsonl_with_a_key_field() {
    let line = r#"{ "b": [1, {"id": 2}], "id": "x\ty" }"#;
    gives(Format::Jsonl, Some("id"), &format!(" {line} \n"), &[("x\ty", line)]);
    for number in ["1", "1.50", "-3e5", "123456789012345678901234567890", "true"] {
        let line = format!("{{\"id\":{number}}}");
        gives(Format::Jsonl, Some("id"), &line, &[(number, &line)]);
    }
    refuses(Format::Jsonl, Some("id"), "{\"ID\":1}\n", "line 1: there is no field \"id\"");
    refuses(Format::Jsonl, Some("id"), "{\"id\":1,\"id\":2}\n", "line 1: the field \"id\" is there twice");
    for odd in ["null", "[1]", "{}"] {
        refuses(Format::Jsonl, Some("id"), &format!("{{\"id\":{odd}}}"), "line 1: the key is neither");
    }
    refuses(Format::Jsonl, Some("id"), "{\"id\":\"\"}", "line 1: the key is empty");
    refuses(Format::Jsonl, Some("id"), "{\"id\":1", "line 1: not JSON");
    refuses(Format::Jsonl, Some("id"), "{\"id\":1}{\"id\":2}", "line 1: not JSON: trailing characters");
}

/// Bytes that are likely to be special in one of the formats.
fn bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(b"\t\r\n\",\\{}: ab\0\xff\xef\xbb\xbf".to_vec());
    prop::collection::vec(prop_oneof![3 => special, 1 => any::<u8>()], len)
}

proptest! {
    /// What a format can carry comes back the same.
    #[test]
    fn entries_round_trip(entries in prop::collection::vec((bytes(1..12), bytes(0..20)), 0..6)) {
        for format in [Format::Tsv, Format::Csv, Format::Jsonl] {
            let carried = entries.iter().filter(|(k, v)| format.objection(k, v).is_none());
            let mut text = Vec::new();
            for (key, value) in carried.clone() {
                format.write_row(&mut text, key, value).unwrap();
            }
            let mut rows = format.rows(&text[..], None).unwrap();
            for (key, value) in carried {
                let row = rows.next().unwrap().unwrap();
                prop_assert_eq!((&row.key, &row.value), (key, value));
            }
            prop_assert!(rows.next().unwrap().is_none());
        }
    }

    /// No input makes a reader panic or loop forever.
    #[test]
    fn any_input_ends(input in bytes(0..200), key in prop::option::of("[ab]")) {
        for format in [Format::Tsv, Format::Csv, Format::Jsonl] {
            let mut rows = format.rows(&input[..], key.clone()).unwrap();
            while let Ok(Some(_)) = rows.next() {}
        }
    }
}
