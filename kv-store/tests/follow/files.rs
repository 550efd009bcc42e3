//! What a follower needs, what it leaves alone, and what it refuses.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use kv_store::{Durability, Error, Options, Vfs};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Kind, TestVfs},
};

use crate::history::{History, check, content, write};

fn write_some(store: &kv_store::Store, history: &mut History, records: u64) {
    for _ in 0..records {
        write(store, 0, Durability::Disk).unwrap();
        history.push(0);
    }
}

/// Names and contents of everything below a directory, and when it was changed.
fn everything(directory: &Path) -> Vec<(PathBuf, std::time::SystemTime, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        if path.is_dir() {
            found.extend(everything(&path));
            found.push((path, changed, Vec::new()));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.push((path, changed, bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn it_only_reads_and_takes_no_lock_whatever_the_owner_does() {
    let disk = SimDisk::new(1);
    let (store, mut history) = (Options::default().open_in(disk.vfs()).unwrap(), History::default());
    let vfs = TestVfs::new(disk.vfs());
    let follower = Options::default().follow_in(vfs.clone()).unwrap();
    for _ in 0..3 {
        write_some(&store, &mut history, 10);
        store.checkpoint().unwrap();
        follower.refresh().unwrap();
        check(&follower, &history);
    }
    store.compact().unwrap();
    follower.refresh().unwrap();
    check(&follower, &history);
    assert_eq!(vfs.take_trace(), "");
    for kind in [Kind::Lock, Kind::DropCache, Kind::CreateDirectory] {
        assert_eq!(vfs.count(kind), 0, "{kind:?}");
    }
}

#[test]
fn files_are_as_they_were_and_the_store_opens_beside_a_follower() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let mut history = History::default();
    let store = kv_store::open(&path).unwrap();
    write_some(&store, &mut history, 20);
    store.checkpoint().unwrap();
    write_some(&store, &mut history, 5);
    drop(store);
    let before = everything(&path);
    let follower = kv_store::follow(&path).unwrap();
    check(&follower, &history);
    follower.refresh().unwrap();
    assert!(everything(&path) == before);
    let store = kv_store::open(&path).unwrap(); // it is not locked
    write_some(&store, &mut history, 5);
    follower.refresh().unwrap();
    check(&follower, &history);
}

/// A part stays readable after the owner has removed it, and is let go at the next refresh.
#[test]
fn removed_parts_are_read_until_the_next_refresh_and_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let mut history = History::default();
    let store = kv_store::open(&path).unwrap();
    write_some(&store, &mut history, 40);
    store.checkpoint().unwrap();
    let follower = kv_store::follow(&path).unwrap();
    let old = follower.checkpoint().unwrap();
    let snapshot = follower.snapshot();
    let part = path.join("checkpoints").join(format!("{:016x}.part", old.seq));
    let is_mapped = || fs::read_to_string("/proc/self/maps").unwrap().contains(part.to_str().unwrap());
    assert!(is_mapped(), "{}", part.display());
    write_some(&store, &mut history, 40);
    store.compact().unwrap();
    assert!(!part.exists());
    check(&follower, &history);
    let before = content(&snapshot).unwrap();
    follower.refresh().unwrap();
    assert_ne!(follower.checkpoint(), Some(old));
    check(&follower, &history);
    assert!(content(&snapshot).unwrap() == before && is_mapped(), "the snapshot reads it");
    drop(snapshot);
    assert!(!is_mapped(), "the disk does not get its space back");
}

/// What a killed process has written and not flushed is nothing that a power cut leaves.
#[test]
fn after_a_kill_it_shows_what_was_flushed_until_the_next_owner_writes() {
    let directory = tempfile::tempdir().unwrap();
    let (path, killed) = (directory.path().join("data"), directory.path().join("killed"));
    let mut options = Options::default();
    options.store.flush_interval = std::time::Duration::from_secs(600);
    let store = options.open(&path).unwrap();
    let mut history = History::default();
    write_some(&store, &mut history, 3);
    write(&store, 0, Durability::Process).unwrap();
    history.push(0);
    assert!(Command::new("cp").arg("-r").args([&path, &killed]).status().unwrap().success());
    let follower = kv_store::follow(&killed).unwrap();
    assert_eq!(follower.position().0, 3);
    check(&follower, &history);
    let next = options.open(&killed).unwrap();
    assert_eq!(next.recovery().position.0, 4, "an owner reads it from the disk, and so knows that it is there");
    assert_eq!(follower.refresh().unwrap().0, 3, "it has only read so far");
    next.sync().unwrap();
    assert_eq!(follower.refresh().unwrap().0, 4);
    check(&follower, &history);
}

const ROLE: &str = "KV_FOLLOW_READS";

/// Another user, with the right to read only.
#[test]
fn a_user_who_may_only_read_can_follow() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let store = kv_store::open(&path).unwrap();
    let mut history = History::default();
    write_some(&store, &mut history, 20);
    store.checkpoint().unwrap();
    write_some(&store, &mut history, 7);
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (file, _, _) in everything(directory.path()) {
        set_mode(&file, if file.is_dir() { 0o555 } else { 0o444 });
    }
    set_mode(directory.path(), 0o755);
    let program = directory.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    let mut reader = Command::new(&program);
    reader.args(["files::the_other_user", "--exact", "--ignored", "--nocapture"]).env(ROLE, &path);
    reader.current_dir(directory.path());
    if is_root() {
        reader.uid(65534).gid(65534);
    }
    let output = reader.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("shows 27"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether this is root, for whom permissions mean nothing.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
#[ignore = "run by a_user_who_may_only_read_can_follow in another process"]
#[expect(clippy::print_stdout, reason = "it tells the other process what it has seen")]
fn the_other_user() {
    let Some(path) = std::env::var_os(ROLE) else { return };
    fs::write(Path::new(&path).join("log/intruder"), "").unwrap_err();
    let follower = kv_store::follow(&path).unwrap();
    follower.refresh().unwrap();
    assert!(content(&follower.snapshot()).is_ok());
    println!("shows {}", follower.position());
}

#[test]
fn what_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let kind = |path: &Path| match kv_store::follow(path) {
        Err(Error::Io { source, .. }) => source.kind(),
        other => panic!("{}: {other:?}", path.display()),
    };
    assert_eq!(kind(&path("absent")), ErrorKind::NotFound);
    assert!(!path("absent").exists());
    fs::create_dir(path("empty")).unwrap();
    assert_eq!(kind(&path("empty")), ErrorKind::NotFound);
    fs::write(path("file"), "text").unwrap();
    assert_eq!(kind(&path("file")), ErrorKind::NotADirectory);

    let lost = |what: &str| {
        let data = path(&format!("without {}", what.replace('/', " ")));
        let store = kv_store::open(&data).unwrap();
        write_some(&store, &mut History::default(), 3);
        drop(store);
        match what {
            "log" | "checkpoints" => fs::remove_dir_all(data.join(what)).unwrap(),
            file => fs::remove_file(data.join(file)).unwrap(),
        }
        let refused = kv_store::follow(&data);
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{what}: {refused:?}");
    };
    lost("FORMAT");
    lost("log");
    lost("checkpoints");
    lost("log/0000000000000001.wal");

    for name in ["one", "two"] {
        write_some(&kv_store::open(path(name)).unwrap(), &mut History::default(), 3);
    }
    fs::copy(path("one").join("FORMAT"), path("two").join("FORMAT")).unwrap();
    let refused = kv_store::follow(path("two"));
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}

#[test]
fn a_directory_that_was_removed_or_replaced_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, renamed) = (directory.path().join("data"), directory.path().join("renamed"));
    let create = || {
        let store = kv_store::open(&path).unwrap();
        write_some(&store, &mut History::default(), 3);
        store
    };
    drop(create());
    let follower = kv_store::follow(&path).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert!(matches!(follower.refresh(), Err(Error::DirectoryReplaced { .. })));
    drop(create());
    assert!(matches!(follower.refresh(), Err(Error::DirectoryReplaced { .. })));
    assert_eq!(follower.position().0, 3, "what it has can still be read");

    let store = create();
    let follower = kv_store::follow(&path).unwrap();
    let before = follower.position();
    fs::rename(&path, &renamed).unwrap();
    write_some(&store, &mut History::default(), 1);
    assert_eq!(follower.refresh().unwrap(), before.next(), "a directory that was only renamed is the same one");
}

/// Whatever a follower finds of a store that is being created, it is a store or none, never damage.
#[test]
fn a_store_that_is_being_created_is_none_yet() {
    let (mut found, mut absent) = (0, 0);
    for at in 0.. {
        let disk = SimDisk::new(at);
        let left = Arc::new(Mutex::new(Some(at)));
        let vfs = TestVfs::before(disk.vfs(), {
            let (disk, left) = (disk.clone(), Arc::clone(&left));
            move |_| {
                let now = left.lock().unwrap().take();
                match now {
                    Some(0) => write_some(&Options::default().open_in(disk.vfs()).unwrap(), &mut History::default(), 2),
                    Some(now) => *left.lock().unwrap() = Some(now - 1),
                    None => {}
                }
            }
        })
        .unwrap();
        match Options::default().follow_in(vfs as Arc<dyn Vfs>) {
            Ok(follower) => {
                assert_eq!(follower.position().0, 2);
                found += 1;
            }
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => absent += 1,
            Err(error) => panic!("created at {at}: {}", error.chain()),
        }
        if left.lock().unwrap().is_some() {
            break;
        }
    }
    assert!(found > 0 && absent > 0, "{found} found, {absent} absent");
}
