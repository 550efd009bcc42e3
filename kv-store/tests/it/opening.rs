//! The directory: its creation, its lock and its missing files. Also, opening writes nothing.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use kv_store::{Durability, Error, LockHolder, Refusal, Store};
use kv_testkit::{
    sim::{CrashChoice, CrashModel, SimDisk, Survivors},
    vfs::{Fault, Kind},
};

use crate::support::{content, copy, files, small};

fn filled(path: &Path) -> Store {
    let store = small().open(path).unwrap();
    let all = store.collection("all").unwrap();
    for key in 0..50_u32 {
        all.put(key.to_be_bytes(), vec![key as u8; 100]).unwrap();
        if key == 20 || key == 40 {
            store.checkpoint().unwrap();
        }
    }
    store
}

#[test]
fn a_store_is_created_with_its_parents_and_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b");
    kv_store::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for directory in [path.clone(), path.join("log"), path.join("checkpoints")] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    for file in files(&path).keys() {
        assert_eq!(mode(Path::new(file)), 0o600, "{file}");
    }
}

#[test]
fn nothing_is_created_where_nothing_was_to_be() {
    let parent = tempfile::tempdir().unwrap();
    for path in [parent.path().to_owned(), parent.path().join("absent")] {
        let error = small().create(false).open(&path).unwrap_err();
        assert!(matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound), "{error:?}");
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_second_opener_is_refused_until_the_last_handle_is_gone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let store = filled(&path);
    let handle = store.collection("all").unwrap();
    assert!(matches!(kv_store::open(&path), Err(Error::Locked { .. })));
    assert!(matches!(kv_store::verify(&path), Err(Error::Locked { .. })));
    store.close().unwrap();
    drop(store);
    assert!(matches!(kv_store::open(&path), Err(Error::Locked { .. })), "one handle is still open");
    drop(handle);
    kv_store::open(&path).unwrap();
}

/// The cause is named, also if it is a handle of a store that was closed.
#[test]
fn an_opener_that_waits_comes_in_when_the_last_handle_is_gone_or_says_how_long_it_has_waited() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let store = filled(&path);
    let handle = store.collection("all").unwrap();
    store.close().unwrap();
    drop(store);
    let at_once = kv_store::open(&path).unwrap_err();
    assert!(matches!(at_once, Error::Locked { waited: Duration::ZERO, .. }), "{at_once:?}");
    assert!(!at_once.to_string().contains("waiting"), "{at_once}");
    let wait = Duration::from_millis(60);
    let begun = Instant::now();
    let refused = small().lock_wait(wait).open(&path).unwrap_err();
    assert!(begun.elapsed() >= wait);
    let Error::Locked { waited, holder, .. } = &refused else { panic!("{refused:?}") };
    assert!(*waited >= wait && *waited <= begun.elapsed(), "{waited:?}");
    let text = refused.to_string();
    assert!(text.contains(&format!("gave up after waiting {waited:.1?}")), "{text}");
    // Some systems hide which process holds a lock.
    assert!(*holder != LockHolder::ThisProcess || text.contains("even after `close`"), "{text}");
    thread::scope(|scope| {
        let opened = scope.spawn(|| small().lock_wait(Duration::from_secs(60)).open(&path));
        thread::sleep(Duration::from_millis(30));
        assert!(!opened.is_finished());
        drop(handle);
        opened.join().unwrap().unwrap();
    });
}

#[test]
fn opening_and_reading_a_closed_or_killed_store_write_no_file() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let store = filled(&path);
    let expected = content(&store).unwrap();
    let killed = parent.path().join("killed");
    copy(&path, &killed);
    store.close().unwrap();
    drop(store);
    for path in [path, killed] {
        let before = files(&path);
        let mut checkpoints_often = small();
        checkpoints_often.store.checkpoint_record_bytes = 1;
        checkpoints_often.store.close_checkpoint_record_bytes = 1;
        for options in [small(), checkpoints_often] {
            let store = options.open(&path).unwrap();
            assert_eq!(content(&store).unwrap(), expected);
            store.close().unwrap();
            drop(store);
            assert!(files(&path) == before, "a file of {} has changed", path.display());
        }
        let verification = kv_store::verify(&path).unwrap();
        assert!(verification.damage.is_empty(), "{verification:?}");
        assert_eq!(verification.checkpoints, 2);
        assert!(files(&path) == before);
    }
}

#[test]
fn both_durabilities_survive_a_killed_process() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let store = small().open(&path).unwrap();
    let all = store.collection("all").unwrap();
    for key in 0..100_u32 {
        let durability = if key % 3 == 0 { Durability::Disk } else { Durability::Process };
        all.with_durability(durability).put(key.to_be_bytes(), "v").unwrap();
        if key % 9 == 0 {
            let image = parent.path().join(key.to_string());
            copy(&path, &image);
            let killed = small().open(&image).unwrap();
            assert_eq!(killed.collection("all").unwrap().len().unwrap(), u64::from(key) + 1);
        }
    }
}

