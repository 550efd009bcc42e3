//! A sound log in files passes every suite, on a simulated disk and in a directory.

use std::{path::Path, sync::Arc};

use kv_core::{Durability, Lsn};
use kv_testkit::{
    harness::{InDirectory, OnDisk, in_directory, on_disk},
    log::{LogDamage, LogHarness},
    vfs::Files,
};

use crate::flawed_log::in_files::FileLog;

fn disk() -> OnDisk<FileLog> {
    on_disk(|vfs| FileLog::open(&*vfs)).records_in("log")
}

fn directory() -> InDirectory<FileLog> {
    in_directory(tempfile::tempdir().unwrap(), |vfs| FileLog::open(&*vfs)).records_in("log")
}

kv_testkit::log_suite!(suite, disk);
kv_testkit::log_power_cut_suite!(power_cut, disk);
kv_testkit::log_fault_suite!(faults, disk);
kv_testkit::log_space_suite!(space, disk);
kv_testkit::log_damage_suite!(damage, disk);
kv_testkit::log_power_cut_damage_suite!(power_cut_damage, disk);

kv_testkit::log_suite!(suite_in_a_directory, directory);
kv_testkit::log_fault_suite!(faults_in_a_directory, directory);

/// Two harnesses in one directory would both number their directories from 0, and each would break
/// the other's.
#[test]
#[should_panic(expected = "each harness needs a parent of its own")]
fn two_harnesses_share_no_directory() {
    let parent = Arc::new(tempfile::tempdir().unwrap());
    let shared = || Parent(Arc::clone(&parent));
    let [_one, _other] = [shared(), shared()].map(|parent| in_directory(parent, |vfs| FileLog::open(&*vfs)));
}

struct Parent(Arc<tempfile::TempDir>);

impl AsRef<Path> for Parent {
    fn as_ref(&self) -> &Path {
        self.0.path()
    }
}

/// Changes to the medium before a kill do not show on the one after it, and the other way round.
#[test]
fn a_kill_parts_two_media() {
    fn assert_parts(mut harness: impl LogHarness) {
        let log = harness.open().unwrap();
        log.append(b"one", Durability::Disk).unwrap();
        log.sync(Lsn(1)).unwrap();
        harness.kill();
        log.append(b"two", Durability::Disk).unwrap();
        log.sync(Lsn(2)).unwrap();
        let left = harness.open().unwrap();
        assert_eq!((left.bounds().appended, log.bounds().appended), (Lsn(1), Lsn(2)));
    }
    assert_parts(disk());
    assert_parts(directory());
}

/// Files are restored exactly, also in directories, however much they differ from those restored
/// last.
#[test]
fn files_are_restored_exactly() {
    fn assert_restores(mut harness: impl LogDamage) {
        let log = |bytes: Vec<u8>| ("log/a/1".to_owned(), bytes);
        let other = || ("other".to_owned(), vec![7; 5000]);
        for files in [
            vec![log(vec![1; 10_000]), other()],
            vec![log(vec![1; 9000]), other()],
            vec![log([vec![1; 8999], vec![2; 3000]].concat()), other()],
            vec![other()],
            vec![log(Vec::new()), other()],
            vec![],
        ] {
            let files: Files = files.into_iter().collect();
            harness.restore(&files);
            assert!(harness.files() == files);
            harness.kill();
            assert!(harness.files() == files);
        }
    }
    assert_restores(disk());
    assert_restores(directory());
}
