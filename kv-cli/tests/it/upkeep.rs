use crate::kv::Kv;

#[test]
fn checkpoint_says_whether_there_was_something_to_do() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let first = kv.run(&["checkpoint"]);
    assert!(first.err.starts_with("checkpoint written at position "), "{}", first.err);
    assert_eq!(first.expect(0), "");
    let second = kv.run(&["checkpoint"]);
    assert_eq!(second.err, "nothing has changed since the last checkpoint\n");
    second.expect(0);
    assert_eq!(kv.ok(&["get", "c", "k"]), "v");
    kv.ok(&["put", "c", "k", "w"]);
    kv.ok(&["delete", "c", "k"]);
    kv.ok(&["checkpoint"]);
    kv.fails(1, &["get", "c", "k"]);
}

#[test]
fn verify_says_what_it_checked() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let out = kv.ok(&["verify"]);
    assert!(out.starts_with("checked ") && out.ends_with(": no damage\n"), "{out}");
}

#[test]
fn stats_for_people_and_programs() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "value"]);
    kv.ok(&["put", "c", "l", ""]);
    kv.ok(&["checkpoint"]);
    kv.ok(&["put", "d", "m", "1"]);
    let text = kv.ok(&["stats"]);
    for line in ["collections", "entries", "checkpoint", "log", "files"] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line}: {text}");
    }
    let stats: serde_json::Value = serde_json::from_str(&kv.ok(&["stats", "--json"])).unwrap();
    assert_eq!(stats["collections"], 2);
    assert_eq!(stats["entries"], 3);
    assert_eq!(stats["bytes"], 9);
    assert_eq!(stats["checkpoint"]["entries"], 2);
    assert_eq!(stats["memory"]["entries"], 1);
    assert!(stats["log"]["durable"].as_u64() > stats["checkpoint"]["position"].as_u64(), "{stats}");
    assert!(stats["files"]["bytes"].as_u64() > Some(0), "{stats}");
}
