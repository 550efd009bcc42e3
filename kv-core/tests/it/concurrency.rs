//! Readers, writers and checkpoints at the same time.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use kv_core::{Batch, Durability};

use crate::support::Media;

const KEYS: u64 = 64;

/// A writer writes in rounds: in each round, single puts set every key to the number of the round.
/// A reader must never see a key move back, nor a value older than the round that was acknowledged
/// before it read.
#[test]
fn readers_never_go_back_while_checkpoints_come_and_go() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap().with_durability(Durability::Process);
    let acknowledged = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    for key in 0..KEYS {
        all.put(key.to_le_bytes(), 0_u64.to_le_bytes()).unwrap();
    }
    let round_of = |key: u64| {
        let value = all.get(key.to_le_bytes()).unwrap().expect("every key is always there");
        u64::from_le_bytes(value.as_ref().try_into().unwrap())
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_millis(700);
            let mut round = 0_u64;
            while Instant::now() < end {
                round += 1;
                for key in 0..KEYS {
                    all.put(key.to_le_bytes(), round.to_le_bytes()).unwrap();
                }
                acknowledged.store(round, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                store.checkpoint().unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = [0; KEYS as usize];
                while !done.load(Ordering::SeqCst) {
                    for key in 0..KEYS {
                        let at_least = acknowledged.load(Ordering::SeqCst).max(seen[key as usize]);
                        let round = round_of(key);
                        assert!(round >= at_least, "key {key} shows {round} after {at_least}");
                        seen[key as usize] = round;
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // The keys are written in order. So at one position no key is ahead of the one
                // before it, and the last is at most one round behind the first.
                let rounds: Vec<u64> = all
                    .iter()
                    .map(|entry| u64::from_le_bytes(entry.unwrap().value.as_ref().try_into().unwrap()))
                    .collect();
                assert_eq!(rounds.len() as u64, KEYS);
                assert!(rounds.iter().max().unwrap() - rounds.iter().min().unwrap() <= 1, "{rounds:?}");
                assert_eq!(all.len().unwrap(), KEYS);
            }
        });
    });
    assert!(store.stats().checkpoint.is_some());
}

#[test]
fn a_batch_is_seen_whole_by_iterators() {
    let media = Media::default();
    let store = media.open().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..2000_u64 {
                let mut batch = Batch::new();
                for key in 0..8_u8 {
                    batch.put("all", [key], round.to_le_bytes());
                }
                store.write_with(&batch, Durability::Process).unwrap();
                if round % 500 == 0 {
                    store.checkpoint().unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            let all = store.collection("all").unwrap();
            while !done.load(Ordering::SeqCst) {
                let mut values: Vec<_> = all.iter().map(|entry| entry.unwrap().value).collect();
                assert!(values.is_empty() || values.len() == 8);
                values.dedup();
                assert!(values.len() <= 1, "a part of a batch was seen: {values:?}");
            }
        });
    });
}

#[test]
fn no_increment_by_compare_and_set_is_lost() {
    const INCREMENTS: u64 = 200;
    let media = Media::default();
    let store = media.open().unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            let durability = if writer % 2 == 0 { Durability::Disk } else { Durability::Process };
            let all = store.collection("all").unwrap().with_durability(durability);
            scope.spawn(move || {
                for _ in 0..INCREMENTS {
                    let mut count = all.get("count").unwrap();
                    loop {
                        let next =
                            count.as_deref().map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap())) + 1;
                        match all.compare_and_set("count", count.as_deref(), Some(&next.to_le_bytes())).unwrap() {
                            Ok(()) => break,
                            Err(mismatch) => count = mismatch.actual,
                        }
                    }
                }
            });
        }
    });
    let count = store.collection("all").unwrap().get("count").unwrap().unwrap();
    assert_eq!(*count, (4 * INCREMENTS).to_le_bytes());
}

#[test]
fn many_writers_get_dense_positions_and_lose_nothing() {
    let media = Media::default();
    let store = media.open().unwrap();
    thread::scope(|scope| {
        for writer in 0..8_u8 {
            let store = &store;
            scope.spawn(move || {
                let durability = if writer.is_multiple_of(2) { Durability::Disk } else { Durability::Process };
                let all = store.collection("all").unwrap().with_durability(durability);
                for n in 0..500_u16 {
                    all.put([&[writer][..], &n.to_be_bytes()].concat(), "v").unwrap();
                    assert!(
                        all.contains([&[writer][..], &n.to_be_bytes()].concat()).unwrap(),
                        "a writer sees its writes"
                    );
                }
            });
        }
    });
    assert_eq!(store.collection("all").unwrap().len().unwrap(), 4000);
    assert_eq!(store.stats().log.appended.0, 4000);
    store.close().unwrap();
    drop(store);
    assert_eq!(media.open().unwrap().collection("all").unwrap().len().unwrap(), 4000);
}

/// A collection that one transaction clears and fills again is never seen empty, whatever
/// checkpoints come in between.
#[test]
fn a_collection_is_never_seen_without_what_came_with_it() {
    let media = Media::default();
    let store = media.open().unwrap();
    let fill = |round: u64| {
        store.transact_with(Durability::Process, |tx| {
            if round > 0 {
                tx.clear_collection("a")?;
            }
            tx.put("a", "k", round.to_le_bytes())
        })
    };
    fill(0).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let a = store.collection("a").unwrap();
                while !done.load(Ordering::Relaxed) {
                    assert!(a.get("k").unwrap().is_some());
                    assert!(a.contains("k").unwrap());
                }
            });
        }
        for round in 1..3000 {
            fill(round).unwrap();
            store.checkpoint().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A name and the keys of its collection are read at one position: what was written to a collection
/// under one name is never seen under another.
#[test]
fn a_key_is_never_seen_under_a_name_that_its_collection_did_not_have_then() {
    let store = Media::default().open().unwrap();
    store.collection("a").unwrap().put("k", "a").unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let handles = ["a", "b"].map(|name| store.collection(name).unwrap());
                while !done.load(Ordering::Relaxed) {
                    for handle in &handles {
                        let seen = handle.get("k").unwrap();
                        assert!(seen.as_ref().is_none_or(|seen| *seen == handle.name()), "{handle:?}: {seen:?}");
                        handle.get_with("k", |seen| assert_eq!(seen, handle.name().as_bytes())).unwrap();
                    }
                }
            });
        }
        for _ in 0..20_000 {
            let renamed = store.transact_with(Durability::Process, |tx| {
                tx.rename_collection("a", "b")?;
                tx.put("b", "k", "b")
            });
            renamed.unwrap();
            let back = store.transact_with(Durability::Process, |tx| {
                tx.put("b", "k", "a")?;
                tx.rename_collection("b", "a")
            });
            back.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}
