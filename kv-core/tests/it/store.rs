//! What the operations do.

use kv_core::{Batch, Durability, Error, Limits, Mismatch, StoreOptions};

use crate::{
    assert_error,
    support::{Media, entries},
};

#[test]
fn put_get_overwrite_delete() {
    let media = Media::default();
    let store = media.open().unwrap();
    let users = store.collection("users").unwrap();
    assert_eq!(users.get("a").unwrap(), None);
    assert!(!users.contains("a").unwrap());

    users.put("a", "1").unwrap();
    users.put("a", "2").unwrap();
    assert_eq!(users.get("a").unwrap().unwrap(), "2");
    assert_eq!(users.get_with("a", <[u8]>::len).unwrap(), Some(1));
    assert_eq!(users.len().unwrap(), 1);

    users.delete("a").unwrap();
    assert_eq!(users.get("a").unwrap(), None);
    assert_eq!(users.get_with("a", <[u8]>::len).unwrap(), None);
    assert!(users.is_empty().unwrap());
    assert_error!(users.delete("a"), Error::KeyNotFound { .. });
    assert!(!users.delete_if_present("a").unwrap());
    users.put("a", "").unwrap();
    assert_eq!(users.get("a").unwrap().unwrap(), "");
    assert!(users.delete_if_present("a").unwrap());
}

#[test]
fn compare_and_set_writes_only_over_what_was_expected() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap();
    let actual = |answer: Result<(), Mismatch>| answer.unwrap_err().actual;
    for round in 1..=2 {
        let set = |expected: Option<&[u8]>, new: Option<&[u8]>| all.compare_and_set("k", expected, new).unwrap();
        assert_eq!(actual(set(Some(b"1"), Some(b"2"))), None, "absent");
        assert_eq!(set(None, None), Ok(()));
        assert_eq!(set(None, Some(b"1")), Ok(()));
        assert_eq!(actual(set(None, Some(b"2"))).unwrap(), "1");
        assert_eq!(actual(set(None, None)).unwrap(), "1");
        assert_eq!(actual(set(Some(b"2"), None)).unwrap(), "1");
        assert_eq!(all.get("k").unwrap().unwrap(), "1", "a refusal changes nothing");
        assert_eq!(set(Some(b"1"), Some(b"")), Ok(()));
        assert_eq!(actual(set(None, Some(b"2"))).unwrap(), "", "empty is not absent");
        store.checkpoint().unwrap();
        assert_eq!(actual(set(Some(b"1"), None)).unwrap(), "", "what only the checkpoint has");
        assert_eq!(set(Some(b""), None), Ok(()));
        assert_eq!(all.get("k").unwrap(), None);
        let logged = store.stats().log.appended.0;
        assert_eq!(logged, 3 * round, "what changes nothing is not logged");
    }
    assert_error!(all.compare_and_set("", None, None), Error::InvalidKey { .. });
    let too_large = vec![0; (64 << 20) + 1];
    assert_error!(all.compare_and_set("k", None, Some(&too_large)), Error::ValueTooLarge { .. });
    store.close().unwrap();
    assert_error!(all.compare_and_set("k", None, Some(b"1")), Error::Closed);
}

#[test]
fn operations_that_read_before_they_write() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap();
    let plus_one = |value: Option<&[u8]>| Some([value.map_or(0, |value| value[0]) + 1]);
    for round in 1..=2 {
        assert_eq!(all.take("k").unwrap(), None);
        assert_eq!(all.put_if_absent("k", [5]).unwrap(), None);
        assert_eq!(all.put_if_absent("k", [6]).unwrap().unwrap(), [5]);
        assert_eq!(all.update("k", plus_one).unwrap().unwrap(), [6]);
        store.checkpoint().unwrap();
        assert_eq!(all.update("k", plus_one).unwrap().unwrap(), [7]);
        assert_eq!(all.update("k", |_| None::<&[u8]>).unwrap(), None, "deleted");
        assert_eq!(all.update("k", plus_one).unwrap().unwrap(), [1]);
        assert_eq!(all.take("k").unwrap().unwrap(), [1]);
        assert_eq!(store.stats().log.appended.0, 6 * round, "what changes nothing is not logged");
    }
    assert_error!(
        all.update("k", |_| all.put("other", "v").err().map(|_| vec![0; 65 << 20])),
        Error::ValueTooLarge { .. }
    );
    assert_error!(all.put_if_absent("", "v"), Error::InvalidKey { .. });
    assert_error!(all.take(""), Error::InvalidKey { .. });
    assert!(all.is_empty().unwrap());
}

