//! Backups: what they hold, what they share, and what is left of one that was interrupted.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use kv_store::{
    Batch, Durability, Error, LogId, Lsn, Options, Reader, Store, Vfs, backup_to, backup_to_in, backups, backups_in,
    restore, restore_in, verify, verify_in,
};
use kv_testkit::{
    sim::{CrashModel, Damage, Exploration, SimDisk},
    vfs::{Event, Fault, Kind, TestVfs},
};

use crate::support::{Content, content, files, idle, small};

/// How many states of the disk are checked by default.
const STATES: u64 = 2_000;

fn open(vfs: Arc<dyn Vfs>) -> Store {
    idle().open_in(vfs).unwrap_or_else(|error| panic!("locked out: {}", error.chain()))
}

/// A store with entries in several parts and in memory.
fn fill(store: &Store) {
    for round in 0..3_u8 {
        for key in 0..20_u8 {
            store.collection("all").unwrap().put([key, round], vec![round; 50]).unwrap();
        }
        store.write(Batch::new().put("round", "last", [round]).delete_if_present("all", [0, round])).unwrap();
        if round < 2 {
            store.checkpoint().unwrap();
        }
    }
    store.rename_collection("round", "rounds").unwrap();
}

/// What a backup holds. It must be sound, and take writes that are there afterwards.
fn check(path: &Path) -> Content {
    let verification = verify(path).unwrap();
    assert!(verification.damage.is_empty(), "{:?}", verification.damage);
    let store = Options::default().create(false).open(path).unwrap();
    content(&store).unwrap()
}

fn check_in(vfs: &Arc<dyn Vfs>) -> Content {
    let verification = verify_in(Arc::clone(vfs)).unwrap();
    assert!(verification.damage.is_empty(), "{:?}", verification.damage);
    content(&open(Arc::clone(vfs))).unwrap()
}

/// What the backups in a directory hold, the newest first.
fn contents(family: &Arc<dyn Vfs>) -> Vec<Content> {
    let backups = backups_in(family).unwrap();
    let names = backups.iter().map(|backup| backup.path.file_name().unwrap().to_str().unwrap());
    names.map(|name| check_in(&family.open_directory(name).unwrap())).collect()
}

#[test]
fn a_backup_holds_what_was_written_before_and_nothing_of_what_came_after() {
    let directory = tempfile::tempdir().unwrap();
    let (data, family) = (directory.path().join("data"), directory.path().join("backups"));
    let store = small().open(&data).unwrap();
    fill(&store);
    let quick = store.collection("all").unwrap().with_durability(Durability::Process);
    quick.put("not flushed", "yet").unwrap();
    let (before, position) = (content(&store).unwrap(), store.stats().published);
    let first = backup_to(&store, &family).unwrap();
    assert_eq!(first.path, family.join("backup-0000000001"));
    assert_eq!(first.origin.position, position);
    quick.put("later", "1").unwrap();
    store.drop_collection("rounds").unwrap();
    let after = content(&store).unwrap();
    let second = backup_to(&store, &family).unwrap();
    assert_eq!((check(&first.path), check(&second.path)), (before, after.clone()));
    assert_eq!(content(&store).unwrap(), after);

    let listed = backups(&family).unwrap();
    assert_eq!(listed.iter().map(|backup| backup.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((&listed[0].path, listed[0].origin), (&second.path, Some(second.origin)));
    assert_eq!(kv_store::origin(&first.path).unwrap(), Some(first.origin));
    assert_eq!(kv_store::origin(&data).unwrap(), None);
}

/// Threads write pairs that must agree, while backups are made, and parts are merged.
#[test]
fn a_backup_beside_writers_is_the_state_at_one_position() {
    let directory = tempfile::tempdir().unwrap();
    let family = directory.path().join("backups");
    let mut options = Options::default().durability(Durability::Process);
    options.store.checkpoint_record_bytes = 64 << 10;
    let store = options.open(directory.path().join("data")).unwrap();
    let (done, written) = (AtomicBool::new(false), [AtomicU64::new(0), AtomicU64::new(0)]);
    let seen: Vec<(Vec<u64>, kv_store::Copied)> = thread::scope(|scope| {
        for (writer, written) in written.iter().enumerate() {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut number = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    let key = [writer as u8, (number % 200) as u8];
                    let value = number.to_be_bytes();
                    let last = [writer as u8];
                    store
                        .write(Batch::new().put("a", key, value).put("b", key, value).put("last", last, value))
                        .unwrap();
                    written.store(number, Ordering::Release);
                }
            });
        }
        while written.iter().any(|written| written.load(Ordering::Acquire) == 0) {
            thread::yield_now();
        }
        let made = (0..6).map(|round| {
            let before = written.iter().map(|written| written.load(Ordering::Acquire)).collect();
            let backup = backup_to(&store, &family).unwrap();
            if round % 2 == 0 {
                store.compact().unwrap();
            }
            (before, backup)
        });
        let made = made.collect();
        done.store(true, Ordering::Relaxed);
        made
    });
    for (before, backup) in seen {
        let content = check(&backup.path);
        assert_eq!(content["a"], content["b"]);
        for (writer, before) in before.into_iter().enumerate().filter(|(_, before)| *before > 0) {
            let last = u64::from_be_bytes(content["last"][&vec![writer as u8]][..].try_into().unwrap());
            assert!(last >= before, "writer {writer} had written {before}, and the backup has {last}");
            // All of that writer's last pairs, and none beyond.
            let newest = content["a"].iter().filter(|(key, _)| key[0] == writer as u8);
            assert_eq!(newest.map(|(_, value)| u64::from_be_bytes(value[..].try_into().unwrap())).max(), Some(last));
        }
    }
}

