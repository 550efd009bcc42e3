//! There is one owner, even where locks do not reach: a second one is refused, but the record of an
//! owner that has ended keeps no opener out. Also, what an owner notices about its directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kv_store::{Error, LockHolder, Options, Store};
use kv_testkit::{
    ManualScheduler, fork,
    sim::SimDisk,
    vfs::{Fault, Kind, TestVfs},
};
use kv_vfs::Vfs;
use tempfile::TempDir;

use crate::support::{content, files, small};

/// A directory for a store, and files by which processes signal their progress to each other.
struct Place {
    home: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    fn open(&self) -> Result<Store, Error> {
        small().open(self.store())
    }

    fn signal(&self, what: &str) {
        fs::write(self.home.path().join(what), "").unwrap();
    }

    fn wait_for(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !self.home.path().join(what).exists() {
            assert!(Instant::now() < deadline, "no process signals {what:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// From here on, no other process sees a lock that this process holds.
    fn lose_locks(&self) {
        fork::lose_locks(self.store());
    }

    /// Runs `owner` in a child of this process, and `other` in this one.
    fn two(&self, owner: impl FnOnce(), other: impl FnOnce()) {
        match fork::fork() {
            None => fork::end(owner),
            Some(child) => {
                other();
                assert_eq!(child.wait(), Ok(()));
            }
        }
    }
}

fn put(store: &Store, key: &str) -> Result<(), Error> {
    store.collection("all").unwrap().put(key, "v")
}

fn keys(store: &Store) -> Vec<String> {
    let keys = content(store).unwrap().remove("all").unwrap_or_default().into_keys();
    keys.map(|key| String::from_utf8(key).unwrap()).collect()
}

#[track_caller]
fn is_in_use(result: Result<impl Sized, Error>) -> String {
    let error = result.err().unwrap_or_else(|| panic!("a second owner was not refused"));
    assert!(matches!(error, Error::Locked { holder: LockHolder::OtherMount { .. }, .. }), "{error:?}");
    error.chain()
}

#[test]
fn an_owner_whose_lock_is_not_seen_keeps_others_out_until_it_closes() {
    let place = Place::new();
    let owner = || {
        let store = place.open().unwrap();
        put(&store, "owner").unwrap();
        assert!(store.checkpoint().unwrap().is_some()); // a checkpoint takes a lock, too
        place.lose_locks();
        place.signal("written");
        place.wait_for("refused");
        put(&store, "more").unwrap();
        assert!(store.checkpoint().unwrap().is_some());
        store.close().unwrap();
        drop(store);
        place.signal("closed");
        place.wait_for("done"); // the process is still alive
    };
    place.two(owner, || {
        place.wait_for("written");
        let text = is_in_use(place.open());
        assert!(text.contains("is in use by process ") && text.contains("another mount"), "{text}");
        is_in_use(small().create(false).open(place.store()));
        is_in_use(kv_store::verify(place.store()));
        place.signal("refused");
        place.wait_for("closed");
        let store = place.open().unwrap();
        assert_eq!(keys(&store), ["more", "owner"]);
        put(&store, "second").unwrap();
        place.signal("done");
    });
    assert!(kv_store::verify(place.store()).unwrap().damage.is_empty());
}

#[test]
fn creating_a_store_counts_as_writing() {
    let place = Place::new();
    let owner = || {
        let store = place.open().unwrap();
        place.lose_locks();
        place.signal("made");
        place.wait_for("refused");
        put(&store, "owner").unwrap();
    };
    place.two(owner, || {
        place.wait_for("made");
        is_in_use(place.open());
        place.signal("refused");
    });
    assert_eq!(keys(&place.open().unwrap()), ["owner"]);
}

#[test]
fn a_killed_owner_keeps_no_opener_out() {
    let place = Place::new();
    let owner = || {
        let store = place.open().unwrap();
        put(&store, "owner").unwrap();
        std::mem::forget(store); // the process ends with the store open
    };
    place.two(owner, || {});
    assert!(fs::metadata(place.store().join("LOCK")).unwrap().len() > 0, "it has written no record");
    assert_eq!(keys(&place.open().unwrap()), ["owner"]);
}

/// The number in a record may mean nothing here: it was given to another process, the machine was
/// restarted, or the record is of another machine or container. A record that a power cut has torn
/// may hold anything. A copy of a store also has the record of the original's owner.
#[test]
fn a_record_of_no_live_process_keeps_no_opener_out() {
    let place = Place::new();
    let lock = place.store().join("LOCK");
    let (boot, namespace, started) = (72, 88, 96);
    let id = 107; // the highest byte of the process number, which is 0 in every real one
    let (device, inode) = (112, 120);
    let owner = || {
        let store = place.open().unwrap();
        put(&store, "owner").unwrap();
        place.lose_locks();
        place.signal("written");
        place.wait_for("done");
        std::mem::forget(store);
    };
    place.two(owner, || {
        place.wait_for("written");
        let record = fs::read(&lock).unwrap();
        is_in_use(place.open()); // unchanged, the record keeps others out
        let let_in = |what: &str, bytes: &[u8]| {
            fs::write(&lock, bytes).unwrap(); // in place: it is the same file
            let opened = place.open();
            assert!(opened.is_ok(), "{what}: {:?}", opened.err());
        };
        for at in [boot, namespace, started, id, device, inode] {
            let mut other = record.clone();
            other[at] ^= 2;
            let checksum = xxhash_rust::xxh3::xxh3_64(&other[16..]);
            other[8..16].copy_from_slice(&checksum.to_le_bytes());
            let_in(&format!("another at byte {at}"), &other);
        }
        for len in 0..record.len() {
            let_in(&format!("cut to {len}"), &record[..len]);
            let torn: Vec<_> = (0..record.len()).map(|at| if at < len { record[at] } else { 0 }).collect();
            if torn != record {
                let_in(&format!("torn at {len}"), &torn);
            }
        }
        fs::write(&lock, record).unwrap();
        is_in_use(place.open());
        let copy = place.home.path().join("copy");
        crate::support::copy(&place.store(), &copy);
        put(&small().open(&copy).unwrap(), "copy").unwrap();
        place.signal("done");
    });
}

#[test]
fn an_owner_that_has_only_read_notices_another_that_came_and_went() {
    let place = Place::new();
    put(&place.open().unwrap(), "before").unwrap();
    let owner = || {
        let store = place.open().unwrap();
        assert_eq!(keys(&store), ["before"]);
        place.lose_locks();
        place.signal("read");
        place.wait_for("closed");
        for _ in 0..2 {
            let error = put(&store, "old").unwrap_err();
            assert!(matches!(&error, Error::Poisoned { cause } if matches!(**cause, Error::Fenced)), "{error:?}");
            assert!(error.chain().contains("another writer has taken over"), "{}", error.chain());
        }
        assert!(store.checkpoint().is_err() && store.close().is_err());
        assert_eq!(keys(&store), ["before"], "reads go on");
    };
    place.two(owner, || {
        place.wait_for("read");
        let store = place.open().unwrap();
        put(&store, "between").unwrap();
        store.close().unwrap();
        drop(store);
        place.signal("closed");
    });
    assert!(kv_store::verify(place.store()).unwrap().damage.is_empty());
    assert_eq!(keys(&place.open().unwrap()), ["before", "between"]);
}

#[test]
fn an_owner_that_has_only_read_is_told_who_writes() {
    let place = Place::new();
    put(&place.open().unwrap(), "before").unwrap();
    let owner = || {
        let store = place.open().unwrap();
        place.lose_locks();
        place.signal("read");
        place.wait_for("written");
        let error = put(&store, "old").unwrap_err();
        let Error::Poisoned { cause } = &error else { panic!("{error:?}") };
        assert!(matches!(**cause, Error::Locked { holder: LockHolder::OtherMount { .. }, .. }), "{error:?}");
        place.signal("told");
    };
    place.two(owner, || {
        place.wait_for("read");
        let store = place.open().unwrap();
        put(&store, "second").unwrap();
        place.signal("written");
        place.wait_for("told");
        put(&store, "third").unwrap();
    });
    assert!(kv_store::verify(place.store()).unwrap().damage.is_empty());
    assert_eq!(keys(&place.open().unwrap()), ["before", "second", "third"]);
}

/// Two openings by one process have the same identity. The first one notices the second.
#[test]
fn an_owner_notices_at_the_next_checkpoint_that_another_has_taken_over() {
    let place = Place::new();
    let mut options = small();
    // The first one creates no segment at the moment when the second does.
    options.log.scheduler = Arc::new(ManualScheduler::new());
    let first = options.open(place.store()).unwrap();
    put(&first, "first").unwrap();
    assert!(first.checkpoint().unwrap().is_some());
    put(&first, "and more").unwrap();
    place.lose_locks();
    let second = place.open().unwrap();
    put(&second, "second").unwrap();
    let error = first.checkpoint().unwrap_err();
    assert!(matches!(&error, Error::Poisoned { cause } if matches!(**cause, Error::Fenced)), "{error:?}");
    assert!(matches!(put(&first, "late"), Err(Error::Poisoned { .. })));
    drop(first); // dropping it seals nothing
    put(&second, "goes on").unwrap();
    second.close().unwrap();
    drop(second);
    assert!(kv_store::verify(place.store()).unwrap().damage.is_empty());
    assert_eq!(keys(&place.open().unwrap()), ["and more", "first", "goes on", "second"]);
}

#[test]
fn a_store_notices_that_its_directory_was_removed_or_replaced() {
    let parts = ["", "log", "checkpoints"];
    for (replaced, part) in [false, true].into_iter().flat_map(|replaced| parts.map(|part| (replaced, part))) {
        for by_checkpoint in [true, false] {
            let case = format!("{part:?}, replaced: {replaced}, by a checkpoint: {by_checkpoint}");
            if part == "checkpoints" && !by_checkpoint {
                continue; // appending does not need the checkpoints
            }
            let place = Place::new();
            let mut options = small();
            // No job creates files meanwhile.
            options.log.scheduler = Arc::new(ManualScheduler::new());
            let store = options.open(place.store()).unwrap();
            put(&store, "before").unwrap();
            if replaced {
                let aside = place.home.path().join("aside");
                fs::rename(place.store().join(part), &aside).unwrap();
                crate::support::copy(&aside, &place.store().join(part));
            } else {
                fs::remove_dir_all(place.store().join(part)).unwrap();
            }
            let error = if by_checkpoint {
                store.checkpoint().unwrap_err()
            } else {
                // Four kilobytes each, in segments of four blocks.
                (0..20).find_map(|n| put(&store, &n.to_string()).err()).expect(&case)
            };
            let path = place.store().join(part);
            let said = format!("the directory {}", path.display().to_string().trim_end_matches('/'));
            let (text, cause) = (error.chain(), format!("{error:?}"));
            assert!(text.contains(&said) && text.contains("removed or replaced while it was open"), "{case}: {text}");
            assert!(matches!(error, Error::Poisoned { .. }) && cause.contains("DirectoryReplaced"), "{case}: {cause}");
            assert!(matches!(put(&store, "after"), Err(Error::Poisoned { .. })), "{case}: it is final");
            assert!(store.close().is_err(), "{case}");
            assert_eq!(store.collection("all").unwrap().get("before").unwrap().unwrap(), "v", "{case}: reads go on");
        }
    }
}

#[test]
fn a_directory_that_was_only_renamed_is_written_on() {
    let place = Place::new();
    let store = place.open().unwrap();
    fs::rename(place.store(), place.home.path().join("renamed")).unwrap();
    for n in 0..20 {
        put(&store, &n.to_string()).unwrap();
    }
    assert!(store.checkpoint().unwrap().is_some());
    store.close().unwrap();
    drop(store);
    assert_eq!(keys(&small().open(place.home.path().join("renamed")).unwrap()).len(), 20);
}

#[test]
fn a_directory_with_other_things_in_it_becomes_no_store() {
    let place = Place::new();
    fs::create_dir(place.store()).unwrap();
    fs::create_dir(place.store().join("lost+found")).unwrap();
    fs::write(place.store().join("notes.txt"), "mine").unwrap();
    let before = files(&place.store());
    let error = place.open().unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::DirectoryNotEmpty),
        "{error:?}"
    );
    assert!(error.chain().contains("notes.txt") && error.chain().contains("absent or empty"), "{}", error.chain());
    assert!(files(&place.store()) == before, "something was left in it");
    fs::remove_file(place.store().join("notes.txt")).unwrap();
    put(&place.open().unwrap(), "k").unwrap(); // `lost+found` is the file system's
    fs::write(place.store().join("notes.txt"), "mine").unwrap();
    assert_eq!(keys(&place.open().unwrap()), ["k"], "an existing store still opens");
}

#[test]
fn of_many_concurrent_creations_one_wins_and_the_others_find_it_in_use() {
    for round in 0..10 {
        let place = Place::new();
        let made = thread::scope(|scope| {
            let openers = (0..16).map(|number| {
                let (path, create) = (place.store(), number % 4 != 3);
                scope.spawn(move || match Options::default().create(create).open(&path) {
                    Ok(store) => {
                        put(&store, &number.to_string()).unwrap();
                        thread::sleep(Duration::from_millis(2));
                        1
                    }
                    Err(Error::Locked { .. }) => 0,
                    Err(Error::Io { source, .. }) if !create && source.kind() == io::ErrorKind::NotFound => 0,
                    Err(error) => panic!("round {round}: {}", error.chain()),
                })
            });
            let openers: Vec<_> = openers.collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).sum::<usize>()
        });
        assert!(made > 0);
        assert_eq!(keys(&place.open().unwrap()).len(), made);
        assert!(kv_store::verify(place.store()).unwrap().damage.is_empty());
    }
}

