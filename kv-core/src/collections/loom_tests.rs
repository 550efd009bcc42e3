//! No version that is visible at a registered position is ever pruned, in any interleaving. The
//! registry is tested alone, and with snapshots while the read view changes.

use std::sync::Arc;

use kv_testkit::interleavings::explore;
use loom::thread;

use super::{Collections, Horizon, WriterToken, versions::Versions};
use crate::{
    CollectionId, Lsn, Value,
    operation::Operation,
    sync::{RwLock, read, write},
};

const ALL: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };
const NEW: CollectionId = CollectionId { lsn: Lsn(2), index: 0 };

/// One key. Readers register a position and read it; a writer overwrites, publishes and prunes.
struct Key {
    horizon: Horizon,
    versions: RwLock<Versions<u64>>,
}

impl Key {
    fn new() -> Arc<Self> {
        let key = Self { horizon: Horizon::default(), versions: RwLock::new(Versions::new(Lsn(1), Some(1))) };
        key.horizon.publish(Lsn(1), Lsn(1));
        Arc::new(key)
    }

    fn overwrite(&self, lsn: Lsn) {
        write(&self.versions).push(lsn, Some(lsn.0));
        self.horizon.publish(lsn, lsn);
        let visible = self.horizon.visible();
        write(&self.versions).prune(&visible);
    }

    fn read(&self) -> u64 {
        let position = self.horizon.register();
        let seen = read(&self.versions).at(position).flatten().copied();
        self.horizon.release(position);
        assert_eq!(seen, Some(position.0), "the version at a registered position was pruned");
        position.0
    }
}

#[test]
fn a_registered_position_is_not_pruned() {
    let seen = explore("the registry, one reader", None, || {
        let key = Key::new();
        let writer = thread::spawn({
            let key = Arc::clone(&key);
            move || [2, 3].map(|lsn| key.overwrite(Lsn(lsn)))
        });
        let seen = key.read();
        writer.join().unwrap();
        let visible = key.horizon.visible();
        assert!(write(&key.versions).prune(&visible), "no reader holds it back any more");
        seen
    });
    assert_eq!(seen, [1, 2, 3].into());
}

#[test]
fn two_readers_may_register_the_same_position() {
    let seen = explore("the registry, two readers", None, || {
        let key = Key::new();
        let other = thread::spawn({
            let key = Arc::clone(&key);
            move || key.read()
        });
        let writer = thread::spawn({
            let key = Arc::clone(&key);
            move || key.overwrite(Lsn(2))
        });
        let seen = (key.read(), other.join().unwrap());
        writer.join().unwrap();
        assert!(!key.horizon.visible().is_read(Lsn(1), Lsn(2)), "no reader holds it back any more");
        seen
    });
    assert_eq!(seen, [(1, 1), (1, 2), (2, 1), (2, 2)].into());
}

/// A thread other than the pruner may publish. If a position is published while the pruner reads
/// the registry, the pruner must not take it for the oldest position that is read.
#[test]
fn pruning_during_publishing() {
    let seen = explore("the registry, publishing during pruning", None, || {
        let key = Key::new();
        write(&key.versions).push(Lsn(2), Some(2));
        let publisher = thread::spawn({
            let key = Arc::clone(&key);
            move || key.horizon.publish(Lsn(2), Lsn(2))
        });
        let pruner = thread::spawn({
            let key = Arc::clone(&key);
            move || {
                let visible = key.horizon.visible();
                write(&key.versions).prune(&visible);
            }
        });
        let seen = key.read();
        publisher.join().unwrap();
        pruner.join().unwrap();
        seen
    });
    assert_eq!(seen, [1, 2].into());
}

#[test]
fn two_publishers_never_move_the_position_back() {
    explore("two publishers", None, || {
        let key = Key::new();
        let other = thread::spawn({
            let key = Arc::clone(&key);
            move || key.horizon.publish(Lsn(2), Lsn(2))
        });
        key.horizon.publish(Lsn(3), Lsn(3));
        assert_eq!(key.horizon.published(), Lsn(3));
        other.join().unwrap();
        assert_eq!(key.horizon.published(), Lsn(3));
    });
}

fn apply(collections: &Collections, writer: &mut WriterToken, lsn: Lsn, operations: &[Operation<'_>]) {
    collections.apply(writer, lsn, operations.iter().copied());
    collections.horizon.publish(lsn, lsn);
}

/// The collection `all`, with the key `k`, at position 1.
fn collections() -> (Arc<Collections>, WriterToken) {
    let (collections, mut writer) = Collections::new(None, &[]);
    let operations = [Operation::Create { name: "all" }, Operation::Put { collection: ALL, key: b"k", value: b"1" }];
    apply(&collections, &mut writer, Lsn(1), &operations);
    (Arc::new(collections), writer)
}

/// What one record created is seen whole or not at all. If the view were not checked again after
/// the position was registered, a snapshot could have the name and lack the entry, which is in a
/// memtable that is newer than its view.
#[test]
fn a_snapshot_takes_a_view_that_has_all_up_to_its_position() {
    let seen = explore("a snapshot during a freeze and a batch", None, || {
        let (collections, mut token) = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                collections.freeze(&mut token, Lsn(1), 0);
                let operations =
                    [Operation::Create { name: "new" }, Operation::Put { collection: NEW, key: b"k", value: b"2" }];
                apply(&collections, &mut token, Lsn(2), &operations);
            }
        });
        let snapshot = collections.snapshot();
        let entries = snapshot.collection("new").map(|_| snapshot.len("new").unwrap());
        assert_ne!(entries, Some(0), "the collection is seen without the entry of the same record");
        assert_eq!(snapshot.len("all").unwrap(), 1);
        drop(snapshot);
        writer.join().unwrap();
        entries
    });
    assert_eq!(seen, [None, Some(1)].into());
}

