//! Keys and values that are not text.

use crate::kv::Kv;

#[test]
fn keys_and_values_go_in_and_come_out_in_each_encoding() {
    let kv = Kv::new();
    for (option, key, value) in [
        ("--hex", "00000007", "fffe0a"),
        ("--base64", "AAAABw==", "//4K"),
        ("--escaped", r"\x00\x00\x00\x07", r"\xff\xfe\n"),
    ] {
        kv.ok(&["put", "c", key, value, option]);
        assert_eq!(kv.ok(&["get", "c", key, option]), format!("{value}\n"));
        assert_eq!(kv.run(&["get", "c", "--hex", "00000007"]).out, b"fffe0a\n", "the same bytes in each");
        assert_eq!(kv.ok(&["list", "c", option]), format!("{key}\n"));
        assert_eq!(kv.ok(&["scan", "c", option]), format!("{key}\t{value}\n"));
        assert_eq!(kv.ok(&["count", "c", "--prefix", key, option]), "1\n");
        assert!(kv.fails(1, &["get", "c", key]).contains("there is no key"), "without the option it is text");
        kv.ok(&["delete", "c", key, option]);
        assert_eq!(kv.ok(&["count", "c"]), "0\n");
    }
}

#[test]
fn a_pipe_gets_the_bytes_and_gives_them() {
    let kv = Kv::new();
    let bytes: Vec<u8> = (0..=255).collect();
    kv.run_with_stdin(&["put", "c", "k", "-"], &bytes).expect(0);
    assert_eq!(kv.run(&["get", "c", "k"]).out, bytes);
    for option in ["--hex", "--base64", "--escaped"] {
        let key = match option {
            "--hex" => "6b",
            "--base64" => "aw==",
            _ => "k",
        };
        let text = kv.run(&["get", "c", key, option]);
        assert_eq!(text.code, 0, "{text:?}");
        kv.run_with_stdin(&["put", "copies", key, "-", option], &text.out).expect(0);
        assert_eq!(kv.run(&["get", "copies", "k"]).out, bytes, "{option}");
    }
}

#[test]
fn a_hyphen_can_be_a_value() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", r"\x2d", "--escaped"]);
    assert_eq!(kv.ok(&["get", "c", "k"]), "-");
    kv.run_with_stdin(&["put", "c", "l", "-"], b"-").expect(0);
    assert_eq!(kv.ok(&["get", "c", "l"]), "-");
}

#[test]
fn what_list_prints_other_commands_take() {
    let kv = Kv::new();
    for key in [&b"a\tb\nc\r"[..], b"\\", b"\x1b[31m", b"\xff\xfe", "é".as_bytes(), b"\\x41"] {
        kv.run_bytes(&[b"put", b"c", key, key]).expect(0);
    }
    let printed = kv.ok(&["list", "c"]);
    assert_eq!(printed.lines().count(), 6);
    for key in printed.lines() {
        assert_eq!(kv.ok(&["get", "c", key, "--escaped"]), format!("{key}\n"));
        kv.ok(&["delete", "c", key, "--escaped"]);
    }
    assert_eq!(kv.ok(&["list", "c"]), "");
}

#[test]
fn what_scan_prints_can_be_imported() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "--hex", "00ff0a09", "fffe"]);
    kv.ok(&["put", "c", "plain", "a \\ and a\ttab"]);
    for option in ["--hex", "--base64", "--escaped"] {
        let printed = kv.run(&["scan", "c", option]);
        kv.run_with_stdin(&["import", &option[2..], "-", option], &printed.out).expect(0);
        assert_eq!(kv.ok(&["scan", &option[2..]]), kv.ok(&["scan", "c"]), "{option}");
    }
    let refused = kv.run_with_stdin(&["import", "c", "-", "--hex"], b"00\t01\n0g\t02\n");
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("stdin, line 2: the key \"0g\" is not hexadecimal"), "{}", refused.err);
    let fields = kv.run_with_stdin(&["import", "c", "-", "--hex", "--format", "csv", "--key", "id"], b"id\n1\n");
    assert!(fields.code == 2 && fields.err.contains("a key and a value"), "{}", fields.err);
}
