//! Deleting many entries: what is deleted and counted, what stays, and what others do meanwhile.

use std::{
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use kv_core::{Batch, Collection, Durability, Error, Limits, MemoryLog, Store, StoreOptions};
use kv_testkit::ManualScheduler;

use crate::{
    assert_error,
    support::{GatedLog, Media, entries},
};

/// More than one step of each verb deletes.
const MANY: u32 = 5000;

type Range = (Bound<[u8; 4]>, Bound<[u8; 4]>);

fn open() -> (Media, Store) {
    let media = Media::default();
    let options = StoreOptions { durability: Durability::Process, ..StoreOptions::default() };
    let store = media.open_with(options).unwrap();
    (media, store)
}

/// Numbers as keys, with values of different lengths.
fn fill(collection: &Collection, numbers: impl Iterator<Item = u32>) {
    numbers.for_each(|number| collection.put(number.to_be_bytes(), vec![7; number as usize % 50]).unwrap());
}

/// The numbers that are left, also after another opening.
fn left(media: &Media, store: Store, name: &str) -> Vec<u32> {
    let numbers = |store: &Store| -> Vec<u32> {
        let number = |(key, _): (Vec<u8>, Vec<u8>)| u32::from_be_bytes(key.try_into().unwrap());
        entries(store, name).into_iter().map(number).collect()
    };
    let before = numbers(&store);
    assert_eq!(store.collection(name).unwrap().len().unwrap(), before.len() as u64);
    store.close().unwrap();
    drop(store);
    assert_eq!(numbers(&media.open().unwrap()), before);
    before
}

/// With what is deleted in memory, in a checkpoint, or in both.
#[test]
fn a_range_is_deleted_whole_and_counted() {
    for checkpointed in [0, MANY / 2, MANY] {
        let delete: [fn(&Collection, Range) -> u64; 3] = [
            |q, range| q.delete_range(range).unwrap(),
            |q, range| q.delete_range_in_steps(range).unwrap(),
            |q, range| q.deferred().delete_range(range).unwrap().wait().unwrap(),
        ];
        for delete in delete {
            let (media, store) = open();
            let q = store.collection("q").unwrap();
            fill(&q, 0..checkpointed);
            store.checkpoint().unwrap();
            fill(&q, checkpointed..MANY);
            let key = |number: u32| number.to_be_bytes();
            assert_eq!(delete(&q, (Bound::Included(key(10)), Bound::Excluded(key(4000)))), 3990);
            assert_eq!(delete(&q, (Bound::Included(key(10)), Bound::Excluded(key(4000)))), 0);
            assert_eq!(delete(&q, (Bound::Excluded(key(4990)), Bound::Unbounded)), 9);
            assert_eq!(delete(&q, (Bound::Unbounded, Bound::Included(key(3)))), 4);
            assert_eq!(delete(&q, (Bound::Included(key(9)), Bound::Excluded(key(4)))), 0, "inverted");
            drop(q);
            let expected: Vec<u32> = (4..10).chain(4000..=4990).collect();
            assert_eq!(left(&media, store, "q"), expected);
        }
    }
}

#[test]
fn everything_is_deleted_in_steps() {
    for checkpointed in [false, true] {
        let (media, store) = open();
        let q = store.collection("q").unwrap();
        fill(&q, 0..MANY);
        if checkpointed {
            store.checkpoint().unwrap();
        }
        let before = store.snapshot();
        assert_eq!(q.delete_range_in_steps::<&[u8]>(..).unwrap(), u64::from(MANY));
        assert!(q.is_empty().unwrap() && q.pop_first().unwrap().is_none());
        assert_eq!(before.len("q").unwrap(), u64::from(MANY), "a snapshot keeps what it has");
        assert!(store.stats().published.0 >= u64::from(MANY) + 5, "{:?}: in one record", store.stats().published);
        fill(&q, 1..3);
        drop((q, before));
        assert_eq!(left(&media, store, "q"), [1, 2]);
    }
}

#[test]
fn a_prefix_is_deleted_to_its_last_key() {
    let keys: [&[u8]; 8] = [b"a", b"a/", b"a/1", b"a/\xFF\xFF", b"a0", b"\xFF", b"\xFF\xFF", b"\xFF\xFF1"];
    let delete: [fn(&Store, &[u8]) -> u64; 5] = [
        |store, prefix| store.collection("q").unwrap().delete_prefix(prefix).unwrap(),
        |store, prefix| store.collection("q").unwrap().delete_prefix_in_steps(prefix).unwrap(),
        |store, prefix| store.collection("q").unwrap().deferred().delete_prefix(prefix).unwrap().wait().unwrap(),
        |store, prefix| store.transact(|tx| tx.delete_prefix("q", prefix)).unwrap(),
        |store, prefix| {
            let before = store.collection("q").unwrap().len().unwrap();
            store.write(Batch::new().delete_prefix("q", prefix)).unwrap();
            before - store.collection("q").unwrap().len().unwrap()
        },
    ];
    for delete in delete {
        for prefix in [&b"a/"[..], b"a", b"\xFF", b"\xFF\xFF", b"", b"b"] {
            let (_media, store) = open();
            let q = store.collection("q").unwrap();
            keys.iter().for_each(|key| q.put(key, "value").unwrap());
            let stays: Vec<&[u8]> = keys.into_iter().filter(|key| !key.starts_with(prefix)).collect();
            assert_eq!(delete(&store, prefix), (keys.len() - stays.len()) as u64, "{prefix:?}");
            assert_eq!(entries(&store, "q").into_iter().map(|(key, _)| key).collect::<Vec<_>>(), stays, "{prefix:?}");
        }
    }
}

/// A batch makes its changes in their order, and is all or nothing.
#[test]
fn a_batch_deletes_what_is_there_at_that_point() {
    let (_media, store) = open();
    let q = store.collection("q").unwrap();
    fill(&q, 0..4);
    let key = |number: u32| number.to_be_bytes();
    let batch = Batch::new().put("q", key(8), "").delete_range("q", key(2)..=key(8)).put("q", key(3), "new").take();
    assert_eq!(batch.len(), 3);
    store.write(&batch).unwrap();
    assert_eq!(q.iter().map(|entry| entry.unwrap().key[3]).collect::<Vec<_>>(), [0, 1, 3]);
    let refused = store.write(Batch::new().delete_range::<&[u8]>("q", ..).delete("q", "absent"));
    assert_error!(refused, Error::KeyNotFound { .. });
    assert_eq!(q.len().unwrap(), 3);
    let published = store.stats().published;
    store.write(Batch::new().delete_range("q", "x"..).delete_prefix("never", "x")).unwrap();
    assert_eq!(store.stats().published, published, "nothing was written");
    assert_eq!(store.collections().unwrap().len(), 1, "deleting creates no collection");
}

/// What one record cannot delete is refused, and can be deleted in steps, however little a record
/// holds.
#[test]
fn what_one_record_cannot_delete_is_deleted_in_steps() {
    for max in [60, 100, 1000] {
        let limits = Limits { batch_bytes_max: max, ..Limits::default() };
        let (media, options) = (Media::default(), StoreOptions { limits, ..StoreOptions::default() });
        let store = media.open_with(options).unwrap();
        let q = store.collection("q").unwrap();
        (0..100).for_each(|key| q.put([key], "v").unwrap());
        let refused = q.delete_range::<&[u8]>(..).unwrap_err();
        assert!(matches!(refused, Error::RangeTooLarge { max: refused } if refused == max), "{refused:?}");
        assert!(refused.to_string().contains("`delete_range_in_steps`"), "{refused}");
        assert_error!(q.delete_prefix(""), Error::RangeTooLarge { .. });
        let batch = Batch::new().put("q", "k", "v").delete_range::<&[u8]>("q", ..).take();
        assert_error!(store.write(batch), Error::RangeTooLarge { .. });
        assert_error!(q.deferred().delete_range::<&[u8]>(..).unwrap().wait(), Error::RangeTooLarge { .. });
        store
            .transact(|tx| {
                assert_error!(tx.delete_range("q", [10]..), Error::RangeTooLarge { .. });
                assert_eq!(tx.delete_range("q", [99]..)?, 1);
                Ok(())
            })
            .unwrap();
        assert_eq!(q.len().unwrap(), 99);
        assert_eq!(q.retain(|key, _| key[0] % 2 == 0).unwrap(), 49);
        assert_eq!(q.delete_range_in_steps([50]..).unwrap(), 25);
        assert_eq!(q.len().unwrap(), 25);
    }
}

/// A predicate is asked once about each entry, in order, whatever the size of the values.
#[test]
fn retain_asks_once_and_deletes_what_was_refused() {
    for checkpointed in [false, true] {
        let (media, store) = open();
        let q = store.collection("q").unwrap();
        fill(&q, 0..MANY);
        (0..9).for_each(|number: u32| q.put((MANY + number).to_be_bytes(), vec![1; 300 << 10]).unwrap());
        if checkpointed {
            store.checkpoint().unwrap();
        }
        let mut asked = Vec::new();
        let deleted = q.retain(|key, value| {
            let number = u32::from_be_bytes(key.try_into().unwrap());
            assert_eq!(value.len(), if number < MANY { number as usize % 50 } else { 300 << 10 });
            asked.push(number);
            number % 3 == 0
        });
        assert!(asked.into_iter().eq(0..MANY + 9));
        drop(q);
        let expected: Vec<u32> = (0..MANY + 9).filter(|number| number % 3 == 0).collect();
        assert_eq!(deleted.unwrap(), u64::from(MANY) + 9 - expected.len() as u64);
        assert_eq!(left(&media, store, "q"), expected);
    }
}

/// The predicate may use the store. What it writes stays, also if it refuses the entry.
#[test]
fn retain_keeps_what_was_written_meanwhile() {
    let (_media, store) = open();
    let q = store.collection("q").unwrap();
    fill(&q, 0..10);
    let deleted = q.retain(|key, _| {
        match key[3] {
            2 => q.put(key, "new").unwrap(),
            3 => q.delete(key).unwrap(),
            4 => store.rename_collection("q", "other").and_then(|()| store.rename_collection("other", "q")).unwrap(),
            _ => {}
        }
        false
    });
    assert_eq!(deleted.unwrap(), 8, "not the one that was overwritten, and not the one that was gone");
    assert_eq!(entries(&store, "q"), [(2_u32.to_be_bytes().to_vec(), b"new".to_vec())]);
}

#[test]
fn a_predicate_that_panics_leaves_the_store_as_it_is() {
    let (_media, store) = open();
    let q = store.collection("q").unwrap();
    fill(&q, 0..10);
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| q.retain(|key, _| key[3] != 5 || panic!())));
    assert!(panicked.is_err());
    assert_eq!(q.len().unwrap(), 10);
    q.put("k", "v").unwrap();
}

