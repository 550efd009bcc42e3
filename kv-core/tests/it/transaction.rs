//! Transactions: isolated, on the newest state, all or nothing.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Barrier,
    thread,
};

use kv_core::{Durability, Error, Limits, Lsn, Store, StoreOptions};

use crate::{assert_error, support::Media};

const PROCESS: Durability = Durability::Process;

fn memory_store() -> Store {
    Media::default().open().unwrap()
}

fn put(store: &Store, collection: &str, key: &str, value: &str) {
    store.collection(collection).unwrap().put(key, value).unwrap();
}

fn number(store: &Store, key: &str) -> u64 {
    store.collection("n").unwrap().get(key).unwrap().map_or(0, |value| u64::from_le_bytes((*value).try_into().unwrap()))
}

#[test]
fn a_transaction_reads_its_own_writes_and_no_other_reader_does() {
    let store = memory_store();
    let all = store.collection("a").unwrap();
    all.put("old", "1").unwrap();
    let seen = store
        .transact(|tx| {
            tx.put("a", "new", "2")?;
            tx.delete("a", "old")?;
            assert_eq!(tx.get("a", "new")?.unwrap(), "2");
            assert!(!tx.contains("a", "old")?);
            assert_eq!(all.get("old")?.unwrap(), "1", "no other reader sees it yet");
            assert_eq!(all.get("new")?, None);
            Ok(tx.iter("a").map(|entry| entry.unwrap().key).collect::<Vec<_>>())
        })
        .unwrap();
    assert_eq!(seen, ["new"]);
    assert_eq!(all.get("new").unwrap().unwrap(), "2");
    assert_eq!(store.stats().log.appended, Lsn(2), "one record");
}

#[test]
fn an_error_or_a_panic_leaves_no_trace_and_poisons_nothing() {
    #[derive(Debug)]
    enum Mine {
        GivenUp,
        #[expect(dead_code, reason = "it is there to be converted from")]
        Store(Error),
    }
    impl From<Error> for Mine {
        fn from(error: Error) -> Self {
            Self::Store(error)
        }
    }

    let store = memory_store();
    let given_up = store.try_transact(|tx| {
        tx.put("a", "key", "value")?;
        tx.create_collection("b")?;
        Err::<(), _>(Mine::GivenUp)
    });
    assert!(matches!(given_up, Err(Mine::GivenUp)));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.transact(|tx| {
            tx.put("a", "key", "value")?;
            if tx.contains("a", "key")? {
                panic!("on purpose");
            }
            Ok(())
        })
    }));
    assert_eq!(*panicked.unwrap_err().downcast_ref::<&str>().unwrap(), "on purpose");
    assert_eq!(store.collections().unwrap(), []);
    assert_eq!(store.stats().log.appended, Lsn(0));
    put(&store, "a", "key", "value");
    store.transact(|tx| tx.put("a", "other", "value")).unwrap();
}

#[test]
fn inside_a_transaction_the_store_is_changed_through_it_only() {
    let store = memory_store();
    let all = store.collection("a").unwrap();
    store
        .transact(|tx| {
            tx.put("a", "key", "value")?;
            for refused in [
                all.put("other", "value"),
                all.delete("key"),
                store.transact(|_| Ok(())),
                store.checkpoint().map(drop),
                store.close(),
                store.create_collection("b").map(drop),
            ] {
                assert!(matches!(refused, Err(Error::InTransaction)), "{refused:?}");
            }
            store.sync()
        })
        .unwrap();
    assert_eq!(all.len().unwrap(), 1);
    all.put("other", "value").unwrap();
}

/// Each thread adds one to the same number, and no addition is lost.
#[test]
fn no_update_is_lost() {
    let store = memory_store();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    store
                        .transact_with(PROCESS, |tx| {
                            let old = tx
                                .get("n", "counter")?
                                .map_or(0, |value| u64::from_le_bytes((*value).try_into().unwrap()));
                            tx.put("n", "counter", (old + 1).to_le_bytes())
                        })
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(number(&store, "counter"), 2000);
}

/// Each thread takes one away if the two numbers add up to two. With write skew both threads would,
/// and nothing would be left.
#[test]
fn there_is_no_write_skew() {
    for _ in 0..50 {
        let store = memory_store();
        for key in ["x", "y"] {
            store.collection("n").unwrap().put(key, 1u64.to_le_bytes()).unwrap();
        }
        let (store, start) = (&store, &Barrier::new(2));
        thread::scope(|scope| {
            for mine in ["x", "y"] {
                scope.spawn(move || {
                    start.wait();
                    let read = |tx: &kv_core::Transaction<'_>, key| tx.get("n", key).unwrap().unwrap()[0];
                    let taken = store.transact(|tx| {
                        if read(tx, "x") + read(tx, "y") == 2 {
                            tx.put("n", mine, 0u64.to_le_bytes())?;
                        }
                        Ok(())
                    });
                    taken.unwrap();
                });
            }
        });
        assert_eq!(number(store, "x") + number(store, "y"), 1);
    }
}

