//! Power cuts while a store is created, and after the first writes were acknowledged.

use kv_store::{Result, Store};
use kv_testkit::sim::{CrashModel, Exploration, SimDisk};

use crate::support::idle;

/// How many states of the disk are checked by default.
const STATES: u64 = 4_000;

fn make_and_write(disk: &SimDisk) -> Result<Store> {
    let store = idle().open_in(disk.vfs())?;
    store.collection("all")?.put("k", "v")?;
    Ok(store)
}

#[test]
fn a_creation_can_be_interrupted_anywhere_and_later_writes_are_durable() {
    let exploration = Exploration::from_env(STATES);
    let disk = SimDisk::new(exploration.seed());
    disk.record();
    let store = make_and_write(&disk).unwrap();
    let acknowledged_at = disk.operations();
    drop(store);
    let count = exploration.run("creation", &disk.take_recording(), &CrashModel::ALL, &|moment, _, left| {
        let store = idle().open_in(left.vfs()).unwrap_or_else(|error| panic!("locked out: {}", error.chain()));
        let value = store.collection("all").unwrap().get("k").unwrap();
        match value {
            Some(value) => assert_eq!(value, "v"),
            None => assert!(moment.operation < acknowledged_at, "an acknowledged write is lost"),
        }
        drop(store);
        make_and_write(left).unwrap_or_else(|error| panic!("the creation cannot be completed: {}", error.chain()));
    });
    assert!(count.states > 100, "{count}");
}
