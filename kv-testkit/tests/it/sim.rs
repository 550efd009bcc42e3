//! The simulated disk does what real disks are known to do, and nothing else.

use std::{collections::BTreeSet, io::ErrorKind, sync::Arc};

use kv_testkit::sim::{CrashChoice, CrashModel, SimDisk, Survivors};
use kv_vfs::{Access, File};

pub const POWER_CUTS: [CrashModel; 3] = [CrashModel::Ext4, CrashModel::Xfs, CrashModel::Posix];

pub fn written(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.vfs().create(name).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// A disk with a durable file `f`.
pub fn with_old() -> SimDisk {
    let disk = SimDisk::new(1);
    written(&disk, "f", b"old").sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    disk
}

pub fn content(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    disk.files().remove(name)
}

/// What is left of a file if nothing survives that was not synced, as in the measured power cuts.
pub fn left(disk: &SimDisk, model: CrashModel, name: &str) -> Option<Vec<u8>> {
    content(&disk.crash(&CrashChoice { model, survivors: Survivors::Nothing }), name)
}

/// What may be left of a file, over all states.
fn all_left(disk: &SimDisk, model: CrashModel, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    let states = disk.crash_states(model, 100_000, 0);
    states.iter().map(|choice| content(&disk.crash(choice), name)).collect()
}

#[test]
fn a_killed_process_loses_nothing() {
    let disk = with_old();
    let file = written(&disk, "g", b"new");
    disk.vfs().rename("g", "f").unwrap();
    file.write_all_at(b"er", 3).unwrap();
    for choice in disk.crash_states(CrashModel::Killed, 10, 0) {
        let left = disk.crash(&choice);
        assert_eq!(left.files(), disk.files());
        // It is still only in the cache, though.
        assert_eq!(self::left(&left, CrashModel::Posix, "f").unwrap(), b"old");
    }
}

#[test]
fn created_written_synced_without_its_directory() {
    let disk = SimDisk::new(1);
    written(&disk, "f", b"new").sync_data().unwrap();
    assert_eq!(left(&disk, CrashModel::Ext4, "f").unwrap(), b"new");
    assert_eq!(left(&disk, CrashModel::Xfs, "f").unwrap(), b"new");
    assert_eq!(left(&disk, CrashModel::Posix, "f"), None, "POSIX promises nothing");
}

#[test]
fn created_written_and_only_the_directory_synced() {
    let disk = SimDisk::new(1);
    written(&disk, "f", b"new");
    disk.vfs().sync_directory().unwrap();
    for model in POWER_CUTS {
        assert_eq!(left(&disk, model, "f").unwrap(), b"", "{model}");
    }
    let states = [&b""[..], b"new", b"\0\0\0"].map(|bytes| Some(bytes.to_vec()));
    assert!(all_left(&disk, CrashModel::Posix, "f").is_superset(&states.into()));
    assert_eq!(all_left(&disk, CrashModel::Xfs, "f"), [Some(b"".to_vec()), Some(b"new".to_vec())].into());
}

#[test]
fn renamed_without_the_directory_is_the_old_or_the_new() {
    let disk = with_old();
    written(&disk, "g", b"new").sync_data().unwrap();
    disk.vfs().rename("g", "f").unwrap();
    for model in POWER_CUTS {
        assert_eq!(left(&disk, model, "f").unwrap(), b"old", "{model}: atomic is not durable");
        assert_eq!(all_left(&disk, model, "f"), [Some(b"old".to_vec()), Some(b"new".to_vec())].into(), "{model}");
    }
    disk.vfs().sync_directory().unwrap();
    for model in POWER_CUTS {
        assert_eq!(all_left(&disk, model, "f"), [Some(b"new".to_vec())].into(), "{model}");
    }
}

#[test]
fn renamed_without_a_sync_of_the_file() {
    let disk = with_old();
    written(&disk, "g", b"longer");
    disk.vfs().rename("g", "f").unwrap();
    disk.vfs().sync_directory().unwrap();
    assert_eq!(left(&disk, CrashModel::Ext4, "f").unwrap(), [0; 6], "the right length, all zeroes");
    assert_eq!(left(&disk, CrashModel::Xfs, "f").unwrap(), b"");
    let posix = all_left(&disk, CrashModel::Posix, "f");
    assert!(posix.contains(&Some(vec![0; 6])) && posix.contains(&Some(Vec::new())) && !posix.contains(&None));
}

#[test]
fn the_zeroes_of_a_replacing_file_may_come_with_an_unsynced_rename_too() {
    let disk = with_old();
    written(&disk, "g", b"longer");
    disk.vfs().rename("g", "f").unwrap();
    let states = [&b"old"[..], &[0; 6], b"longer"].map(|bytes| Some(bytes.to_vec()));
    assert_eq!(all_left(&disk, CrashModel::Ext4, "f"), states.into());
}

#[test]
fn removed_without_the_directory_may_come_back() {
    let disk = with_old();
    disk.vfs().remove("f").unwrap();
    for model in POWER_CUTS {
        assert_eq!(left(&disk, model, "f").unwrap(), b"old", "{model}");
        assert_eq!(all_left(&disk, model, "f"), [None, Some(b"old".to_vec())].into(), "{model}");
    }
    disk.vfs().sync_directory().unwrap();
    for model in POWER_CUTS {
        assert_eq!(all_left(&disk, model, "f"), [None].into(), "{model}");
    }
}

#[test]
fn a_sync_of_data_covers_the_length() {
    let disk = with_old();
    let file = disk.vfs().open("f", Access::ReadWrite).unwrap();
    file.write_all_at(&[7; 5000], 3).unwrap();
    for model in POWER_CUTS {
        assert_eq!(left(&disk, model, "f").unwrap(), b"old", "{model}");
    }
    file.sync_data().unwrap();
    for model in POWER_CUTS {
        assert_eq!(left(&disk, model, "f").unwrap().len(), 5003, "{model}");
    }
    file.set_len(2).unwrap();
    for model in POWER_CUTS {
        assert_eq!(left(&disk, model, "f").unwrap().len(), 5003, "{model}: a cut needs its own sync");
    }
    file.sync_data().unwrap();
    for model in POWER_CUTS {
        assert_eq!(all_left(&disk, model, "f"), [Some(b"ol".to_vec())].into(), "{model}");
    }
}

#[test]
fn sectors_survive_in_any_order_and_only_posix_tears_them() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "f", &[0; 1024]);
    file.sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    file.write_all_at(&[1; 1024], 0).unwrap();
    let whole = |first: u8, second: u8| Some([[first; 512], [second; 512]].concat());
    let states = BTreeSet::from([whole(0, 0), whole(0, 1), whole(1, 0), whole(1, 1)]);
    assert_eq!(all_left(&disk, CrashModel::Ext4, "f"), states);
    let posix = all_left(&disk, CrashModel::Posix, "f");
    assert!(posix.len() == 9 && posix.is_superset(&states));
}

