use std::fmt::Write as _;

use crate::kv::Kv;

fn rows(count: usize) -> String {
    (1..=count).fold(String::new(), |mut text, i| {
        writeln!(text, "key-{i:06}\tvalue {i}").unwrap();
        text
    })
}

#[test]
fn formats_by_extension_and_by_option() {
    let kv = Kv::new();
    kv.file("a.tsv", "k\ttsv, \"x\"\n");
    kv.file("a.csv", "k,\"csv, \"\"x\"\"\"\r\n");
    kv.file("a.jsonl", "{\"key\":\"k\",\"value_base64\":\"/w==\"}\n");
    kv.file("a.txt", "k\ttext\n");
    for (file, value) in
        [("a.tsv", &b"tsv, \"x\""[..]), ("a.csv", b"csv, \"x\""), ("a.jsonl", b"\xff"), ("a.txt", b"text")]
    {
        assert_eq!(kv.ok(&["import", "c", file]), "");
        assert_eq!(kv.run(&["get", "c", "k"]).out, value, "{file}");
    }
    kv.run_with_stdin(&["import", "c", "-", "--format", "csv"], b"k,stdin").expect(0);
    assert_eq!(kv.ok(&["get", "c", "k"]), "stdin");
    kv.ok(&["import", "c", "a.txt", "--format", "tsv"]);
    assert_eq!(kv.ok(&["get", "c", "k"]), "text");
}

#[test]
fn it_says_what_it_did_on_stderr() {
    let kv = Kv::new();
    kv.file("a.tsv", rows(2_500));
    let ran = kv.run(&["import", "c", "a.tsv"]);
    assert!(ran.err.contains("\nimported 2,500 rows into \"c\" in "), "{}", ran.err);
    assert!(ran.err.ends_with(" rows/s): 2,500 new, 0 replaced\n"), "{}", ran.err);
    assert_eq!(ran.expect(0), "");
    assert_eq!(kv.ok(&["list"]), "c\t2500\n");
    assert_eq!(kv.ok(&["get", "c", "key-002500"]), "value 2500");
}

#[test]
fn a_field_as_the_key() {
    let kv = Kv::new();
    kv.file("a.csv", "name,\"n, 1\"\nAda,\"1\n\"\"2\"\"\"\n");
    kv.ok(&["import", "c", "a.csv", "--key", "name"]);
    assert_eq!(kv.ok(&["get", "c", "Ada"]), "{\"name\":\"Ada\",\"n, 1\":\"1\\n\\\"2\\\"\"}");
    kv.file("a.jsonl", "{\"id\": 7, \"x\": [1.50]}\n{\"x\":null,\"id\":\"b\"}\n");
    kv.ok(&["import", "d", "a.jsonl", "--key", "id"]);
    assert_eq!(kv.ok(&["get", "d", "7"]), "{\"id\": 7, \"x\": [1.50]}");
    assert_eq!(kv.ok(&["get", "d", "b"]), "{\"x\":null,\"id\":\"b\"}");
    assert!(kv.fails(2, &["import", "c", "a.tsv", "--key", "id"]).contains("--key needs rows with named fields"));
    let err = kv.fails(3, &["import", "c", "a.csv", "--key", "id"]);
    let expected = "kv: a.csv, line 1: the header has no field \"id\", only \"name\", \"n, 1\"; nothing was imported\n";
    assert_eq!(err, expected);
}

#[test]
fn a_bad_row_names_its_line_and_what_stays() {
    let kv = Kv::new();
    kv.file("a.tsv", rows(2_233) + "no tab\n" + &rows(9));
    let err = kv.fails(3, &["import", "c", "a.tsv"]);
    let expected = "kv: a.tsv, line 2234: there is no tab between a key and a value; --format reads other formats than tsv; the 2000 rows before line 2001 stay imported\n";
    assert_eq!(err, expected);
    assert_eq!(kv.ok(&["list"]), "c\t2000\n");
    kv.fails(1, &["get", "c", "key-002001"]);
    assert_eq!(kv.ok(&["get", "c", "key-002000"]), "value 2000");

    kv.file("b.tsv", rows(1_000) + "\tempty\n");
    let err = kv.fails(3, &["import", "d", "b.tsv"]);
    assert_eq!(err, "kv: b.tsv, line 1001: the key is empty; the 1000 rows before line 1001 stay imported\n");
    kv.file("c.jsonl", "{\"key\":\"a\",\"value\":\"\"}\n{}\n");
    let err = kv.fails(3, &["import", "e", "c.jsonl"]);
    assert_eq!(err, "kv: c.jsonl, line 2: neither \"key\" nor \"key_base64\" is there; nothing was imported\n");
    kv.fails(1, &["list", "e"]);
}

