//! backup and restore.

use crate::kv::Kv;

#[test]
fn a_store_is_backed_up_and_restored() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "old"]);
    let first = kv.run(&["backup", "backups"]);
    assert!(
        first.code == 0 && first.err.contains("backed up to backups/backup-0") && first.err.contains("at position 1"),
        "{first:?}"
    );
    kv.ok(&["put", "c", "k", "new"]);
    kv.ok(&["backup", "backups"]);

    let listed = kv.ok(&["backup", "backups", "--list"]);
    let paths: Vec<&str> = listed.lines().map(|line| line.split_once('\t').unwrap().0).collect();
    let [newest, oldest] = paths[..] else { panic!("{listed}") };
    assert!(newest > oldest, "{listed}");
    let json: serde_json::Value =
        serde_json::from_str(kv.ok(&["backup", "backups", "--list", "--json"]).lines().next().unwrap()).unwrap();
    assert_eq!((json["path"].as_str(), json["number"].as_u64()), (Some(newest), Some(2)));
    assert!(kv.ok(&["--dir", oldest, "verify"]).contains("no damage"), "a backup is a store");

    let restored = kv.run(&["--dir", "again", "restore", oldest]);
    assert!(restored.err.contains("restored to again"), "{restored:?}");
    assert_eq!(kv.ok(&["--dir", "again", "get", "c", "k"]), "old");
    assert_eq!(kv.ok(&["get", "c", "k"]), "new");
}

#[test]
fn restoring_replaces_nothing() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "k", "v"]);
    kv.ok(&["backup", "backups"]);
    let refused = kv.fails(6, &["restore", "backups/backup-0000000001"]);
    assert!(refused.contains("kv-data"), "{refused}");
    assert_eq!(kv.ok(&["get", "c", "k"]), "v");
    kv.fails(1, &["--dir", "none", "backup", "backups"]);
    kv.fails(1, &["--dir", "new", "restore", "none"]);
    assert!(!kv.path("new").exists() && !kv.path("none").exists());
}
