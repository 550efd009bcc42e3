//! A limit on the size of files: a write beyond it fails with a message, and its signal kills
//! nothing.

use std::process::Command;

use crate::kv::{Kv, Ran};

/// Runs `kv` with the size of files limited to `kib` KiB.
fn limited(kv: &Kv, kib: u32, args: &[&str]) -> Ran {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit -f {kib}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_kv")]);
    command.args(args).current_dir(kv.path(".")).env_remove("KV_DIR").output().unwrap().into()
}

fn rows(count: usize) -> String {
    (0..count).map(|row| format!("key-{row:06}\t{}\n", "value ".repeat(50))).collect()
}

#[test]
fn a_new_store_is_refused_and_created_later() {
    let kv = Kv::new();
    for args in [&["put", "c", "k", "v"][..], &["import", "c", kv.file("rows.tsv", rows(10))]] {
        let line = limited(&kv, 8, args).expect_failure(6);
        assert!(line.contains("File too large") && line.contains("kv-data"), "{line}");
    }
    kv.ok(&["put", "c", "k", "v"]);
    assert_eq!(kv.ok(&["get", "c", "k"]), "v");
}

#[test]
fn an_import_that_outgrows_it_says_what_stays() {
    let kv = Kv::new();
    kv.ok(&["put", "c", "before", "v"]);
    // The first segment has 1 MiB, the second 2 MiB.
    let line = limited(&kv, 1_500, &["import", "c", kv.file("rows.tsv", rows(20_000))]).expect_failure(6);
    assert!(line.contains("File too large"), "{line}");
    let stay: usize = line.split("the ").find_map(|text| text.split_once(" rows before line")?.0.parse().ok()).unwrap();
    assert!(line.contains(&format!("before line {} stay imported", stay + 1)), "{line}");
    assert_eq!(kv.ok(&["list"]), format!("c\t{}\n", stay + 1));
    let last = kv.ok(&["list", "c"]).lines().rev().find(|key| key.starts_with("key-")).unwrap().to_owned();
    assert_eq!(last, format!("key-{:06}", stay - 1));
    assert_eq!(kv.run(&["verify"]).code, 0);
    // Reading is not limited, nor is a write that fits.
    assert_eq!(limited(&kv, 1_500, &["get", "c", "before"]).expect(0), "v");
    kv.ok(&["import", "c", "rows.tsv"]);
    assert_eq!(kv.ok(&["list"]), "c\t20001\n");
}

#[test]
fn a_checkpoint_that_outgrows_it_changes_nothing() {
    let kv = Kv::new();
    kv.ok(&["import", "c", kv.file("rows.tsv", rows(10_000))]);
    let line = limited(&kv, 1_500, &["checkpoint"]).expect_failure(6);
    assert!(line.contains("File too large") && line.contains("checkpoint"), "{line}");
    assert_eq!(kv.ok(&["list"]), "c\t10000\n");
    kv.ok(&["checkpoint"]);
    assert_eq!(kv.run(&["verify"]).code, 0);
}