#[test]
fn large_rows_make_small_batches() {
    let kv = Kv::new();
    let value = "x".repeat(3 << 20);
    kv.file("a.tsv", format!("a\t{value}\nb\t{value}\nc\t{value}\nbad\n"));
    let err = kv.fails(3, &["import", "c", "a.tsv"]);
    assert!(err.ends_with("the 2 rows before line 3 stay imported\n"), "{err}");
    assert_eq!(kv.ok(&["list", "c"]), "a\nb\n");
}

#[test]
fn a_row_that_is_too_long_is_refused() {
    let kv = Kv::new();
    kv.file("a.tsv", "k\tv\n".to_owned() + &"k".repeat(65_536) + "\tv\n");
    assert!(kv.fails(3, &["import", "c", "a.tsv"]).starts_with("kv: a.tsv, line 2: the key of 65536 bytes is longer"));
    let endless = vec![b'x'; (64 << 20) + 70_000];
    let err = kv.run_with_stdin(&["import", "c", "-"], &endless).expect_failure(3);
    assert!(err.starts_with("kv: stdin, line 1: the line is longer than"), "{err}");
}

#[test]
fn an_absent_file_makes_no_store() {
    let kv = Kv::new();
    assert!(kv.fails(6, &["import", "c", "absent.tsv"]).starts_with("kv: cannot read absent.tsv: No such file"));
    kv.fails(6, &["import", "c", "."]);
    assert!(!kv.store().exists());
}

#[test]
fn an_empty_file_is_no_error() {
    let kv = Kv::new();
    kv.file("a.tsv", "");
    let ran = kv.run(&["import", "c", "a.tsv"]);
    assert!(ran.err.contains("imported 0 rows"), "{}", ran.err);
    ran.expect(0);
}

#[test]
fn the_data_set() {
    let kv = Kv::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/unicode.tsv");
    kv.ok(&["import", "unicode", file]);
    assert_eq!(kv.ok(&["list"]), "unicode\t34924\n");
    assert!(kv.ok(&["get", "unicode", "U+1F600"]).starts_with("{\"name\":\"GRINNING FACE\","));
    let exported = kv.ok(&["export", "unicode", "--format", "tsv"]);
    let original = std::fs::read_to_string(file).unwrap();
    let (mut exported, mut original): (Vec<_>, Vec<_>) = (exported.lines().collect(), original.lines().collect());
    exported.sort_unstable();
    original.sort_unstable();
    assert!(exported == original);
}

#[test]
fn new_keys_and_replaced_values_are_counted() {
    let kv = Kv::new();
    kv.file("a.tsv", "a\t1\nb\t1\na\t2\n");
    assert!(kv.run(&["import", "c", "a.tsv"]).err.ends_with(": 2 new, 1 replaced\n"));
    kv.file("b.tsv", "b\t3\nc\t3\n");
    assert!(kv.run(&["import", "c", "b.tsv"]).err.ends_with(": 1 new, 1 replaced\n"));
    assert_eq!(kv.run(&["import", "c", "b.tsv", "-q"]).err, "");
}

#[test]
fn packed_files_are_unpacked() {
    let kv = Kv::new();
    let text = rows(5_000);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, text.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let zst = ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    kv.file("a.tsv.gz", &gz);
    kv.file("twice.gz", [&gz[..], &gz].concat());
    kv.file("a.tsv.zst", &zst);
    kv.file("cut.tsv.gz", &gz[..gz.len() / 2]);
    kv.file("cut.tsv.zst", &zst[..zst.len() / 2]);
    for (collection, file, count) in
        [("gz", "a.tsv.gz", 5_000), ("two", "twice.gz", 10_000), ("zst", "a.tsv.zst", 5_000)]
    {
        let ran = kv.run(&["import", collection, file]);
        assert!(ran.err.contains(&format!("imported {},000 rows", count / 1_000)), "{}", ran.err);
        assert_eq!(kv.ok(&["count", collection]), "5000\n");
        assert_eq!(kv.ok(&["get", collection, "key-004999"]), "value 4999");
    }
    for file in ["cut.tsv.gz", "cut.tsv.zst"] {
        let err = kv.fails(6, &["import", "cut", file]);
        assert!(err.starts_with(&format!("kv: cannot read {file}")), "{err}");
    }
    for (stdin, name) in [(&gz, "gz"), (&zst, "zst")] {
        let err = kv.run_with_stdin(&["import", "stdin", "-"], stdin).expect_failure(6);
        assert!(err.contains(&format!("--packed {name} unpacks it")), "{err}");
        kv.run_with_stdin(&["import", "stdin", "-", "--packed", name], stdin).expect(0);
    }
    let zip = kv.run_with_stdin(&["import", "stdin", "-"], b"PK\x03\x04\tv\n").expect_failure(6);
    assert!(zip.contains("cannot read stdin: it is a zip archive: unpack it first"), "{zip}");
    kv.run_with_stdin(&["import", "bytes", "-", "--packed", "none"], b"PK\x03\x04\tv\n").expect(0);
    assert_eq!(kv.ok(&["list", "bytes", "--hex"]), "504b0304\n");
}