/// Each thread adds its entry if the range is empty. With phantoms, both threads would.
#[test]
fn there_are_no_phantoms() {
    for _ in 0..50 {
        let (store, start) = (&memory_store(), &Barrier::new(2));
        thread::scope(|scope| {
            for mine in ["booking 1", "booking 2"] {
                scope.spawn(move || {
                    start.wait();
                    let booked = store.transact(|tx| {
                        if tx.range("rooms", "booking".."bookinh").next().is_none() {
                            tx.put("rooms", mine, "")?;
                        }
                        Ok(())
                    });
                    booked.unwrap();
                });
            }
        });
        assert_eq!(store.collection("rooms").unwrap().len().unwrap(), 1);
    }
}

#[test]
fn a_transaction_may_be_as_large_as_a_batch() {
    let limits = Limits { batch_bytes_max: 1000, ..Limits::default() };
    let store = Media::default().open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    let refused = store.transact(|tx| (0..100).try_for_each(|n: u8| tx.put("a", [n], [n; 50])));
    assert_error!(refused, Error::BatchTooLarge { max: 1000, .. });
    assert_eq!(store.collections().unwrap(), []);
}

#[test]
fn collections_are_renamed_and_cleared_with_everything_in_them() {
    let store = memory_store();
    put(&store, "a", "key", "value");
    store.rename_collection("a", "b").unwrap();
    assert_error!(store.rename_collection("a", "c"), Error::CollectionNotFound { .. });
    put(&store, "a", "key", "of another collection");
    assert_error!(store.rename_collection("a", "b"), Error::CollectionExists { .. });
    let b = store.collection("b").unwrap();
    assert_eq!(b.get("key").unwrap().unwrap(), "value");
    store.checkpoint().unwrap();
    let snapshot = store.snapshot();
    store.clear_collection("b").unwrap();
    assert!(b.is_empty().unwrap());
    assert_eq!(snapshot.get("b", "key").unwrap().unwrap(), "value");
    assert_eq!(snapshot.len("b").unwrap(), 1);
    assert_error!(store.clear_collection("c"), Error::CollectionNotFound { .. });
}

/// A closure may go on after an error. The operation that failed has changed nothing.
#[test]
fn a_change_that_fails_within_a_transaction_changes_nothing() {
    let media = Media::default();
    let open = |limits| media.open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    let store = open(Limits::default());
    put(&store, "a", "key", "value");
    drop(store);

    let too_little_for_two = Limits { batch_bytes_max: 60, ..Limits::default() };
    let store = open(too_little_for_two);
    store
        .transact(|tx| {
            assert_error!(tx.put("b", "key", [0; 20]), Error::BatchTooLarge { .. });
            assert_error!(tx.rename_collection("b", "c"), Error::CollectionNotFound { .. });
            tx.put("a", "k", "")?;
            assert_error!(tx.clear_collection("a"), Error::BatchTooLarge { .. });
            assert_eq!(tx.get("a", "key")?.unwrap(), "value");
            Ok(())
        })
        .unwrap();
    let names: Vec<_> = store.collections().unwrap().into_iter().map(|info| (info.name, info.entries)).collect();
    assert_eq!(names, [("a".to_owned(), 2)]);
}

/// Lowered limits bind new collections. Clearing a collection adds none.
#[test]
fn a_collection_can_be_cleared_at_the_limit_of_collections() {
    let media = Media::default();
    let store = media.open().unwrap();
    put(&store, "a", "key", "value");
    put(&store, "b", "key", "value");
    drop(store);
    let limits = Limits { collections_max: 1, ..Limits::default() };
    let store = media.open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    store.clear_collection("a").unwrap();
    assert!(store.collection("a").unwrap().is_empty().unwrap());
    assert_error!(store.create_collection("c"), Error::TooManyCollections { .. });
}

