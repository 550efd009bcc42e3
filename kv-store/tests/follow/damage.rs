//! Damage to the files of a store beside a follower: an error, never a wrong answer.

use std::collections::BTreeMap;

use kv_store::{Durability, Error, Follower, Options, Reader, Refusal, Store, StoreOptions};
use kv_testkit::sim::{Damage, SimDisk};

use crate::history::{Expected, History, content, write};

/// Options for stores that make checkpoints by call only.
fn by_call() -> Options {
    let store = StoreOptions {
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        close_checkpoint_record_bytes: u64::MAX,
        ..StoreOptions::default()
    };
    let log = kv_store::LogOptions {
        segment_bytes_max: 32 << 10,
        segment_bytes_min: 32 << 10,
        ..kv_store::LogOptions::default()
    };
    Options { store, log, ..Options::default() }
}

/// A store with two checkpoints, which share no part, and a tail.
fn store(disk: &SimDisk) -> (Store, History) {
    let (store, mut history) = (by_call().open_in(disk.vfs()).unwrap(), History::default());
    for records in [60, 60, 5] {
        for _ in 0..records {
            write(&store, 0, Durability::Disk).unwrap();
            history.push(0);
        }
        if records > 5 {
            store.checkpoint().unwrap().unwrap();
        }
    }
    (store, history)
}

/// What became of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Whole,
    /// A read failed.
    ReadFailed,
    /// It was refused, or a refresh was.
    Refused,
}

fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt { .. } | Error::Unrecoverable(_) | Error::NewerVersion { .. } | Error::OlderVersion { .. }
    )
}

/// Opens and reads everything. What is read must be right.
fn follow(disk: &SimDisk, reader: Reader, history: &History, context: &str) -> Outcome {
    let refuse = |error: Error| {
        assert!(is_damage(&error), "{context}: {}", error.chain());
        Outcome::Refused
    };
    let follower = match by_call().reader(reader).follow_in(disk.vfs()) {
        Ok(follower) => follower,
        Err(error) => return refuse(error),
    };
    let refreshed = follower.refresh().map_or_else(refuse, |_| Outcome::Whole);
    let snapshot = follower.snapshot();
    let expected = Expected::of(history, snapshot.position());
    let read = match content(&snapshot) {
        Ok(content) => {
            assert!(content == expected, "{context}: a wrong state at {}", snapshot.position());
            Outcome::Whole
        }
        Err(error) => {
            refuse(error);
            check_what_can_be_read(&follower, &expected, context);
            Outcome::ReadFailed
        }
    };
    refreshed.max(read)
}

fn check_what_can_be_read(follower: &Follower, expected: &BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>, context: &str) {
    for (collection, entries) in expected {
        for (key, value) in entries {
            match follower.get(collection, key) {
                Ok(found) => assert_eq!(found.as_deref(), Some(value.as_slice()), "{context}"),
                Err(error) => assert!(is_damage(&error), "{context}: {}", error.chain()),
            }
        }
    }
}

/// A bit in every few bytes of each file, through both readers.
#[test]
fn no_flipped_bit_makes_a_follower_show_a_wrong_state() {
    let disk = SimDisk::new(1);
    let (_store, history) = store(&disk);
    let disk = disk.killed(); // a spare may still be prepared on the other one
    let used: BTreeMap<_, _> = disk.files().into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    let mut outcomes = BTreeMap::new();
    for (path, bytes) in &used {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
        for (number, byte) in (0..=end).filter(|byte| bytes[*byte as usize] != 0).step_by(61).enumerate() {
            let damaged = disk.killed();
            assert!(damaged.damage(path, &Damage::FlippedBit(byte * 8 + byte % 8)));
            let before = damaged.files();
            let reader = if number % 2 == 0 { Reader::Mapped } else { Reader::Pread { cache_bytes: 10_000 } };
            let outcome = follow(&damaged, reader, &history, &format!("{path} at byte {byte}"));
            assert!(damaged.files() == before, "{path}: it has left a flag");
            *outcomes.entry((path.rsplit(['.', '/']).next().unwrap(), outcome)).or_insert(0) += 1;
        }
    }
    let count = |kind, outcome| outcomes.get(&(kind, outcome)).copied().unwrap_or(0);
    assert!(count("wal", Outcome::Refused) > 50, "{outcomes:?}");
    assert!(count("part", Outcome::ReadFailed) > 50, "{outcomes:?}");
    assert!(count("manifest", Outcome::Whole) > 3, "{outcomes:?}");
    assert_eq!(count("MARK", Outcome::Refused), 0, "a mark that is torn says nothing: {outcomes:?}");
    assert!(count("FORMAT", Outcome::Refused) > 0, "{outcomes:?}");
}

/// The newest checkpoint is damaged, and the older one and the log stand in, until the owner has
/// made a new one.
#[test]
fn the_older_checkpoint_and_the_log_stand_in_for_a_damaged_one() {
    let disk = SimDisk::new(1);
    let (owner, mut history) = store(&disk);
    let newest = owner.stats().checkpoint.unwrap();
    drop(owner);
    let manifest = disk.paths().into_iter().rfind(|path| path.ends_with(".manifest")).unwrap();
    assert!(disk.damage(&manifest, &Damage::FlippedBit(1000)));
    let follower = by_call().follow_in(disk.vfs()).unwrap();
    assert_eq!(follower.bad_checkpoint().map(|(id, _)| id), Some(newest));
    assert!(follower.checkpoint() < Some(newest));
    crate::history::check(&follower, &history);
    let owner = by_call().open_in(disk.vfs()).unwrap();
    write(&owner, 0, Durability::Disk).unwrap();
    history.push(0);
    let next = owner.checkpoint().unwrap();
    follower.refresh().unwrap();
    assert_eq!(follower.checkpoint(), next);
    crate::history::check(&follower, &history);
}

#[test]
fn without_a_whole_checkpoint_the_missing_history_is_refused() {
    let disk = SimDisk::new(1);
    let (owner, _) = store(&disk);
    drop(owner);
    for manifest in disk.paths().into_iter().filter(|path| path.ends_with(".manifest")) {
        assert!(disk.damage(&manifest, &Damage::FlippedBit(1000)));
    }
    let refused = by_call().follow_in(disk.vfs());
    assert!(matches!(refused, Err(Error::Unrecoverable(Refusal::HistoryMissing { .. }))), "{refused:?}");
}

/// A part that a listed checkpoint names is missing. That is no removal by the owner.
#[test]
fn a_missing_part_is_damage() {
    let disk = SimDisk::new(1);
    let (owner, history) = store(&disk);
    let newest = owner.stats().checkpoint.unwrap();
    let checkpoints = disk.vfs().open_directory("checkpoints").unwrap();
    let part = checkpoints.list().unwrap().into_iter().filter(|name| name.ends_with(".part")).max().unwrap();
    checkpoints.remove(&part).unwrap();
    let follower = by_call().follow_in(disk.vfs()).unwrap();
    let (bad, error) = follower.bad_checkpoint().unwrap();
    assert!(bad == newest && error.chain().contains(&part), "{}", error.chain());
    crate::history::check(&follower, &history);
}