#[test]
fn files_as_people_have_them() {
    let kv = Kv::new();
    kv.file("a.csv", "\u{feff}country;city;people\r\nfi;Oulu;210\r\n\r\nse;Umeå\r\n");
    let err = kv.fails(3, &["import", "c", "a.csv", "--key", "city"]);
    assert!(
        err.starts_with("kv: a.csv, line 1: the header has no field \"city\"") && err.contains("--separator ';'"),
        "{err}"
    );
    let err = kv.fails(3, &["import", "c", "a.csv", "--key", "city", "--separator", ";"]);
    assert!(
        err.starts_with("kv: a.csv, line 4: 2 fields, but 3 in the header (\"people\" is missing); --short-rows"),
        "{err}"
    );
    kv.ok(&["import", "c", "a.csv", "--key", "country", "--key", "city", "--separator", ";", "--short-rows"]);
    assert_eq!(
        kv.ok(&["scan", "c"]),
        "fi/Oulu\t{\"country\":\"fi\",\"city\":\"Oulu\",\"people\":\"210\"}\nse/Umeå\t{\"country\":\"se\",\"city\":\"Umeå\"}\n"
    );
    kv.file("a.json", "[\n  {\"id\": 1},\n  {\"id\": 2}\n]\n");
    kv.ok(&["import", "j", "a.json", "--key", "id"]);
    assert_eq!(kv.ok(&["scan", "j"]), "1\t{\"id\": 1}\n2\t{\"id\": 2}\n");
    kv.file("words.txt", "one\ntwo\n");
    let err = kv.fails(3, &["import", "w", "words.txt"]);
    assert!(err.contains("--format reads other formats than tsv, which is assumed because"), "{err}");
    kv.ok(&["import", "w", "words.txt", "--format", "lines"]);
    assert_eq!(kv.ok(&["scan", "w"]), "one\t\ntwo\t\n");
    kv.ok(&["import", "n", "words.txt", "--row-numbers"]);
    assert_eq!(kv.ok(&["scan", "n"]), "000000000001\tone\n000000000002\ttwo\n");
    kv.file("latin.csv", b"id,name\n1,Ume\xe5\n");
    let err = kv.fails(3, &["import", "l", "latin.csv", "--key", "id"]);
    assert!(err.starts_with("kv: latin.csv, line 2: field 2 (\"name\") is not UTF-8; `iconv "), "{err}");
}

#[test]
fn options_that_do_not_fit_are_refused_before_anything_is_read() {
    let kv = Kv::new();
    for args in [
        &["a.tsv", "--key", "id"][..],
        &["a.txt", "--key", "id"],
        &["a.jsonl", "--separator", ";"],
        &["a.csv", "--separator", ";;"],
        &["a.csv", "--short-rows"],
        &["a.jsonl", "--key", "a", "--short-rows"],
        &["a.csv", "--key", "a", "--row-numbers"],
        &["a.csv", "--join", "/"],
        &["a.csv", "--key", "a", "--join", ""],
        &["a.csv", "--key", "a", "--key", "a"],
    ] {
        assert_eq!(kv.run(&[&["import", "c"], args].concat()).code, 2, "{args:?}");
    }
    assert!(!kv.store().exists());
}

/// Starts an import, gives it rows, sends it a signal once it has read them, and returns it.
fn interrupted(kv: &Kv, script: &str, signal: &str) -> std::process::Child {
    // The tests may run in the background, or under nohup, where some of these signals are ignored.
    let mut command = std::process::Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", "sh", "-c", script, env!("CARGO_BIN_EXE_kv")]);
    command.current_dir(kv.path("."));
    command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pipe = child.stdin.as_mut().unwrap();
    std::io::Write::write_all(pipe, rows(2_500).as_bytes()).unwrap();
    // The store is there once the first rows are read.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !kv.store().join("FORMAT").exists() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    child
}

#[test]
fn an_interrupted_import_says_what_is_in() {
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let kv = Kv::new();
        let mut child = interrupted(&kv, "exec \"$0\" import c -", signal);
        let pipe = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(pipe); // it did not end because its input did
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(number));
        let err = String::from_utf8(output.stderr).unwrap();
        let expected =
            "kv: interrupted: the first 2,500 rows of stdin are imported; it is safe to import all of it again\n";
        assert!(err.ends_with(expected), "{err}");
        assert_eq!(kv.ok(&["count", "c"]), "2500\n");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let kv = Kv::new();
    let mut child = interrupted(&kv, "trap '' HUP INT; exec \"$0\" import c -", "-HUP");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"one more\trow\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(kv.ok(&["count", "c"]), "2501\n");
}