/// What a process does to a directory that another one is using.
#[derive(Clone, Copy, Debug)]
enum Visitor {
    Creates,
    Opens,
    Verifies,
}

impl Visitor {
    const ALL: [Self; 3] = [Self::Creates, Self::Opens, Self::Verifies];

    /// Returns the store, if this visit opens one. In that case it has also written to it.
    fn visit(self, vfs: Arc<dyn Vfs>, case: &str) -> Option<Store> {
        let create = matches!(self, Self::Creates);
        let opened = match self {
            Self::Verifies => kv_store::verify_in(vfs).map(|verification| {
                assert!(verification.damage.is_empty(), "{case}: {verification:?}");
                None
            }),
            _ => small().create(create).open_in(vfs).map(Some),
        };
        match opened {
            Ok(store) => store.inspect(|store| put(store, &format!("{self:?}")).unwrap()),
            Err(Error::Locked { .. }) => None,
            Err(Error::Io { source, .. }) if !create && source.kind() == io::ErrorKind::NotFound => None,
            Err(error) => panic!("{case}: {}", error.chain()),
        }
    }
}

/// A second process arrives at each step of another's opening and first write, of a new store and
/// of an old one. At most one has the store. The other finds it in use, or not there yet, but never
/// damaged.
#[test]
fn a_second_opener_may_come_at_any_step() {
    let pairs = Visitor::ALL.into_iter().flat_map(|first| Visitor::ALL.map(|second| (first, second)));
    for (first, second, is_new) in pairs.flat_map(|(first, second)| [true, false].map(|new| (first, second, new))) {
        let mut met = 0;
        for step in 0.. {
            let disk = SimDisk::new(step);
            if !is_new {
                put(&small().open_in(disk.vfs()).unwrap(), "before").unwrap();
            }
            let case = format!("{first:?}, and at step {step} {second:?}, new: {is_new}");
            let came = Arc::new(Mutex::new(None));
            let vfs = TestVfs::new(disk.vfs());
            let (beside, name, note, at) = (disk.clone(), case.clone(), came.clone(), AtomicU64::new(0));
            vfs.fail(Fault::when(move |_| {
                if at.fetch_add(1, Ordering::Relaxed) == step {
                    *note.lock().unwrap() = Some(second.visit(beside.vfs(), &name));
                }
                false
            }));
            let first = first.visit(vfs, &case);
            let Some(second) = came.lock().unwrap().take() else { break };
            let written = usize::from(first.is_some()) + usize::from(second.is_some());
            assert!(written < 2, "{case}: two owners");
            drop((first, second));
            match small().create(false).open_in(disk.vfs()) {
                Ok(store) => assert_eq!(keys(&store).len(), usize::from(!is_new) + written, "{case}"),
                Err(error) => assert!(is_new && written == 0 && matches!(error, Error::Io { .. }), "{case}: {error:?}"),
            }
            met += 1;
        }
        assert!(met > 3, "{first:?}, {second:?}: {met} steps");
    }
}

