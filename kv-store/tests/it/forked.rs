//! A child made by `fork` from the process that opened the store. Everything that would write is
//! refused. The child touches no file, waits for nothing and ends nothing. The parent is not
//! affected.

use std::{
    future::Future,
    path::Path,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
    thread,
};

use kv_store::{Batch, Collection, Durability, Error, Lsn, Store};
use kv_testkit::fork;

use crate::support::{content, files, small};

fn opened(path: &Path) -> (Store, Collection) {
    let store = small().open(path).unwrap();
    let all = store.collection("all").unwrap();
    for key in 0..30_u32 {
        all.put(key.to_be_bytes(), vec![key as u8; 500]).unwrap();
    }
    store.checkpoint().unwrap();
    for key in 30..40_u32 {
        all.with_durability(Durability::Process).put(key.to_be_bytes(), "after the checkpoint").unwrap();
    }
    store.sync().unwrap();
    (store, all)
}

#[track_caller]
fn is_refused<T>(what: &str, result: Result<T, Error>) {
    let error = result.err().unwrap_or_else(|| panic!("{what} was not refused"));
    assert!(matches!(error, Error::Forked), "{what}: {error:?}");
    assert!(error.to_string().contains("opened before a fork"), "{error}");
}

/// Everything that a handle can do that writes, or reads a file.
fn everything_is_refused(store: &Store, all: &Collection) {
    for durability in [Durability::Disk, Durability::Process] {
        is_refused("put", all.with_durability(durability).put("k", "v"));
        is_refused("deferred put", all.with_durability(durability).deferred().put("k", "v"));
    }
    is_refused("delete", all.delete(0_u32.to_be_bytes()));
    is_refused("delete of an absent key", all.delete_if_present("absent"));
    is_refused("update", all.update("k", |_| Some([1])));
    is_refused("write", store.write(Batch::new().put("all", "k", "v")));
    is_refused("deferred write", store.deferred().write(Batch::new().put("all", "k", "v")));
    is_refused("transact", store.transact(|tx| tx.put("all", "k", "v")));
    is_refused("deferred transact", store.deferred().transact(|tx| tx.put("all", "k", "v")));
    is_refused("create", store.create_collection("new"));
    is_refused("drop", store.drop_collection("all"));
    is_refused("sync", store.sync());
    is_refused("checkpoint", store.checkpoint());
    is_refused("changes", store.changes(Lsn::START));
    is_refused("close", store.close());
    is_refused("close again", store.close());
}

