//! A file system that is really full: no record is half logged, reads work, and once there is space
//! again, so do writes.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use kv_store::{Error, OsVfs, Vfs as _};
use tempfile::TempDir;

use crate::{
    kv::{Kv, Ran},
    ledger::Ledger,
    mounts::{self, Image, Kind},
    plan::{self, Step},
    tools, writer,
};

fn disk(kind: Kind) -> (TempDir, Image) {
    let home = tools::memory_dir();
    let image = Image::new(kind, home.path(), kind.small()).unwrap();
    (home, image)
}

/// Takes all remaining space except for `but_bytes`, in a file that can be removed.
fn fill(dir: &Path, but_bytes: u64) -> PathBuf {
    let path = dir.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    for block in [&[1; 1 << 20][..], &[1; 64 << 10], &[1; 4 << 10]] {
        while file.write_all(block).is_ok() {}
    }
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(but_bytes)).unwrap();
    file.sync_all().unwrap();
    path
}

/// Removes such a file. File systems count its space as free once the removal is committed.
fn give_back(ballast: &Path) {
    fs::remove_file(ballast).unwrap();
    mounts::command("sync", &["-f", ballast.parent().unwrap().to_str().unwrap()]).unwrap();
}

const ROUNDS: u64 = 6;
const REFUSALS: u64 = 5;

mounts::on_each!(
    the_engine_refuses_before_anything_is_logged_and_goes_on_with_space,
    "a file system that is full",
    fill_up_again_and_again
);

fn fill_up_again_and_again(kind: Kind) {
    let (_home, mut disk) = disk(kind);
    let dir = disk.path().join("store");
    let mut ledger = Ledger::default();
    let mut step = Step { thread: 0, number: 0 };
    for round in 0..ROUNDS {
        let why = (kind, "round", round);
        let store = writer::options(None).open(&dir).unwrap();
        let ballast = fill(disk.path(), round * 150_000);
        let (mut acknowledged, mut refused) = (0, 0);
        while refused < REFUSALS {
            step.number += 1;
            match writer::put(&store, step) {
                Ok(()) => {
                    ledger.acknowledge(step);
                    acknowledged += 1;
                }
                Err(Error::DiskFull { .. }) => refused += 1,
                Err(error) => panic!("{why:?}: {}", error.chain()),
            }
            assert!(acknowledged < 10_000, "{why:?}: the disk was never full");
        }
        ledger.settle(&store, &(why, "while the disk is full"));
        let _ = store.checkpoint(); // there may be just enough space, or not
        ledger.settle(&store, &(why, "after a checkpoint for which there was no room"));
        give_back(&ballast);
        step.number += 1;
        writer::put(&store, step).unwrap_or_else(|error| panic!("{why:?}: with space again: {}", error.chain()));
        ledger.acknowledge(step);
        store.checkpoint().unwrap();
        if round % 2 == 0 {
            store.close().unwrap();
        }
        drop(store);
        ledger.prove(&dir, &why);
        disk.mount_again();
        ledger.settle(&writer::options(None).open(&dir).unwrap(), &(why, "after mounting again"));
    }
    let (name, acknowledged) = (kind.name(), ledger.acknowledged);
    tools::say(&format!(
        "full {name}: {ROUNDS} rounds, {acknowledged} writes acknowledged, {} refused, nothing lost",
        ROUNDS * REFUSALS
    ));
}

mounts::on_each!(
    a_store_that_was_closed_is_read_though_there_is_no_space_at_all,
    "reading on a file system that is full",
    read_without_space
);

fn read_without_space(kind: Kind) {
    let (_home, disk) = disk(kind);
    let dir = disk.path().join("store");
    let store = kv_store::open(&dir).unwrap();
    writer::put(&store, Step { thread: 0, number: 1 }).unwrap();
    drop(store); // not closed: it is recovered
    let _ballast = fill(disk.path(), 0);
    let content = plan::content(&kv_store::open(&dir).unwrap()).unwrap();
    assert!(!content.is_empty());
    assert!(kv_store::verify(&dir).unwrap().damage.is_empty());
}

mounts::on_each!(the_command_says_what_to_do, "the command on a file system that is full", run_without_space);

fn run_without_space(kind: Kind) {
    let (_home, disk) = disk(kind);
    let kv = Kv::new();
    let dir = disk.path().join("store");
    let dir = dir.to_str().unwrap();
    let run = |args: &[&str]| -> Ran { kv.run(&[&["--dir", dir], args].concat()) };
    let rows: String = (0..60_000).map(|row| format!("key-{row:06}\t{}\n", "value ".repeat(100))).collect();
    kv.file("rows.tsv", rows);

    let ballast = fill(disk.path(), 0);
    let line = run(&["put", "c", "k", "v"]).expect_failure(6);
    assert!(line.contains("disk full") && line.contains("make room and try again"), "{kind:?}: {line}");
    give_back(&ballast);
    run(&["put", "c", "k", "v"]).expect(0);

    // Space for a part of the rows. The log leaves up to an eighth of the disk and more for the
    // next checkpoint.
    let total = OsVfs::open(disk.path()).unwrap().space().unwrap().total;
    let ballast = fill(disk.path(), (12 << 20) + total / 6);
    let line = run(&["import", "c", "rows.tsv"]).expect_failure(6);
    assert!(line.contains("disk full") && line.contains("make room and try again"), "{kind:?}: {line}");
    let stay: usize = line.split("the ").find_map(|text| text.split_once(" rows before line")?.0.parse().ok()).unwrap();
    assert_eq!(run(&["list"]).expect(0), format!("c\t{}\n", stay + 1));
    assert_eq!(run(&["get", "c", "k"]).expect(0), "v");
    give_back(&ballast);

    run(&["put", "c", "k2", "v"]).expect(0);
    let ballast = fill(disk.path(), 0);
    // A checkpoint of one put takes a few blocks, which may just be there.
    let ran = run(&["checkpoint"]);
    if ran.code != 0 {
        let line = ran.expect_failure(6);
        assert!(line.contains("disk full") && line.contains("make room and try again"), "{kind:?}: {line}");
    }
    assert_eq!(run(&["get", "c", "k"]).expect(0), "v");
    assert_eq!(run(&["verify"]).code, 0);
    give_back(&ballast);
    run(&["put", "c", "k", "w"]).expect(0);
    assert_eq!(run(&["get", "c", "k"]).expect(0), "w");
    assert_eq!(run(&["verify"]).code, 0);
}