/// Names, sizes and times of everything below a directory.
fn tree(path: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut tree = vec![];
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        tree.push((entry.path(), metadata.len(), metadata.modified().unwrap()));
        if metadata.is_dir() {
            tree.extend(self::tree(&entry.path()));
        }
    }
    tree.sort();
    tree
}

#[test]
fn verify_writes_nothing_whatever_it_finds() {
    let place = Place::new();
    let store = place.open().unwrap();
    put(&store, "one").unwrap();
    assert!(store.checkpoint().unwrap().is_some());
    put(&store, "two").unwrap();
    let killed = place.home.path().join("killed");
    crate::support::copy(&place.store(), &killed);
    store.close().unwrap();
    drop(store);
    const FLAG: &str = "checkpoints/0000000000000001.part.damaged";
    for path in [place.store(), killed] {
        for without in [&[][..], &["LOCK"], &["LOCK", "log/LOCK", "checkpoints/LOCK"], &[FLAG]] {
            let copy = place.home.path().join("copy");
            crate::support::copy(&path, &copy);
            fs::write(copy.join(FLAG), "noted").unwrap();
            without.iter().for_each(|name| fs::remove_file(copy.join(name)).unwrap());
            let before = tree(&copy);
            for verification in [kv_store::verify(&copy).unwrap(), kv_store::verify_deep(&copy).unwrap()] {
                assert!(verification.damage.is_empty(), "{verification:?}");
                assert_eq!(verification.damage_noted, copy.join(FLAG).exists());
            }
            assert_eq!(tree(&copy), before, "without {without:?}");
            let part = before.iter().find(|(path, ..)| path.extension().is_some_and(|ext| ext == "part")).unwrap();
            let mut bytes = fs::read(&part.0).unwrap();
            bytes[4100] ^= 1;
            fs::write(&part.0, bytes).unwrap();
            let before = tree(&copy);
            assert!(!kv_store::verify(&copy).unwrap().damage.is_empty());
            assert_eq!(tree(&copy), before, "damaged, without {without:?}");
            fs::remove_dir_all(&copy).unwrap();
        }
    }
    for path in [place.home.path().join("empty"), place.home.path().to_owned()] {
        let _ = fs::create_dir(&path);
        let before = tree(&path);
        assert!(matches!(kv_store::verify(&path), Err(Error::Io { .. })));
        assert_eq!(tree(&path), before);
    }
}