#[test]
fn what_has_not_changed_is_shared_and_survives_the_removal_of_other_backups() {
    let directory = tempfile::tempdir().unwrap();
    let family = directory.path().join("backups");
    let store = small().open(directory.path().join("data")).unwrap();
    fill(&store);
    let first = backup_to(&store, &family).unwrap();
    assert_eq!(first.copied_bytes, 0, "it is on the same file system");
    let second = backup_to(&store, &family).unwrap();
    assert_eq!((second.linked_bytes, second.copied_bytes), (first.linked_bytes, 0));
    let parts = |path: &Path| -> BTreeMap<_, _> {
        let entries = fs::read_dir(path.join("checkpoints")).unwrap().map(Result::unwrap);
        let parts = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "part"));
        parts.map(|entry| (entry.file_name(), entry.metadata().unwrap().ino())).collect()
    };
    assert_eq!(parts(&first.path), parts(&second.path));
    let before = content(&store).unwrap();
    store.collection("all").unwrap().put("new", "entry").unwrap();
    store.compact().unwrap();
    let third = backup_to(&store, &family).unwrap();
    assert!(parts(&third.path).values().all(|inode| !parts(&second.path).values().any(|other| other == inode)));
    fs::remove_dir_all(&first.path).unwrap();
    fs::remove_dir_all(directory.path().join("backups/backup-0000000003")).unwrap();
    assert_eq!(check(&second.path), before);
    let fourth = backup_to(&store, &family).unwrap();
    assert!(fourth.path.ends_with("backup-0000000003"), "{}", fourth.path.display());
    drop(store);
    fs::remove_dir_all(directory.path().join("data")).unwrap();
    assert_eq!(check(&second.path), before);
}

/// On another disk the first backup is copied, and the next one shares what it can with that.
#[test]
fn backups_on_another_disk_share_with_each_other() {
    let (disk, other) = (SimDisk::new(1), SimDisk::new(2));
    let store = open(disk.vfs());
    fill(&store);
    let first = backup_to_in(&store, &other.vfs()).unwrap();
    assert_eq!(first.linked_bytes, 0);
    store.collection("all").unwrap().put("new", "entry").unwrap();
    let second = backup_to_in(&store, &other.vfs()).unwrap();
    assert_eq!(second.linked_bytes, first.copied_bytes);
    assert!(second.copied_bytes > 0 && second.copied_bytes < first.copied_bytes);
    let now = content(&store).unwrap();
    drop(store);
    assert_eq!(contents(&other.vfs())[0], now);
    assert_eq!(contents(&other.vfs()).len(), 2);
}

