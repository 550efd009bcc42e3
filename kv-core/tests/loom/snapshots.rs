//! What readers see while keys are overwritten and read views are swapped.

use kv_core::{Batch, Durability, Lsn};
use kv_testkit::interleavings::explore;

use crate::support::Subject;

fn overwrite(subject: &Subject) {
    subject.put(2, Durability::Process).unwrap();
    subject.put(3, Durability::Process).unwrap();
}

#[test]
fn a_point_read_during_overwrites() {
    let seen = explore("a point read during overwrites", None, || {
        let subject = Subject::new();
        let writer = subject.spawn(overwrite);
        let seen = subject.get();
        writer.join().unwrap();
        seen
    });
    assert_eq!(seen, [1, 2, 3].into());
}

#[test]
fn a_snapshot_during_overwrites() {
    let seen = explore("a snapshot during overwrites", None, || {
        let subject = Subject::new();
        let writer = subject.spawn(overwrite);
        let seen = subject.scan();
        writer.join().unwrap();
        seen
    });
    assert_eq!(seen, [1, 2, 3].into());
}

/// Both may register the same position; when the first is dropped, the other one keeps it.
#[test]
fn two_snapshots_during_overwrites() {
    explore("two snapshots during overwrites", Some(2), || {
        let subject = Subject::new();
        let writer = subject.spawn(overwrite);
        let other = subject.spawn(Subject::scan);
        subject.scan();
        other.join().unwrap();
        writer.join().unwrap();
    });
}

/// Names are read at the position of the snapshot, entries in its read view. The two must belong
/// together.
#[test]
fn a_snapshot_during_a_checkpoint_and_a_new_collection() {
    let seen = explore("a snapshot during a checkpoint and a new collection", Some(2), || {
        let subject = Subject::new();
        let writer = subject.spawn(|subject| {
            subject.store.checkpoint().unwrap();
            subject.store.write(Batch::new().put("new", "k", "v")).unwrap();
        });
        let collections = subject.store.collections().unwrap();
        assert!(
            collections.iter().all(|collection| collection.entries == 1),
            "a batch is seen in part: {collections:?}"
        );
        writer.join().unwrap();
        collections.len()
    });
    assert_eq!(seen, [1, 2].into());
}

#[test]
fn reads_during_a_checkpoint_and_an_overwrite() {
    explore("reads during a checkpoint and an overwrite", Some(2), || {
        let subject = Subject::new();
        let writer = subject.spawn(|subject| {
            subject.store.checkpoint().unwrap();
            subject.put(2, Durability::Process).unwrap();
        });
        let (first, second) = (subject.get(), subject.scan());
        assert!(first <= second, "a reader goes back");
        writer.join().unwrap();
        assert_eq!(subject.scan(), 2);
    });
}

/// A checkpoint freezes at one position while a writer goes on. Nothing may be lost between the
/// memtables.
#[test]
fn a_writer_during_a_checkpoint() {
    let in_checkpoint = explore("a writer during a checkpoint", Some(3), || {
        let subject = Subject::new();
        let writer = subject.spawn(|subject| {
            subject.put(2, Durability::Disk).unwrap();
            assert_eq!(subject.get(), 2);
        });
        let id = subject.store.checkpoint().unwrap().unwrap();
        writer.join().unwrap();
        assert_eq!((subject.get(), subject.scan()), (2, 2));
        id.lsn.0
    });
    assert_eq!(in_checkpoint, [1, 2].into());
}

/// The collection is dropped and created again: a reader sees one or the other whole, or none.
#[test]
fn a_snapshot_during_a_drop() {
    let seen = explore("a snapshot during a drop", Some(3), || {
        let subject = Subject::new();
        let reader = subject.spawn(|subject| subject.all.iter().next());
        subject.store.drop_collection("all").unwrap();
        subject.put(2, Durability::Process).unwrap();
        reader.join().unwrap().map(|entry| entry.unwrap().value[0])
    });
    assert_eq!(seen, [None, Some(1), Some(2)].into());
}

/// Between the freeze and the write no lock is held. Each thread may find what the other has
/// frozen, and write it.
#[test]
fn two_checkpoints_at_once() {
    let made = explore("two checkpoints at once", Some(2), || {
        let subject = Subject::new();
        let other = subject.spawn(|subject| subject.store.checkpoint().unwrap().is_some());
        let mine = subject.store.checkpoint().unwrap().is_some();
        let made = (mine, other.join().unwrap());
        assert_eq!(subject.store.stats().checkpoint.map(|id| id.lsn), Some(Lsn(1)));
        assert_eq!((subject.get(), subject.scan()), (1, 1));
        made
    });
    assert_eq!(made, [(false, true), (true, false)].into());
}
