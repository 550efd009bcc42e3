//! Checkpoints: what they hold, what they remove, and what a failed one leaves.

use kv_core::{Batch, Crash, Durability, Error, Lsn, Store, StoreOptions};

use crate::{
    assert_error,
    support::{Media, entries},
};

fn reopen(media: &Media, store: Store) -> Store {
    store.close().unwrap();
    drop(store);
    media.open().unwrap()
}

#[test]
fn a_store_opens_from_its_checkpoint_and_replays_what_follows() {
    let media = Media::default();
    let store = media.open().unwrap();
    let mut batch = Batch::new();
    batch.put("a", "1", "one").put("a", "2", "two").put("b", "1", "uno").put("gone", "k", "v");
    store.write(&batch).unwrap();
    store.drop_collection("gone").unwrap();
    let id = store.checkpoint().unwrap().unwrap();
    assert_eq!(id.lsn, Lsn(2));
    store.collection("a").unwrap().delete("1").unwrap();
    store.collection("a").unwrap().put("3", "three").unwrap();
    let expected = entries(&store, "a");
    assert_eq!(expected.len(), 2);

    let store = reopen(&media, store);
    let recovery = store.recovery();
    assert_eq!((recovery.checkpoint, recovery.replayed_records, recovery.position), (Some(id), 2, Lsn(4)));
    assert_eq!(entries(&store, "a"), expected);
    assert_eq!(store.collections().unwrap().len(), 2);
    assert_eq!(store.collection("a").unwrap().len().unwrap(), 2);
    assert_error!(store.collection("a").unwrap().delete("1"), Error::KeyNotFound { .. });
}

#[test]
fn an_unchanged_store_makes_no_checkpoint() {
    let media = Media::default();
    let store = media.open().unwrap();
    assert_eq!(store.checkpoint().unwrap(), None, "there is nothing");
    store.collection("a").unwrap().put("k", "v").unwrap();
    let first = store.checkpoint().unwrap();
    assert!(first.is_some());
    assert_eq!(store.checkpoint().unwrap(), None);
    let store = reopen(&media, store);
    assert_eq!(store.checkpoint().unwrap(), None);
    assert_eq!(store.stats().checkpoint, first);
    store.create_collection("empty").unwrap();
    assert!(store.checkpoint().unwrap().is_some(), "a new collection is a change");
}

#[test]
fn two_checkpoints_are_kept_and_the_log_back_to_the_older() {
    let media = Media::default();
    let store = media.open().unwrap();
    let mut made = Vec::new();
    for round in 1..=5_u64 {
        store.collection("a").unwrap().put("k", round.to_string()).unwrap();
        made.insert(0, store.checkpoint().unwrap().unwrap());
        let kept = media.checkpointer().list().unwrap();
        assert_eq!(kept, made[..made.len().min(2)]);
        assert_eq!(store.stats().log.trimmed, Lsn(round - 1), "the older checkpoint's position");
    }
}

#[test]
fn a_collection_dropped_and_made_again_does_not_show_what_the_checkpoint_has_of_the_old_one() {
    let media = Media::default();
    let store = media.open().unwrap();
    let a = store.collection("a").unwrap();
    a.put("old", "v").unwrap();
    store.checkpoint().unwrap();
    store.drop_collection("a").unwrap();
    a.put("new", "v").unwrap();
    assert_eq!(a.get("old").unwrap(), None);
    assert_eq!(a.len().unwrap(), 1);
    store.checkpoint().unwrap();
    drop(a);
    let store = reopen(&media, store);
    assert_eq!(entries(&store, "a"), [(b"new".to_vec(), b"v".to_vec())]);
}