/// A point read loads the position under the lock of the shard, so it finds a version that no
/// earlier pruning has dropped.
#[test]
fn reads_during_pruning() {
    let seen = explore("a point read and a snapshot during pruning", None, || {
        let (collections, mut token) = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                for (lsn, value) in [(2, b"2"), (3, b"3")] {
                    let operation = Operation::Put { collection: ALL, key: b"k", value };
                    apply(&collections, &mut token, Lsn(lsn), &[operation]);
                }
                let another = Operation::Put { collection: ALL, key: b"other", value: b"" };
                apply(&collections, &mut token, Lsn(4), &[another]);
            }
        });
        let value = collections.get("all", b"k").unwrap().expect("a visible version was pruned");
        let snapshot = collections.snapshot();
        let in_snapshot = snapshot.get("all", b"k").unwrap().expect("a version was pruned under a snapshot");
        drop(snapshot);
        writer.join().unwrap();
        [value, in_snapshot].map(|value: Value| value[0])
    });
    let expected = [*b"11", *b"12", *b"13", *b"22", *b"23", *b"33"];
    assert_eq!(seen, expected.into(), "a later read never sees an older value");
}

/// What a snapshot sees of `all`.
fn keys(collections: &Arc<Collections>) -> (Lsn, Vec<Value>) {
    let snapshot = Arc::new(collections.snapshot());
    (snapshot.position(), snapshot.prefix("all", b"").map(|entry| entry.unwrap().key).collect())
}

/// The first scan collects the existing keys, shard by shard, while the writer adds new ones. Only
/// the locks and the flag around the set of keys are explored: loom cannot look into the set
/// itself.
#[test]
fn the_first_scan_with_a_writer() {
    let seen = explore("the first scan with a writer", None, || {
        let (collections, mut token) = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let put = Operation::Put { collection: ALL, key: b"l", value: b"2" };
                apply(&collections, &mut token, Lsn(2), &[put]);
            }
        });
        let (position, seen) = keys(&collections);
        let all: &[&str] = if position >= Lsn(2) { &["k", "l"] } else { &["k"] };
        assert_eq!(seen, all, "at {position}");
        writer.join().unwrap();
        assert_eq!(keys(&collections).1, ["k", "l"], "a key is missing from the order");
        position
    });
    assert_eq!(seen, [Lsn(1), Lsn(2)].into());
}

/// Two first scans at once: the second waits for what the first collects.
#[test]
fn two_first_scans() {
    let seen = explore("two first scans", Some(2), || {
        let (collections, _) = collections();
        let other = thread::spawn({
            let collections = Arc::clone(&collections);
            move || keys(&collections).1.len()
        });
        (keys(&collections).1.len(), other.join().unwrap())
    });
    assert_eq!(seen, [(1, 1)].into());
}

/// A record that clears a collection and fills it again is one step. If its names were applied one
/// by one, a reader could look up a name in between, and take what it finds for the state at its
/// position.
#[test]
fn a_read_during_a_record_that_clears() {
    let seen = explore("a point read during a record that clears", None, || {
        let (collections, mut token) = collections();
        let reader = thread::spawn({
            let collections = Arc::clone(&collections);
            move || collections.get("all", b"k").unwrap().expect("the collection was seen empty or absent")
        });
        let operations = [
            Operation::Drop { collection: ALL, name: "all" },
            Operation::Create { name: "all" },
            Operation::Put { collection: CollectionId { lsn: Lsn(2), index: 1 }, key: b"k", value: b"2" },
        ];
        apply(&collections, &mut token, Lsn(2), &operations);
        reader.join().unwrap()[0]
    });
    assert_eq!(seen, [b'1', b'2'].into());
}

/// One record renames the collection and overwrites its key. The new value is never seen under the
/// old name.
#[test]
fn reads_during_a_renaming() {
    let seen = explore("a point read during a renaming", None, || {
        let (collections, mut token) = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let operations = [
                    Operation::Rename { collection: ALL, from: "all", to: "other" },
                    Operation::Put { collection: ALL, key: b"k", value: b"2" },
                ];
                apply(&collections, &mut token, Lsn(2), &operations);
            }
        });
        let value = collections.get("all", b"k").unwrap();
        writer.join().unwrap();
        value.map(|value| value[0])
    });
    assert_eq!(seen, [None, Some(b'1')].into());
}
