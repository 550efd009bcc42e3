use crate::kv::{Kv, files};

#[test]
fn a_store_on_one_screen() {
    let kv = Kv::new();
    for i in 0..7 {
        kv.ok(&["put", &format!("collection-{i}{}", "x".repeat(i * 20)), "key", "some value"]);
    }
    kv.ok(&["checkpoint"]);
    kv.ok(&["put", "collection-0", "other", "value"]);
    let before = files(&kv.store());
    let text = kv.ok(&["inspect"]);
    assert!(text.lines().count() <= 24, "{text}");
    assert_eq!(text.lines().find(|line| line.chars().count() > 80 && !line.starts_with("store")), None, "{text}");
    for name in ["store", "identity", "holds", "position", "checkpoint", "replay", "memory", "log", "disk", "health"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
    assert!(
        text.contains("1 part,") && text.contains("1 record,") && text.contains("  and 2 smaller collections"),
        "{text}"
    );
    assert!(text.ends_with("health      good\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&kv.ok(&["inspect", "--json"])).unwrap();
    assert_eq!((&json["collections"], &json["entries"], &json["position"]), (&7.into(), &8.into(), &8.into()));
    assert_eq!(json["replayed"]["records"], 1);
    assert_eq!(json["problems"], serde_json::json!([]));
    assert!(files(&kv.store()) == before, "something was changed");
}

#[test]
fn damage_is_a_problem() {
    let kv = Kv::new();
    for value in ["1", "2"] {
        kv.ok(&["put", "c", "k", value]);
        kv.ok(&["checkpoint"]);
    }
    let found = files(&kv.store());
    let manifest = found.iter().rfind(|(path, _)| path.extension().is_some_and(|end| end == "manifest"));
    let (path, bytes) = manifest.unwrap();
    let mut bad = bytes.clone();
    bad[100] ^= 1;
    std::fs::write(path, bad).unwrap();
    let text = kv.ok(&["inspect"]);
    assert!(text.contains("PROBLEM     the checkpoint at position 2 is damaged: "), "{text}");
    let json: serde_json::Value = serde_json::from_str(&kv.ok(&["inspect", "--json"])).unwrap();
    assert_eq!(json["problems"].as_array().unwrap().len(), 1);
}

#[test]
fn the_log_frame_by_frame() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "the value"]);
    let before = files(&kv.store());
    let text = kv.ok(&["log", "dump"]);
    assert!(
        text.contains("segment 1 of log ") && text.contains(" record   position 1, ") && text.contains("mark "),
        "{text}"
    );
    assert!(files(&kv.store()) == before, "something was changed");
    assert_eq!(kv.run(&["log"]).code, 2);
    assert!(kv.fails(1, &["--dir", "absent", "log", "dump"]).contains("there is no store"));
    // It works beside a process that has the store open.
    let mut owner = kv.spawn(&["import", "c", "-"]);
    let rows: String = (0..20_000).map(|i| format!("{i}\tx\n")).collect();
    // More than a pipe holds: once this is written, the store is open.
    std::io::Write::write_all(owner.stdin.as_mut().unwrap(), rows.as_bytes()).unwrap();
    assert_eq!(kv.run(&["checkpoint"]).code, 4);
    assert!(kv.ok(&["log", "dump"]).contains(" record "));
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
}
