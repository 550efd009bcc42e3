//! A reader sees one published state, in any interleaving with the writer: while keys are
//! overwritten, tables grow, memtables are frozen, names change and checkpoints are installed.
//!
//! Loom cannot look into the memory of an arena. It explores the links by which records are found,
//! the tables, the published position and the read view.

use std::{ops::Bound, sync::Arc};

use kv_testkit::interleavings::explore;
use loom::thread;

use super::{Collections, WriterToken};
use crate::{
    Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, CollectionId, CollectionSize, Cursor, Epoch, LogId, Lsn,
    Result, Value, operation::Operation,
};

const ALL: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };
const NEW: CollectionId = CollectionId { lsn: Lsn(2), index: 0 };

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

/// What one record created is seen whole or not at all. If a snapshot loaded its view before its
/// position, it could lack the entry, which is in a newer memtable.
#[test]
fn a_snapshot_takes_a_view_that_has_all_up_to_its_position() {
    let seen = explore("a snapshot during a freeze and a batch", None, || {
        let (collections, mut token) = collections();
        let reader = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let snapshot = collections.snapshot();
                let entries = snapshot.collection("new").unwrap().map(|_| snapshot.len("new").unwrap());
                assert_ne!(entries, Some(0), "the collection is seen without the entry of the same record");
                assert_eq!(snapshot.len("all").unwrap(), 1);
                entries
            }
        });
        collections.freeze(&mut token, Lsn(1), 0);
        let operations =
            [Operation::Create { name: "new" }, Operation::Put { collection: NEW, key: b"k", value: b"2" }];
        apply(&collections, &mut token, Lsn(2), &operations);
        reader.join().unwrap()
    });
    assert_eq!(seen, [None, Some(1)].into());
}

/// Runs `write`, and reads `k` meanwhile in a thread of its own: with a point read, and then
/// through a snapshot, which must show what `at` says of its position.
fn reads_beside(
    name: &str,
    at: impl Fn(Lsn) -> u8 + Send + Sync + Copy + 'static,
    write: impl Fn(&Collections, &mut WriterToken) + Send + Sync + 'static,
) -> Vec<[u8; 2]> {
    let seen = explore(name, None, move || {
        let (collections, mut token) = collections();
        // Not the writer: loom tries nothing else if a thread begins with a load that the other
        // thread begins with as well.
        let reader = thread::spawn({
            let collections = Arc::clone(&collections);
            move || {
                let value = collections.get("all", b"k").unwrap().expect("a published version was not found");
                let snapshot = collections.snapshot();
                let in_snapshot =
                    snapshot.get("all", b"k").unwrap().expect("a snapshot did not find a published version");
                assert_eq!(in_snapshot[0], at(snapshot.position()), "a snapshot at {}", snapshot.position());
                [value, in_snapshot].map(|value: Value| value[0])
            }
        });
        write(&collections, &mut token);
        reader.join().unwrap()
    });
    seen.into_iter().collect()
}

/// For writers that set `k` to each position, in text.
fn each(lsn: Lsn) -> u8 {
    b'0' + lsn.0 as u8
}

fn put(collections: &Collections, writer: &mut WriterToken, lsn: u64, key: &[u8], value: &[u8]) {
    apply(collections, writer, Lsn(lsn), &[Operation::Put { collection: ALL, key, value }]);
}

/// A version is found whatever comes after it. If the published position were loaded after the
/// links, or a link were stored before its record is complete, a reader could miss it.
#[test]
fn reads_during_overwriting() {
    let seen = reads_beside("reads during overwriting", each, |collections, writer| {
        put(collections, writer, 2, b"k", b"2");
        put(collections, writer, 3, b"k", b"3");
    });
    let expected = [*b"11", *b"12", *b"13", *b"22", *b"23", *b"33"];
    assert_eq!(seen, expected, "a later read never sees an older value");
}

