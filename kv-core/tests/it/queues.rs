//! Popping, draining and deleting ranges: what is returned, what is left, and what earlier readers
//! still see.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    thread,
};

use kv_core::{Batch, Durability, Entry, Error, Limits, Snapshot, StoreOptions};

use crate::support::{Media, entries};

type Oracle = BTreeMap<Vec<u8>, Vec<u8>>;

/// Numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) % bound
    }

    fn key(&mut self) -> Vec<u8> {
        // Some keys are prefixes of others.
        let number = self.below(60);
        let length = if number.is_multiple_of(7) { 1 } else { 2 };
        [(number / 8) as u8, (number % 8) as u8][..length].to_vec()
    }
}

fn pair(entry: Option<Entry>) -> Option<(Vec<u8>, Vec<u8>)> {
    entry.map(|entry| (entry.key.into(), entry.value.into()))
}

/// What a snapshot shows, read with handles and in place.
fn contents(snapshot: &Snapshot) -> Oracle {
    let with_handles = snapshot.iter("q").map(|entry| pair(Some(entry.unwrap())).unwrap()).collect();
    let mut in_place = Oracle::new();
    let read = |key: &[u8], value: &[u8]| {
        assert!(in_place.insert(key.to_vec(), value.to_vec()).is_none());
        ControlFlow::<()>::Continue(())
    };
    snapshot.scan_with::<&[u8], _>("q", .., read).unwrap();
    assert_eq!(with_handles, in_place);
    with_handles
}

/// All verbs in random order over few keys, so that keys come back beyond what was popped, with
/// freezes and checkpoints in between, against a map.
#[test]
fn queues_do_what_a_map_does() {
    for seed in 0..20 {
        let media = Media::default();
        let options = StoreOptions { checkpoint_record_bytes: 4096, ..StoreOptions::default() };
        let store = media.open_with(options).unwrap();
        let q = store.collection("q").unwrap().with_durability(Durability::Process);
        let (mut numbers, mut oracle) = (Numbers(seed), Oracle::new());
        let mut earlier: Vec<(Snapshot, Oracle)> = Vec::new();
        for step in 0..1500 {
            match numbers.below(20) {
                0..6 => {
                    let (key, value) = (numbers.key(), vec![step as u8; numbers.below(40) as usize]);
                    q.put(&key, &value).unwrap();
                    oracle.insert(key, value);
                }
                6..9 => assert_eq!(pair(q.pop_first().unwrap()), oracle.pop_first()),
                9..11 => assert_eq!(pair(q.pop_last().unwrap()), oracle.pop_last()),
                11..13 => {
                    let key = numbers.key();
                    assert_eq!(q.delete_if_present(&key).unwrap(), oracle.remove(&key).is_some());
                }
                13 => {
                    let (low, high) = (numbers.key(), numbers.key());
                    let bounds = match numbers.below(3) {
                        0 => (Bound::Included(low), Bound::Excluded(high)),
                        1 => (Bound::Unbounded, Bound::Included(high)),
                        _ => (Bound::Excluded(low), Bound::Unbounded),
                    };
                    let expected = split(&mut oracle, &bounds);
                    match numbers.below(4) {
                        0 => assert_eq!(q.delete_range(bounds).unwrap(), expected.len() as u64),
                        1 => assert_eq!(q.delete_range_in_steps(bounds).unwrap(), expected.len() as u64),
                        2 => {
                            let batch = Batch::new().delete_range("q", bounds).take();
                            store.write_with(batch, Durability::Process).unwrap();
                        }
                        _ => {
                            let drained = q.drain(bounds).unwrap().into_iter().filter_map(|entry| pair(Some(entry)));
                            assert_eq!(drained.collect::<Vec<_>>(), expected);
                        }
                    }
                }
                14..16 => {
                    // A transaction that pops, puts again what is below, and pops again; every
                    // other one is given up.
                    let (key, keeps) = (numbers.key(), numbers.below(2) == 0);
                    let mut after = oracle.clone();
                    let outcome = store.transact_with(Durability::Process, |tx| {
                        assert_eq!(pair(tx.pop_first("q")?), after.pop_first());
                        tx.put("q", &key, "again")?;
                        after.insert(key.clone(), b"again".to_vec());
                        assert_eq!(pair(tx.pop_last("q")?), after.pop_last());
                        assert_eq!(pair(tx.first("q")?), after.first_key_value().map(|(k, v)| (k.clone(), v.clone())));
                        if keeps { Ok(()) } else { Err(Error::Cancelled) }
                    });
                    assert_eq!(outcome.is_ok(), keeps);
                    if keeps {
                        oracle = after;
                    }
                }
                16 => earlier.push((store.snapshot(), oracle.clone())),
                17 if numbers.below(10) == 0 => drop(store.checkpoint().unwrap()),
                _ => {}
            }
            assert_eq!(pair(q.first().unwrap()), oracle.first_key_value().map(|(k, v)| (k.clone(), v.clone())));
            assert_eq!(pair(q.last().unwrap()), oracle.last_key_value().map(|(k, v)| (k.clone(), v.clone())));
            assert_eq!(q.is_empty().unwrap(), oracle.is_empty());
            if step % 50 == 0 {
                assert_eq!(contents(&store.snapshot()), oracle);
                assert_eq!(q.len().unwrap(), oracle.len() as u64);
                earlier.iter().for_each(|(snapshot, then)| assert_eq!(&contents(snapshot), then));
            }
        }
        store.close().unwrap();
        drop((q, earlier, store));
        let store = media.open().unwrap();
        assert_eq!(entries(&store, "q"), oracle.into_iter().collect::<Vec<_>>());
    }
}

