use fastrand::Rng;

use crate::kv::Kv;

fn filled() -> Kv {
    let kv = Kv::new();
    kv.ok(&["put", "fruit", "apple", "green"]);
    kv.ok(&["put", "fruit", "ff00", "0a22", "--hex"]);
    kv.ok(&["put", "tab\there", "k", ""]);
    kv.ok(&["put", "empty", "k", ""]);
    kv.ok(&["delete", "empty", "k"]);
    kv
}

#[test]
fn the_format() {
    let kv = filled();
    let ran = kv.run(&["dump"]);
    assert_eq!(ran.err, "dumped 3 entries of 3 collections\n");
    assert_eq!(
        ran.expect(0),
        r#"{"kv_dump":1,"position":5}
{"collection":"empty","entries":0}
{"collection":"fruit","entries":2}
{"collection":"tab\there","entries":1}
{"entries_of":"empty"}
{"entries_of":"fruit"}
{"key":"apple","value":"green"}
{"key_base64":"/wA=","value":"\n\""}
{"entries_of":"tab\there"}
{"key":"k","value":""}
{"end":true,"collections":3,"entries":3}
"#
    );
    let one = kv.ok(&["dump", "fruit"]);
    assert!(one.ends_with("{\"end\":true,\"collections\":1,\"entries\":2}\n") && !one.contains("empty"), "{one}");
    kv.fails(1, &["dump", "fruit", "absent"]);
}

#[test]
fn a_store_comes_back_the_same() {
    let kv = Kv::new();
    let mut rng = Rng::with_seed(3);
    let mut rows = String::new();
    for _ in 0..3_000 {
        let mut bytes = |len| {
            base64::Engine::encode(&base64::prelude::BASE64_STANDARD, (0..len).map(|_| rng.u8(..)).collect::<Vec<u8>>())
        };
        rows += &format!("{{\"key_base64\":\"{}\",\"value_base64\":\"{}\"}}\n", bytes(5), bytes(20));
    }
    kv.run_with_stdin(&["import", "random", "-", "--format", "jsonl"], rows.as_bytes()).expect(0);
    kv.ok(&["put", "other", "k", "v"]);
    kv.ok(&["put", "empty", "k", ""]);
    kv.ok(&["delete", "empty", "k"]);
    kv.ok(&["checkpoint"]);
    let dump = kv.ok(&["dump"]);
    let loaded = kv.run_with_stdin(&["--dir", "copy", "load", "-"], dump.as_bytes());
    assert!(loaded.err.contains("loaded 3,001 entries of 3 collections in "), "{loaded:?}");
    let body = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert!(body(&kv.ok(&["--dir", "copy", "dump"])) == body(&dump));
    let packed = ruzstd::encoding::compress_to_vec(dump.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    kv.file("a.dump.zst", packed);
    kv.ok(&["--dir", "packed", "load", "a.dump.zst"]);
    assert!(body(&kv.ok(&["--dir", "packed", "dump"])) == body(&dump));
}

#[test]
fn nothing_is_mixed_unless_it_is_asked_for() {
    let kv = filled();
    kv.file("a.dump", kv.ok(&["dump"]));
    kv.ok(&["--dir", "b", "put", "fruit", "apple", "red"]);
    kv.ok(&["--dir", "b", "put", "fruit", "plum", "blue"]);
    let err = kv.fails(3, &["--dir", "b", "load", "a.dump"]);
    assert_eq!(
        err,
        "kv: a.dump, line 3: there is a collection \"fruit\" already; --merge adds to it; nothing was imported\n"
    );
    assert_eq!(kv.ok(&["--dir", "b", "list"]), "fruit\t2\n");
    kv.ok(&["--dir", "b", "load", "a.dump", "--merge"]);
    assert_eq!(kv.ok(&["--dir", "b", "list"]), "empty\t0\nfruit\t3\ntab\\there\t1\n");
    assert_eq!(kv.ok(&["--dir", "b", "get", "fruit", "apple"]), "green");
    // A dump whose head does not name a collection cannot bypass the check.
    let sneaky = "{\"kv_dump\":1}\n{\"entries_of\":\"fruit\"}\n{\"key\":\"a\",\"value\":\"\"}\n";
    let err = kv.run_with_stdin(&["--dir", "b", "load", "-"], sneaky.as_bytes()).expect_failure(3);
    assert!(err.starts_with("kv: stdin, line 2: there is a collection \"fruit\" already"), "{err}");
}

#[test]
fn a_dump_that_is_cut_off_or_changed_is_noticed() {
    let kv = filled();
    let dump = kv.ok(&["dump"]);
    let lines: Vec<&str> = dump.split_inclusive('\n').collect();
    for count in 1..lines.len() {
        let dir = format!("cut-{count}");
        let ran = kv.run_with_stdin(&["--dir", &dir, "load", "-"], lines[..count].concat().as_bytes());
        let err = ran.expect_failure(3);
        assert!(err.contains(&format!("stdin, line {count}: the dump ends here without its last line")), "{err}");
    }
    for (text, reason) in [
        ("", "line 1: this is not what `kv dump` writes; `kv import` reads other files; nothing was loaded"),
        ("a\tb\n", "line 1: this is not what `kv dump` writes"),
        ("{\"kv_dump\":2}\n", "line 1: a dump of format 2, but this version of kv reads format 1"),
        (
            "{\"kv_dump\":1}\n{\"key\":\"a\",\"value\":\"\"}\n",
            "line 2: an entry before the line that names its collection",
        ),
        ("{\"kv_dump\":1}\n{\"what\":1}\n", "line 2: this is no line of a dump"),
        ("{\"kv_dump\":1}\n{\"end\":true,\"collections\":0,\"entries\":1}\n", "line 2: the dump should have 1 entry"),
        (
            "{\"kv_dump\":1}\n{\"end\":true,\"collections\":0,\"entries\":0}\n{}\n",
            "line 3: there is more behind the end",
        ),
    ] {
        let err = kv.run_with_stdin(&["--dir", "bad", "load", "-"], text.as_bytes()).expect_failure(3);
        assert!(err.contains(reason), "{err}");
    }
}