/// The table of the one shard grows twice while it is read.
#[test]
fn reads_during_growth() {
    let at = |lsn| if lsn < Lsn(3) { b'1' } else { b'3' };
    let seen = reads_beside("reads while the table grows", at, |collections, writer| {
        let puts = [&b"l"[..], b"m", b"n"].map(|key| Operation::Put { collection: ALL, key, value: b"" });
        apply(collections, writer, Lsn(2), &puts);
        put(collections, writer, 3, b"k", b"3");
    });
    assert_eq!(seen, [*b"11", *b"13", *b"33"]);
}

/// The key is overwritten in a newer memtable than that which a reader began in. If the view were
/// loaded before the position, the reader would lack that memtable.
#[test]
fn reads_during_a_freeze() {
    let seen = reads_beside("reads during a freeze", each, |collections, writer| {
        collections.freeze(writer, Lsn(1), 0);
        put(collections, writer, 2, b"k", b"2");
    });
    assert_eq!(seen, [*b"11", *b"12", *b"22"]);
}

/// A checkpoint takes the place of a frozen memtable. A reader that began at an older position must
/// not take what the checkpoint holds for the state at its position.
#[test]
fn reads_during_the_installation_of_a_checkpoint() {
    let seen = reads_beside("reads while a checkpoint is installed", each, |collections, writer| {
        put(collections, writer, 2, b"k", b"2");
        collections.freeze(writer, Lsn(2), 0);
        collections.install(Arc::new(OneKey::at(Lsn(2))));
    });
    assert_eq!(seen, [*b"11", *b"12", *b"22"]);
}

/// A follower goes on from a checkpoint that is ahead of it. A reader that has loaded the position
/// before must not take what the checkpoint holds for the state there. If the position were
/// published first, a reader could take the old state for the new one.
#[test]
fn reads_during_a_restart_from_a_checkpoint() {
    let seen = reads_beside("reads while a follower goes on from a checkpoint", each, |collections, writer| {
        collections.restart(writer, Arc::new(OneKey::at(Lsn(3))), &[(ALL, "all".into())]);
        put(collections, writer, 4, b"k", b"4");
    });
    assert_eq!(seen, [*b"11", *b"13", *b"14", *b"33", *b"34", *b"44"]);
}

/// A checkpoint at a position, in which the value of every key is the position in text.
struct OneKey(CheckpointId, CheckpointHead);

impl OneKey {
    fn at(lsn: Lsn) -> Self {
        let epoch = Epoch(1);
        Self(CheckpointId { epoch, lsn, seq: 1 }, CheckpointHead { epoch, lsn, log_id: LogId(1) })
    }

    fn value(&self) -> String {
        self.1.lsn.to_string()
    }
}

impl Checkpoint for OneKey {
    fn id(&self) -> CheckpointId {
        self.0
    }

    fn head(&self) -> &CheckpointHead {
        &self.1
    }

    fn get(&self, _: CollectionId, _: &[u8]) -> Result<Option<Value>> {
        Ok(Some(self.value().into()))
    }

    fn get_with(&self, _: CollectionId, _: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        read(self.value().as_bytes());
        Ok(true)
    }

    fn size(&self, _: CollectionId) -> Result<CollectionSize> {
        unreachable!("nothing is counted")
    }

    fn range(&self, _: CollectionId, _: Bound<&[u8]>, _: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        unreachable!("nothing is scanned")
    }

    fn stats(&self) -> CheckpointStats {
        CheckpointStats::default()
    }
}

/// What a snapshot sees of `all`.
fn keys(collections: &Arc<Collections>) -> (Lsn, Vec<Value>) {
    let snapshot = Arc::new(collections.snapshot());
    (snapshot.position(), snapshot.prefix("all", b"").map(|entry| entry.unwrap().key).collect())
}

/// The first scan sorts the existing keys while the writer adds new ones.
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

/// Two first scans at once: the second waits for what the first sorts.
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
        let reader = thread::spawn({
            let collections = Arc::clone(&collections);
            move || collections.get("all", b"k").unwrap()
        });
        let operations = [
            Operation::Rename { collection: ALL, from: "all", to: "other" },
            Operation::Put { collection: ALL, key: b"k", value: b"2" },
        ];
        apply(&collections, &mut token, Lsn(2), &operations);
        reader.join().unwrap().map(|value| value[0])
    });
    assert_eq!(seen, [None, Some(b'1')].into());
}
