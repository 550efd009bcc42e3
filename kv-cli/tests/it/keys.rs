use std::{fs, time::Instant};

use crate::kv::{Kv, files};

#[test]
fn put_get_delete() {
    let kv = Kv::new();
    assert_eq!(kv.ok(&["put", "fruit", "apple", "green"]), "");
    assert_eq!(kv.ok(&["get", "fruit", "apple"]), "green");
    assert_eq!(kv.ok(&["put", "fruit", "apple", "red"]), "");
    assert_eq!(kv.ok(&["get", "fruit", "apple"]), "red");
    assert_eq!(kv.ok(&["delete", "fruit", "apple"]), "");
    let gone = kv.fails(1, &["get", "fruit", "apple"]);
    assert_eq!(gone, "kv: there is no key \"apple\" in the collection \"fruit\"\n");
    assert_eq!(kv.fails(1, &["delete", "fruit", "apple"]), gone);
    let absent = kv.fails(1, &["get", "vegetables", "apple"]);
    assert_eq!(absent, "kv: there is no collection \"vegetables\"; `kv list` shows the collections\n");
    assert_eq!(kv.fails(1, &["delete", "vegetables", "apple"]), absent);
}

#[test]
fn a_value_comes_from_stdin_byte_for_byte() {
    let kv = Kv::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    kv.run_with_stdin(&["put", "c", "k", "-"], &bytes).expect(0);
    assert_eq!(kv.run(&["get", "c", "k"]).out, bytes);
    kv.ok(&["put", "c", "k", ""]);
    assert_eq!(kv.run(&["get", "c", "k"]).out, b"");
    kv.run_with_stdin(&["put", "c", "empty", "-"], b"").expect(0);
    assert_eq!(kv.ok(&["get", "c", "empty"]), "");
}

#[test]
fn stdin_is_read_only_if_it_is_asked_for() {
    let kv = Kv::new();
    let ran = kv.run_with_stdin(&["put", "c", "k"], b"not for kv");
    let expected = "kv: no value: give it after the key, or give `-` to read it from stdin\n";
    assert_eq!(ran.expect_failure(2), expected);
    assert!(!kv.store().exists());
}

#[test]
fn several_keys_are_read_and_deleted_together() {
    let kv = Kv::new();
    kv.run_with_stdin(&["import", "c", "-"], b"a\t1\nb\t2\nc\t3\nd\t4\n").expect(0);
    assert_eq!(kv.ok(&["get", "c", "c", "a"]), "c\t3\na\t1\n");
    assert_eq!(
        kv.ok(&["get", "c", "a", "b", "--json"]),
        "[\n{\"key\":\"a\",\"value\":\"1\"},\n{\"key\":\"b\",\"value\":\"2\"}\n]\n"
    );
    let some = kv.run(&["get", "c", "a", "x", "y"]);
    assert_eq!((some.code, &*some.out), (1, &b"a\t1\n"[..]));
    assert_eq!(some.err, "kv: there are no keys \"x\", \"y\" in the collection \"c\"\n");
    let err = kv.fails(1, &["delete", "c", "a", "x", "b"]);
    assert_eq!(err, "kv: there is no key \"x\" in the collection \"c\"\n");
    assert_eq!(kv.ok(&["list", "c"]), "c\nd\n");
    assert!(kv.fails(1, &["delete", "nothing", "a", "b"]).contains("there is no collection \"nothing\""));
    assert!(kv.fails(1, &["get", "nothing", "a", "b"]).contains("there is no collection \"nothing\""));
    assert!(kv.fails(2, &["delete", "c"]).contains("nothing to delete"));
}

#[test]
fn keys_and_values_are_any_bytes() {
    let kv = Kv::new();
    kv.run_bytes(&[b"put", b"c", b"\xff\n\xc3", b"\xfe\x80"]).expect(0);
    assert_eq!(kv.run_bytes(&[b"get", b"c", b"\xff\n\xc3"]).out, b"\xfe\x80");
    let err = kv.run_bytes(&[b"get", b"c", b"\xff\n"]).expect_failure(1);
    assert_eq!(err, "kv: there is no key \"\\xff\\n\" in the collection \"c\"\n");
    kv.run_bytes(&[b"delete", b"c", b"\xff\n\xc3"]).expect(0);
    assert_eq!(kv.ok(&["list"]), "c\t0\n");
}

#[test]
fn values_that_look_like_options() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "-5", "-1.5"]);
    assert_eq!(kv.ok(&["get", "c", "-5"]), "-1.5");
    kv.ok(&["put", "--", "c", "--key", "--value"]);
    assert_eq!(kv.ok(&["get", "--", "c", "--key"]), "--value");
}

#[test]
fn the_directory() {
    let kv = Kv::new();
    kv.ok(&["--dir", "a", "put", "c", "k", "in a"]);
    kv.ok(&["put", "--dir", "b", "c", "k", "in b"]);
    kv.ok(&["put", "c", "k", "in kv-data"]);
    assert_eq!(kv.ok(&["get", "c", "k", "--dir", "a"]), "in a");
    let from_environment = kv.command(&["get", "c", "k"]).env("KV_DIR", "b").output().unwrap();
    assert_eq!(from_environment.stdout, b"in b");
    let both = kv.command(&["--dir", "a", "get", "c", "k"]).env("KV_DIR", "b").output().unwrap();
    assert_eq!(both.stdout, b"in a");
    let empty = kv.command(&["get", "c", "k"]).env("KV_DIR", "").output().unwrap();
    assert_eq!(empty.stdout, b"in kv-data");
}

#[test]
fn what_only_reads_makes_no_store() {
    let kv = Kv::new();
    fs::create_dir(kv.path("empty")).unwrap();
    for dir in ["absent", "empty"] {
        for args in [
            &["get", "c", "k"][..],
            &["delete", "c", "k"],
            &["list"],
            &["list", "c"],
            &["scan", "c"],
            &["count", "c"],
            &["pop", "c"],
            &["drop", "c", "--yes"],
            &["clear", "c", "--yes"],
            &["rename", "c", "d"],
            &["export", "c"],
            &["dump"],
            &["changes"],
            &["stats"],
            &["inspect"],
            &["log", "dump"],
            &["verify"],
            &["checkpoint"],
        ] {
            let err = kv.fails(1, &[&["--dir", dir], args].concat());
            let dir = kv.path("").canonicalize().unwrap().join(dir);
            let expected = format!("kv: there is no store in {}; put, import and load create one", dir.display());
            assert!(err.starts_with(&expected), "{err}");
        }
    }
    assert!(!kv.path("absent").exists());
    assert_eq!(files(&kv.path("empty")), []);
}

#[test]
fn reading_writes_nothing() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let before = files(&kv.store());
    for args in [
        &["get", "c", "k"][..],
        &["list"],
        &["list", "c"],
        &["scan", "c"],
        &["count", "c"],
        &["export", "c"],
        &["dump"],
        &["changes"],
        &["inspect"],
        &["log", "dump"],
        &["stats"],
        &["stats", "--json"],
        &["verify"],
    ] {
        kv.ok(args);
        assert_eq!(files(&kv.store()), before, "{args:?}");
    }
}

#[test]
fn a_put_on_a_fresh_directory_is_quick() {
    let kv = Kv::new();
    let started = Instant::now();
    kv.ok(&["put", "c", "k", "v"]);
    // It takes milliseconds. The limit is generous for a busy machine, and too low for gigabytes.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}
