//! What a reader registered is never pruned, in every order: the registry by itself, and what snapshots make of it when the view changes.

use std::sync::Arc;

use kv_testkit::interleavings::explore;
use loom::thread;

use super::{Collections, Horizon, Superseded, versions::Versions};
use crate::{
    CollectionId, Lsn, Value,
    operation::Operation,
    sync::{RwLock, read, write},
};

const ALL: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };
const NEW: CollectionId = CollectionId { lsn: Lsn(2), index: 0 };

/// One key: readers register and look at it, a writer overwrites, publishes and prunes.
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
        assert!(write(&key.versions).prune(&visible), "nobody holds it back any more");
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
        assert!(!key.horizon.visible().is_read(Lsn(1), Lsn(2)), "nobody holds it back any more");
        seen
    });
    assert_eq!(seen, [(1, 1), (1, 2), (2, 1), (2, 2)].into());
}

/// Who prunes is not who publishes: a position that is published while the registry is read must not be taken for the oldest.
#[test]
fn pruning_beside_publishing() {
    let seen = explore("the registry, publishing beside pruning", None, || {
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
fn whoever_publishes_last_takes_nothing_back() {
    explore("two who publish", None, || {
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

fn apply(collections: &Collections, lsn: Lsn, operations: &[Operation<'_>], superseded: &mut Superseded) {
    collections.apply(lsn, operations.iter().copied(), superseded);
    collections.horizon.publish(lsn, lsn);
}

/// With the collection `all`, and `k` in it, at position 1.
fn collections() -> Arc<Collections> {
    let collections = Arc::new(Collections::new(None));
    let operations = [Operation::Create { name: "all" }, Operation::Put { collection: ALL, key: b"k", value: b"1" }];
    apply(&collections, Lsn(1), &operations, &mut Superseded::default());
    collections
}

/// What one record created is seen whole or not at all. Were the view not looked at again after the position was registered, a snapshot could have
/// the name and lack the entry, which is in the generation that came after its view.
#[test]
fn a_snapshot_takes_a_view_that_has_all_up_to_its_position() {
    let seen = explore("a snapshot beside a freeze and a batch", None, || {
        let collections = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let mut superseded = Superseded::default();
                collections.freeze(&mut superseded);
                let operations =
                    [Operation::Create { name: "new" }, Operation::Put { collection: NEW, key: b"k", value: b"2" }];
                apply(&collections, Lsn(2), &operations, &mut superseded);
            }
        });
        let snapshot = collections.snapshot();
        let entries = snapshot.collection("new").map(|_| snapshot.len("new").unwrap());
        assert_ne!(entries, Some(0), "the collection is there, and what was put into it with the same record is not");
        assert_eq!(snapshot.len("all").unwrap(), 1);
        drop(snapshot);
        writer.join().unwrap();
        entries
    });
    assert_eq!(seen, [None, Some(1)].into());
}

/// A point read asks for the position under the lock of the shard, and so sees a version that no pruning before has taken.
#[test]
fn reads_beside_pruning() {
    let seen = explore("a point read and a snapshot beside pruning", None, || {
        let collections = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let mut superseded = Superseded::default();
                for (lsn, value) in [(2, b"2"), (3, b"3")] {
                    let operation = Operation::Put { collection: ALL, key: b"k", value };
                    apply(&collections, Lsn(lsn), &[operation], &mut superseded);
                }
                let another = Operation::Put { collection: ALL, key: b"other", value: b"" };
                apply(&collections, Lsn(4), &[another], &mut superseded);
            }
        });
        let value = collections.get("all", b"k").unwrap().expect("a version that can be seen was pruned");
        let snapshot = collections.snapshot();
        let in_snapshot = snapshot.get("all", b"k").unwrap().expect("a version was pruned under a snapshot");
        drop(snapshot);
        writer.join().unwrap();
        [value, in_snapshot].map(|value: Value| value[0])
    });
    let expected = [*b"11", *b"12", *b"13", *b"22", *b"23", *b"33"];
    assert_eq!(seen, expected.into(), "nobody goes back");
}

/// What a snapshot sees of `all`.
fn keys(collections: &Arc<Collections>) -> (Lsn, Vec<Value>) {
    let snapshot = Arc::new(collections.snapshot());
    (snapshot.position(), snapshot.prefix("all", b"").map(|entry| entry.unwrap().key).collect())
}

/// The first scan collects the keys that are there, shard by shard, and the writer adds those that come meanwhile. Only the locks and the flag around
/// the list of keys are explored: loom cannot look into the list itself.
#[test]
fn the_first_scan_beside_a_writer() {
    let seen = explore("the first scan beside a writer", None, || {
        let collections = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let put = Operation::Put { collection: ALL, key: b"l", value: b"2" };
                apply(&collections, Lsn(2), &[put], &mut Superseded::default());
            }
        });
        let (position, seen) = keys(&collections);
        let all: &[&str] = if position >= Lsn(2) { &["k", "l"] } else { &["k"] };
        assert_eq!(seen, all, "at {position}");
        writer.join().unwrap();
        assert_eq!(keys(&collections).1, ["k", "l"], "it is never found any more");
        position
    });
    assert_eq!(seen, [Lsn(1), Lsn(2)].into());
}

/// Two who scan first: the second waits for what the first collects.
#[test]
fn two_first_scans() {
    let seen = explore("two first scans", Some(2), || {
        let collections = collections();
        let other = thread::spawn({
            let collections = Arc::clone(&collections);
            move || keys(&collections).1.len()
        });
        (keys(&collections).1.len(), other.join().unwrap())
    });
    assert_eq!(seen, [(1, 1)].into());
}

/// A record that empties a collection and fills it again is one step. Were its names applied one by one, who has looked up the name in between would take
/// that for the state at its position.
#[test]
fn a_read_beside_a_record_that_clears() {
    let seen = explore("a point read beside a record that clears", None, || {
        let collections = collections();
        let reader = thread::spawn({
            let collections = Arc::clone(&collections);
            move || collections.get("all", b"k").unwrap().expect("the collection was seen empty, or not at all")
        });
        let operations = [
            Operation::Drop { collection: ALL, name: "all" },
            Operation::Create { name: "all" },
            Operation::Put { collection: CollectionId { lsn: Lsn(2), index: 1 }, key: b"k", value: b"2" },
        ];
        apply(&collections, Lsn(2), &operations, &mut Superseded::default());
        reader.join().unwrap()[0]
    });
    assert_eq!(seen, [b'1', b'2'].into());
}

/// One record renames the collection and overwrites its key: under the old name the new value is never seen.
#[test]
fn reads_beside_a_renaming() {
    let seen = explore("a point read beside a renaming", None, || {
        let collections = collections();
        let writer = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let operations = [
                    Operation::Rename { collection: ALL, from: "all", to: "other" },
                    Operation::Put { collection: ALL, key: b"k", value: b"2" },
                ];
                apply(&collections, Lsn(2), &operations, &mut Superseded::default());
            }
        });
        let value = collections.get("all", b"k").unwrap();
        writer.join().unwrap();
        value.map(|value| value[0])
    });
    assert_eq!(seen, [None, Some(b'1')].into());
}
