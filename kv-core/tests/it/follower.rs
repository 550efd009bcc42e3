//! Followers, over logs and checkpoints in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kv_core::{
    Batch, CheckpointDamage, Durability, Error, Follower, LocalLog, Log, Lsn, MemoryLog, Refusal, Result, Store,
    StoreOptions,
};

use crate::support::{GatedLog, Media};

/// A store over these media, and its log. Checkpoints are made by call only.
fn open(media: &Media) -> (Store, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(log.clone(), media.checkpointer(), by_call()).unwrap();
    (store, log)
}

fn by_call() -> StoreOptions {
    StoreOptions {
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        close_checkpoint_record_bytes: u64::MAX,
        ..StoreOptions::default()
    }
}

fn follow(media: &Media, log: Arc<dyn Log>, memtable_bytes: u64) -> Result<Follower> {
    let options = StoreOptions { checkpoint_record_bytes: memtable_bytes, ..StoreOptions::default() };
    Follower::open(Box::new(LocalLog::new(log)), media.checkpointer(), &options)
}

fn put(store: &Store, key: &str, value: &str) -> Lsn {
    store.collection("a").unwrap().put(key, value).unwrap();
    store.stats().log.durable
}

fn get(follower: &Follower, key: &str) -> Option<String> {
    follower.get("a", key).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Makes checkpoints until the log has forgotten everything up to the first of them.
fn trim(store: &Store) {
    for n in 0..2 {
        put(store, "trim", &n.to_string());
        store.checkpoint().unwrap().unwrap();
    }
}

#[test]
fn every_way_to_read_shows_the_state_at_one_position() {
    let media = Media::default();
    let (store, log) = open(&media);
    store.write(Batch::new().put("a", "x1", "1").put("a", "x2", "2").put("a", "y", "3").put("b", "k", "v")).unwrap();
    store.drop_collection("b").unwrap();
    let follower = follow(&media, log, 1 << 20).unwrap();
    let at = put(&store, "x3", "4"); // not refreshed yet
    assert_eq!(follower.position(), Lsn(2));
    assert_eq!(get(&follower, "x1").as_deref(), Some("1"));
    assert_eq!((follower.len("a").unwrap(), follower.is_empty("a").unwrap()), (3, false));
    assert!(follower.is_empty("b").unwrap(), "there is no such collection");
    assert_eq!(follower.iter("a").count(), 3);
    assert_eq!(follower.range("a", "x2"..).count(), 2);
    assert_eq!(follower.prefix("a", "x").rev().count(), 2);
    let names: Vec<_> = follower.collections().unwrap().into_iter().map(|info| (info.name, info.entries)).collect();
    assert_eq!(names, [("a".to_owned(), 3)]);
    let snapshot = follower.snapshot();
    assert_eq!(follower.refresh().unwrap(), at);
    assert_eq!((snapshot.position(), snapshot.len("a").unwrap()), (Lsn(2), 3));
    assert_eq!((follower.position(), follower.len("a").unwrap()), (at, 4));
    assert_eq!(follower.clone().position(), at, "a clone is the same follower");
}

/// The store shows a `Process` write before it is durable. A follower does not.
#[test]
fn what_is_not_durable_is_not_shown() {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(log.clone(), media.checkpointer(), by_call()).unwrap();
    put(&store, "durable", "1");
    log.shut();
    let process = store.collection("a").unwrap().with_durability(Durability::Process);
    process.put("not yet", "2").unwrap();
    assert!(process.get("not yet").unwrap().is_some());
    let follower = follow(&media, log.clone(), 1 << 20).unwrap();
    follower.refresh().unwrap();
    assert_eq!((follower.position(), get(&follower, "not yet")), (Lsn(1), None));
    log.open();
    store.sync().unwrap();
    follower.refresh().unwrap();
    assert_eq!((follower.position(), get(&follower, "not yet").as_deref()), (Lsn(2), Some("2")));
}

#[test]
fn waiting_ends_at_the_position_or_after_the_timeout() {
    let media = Media::default();
    let (store, log) = open(&media);
    let follower = follow(&media, log, 1 << 20).unwrap();
    let began = Instant::now();
    assert!(!follower.wait_for(Lsn(1), Duration::from_millis(30)).unwrap());
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert!(follower.wait_for(Lsn::START, Duration::ZERO).unwrap(), "it is there already");
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            put(&store, "k", "v");
        });
        assert!(follower.wait_for(Lsn(1), Duration::from_secs(60)).unwrap());
    });
    assert_eq!(get(&follower, "k").as_deref(), Some("v"));
}

