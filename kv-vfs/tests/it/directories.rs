//! Opening, creating and listing directories, and the names in them.

use std::{
    fs,
    io::ErrorKind::{InvalidInput, NotADirectory, NotFound},
    path::Path,
};

use kv_vfs::{Access, OsVfs, Vfs};

use crate::{empty, kind};

#[test]
fn a_missing_directory_is_not_found() {
    let (directory, vfs) = empty();
    assert_eq!(kind(OsVfs::open(directory.path().join("absent"))), NotFound);
    assert_eq!(kind(vfs.open_directory("absent")), NotFound);
    assert!(vfs.list().unwrap().is_empty());
}

#[test]
fn a_file_is_not_a_directory() {
    let (directory, vfs) = empty();
    vfs.create("file").unwrap();
    assert_eq!(kind(OsVfs::open(directory.path().join("file"))), NotADirectory);
    assert_eq!(kind(OsVfs::create(directory.path().join("file"))), NotADirectory);
    assert_eq!(kind(OsVfs::create(directory.path().join("file/sub"))), NotADirectory);
    assert_eq!(kind(vfs.open_directory("file")), NotADirectory);
    assert_eq!(kind(vfs.create_directory("file")), NotADirectory);
}

#[test]
fn create_makes_missing_parents_and_opens_what_exists() {
    let (directory, _) = empty();
    let path = directory.path().join("a/b/c");
    OsVfs::create(&path).unwrap().create("file").unwrap();
    assert_eq!(OsVfs::create(&path).unwrap().list().unwrap(), ["file"]);
    assert_eq!(OsVfs::open(&path).unwrap().path(), path);
    assert!(OsVfs::create("").is_err());
    OsVfs::create(".").unwrap();
    OsVfs::create("/").unwrap();
}

#[test]
fn subdirectories_are_created_once_and_opened_again() {
    let (directory, vfs) = empty();
    vfs.create_directory("sub").unwrap().create("file").unwrap();
    vfs.sync_directory().unwrap();
    assert_eq!(vfs.create_directory("sub").unwrap().list().unwrap(), ["file"]);
    let sub = vfs.open_directory("sub").unwrap();
    assert_eq!(sub.path(), directory.path().join("sub"));
    assert_eq!(sub.open("file", Access::Read).unwrap().path(), directory.path().join("sub/file"));
    assert_eq!(vfs.list().unwrap(), ["sub"]);
}

#[test]
fn an_open_directory_stays_the_same_when_its_path_is_renamed() {
    let (directory, _) = empty();
    let vfs = OsVfs::create(directory.path().join("before")).unwrap();
    vfs.create("file").unwrap();
    fs::rename(directory.path().join("before"), directory.path().join("after")).unwrap();
    vfs.open("file", Access::Read).unwrap();
    vfs.create("more").unwrap();
    assert!(directory.path().join("after/more").exists());
}

#[test]
fn the_list_names_everything_but_the_directory_itself_and_its_parent() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let (directory, vfs) = empty();
    vfs.create("b").unwrap();
    vfs.create(".hidden").unwrap();
    vfs.create("...").unwrap();
    vfs.create("ünïcode").unwrap();
    vfs.create_directory("sub").unwrap();
    fs::write(directory.path().join(OsStr::from_bytes(b"not \xff UTF-8")), "").unwrap();
    let mut names = vfs.list().unwrap();
    names.sort();
    assert_eq!(names, ["...", ".hidden", "b", "sub", "ünïcode"]);
    assert_eq!(vfs.list().unwrap().len(), 5, "a second list starts from the beginning");
}

#[test]
fn a_name_is_one_path_component() {
    let (directory, _) = empty();
    fs::create_dir_all(directory.path().join("store/sub")).unwrap();
    fs::write(directory.path().join("outside"), "").unwrap();
    fs::write(directory.path().join("store/sub/file"), "").unwrap();
    fs::write(directory.path().join("store/inside"), "").unwrap();
    let vfs = OsVfs::open(directory.path().join("store")).unwrap();

    let absolute = directory.path().join("outside").display().to_string();
    let bad = ["", ".", "..", "/", "sub/", "sub/file", "./inside", "inside/", "../outside", "a\0b", absolute.as_str()];
    for name in bad {
        assert_eq!(kind(vfs.open(name, Access::Read)), InvalidInput, "{name:?}");
        assert_eq!(kind(vfs.create(name)), InvalidInput, "{name:?}");
        assert_eq!(kind(vfs.remove(name)), InvalidInput, "{name:?}");
        assert_eq!(kind(vfs.rename(name, "to")), InvalidInput, "{name:?}");
        assert_eq!(kind(vfs.rename("inside", name)), InvalidInput, "{name:?}");
        assert_eq!(kind(vfs.open_directory(name)), InvalidInput, "{name:?}");
        assert_eq!(kind(vfs.create_directory(name)), InvalidInput, "{name:?}");
        assert_eq!(kind(vfs.try_lock(name, Access::ReadWrite)), InvalidInput, "{name:?}");
    }
    let mut names = vfs.list().unwrap();
    names.sort();
    assert_eq!(names, ["inside", "sub"]);
}

#[test]
fn errors_say_what_was_attempted_on_what() {
    let (directory, vfs) = empty();
    let error = vfs.open("absent", Access::Read).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open {}", directory.path().join("absent").display()));
    assert_eq!(error.path, directory.path().join("absent"));
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("No such file"), "{source}");
}

#[test]
fn the_block_is_a_power_of_two_of_at_least_4096_bytes() {
    for directory in [empty().0.path(), Path::new("/"), Path::new("/proc"), Path::new("/dev")] {
        if let Ok(vfs) = OsVfs::open(directory) {
            assert!(vfs.block_bytes().is_power_of_two() && vfs.block_bytes() >= 4096, "{}", vfs.block_bytes());
        }
    }
}

#[test]
fn random_identities_differ() {
    let (_directory, vfs) = empty();
    assert_ne!(vfs.random().unwrap(), vfs.random().unwrap());
}

#[test]
fn a_directory_is_in_its_place_until_it_is_removed_or_replaced() {
    let (directory, _) = empty();
    let path = directory.path().join("store");
    let open = || {
        let vfs = OsVfs::create(&path).unwrap();
        let sub = vfs.create_directory("sub").unwrap();
        (vfs, sub)
    };
    let (vfs, sub) = open();
    assert!(vfs.is_in_place() && sub.is_in_place());
    fs::rename(&path, directory.path().join("aside")).unwrap();
    assert!(vfs.is_in_place() && sub.is_in_place(), "it was only renamed");
    open();
    assert!(!vfs.is_in_place() && !sub.is_in_place(), "another directory is in its place");
    fs::remove_dir_all(&path).unwrap();
    fs::rename(directory.path().join("aside"), &path).unwrap();
    assert!(vfs.is_in_place() && sub.is_in_place(), "it is back");
    fs::rename(path.join("sub"), path.join("old")).unwrap();
    fs::create_dir(path.join("sub")).unwrap();
    assert!(vfs.is_in_place() && !sub.is_in_place(), "a subdirectory was replaced");
    fs::remove_dir_all(&path).unwrap();
    assert!(!vfs.is_in_place() && !sub.is_in_place(), "it was removed");
}

#[test]
fn a_changed_link_does_not_replace_the_directory() {
    let (directory, _) = empty();
    for name in ["one", "other"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let vfs = OsVfs::open(&link).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("other", &link).unwrap();
    assert!(vfs.is_in_place());
}
