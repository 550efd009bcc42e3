//! A store from which everything was deleted gives its space back.

use kv_store::Durability;
use kv_testkit::sim::SimDisk;

use crate::support::{MIB, Stepped};

/// The disk has no limit, so that segments become as long as they ever do.
#[test]
fn a_store_without_entries_shrinks_to_a_few_mebibytes() {
    const KEYS: u64 = 12_000;
    let disk = SimDisk::new(1);
    let store = Stepped::open(&disk);
    store.put(KEYS, KEYS, 8000, Durability::Process);
    assert!(disk.space_bytes() > 90 * MIB, "{}", disk.space_bytes());
    let collection = store.store.collection("c").unwrap();
    for key in 0..KEYS {
        collection.clone().with_durability(Durability::Process).delete(key.to_be_bytes()).unwrap();
    }
    store.store.checkpoint().unwrap();
    for round in 0..2 {
        collection.put("one", [round]).unwrap();
        store.store.checkpoint().unwrap();
    }
    assert!(disk.space_bytes() < 4 * MIB, "{} of {:?}", disk.space_bytes(), disk.file_bytes());
    let disk = disk.killed();
    assert_eq!(Stepped::open(&disk).store.collection("c").unwrap().get("one").unwrap().unwrap(), [1]);
}