/// What was there is there, and whatever is listed as a backup is one, after any crash while the
/// first or the second one is made.
#[test]
fn a_backup_can_be_interrupted_anywhere() {
    for earlier in [false, true] {
        let exploration = Exploration::from_env(STATES);
        let disk = SimDisk::new(exploration.seed());
        let family = disk.vfs().create_directory("backups").unwrap();
        let data = disk.vfs().create_directory("data").unwrap();
        disk.vfs().sync_directory().unwrap();
        let store = open(data);
        fill(&store);
        let mut expected = Vec::new();
        if earlier {
            backup_to_in(&store, &family).unwrap();
            expected.push(content(&store).unwrap());
            store.collection("all").unwrap().put("new", "entry").unwrap();
        }
        expected.insert(0, content(&store).unwrap());
        disk.record();
        backup_to_in(&store, &family).unwrap();
        let done_at = disk.operations();
        drop(store);
        let recording = disk.take_recording();
        let count = exploration.run("backup", &recording, &CrashModel::ALL, &|moment, _, left| {
            let family = left.vfs().open_directory("backups").unwrap();
            let found = contents(&family);
            match found.len() == expected.len() {
                true => assert_eq!(found, expected),
                false => {
                    assert!(moment.operation < done_at, "a backup is lost");
                    assert_eq!(found, expected[1..]);
                }
            }
            let store = open(left.vfs().open_directory("data").unwrap());
            assert_eq!(content(&store).unwrap(), expected[0]);
            backup_to_in(&store, &family).unwrap_or_else(|error| panic!("no other one: {}", error.chain()));
            assert_eq!(contents(&family)[0], expected[0]);
        });
        assert!(count.states > 500, "{count}");
    }
}

/// Whatever fails, no backup is listed that is none, the store goes on, and the next one succeeds.
#[test]
fn a_backup_that_fails_at_any_operation_is_none() {
    let (mut failed, mut nth) = (0, 1);
    loop {
        let disk = SimDisk::new(1);
        let family = disk.vfs().create_directory("backups").unwrap();
        let store = open(disk.vfs().create_directory("data").unwrap());
        fill(&store);
        let expected = content(&store).unwrap();
        let operations = disk.failures();
        disk.fail(Fault::on_any().nth(nth).with(io::ErrorKind::StorageFull));
        let made = backup_to_in(&store, &family);
        let has_failed = disk.failures() > operations;
        disk.heal();
        failed += u64::from(made.is_err());
        let found = contents(&family);
        assert!(found.iter().all(|found| *found == expected), "after operation {nth}");
        assert!(made.is_err() || found.len() == 1, "after operation {nth}");
        if store.checkpoint().is_ok() {
            backup_to_in(&store, &family).unwrap();
            assert_eq!(contents(&family)[0], expected, "after operation {nth}");
        }
        if !has_failed {
            break;
        }
        nth += 1;
    }
    assert!(failed > 50, "{failed} of {nth}");
}

/// What is being copied is not removed, whatever happens to the store meanwhile.
#[test]
fn merges_and_checkpoints_go_on_beside_a_backup() {
    for (reader, on_another_disk) in [(Reader::Mapped, false), (Reader::Pread { cache_bytes: 1 << 20 }, true)] {
        let disk = SimDisk::new(1);
        let family =
            if on_another_disk { SimDisk::new(2).vfs() } else { disk.vfs().create_directory("backups").unwrap() };
        let slot: Arc<Mutex<Option<Store>>> = Arc::default();
        let meanwhile = {
            let slot = Arc::clone(&slot);
            move |event: &Event| {
                // Links are tried on both disks.
                if event.kind == Kind::Link
                    && let Some(store) = slot.lock().unwrap().take()
                {
                    store.collection("all").unwrap().put("meanwhile", "x").unwrap();
                    store.compact().unwrap();
                    store.collection("all").unwrap().put("meanwhile", "y").unwrap();
                    store.checkpoint().unwrap();
                    store.compact().unwrap();
                }
            }
        };
        let data = TestVfs::before(disk.vfs().create_directory("data").unwrap(), meanwhile).unwrap();
        let store = idle().reader(reader).open_in(data).unwrap();
        fill(&store);
        let expected = content(&store).unwrap();
        *slot.lock().unwrap() = Some(store.clone());
        backup_to_in(&store, &family).unwrap();
        assert!(slot.lock().unwrap().is_none(), "it was reached");
        assert_eq!(contents(&family), [expected]);
        let now = content(&store).unwrap();
        assert_eq!(&now["all"][&b"meanwhile"[..]], b"y");
        backup_to_in(&store, &family).unwrap();
        assert_eq!(contents(&family)[0], now);
    }
}

