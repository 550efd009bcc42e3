//! What belongs to a process does not belong to its children.

use kv_testkit::fork;
use kv_vfs::{Access, Origin, OsVfs, Vfs};

use crate::empty;

#[test]
fn an_origin_is_the_process_itself_and_no_child_of_it() {
    let origin = Origin::here();
    match fork::fork() {
        None => fork::end(|| {
            assert!(!origin.is_here());
            let own = Origin::here();
            assert!(own.is_here());
            match fork::fork() {
                None => fork::end(|| assert!(!own.is_here() && !origin.is_here())),
                Some(grandchild) => assert_eq!(grandchild.wait(), Ok(())),
            }
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    assert!(origin.is_here());
}

#[test]
fn a_child_neither_has_nor_ends_the_lock_of_its_parent() {
    let (directory, vfs) = empty();
    let lock = vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
    match fork::fork() {
        None => fork::end(move || {
            assert!(!lock.is_ours());
            drop(lock);
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    match fork::fork() {
        None => fork::end(move || drop(lock)), // without asking whether it is ours
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    let another = OsVfs::open(directory.path()).unwrap();
    assert!(another.try_lock("LOCK", Access::ReadWrite).unwrap().is_none(), "a child ended the lock");
    assert!(lock.is_ours());
    drop(lock);
    assert!(another.try_lock("LOCK", Access::ReadWrite).unwrap().is_some());
}

/// Otherwise a daemon whose parent has ended would keep the directory locked, without being able to
/// use it.
#[test]
fn after_the_first_call_in_a_child_the_lock_ends_with_its_parent() {
    let (directory, vfs) = empty();
    match fork::fork() {
        None => fork::end(|| {
            let lock = vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
            match fork::fork() {
                None => fork::end(|| {
                    let free = || vfs.try_lock("LOCK", Access::ReadWrite).unwrap().is_some();
                    assert!(!lock.is_ours());
                    while !free() {
                        std::thread::yield_now(); // until the parent has ended
                    }
                    vfs.create("free").unwrap();
                    std::mem::forget(lock);
                }),
                Some(_) => std::mem::forget(lock), // as if killed: nothing is unlocked
            }
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !directory.path().join("free").exists() {
        assert!(std::time::Instant::now() < deadline, "the grandchild keeps the lock");
        std::thread::yield_now();
    }
}
