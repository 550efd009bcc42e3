//! Writes are durable before they are visible; and what happens when a flush fails.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use kv_core::{Collection, Durability, Error, MemoryLog, Store, StoreOptions};

use crate::{
    assert_error,
    support::{GatedLog, Media, root},
};

/// A store whose flush can be blocked, with `k` = `old`.
fn gated() -> (Arc<GatedLog>, Store, Collection) {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(Arc::clone(&log) as _, media.checkpointer(), StoreOptions::default()).unwrap();
    let all = store.collection("all").unwrap();
    all.put("k", "old").unwrap();
    (log, store, all)
}

fn put_in_thread(all: &Collection, key: &'static str, value: &'static str) -> thread::JoinHandle<kv_core::Result<()>> {
    let all = all.clone();
    thread::spawn(move || all.put(key, value))
}

#[test]
fn a_disk_write_is_not_seen_before_it_is_durable() {
    let (log, store, all) = gated();
    log.shut();
    let writer = put_in_thread(&all, "k", "new");
    log.until_a_sync_is_blocked();
    assert_eq!(all.get("k").unwrap().unwrap(), "old");
    assert_eq!(all.get_with("k", <[u8]>::to_vec).unwrap().unwrap(), b"old");
    assert_eq!(all.iter().next().unwrap().unwrap().value, "old");
    assert!(store.stats().published < store.stats().log.appended);
    log.open();
    writer.join().unwrap().unwrap();
    assert_eq!(all.get("k").unwrap().unwrap(), "new");
}

#[test]
fn creations_deletions_and_drops_are_not_seen_before_they_are_durable() {
    for change in 0..3 {
        let (log, store, all) = gated();
        log.shut();
        let writer = {
            let (store, all) = (store.clone(), all.clone());
            thread::spawn(move || match change {
                0 => store.create_collection("other").map(|_| ()),
                1 => all.delete("k"),
                _ => store.drop_collection("all"),
            })
        };
        log.until_a_sync_is_blocked();
        assert_eq!(all.len().unwrap(), 1);
        assert!(all.contains("k").unwrap());
        assert_eq!(store.collections().unwrap().len(), 1);
        log.open();
        writer.join().unwrap().unwrap();
        let after: Vec<_> = store.collections().unwrap().into_iter().map(|info| (info.name, info.entries)).collect();
        let expected: &[(&str, u64)] = [&[("all", 1), ("other", 0)][..], &[("all", 0)], &[]][change];
        assert!(after.iter().map(|(name, entries)| (name.as_str(), *entries)).eq(expected.iter().copied()));
    }
}

#[test]
fn a_failed_flush_is_final_and_its_writes_are_never_seen() {
    let (log, store, all) = gated();
    log.shut();
    let writers = [put_in_thread(&all, "k", "new"), put_in_thread(&all, "k2", "new")];
    log.until_a_sync_is_blocked();
    while store.stats().log.appended.0 < 3 {
        thread::yield_now();
    }
    log.fail_and_open();
    for writer in writers {
        let error = writer.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
        assert!(matches!(root(&error), Error::Io { .. }), "{error:?}");
    }
    for _ in 0..3 {
        let error = all.put("k3", "v").unwrap_err();
        assert!(matches!(error, Error::Poisoned { .. }), "{error:?}");
        assert!(matches!(root(&error), Error::Io { .. }), "the first cause is carried: {error:?}");
    }
    assert_eq!(all.get("k").unwrap().unwrap(), "old", "reads go on");
    assert_eq!(all.get("k2").unwrap(), None);
    assert_eq!(all.len().unwrap(), 1);
    assert_error!(store.checkpoint(), Error::OutcomeUnknown { .. } | Error::Poisoned { .. });
}

#[test]
fn a_process_write_is_seen_at_once_unless_a_disk_write_waits_before_it() {
    let (log, _, all) = gated();
    let quick = all.with_durability(Durability::Process);
    log.shut();
    quick.put("q", "1").unwrap();
    assert_eq!(all.get("q").unwrap().unwrap(), "1");

    let disk = put_in_thread(&all, "k", "new");
    log.until_a_sync_is_blocked();
    let behind = put_in_thread(&quick, "q", "2");
    thread::sleep(std::time::Duration::from_millis(20));
    assert!(!behind.is_finished(), "it waits with the disk write");
    assert_eq!(all.get("q").unwrap().unwrap(), "1");
    log.open();
    disk.join().unwrap().unwrap();
    behind.join().unwrap().unwrap();
    assert_eq!(all.get("q").unwrap().unwrap(), "2");
}

#[test]
fn an_answer_that_depends_on_something_unpublished_waits_for_it() {
    let (log, store, all) = gated();
    log.shut();
    let deletion = {
        let all = all.clone();
        thread::spawn(move || all.delete("k"))
    };
    log.until_a_sync_is_blocked();
    let answers: Vec<thread::JoinHandle<()>> = vec![
        {
            let all = all.clone();
            thread::spawn(move || assert_error!(all.delete("k"), Error::KeyNotFound { .. }))
        },
        {
            let all = all.clone();
            thread::spawn(move || assert!(!all.delete_if_present("k").unwrap()))
        },
        {
            let all = all.clone();
            let refused = move || all.compare_and_set("k", Some(b"old"), Some(b"new")).unwrap().unwrap_err();
            thread::spawn(move || assert_eq!(refused().actual, None))
        },
        {
            let store = store.clone();
            thread::spawn(move || assert_eq!(store.transact(|tx| tx.get("all", "k")).unwrap(), None))
        },
    ];
    assert!(!store.create_collection("all").unwrap(), "the collection exists, whatever happens to its key");
    thread::sleep(std::time::Duration::from_millis(20));
    assert!(answers.iter().all(|answer| !answer.is_finished()), "the deletion is not durable yet");
    assert!(all.contains("k").unwrap());
    log.open();
    deletion.join().unwrap().unwrap();
    for answer in answers {
        answer.join().unwrap();
    }
}

#[test]
fn a_writer_that_panics_is_the_last_one() {
    let (log, store, all) = gated();
    log.panic_at_next_append();
    assert!(catch_unwind(AssertUnwindSafe(|| all.put("k", "new"))).is_err());
    assert_error!(all.put("k", "newer"), Error::Poisoned { .. });
    assert_error!(store.checkpoint(), Error::Poisoned { .. });
    assert_eq!(all.get("k").unwrap().unwrap(), "old");
}