#[test]
fn damage_is_not_backed_up() {
    let disk = SimDisk::new(1);
    let family = disk.vfs().create_directory("backups").unwrap();
    let store = open(disk.vfs().create_directory("data").unwrap());
    fill(&store);
    store.checkpoint().unwrap();
    let part = disk.paths().into_iter().rfind(|path| path.ends_with(".part")).unwrap();
    disk.damage(&part, &Damage::FlippedBit(5000 * 8 + 3));
    let refused = backup_to_in(&store, &family).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { .. }), "{}", refused.chain());
    assert!(contents(&family).is_empty());
}

/// Any backends: everything is read through them, at one position, beside writers.
#[test]
fn a_store_in_memory_is_backed_up_into_files() {
    let directory = tempfile::tempdir().unwrap();
    let family = directory.path().join("backups");
    let store = Store::in_memory().unwrap();
    fill(&store);
    store.collection("all").unwrap().with_durability(Durability::Process).put("long", vec![7; 100_000]).unwrap();
    store.create_collection("empty").unwrap();
    let expected = content(&store).unwrap();
    let first = backup_to(&store, &family).unwrap();
    assert!(first.copied_bytes > 100_000 && first.linked_bytes == 0);
    assert_eq!(first.origin.position, store.stats().published);
    let numbers = store.collection("numbers").unwrap();
    let second = thread::scope(|scope| {
        let writer = scope.spawn(|| (0..2000_u32).for_each(|n| numbers.put(n.to_be_bytes(), "").unwrap()));
        let second = backup_to(&store, &family).unwrap();
        writer.join().unwrap();
        second
    });
    assert_eq!(check(&first.path), expected);
    let found = check(&second.path).remove("numbers").unwrap_or_default();
    assert!(found.into_keys().eq((0..).map_while(|n: u32| {
        (first.origin.position.0 + u64::from(n) < second.origin.position.0).then(|| n.to_be_bytes().to_vec())
    })));
    let restored = restore(&first.path, directory.path().join("restored")).unwrap();
    assert_eq!(check(&restored.path), expected);
}

/// Whatever is damaged in an earlier backup, another one can be made, and is whole.
#[test]
fn damage_to_a_backup_keeps_none_from_being_made() {
    let disk = SimDisk::new(1);
    let family = disk.vfs().create_directory("backups").unwrap();
    let store = open(disk.vfs().create_directory("data").unwrap());
    fill(&store);
    let expected = content(&store).unwrap();
    backup_to_in(&store, &family).unwrap();
    let of_backup = |path: &String| path.starts_with("backups/backup-0000000001/");
    for path in disk.paths().into_iter().filter(of_backup) {
        let damaged = disk.killed();
        let is_shared = path.ends_with(".part"); // the store has the same damage
        if is_shared || !damaged.damage(&path, &Damage::FlippedBit(8 * 20)) {
            continue;
        }
        let family = damaged.vfs().open_directory("backups").unwrap();
        let store = open(damaged.vfs().open_directory("data").unwrap());
        backup_to_in(&store, &family).unwrap_or_else(|error| panic!("{path}: {}", error.chain()));
        let second = family.open_directory("backup-0000000002").unwrap();
        assert_eq!(check_in(&second), expected, "{path}");
        let listed = backups_in(&family).unwrap();
        assert_eq!(listed.len(), 2, "{path}");
        assert_eq!(listed[1].origin.is_none(), path.ends_with("ORIGIN"), "{path}");
        let first = verify_in(family.open_directory("backup-0000000001").unwrap());
        let is_noticed = first.is_err() || !first.unwrap().damage.is_empty();
        // As `verify` says: the mark, and what only locks.
        assert!(is_noticed || path.ends_with("LOCK") || path.ends_with("MARK"), "{path}");
    }
}