#[test]
fn keys_values_and_names_have_limits() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap();
    let longest = vec![7; 65_535];
    all.put(&longest, "v").unwrap();
    assert_eq!(all.get(&longest).unwrap().unwrap(), "v");
    let too_long = vec![7; 65_536];
    for key in [&[][..], &too_long] {
        assert_error!(all.put(key, "v"), Error::InvalidKey { max: 65_535, .. });
        assert_error!(all.get(key), Error::InvalidKey { .. });
        assert_error!(all.delete(key), Error::InvalidKey { .. });
        assert_error!(all.delete_if_present(key), Error::InvalidKey { .. });
        assert_error!(all.contains(key), Error::InvalidKey { .. });
    }
    assert_error!(all.put("k", vec![0; (64 << 20) + 1]), Error::ValueTooLarge { max: 0x400_0000, .. });
    let longest_name = "n".repeat(255);
    store.collection(&longest_name).unwrap().put("k", "v").unwrap();
    for name in ["", &"n".repeat(256)] {
        assert_error!(store.collection(name), Error::InvalidCollectionName { max: 255, .. });
        assert_error!(store.create_collection(name), Error::InvalidCollectionName { .. });
        assert_error!(store.drop_collection(name), Error::InvalidCollectionName { .. });
        assert_error!(store.write(Batch::new().put(name, "k", "v")), Error::InvalidCollectionName { .. });
    }
    assert_eq!(store.collections().unwrap().len(), 2);
}

#[test]
fn lowered_limits_bind_new_writes_only() {
    let media = Media::default();
    let before = media.open().unwrap();
    before.collection("long name").unwrap().put("long key", "long value").unwrap();
    before.close().unwrap();
    drop(before);

    let limits =
        Limits { key_bytes_max: 3, value_bytes_max: 4, name_bytes_max: 5, batch_bytes_max: 100, collections_max: 2 };
    let store = media.open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    let old = store.collection("long name").unwrap();
    assert_eq!(old.get("long key").unwrap().unwrap(), "long value");
    let short = store.collection("short").unwrap();
    assert_error!(short.put("long", "v"), Error::InvalidKey { len: 4, max: 3 });
    assert_error!(short.put("key", "value"), Error::ValueTooLarge { len: 5, max: 4 });
    old.put("key", "v").unwrap(); // writes no name
    assert_error!(store.collection("long too").unwrap().put("key", "v"), Error::InvalidCollectionName { max: 5, .. });
    let mut batch = Batch::new();
    for key in 0..5_u8 {
        batch.put("short", [key], "v");
    }
    assert_error!(store.write(&batch), Error::BatchTooLarge { max: 100, .. });
    assert!(short.is_empty().unwrap(), "nothing of it was written");
    short.put("key", "4444").unwrap();
    assert_error!(store.create_collection("more"), Error::TooManyCollections { max: 2 });
    assert_error!(
        store.write(Batch::new().put("short", "k", "v").put("more", "k", "v")),
        Error::TooManyCollections { .. }
    );
    store.drop_collection("long name").unwrap();
    assert_error!(
        store.write(Batch::new().put("more", "k", "v").put("most", "k", "v")),
        Error::TooManyCollections { .. }
    );
    store.write(Batch::new().put("more", "k", "v").put("short", "k", "v")).unwrap();
}

/// The operations that create collections count, too, and are known only when the record is built.
#[test]
fn a_batch_that_its_collections_make_too_large_is_not_logged() {
    let media = Media::default();
    let limits = Limits { batch_bytes_max: 60, ..Limits::default() };
    let store = media.open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    let mut batch = Batch::new();
    batch.put("a collection of a long name", "k", "v");
    assert_error!(store.write(&batch), Error::BatchTooLarge { max: 60, .. });
    assert_eq!(store.stats().log.appended, kv_core::Lsn::START);
    let killed = media.after(kv_core::Crash::Killed).open().unwrap();
    assert!(killed.collections().unwrap().is_empty());
}

#[test]
fn limits_cannot_be_raised_above_the_formats() {
    let media = Media::default();
    let limits = Limits { key_bytes_max: usize::MAX, ..Limits::default() };
    let store = media.open_with(StoreOptions { limits, ..StoreOptions::default() }).unwrap();
    let too_long = vec![0; 65_536];
    assert_error!(store.collection("c").unwrap().put(too_long, ""), Error::InvalidKey { max: 65_535, .. });
}

#[test]
fn a_batch_is_written_whole_or_not_at_all() {
    let media = Media::default();
    let store = media.open().unwrap();
    let mut batch = Batch::new();
    batch.put("a", "1", "one").put("b", "1", "uno").put("a", "2", "two").delete("a", "1");
    store.write(&batch).unwrap();
    assert_eq!(entries(&store, "a"), [(b"2".to_vec(), b"two".to_vec())]);
    assert_eq!(entries(&store, "b"), [(b"1".to_vec(), b"uno".to_vec())]);

    let before = store.stats().log.appended;
    let mut refused = Batch::new();
    refused.put("a", "3", "three").put("new", "k", "v").delete("a", "absent");
    assert_error!(store.write(&refused), Error::KeyNotFound { .. });
    assert_error!(store.write(Batch::new().put("a", "3", "x").put("a", "", "x")), Error::InvalidKey { .. });
    assert_eq!(store.stats().log.appended, before, "nothing was logged");
    assert_eq!(store.collection("a").unwrap().len().unwrap(), 1);
    assert_eq!(store.collections().unwrap().len(), 2);
}

