//! A file system that is really full: nothing is logged by half, reads go on, and with space again so do writes.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use kv_store::Error;
use tempfile::TempDir;

use crate::{
    kv::{Kv, Ran},
    ledger::Ledger,
    mounts::{self, Ext4},
    plan::{self, Step},
    tools, writer,
};

const BYTES: u64 = 24 << 20;

fn disk() -> (TempDir, Ext4) {
    let home = tempfile::tempdir().unwrap();
    let ext4 = Ext4::new(home.path(), BYTES).unwrap();
    (home, ext4)
}

/// Takes all but so many bytes of the space that is left, in a file that can be removed.
fn fill(dir: &Path, but_bytes: u64) -> PathBuf {
    let path = dir.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    let block = [1; 4096];
    while file.write_all(&block).is_ok() {}
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(but_bytes)).unwrap();
    file.sync_all().unwrap();
    path
}

#[test]
fn the_engine_refuses_before_anything_is_logged_and_goes_on_with_space() {
    if !mounts::work("a file system that is full") {
        return;
    }
    let (_home, mut ext4) = disk();
    let dir = ext4.path().join("store");
    let mut ledger = Ledger::default();
    let mut step = Step { thread: 0, number: 0 };
    for round in 0..6_u64 {
        let store = writer::options(None).open(&dir).unwrap();
        let ballast = fill(ext4.path(), round * 150_000);
        let (mut acknowledged, mut refused) = (0, 0);
        while refused < 5 {
            step.number += 1;
            match writer::put(&store, step) {
                Ok(()) => {
                    ledger.acknowledge(step);
                    acknowledged += 1;
                }
                Err(Error::DiskFull { .. }) => refused += 1,
                Err(error) => panic!("round {round}: {}", error.chain()),
            }
            assert!(acknowledged < 10_000, "round {round}: the disk was never full");
        }
        ledger.settle(&store, &"while the disk is full");
        let _ = store.checkpoint(); // there may be just enough room, or not
        ledger.settle(&store, &"after a checkpoint for which there was no room");
        fs::remove_file(&ballast).unwrap();
        step.number += 1;
        writer::put(&store, step).unwrap_or_else(|error| panic!("with space again: {}", error.chain()));
        ledger.acknowledge(step);
        store.checkpoint().unwrap();
        if round % 2 == 0 {
            store.close().unwrap();
        }
        drop(store);
        ledger.prove(&dir, &("round", round));
        ext4.mount_again();
        ledger.settle(&writer::options(None).open(&dir).unwrap(), &"after mounting again");
    }
    tools::say(&format!("full ext4: 6 rounds, {} writes acknowledged, 30 refused, nothing lost", ledger.acknowledged));
}

#[test]
fn a_store_that_was_closed_is_read_though_there_is_no_space_at_all() {
    if !mounts::work("reading on a file system that is full") {
        return;
    }
    let (_home, ext4) = disk();
    let dir = ext4.path().join("store");
    let store = kv_store::open(&dir).unwrap();
    writer::put(&store, Step { thread: 0, number: 1 }).unwrap();
    drop(store); // not closed: it is recovered
    let _ballast = fill(ext4.path(), 0);
    let content = plan::content(&kv_store::open(&dir).unwrap()).unwrap();
    assert!(!content.is_empty());
    assert!(kv_store::verify(&dir).unwrap().damage.is_empty());
}

#[test]
fn the_command_says_what_to_do() {
    if !mounts::work("the command on a file system that is full") {
        return;
    }
    let (_home, ext4) = disk();
    let kv = Kv::new();
    let dir = ext4.path().join("store");
    let dir = dir.to_str().unwrap();
    let run = |args: &[&str]| -> Ran { kv.run(&[&["--dir", dir], args].concat()) };
    let rows: String = (0..60_000).map(|row| format!("key-{row:06}\t{}\n", "value ".repeat(100))).collect();
    kv.file("rows.tsv", rows);

    let ballast = fill(ext4.path(), 0);
    let line = run(&["put", "c", "k", "v"]).expect_failure(6);
    assert!(line.contains("disk full") && line.contains("make room and try again"), "{line}");
    fs::remove_file(&ballast).unwrap();
    run(&["put", "c", "k", "v"]).expect(0);

    let line = run(&["import", "c", "rows.tsv"]).expect_failure(6);
    assert!(line.contains("disk full") && line.contains("make room and try again"), "{line}");
    let stay: usize = line.split("the ").find_map(|text| text.split_once(" rows before line")?.0.parse().ok()).unwrap();
    assert_eq!(run(&["list"]).expect(0), format!("c\t{}\n", stay + 1));
    assert_eq!(run(&["get", "c", "k"]).expect(0), "v");

    let ballast = fill(ext4.path(), 0);
    let line = run(&["checkpoint"]).expect_failure(6);
    assert!(line.contains("disk full") && line.contains("make room and try again"), "{line}");
    assert_eq!(run(&["get", "c", "k"]).expect(0), "v");
    assert_eq!(run(&["verify"]).code, 0);
    fs::remove_file(&ballast).unwrap();
    run(&["put", "c", "k", "w"]).expect(0);
    assert_eq!(run(&["get", "c", "k"]).expect(0), "w");
    assert_eq!(run(&["verify"]).code, 0);
}