/// A backup that finds no room gives back what it has taken.
#[test]
fn a_backup_that_fails_leaves_no_files() {
    let (disk, other) = (SimDisk::new(1), SimDisk::new(2));
    let store = open(disk.vfs());
    let room = 100 << 10;
    store.collection("all").unwrap().put("long", vec![1; room as usize]).unwrap();
    store.checkpoint().unwrap();
    fill(&store); // what is newer is copied first
    other.limit_space(room);
    let refused = backup_to_in(&store, &other.vfs()).unwrap_err();
    assert!(matches!(refused, Error::DiskFull { .. }), "{refused:?}");
    assert_eq!(other.space_bytes(), 0, "{:?}", other.file_bytes());
    other.heal();
    backup_to_in(&store, &other.vfs()).unwrap();
    assert_eq!(contents(&other.vfs()), [content(&store).unwrap()]);
}

#[test]
fn what_is_not_a_backup_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let family = directory.path().join("backups");
    fs::create_dir_all(family.join("backup-0000000003")).unwrap();
    fs::write(family.join("backup-0000000004"), "a file").unwrap();
    fs::write(family.join("backup-5"), "another").unwrap();
    fs::write(family.join("notes"), "mine").unwrap();
    assert!(backups(&family).unwrap().is_empty());
    let store = kv_store::open(directory.path().join("data")).unwrap();
    store.collection("users").unwrap().put("alice", "Alice").unwrap();
    let made = backup_to(&store, &family).unwrap();
    assert!(made.path.ends_with("backup-0000000005"), "{}", made.path.display());
    assert_eq!(backups(&family).unwrap().len(), 1);
    assert_eq!(fs::read(family.join("notes")).unwrap(), b"mine");
}

#[test]
fn a_backup_without_entries_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = kv_store::open(directory.path().join("data")).unwrap();
    let backup = backup_to(&store, directory.path().join("backups")).unwrap();
    assert_eq!((backup.origin.position, check(&backup.path)), (Lsn::START, Content::new()));
    let restored = restore(&backup.path, directory.path().join("restored")).unwrap();
    let restored = kv_store::open(restored.path).unwrap();
    restored.collection("users").unwrap().put("alice", "Alice").unwrap();
    assert_eq!(restored.stats().published, Lsn(1));
}

#[test]
fn what_cannot_be_backed_up_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let family = directory.path().join("backups");
    let data = directory.path().join("data");
    let store = kv_store::open(&data).unwrap();
    store.collection("users").unwrap().put("alice", "Alice").unwrap();
    let refused = backup_to(&store, &data).unwrap_err().to_string();
    assert!(refused.contains("is the directory of a store"), "{refused}");
    assert!(files(&data).keys().all(|path| !path.contains("backup")));
    store.close().unwrap();
    assert!(matches!(backup_to(&store, &family), Err(Error::Closed)));
    assert!(backups(&family).unwrap().is_empty());
}

#[test]
fn one_backup_is_made_at_a_time() {
    let disk = SimDisk::new(1);
    let family = disk.vfs().create_directory("backups").unwrap();
    let store = open(disk.vfs().create_directory("data").unwrap());
    let other = Arc::clone(&family);
    let refused: Arc<Mutex<Vec<bool>>> = Arc::default();
    let beside = {
        let (store, refused) = (store.clone(), Arc::clone(&refused));
        move |event: &Event| {
            if event.kind == Kind::Rename && event.to.starts_with("backup-") {
                let second = backup_to_in(&store, &other);
                refused.lock().unwrap().push(matches!(second, Err(Error::Locked { .. })));
            }
        }
    };
    let watched: Arc<dyn Vfs> = TestVfs::before(Arc::clone(&family), beside).unwrap();
    backup_to_in(&store, &watched).unwrap();
    assert_eq!(*refused.lock().unwrap(), [true]);
    backup_to_in(&store, &family).unwrap();
}

