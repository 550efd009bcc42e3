//! Reading, writing, renaming and removing regular files.

use std::{
    fs,
    io::ErrorKind::{AlreadyExists, IsADirectory, NotFound, PermissionDenied, UnexpectedEof},
    os::unix::fs::MetadataExt,
};

use kv_vfs::{Access, Vfs};

use crate::{child, child_directory, empty, kind, mode};

#[test]
fn only_the_owner_may_access_files_and_directories_whatever_the_umask() {
    if let Some(directory) = child_directory() {
        let vfs = kv_vfs::OsVfs::create(directory.join("parent/store")).unwrap();
        vfs.create("file").unwrap();
        vfs.create_directory("sub").unwrap();
        let _lock = vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
        return;
    }
    let (directory, _) = empty();
    let test = "files::only_the_owner_may_access_files_and_directories_whatever_the_umask";
    assert!(child(test, directory.path()).status().unwrap().success());
    let store = directory.path().join("parent/store");
    assert_eq!(mode(store.join("file")), 0o600);
    assert_eq!(mode(store.join("LOCK")), 0o600);
    assert_eq!(mode(store.join("sub")), 0o700);
    assert_eq!(mode(&store), 0o700);
    assert_eq!(mode(directory.path().join("parent")), 0o700);
}

#[test]
fn creation_is_exclusive_and_does_not_touch_an_existing_file() {
    let (_directory, vfs) = empty();
    vfs.create("file").unwrap().write_all_at(b"kept", 0).unwrap();
    vfs.create_directory("sub").unwrap();
    assert_eq!(kind(vfs.create("file")), AlreadyExists);
    assert_eq!(kind(vfs.create("sub")), AlreadyExists);
    assert_eq!(vfs.open("file", Access::Read).unwrap().len().unwrap(), 4);
}

#[test]
fn a_missing_file_is_not_found_and_not_created() {
    let (_directory, vfs) = empty();
    assert_eq!(kind(vfs.open("file", Access::Read)), NotFound);
    assert_eq!(kind(vfs.open("file", Access::ReadWrite)), NotFound);
    assert_eq!(kind(vfs.rename("file", "other")), NotFound);
    assert_eq!(kind(vfs.remove("file")), NotFound);
    assert!(vfs.list().unwrap().is_empty());
}

#[test]
fn reads_end_short_at_the_end_of_the_file() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    assert!(file.is_empty().unwrap());
    file.write_all_at(b"0123456789", 0).unwrap();
    assert!(!file.is_empty().unwrap());

    let mut buffer = [b'x'; 8];
    assert_eq!(file.read_at(&mut buffer, 7).unwrap(), 3);
    assert_eq!(&buffer, b"789xxxxx");
    assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);

    file.read_exact_at(&mut buffer, 2).unwrap();
    assert_eq!(&buffer, b"23456789");
    assert_eq!(kind(file.read_exact_at(&mut buffer, 3)), UnexpectedEof);
}

#[test]
fn a_write_beyond_the_end_leaves_zeroes_between() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    file.write_all_at(b"a", 0).unwrap();
    file.write_all_at(b"z", 9000).unwrap();
    assert_eq!(file.len().unwrap(), 9001);
    let mut bytes = vec![1; 9001];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes[0] == b'a' && bytes[9000] == b'z' && bytes[1..9000].iter().all(|&byte| byte == 0));
}

#[test]
fn zeroes_replace_the_content_and_take_space() {
    const LEN: u64 = (1 << 20) + 12_345; // not a multiple of the size of a write
    let (directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    file.write_all_at(b"abcdef", 0).unwrap();
    file.write_zeroes(3, LEN).unwrap();
    file.write_zeroes(0, 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 3 + LEN);
    let bytes = fs::read(directory.path().join("file")).unwrap();
    assert!(bytes.starts_with(b"abc") && bytes[3..].iter().all(|&byte| byte == 0));
    let taken_bytes = fs::metadata(directory.path().join("file")).unwrap().blocks() * 512;
    assert!(taken_bytes >= LEN, "the file takes only {taken_bytes} bytes of the disk");
}

#[test]
fn a_file_can_be_truncated_and_enlarged_with_zeroes() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    file.write_all_at(b"abcdef", 0).unwrap();
    file.set_len(3).unwrap();
    assert_eq!(file.len().unwrap(), 3);
    file.set_len(6).unwrap();
    file.sync_data().unwrap();
    let mut bytes = [1; 6];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abc\0\0\0");
}

