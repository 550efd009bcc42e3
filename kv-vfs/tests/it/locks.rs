//! One holder at a time, in this process and across processes.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kv_vfs::{Access, OsVfs, Vfs};

use crate::{child, child_directory, empty, kind};

#[test]
fn a_lock_is_refused_to_the_same_process_until_the_first_holder_drops_it() {
    let (directory, vfs) = empty();
    let lock = vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
    assert!(vfs.try_lock("LOCK", Access::ReadWrite).unwrap().is_none());
    assert!(OsVfs::open(directory.path()).unwrap().try_lock("LOCK", Access::ReadWrite).unwrap().is_none());
    assert!(vfs.try_lock("OTHER", Access::ReadWrite).unwrap().is_some());
    drop(lock);
    assert_eq!(vfs.open("LOCK", Access::Read).unwrap().len().unwrap(), 0, "the file stays");
    let _again = vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
}

#[test]
fn a_lock_ends_with_its_process_and_not_with_programs_that_it_started() {
    if let Some(directory) = child_directory() {
        hold_until_killed(&OsVfs::open(directory).unwrap());
    }
    let (directory, vfs) = empty();
    let test = "locks::a_lock_ends_with_its_process_and_not_with_programs_that_it_started";
    let (mut holder, _grandchild_lives_on) = start_holder(child(test, directory.path()));
    assert!(vfs.try_lock("LOCK", Access::ReadWrite).unwrap().is_none());
    holder.kill().unwrap();
    holder.wait().unwrap();
    // The holder may run on before the program that it starts has closed the file that it must not
    // inherit.
    let deadline = Instant::now() + Duration::from_secs(10);
    while vfs.try_lock("LOCK", Access::ReadWrite).unwrap().is_none() {
        assert!(Instant::now() < deadline, "a program that the holder started keeps the lock");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a child and returns when the child holds the lock. A program that the child started lives
/// until the returned pipe is closed.
fn start_holder(mut command: Command) -> (Child, ChildStdin) {
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("locked")), "the child ended early");
    let stdin = holder.stdin.take().unwrap();
    (holder, stdin)
}

fn hold_until_killed(vfs: &OsVfs) -> ! {
    let _lock = vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
    // It shares our standard input, so it outlives us until the other end of that is closed.
    let mut grandchild = Command::new("cat").stdout(Stdio::null()).spawn().unwrap();
    io::Write::write_all(&mut io::stdout(), b"locked\n").unwrap();
    grandchild.wait().unwrap();
    panic!("this process was not killed");
}

#[test]
fn a_lock_needs_no_right_to_write() {
    // Root may write anyway: run as root, this only shows that locking works.
    let (directory, vfs) = empty();
    vfs.create("LOCK").unwrap();
    let permit = |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
    fs::set_permissions(directory.path().join("LOCK"), fs::Permissions::from_mode(0o400)).unwrap();
    permit(0o500);
    let first = vfs.try_lock("LOCK", Access::ReadWrite).unwrap();
    let second = vfs.try_lock("LOCK", Access::ReadWrite).unwrap();
    permit(0o700);
    assert!(first.is_some() && second.is_none());
}

#[test]
fn locking_for_reading_creates_nothing_and_gives_the_same_lock() {
    let (_directory, vfs) = empty();
    assert_eq!(kind(vfs.try_lock("LOCK", Access::Read)), io::ErrorKind::NotFound);
    assert!(vfs.list().unwrap().is_empty());
    vfs.create("LOCK").unwrap();
    let reading = vfs.try_lock("LOCK", Access::Read).unwrap().unwrap();
    assert!(vfs.try_lock("LOCK", Access::ReadWrite).unwrap().is_none());
    drop(reading);
    let _writing = vfs.try_lock("LOCK", Access::ReadWrite).unwrap().unwrap();
    assert!(vfs.try_lock("LOCK", Access::Read).unwrap().is_none());
}
