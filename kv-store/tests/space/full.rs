//! A disk that is full, because of other files or because of what is alive in the store.

use kv_store::{Batch, Durability, Error, Options, Store, StoreOptions};
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

fn by_call(disk: &SimDisk) -> Store {
    let by_call = StoreOptions {
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        close_checkpoint_record_bytes: u64::MAX,
        ..StoreOptions::default()
    };
    Options { store: by_call, ..Options::default() }.open_in(disk.vfs()).unwrap()
}

/// Puts fill a segment that is there. That takes nothing of the disk, but makes the next checkpoint
/// larger.
#[test]
fn a_store_with_checkpoints_by_call_leaves_room_to_drop_everything() {
    for (size, puts_between) in [(32 * MIB, 3000), (32 * MIB, 5000), (48 * MIB, 3000)] {
        let disk = disk_of(size);
        let store = by_call(&disk);
        let collection = store.collection("c").unwrap().with_durability(Durability::Process);
        let key = |n: u64| [n.to_be_bytes(); 50].concat();
        for n in 0.. {
            if n % puts_between == 0 {
                let _ = store.checkpoint();
            }
            if let Err(error) = collection.put(key(n), [7; 8]) {
                assert!(matches!(error, Error::DiskFull { .. }), "{}", error.chain());
                break;
            }
        }
        let _ = (0..).find(|n| collection.delete(key(*n)).is_err()); // keys that are larger than values
        store.drop_collection("c").unwrap();
        store.checkpoint().unwrap();
        collection.put("k", "v").unwrap();
    }
}

/// A write that finds no room makes a checkpoint, for which there is room.
#[test]
fn a_full_store_with_checkpoints_by_call_can_be_emptied() {
    let disk = disk_of(16 * MIB);
    let store = by_call(&disk);
    let collection = store.collection("c").unwrap().with_durability(Durability::Process);
    let keys = (0_u64..).find(|n| match collection.put(n.to_be_bytes(), [7; 1000]) {
        Ok(()) => false,
        Err(Error::DiskFull { .. }) => true,
        Err(error) => panic!("put {n}: {}; {}", error.chain(), store.stats()),
    });
    assert!(store.stats().checkpoint.is_some());
    for key in 0..keys.unwrap() {
        if let Err(error) = collection.delete(key.to_be_bytes()) {
            panic!("delete {key} of {keys:?}: {}; {}", error.chain(), store.stats());
        }
    }
    store.checkpoint().unwrap();
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

/// Of what is kept for deletions, a put takes nothing, however often it is tried again, and however
/// many deletions come in between: otherwise each would hand on a segment of it to the puts.
#[test]
fn puts_that_are_refused_leave_what_is_kept_for_deletions() {
    let (disk, store, keys) = filled();
    let collection = store.store.collection("c").unwrap().with_durability(Durability::Process);
    let free = || 16 * MIB - disk.space_bytes();
    for round in 0..40_u64 {
        for put in 0..20_u64 {
            match collection.put((keys + put).to_be_bytes(), [8; 4000]) {
                Ok(()) | Err(Error::DiskFull { .. }) => {}
                Err(error) => panic!("round {round}: {}", error.chain()),
            }
        }
        // The present state must always find room for a checkpoint.
        assert!(free() >= MIB + MIB / 2, "round {round}: {} bytes are free", free());
        collection.delete(round.to_be_bytes()).unwrap();
        store.scheduler.run_woken();
    }
    for key in 40..keys {
        collection.delete(key.to_be_bytes()).unwrap();
    }
}

/// The log grows by one record of several thresholds, and so does what the next checkpoint writes.
#[test]
fn a_large_batch_leaves_room_for_its_checkpoint() {
    let disk = disk_of(16 * MIB);
    let store = Stepped::open(&disk);
    let batch = |first: u64| {
        let mut batch = Batch::new();
        for key in first..first + 700 {
            batch.put("c", key.to_be_bytes(), [7; 4000]);
        }
        batch
    };
    let write = |n: u64| {
        store.scheduler.run_woken();
        store.store.write(batch(n * 700)).err().map(|error| (n, error))
    };
    let refused = (0..10).find_map(write);
    let Some((batches, Error::DiskFull { .. })) = refused else { panic!("{refused:?}") };
    assert!(batches > 0, "not even one fits");
    let collection = store.store.collection("c").unwrap();
    for key in 0..batches * 700 {
        collection.delete(key.to_be_bytes()).unwrap();
    }
    store.store.checkpoint().unwrap();
    store.put(700, 700, 4000, Durability::Process);
}

/// What is left alive is more than what is free. So it cannot be copied at once.
#[test]
fn what_was_deleted_makes_room_though_a_copy_of_the_rest_finds_none() {
    const VALUE_BYTES: usize = 16_000;
    let disk = disk_of(64 * MIB);
    let store = Stepped::open(&disk);
    let collection = store.store.collection("c").unwrap().with_durability(Durability::Process);
    let is_put = |n: u64| {
        store.scheduler.run_woken();
        collection.put(n.to_be_bytes(), [7; VALUE_BYTES]).is_ok()
    };
    let keys = (0..).take_while(|n| is_put(*n)).count() as u64;
    let free = 64 * MIB - disk.space_bytes();
    assert!(keys / 2 * VALUE_BYTES as u64 > free, "{keys} keys, {free} bytes are free");
    for key in (0..keys).step_by(2) {
        collection.delete(key.to_be_bytes()).unwrap();
    }
    let again = (keys..).take_while(|n| is_put(*n)).count() as u64;
    assert!(again > keys / 4, "{keys} found room, and {again} after every second was deleted");
}

/// A write that does not wait makes no room, but a deletion needs none that has to be made, until
/// what is kept for deletions is used up. Then the background makes room.
#[test]
fn a_full_store_takes_deletions_that_do_not_wait() {
    let (_disk, store, keys) = filled();
    let collection = store.store.collection("c").unwrap().deferred();
    let mut refusals = 0;
    for key in 0..keys {
        if let Err(Error::DiskFull { .. }) = collection.delete(key.to_be_bytes()) {
            refusals += 1;
            store.scheduler.run_woken();
            drop(collection.delete(key.to_be_bytes()).unwrap());
        }
    }
    assert!(refusals < keys / 100, "{refusals} of {keys}");
}

/// Each deletion takes about as much of a checkpoint as what it deletes, until it is merged with
/// that, and there is no room for all of them.
#[test]
fn a_full_store_of_tiny_entries_can_be_cleared_though_not_emptied_one_by_one() {
    const BATCH: u64 = 2000;
    let store = Stepped::open(&disk_of(16 * MIB));
    let write = |n: u64, puts: bool| {
        let mut batch = Batch::new();
        for key in n * BATCH..(n + 1) * BATCH {
            let key = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes(); // in no order
            if puts {
                batch.put("c", key, [])
            } else {
                batch.delete("c", key)
            };
        }
        store.scheduler.run_woken();
        store.store.write(batch)
    };
    let batches = (0..).take_while(|n| write(*n, true).is_ok()).count() as u64;
    let deleted = (0..batches).take_while(|n| write(*n, false).is_ok()).count() as u64;
    assert!(deleted > batches / 10, "{deleted} of {batches}");
    store.store.clear_collection("c").unwrap();
    let again = (0..batches).take_while(|n| write(*n, true).is_ok()).count() as u64;
    assert!(again + 1 >= batches, "{again} of {batches}, {deleted} were deleted");
}