/// A predicate never sees what a power cut could take back.
#[test]
fn retain_sees_what_is_published() {
    let log = GatedLog::new(MemoryLog::new());
    let options = StoreOptions { scheduler: Arc::new(ManualScheduler::new()), ..StoreOptions::default() };
    let store = Store::with_backends(Arc::clone(&log) as _, Media::default().checkpointer(), options).unwrap();
    let q = store.collection("q").unwrap();
    q.put("k", "old").unwrap();
    log.shut();
    let written = q.deferred().put("k", "new").unwrap();
    let mut seen = Vec::new();
    let deleted = q.retain(|_, value| {
        seen.push(value.to_vec());
        log.open(); // so that the answer, which depends on the new value, can be given
        value == b"new"
    });
    assert_eq!((seen, deleted.unwrap()), (vec![b"old".to_vec()], 0), "it has another value by now");
    written.wait().unwrap();
    assert_eq!(q.get("k").unwrap().unwrap(), "new");
}

/// Deleting in steps ends, however quickly others put new entries at the front.
#[test]
fn deleting_in_steps_ends_beside_those_who_put() {
    let (_media, store) = open();
    let q = store.collection("q").unwrap();
    fill(&q, MANY..3 * MANY);
    let done = AtomicBool::new(false);
    let put = thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let mut put = 0_u32;
            while !done.load(Ordering::Relaxed) {
                q.put((MANY - 1 - put % MANY).to_be_bytes(), "new").unwrap();
                put += 1;
            }
            put
        });
        assert!(q.delete_range_in_steps::<&[u8]>(..).unwrap() >= u64::from(2 * MANY));
        done.store(true, Ordering::Relaxed);
        producer.join().unwrap()
    });
    assert!(q.len().unwrap() <= u64::from(put.min(MANY)));
    assert!(q.range(MANY.to_be_bytes()..).next().is_none());
}

#[test]
fn closed_stores_delete_nothing() {
    let (_media, store) = open();
    let q = store.collection("q").unwrap();
    fill(&q, 0..3);
    store.close().unwrap();
    assert_error!(q.delete_range::<&[u8]>(..), Error::Closed);
    assert_error!(q.delete_prefix(""), Error::Closed);
    assert_error!(q.delete_range_in_steps::<&[u8]>(..), Error::Closed);
    assert_error!(q.retain(|_, _| false), Error::Closed);
    assert_eq!(q.retain(|_, _| true).unwrap(), 0, "reads go on");
    assert_eq!(q.len().unwrap(), 3);
}
