//! Programs that end without closing their store, again and again.

use kv_store::Durability;
use kv_testkit::sim::SimDisk;

use crate::support::{MIB, Stepped, disk_of, log_bytes};

const DISK_BYTES: u64 = 64 * MIB;
/// At this size of the log a checkpoint is due: a sixteenth of the disk.
const THRESHOLD: u64 = DISK_BYTES / 16;
/// The longest segment: an eighth of that.
const SEGMENT: u64 = THRESHOLD / 8;

/// Puts ten keys, and ends as by a signal. Returns the disk that this leaves.
fn killed_life(disk: &SimDisk, jobs_run: bool) -> SimDisk {
    let life = if jobs_run { Stepped::open(disk) } else { Stepped::open_without_jobs(disk) };
    life.put(10, 10, 8, Durability::Disk);
    if jobs_run {
        life.scheduler.run_woken();
        // What is due at the first put is made in this life, not before the first put of the next.
        assert!(life.store.stats().log_medium_bytes < THRESHOLD, "{}", life.store.stats());
    }
    let left = disk.killed();
    left.limit_space(DISK_BYTES);
    left
}

fn killed_lives_leave_a_bounded_log(lives: u64) {
    let mut disk = disk_of(DISK_BYTES);
    for life in 0..lives {
        disk = killed_life(&disk, true);
        // The log goes back to the older of two checkpoints. There are also the segment that a life
        // begins, the spare, and one that goes with the next trim.
        assert!(log_bytes(&disk) <= 2 * THRESHOLD + 3 * SEGMENT, "life {life}: {}", log_bytes(&disk));
    }
    let store = Stepped::open(&disk);
    assert!(store.store.stats().log_medium_bytes <= THRESHOLD + 2 * SEGMENT);
}

#[test]
fn two_hundred_killed_lives_leave_a_log_below_its_threshold() {
    killed_lives_leave_a_bounded_log(200);
}

#[test]
#[ignore = "takes a minute; `cargo test --release -p kv-store --test space -- --ignored`"]
fn two_thousand_killed_lives_leave_a_log_below_its_threshold() {
    killed_lives_leave_a_bounded_log(2000);
}

/// No write of such a life waits, so none makes the checkpoint itself.
#[test]
fn two_hundred_killed_lives_of_deferred_writes_leave_a_bounded_log() {
    let mut disk = disk_of(DISK_BYTES);
    for life in 0..200 {
        let stepped = Stepped::open(&disk);
        let collection = stepped.store.collection("c").unwrap().deferred();
        for key in 0..10_u64 {
            let commit = collection.put(key.to_be_bytes(), [0; 8]).unwrap();
            stepped.store.sync().unwrap();
            commit.wait().unwrap();
        }
        stepped.scheduler.run_woken();
        disk = disk.killed();
        disk.limit_space(DISK_BYTES);
        assert!(log_bytes(&disk) <= 2 * THRESHOLD + 3 * SEGMENT, "life {life}: {}", log_bytes(&disk));
    }
}

/// A life may be too short to finish a checkpoint in the background.
#[test]
fn lives_without_background_jobs_leave_a_bounded_log() {
    let mut disk = disk_of(DISK_BYTES);
    for life in 0..150 {
        disk = killed_life(&disk, false);
        assert!(log_bytes(&disk) <= 2 * THRESHOLD + 3 * SEGMENT, "life {life}: {}", log_bytes(&disk));
    }
    assert!(Stepped::open(&disk).store.stats().log_medium_bytes <= THRESHOLD + 2 * SEGMENT);
}

fn dropped_lives_leave_a_bounded_log(lives: u64) {
    const PUTS: u64 = 200;
    const LIFE: u64 = PUTS * 4096; // a block for each, if it is flushed alone
    let disk = disk_of(DISK_BYTES);
    for life in 0..lives {
        let store = Stepped::open(&disk);
        store.put(PUTS, 1, 8, Durability::Disk);
        store.scheduler.run_woken();
        drop(store);
        assert!(log_bytes(&disk) <= 2 * (THRESHOLD + LIFE) + 2 * SEGMENT, "life {life}: {}", log_bytes(&disk));
    }
    assert!(Stepped::open(&disk).store.stats().log_medium_bytes <= THRESHOLD + LIFE + 2 * SEGMENT);
}

#[test]
fn a_hundred_dropped_lives_leave_a_log_below_its_threshold() {
    dropped_lives_leave_a_bounded_log(100);
}

#[test]
#[ignore = "takes a minute; `cargo test --release -p kv-store --test space -- --ignored`"]
fn six_hundred_dropped_lives_leave_a_log_below_its_threshold() {
    dropped_lives_leave_a_bounded_log(600);
}