/// Two processes that restore to the same place do not disturb each other.
#[test]
fn one_restoring_to_a_place_is_made_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = kv_store::open(directory.path().join("data")).unwrap();
    store.collection("users").unwrap().put("alice", "Alice").unwrap();
    let [one, two] = [1, 2].map(|_| backup_to(&store, directory.path().join("backups")).unwrap().path);
    let to = directory.path().join("restored");
    let results: Vec<_> = thread::scope(|scope| {
        let to = &to;
        let restoring = [&one, &two].map(|backup| scope.spawn(move || restore(backup, to)));
        restoring.map(|restoring| restoring.join().unwrap()).into()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert_eq!(check(&to), content(&store).unwrap());
}

/// A restored store shares nothing with the backup, goes on by itself, and has another identity.
#[test]
fn a_restored_store_is_a_store_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (data, family) = (directory.path().join("data"), directory.path().join("backups"));
    let store = small().open(&data).unwrap();
    fill(&store);
    let expected = content(&store).unwrap();
    let backup = backup_to(&store, &family).unwrap();
    let before = files(&backup.path);
    let restored: Vec<_> =
        ["one", "two"].map(|name| restore(&backup.path, directory.path().join(name)).unwrap()).into();
    let unlocked = |files: BTreeMap<String, Vec<u8>>| -> Vec<_> {
        files.into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect()
    };
    assert_eq!(unlocked(files(&backup.path)), unlocked(before), "the backup is as it was");
    let identity =
        |path: &Path| LogId(u128::from_le_bytes(fs::read(path.join("FORMAT")).unwrap()[40..56].try_into().unwrap()));
    let identities = [&data, &backup.path, &restored[0].path, &restored[1].path].map(|path| identity(path));
    assert!((0..4).all(|a| (0..a).all(|b| identities[a] != identities[b])), "{identities:?}");
    assert_eq!(restored[0].origin.log_id, identities[1]);
    for restored in &restored {
        assert_eq!(restored.linked_bytes, 0);
        assert_eq!(check(&restored.path), expected);
        let inodes =
            |path: &Path| -> Vec<u64> { files(path).keys().map(|path| fs::metadata(path).unwrap().ino()).collect() };
        assert!(inodes(&restored.path).iter().all(|inode| !inodes(&backup.path).contains(inode)));
        let store = small().open(&restored.path).unwrap();
        store.collection("all").unwrap().put(restored.path.to_str().unwrap(), "new").unwrap();
        store.checkpoint().unwrap();
        store.compact().unwrap();
        assert_eq!(store.stats().published, backup.origin.position.next());
    }
    for restored in &restored {
        let content = check(&restored.path);
        assert_eq!(content["all"].len(), expected["all"].len() + 1);
        assert!(content["all"].contains_key(restored.path.to_str().unwrap().as_bytes()));
    }
    // Files of a copy do not belong to the original.
    let mut names = fs::read_dir(backup.path.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let manifest = names.find(|path| path.extension().is_some_and(|extension| extension == "manifest")).unwrap();
    store.close().unwrap();
    drop(store);
    fs::copy(&manifest, data.join("checkpoints").join(manifest.file_name().unwrap())).unwrap();
    assert!(matches!(kv_store::open(&data), Err(Error::Unrecoverable(kv_store::Refusal::ForeignCheckpoint { .. }))));
}

/// A backup that was opened and written to is restored as it is now.
#[test]
fn a_backup_that_was_written_to_is_restored_with_that() {
    let directory = tempfile::tempdir().unwrap();
    let store = small().open(directory.path().join("data")).unwrap();
    fill(&store);
    let backup = backup_to(&store, directory.path().join("backups")).unwrap();
    let copy = small().open(&backup.path).unwrap();
    copy.collection("all").unwrap().put("written", "since").unwrap();
    let expected = content(&copy).unwrap();
    assert!(matches!(restore(&backup.path, directory.path().join("restored")), Err(Error::Locked { .. })));
    drop(copy);
    let restored = restore(&backup.path, directory.path().join("restored")).unwrap();
    assert_eq!(check(&restored.path), expected);
}

#[test]
fn restoring_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = kv_store::open(directory.path().join("data")).unwrap();
    store.collection("users").unwrap().put("alice", "Alice").unwrap();
    let backup = backup_to(&store, directory.path().join("backups")).unwrap();
    let kind = |to: &Path| match restore(&backup.path, to) {
        Err(Error::Io { source, .. }) => source.kind(),
        other => panic!("{other:?}"),
    };
    fs::create_dir(directory.path().join("empty")).unwrap();
    fs::write(directory.path().join("file"), "kept").unwrap();
    for taken in ["empty", "file", "data"] {
        assert_eq!(kind(&directory.path().join(taken)), io::ErrorKind::AlreadyExists, "{taken}");
    }
    assert_eq!(kind(Path::new("/")), io::ErrorKind::InvalidInput);
    assert_eq!(fs::read(directory.path().join("file")).unwrap(), b"kept");
    let absent = restore(directory.path().join("absent"), directory.path().join("new"));
    assert!(matches!(absent, Err(Error::Io { .. })), "{absent:?}");
    assert!(!directory.path().join("new").exists());
}

