//! Scans while writers go on: each sees exactly the state at its position.

use std::{
    env,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use kv_core::{Batch, Durability, Entry, Result, Snapshot, Store};

use crate::support::Media;

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// Permutes the numbers below `bound`, which must not be a multiple of the prime 1,000,003.
fn scattered(n: u64, bound: u64) -> u64 {
    n * 1_000_003 % bound
}

/// The first scan of a collection collects its keys while the writer adds others. One key is put at
/// each position, so the position of a snapshot determines which keys it has.
#[test]
fn the_first_scan_misses_no_key_that_comes_while_it_collects() {
    const KEYS: u64 = 400;
    let media = Media::default();
    let store = media.open().unwrap();
    for round in 0..60_u64 {
        let name = format!("round {round}");
        let all = store.collection(&name).unwrap().with_durability(Durability::Process);
        let before = store.stats().published.0;
        let done = AtomicBool::new(false);
        let check = || {
            let snapshot = store.snapshot();
            let mut expected: Vec<u64> = (0..snapshot.position().0 - before).map(|n| scattered(n, KEYS)).collect();
            expected.sort_unstable();
            let found: Vec<u64> = snapshot.iter(&name).map(|entry| number(&entry.unwrap().key)).collect();
            assert!(found == expected, "{} of {} keys were found", found.len(), expected.len());
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..KEYS {
                    all.put(scattered(n, KEYS).to_be_bytes(), "").unwrap();
                }
                done.store(true, Ordering::Release);
            });
            // In each round, the first scan begins at another moment.
            while store.stats().published.0 - before < round * KEYS / 60 {
                thread::yield_now();
            }
            while !done.load(Ordering::Acquire) {
                check();
            }
        });
        check();
        store.drop_collection(&name).unwrap();
    }
}

const WRITERS: u64 = 2;

/// Writes a sequence that is determined by its length: each writer overwrites and deletes keys of
/// its own, and counts its batches.
fn write(store: &Store, entries: u64, writer: u64, until: &AtomicBool) {
    for n in 1_u64.. {
        let mut batch = Batch::new();
        batch.put("counts", writer.to_be_bytes(), n.to_be_bytes());
        let (put, deleted) = changed(entries, writer, n);
        batch.put("all", put.to_be_bytes(), (entries + n).to_be_bytes());
        batch.delete_if_present("all", deleted.to_be_bytes());
        store.write_with(&batch, Durability::Process).unwrap();
        if until.load(Ordering::Acquire) {
            return;
        }
    }
}

/// The keys that a writer puts and deletes in its `n`-th batch. At first, no key from `entries` on
/// exists.
fn changed(entries: u64, writer: u64, n: u64) -> (u64, u64) {
    let own = |n| scattered(n, entries) * WRITERS + writer;
    (own(2 * n), own(2 * n + 1))
}

/// The entries that a snapshot must have.
fn expected(snapshot: &Snapshot, entries: u64) -> Vec<(u64, u64)> {
    let mut values: Vec<_> = (0..entries * WRITERS).map(|key| (key < entries).then_some(key)).collect();
    for writer in 0..WRITERS {
        let count = snapshot.get("counts", writer.to_be_bytes()).unwrap().map_or(0, |count| number(&count));
        for n in 1..=count {
            let (put, deleted) = changed(entries, writer, n);
            values[put as usize] = Some(entries + n);
            values[deleted as usize] = None;
        }
    }
    (0..).zip(values).filter_map(|(key, value)| Some((key, value?))).collect()
}

fn pair(entry: Result<Entry>) -> (u64, u64) {
    let entry = entry.unwrap();
    (number(&entry.key), number(&entry.value))
}

/// `KV_SCAN_ENTRIES=1000000` scans more entries; use release mode.
#[test]
fn a_scan_of_many_entries_sees_its_position_while_writers_and_checkpoints_go_on() {
    let entries: u64 = env::var("KV_SCAN_ENTRIES").map_or(100_000, |entries| entries.parse().unwrap());
    let media = Media::default();
    let store = media.open().unwrap();
    for first in (0..entries).step_by(1000) {
        let mut batch = Batch::new();
        for key in first..entries.min(first + 1000) {
            batch.put("all", key.to_be_bytes(), key.to_be_bytes());
        }
        store.write_with(&batch, Durability::Process).unwrap();
        if first == entries / 2 {
            store.checkpoint().unwrap();
        }
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, done) = (&store, &done);
            scope.spawn(move || write(store, entries, writer, done));
        }
        let snapshot = store.snapshot();
        let mut half_done = snapshot.iter("all");
        let first: Vec<_> = half_done.by_ref().take(1000).map(pair).collect();
        let backward = scope.spawn({
            let snapshot = snapshot.clone();
            move || snapshot.iter("all").rev().map(pair).collect::<Vec<_>>()
        });
        store.checkpoint().unwrap();
        let later = store.snapshot();
        let latest: Vec<_> = later.iter("all").map(pair).collect();
        let backward = backward.join().unwrap();
        let forward: Vec<_> = first.into_iter().chain(half_done.map(pair)).collect();
        done.store(true, Ordering::Release);
        let state = expected(&snapshot, entries);
        assert!(forward == state, "{} entries, not {}", forward.len(), state.len());
        assert!(backward.iter().rev().eq(&state), "{} entries backward, not {}", backward.len(), state.len());
        assert!(latest == expected(&later, entries));
        assert!(later.position() > snapshot.position() && latest != state, "the writers did nothing");
    });
}

/// Reading in place gives what iterating gives, within bounds, and stops where it is told to.
#[test]
fn reading_in_place_is_like_iterating() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap().with_durability(Durability::Process);
    (0..100_u8).for_each(|key| all.put([key], [key]).unwrap());
    store.checkpoint().unwrap();
    (0..100_u8).step_by(3).for_each(|key| all.put([key], b"new").unwrap());
    (0..100_u8).step_by(5).for_each(|key| all.delete([key]).unwrap());
    (100..120_u8).for_each(|key| all.put([key], [key]).unwrap());

    for (low, high) in [(0, 255), (10, 20), (50, 110), (20, 10), (200, 201)] {
        let expected: Vec<_> = all.range([low]..[high]).map(|entry| entry.unwrap()).collect();
        for limit in [0, 1, 7, usize::MAX] {
            let mut found = Vec::new();
            let stopped = all.scan_with([low]..[high], |key, value| {
                if found.len() == limit {
                    return ControlFlow::Break(key.to_vec());
                }
                found.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            });
            let next = expected.get(limit).map(|entry| entry.key.to_vec());
            assert_eq!(stopped.unwrap(), next);
            let expected = expected.iter().take(limit).map(|entry| (entry.key.to_vec(), entry.value.to_vec()));
            assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