#[test]
fn a_failed_checkpoint_leaves_everything_and_the_next_one_has_it_all() {
    let media = Media::default();
    let store = media.open().unwrap();
    let a = store.collection("a").unwrap();
    a.put("1", "before").unwrap();
    let first = store.checkpoint().unwrap().unwrap();
    a.put("1", "after").unwrap();
    a.put("2", "after").unwrap();
    media.checkpoints.fail_next_write();
    assert!(store.checkpoint().is_err());
    assert!(store.stats().checkpoint_error.is_some());
    assert_eq!(media.checkpointer().list().unwrap(), [first]);
    assert_eq!(a.get("1").unwrap().unwrap(), "after");

    a.put("2", "later").unwrap();
    a.put("3", "later").unwrap();
    let expected = entries(&store, "a");
    assert_eq!(a.len().unwrap(), 3);
    assert!(store.checkpoint().unwrap().is_some());
    assert_eq!(store.stats().checkpoint_error, None);
    assert_eq!(store.stats().memory_entries, 0, "everything is in the checkpoint");
    assert_eq!(entries(&store, "a"), expected);
    drop(a);
    let store = reopen(&media, store);
    assert_eq!(store.recovery().replayed_records, 0);
    assert_eq!(entries(&store, "a"), expected);
}

#[test]
fn closing_makes_a_checkpoint_only_when_enough_has_changed() {
    let media = Media::default();
    let options = StoreOptions { close_checkpoint_record_bytes: 1000, ..StoreOptions::default() };
    let store = media.open_with(options.clone()).unwrap();
    store.collection("a").unwrap().put("k", "small").unwrap();
    store.close().unwrap();
    drop(store);
    assert!(media.checkpointer().list().unwrap().is_empty());

    let store = media.open_with(options).unwrap();
    store.collection("a").unwrap().put("k", vec![0; 1000]).unwrap();
    store.close().unwrap();
    assert_eq!(media.checkpointer().list().unwrap().len(), 1);
}

/// Memory keeps every version until a checkpoint has taken the last, however few keys there are. An
/// iterator keeps what it reads, and nothing that comes later.
#[test]
fn memory_is_given_back_by_checkpoints() {
    let media = Media::default();
    let options = StoreOptions { checkpoint_record_bytes: 64 << 10, ..StoreOptions::default() };
    let store = media.open_with(options).unwrap();
    let a = store.collection("a").unwrap();
    a.put("k", "first").unwrap();
    let mut iterator = a.iter();
    for round in 0..10_000_u32 {
        a.put((round % 10).to_le_bytes(), [1; 64]).unwrap();
        let bytes = store.stats().memory_bytes;
        assert!(bytes <= 5 * (64 << 10), "{bytes} bytes after {round} puts");
    }
    store.checkpoint().unwrap();
    let stats = store.stats();
    assert_eq!((stats.memory_entries, stats.memory_bytes), (0, 0));
    assert_eq!(iterator.next().unwrap().unwrap().value, "first");
    assert!(iterator.next().is_none());
}

#[test]
fn a_checkpoint_is_never_ahead_of_the_durable_log() {
    let media = Media::default();
    let store = media.open().unwrap();
    let a = store.collection("a").unwrap().with_durability(Durability::Process);
    a.put("1", "one").unwrap();
    a.put("2", "two").unwrap();
    store.checkpoint().unwrap().unwrap();
    let cut = media.after(Crash::PowerCut).open().unwrap();
    assert_eq!(entries(&cut, "a").len(), 2);
}

#[test]
fn a_checkpoint_that_fails_repeatedly_loses_nothing() {
    let media = Media::default();
    let store = media.open().unwrap();
    let a = store.collection("a").unwrap();
    a.put("0", "v").unwrap();
    let first = store.checkpoint().unwrap().unwrap();
    a.put("1", "v").unwrap();
    let second = store.checkpoint().unwrap().unwrap();
    for key in ["2", "3"] {
        a.put(key, "v").unwrap();
        media.checkpoints.fail_next_write();
        assert!(store.checkpoint().is_err());
        assert_eq!(media.checkpointer().list().unwrap(), [second, first], "both are still there");
        assert_eq!(entries(&media.after(Crash::Killed).open().unwrap(), "a"), entries(&store, "a"));
    }
    store.checkpoint().unwrap().unwrap();
    drop(a);
    let store = reopen(&media, store);
    assert_eq!((store.recovery().replayed_records, entries(&store, "a").len()), (0, 4));
}