/// What is in the place where a copy would be made, and was not left by one, stays.
#[test]
fn what_others_have_put_beside_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = kv_store::open(at("data")).unwrap();
    store.collection("users").unwrap().put("alice", "Alice").unwrap();
    let backup = backup_to(&store, at("backups")).unwrap();
    store.close().unwrap();
    let lay: [fn(&Path); 4] = [
        |at| fs::write(at.join("notes"), "mine").unwrap(),
        |at| {
            fs::create_dir(at.join("log")).unwrap();
            fs::write(at.join("log/today"), "mine").unwrap();
        },
        |at| {
            fs::write(at.join("COPYING"), "a licence").unwrap();
            fs::write(at.join("README"), "mine").unwrap();
        },
        |at| drop(kv_store::open(at).unwrap()),
    ];
    for lay in lay {
        fs::create_dir(at("restored.tmp")).unwrap();
        lay(&at("restored.tmp"));
        let before = files(&at("restored.tmp"));
        let refused = restore(&backup.path, at("restored")).unwrap_err();
        assert!(refused.chain().contains("rename or remove it"), "{}", refused.chain());
        assert_eq!(files(&at("restored.tmp")), before);
        fs::remove_dir_all(at("restored.tmp")).unwrap();
    }
    fs::create_dir_all(at("backups/backup.tmp")).unwrap();
    fs::write(at("backups/backup.tmp/notes"), "mine").unwrap();
    let store = {
        drop(store);
        kv_store::open(at("data")).unwrap()
    };
    assert!(matches!(backup_to(&store, at("backups")), Err(Error::Io { .. })));
    assert_eq!(fs::read(at("backups/backup.tmp/notes")).unwrap(), b"mine");
}

#[test]
fn restoring_can_be_interrupted_anywhere() {
    let exploration = Exploration::from_env(STATES);
    let disk = SimDisk::new(exploration.seed());
    let family = disk.vfs().create_directory("backups").unwrap();
    disk.vfs().sync_directory().unwrap();
    let store = open(SimDisk::new(2).vfs());
    fill(&store);
    let expected = content(&store).unwrap();
    backup_to_in(&store, &family).unwrap();
    disk.record();
    let backup =
        |disk: &SimDisk| disk.vfs().open_directory("backups").unwrap().open_directory("backup-0000000001").unwrap();
    restore_in(backup(&disk), &disk.vfs(), "restored").unwrap();
    let done_at = disk.operations();
    let count = exploration.run("restore", &disk.take_recording(), &CrashModel::ALL, &|moment, _, left| {
        assert_eq!(contents(&left.vfs().open_directory("backups").unwrap()), std::slice::from_ref(&expected));
        if left.vfs().open_directory("restored").is_err() {
            assert!(moment.operation < done_at, "the restored store is lost");
            match restore_in(backup(left), &left.vfs(), "restored") {
                Ok(_) => {}
                // It lacks nothing but its name. It might be a store of someone else.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                    assert!(
                        left.vfs()
                            .open_directory("restored.tmp")
                            .unwrap()
                            .list()
                            .unwrap()
                            .contains(&"FORMAT".to_owned())
                    );
                    left.vfs().rename("restored.tmp", "restored").unwrap();
                }
                Err(error) => panic!("{}", error.chain()),
            }
        }
        assert_eq!(check_in(&left.vfs().open_directory("restored").unwrap()), expected);
    });
    assert!(count.states > 500, "{count}");
}
