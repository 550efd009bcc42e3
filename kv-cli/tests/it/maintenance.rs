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
fn what_was_noted_of_damage_is_told_and_cleared() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.ok(&["checkpoint"]);
    let note = kv.store().join("checkpoints/0000000000000001.part.damaged");
    std::fs::write(&note, "a block").unwrap();
    kv.ok(&["put", "c", "k", "w"]);
    kv.fails(5, &["checkpoint"]);
    let verified = kv.run(&["verify"]);
    assert!(verified.err.contains("`kv verify --clear`"), "{}", verified.err);
    assert!(verified.expect(0).ends_with(": no damage\n") && note.exists());
    let cleared = kv.run(&["verify", "--clear"]);
    assert_eq!(cleared.err, "");
    assert!(cleared.expect(0).ends_with(": no damage\n") && !note.exists());
    kv.ok(&["checkpoint"]);
}

#[test]
fn a_directory_with_other_things_in_it_is_refused() {
    let kv = Kv::new();
    std::fs::create_dir(kv.store()).unwrap();
    std::fs::write(kv.store().join("notes.txt"), "mine").unwrap();
    let line = kv.fails(6, &["put", "c", "k", "v"]);
    assert!(line.contains("notes.txt") && line.contains("absent or empty"), "{line}");
    assert_eq!(std::fs::read_dir(kv.store()).unwrap().count(), 1);
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
