use std::io::{BufRead, BufReader};

use fastrand::Rng;

use crate::kv::Kv;

#[test]
fn rows_in_key_order() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "b", "2\r"]);
    kv.ok(&["put", "c", "a", "say \"1\", so"]);
    assert_eq!(
        kv.ok(&["export", "c"]),
        "{\"key\":\"a\",\"value\":\"say \\\"1\\\", so\"}\n{\"key\":\"b\",\"value\":\"2\\r\"}\n"
    );
    assert_eq!(kv.ok(&["export", "c", "--format", "tsv"]), "a\tsay \"1\", so\nb\t2\r\n");
    assert_eq!(kv.ok(&["export", "c", "--format", "csv"]), "a,\"say \"\"1\"\", so\"\nb,\"2\r\"\n");
    kv.run_bytes(&[b"put", b"c", b"\xff", b"\xfe"]).expect(0);
    assert!(kv.ok(&["export", "c"]).ends_with("{\"key_base64\":\"/w==\",\"value_base64\":\"/g==\"}\n"));
    kv.fails(1, &["export", "absent"]);
}

#[test]
fn what_a_format_cannot_carry_is_refused_before_anything_is_printed() {
    let kv = Kv::new();
    for (key, value, formats) in [
        (&b"z\tz"[..], &b"v"[..], &["tsv"][..]),
        (b"z\nz", b"v", &["tsv"]),
        (b"z", b"v\n", &["tsv"]),
        (b"z\xff", b"v", &["csv"]),
        (b"z", b"v\xff", &["csv"]),
    ] {
        kv.ok(&["put", "c", "a", "fine"]);
        kv.run_bytes(&[b"put", b"c", key, value]).expect(0);
        for format in ["tsv", "csv"] {
            let ran = kv.run(&["export", "c", "--format", format]);
            if formats.contains(&format) {
                assert_eq!(ran.out, b"");
                let err = ran.expect_failure(3);
                assert!(err.contains("cannot carry") && err.contains("\"z"), "{err}");
            } else {
                assert_eq!(ran.code, 0, "{ran:?}");
            }
        }
        kv.run_bytes(&[b"delete", b"c", key]).expect(0);
    }
}

/// Random bytes, many of which are special in one of the formats.
fn bytes(rng: &mut Rng, len: std::ops::Range<usize>, without: &[u8]) -> Vec<u8> {
    let special = b"\t\r\n\",\\{}: ab\0\x7f\xff\xef\xbb\xbf";
    let mut byte = || if rng.bool() { special[rng.usize(..special.len())] } else { rng.u8(..) };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut byte).filter(|b| !without.contains(b)).take(len.end).collect();
    bytes.truncate(rng.usize(len));
    bytes
}

#[test]
fn export_and_import_round_trip_any_bytes() {
    let kv = Kv::new();
    let mut rng = Rng::with_seed(7);
    for format in ["jsonl", "tsv", "csv"] {
        let mut text = String::new();
        for _ in 0..500 {
            let (mut key, mut value) = match format {
                "tsv" => (bytes(&mut rng, 1..20, b"\t\n"), bytes(&mut rng, 0..40, b"\n")),
                _ => (bytes(&mut rng, 1..20, b""), bytes(&mut rng, 0..40, b"")),
            };
            if format == "csv" {
                key = String::from_utf8_lossy(&key).into_owned().into();
                value = String::from_utf8_lossy(&value).into_owned().into();
            }
            let [key, value] =
                [key, value].map(|bytes| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes));
            text += &format!("{{\"key_base64\":\"{key}\",\"value_base64\":\"{value}\"}}\n");
        }
        let [from, to] = ["from", "to"].map(|name| format!("{name}-{format}"));
        kv.run_with_stdin(&["import", &from, "-", "--format", "jsonl"], text.as_bytes()).expect(0);
        let exported = kv.run(&["export", &from, "--format", format]);
        assert_eq!(exported.code, 0, "{}", exported.err);
        kv.run_with_stdin(&["import", &to, "-", "--format", format], &exported.out).expect(0);
        let again = kv.run(&["export", &to, "--format", format]);
        assert!(again.out == exported.out, "{format}");
        // jsonl is exact: the entries are the same, and do not only look the same.
        assert!(kv.ok(&["export", &from]) == kv.ok(&["export", &to]), "{format}");
    }
}

#[test]
fn a_broken_pipe_ends_it_quietly() {
    let kv = Kv::new();
    let rows: String = (0..50_000).map(|i| format!("key-{i:08}\tsome value that takes space\n")).collect();
    kv.run_with_stdin(&["import", "c", "-"], rows.as_bytes()).expect(0);
    for args in [&["export", "c"][..], &["list", "c"], &["list", "c", "--json"], &["export", "c", "--format", "tsv"]] {
        let mut child = kv.spawn(args);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
            (Some(0), ""),
            "{args:?}"
        );
    }
}

#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let output = kv.command(&["get", "c", "k"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("kv: cannot write to stdout: "));
}