/// The same in a directory that refuses every change.
#[test]
fn verify_asks_for_no_change() {
    for locks in [true, false] {
        let disk = SimDisk::new(1);
        let store = small().open_in(disk.vfs()).unwrap();
        put(&store, "one").unwrap();
        assert!(store.checkpoint().unwrap().is_some());
        let left = disk.killed();
        if !locks {
            left.vfs().remove("LOCK").unwrap();
            left.vfs().open_directory("log").unwrap().remove("LOCK").unwrap();
        }
        let vfs = TestVfs::new(left.vfs());
        vfs.fail(Fault::when(|event| event.kind.changes() && event.kind != Kind::Sync).for_ever());
        let before = left.files();
        assert!(kv_store::verify_in(vfs.clone()).unwrap().damage.is_empty());
        assert!(kv_store::verify_deep_in(vfs.clone()).unwrap().damage.is_empty());
        assert_eq!(vfs.failures(), 0, "a change was attempted");
        assert_eq!(left.files(), before);
    }
}

#[test]
fn a_note_of_damage_is_cleared_when_everything_is_sound_again() {
    let place = Place::new();
    let store = place.open().unwrap();
    put(&store, "one").unwrap();
    assert!(store.checkpoint().unwrap().is_some());
    store.close().unwrap();
    drop(store);
    let part = files(&place.store()).into_iter().find(|(name, _)| name.ends_with(".part")).unwrap();
    let note = PathBuf::from(format!("{}.damaged", part.0));
    fs::write(&note, "noted").unwrap();
    let mut bytes = part.1.clone();
    bytes[4100] ^= 1;
    fs::write(&part.0, bytes).unwrap();
    let verification = kv_store::clear_damage(place.store()).unwrap();
    assert!(verification.damage_noted && !verification.damage.is_empty() && note.exists());
    fs::write(&part.0, &part.1).unwrap();
    let store = place.open().unwrap();
    assert!(matches!(kv_store::clear_damage(place.store()), Err(Error::Locked { .. })));
    assert!(note.exists(), "opening writes nothing, though it has found everything sound");
    drop(store);
    let verification = kv_store::clear_damage(place.store()).unwrap();
    assert!(!verification.damage_noted && verification.damage.is_empty() && !note.exists());

    fs::write(&note, "noted").unwrap();
    let store = place.open().unwrap();
    put(&store, "two").unwrap();
    assert!(store.checkpoint().unwrap().is_some());
    assert!(!note.exists(), "the first write removes the note of what opening has found sound");
}
