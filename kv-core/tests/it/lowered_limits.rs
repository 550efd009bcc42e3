//! Limits bind new writes only: every operation finds and deletes what was written under higher
//! limits.

use kv_core::{Batch, Collection, Error, Limits, Result, Store, StoreOptions};

use crate::{assert_error, support::Media};

const KEY: &str = "a key of more than eight bytes";
const NAME: &str = "a name of more than eight bytes";

/// A store with the collection `NAME` and the key `KEY`, under limits that no longer allow either.
fn lowered() -> (Store, Collection) {
    let media = Media::default();
    media.open().unwrap().collection(NAME).unwrap().put(KEY, "v").unwrap();
    let limits = Limits { key_bytes_max: 8, name_bytes_max: 8, ..Limits::default() };
    let store = media.open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    let collection = store.collection(NAME).unwrap();
    (store, collection)
}

type Operation = (&'static str, fn(&Store, &Collection) -> Result<()>);

/// Operations that write no key, or remove one. `true`: the key is gone afterwards.
const OPERATIONS: &[(bool, Operation)] = &[
    (false, ("get", |_, all| all.get(KEY).map(|found| assert_eq!(found.unwrap(), "v")))),
    (false, ("get_with", |_, all| all.get_with(KEY, <[u8]>::len).map(|found| assert_eq!(found, Some(1))))),
    (false, ("get_many", |_, all| all.get_many(&[KEY]).map(|found| assert!(found[0].is_some())))),
    (false, ("contains", |_, all| all.contains(KEY).map(|found| assert!(found)))),
    (false, ("prefix", |_, all| all.prefix(KEY).next().unwrap().map(drop))),
    (false, ("snapshot.get", |store, _| store.snapshot().get(NAME, KEY).map(|found| assert!(found.is_some())))),
    (true, ("delete", |_, all| all.delete(KEY))),
    (true, ("delete_if_present", |_, all| all.delete_if_present(KEY).map(|found| assert!(found)))),
    (true, ("take", |_, all| all.take(KEY).map(|found| assert_eq!(found.unwrap(), "v")))),
    (true, ("update", |_, all| all.update(KEY, |found| found.is_none().then_some("")).map(drop))),
    (true, ("compare_and_set", |_, all| all.compare_and_set(KEY, Some(b"v"), None).map(Result::unwrap))),
    (
        false,
        ("compare_and_set that fails", |_, all| {
            all.compare_and_set(KEY, None, None).map(|answer| assert_eq!(answer.unwrap_err().actual.unwrap(), "v"))
        }),
    ),
    (true, ("Batch::delete", |store, _| store.write(Batch::new().delete(NAME, KEY)))),
    (true, ("Batch::delete_if_present", |store, _| store.write(Batch::new().delete_if_present(NAME, KEY)))),
    (true, ("Batch::delete, deferred", |store, _| store.deferred().write(Batch::new().delete(NAME, KEY))?.wait())),
    (false, ("tx.get", |store, _| store.transact(|tx| tx.get(NAME, KEY)).map(|found| assert!(found.is_some())))),
    (false, ("tx.contains", |store, _| store.transact(|tx| tx.contains(NAME, KEY)).map(|found| assert!(found)))),
    (true, ("tx.delete", |store, _| store.transact(|tx| tx.delete(NAME, KEY)))),
    (true, ("tx.delete_if_present", |store, _| store.transact(|tx| tx.delete_if_present(NAME, KEY)).map(drop))),
    (true, ("drop_collection", |store, _| store.drop_collection(NAME))),
    (true, ("clear_collection", |store, _| store.clear_collection(NAME))),
    (true, ("rename_collection", |store, _| store.rename_collection(NAME, "new"))),
];

#[test]
fn every_operation_finds_and_deletes_what_exceeds_a_lowered_limit() {
    for (deletes, (name, verb)) in OPERATIONS {
        let (store, collection) = lowered();
        verb(&store, &collection).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(collection.contains(KEY).unwrap(), !deletes, "{name}");
    }
}

const WRITES: &[Operation] = &[
    ("put", |_, all| all.put(KEY, "w")),
    ("put_deferred", |_, all| all.deferred().put(KEY, "w").map(drop)),
    ("put_if_absent", |_, all| all.put_if_absent(KEY, "w").map(drop)),
    ("update", |_, all| all.update(KEY, |_| Some("w")).map(drop)),
    ("compare_and_set", |_, all| all.compare_and_set(KEY, Some(b"v"), Some(b"w")).map(drop)),
    ("Batch::put", |store, _| store.write(Batch::new().put("short", KEY, "w"))),
    ("tx.put", |store, _| store.transact(|tx| tx.put("short", KEY, "w"))),
];

#[test]
fn no_operation_writes_what_exceeds_a_lowered_limit() {
    for (name, write) in WRITES {
        let (store, collection) = lowered();
        let short = store.collection("short").unwrap();
        for collection in [&collection, &short] {
            let refused = write(&store, collection);
            let is_limit = matches!(refused, Err(Error::InvalidKey { .. } | Error::InvalidCollectionName { .. }));
            assert!(is_limit, "{name}: {refused:?}");
        }
        assert_eq!(collection.get(KEY).unwrap().unwrap(), "v", "{name}");
        assert_eq!(store.collections().unwrap().len(), 1, "{name}");
    }
}

#[test]
fn no_new_collection_gets_a_name_that_exceeds_a_lowered_limit() {
    const NEW: &str = "another name of more than eight bytes";
    let (store, old) = lowered();
    for refused in [
        store.create_collection(NEW).map(drop),
        store.rename_collection(NAME, NEW),
        store.collection(NEW).unwrap().put("k", "v"),
        store.write(Batch::new().put(NEW, "k", "v")),
        store.transact(|tx| tx.put(NEW, "k", "v")),
    ] {
        assert_error!(refused, Error::InvalidCollectionName { .. });
    }
    assert!(!store.create_collection(NAME).unwrap());
    old.put("k", "v").unwrap();
    store.clear_collection(NAME).unwrap();
    old.put("k", "v").unwrap();
}

/// The caps of the format bind every operation.
#[test]
fn every_operation_refuses_a_key_that_cannot_exist() {
    let (store, all) = lowered();
    for key in [vec![], vec![0; kv_core::KEY_BYTES_MAX + 1]] {
        let refused = [
            all.delete(&key),
            all.delete_if_present(&key).map(drop),
            all.take(&key).map(drop),
            all.update(&key, |_| None::<&[u8]>).map(drop),
            all.compare_and_set(&key, None, None).map(drop),
            store.write(Batch::new().delete(NAME, &key)),
            store.write(Batch::new().delete_if_present(NAME, &key)),
            store.transact(|tx| tx.delete(NAME, &key)),
        ];
        for refused in refused {
            assert_error!(refused, Error::InvalidKey { .. });
        }
    }
}
