//! What only snapshots and iterators hold is counted and limited.

use kv_core::{Error, Store, StoreOptions};

use crate::support::Media;

const VALUE_BYTES: usize = 10_000;

fn store(snapshot_bytes_max: u64) -> Store {
    Media::default().open_with(StoreOptions { snapshot_bytes_max, ..StoreOptions::default() }).unwrap()
}

/// Puts something and moves it to a checkpoint.
fn fill(store: &Store) {
    store.collection("c").unwrap().put("k", [7; VALUE_BYTES]).unwrap();
    store.checkpoint().unwrap();
}

#[test]
fn a_snapshot_holds_the_memory_that_it_reads_and_nothing_after_the_next_checkpoint() {
    let store = store(u64::MAX);
    let held = || store.stats().snapshot_bytes;
    store.collection("c").unwrap().put("k", [7; VALUE_BYTES]).unwrap();
    let (snapshot, mut entries) = (store.snapshot(), store.collection("c").unwrap().iter());
    assert_eq!(held(), 0, "the store needs it, too");
    store.checkpoint().unwrap();
    let one = held();
    assert!((VALUE_BYTES as u64..2 * VALUE_BYTES as u64).contains(&one), "{one} bytes");
    assert!(store.stats().to_string().contains(&format!("snapshots hold {one} bytes")));
    for _ in 0..10 {
        fill(&store);
    }
    assert_eq!(held(), one, "what came later is not held");
    drop(snapshot);
    assert_eq!(held(), one, "the iterator holds it");
    assert_eq!(entries.next().unwrap().unwrap().value, [7; VALUE_BYTES]);
    drop(entries);
    assert_eq!(held(), 0);
    fill(&store);
    assert_eq!(held(), 0, "no snapshot holds it");
}

/// The memtable that was active then goes on growing, and it is held as a whole.
#[test]
fn a_snapshot_holds_what_comes_until_the_next_checkpoint_begins() {
    let store = store(u64::MAX);
    let held = || store.stats().snapshot_bytes;
    let snapshot = store.snapshot();
    fill(&store);
    let until = held();
    assert!((VALUE_BYTES as u64..2 * VALUE_BYTES as u64).contains(&until), "{until} bytes");
    fill(&store);
    assert_eq!(held(), until);
    assert_eq!(snapshot.len("c").unwrap(), 0);
}

/// What a scan sorts in a memtable is memory of that memtable.
#[test]
fn what_a_scan_of_an_old_snapshot_sorts_is_counted() {
    let store = store(u64::MAX);
    let c = store.collection("c").unwrap();
    (0..1000_u32).for_each(|key| c.put(key.to_be_bytes(), "v").unwrap());
    let snapshot = store.snapshot();
    store.checkpoint().unwrap();
    let before = store.stats().snapshot_bytes;
    assert_eq!(snapshot.iter("c").count(), 1000);
    assert!(store.stats().snapshot_bytes >= before + 1000 * 4);
    drop(snapshot);
    assert_eq!(store.stats().snapshot_bytes, 0);
}

#[test]
fn snapshots_that_hold_too_much_keep_others_from_being_begun() {
    let max = 3 * VALUE_BYTES as u64;
    let store = store(max);
    let c = store.collection("c").unwrap();
    let mut snapshots = Vec::new();
    while store.stats().snapshot_bytes <= max {
        snapshots.push(store.snapshot());
        fill(&store);
        assert!(snapshots.len() < 10, "nothing is held: {}", store.stats());
    }
    let is_refused = |error: Error| matches!(error, Error::SnapshotsHoldTooMuch { max: limit, .. } if limit == max);
    let refused = store.snapshot();
    assert!(is_refused(refused.get("c", "k").unwrap_err()));
    assert!(is_refused(refused.get("none", "k").unwrap_err()));
    assert!(is_refused(refused.get_many("c", &["k"]).unwrap_err()));
    assert!(is_refused(refused.contains("c", "k").unwrap_err()));
    assert!(is_refused(refused.len("c").unwrap_err()));
    assert!(is_refused(refused.first("c").unwrap_err()));
    assert!(is_refused(refused.collections().unwrap_err()));
    let read = |_: &[u8], _: &[u8]| std::ops::ControlFlow::<()>::Continue(());
    assert!(is_refused(refused.scan_with::<&str, _>("c", .., read).unwrap_err()));
    let mut entries = c.iter();
    assert!(is_refused(entries.next().unwrap().unwrap_err()));
    assert!(entries.next().is_none(), "it ends after an error");
    assert!(is_refused(c.prefix("k").next_back().unwrap().unwrap_err()));

    // What holds nothing afterwards goes on, and so do old snapshots.
    assert_eq!((c.len().unwrap(), c.first().unwrap().is_some(), c.get("k").unwrap().is_some()), (1, true, true));
    assert_eq!((store.collections().unwrap().len(), c.scan_with::<&str, _>(.., read).unwrap()), (1, None));
    c.put("k", "new").unwrap();
    assert_eq!(snapshots[1].get("c", "k").unwrap().unwrap(), [7; VALUE_BYTES]);

    snapshots.clear();
    assert!(is_refused(refused.len("c").unwrap_err()), "it shows nothing, now as before");
    assert_eq!(store.snapshot().get("c", "k").unwrap().unwrap(), "new");
    assert_eq!(c.iter().count(), 1);
}