#[test]
fn a_child_is_refused_everything_and_its_parent_goes_on() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let (store, all) = opened(&path);
    let expected = content(&store).unwrap();
    store.close().unwrap(); // so that no job of the parent changes a file meanwhile
    drop((store, all));
    let before = files(&path);

    let store = small().open(&path).unwrap();
    let all = store.collection("all").unwrap();
    match fork::fork() {
        None => fork::end(|| {
            everything_is_refused(&store, &all);
            assert_eq!(content(&store).unwrap(), expected, "what was published at the fork can be read");
            drop((store, all));
            assert!(files(&path) == before, "the child changed a file");
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    assert!(matches!(kv_store::open(&path), Err(Error::Locked { .. })), "the child released the lock");
    all.put("k", "v").unwrap();
    assert!(store.checkpoint().unwrap().is_some());
    store.close().unwrap();
    drop((store, all));
    assert!(kv_store::verify(&path).unwrap().damage.is_empty());
    assert_eq!(small().open(&path).unwrap().collection("all").unwrap().len().unwrap(), 41);
}

/// The parent writes, and its background jobs are running.
#[test]
fn both_write_and_what_the_parent_wrote_is_there() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let (store, all) = opened(&path);
    let Some(child) = fork::fork() else {
        fork::end(|| {
            for key in 10_000..12_000_u32 {
                is_refused("put", all.put(key.to_be_bytes(), "child"));
            }
            everything_is_refused(&store, &all);
        })
    };
    for key in 40..500_u32 {
        all.put(key.to_be_bytes(), "parent").unwrap();
        if key % 100 == 0 {
            store.checkpoint().unwrap();
        }
    }
    assert_eq!(child.wait(), Ok(()));
    store.close().unwrap();
    drop((store, all));
    assert!(kv_store::verify(&path).unwrap().damage.is_empty());
    assert_eq!(small().open(&path).unwrap().collection("all").unwrap().len().unwrap(), 500);
}

#[test]
fn whatever_a_child_drops_ends_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let (store, all) = opened(&path);
    let mut feed = store.changes(store.snapshot().position()).unwrap();
    let commit = all.deferred().put("deferred", "v").unwrap();
    let (snapshot, mut entries) = (store.snapshot(), all.iter());
    let value = all.get(0_u32.to_be_bytes()).unwrap().unwrap();
    match fork::fork() {
        None => fork::end(move || {
            drop((snapshot, entries, value));
            assert!(feed.wait(std::time::Duration::from_secs(60)), "there is an error to report");
            is_refused("a record", feed.next().unwrap());
            drop(feed);
            let mut commit = pin!(commit);
            let polled = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, std::task::Poll::Ready(Err(Error::Forked))), "{polled:?}");
            drop((store, all)); // the last handles of this process
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    assert_eq!(entries.next().unwrap().unwrap().key, 0_u32.to_be_bytes());
    commit.wait().unwrap();
    assert!(feed.wait(std::time::Duration::from_secs(10)) && feed.next().unwrap().is_ok());
    assert!(matches!(kv_store::open(&path), Err(Error::Locked { .. })), "the child released the lock");
    drop((store, all, feed, snapshot, entries, value));
    assert_eq!(small().open(&path).unwrap().collection("all").unwrap().len().unwrap(), 41);
}

/// At the moment of a fork, any lock may be held by a thread that the child does not have.
#[test]
fn a_child_hangs_at_no_lock_that_another_thread_held() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let (store, all) = opened(&path);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..3_u32 {
            let (store, all, stop) = (&store, &all, &stop);
            scope.spawn(move || {
                for round in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    match writer {
                        0 => all.put(round.to_be_bytes(), [7; 600]).unwrap(),
                        1 => drop(all.deferred().put((round % 100).to_be_bytes(), [8; 60]).unwrap()),
                        _ if round % 50 == 0 => drop(store.checkpoint().unwrap()),
                        _ => drop(store.snapshot()),
                    }
                }
            });
        }
        for _ in 0..100 {
            let snapshot = store.snapshot();
            match fork::fork() {
                None => fork::end(|| {
                    drop(snapshot);
                    everything_is_refused(&store, &all);
                }),
                Some(child) => assert_eq!(child.wait(), Ok(())),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let expected = content(&store).unwrap();
    store.close().unwrap();
    drop((store, all));
    assert!(kv_store::verify(&path).unwrap().damage.is_empty());
    assert_eq!(content(&small().open(&path).unwrap()).unwrap(), expected);
}

/// A daemon opens its store, and then forks into the background while the process that opened the
/// store ends.
#[test]
fn a_daemon_is_refused_and_can_open_the_store_itself() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    match fork::fork() {
        None => fork::end(|| {
            let (store, all) = opened(&path);
            match fork::fork() {
                None => fork::end(|| {
                    is_refused("put", all.put("daemon", "v"));
                    let own = loop {
                        match small().open(&path) {
                            // Until the parent has ended.
                            Err(Error::Locked { .. }) => thread::yield_now(),
                            opened => break opened.unwrap(),
                        }
                    };
                    own.collection("all").unwrap().put("daemon", "v").unwrap();
                    is_refused("put", all.put("daemon", "v"));
                    own.close().unwrap();
                    drop((store, all, own));
                }),
                Some(_) => std::mem::forget((store, all)), // without destructors
            }
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    let written = || {
        let opened = small().open(&path).ok()?;
        opened.collection("all").unwrap().get("daemon").unwrap()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while written().is_none() {
        assert!(std::time::Instant::now() < deadline, "the daemon cannot open the store");
        thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(kv_store::verify(&path).unwrap().damage.is_empty());
}

#[test]
fn a_fork_inside_a_transaction_writes_once() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let (store, all) = opened(&path);
    let mut child = None;
    let outcome = store.transact(|tx| {
        tx.put("all", "forked", "v")?;
        child = fork::fork();
        Ok(())
    });
    match child {
        None => fork::end(|| is_refused("the transaction", outcome)),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    outcome.unwrap();
    assert_eq!(all.get("forked").unwrap().unwrap(), "v");
    drop((store, all));
    assert_eq!(small().open(&path).unwrap().collection("all").unwrap().len().unwrap(), 41);
}

#[test]
fn a_child_that_meets_damage_leaves_no_note() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let (store, all) = opened(&path);
    all.put("large", [7; 10_000]).unwrap(); // so that its middle lies in a block without names
    store.checkpoint().unwrap();
    store.close().unwrap();
    drop((store, all));
    let (part, mut bytes) = files(&path).into_iter().rfind(|(name, _)| name.ends_with(".part")).unwrap();
    let at = bytes.windows(5000).position(|window| window == [7; 5000]).unwrap();
    bytes[at + 4999] ^= 1;
    std::fs::write(part, bytes).unwrap();
    let store = small().open(&path).unwrap();
    match fork::fork() {
        None => fork::end(|| assert!(matches!(content(&store), Err(Error::Corrupt { .. })))),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    assert!(files(&path).iter().all(|(name, _)| !name.ends_with(".damaged")));
}
