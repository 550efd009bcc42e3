use proptest::prelude::*;

use super::*;

fn fields(names: &[&str]) -> KeySource {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    KeySource::Fields(KeyFields { names, joined_by: "/".into() })
}

fn reading(input: Input, key: Option<&str>) -> Reading {
    let key = key.map_or(KeySource::Pair, |name| fields(&[name]));
    Reading { input: Some(input), key, ..Reading::default() }
}

fn read(reading: &Reading, input: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut rows = reading.rows(input).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(|e| e.to_string())? {
        all.push((String::from_utf8(row.key).unwrap(), String::from_utf8(row.value).unwrap()));
    }
    Ok(all)
}

#[track_caller]
fn gives(input: Input, key: Option<&str>, text: &str, expected: &[(&str, &str)]) {
    reading_gives(&reading(input, key), text, expected);
}

#[track_caller]
fn reading_gives(reading: &Reading, input: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    assert_eq!(read(reading, input.as_bytes()).as_ref(), Ok(&expected), "{input:?}");
}

#[track_caller]
fn refuses(input: Input, key: Option<&str>, text: &str, expected: &str) {
    reading_refuses(&reading(input, key), text, expected);
}

#[track_caller]
fn reading_refuses(reading: &Reading, input: &str, expected: &str) {
    let error = read(reading, input.as_bytes()).unwrap_err();
    assert!(error.starts_with(expected), "{input:?}: {error}");
}

#[test]
fn extensions_choose_the_format() {
    for (path, format) in [
        ("a.tsv", Some(Input::Tsv)),
        ("a.csv", Some(Input::Csv)),
        ("a.CSV", Some(Input::Csv)),
        ("a.jsonl", Some(Input::Jsonl)),
        ("a.ndjson", Some(Input::Jsonl)),
        ("a.json", Some(Input::Json)),
        ("a.txt", None),
        ("a", None),
        ("-", None),
    ] {
        assert_eq!(Input::of(path.as_ref()), format, "{path}");
    }
}

#[test]
fn tsv_rows() {
    gives(Input::Tsv, None, "", &[]);
    gives(Input::Tsv, None, "a\tb\nc\t\nd\te\tf", &[("a", "b"), ("c", ""), ("d", "e\tf")]);
    gives(Input::Tsv, None, "a\tb\r\n", &[("a", "b\r")]);
    gives(Input::Tsv, None, "\u{feff}a\tb\n", &[("a", "b")]);
    refuses(Input::Tsv, None, "a\tb\nc\n", "line 2: there is no tab");
    refuses(Input::Tsv, None, "a\tb\n\n", "line 2: there is no tab");
    refuses(Input::Tsv, None, "\tb\n", "line 1: the key is empty");
    refuses(Input::Tsv, None, &format!("{}\tb", "k".repeat(65_536)), "line 1: the key of 65536 bytes is longer");
    gives(Input::Tsv, None, &format!("{}\tb", "k".repeat(65_535)), &[(&"k".repeat(65_535), "b")]);
}

#[test]
fn csv_pairs() {
    gives(Input::Csv, None, "", &[]);
    gives(Input::Csv, None, "a,b\r\nc,\nd,e", &[("a", "b"), ("c", ""), ("d", "e")]);
    gives(Input::Csv, None, "\"a,\"\"1\"\"\",\"x\r\ny\"\n", &[("a,\"1\"", "x\r\ny")]);
    gives(Input::Csv, None, "a,\"\"", &[("a", "")]);
    gives(Input::Csv, None, "a,", &[("a", "")]);
    gives(Input::Csv, None, "\u{feff}\"a\",b\n", &[("a", "b")]);
    gives(Input::Csv, None, "\"\u{feff}a\",b\n", &[("\u{feff}a", "b")]);
    refuses(Input::Csv, None, "a,b\nc\n", "line 2: 1 field, not 2");
    refuses(Input::Csv, None, "a,b\n\n", "line 2: 1 field, not 2");
    refuses(Input::Csv, None, "a,b,c\n", "line 1: 3 fields, not 2");
    refuses(Input::Csv, None, "a,\"x\ny\"\nb,c\"d\n", "line 3: a quote inside a field");
    refuses(Input::Csv, None, "a,\"b\"c\n", "line 1: text after a field's closing quote");
    refuses(Input::Csv, None, "a,\"b\nc\n", "line 1: a quoted field is not closed");
    refuses(Input::Csv, None, "a,b\rc,d", "line 1: a carriage return");
    refuses(Input::Csv, None, "a,b\r", "line 1: a carriage return");
    refuses(Input::Csv, None, ",b\n", "line 1: the key is empty");
}