#[test]
fn what_is_missing_is_named_and_nothing_is_made_in_its_place() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    filled(&whole).close().unwrap();
    for missing in ["FORMAT", "log", "checkpoints"] {
        let path = parent.path().join(missing);
        copy(&whole, &path);
        let removed = path.join(missing);
        let remove = if removed.is_dir() { fs::remove_dir_all } else { fs::remove_file };
        remove(&removed).unwrap();
        let before = files(&path);
        let error = kv_store::open(&path).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{missing}: {error:?}");
        assert!(error.to_string().contains(missing), "{error}");
        assert!(files(&path) == before, "nothing was changed");
        let error = small().create(false).open(&path).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{missing}: {error:?}");
        assert_eq!(kv_store::verify(&path).unwrap().damage.len(), 1);
    }
}

#[test]
fn missing_segments_and_checkpoints_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    filled(&whole).close().unwrap();
    let names = |directory: &str, extension: &str| {
        let names = files(&whole.join(directory)).into_keys();
        let mut names: Vec<_> = names.map(|name| Path::new(&name).file_name().unwrap().to_owned()).collect();
        names.retain(|name| Path::new(name).extension().is_some_and(|found| found == extension));
        names
    };
    let without = |title: &str, directory: &str, extension: &str| {
        let path = parent.path().join(title);
        copy(&whole, &path);
        for name in names(directory, extension) {
            fs::remove_file(path.join(directory).join(name)).unwrap();
        }
        small().open(&path).unwrap_err()
    };
    let error = without("no segments", "log", "wal");
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    let error = without("no manifests", "checkpoints", "manifest");
    assert!(matches!(error, Error::Unrecoverable(Refusal::HistoryMissing { checkpoint: None, .. })), "{error:?}");
    let error = without("no parts", "checkpoints", "part");
    assert!(matches!(error, Error::Unrecoverable(Refusal::HistoryMissing { checkpoint: None, .. })), "{error:?}");
}

#[test]
fn a_creation_that_was_cut_off_is_taken_up_again() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    small().open(&path).unwrap();
    fs::remove_file(path.join("FORMAT")).unwrap();
    fs::write(path.join("FORMAT.tmp"), "half").unwrap();
    let store = small().open(&path).unwrap();
    store.collection("all").unwrap().put("k", "v").unwrap();
    assert!(path.join("FORMAT").exists());
}

#[test]
fn the_log_or_the_checkpoints_of_another_store_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| parent.path().join(name));
    for path in [&one, &other] {
        filled(path).close().unwrap();
    }
    let mixed = |title: &str, foreign: &str| {
        let path = parent.path().join(title);
        copy(&one, &path);
        fs::remove_dir_all(path.join(foreign)).unwrap();
        copy(&other.join(foreign), &path.join(foreign));
        let verification = kv_store::verify(&path).unwrap();
        assert_eq!(verification.damage.len(), 1, "{verification:?}");
        small().open(&path).unwrap_err()
    };
    let error = mixed("foreign log", "log");
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    let error = mixed("foreign checkpoints", "checkpoints");
    assert!(matches!(error, Error::Unrecoverable(Refusal::ForeignCheckpoint { .. })), "{error:?}");
}

#[test]
fn each_opening_that_writes_has_an_epoch_above_all_before_it() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let mut epochs = Vec::new();
    for round in 0..4_u8 {
        let store = small().open(&path).unwrap();
        epochs.push(store.recovery().epoch);
        if round == 1 {
            store.checkpoint().unwrap(); // only the checkpoint's name knows of this epoch
        } else {
            store.collection("all").unwrap().put([round], "v").unwrap();
        }
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

#[test]
fn a_creation_whose_last_step_failed_is_made_up_for_before_anything_is_acknowledged() {
    let disk = SimDisk::new(1);
    // The store's directory is synced after its subdirectories were made, and after FORMAT was
    // renamed.
    disk.fail(Fault::when(|event| event.kind == Kind::SyncDirectory && event.path.is_empty()).nth(2));
    assert!(small().open_in(disk.vfs()).is_err());
    assert!(disk.files().contains_key("FORMAT"));
    disk.heal();

    let store = small().open_in(disk.vfs()).unwrap();
    store.collection("all").unwrap().put("k", "v").unwrap();
    let cut = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
    let store = small().open_in(cut.vfs()).unwrap();
    assert_eq!(store.collection("all").unwrap().get("k").unwrap().unwrap(), "v");
}

#[test]
fn a_creation_that_was_killed_and_made_up_for_survives_a_power_cut() {
    let created = SimDisk::new(1);
    drop(small().open_in(created.vfs()).unwrap());
    for stopped_at in 0..created.operations() {
        let disk = SimDisk::new(1);
        disk.stop_at(stopped_at);
        assert!(small().open_in(disk.vfs()).is_err());
        // Names that the killed process created and did not sync are visible to the next one, until
        // the power is cut.
        let killed = disk.killed();
        drop(small().open_in(killed.vfs()).unwrap());
        let cut = killed.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
        let opened = small().open_in(cut.vfs());
        assert!(opened.is_ok(), "locked out after a creation was killed at operation {stopped_at}: {opened:?}");
    }
}

#[test]
fn a_checkpoint_named_with_the_last_epoch_is_damage() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    filled(&path).close().unwrap();
    let name = "checkpoints/ffffffffffffffff-0000000000000001-0000000000000001.manifest";
    fs::write(path.join(name), "").unwrap();
    assert!(matches!(small().open(&path), Err(Error::Corrupt { .. })));
}
