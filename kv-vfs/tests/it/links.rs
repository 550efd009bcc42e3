//! Nothing is reached through a link, and only regular files are opened.

use std::{fs, io::ErrorKind, os::unix::fs::symlink, sync::mpsc, thread, time::Duration};

use kv_vfs::{Access, Vfs};
use rustix::fs::{CWD, FileType, Mode};

use crate::{empty, kind};

#[test]
fn a_linked_file_is_neither_opened_nor_locked() {
    let (outside, _) = empty();
    let (directory, vfs) = empty();
    fs::write(outside.path().join("target"), "secret").unwrap();
    symlink(outside.path().join("target"), directory.path().join("link")).unwrap();
    assert!(vfs.open("link", Access::Read).is_err());
    assert!(vfs.open("link", Access::ReadWrite).is_err());
    assert!(vfs.try_lock("link", Access::ReadWrite).is_err());
    assert_eq!(kind(vfs.create("link")), ErrorKind::AlreadyExists);
}

#[test]
fn nothing_is_created_through_a_dangling_link() {
    let (outside, _) = empty();
    let (directory, vfs) = empty();
    symlink(outside.path().join("absent"), directory.path().join("link")).unwrap();
    assert_eq!(kind(vfs.create("link")), ErrorKind::AlreadyExists);
    assert!(vfs.try_lock("link", Access::ReadWrite).is_err());
    assert!(vfs.create_directory("link").is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_linked_subdirectory_is_not_opened() {
    let (outside, _) = empty();
    let (directory, vfs) = empty();
    symlink(outside.path(), directory.path().join("link")).unwrap();
    assert!(vfs.open_directory("link").is_err());
    assert!(vfs.create_directory("link").is_err());
}

#[test]
fn removing_and_renaming_touch_the_link_and_not_its_target() {
    let (outside, _) = empty();
    let (directory, vfs) = empty();
    let target = outside.path().join("target");
    fs::write(&target, "kept").unwrap();
    symlink(&target, directory.path().join("link")).unwrap();
    symlink(&target, directory.path().join("other")).unwrap();
    vfs.create("file").unwrap();
    vfs.remove("link").unwrap();
    vfs.rename("file", "other").unwrap();
    assert_eq!(vfs.open("other", Access::Read).unwrap().len().unwrap(), 0);
    assert_eq!(fs::read(&target).unwrap(), b"kept");
}

#[test]
fn a_fifo_is_refused_at_once() {
    let (directory, vfs) = empty();
    rustix::fs::mknodat(CWD, directory.path().join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let (done, opened) = mpsc::channel();
    thread::spawn(move || {
        let read = kind(vfs.open("fifo", Access::Read));
        let written = kind(vfs.open("fifo", Access::ReadWrite));
        done.send((read, written, kind(vfs.try_lock("fifo", Access::ReadWrite)))).unwrap();
    });
    // Otherwise it would wait for the other end of the FIFO for ever.
    let kinds = opened.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(kinds, (ErrorKind::InvalidInput, ErrorKind::InvalidInput, ErrorKind::InvalidInput));
}

#[test]
fn a_file_has_as_many_names_as_it_was_given_in_any_directory_of_its_file_system() {
    let (directory, vfs) = empty();
    let sub = vfs.create_directory("sub").unwrap();
    vfs.create("file").unwrap().write_all_at(b"bytes", 0).unwrap();
    vfs.link("file", &*sub, "other").unwrap();
    vfs.link("file", &*vfs, "third").unwrap();
    vfs.remove("file").unwrap();
    let read = |vfs: &dyn Vfs, name: &str| {
        let mut bytes = [0; 5];
        vfs.open(name, Access::Read).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    assert_eq!((read(&*sub, "other"), read(&*vfs, "third")), (*b"bytes", *b"bytes"));

    fs::write(directory.path().join("taken"), "kept").unwrap();
    assert_eq!(kind(vfs.link("third", &*vfs, "taken")), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(directory.path().join("taken")).unwrap(), b"kept");
    assert_eq!(kind(vfs.link("absent", &*sub, "new")), ErrorKind::NotFound);
    assert_eq!(kind(vfs.link("third", &*sub, "../outside")), ErrorKind::InvalidInput);
    assert_eq!(kind(vfs.link("sub/other", &*sub, "new")), ErrorKind::InvalidInput);
    // A symbolic link is not followed: what it leads to gets no other name.
    symlink(directory.path().join("taken"), directory.path().join("link")).unwrap();
    vfs.link("link", &*sub, "link").unwrap();
    assert!(sub.open("link", Access::Read).is_err());
}

#[test]
fn a_subdirectory_is_renamed_with_what_is_in_it() {
    let (_directory, vfs) = empty();
    vfs.create_directory("new.tmp").unwrap().create("file").unwrap();
    vfs.rename("new.tmp", "new").unwrap();
    assert_eq!(vfs.list().unwrap(), ["new"]);
    assert_eq!(vfs.open_directory("new").unwrap().list().unwrap(), ["file"]);
}