#[test]
fn csv_with_a_key_field() {
    let input = "id,name\n1,\"Zoë \"\"Z\"\"\"\n2,\n";
    let rows = [("1", r#"{"id":"1","name":"Zoë \"Z\""}"#), ("2", r#"{"id":"2","name":""}"#)];
    gives(Input::Csv, Some("id"), input, &rows);
    gives(Input::Csv, Some("id"), "id,name\n", &[]);
    refuses(Input::Csv, Some("id"), "", "line 1: there is no header");
    refuses(Input::Csv, Some("no"), input, "line 1: the header has no field \"no\", only \"id\", \"name\"");
    refuses(
        Input::Csv,
        Some("Name"),
        input,
        "line 1: the header has no field \"Name\", only \"id\", \"name\"; did you mean \"name\"?",
    );
    let one = "line 1: the header has no field \"id\", only \"id;name\"; is --separator ';' meant?";
    refuses(Input::Csv, Some("id"), "id;name\n1;a\n", one);
    gives(Input::Csv, Some("id"), "\n\r\nid,name\n\n1,\n\r\n", &[("1", r#"{"id":"1","name":""}"#)]);
    refuses(Input::Csv, Some("id"), "id\n\"\"\n", "line 2: the key is empty");
    refuses(Input::Csv, Some("id"), "id,id\n", "line 1: the header names the field \"id\" twice");
    refuses(
        Input::Csv,
        Some("id"),
        "id,name\n1\n",
        "line 2: 1 field, but 2 in the header (\"name\" is missing); --short-rows leaves out",
    );
    refuses(Input::Csv, Some("name"), input, "line 3: the key is empty");
}

#[test]
fn jsonl_pairs() {
    gives(Input::Jsonl, None, "{\"key\":\"a\",\"value\":\"b\\n\"}\r\n", &[("a", "b\n")]);
    gives(Input::Jsonl, None, "\u{feff} {\"value_base64\":\"Yg==\",\"key_base64\":\"YQ==\"}", &[("a", "b")]);
    gives(Input::Jsonl, None, "\n \r\n{\"key\":\"a\",\"value\":\"\"}\n\n", &[("a", "")]);
    refuses(Input::Jsonl, None, "5\n", "line 1: the line is not a JSON object");
    refuses(Input::Jsonl, None, "\n[1]\n", "line 2: the line is not a JSON object; --format json reads an array");
    refuses(Input::Jsonl, None, "{\"key\":\"a\"}\n", "line 1: neither \"value\" nor \"value_base64\"");
    refuses(Input::Jsonl, None, "{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"\"}", "line 1: both \"key\"");
    refuses(Input::Jsonl, None, "{\"key\":\"a\",\"value_base64\":\"Y\"}", "line 1: value_base64 is not base64");
    refuses(Input::Jsonl, None, "{\"key\":\"a\",\"key\":\"b\",\"value\":\"\"}", "line 1: duplicate field `key`");
    refuses(
        Input::Jsonl,
        None,
        "{\"key\":\"a\",\"value\":\"\",\"x\":1}",
        "line 1: unknown field `x`, expected one of `key`, `key_base64`, `value`, `value_base64`; for other objects, --key names",
    );
    refuses(Input::Jsonl, None, "{\"key\":\"a\",\"value\":5}", "line 1: invalid type: integer `5`, expected a string");
    refuses(
        Input::Jsonl,
        None,
        "{\"key\":\"a\",\"value\":\"",
        "line 1: not JSON: EOF while parsing a string at column",
    );
    refuses(Input::Jsonl, None, "{\"key\":\"a\",\"value\":\"\"} x", "line 1: not JSON: trailing characters");
}

#[test]
fn jsonl_with_a_key_field() {
    let line = r#"{ "b": [1, {"id": 2}], "id": "x\ty" }"#;
    gives(Input::Jsonl, Some("id"), &format!(" {line} \n"), &[("x\ty", line)]);
    for number in ["1", "1.50", "-3e5", "123456789012345678901234567890", "true"] {
        let line = format!("{{\"id\":{number}}}");
        gives(Input::Jsonl, Some("id"), &line, &[(number, &line)]);
    }
    refuses(
        Input::Jsonl,
        Some("id"),
        "{\"ID\":1}\n",
        "line 1: the object has no field \"id\", only \"ID\"; did you mean \"ID\"?",
    );
    refuses(Input::Jsonl, Some("id"), "{\"id\":1,\"id\":2}\n", "line 1: the field \"id\" is there twice");
    for odd in ["null", "[1]", "{}"] {
        refuses(
            Input::Jsonl,
            Some("id"),
            &format!("{{\"id\":{odd}}}"),
            "line 1: the field \"id\": it is neither a string, number nor boolean",
        );
    }
    refuses(Input::Jsonl, Some("id"), "{\"id\":\"\"}", "line 1: the key is empty");
    refuses(Input::Jsonl, Some("id"), "{\"id\":1", "line 1: not JSON");
    refuses(Input::Jsonl, Some("id"), "{\"id\":1}{\"id\":2}", "line 1: not JSON: trailing characters");
}

#[test]
fn tsv_messages_lead_on() {
    let assumed = Reading::default();
    let expected =
        "line 1: there is no tab between a key and a value; --format reads other formats than tsv, which is assumed";
    reading_refuses(&assumed, "word\n", expected);
    refuses(
        Input::Tsv,
        None,
        "[{\n",
        "line 1: there is no tab between a key and a value; --format reads other formats than tsv (it looks like JSON: --format json)",
    );
    refuses(
        Input::Csv,
        None,
        "a;b\n",
        "line 1: 1 field, not 2 (key and value); for rows under a header, --key names a field; is --separator ';' meant?",
    );
}

#[test]
fn lines_are_keys() {
    gives(Input::Lines, None, "\u{feff}one\n\ntwo\tb", &[("one", ""), ("two\tb", "")]);
}

#[test]
fn row_numbers_are_keys() {
    for (input, text, values) in [
        (Input::Tsv, "a\tb\n\nc", ["a\tb", "", "c"]),
        (Input::Lines, "a\n\nb\n", ["a", "", "b"]),
        (Input::Csv, "n\n1\n\n2\n3\n", [r#"{"n":"1"}"#, r#"{"n":"2"}"#, r#"{"n":"3"}"#]),
        (Input::Jsonl, "{}\n\n{\"a\":1}\n {}", ["{}", r#"{"a":1}"#, "{}"]),
        (Input::Json, "[{},{\"a\":1}, {}]", ["{}", r#"{"a":1}"#, "{}"]),
    ] {
        let [first, second, third] = values;
        let expected = [("000000000001", first), ("000000000002", second), ("000000000003", third)];
        reading_gives(
            &Reading { input: Some(input), key: KeySource::RowNumber, ..Reading::default() },
            text,
            &expected,
        );
    }
    let by_number = Reading { input: Some(Input::Jsonl), key: KeySource::RowNumber, ..Reading::default() };
    reading_refuses(&by_number, "{\"a\":}\n", "line 1: not JSON");
}

#[test]
fn several_fields_are_a_key() {
    let csv = Reading { input: Some(Input::Csv), key: fields(&["b", "a"]), ..Reading::default() };
    reading_gives(&csv, "a,b\n1,2\n3/3,4\n", &[("2/1", r#"{"a":"1","b":"2"}"#), ("4/3/3", r#"{"a":"3/3","b":"4"}"#)]);
    reading_refuses(
        &csv,
        "a,b\n1,2/2\n",
        "line 2: the field \"b\" contains \"/\", which joins the fields of a key; --join",
    );
    let jsonl = Reading { input: Some(Input::Jsonl), key: fields(&["b", "a"]), ..Reading::default() };
    reading_gives(&jsonl, r#"{"a":1,"b":"x"}"#, &[("x/1", r#"{"a":1,"b":"x"}"#)]);
    reading_refuses(&jsonl, r#"{"b":"x"}"#, "line 1: the object has no field \"a\", only \"b\"");
}

#[test]
fn other_separators() {
    let semicolon = |input, key: Option<&str>| Reading { separator: Some(b';'), ..reading(input, key) };
    reading_gives(&semicolon(Input::Csv, None), "a,b;\"c;d\"\n", &[("a,b", "c;d")]);
    reading_gives(&semicolon(Input::Csv, Some("a")), "a;b\n1;2\n", &[("1", r#"{"a":"1","b":"2"}"#)]);
    reading_gives(&semicolon(Input::Tsv, None), "a\tb;c;d\n", &[("a\tb", "c;d")]);
    reading_refuses(&semicolon(Input::Tsv, None), "a\tb\n", "line 1: there is no \";\" between");
}

#[test]
fn short_rows_lack_fields() {
    let short = Reading { allows_short: true, ..reading(Input::Csv, Some("b")) };
    reading_gives(
        &short,
        "a,b,c\n1,2\n1,2,3\n",
        &[("2", r#"{"a":"1","b":"2"}"#), ("2", r#"{"a":"1","b":"2","c":"3"}"#)],
    );
    reading_refuses(&short, "a,b,c\n1\n", "line 2: the row lacks the field \"b\", which is the key");
    reading_refuses(&short, "a,b\n1,2,3\n", "line 2: 3 fields, but 2 in the header");
}

#[test]
fn json_arrays_and_sequences() {
    let a = r#"{"key":"a","value":"1"}"#;
    let b = "{\n \"key\": \"b}\\\"]\",\n \"value\": \"\"\n}";
    let expected = [("a", "1"), ("b}\"]", "")];
    for text in [format!("[{a},{b}]"), format!(" [\n{a}\n, {b} ] \n"), format!("{a}\n{b}"), format!("\u{feff}{a}{b}\n")]
    {
        gives(Input::Json, None, &text, &expected);
    }
    gives(Input::Json, None, "", &[]);
    gives(Input::Json, None, " [ ] ", &[]);
    gives(Input::Json, Some("id"), r#"[{"id":7,"x":[{"y":"]"}]}]"#, &[("7", r#"{"id":7,"x":[{"y":"]"}]}"#)]);
    for (text, reason) in [
        ("[", "line 1: not JSON that can be imported: expected an object or the end of the array, found the end"),
        (
            &*format!("[{a}"),
            "line 1: not JSON that can be imported: expected a comma or the end of the array, found the end",
        ),
        (&*format!("[{a},]"), "line 1: not JSON that can be imported: expected an object, found \"]\""),
        (&*format!("[{a}]\n{a}"), "line 2: not JSON that can be imported: expected nothing behind the array"),
        ("[5]", "line 1: not JSON that can be imported: expected an object or the end of the array, found \"5\""),
        ("5", "line 1: not JSON that can be imported: expected an array of objects, or objects, found \"5\""),
        ("\n{\"key\":\"a\"", "line 2: the object that begins here is not closed"),
        ("[{\"key\":\"a\"}]", "line 1: neither \"value\" nor \"value_base64\" is there"),
        ("{\"key\"}", "line 1: not JSON"),
    ] {
        refuses(Input::Json, None, text, reason);
    }
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
            let input = match format {
                Format::Tsv => Input::Tsv,
                Format::Csv => Input::Csv,
                Format::Jsonl => Input::Jsonl,
            };
            let mut rows = reading(input, None).rows(&text[..]).unwrap();
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
        for format in [Input::Tsv, Input::Csv, Input::Jsonl, Input::Json, Input::Lines] {
            let mut rows = reading(format, key.as_deref()).rows(&input[..]).unwrap();
            while let Ok(Some(_)) = rows.next() {}
        }
    }
}