#[test]
fn what_changes_nothing_cannot_be_lost_and_tears_are_where_bytes_differ() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "f", &[0; 4096]);
    file.sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    for model in POWER_CUTS {
        assert_eq!(disk.crash_states(model, 100, 0).len(), 1, "{model}: zeroes over zeroes");
    }
    file.write_all_at(&[[0; 300], [1; 300]].concat(), 0).unwrap();
    // The first sector differs from its byte 300 on, the second up to its byte 88.
    let posix = all_left(&disk, CrashModel::Posix, "f");
    assert_eq!(posix.len(), 9, "each lost, kept or torn, and no two the same");
    file.write_all_at(&[0; 600], 0).unwrap();
    assert!(disk.crash_states(CrashModel::Ext4, 100, 0).len() > 4, "after another write, it may change what is there");
    // Beyond the end, zeroes are part of a file's length if a journal counts what was written to
    // it.
    let file = written(&disk, "g", b"");
    disk.vfs().sync_directory().unwrap();
    file.sync_data().unwrap();
    file.write_all_at(&[0; 512], 0).unwrap();
    for model in POWER_CUTS {
        assert!(all_left(&disk, model, "g").contains(&Some(vec![])), "{model}");
        assert!(all_left(&disk, model, "g").contains(&Some(vec![0; 512])), "{model}");
    }
}

#[test]
fn a_sector_that_was_written_twice_is_as_it_was_at_some_time() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "f", b"aa");
    file.sync_data().unwrap();
    disk.vfs().sync_directory().unwrap();
    file.write_all_at(b"b", 0).unwrap();
    file.write_all_at(b"b", 1).unwrap();
    let states = ["aa", "ba", "bb"].map(|text| Some(text.as_bytes().to_vec()));
    assert_eq!(all_left(&disk, CrashModel::Xfs, "f"), states.into());
    assert!(all_left(&disk, CrashModel::Posix, "f").contains(&Some(b"ab".to_vec())));
}

#[test]
fn a_journal_keeps_the_order_of_names_and_posix_does_not() {
    let disk = SimDisk::new(1);
    for name in ["a", "b"] {
        disk.vfs().create_directory(name).unwrap();
    }
    let names = |model| {
        let states = disk.crash_states(model, 1000, 0);
        let list = |choice| disk.crash(choice).vfs().list().unwrap().concat();
        states.iter().map(list).collect::<BTreeSet<_>>()
    };
    assert_eq!(names(CrashModel::Ext4), ["", "a", "ab"].map(String::from).into());
    assert_eq!(names(CrashModel::Posix), ["", "a", "ab", "b"].map(String::from).into());
}

