//! A disk that is full, because of other files or because of what is alive in the store.

use kv_store::{Durability, Error};
use kv_testkit::sim::SimDisk;

use crate::support::{MIB, Stepped, disk_of};

/// Fills a disk of 16 MiB with a store. Returns both, and how many keys there are.
fn filled() -> (SimDisk, Stepped, u64) {
    let disk = disk_of(16 * MIB);
    let store = Stepped::open(&disk);
    let collection = store.store.collection("c").unwrap().with_durability(Durability::Process);
    for n in 0_u64.. {
        match collection.put(n.to_be_bytes(), [7; 4000]) {
            Ok(()) => {}
            Err(Error::DiskFull { .. }) => return (disk, store, n),
            Err(error) => panic!("put {n}: {}", error.chain()),
        }
        store.scheduler.run_woken();
    }
    unreachable!("a disk of 16 MiB has taken everything")
}

/// Two checkpoints that hold everything fit, but not three: the older one is let go for a new one.
#[test]
fn a_store_is_full_when_its_data_takes_almost_half_of_the_disk() {
    let (_disk, _store, keys) = filled();
    assert!(keys * 4000 > 16 * MIB * 2 / 5, "full with {keys} keys");
}

#[test]
fn a_full_store_can_be_emptied_and_filled_again() {
    let (_disk, store, keys) = filled();
    let collection = store.store.collection("c").unwrap();
    for key in 0..keys {
        if let Err(error) = collection.delete(key.to_be_bytes()) {
            panic!("delete {key} of {keys}: {}; {}", error.chain(), store.store.stats());
        }
    }
    store.put(keys / 2, keys / 2, 4000, Durability::Process);
}

#[test]
fn a_full_store_can_be_cleared() {
    let (_disk, store, keys) = filled();
    store.store.clear_collection("c").unwrap();
    store.put(keys / 2, keys / 2, 4000, Durability::Process);
}

#[test]
fn a_full_store_answers_what_changes_nothing() {
    let (_disk, store, _) = filled();
    let collection = store.store.collection("c").unwrap();
    let refused = (0..1000_u64).any(|n| collection.put(n.to_be_bytes(), [8; 4000]).is_err());
    assert!(refused, "it was full before");
    assert!(!collection.delete_if_present("absent").unwrap());
    assert!(collection.compare_and_set(0_u64.to_be_bytes(), Some(b"another"), Some(b"new")).unwrap().is_err());
}

/// Other files take whatever is free, again and again, and then give a little back.
#[test]
fn after_a_checkpoint_the_next_small_put_succeeds() {
    let disk = disk_of(32 * MIB);
    let store = Stepped::open(&disk);
    let collection = store.store.collection("c").unwrap();
    for round in 0..20_u64 {
        disk.limit_space(disk.space_bytes());
        let refused = (0..10_000_u64).find_map(|n| collection.put("the only key", n.to_be_bytes()).err());
        assert!(matches!(refused, Some(Error::DiskFull { .. })), "round {round}: {refused:?}");
        disk.limit_space(32 * MIB);
        store.store.checkpoint().unwrap();
        collection.put("the only key", round.to_be_bytes()).unwrap();
    }
}

/// A disk that is full of the log, as an earlier version could leave it.
#[test]
fn a_small_segment_is_made_where_a_long_one_does_not_fit() {
    let disk = disk_of(64 * MIB);
    let store = Stepped::open(&disk);
    store.put(2000, 1, 8, Durability::Disk); // segments have grown to 512 KiB
    let before = store.store.stats().log.appended;
    disk.limit_space(disk.space_bytes() + 6 * MIB); // little more than what is kept back
    store.put(200, 1, 8, Durability::Disk);
    assert!(store.store.stats().log.appended.0 == before.0 + 200);
    assert!(disk.file_bytes().iter().any(|(path, bytes)| path.starts_with("log/") && *bytes < 512 << 10));
}
