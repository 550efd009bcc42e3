use crate::kv::Kv;

fn with_keys() -> Kv {
    let kv = Kv::new();
    kv.run_with_stdin(&["import", "fruit", "-"], b"pear\t1\napple\t2\napricot\t3\n").expect(0);
    kv.ok(&["put", "zoo", "lion", "roar"]);
    kv
}

#[test]
fn collections_with_their_counts() {
    let kv = with_keys();
    assert_eq!(kv.ok(&["list"]), "fruit\t3\nzoo\t1\n");
    assert_eq!(kv.ok(&["list", "--prefix", "z"]), "zoo\t1\n");
    assert_eq!(kv.ok(&["list", "--limit", "1"]), "fruit\t3\n");
    let json = "[\n{\"name\":\"fruit\",\"entries\":3,\"bytes\":19},\n{\"name\":\"zoo\",\"entries\":1,\"bytes\":8}\n]\n";
    assert_eq!(kv.ok(&["list", "--json"]), json);
}

#[test]
fn keys_in_byte_order() {
    let kv = with_keys();
    assert_eq!(kv.ok(&["list", "fruit"]), "apple\napricot\npear\n");
    assert_eq!(kv.ok(&["list", "fruit", "--prefix", "ap"]), "apple\napricot\n");
    assert_eq!(kv.ok(&["list", "fruit", "--prefix", "ap", "--limit", "1"]), "apple\n");
    assert_eq!(kv.ok(&["list", "fruit", "--limit", "0"]), "");
    assert_eq!(
        kv.ok(&["list", "fruit", "--json", "--limit", "2"]),
        "[\n{\"key\":\"apple\"},\n{\"key\":\"apricot\"}\n]\n"
    );
    assert_eq!(kv.ok(&["list", "fruit", "--json", "--prefix", "x"]), "[]\n");
    kv.fails(1, &["list", "vegetables"]);
    kv.fails(1, &["list", "vegetables", "--json"]);
}

#[test]
fn a_collection_without_keys_is_there() {
    let kv = with_keys();
    kv.ok(&["delete", "zoo", "lion"]);
    assert_eq!(kv.ok(&["list"]), "fruit\t3\nzoo\t0\n");
    assert_eq!(kv.ok(&["list", "zoo"]), "");
}

#[test]
fn odd_bytes_are_escaped_and_exact_in_json() {
    let kv = Kv::new();
    for key in [&b"a\tb\nc"[..], b"\\", b"\x1b[31m", b"\xff\xfe", "é".as_bytes()] {
        kv.run_bytes(&[b"put", b"tab\there", key, b""]).expect(0);
    }
    assert_eq!(kv.ok(&["list"]), "tab\\there\t5\n");
    assert_eq!(kv.ok(&["list", "tab\there"]), "\\x1b[31m\n\\\\\na\\tb\\nc\né\n\\xff\\xfe\n");
    let json: serde_json::Value = serde_json::from_str(&kv.ok(&["list", "tab\there", "--json"])).unwrap();
    let expected = serde_json::json!([
        {"key": "\u{1b}[31m"}, {"key": "\\"}, {"key": "a\tb\nc"}, {"key": "é"}, {"key_base64": "//4="},
    ]);
    assert_eq!(json, expected);
}

#[test]
fn entries_in_either_order_and_within_bounds() {
    let kv = with_keys();
    assert_eq!(kv.ok(&["scan", "fruit"]), "apple\t2\napricot\t3\npear\t1\n");
    assert_eq!(kv.ok(&["scan", "fruit", "--reverse", "--limit", "1"]), "pear\t1\n");
    assert_eq!(kv.ok(&["scan", "fruit", "--from", "apricot", "--to", "pear"]), "apricot\t3\n");
    assert_eq!(kv.ok(&["list", "fruit", "--from", "apr", "--reverse"]), "pear\napricot\n");
    assert_eq!(kv.ok(&["list", "--reverse"]), "zoo\t1\nfruit\t3\n");
    assert_eq!(kv.ok(&["scan", "fruit", "--json", "--prefix", "pe"]), "[\n{\"key\":\"pear\",\"value\":\"1\"}\n]\n");
    assert_eq!(kv.ok(&["scan", "fruit", "--json", "--prefix", "x"]), "[]\n");
    assert_eq!(kv.ok(&["count", "fruit"]), "3\n");
    assert_eq!(kv.ok(&["count", "fruit", "--prefix", "ap", "--to", "apr"]), "1\n");
    kv.fails(1, &["scan", "vegetables"]);
    kv.fails(1, &["count", "vegetables"]);
}

#[test]
fn an_entry_is_taken_from_either_end() {
    let kv = with_keys();
    assert_eq!(kv.ok(&["pop", "fruit"]), "apple\t2\n");
    assert_eq!(kv.ok(&["pop", "fruit", "--last", "--json"]), "[\n{\"key\":\"pear\",\"value\":\"1\"}\n]\n");
    assert_eq!(kv.ok(&["pop", "fruit", "--last"]), "apricot\t3\n");
    assert_eq!(kv.fails(1, &["pop", "fruit"]), "kv: there is no entry in the collection \"fruit\"\n");
    kv.fails(1, &["pop", "vegetables"]);
    assert_eq!(kv.ok(&["list"]), "fruit\t0\nzoo\t1\n");
}
