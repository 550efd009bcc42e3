//! Cost follows what is there, not what has been: each verb is measured at N and at 4 N, and may
//! not cost much more. What is counted are allocations, which do not depend on the machine:
//! whatever looks at an entry makes a handle to its key.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use allocation_counter::measure;
use kv_core::{Durability, MemoryCheckpointer, MemoryLog, Snapshot, Store, StoreOptions};

/// By how much the cost may grow if everything else grows fourfold.
const RATIO_MAX: f64 = 2.0;

fn store() -> Store {
    let options = StoreOptions {
        durability: Durability::Process,
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        ..StoreOptions::default()
    };
    Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options).unwrap()
}

/// Checks what `verb` costs in the states that `prepare` makes of N and of 4 N. It is called a few
/// times in each, and the first calls may cost more.
fn check<S>(name: &str, prepare: impl Fn(u64) -> S, mut verb: impl FnMut(&mut S, u64)) {
    let mut cost = |n| {
        let mut state = prepare(n);
        (0..3).for_each(|call| verb(&mut state, call));
        let taken = measure(|| (3..13).for_each(|call| verb(&mut state, call)));
        taken.count_total as f64
    };
    let (at_n, at_4n) = (cost(1000), cost(4000));
    let ratio = (at_4n + 10.0) / (at_n + 10.0);
    assert!(ratio <= RATIO_MAX, "{name}: {at_n} allocations at N, {at_4n} at 4 N");
}

fn put(store: &Store, key: u64) {
    store.collection("q").unwrap().put(key.to_be_bytes(), "value").unwrap();
}

/// A queue of which `n` entries were popped, and a few are left.
fn popped(n: u64, checkpointed: bool, from_the_back: bool) -> Store {
    let store = store();
    (0..n + 50).for_each(|key| put(&store, key));
    if checkpointed {
        store.checkpoint().unwrap();
    }
    let q = store.collection("q").unwrap();
    for popped in 0..n {
        let entry = if from_the_back { q.pop_last() } else { q.pop_first() };
        assert!(entry.unwrap().is_some());
        if popped == n / 2 && checkpointed {
            store.checkpoint().unwrap(); // freezes
        }
    }
    store
}

#[test]
fn the_ends_of_a_queue() {
    for checkpointed in [false, true] {
        let at_front = |n| popped(n, checkpointed, false);
        let at_back = |n| popped(n, checkpointed, true);
        let q = |store: &Store| store.collection("q").unwrap();
        check("pop_first", at_front, |store, _| assert!(q(store).pop_first().unwrap().is_some()));
        check("pop_last", at_back, |store, _| assert!(q(store).pop_last().unwrap().is_some()));
        check("first", at_front, |store, _| assert!(q(store).first().unwrap().is_some()));
        check("last", at_back, |store, _| assert!(q(store).last().unwrap().is_some()));
        check("is_empty", at_front, |store, _| assert!(!q(store).is_empty().unwrap()));
        check("pop_first in a transaction", at_front, |store, _| {
            assert!(store.transact(|tx| tx.pop_first("q")).unwrap().is_some());
        });
        check("put back at the front, and pop_first twice", at_front, |store, _| {
            put(store, 1);
            put(store, 0);
            (0..2).for_each(|_| assert!(q(store).pop_first().unwrap().is_some()));
        });
        check("put at the end, and pop_first", at_front, |store, call| {
            put(store, 1 << 40 | call);
            assert!(q(store).pop_first().unwrap().is_some());
        });
    }
}

/// What one pop costs in a transaction that has popped much.
#[test]
fn many_pops_in_a_transaction() {
    let cost_of_pops = |before: u64| {
        let store = store();
        (0..before + 200).for_each(|key| put(&store, key));
        let with_pops = |pops: u64| {
            let run = || {
                let popped = store.transact(|tx| {
                    (0..pops).try_for_each(|_| tx.pop_first("q").map(|entry| assert!(entry.is_some())))?;
                    tx.create_collection("never")?;
                    Err::<(), _>(kv_core::Error::Cancelled)
                });
                popped.unwrap_err();
            };
            measure(run).count_total
        };
        with_pops(0);
        with_pops(before + 100).saturating_sub(with_pops(before)) as f64
    };
    let (at_n, at_4n) = (cost_of_pops(500), cost_of_pops(2000));
    assert!(at_4n <= RATIO_MAX * at_n, "{at_n} allocations after N pops, {at_4n} after 4 N");
}

#[test]
fn snapshots() {
    let with_snapshots = |n| {
        let store = store();
        put(&store, 1);
        let snapshots: Vec<Snapshot> = (0..n)
            .map(|key| {
                put(&store, key % 10);
                store.snapshot()
            })
            .collect();
        (store, snapshots)
    };
    check("a snapshot beside others", with_snapshots, |(store, _), _| drop(store.snapshot()));
    check("a put beside snapshots", with_snapshots, |(store, _), call| put(store, call));
    check("an iterator beside snapshots", with_snapshots, |(store, _), _| {
        assert!(store.collection("q").unwrap().iter().next().is_some());
    });
    check("a get in an old snapshot of a hot key", with_snapshots, |(_, snapshots), call| {
        snapshots[call as usize].get("q", 1_u64.to_be_bytes()).unwrap();
    });
}

#[test]
fn names() {
    let with_collections = |n| {
        let store = store();
        (0..n).for_each(|name| assert!(store.create_collection(&name.to_string()).unwrap()));
        store
    };
    check("create_collection", with_collections, |store, call| {
        assert!(store.create_collection(&format!("new {call}")).unwrap());
    });
    check("rename_collection", with_collections, |store, call| {
        store.rename_collection(&call.to_string(), &format!("renamed {call}")).unwrap();
    });
    check("drop_collection", with_collections, |store, call| store.drop_collection(&call.to_string()).unwrap());
    check("a scan of one of many collections", with_collections, |store, call| {
        let collection = store.collection(&call.to_string()).unwrap();
        collection.put("k", "v").unwrap();
        assert_eq!(collection.iter().count(), 1);
    });
    check("len of one of many collections", with_collections, |store, call| {
        assert_eq!(store.collection(&call.to_string()).unwrap().len().unwrap(), 0);
    });
}

/// What reads cost in a transaction that has made many changes.
#[test]
fn reads_in_a_transaction() {
    let cost_of_reads = |changes: u64| {
        let store = store();
        put(&store, 0);
        let with_reads = |reads: u64| {
            let run = || {
                let made = store.transact(|tx| {
                    (0..changes).try_for_each(|key| tx.put("q", key.to_be_bytes(), "new"))?;
                    (0..reads).try_for_each(|_| tx.first("q").map(drop))?;
                    (0..reads).try_for_each(|_| tx.range("q", [0]..).next_back().transpose().map(drop))
                });
                made.unwrap();
            };
            measure(run).count_total
        };
        with_reads(0); // the memtable grows
        with_reads(200).saturating_sub(with_reads(100)) as f64
    };
    let (at_n, at_4n) = (cost_of_reads(1000), cost_of_reads(4000));
    assert!(at_4n <= RATIO_MAX * at_n, "{at_n} allocations beside N changes, {at_4n} beside 4 N");
}
