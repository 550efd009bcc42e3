use crate::kv::{Kv, files};

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
fn verification_for_programs() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.ok(&["checkpoint"]);
    let sound: serde_json::Value = serde_json::from_str(&kv.ok(&["verify", "--json", "--deep"])).unwrap();
    assert_eq!((&sound["checkpoints"], &sound["damage"]), (&1.into(), &serde_json::json!([])));
    assert_eq!(sound["compared"]["parts"], 1);
    let (path, bytes) = files(&kv.store()).into_iter().find(|(path, _)| path.ends_with("FORMAT")).unwrap();
    std::fs::write(path, &bytes[1..]).unwrap();
    let ran = kv.run(&["verify", "--json"]);
    assert_eq!(ran.code, 5);
    let damaged: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    assert!(damaged["damage"][0].as_str().unwrap().contains("FORMAT"), "{damaged}");
    assert!(ran.err.contains("1 damaged place found; nothing was changed."), "{}", ran.err);
}

#[test]
fn deep_verification_says_what_it_compared_and_what_it_could_not() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.ok(&["checkpoint"]);
    let before = files(&kv.store());
    let out = kv.ok(&["verify", "--deep"]);
    assert!(out.contains("compared 1 part ") && out.contains("1 checkpoint with the log"), "{out}");
    assert!(out.ends_with(": no damage\n"), "{out}");
    assert!(files(&kv.store()) == before, "something was changed");
    kv.trim_log();
    let ran = kv.run(&["verify", "--deep"]);
    let is_note = |line: &str| line.starts_with("kv: note: ") && line.contains(" was not compared with ");
    assert!(ran.err.lines().all(is_note) && ran.err.contains("the log was trimmed"), "{}", ran.err);
    assert!(ran.expect(0).ends_with(": no damage\n"));
    assert_eq!(kv.run(&["verify", "--deep", "--clear"]).code, 2);
}

/// The log of another copy of the store: each file is sound, and they fit each other.
#[test]
fn deep_verification_finds_a_checkpoint_that_is_not_what_the_log_says() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    let (this, copy) = (kv.store(), kv.path("copy"));
    std::fs::create_dir_all(copy.join("checkpoints")).unwrap();
    for (path, bytes) in files(&this) {
        let to = copy.join(path.strip_prefix(&this).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
    kv.ok(&["put", "c", "k", "one"]);
    kv.ok(&["--dir", "copy", "put", "c", "k", "two"]);
    kv.ok(&["checkpoint"]);
    kv.ok(&["--dir", "copy", "checkpoint"]);
    std::fs::remove_dir_all(this.join("log")).unwrap();
    std::fs::rename(copy.join("log"), this.join("log")).unwrap();
    assert!(kv.ok(&["verify"]).ends_with(": no damage\n"));
    let ran = kv.run(&["verify", "--deep"]);
    let out = String::from_utf8(ran.out.clone()).unwrap();
    assert!(out.contains("key \"k\" of collection") && out.contains("has another value"), "{ran:?}");
    assert_eq!(ran.code, 5);
}

#[test]
fn what_was_noted_of_damage_is_told_and_cleared() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.ok(&["checkpoint"]);
    let note = kv.store().join("checkpoints/0000000000000001.part.damaged");
    std::fs::write(&note, "a block").unwrap();
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
    assert_eq!(stats["checkpoint"]["entries"], 3); // with the name of the collection
    assert_eq!(stats["memory"]["entries"], 1);
    assert!(stats["log"]["durable"].as_u64() > stats["checkpoint"]["position"].as_u64(), "{stats}");
    assert!(stats["files"]["bytes"].as_u64() > Some(0), "{stats}");
}
