//! Small disks on which little is alive, and much is written.

use kv_store::Durability;

use crate::support::{MIB, Stepped, disk_of};

/// Sizes of disks, in MiB.
const SIZES: [u64; 5] = [16, 20, 24, 33, 64];

/// How often the puts of a test would fill the disk if nothing were ever freed.
const FILLINGS: u64 = 2;
/// What a small record takes of the log if it is flushed alone.
const BLOCK_BYTES: u64 = 4096;

/// With background jobs that run in time and, on the smallest disk, with ones that never run.
fn puts_fill_the_disk_often(keys: u64, value_len: usize, durability: Durability) {
    for (size, jobs_run) in SIZES.map(|size| (size, true)).into_iter().chain([(16, false)]) {
        let record_bytes = if durability == Durability::Disk { BLOCK_BYTES } else { value_len as u64 };
        let puts = FILLINGS * size * MIB / record_bytes;
        let store = Stepped::open(&disk_of(size * MIB));
        for _ in 0..puts.div_ceil(1000) {
            store.put(1000, keys, value_len, durability);
            if jobs_run {
                store.scheduler.run_woken();
            }
        }
        assert_eq!(store.store.collection("c").unwrap().len().unwrap(), keys);
        store.store.close().unwrap();
    }
}

#[test]
fn one_key_put_durably_never_fills_a_disk() {
    puts_fill_the_disk_often(1, 8, Durability::Disk);
}

#[test]
fn one_key_never_fills_a_disk() {
    puts_fill_the_disk_often(1, 4000, Durability::Process);
}

#[test]
fn a_thousand_keys_put_durably_never_fill_a_disk() {
    puts_fill_the_disk_often(1000, 900, Durability::Disk);
}

#[test]
fn a_thousand_keys_never_fill_a_disk() {
    puts_fill_the_disk_often(1000, 900, Durability::Process);
}

/// Half of the million durable, on each disk.
#[test]
#[ignore = "takes minutes; `cargo test --release -p kv-store --test space -- --ignored`"]
fn a_million_puts_never_fill_a_disk() {
    for size in SIZES {
        for keys in [1, 1000] {
            let store = Stepped::open(&disk_of(size * MIB));
            for _ in 0..500 {
                store.put(1000, keys, 900, Durability::Disk);
                store.scheduler.run_woken();
                store.put(1000, keys, 900, Durability::Process);
                store.scheduler.run_woken();
            }
        }
    }
}

/// A set of a sixth of the disk: two checkpoints, and the one that is being written, take half.
#[test]
fn a_steady_set_of_a_sixth_of_the_disk_is_overwritten_for_ever() {
    const VALUE_BYTES: usize = 4000;
    const DISK_BYTES: u64 = 16 * MIB;
    let keys = DISK_BYTES / 6 / (VALUE_BYTES as u64 + 8);
    let store = Stepped::open(&disk_of(DISK_BYTES));
    for _ in 0..15 * 6 {
        store.put(keys, keys, VALUE_BYTES, Durability::Process);
        store.scheduler.run_woken();
    }
    assert_eq!(store.store.collection("c").unwrap().len().unwrap(), keys);
    assert_eq!(store.store.stats().checkpoint_error, None);
}