#[test]
fn where_the_log_is_trimmed_it_goes_on_from_a_newer_checkpoint() {
    let media = Media::default();
    let (store, log) = open(&media);
    put(&store, "kept", "1");
    put(&store, "changed", "1");
    put(&store, "deleted", "1");
    store.create_collection("dropped").unwrap();
    store.create_collection("old name").unwrap();
    let follower = follow(&media, log.clone(), 1 << 20).unwrap();
    let snapshot = follower.snapshot();
    put(&store, "changed", "2");
    store.collection("a").unwrap().delete("deleted").unwrap();
    store.drop_collection("dropped").unwrap();
    store.rename_collection("old name", "new name").unwrap();
    trim(&store);
    let last = put(&store, "last", "1");
    assert!(log.bounds().trimmed > follower.position());
    assert_eq!(follower.refresh().unwrap(), last);
    let read = |key| get(&follower, key);
    assert_eq!((read("kept"), read("changed"), read("deleted")), (Some("1".into()), Some("2".into()), None));
    assert_eq!(read("last").as_deref(), Some("1"));
    let names = |snapshot: &kv_core::Snapshot| -> Vec<String> {
        snapshot.collections().unwrap().into_iter().map(|info| info.name).collect()
    };
    assert_eq!(names(&follower.snapshot()), ["a", "new name"]);
    assert_eq!(names(&snapshot), ["a", "dropped", "old name"], "a snapshot stays as it was");
    assert_eq!(snapshot.get("a", "deleted").unwrap().unwrap(), "1");
}

/// A follower that is behind takes the newest checkpoint also where the log has everything.
#[test]
fn a_follower_that_is_behind_replays_nothing_that_a_checkpoint_has() {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap()); // it is never trimmed
    let store = Store::with_backends(log.clone(), media.checkpointer(), by_call()).unwrap();
    let follower = follow(&media, log, 1 << 20).unwrap();
    for n in 0..100 {
        put(&store, &n.to_string(), &"v".repeat(1000));
    }
    let checkpoint = store.checkpoint().unwrap();
    put(&store, "last", "1");
    follower.refresh().unwrap();
    assert_eq!(follower.checkpoint(), checkpoint);
    assert!(follower.memory_bytes() < 50_000, "{}", follower.memory_bytes());
    assert_eq!((follower.len("a").unwrap(), follower.position()), (101, Lsn(101)));
}

/// However long it follows, and also if there is nothing new but the checkpoint.
#[test]
fn it_holds_what_changed_since_the_newest_checkpoint_and_one_memtable() {
    let media = Media::default();
    let (store, log) = open(&media);
    let follower = follow(&media, log, 64 << 10).unwrap();
    let mut highest = 0;
    for n in 0..400 {
        put(&store, &(n % 100).to_string(), &"v".repeat(2000));
        follower.refresh().unwrap();
        highest = highest.max(follower.memory_bytes());
        if n % 100 == 99 {
            let checkpoint = store.checkpoint().unwrap();
            follower.refresh().unwrap();
            assert_eq!(follower.checkpoint(), checkpoint);
            assert!(follower.memory_bytes() < 150_000, "{}", follower.memory_bytes());
        }
    }
    assert!(highest < 450_000, "{highest}");
    assert_eq!(follower.len("a").unwrap(), 100);
}

#[test]
fn a_damaged_checkpoint_is_left_out_while_the_log_reaches_back() {
    let media = Media::default();
    let (store, log) = open(&media);
    put(&store, "k1", "1");
    let first = store.checkpoint().unwrap().unwrap();
    let early = follow(&media, log.clone(), 1 << 20).unwrap();
    put(&store, "k2", "2");
    let second = store.checkpoint().unwrap().unwrap();
    media.checkpoints.damage(second, CheckpointDamage::Head);
    let late = follow(&media, log, 1 << 20).unwrap();
    let last = put(&store, "k3", "3");
    for follower in [&early, &late] {
        assert_eq!(follower.refresh().unwrap(), last);
        assert_eq!(follower.checkpoint(), Some(first));
        let (bad, error) = follower.bad_checkpoint().unwrap();
        assert!(bad == second && matches!(*error, Error::Corrupt { .. }));
        assert_eq!(follower.len("a").unwrap(), 3);
    }
}

/// A follower that runs for months beside damage in a part that all checkpoints share must not hold
/// ever more in memory. It takes what can be read.
#[test]
fn a_damaged_checkpoint_is_taken_before_memory_grows_without_a_bound() {
    let media = Media::default();
    let (store, log) = open(&media);
    put(&store, "k", "1");
    let first = store.checkpoint().unwrap();
    let a = store.collections().unwrap()[0].id;
    let follower = follow(&media, log, 1).unwrap(); // each record fills a memtable
    put(&store, "k", "2");
    let second = store.checkpoint().unwrap().unwrap();
    media.checkpoints.damage(second, CheckpointDamage::Entries);
    media.checkpointer().open(second).unwrap().get(a, b"k").unwrap_err(); // leaves a flag
    for n in 0..7 {
        put(&store, "other", &n.to_string());
        follower.refresh().unwrap();
        assert_eq!((follower.checkpoint(), get(&follower, "k").as_deref()), (first, Some("2")), "it is not needed");
    }
    for n in 7..30 {
        put(&store, "other", &n.to_string());
        follower.refresh().unwrap();
    }
    assert_eq!((follower.checkpoint(), get(&follower, "other").as_deref()), (Some(second), Some("29")));
    assert!(matches!(follower.get("a", "k"), Err(Error::Corrupt { .. })), "it is not served");
    assert_eq!(follower.bad_checkpoint().unwrap().0, second);
}