#[test]
fn a_range_in_a_transaction_has_the_changes_within_its_bounds_and_no_others() {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let store = memory_store();
    (0..6u8).for_each(|n| store.collection("a").unwrap().put([2 * n], [0]).unwrap());
    store
        .transact(|tx| {
            (0..12u8).filter(|n| n % 3 == 0).try_for_each(|n| tx.put("a", [n], [1]))?;
            tx.delete("a", [4])?;
            let model = [0, 2, 3, 6, 8, 9, 10];
            let bounds = || (0..12u8).flat_map(|n| [Included([n]), Excluded([n])]).chain([Unbounded]);
            for (lower, upper) in bounds().flat_map(|lower| bounds().map(move |upper| (lower, upper))) {
                let expected = model.iter().filter(|n| std::ops::RangeBounds::contains(&(lower, upper), &[**n]));
                let found: Vec<_> = tx.range("a", (lower, upper)).map(|entry| entry.unwrap().key[0]).collect();
                assert!(found.iter().eq(expected.clone()), "{lower:?}, {upper:?}: {found:?}");
                let found: Vec<_> = tx.range("a", (lower, upper)).rev().map(|entry| entry.unwrap().key[0]).collect();
                assert!(found.iter().eq(expected.rev()), "{lower:?}, {upper:?}: {found:?} backward");
            }
            Ok(())
        })
        .unwrap();
}

/// What a transaction sees after each step is what the store holds in the end, and after reopening.
#[test]
fn what_a_transaction_sees_is_what_its_record_holds() {
    type Model = BTreeMap<String, BTreeMap<u8, u8>>;
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut pick = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 8) % below
    };
    let media = Media::default();
    let mut store = media.open_with(StoreOptions { durability: PROCESS, ..StoreOptions::default() }).unwrap();
    let mut model = Model::new();
    for round in 0..600 {
        let (before, gives_up) = (model.clone(), pick(5) == 0);
        let done = store.transact(|tx| {
            for _ in 0..pick(12) {
                let (from, to) = (NAMES[pick(3) as usize], NAMES[pick(3) as usize]);
                let (key, value) = (pick(4) as u8, pick(200) as u8);
                match pick(9) {
                    0..3 => {
                        tx.put(from, [key], [value])?;
                        model.entry(from.into()).or_default().insert(key, value);
                    }
                    3..5 => {
                        let was_there = model.get_mut(from).is_some_and(|entries| entries.remove(&key).is_some());
                        assert_eq!(tx.delete_if_present(from, [key])?, was_there);
                    }
                    5 => {
                        assert_eq!(tx.create_collection(from)?, !model.contains_key(from));
                        model.entry(from.into()).or_default();
                    }
                    6 => assert_eq!(tx.drop_collection(from).is_ok(), model.remove(from).is_some()),
                    7 => {
                        let cleared = model.get_mut(from).map(BTreeMap::clear);
                        assert_eq!(tx.clear_collection(from).is_ok(), cleared.is_some());
                    }
                    _ => {
                        let may = model.contains_key(from) && !model.contains_key(to);
                        assert_eq!(tx.rename_collection(from, to).is_ok(), may);
                        if may && let Some(entries) = model.remove(from) {
                            model.insert(to.into(), entries);
                        }
                    }
                }
                for name in NAMES {
                    let seen: Vec<_> = tx.iter(name).map(|e| e.unwrap()).map(|e| (e.key[0], e.value[0])).collect();
                    assert!(model.get(name).into_iter().flatten().map(|(k, v)| (*k, *v)).eq(seen), "round {round}");
                }
            }
            if gives_up { Err(Error::Cancelled) } else { Ok(()) }
        });
        assert_eq!(done.is_ok(), !gives_up);
        if gives_up {
            model = before;
        }
        match pick(8) {
            0 => drop(store.checkpoint().unwrap()),
            1 => {
                drop(store);
                store = media.open_with(StoreOptions { durability: PROCESS, ..StoreOptions::default() }).unwrap();
            }
            _ => {}
        }
        let names: Vec<_> = store.collections().unwrap().into_iter().map(|info| (info.name, info.entries)).collect();
        assert!(model.iter().map(|(name, entries)| (name.clone(), entries.len() as u64)).eq(names), "round {round}");
        for (name, entries) in &model {
            let all = store.collection(name).unwrap();
            let seen: Vec<_> = all.iter().map(|e| e.unwrap()).map(|e| (e.key[0], e.value[0])).collect();
            assert!(entries.iter().map(|(k, v)| (*k, *v)).eq(seen), "round {round}");
            (0..4).for_each(|key| assert_eq!(all.get([key]).unwrap().map(|v| v[0]), entries.get(&key).copied()));
        }
    }
}

#[test]
fn handles_are_owned_and_may_go_to_other_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Store>();
    shared::<kv_core::Collection>();
    shared::<kv_core::Snapshot>();
    shared::<kv_core::Value>();
    sent::<kv_core::Entries>();
    sent::<kv_core::Commit>();
    sent::<kv_core::ChangeFeed>();
}
