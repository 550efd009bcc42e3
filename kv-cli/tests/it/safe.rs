//! A slip of the fingers must not create, hide or destroy anything.

use std::fs;

use crate::kv::Kv;

#[test]
fn what_is_created_is_announced_once() {
    let kv = Kv::new();
    let store = kv.path("").canonicalize().unwrap().join("kv-data");
    let first = kv.run(&["put", "users", "k", "v"]);
    let created = format!("kv: note: created a new store in {}\n", store.display());
    assert_eq!(first.err, created + "kv: note: created the collection \"users\"\n");
    assert_eq!(kv.run(&["put", "users", "k2", "v"]).err, "");
    let typo = kv.run(&["put", "usres", "k", "v"]);
    assert_eq!(typo.err, "kv: note: created the collection \"usres\"; there is also \"users\"\n");
    assert_eq!(kv.run(&["put", "others", "k", "v", "-q"]).err, "");
    let imported = kv.run_with_stdin(&["import", "user", "-"], b"a\tb\n");
    assert!(imported.err.starts_with("kv: note: created the collection \"user\"; there is also \"users\"\n"));
}

#[test]
fn a_directory_is_made_only_where_its_parent_is() {
    let kv = Kv::new();
    let err = kv.fails(6, &["--dir", "absent/store", "put", "c", "k", "v"]);
    let here = kv.path("").canonicalize().unwrap();
    let expected = format!(
        "kv: cannot create a store in {0}/absent/store: there is no directory {0}/absent; create it first, or correct --dir or KV_DIR\n",
        here.display()
    );
    assert_eq!(err, expected);
    assert!(!kv.path("absent").exists());
    fs::create_dir(kv.path("empty")).unwrap();
    kv.ok(&["--dir", "empty", "put", "c", "k", "v"]);
    kv.ok(&["--dir", "new/", "put", "c", "k", "v"]);
    assert_eq!(kv.ok(&["--dir", "new", "get", "c", "k"]), "v");
}

#[test]
fn what_a_store_refuses_is_refused_before_there_is_a_store() {
    let kv = Kv::new();
    for args in [
        &["put", "c", "", "v"][..],
        &["put", "", "k", "v"],
        &["put", "c", &"k".repeat(65_536), "v"],
        &["put", &"c".repeat(256), "k", "v"],
        &["put", "c", "0", "v", "--hex"],
        &["put", "c", "00", "xy", "--hex"],
        &["import", "", "-"],
    ] {
        kv.fails(3, args);
    }
    assert!(!kv.store().exists());
    assert!(kv.fails(3, &["put", "c", "", "v"]).contains("a key has 1 to 65535 bytes"));
}

#[test]
fn near_names_are_suggested() {
    let kv = Kv::new();
    kv.run_with_stdin(&["import", "fruit", "-"], b"apple\t1\nApricot\t2\npear\t3\n").expect(0);
    for args in [&["get", "fruti", "apple"][..], &["list", "fruti"], &["delete", "fruti", "apple"], &["pop", "fruti"]] {
        assert_eq!(kv.fails(1, args), "kv: there is no collection \"fruti\"; did you mean \"fruit\"?\n");
    }
    let err = kv.fails(1, &["get", "fruit", "aple"]);
    assert_eq!(err, "kv: there is no key \"aple\" in the collection \"fruit\"; did you mean \"apple\"?\n");
    assert!(kv.fails(1, &["delete", "fruit", "apricot"]).ends_with("; did you mean \"Apricot\"?\n"));
    assert_eq!(kv.fails(1, &["get", "fruit", "plum"]), "kv: there is no key \"plum\" in the collection \"fruit\"\n");
    assert!(kv.fails(1, &["rename", "friut", "fruits"]).contains("did you mean \"fruit\"?"));
}

#[test]
fn whole_collections_are_destroyed_only_on_purpose() {
    let kv = Kv::new();
    kv.run_with_stdin(&["import", "c", "-"], b"a\t1\nb\t2\n").expect(0);
    for args in [&["drop", "c"][..], &["clear", "c"], &["delete", "c", "--prefix", "a"]] {
        assert_eq!(kv.fails(2, args), "kv: this needs --yes, because there is no terminal to ask on\n");
    }
    assert_eq!(kv.ok(&["list"]), "c\t2\n");
    let cleared = kv.run(&["clear", "c", "--yes"]);
    assert_eq!(cleared.err, "deleted 2 entries of \"c\"\n");
    assert_eq!(kv.ok(&["list"]), "c\t0\n");
    assert_eq!(kv.run(&["drop", "c", "--yes"]).err, "dropped \"c\" with 0 entries\n");
    assert_eq!(kv.ok(&["list"]), "");
    for args in [&["drop", "c", "--yes"][..], &["clear", "c", "--yes"], &["delete", "c", "--from", "a", "--yes"]] {
        assert!(kv.fails(1, args).starts_with("kv: there is no collection \"c\""));
    }
}

#[test]
fn a_collection_is_renamed_only_to_a_free_name() {
    let kv = Kv::new();
    kv.ok(&["put", "a", "k", "1"]);
    kv.ok(&["put", "b", "k", "2"]);
    let err = kv.fails(3, &["rename", "a", "b"]);
    assert_eq!(err, "kv: cannot rename \"a\": there is a collection \"b\" already; drop or rename that first\n");
    kv.ok(&["rename", "a", "c"]);
    assert_eq!(kv.ok(&["list"]), "b\t1\nc\t1\n");
    assert_eq!(kv.ok(&["get", "c", "k"]), "1");
}

#[test]
fn a_range_is_deleted_in_batches() {
    let kv = Kv::new();
    let rows: String = (0..2_500).map(|i| format!("k{i:04}\tx\n")).collect();
    kv.run_with_stdin(&["import", "c", "-"], rows.as_bytes()).expect(0);
    kv.ok(&["put", "c", "z", "stays"]);
    let ran = kv.run(&["delete", "c", "--prefix", "k", "--from", "k0100", "--yes"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, "deleted 2,400 entries of \"c\"\n"));
    assert_eq!(kv.ok(&["count", "c"]), "101\n");
    assert_eq!(kv.ok(&["list", "c", "--reverse", "--limit", "2"]), "z\nk0099\n");
    assert_eq!(kv.run(&["delete", "c", "--prefix", "x", "--yes"]).err, "deleted 0 entries of \"c\"\n");
    kv.fails(2, &["delete", "c", "k", "--prefix", "x", "--yes"]);
}

#[test]
fn every_error_begins_in_the_same_way() {
    let kv = Kv::new();
    for args in [&["nonsense"][..], &["list", "--limit", "x"], &["get", "c"], &["get", "c", "k", "--hex", "--base64"]] {
        let ran = kv.run(args);
        assert!(ran.err.starts_with("kv: ") && !ran.err.contains("error:"), "{ran:?}");
        assert_eq!(ran.code, 2);
    }
}