#[test]
fn the_changes_of_a_batch_are_made_in_their_order() {
    let media = Media::default();
    let store = media.open().unwrap();
    let mut batch = Batch::new();
    batch.put("c", "k", "1").delete("c", "k").delete_if_present("c", "k").put("c", "k", "2").put("c", "k", "3");
    store.write(&batch).unwrap();
    assert_eq!(entries(&store, "c"), [(b"k".to_vec(), b"3".to_vec())]);
    assert_error!(store.write(Batch::new().delete("c", "k").delete("c", "k")), Error::KeyNotFound { .. });
    store.write(Batch::new().delete("c", "k")).unwrap();
    assert!(store.collection("c").unwrap().is_empty().unwrap());
    store.write(Batch::new()).unwrap();
    store.write(Batch::new().delete_if_present("absent", "k")).unwrap();
    assert_eq!(store.collections().unwrap().len(), 1, "a deletion creates no collection");
}

#[test]
fn collections_are_created_listed_and_dropped() {
    let media = Media::default();
    let store = media.open().unwrap();
    assert!(store.create_collection("b").unwrap());
    assert!(!store.create_collection("b").unwrap());
    let handle = store.collection("a").unwrap();
    handle.put("key", "value").unwrap();
    let listed = |store: &kv_core::Store| {
        let infos = store.collections().unwrap();
        infos.into_iter().map(|info| (info.name, info.entries, info.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(listed(&store), [("a".to_owned(), 1, 8), ("b".to_owned(), 0, 0)]);

    store.drop_collection("a").unwrap();
    assert_error!(store.drop_collection("a"), Error::CollectionNotFound { .. });
    assert_eq!(handle.get("key").unwrap(), None);
    assert_error!(handle.delete("key"), Error::KeyNotFound { .. });
    handle.put("other", "v").unwrap();
    assert_eq!(entries(&store, "a"), [(b"other".to_vec(), b"v".to_vec())], "a new, empty collection");
    assert_eq!(listed(&store), [("a".to_owned(), 1, 6), ("b".to_owned(), 0, 0)]);
}

#[test]
fn entries_come_in_byte_order_and_by_prefix() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap();
    let keys: [&[u8]; 6] = [b"b", b"a\xFF", b"a", b"\xFF\xFF", b"ab", b"\xFF"];
    for key in &keys[..3] {
        all.put(key, "v").unwrap();
    }
    store.checkpoint().unwrap();
    for key in &keys[3..] {
        all.put(key, "v").unwrap();
    }
    let keys_of = |entries: kv_core::Entries| entries.map(|entry| entry.unwrap().key.to_vec()).collect::<Vec<_>>();
    let sorted: [&[u8]; 6] = [b"a", b"ab", b"a\xFF", b"b", b"\xFF", b"\xFF\xFF"];
    assert_eq!(keys_of(all.iter()), sorted);
    assert_eq!(keys_of(all.prefix("a")), sorted[..3]);
    assert_eq!(keys_of(all.prefix(b"\xFF")), sorted[4..]);
    assert_eq!(keys_of(all.prefix("c")), [b""; 0]);
}

#[test]
fn an_iterator_sees_one_position() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap();
    for key in 0..100_u8 {
        all.put([key], "old").unwrap();
    }
    let iterator = all.iter();
    for key in 0..100_u8 {
        all.put([key], "new").unwrap();
    }
    all.put([100], "new").unwrap();
    store.checkpoint().unwrap();
    store.drop_collection("all").unwrap();
    let seen: Vec<_> = iterator.map(|entry| entry.unwrap().value).collect();
    assert_eq!(seen.len(), 100);
    assert!(seen.iter().all(|value| *value == "old"));
}

#[test]
fn a_closed_store_refuses_writes_and_serves_reads() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap().with_durability(Durability::Process);
    all.put("k", "v").unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert_error!(all.put("k", "w"), Error::Closed);
    assert_error!(all.delete_if_present("absent"), Error::Closed);
    assert_error!(store.checkpoint(), Error::Closed);
    assert_eq!(all.get("k").unwrap().unwrap(), "v");
    assert_eq!(store.stats().log.durable, store.stats().log.appended);
}

#[test]
fn what_the_log_refuses_is_not_applied() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap();
    all.put("k", "old").unwrap();
    media.log.set_full(true);
    assert_error!(all.put("k", "new"), Error::DiskFull { .. });
    assert_error!(store.create_collection("other"), Error::DiskFull { .. });
    assert_error!(all.put("k2", "new"), Error::DiskFull { .. });
    assert_error!(all.delete("k2"), Error::KeyNotFound { .. });
    assert_eq!(all.get("k").unwrap().unwrap(), "old");
    assert_eq!(store.collections().unwrap().len(), 1);
    media.log.set_full(false);
    all.put("k", "new").unwrap();
    assert_eq!(all.get("k").unwrap().unwrap(), "new");
}