#[test]
fn a_file_opened_for_reading_cannot_be_written() {
    let (_directory, vfs) = empty();
    vfs.create("file").unwrap().write_all_at(b"kept", 0).unwrap();
    let file = vfs.open("file", Access::Read).unwrap();
    assert!(file.write_at(b"lost", 0).is_err());
    assert!(file.set_len(0).is_err());
    assert_eq!(file.len().unwrap(), 4);
    vfs.open("file", Access::ReadWrite).unwrap().write_all_at(b"K", 0).unwrap();
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"Kept");
}

#[test]
fn a_rename_replaces_the_file_with_the_new_name() {
    let (_directory, vfs) = empty();
    vfs.create("old").unwrap().write_all_at(b"old", 0).unwrap();
    vfs.create("new").unwrap().write_all_at(b"new!", 0).unwrap();
    let replaced = vfs.open("old", Access::Read).unwrap();
    vfs.rename("new", "old").unwrap();
    vfs.sync_directory().unwrap();
    assert_eq!(vfs.list().unwrap(), ["old"]);
    assert_eq!(vfs.open("old", Access::Read).unwrap().len().unwrap(), 4);
    assert_eq!(replaced.len().unwrap(), 3, "a handle to the replaced file keeps it");
}

#[test]
fn a_removed_file_stays_readable_and_writable_through_open_handles() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    vfs.remove("file").unwrap();
    assert!(vfs.list().unwrap().is_empty());
    file.write_all_at(b"d", 3).unwrap();
    file.sync_data().unwrap();
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abcd");
}

#[test]
fn a_directory_is_not_a_file() {
    let (_directory, vfs) = empty();
    vfs.create_directory("sub").unwrap();
    assert!(vfs.open("sub", Access::Read).is_err());
    assert_eq!(kind(vfs.open("sub", Access::ReadWrite)), IsADirectory);
    // POSIX also allows EPERM for an unlink of a directory.
    assert!(matches!(kind(vfs.remove("sub")), IsADirectory | PermissionDenied));
    assert!(vfs.try_lock("sub", Access::ReadWrite).is_err());
}

#[test]
fn synced_bytes_are_still_there_after_their_pages_were_dropped() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    let written: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    file.write_all_at(&written, 0).unwrap();
    file.sync_data().unwrap();
    file.drop_cache().unwrap();
    let mut read = vec![0; written.len()];
    file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == written);
}

/// Bytes that are reserved read as zeroes, have their space on the disk, and can be written.
#[test]
fn reserved_space_is_there_and_reads_as_zeroes() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    file.write_all_at(&[1; 5000], 0).unwrap();
    file.reserve(5000, 1_000_000).unwrap();
    file.sync_data().unwrap();
    let mut found = vec![9; 1_005_000];
    file.read_exact_at(&mut found, 0).unwrap();
    assert!(found[..5000] == [1; 5000] && found[5000..].iter().all(|byte| *byte == 0));
    assert_eq!(file.len().unwrap(), 1_005_000);
    assert!(!file.has_holes().unwrap(), "the space is there");
    file.write_all_at(&[2; 100], 900_000).unwrap();
    file.read_exact_at(&mut found[..102], 899_999).unwrap();
    assert!(found[0] == 0 && found[1..101] == [2; 100] && found[101] == 0);
}

#[test]
fn a_file_has_holes_until_they_are_written() {
    let (_directory, vfs) = empty();
    let file = vfs.create("file").unwrap();
    assert!(!file.has_holes().unwrap(), "an empty file has none");
    file.set_len(100_000).unwrap();
    assert!(file.has_holes().unwrap());
    file.write_zeroes(0, 100_000).unwrap();
    file.sync_data().unwrap();
    assert!(!file.has_holes().unwrap());
}