/// Removes and returns what lies within the bounds, which may be inverted.
fn split(oracle: &mut Oracle, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(Vec<u8>, Vec<u8>)> {
    let keys: Vec<_> = oracle.keys().filter(|key| std::ops::RangeBounds::contains(bounds, *key)).cloned().collect();
    keys.into_iter().filter_map(|key| oracle.remove_entry(&key)).collect()
}

/// Several threads pop what several others put: each entry goes to one of them.
#[test]
fn each_entry_is_popped_once() {
    const EACH: u64 = 300;
    let store = Media::default().open().unwrap();
    let q = store.collection("q").unwrap().with_durability(Durability::Process);
    let mut popped: Vec<u64> = thread::scope(|scope| {
        for producer in 0..2 {
            let q = &q;
            scope.spawn(move || (0..EACH).for_each(|n| q.put((2 * n + producer).to_be_bytes(), "").unwrap()));
        }
        let consumers: Vec<_> = [true, false]
            .map(|first| {
                let q = &q;
                scope.spawn(move || {
                    let mut popped = Vec::new();
                    while popped.len() < EACH as usize {
                        let entry = if first { q.pop_first() } else { q.pop_last() }.unwrap();
                        popped.extend(entry.map(|entry| u64::from_be_bytes((*entry.key).try_into().unwrap())));
                    }
                    popped
                })
            })
            .into();
        consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect()
    });
    popped.sort_unstable();
    assert_eq!(popped, (0..2 * EACH).collect::<Vec<_>>());
    assert!(q.is_empty().unwrap());
}

#[test]
fn what_is_not_there_is_not_popped() {
    let store = Media::default().open().unwrap();
    let q = store.collection("q").unwrap();
    assert!(q.pop_first().unwrap().is_none() && q.pop_last().unwrap().is_none());
    assert!(q.drain::<&[u8]>(..).unwrap().is_empty());
    assert_eq!(store.stats().published.0, 0, "nothing was written");
    assert!(store.collections().unwrap().is_empty());
}

/// What one record cannot delete stays, all of it, also in a transaction that goes on.
#[test]
fn a_drain_that_is_too_large_deletes_nothing() {
    let limits = Limits { batch_bytes_max: 1000, ..Limits::default() };
    let store = Media::default().open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    let q = store.collection("q").unwrap();
    (0..100_u8).for_each(|key| q.put([key], "value").unwrap());
    assert!(matches!(q.drain::<&[u8]>(..), Err(Error::RangeTooLarge { .. })));
    assert_eq!(q.len().unwrap(), 100);
    let left = store.transact(|tx| {
        assert!(matches!(tx.drain::<&[u8]>("q", ..), Err(Error::RangeTooLarge { .. })));
        assert_eq!(tx.drain("q", [90]..)?.len(), 10);
        Ok(tx.iter("q").count())
    });
    assert_eq!(left.unwrap(), 90);
    assert_eq!(q.len().unwrap(), 90);
}