#[test]
fn what_a_journal_commits_it_commits_for_all() {
    let disk = with_old();
    disk.vfs().create_directory("d").unwrap();
    let old = disk.vfs().open("f", Access::ReadWrite).unwrap();
    old.write_all_at(b"OLD", 0).unwrap();
    old.sync_data().unwrap();
    let is_there =
        |model| disk.crash(&CrashChoice { model, survivors: Survivors::Nothing }).vfs().open_directory("d").is_ok();
    assert!(!is_there(CrashModel::Ext4), "overwriting in place commits nothing");
    written(&disk, "new", b"").sync_data().unwrap();
    assert!(is_there(CrashModel::Ext4) && is_there(CrashModel::Xfs) && !is_there(CrashModel::Posix));
}

#[test]
fn the_original_carries_on_and_locks_end() {
    let disk = with_old();
    let lock = disk.vfs().try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
    assert!(disk.vfs().try_lock("LOCK", Access::ReadWrite).unwrap().is_none());
    let left = disk.killed();
    let of_the_other = left.vfs().try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
    written(&left, "g", b"x");
    assert!(!disk.files().contains_key("g"));
    drop((lock, of_the_other));
    assert!(disk.vfs().try_lock("LOCK", Access::ReadWrite).unwrap().is_some());
}

#[test]
fn what_is_no_longer_reachable_is_forgotten_and_open_files_are_not() {
    let disk = with_old();
    let open = disk.vfs().open("f", Access::Read).unwrap();
    disk.vfs().remove("f").unwrap();
    disk.vfs().sync_directory().unwrap();
    assert_eq!(&open.map().unwrap()[..], b"old");
    assert!(disk.vfs().open("f", Access::Read).is_err());
}

#[test]
fn bad_names_and_wrong_kinds_are_refused() {
    let disk = with_old();
    let vfs = disk.vfs();
    vfs.create_directory("d").unwrap();
    for name in ["", ".", "..", "a/b"] {
        assert_eq!(vfs.create(name).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(vfs.create("f").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(vfs.open("d", Access::Read).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(vfs.open_directory("f").unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(vfs.open("absent", Access::Read).unwrap_err().kind(), ErrorKind::NotFound);
    let read_only = vfs.open("f", Access::Read).unwrap();
    assert!(read_only.write_at(b"x", 0).is_err());
}

#[test]
fn linked_without_the_directory_of_the_new_name() {
    for model in POWER_CUTS {
        let disk = with_old();
        let sub = disk.vfs().create_directory("sub").unwrap();
        disk.vfs().sync_directory().unwrap();
        disk.vfs().link("f", &*sub, "g").unwrap();
        assert_eq!(content(&disk, "sub/g").unwrap(), b"old");
        assert_eq!(left(&disk, model, "sub/g"), None);
        assert_eq!(all_left(&disk, model, "sub/g"), BTreeSet::from([None, Some(b"old".to_vec())]));
        disk.vfs().sync_directory().unwrap(); // of the old name
        let is_journaled = model != CrashModel::Posix;
        assert!(is_journaled || left(&disk, model, "sub/g").is_none());
        sub.sync_directory().unwrap();
        disk.vfs().remove("f").unwrap();
        disk.vfs().sync_directory().unwrap();
        assert_eq!(left(&disk, model, "sub/g").unwrap(), b"old", "the other name is gone, and the file is there");
    }
}

#[test]
fn both_names_are_of_one_file_on_one_disk() {
    let disk = with_old();
    let sub = disk.vfs().create_directory("sub").unwrap();
    disk.vfs().link("f", &*sub, "g").unwrap();
    let before = disk.space_bytes();
    disk.vfs().open("f", Access::ReadWrite).unwrap().write_all_at(b"new", 0).unwrap();
    assert_eq!((content(&disk, "sub/g").unwrap(), disk.space_bytes()), (b"new".to_vec(), before));
    assert_eq!(disk.vfs().link("f", &*sub, "g").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.vfs().link("absent", &*sub, "h").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.vfs().link("sub", &*sub, "h").unwrap_err().kind(), ErrorKind::InvalidInput);
    let other = SimDisk::new(2);
    assert_eq!(disk.vfs().link("f", &*other.vfs(), "h").unwrap_err().kind(), ErrorKind::CrossesDevices);
}

#[test]
fn a_renamed_directory_has_the_old_or_the_new_name() {
    for model in POWER_CUTS {
        let disk = SimDisk::new(1);
        let sub = disk.vfs().create_directory("sub.tmp").unwrap();
        sub.create("f").unwrap().sync_data().unwrap();
        sub.sync_directory().unwrap();
        disk.vfs().sync_directory().unwrap();
        disk.vfs().rename("sub.tmp", "sub").unwrap();
        let states = disk.crash_states(model, 100, 0);
        let paths: BTreeSet<_> = states.iter().map(|choice| disk.crash(choice).paths()).collect();
        assert_eq!(paths, BTreeSet::from([vec!["sub.tmp/f".to_owned()], vec!["sub/f".to_owned()]]), "{model}");
        disk.vfs().create_directory("other").unwrap();
        assert_eq!(disk.vfs().rename("sub", "other").unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