/// What a follower has dropped is counted as long as a snapshot holds it.
#[test]
fn what_snapshots_of_a_follower_hold_is_limited() {
    let media = Media::default();
    let (store, log) = open(&media);
    put(&store, "k", &"v".repeat(100_000));
    let options = StoreOptions { snapshot_bytes_max: 50_000, ..StoreOptions::default() };
    let follower = Follower::open(Box::new(LocalLog::new(log)), media.checkpointer(), &options).unwrap();
    let snapshot = follower.snapshot();
    trim(&store);
    follower.refresh().unwrap();
    let refused = follower.snapshot().get("a", "k");
    assert!(matches!(refused, Err(Error::SnapshotsHoldTooMuch { .. })), "{refused:?}");
    assert_eq!(get(&follower, "k").map(|value| value.len()), Some(100_000), "point reads go on");
    drop(snapshot);
    assert_eq!(follower.snapshot().get("a", "k").unwrap().map(|value| value.len()), Some(100_000));
}

#[test]
fn missing_history_is_refused_and_what_was_reached_stays() {
    let media = Media::default();
    let (store, log) = open(&media);
    let first = put(&store, "k", "1");
    let follower = follow(&media, log.clone(), 1 << 20).unwrap();
    trim(&store);
    for id in media.checkpointer().list().unwrap() {
        media.checkpoints.damage(id, CheckpointDamage::Head);
    }
    for _ in 0..2 {
        let refused = follower.refresh();
        assert!(matches!(refused, Err(Error::Unrecoverable(Refusal::HistoryMissing { .. }))), "{refused:?}");
    }
    assert_eq!((follower.position(), get(&follower, "k").as_deref()), (first, Some("1")));
    let refused = follow(&media, log, 1 << 20);
    assert!(matches!(refused, Err(Error::Unrecoverable(Refusal::HistoryMissing { .. }))), "{refused:?}");
}

#[test]
fn a_checkpoint_of_another_log_is_refused() {
    let (media, other) = (Media::default(), Media::default());
    let (store, _log) = open(&media);
    put(&store, "k", "1");
    store.checkpoint().unwrap();
    let (_store, log) = open(&other);
    let refused = follow(&media, log, 1 << 20);
    assert!(matches!(refused, Err(Error::Unrecoverable(Refusal::ForeignCheckpoint { .. }))), "{refused:?}");
}

/// Two keys change together, and their collection is dropped and made again, while one thread
/// refreshes and others read.
#[test]
fn readers_see_one_position_while_another_thread_refreshes() {
    let media = Media::default();
    let (store, log) = open(&media);
    let write = |n: u32| store.write(Batch::new().put("a", "one", n.to_be_bytes()).put("a", "two", n.to_be_bytes()));
    write(0).unwrap();
    let follower = follow(&media, log, 4 << 10).unwrap();
    let done = AtomicBool::new(false);
    let number = |value: kv_core::Value| u32::from_be_bytes(value[..].try_into().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..3000 {
                write(n).unwrap();
                if n % 50 == 0 {
                    store.checkpoint().unwrap();
                }
                if n % 70 == 0 {
                    store.rename_collection("a", "b").unwrap();
                    store.rename_collection("b", "a").unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                thread::sleep(Duration::from_micros(300)); // so that the log is trimmed ahead of it
                follower.refresh().unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut last, mut position) = (0, Lsn::START);
                while !done.load(Ordering::Acquire) {
                    let snapshot = follower.snapshot();
                    let (one, two) = (snapshot.get("a", "one").unwrap(), snapshot.get("a", "two").unwrap());
                    assert!(snapshot.position() >= position, "it went back");
                    position = snapshot.position();
                    if let (Some(one), Some(two)) = (one, two) {
                        let (one, two) = (number(one), number(two));
                        assert!(one == two && one >= last, "{one} and {two} after {last}");
                        last = one;
                    }
                    if let Some(now) = follower.get("a", "one").unwrap() {
                        assert!(number(now) >= last);
                    }
                }
            });
        }
    });
    follower.refresh().unwrap();
    assert_eq!(number(follower.get("a", "one").unwrap().unwrap()), 2999);
}
