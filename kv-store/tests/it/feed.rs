//! The change feed over real files. Reading it writes nothing. It needs no checkpoint if the log
//! reaches back to its beginning.

use std::{fs, path::Path, time::Duration};

use kv_store::{Collection, Durability, Error, Lsn, Options, Store};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Event, Fault, Kind},
};

use crate::support::small;

fn writes(event: &Event) -> bool {
    use Kind::{Create, CreateDirectory, Remove, Rename, SetLen, Write};
    matches!(event.kind, Create | CreateDirectory | Remove | Rename | SetLen | Write)
}

fn lazy() -> Options {
    let mut options = small();
    options.store.flush_interval = Duration::from_secs(3600);
    options
}

/// Calls everything that reads.
fn read_all(store: &Store, all: &Collection, keys: u64) {
    let snapshot = store.snapshot();
    assert_eq!(snapshot.position(), Lsn(keys));
    for after in 0..=keys {
        let mut feed = store.changes(Lsn(after)).unwrap();
        assert_eq!(feed.by_ref().map(Result::unwrap).count() as u64, keys - after, "after {after}");
        assert!(!feed.wait(Duration::ZERO));
    }
    assert_eq!(all.len().unwrap(), keys);
    assert_eq!(all.iter().map(Result::unwrap).count() as u64, keys);
    assert!(all.get([0]).unwrap().is_some() && all.first().unwrap().is_some() && all.last().unwrap().is_some());
    assert_eq!(store.collections().unwrap().len(), 1);
    let _ = (store.stats(), store.recovery());
}

/// What a killed process left is durable once it is recovered, though the ack mark does not state
/// it.
#[test]
fn reading_writes_nothing_and_poisons_nothing_on_a_read_only_medium() {
    for durability in [Durability::Disk, Durability::Process] {
        let disk = SimDisk::new(1);
        let store = lazy().open_in(disk.vfs()).unwrap();
        let all = store.collection("all").unwrap();
        for key in 0..10_u8 {
            all.with_durability(durability).put([key], "v").unwrap();
        }
        let killed = disk.killed();
        killed.fail(Fault::when(writes).for_ever());
        let before = killed.files();
        let store = lazy().open_in(killed.vfs()).unwrap();
        let all = store.collection("all").unwrap();
        read_all(&store, &all, 10);
        assert_eq!(killed.failures(), 0, "a write was attempted");
        assert!(killed.files() == before);
        killed.heal();
        all.put([10], "v").unwrap();
        read_all(&store, &all, 11);
        store.close().unwrap();
    }
}

fn damage_manifests(path: &Path, count: usize) {
    let entries = fs::read_dir(path.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let mut manifests: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "manifest")).collect();
    manifests.sort();
    assert!(manifests.len() >= count);
    for path in manifests.iter().rev().take(count) {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

fn with_checkpoints(path: &Path, count: u8) -> Lsn {
    let store = small().open(path).unwrap();
    for round in 0..count {
        for key in 0..100_u8 {
            // Enough bytes that segments are trimmed.
            store.collection("all").unwrap().put([round, key], [0; 400]).unwrap();
        }
        store.checkpoint().unwrap();
    }
    store.close().unwrap();
    store.stats().log.trimmed
}

#[test]
fn bad_checkpoints_do_not_matter_where_the_log_goes_back_to_the_beginning() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    assert_eq!(with_checkpoints(&path, 1), Lsn::START);
    damage_manifests(&path, 1);
    let store = small().open(&path).unwrap();
    assert_eq!(store.recovery().bad_checkpoints.len(), 1);
    for after in [0, 1, 99, 100] {
        let records: Vec<_> = store.changes(Lsn(after)).unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len() as u64, 100 - after);
    }
    store.collection("all").unwrap().put("new", "v").unwrap();
    assert_eq!(store.changes(Lsn(100)).unwrap().map(Result::unwrap).count(), 1);
}

#[test]
fn a_feed_begins_from_the_older_checkpoint_where_the_newest_is_bad() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let trimmed = with_checkpoints(&path, 3);
    assert!(trimmed > Lsn::START && trimmed <= Lsn(200));
    damage_manifests(&path, 1);
    let store = small().open(&path).unwrap();
    assert_eq!(store.recovery().checkpoint.unwrap().lsn, Lsn(200));
    for after in [200, 250, 300] {
        assert_eq!(store.changes(Lsn(after)).unwrap().map(Result::unwrap).count() as u64, 300 - after);
    }
}

/// While the store is open, a feed can begin after the newest checkpoint, although the damaged
/// store could not be reopened.
#[test]
fn bad_checkpoints_are_damage_where_the_names_of_collections_cannot_be_told_otherwise() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    with_checkpoints(&path, 3);
    let store = small().open(&path).unwrap();
    damage_manifests(&path, 2);
    assert!(matches!(store.changes(Lsn(250)), Err(Error::Corrupt { .. })));
    assert_eq!(store.changes(Lsn(300)).unwrap().count(), 0, "the newest is open");
}
