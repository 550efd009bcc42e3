use std::fs;

use kv_core::{Checkpointer, CollectionId, Effort, Error};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::vfs::{Event, Kind, TestVfs};
use kv_vfs::OsVfs;
use tempfile::TempDir;

use crate::support::{self, Asking, State, collection, compare};

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn open(directory: &TempDir) -> MmapCheckpointer {
    support::open(OsVfs::open(directory.path()).unwrap()).unwrap()
}

pub fn state() -> State {
    let mut state = State::default();
    (0..2000u32).for_each(|n| state.put(1, &n.to_be_bytes(), b"value"));
    state
}

#[test]
fn opening_and_reading_write_nothing() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    assert!(checkpointer.list().unwrap().is_empty());
    assert!(checkpointer.verify().unwrap().is_clean());
    assert!(names(&directory).is_empty());
}

#[test]
fn a_cancelled_write_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    for cancel_after in [0, 1, 300, 1500, 2000] {
        let mut changes = state().take();
        changes.cancel_after = cancel_after;
        assert!(matches!(checkpointer.write(None, &mut changes).map(drop), Err(Error::Cancelled)), "{cancel_after}");
        assert_eq!(names(&directory), ["LOCK"]);
    }
}

#[test]
fn an_open_checkpoint_stays_readable_when_it_is_removed() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let mut state = state();
    let first = checkpointer.write(None, &mut state.take()).unwrap();
    let before = state.collections.clone();
    state.put(1, b"more", b"");
    let second = checkpointer.write(Some(first.id()), &mut state.take()).unwrap();
    checkpointer.remove(first.id()).unwrap();
    checkpointer.remove(first.id()).unwrap();
    assert_eq!(checkpointer.list().unwrap(), [second.id()]);
    assert_eq!(names(&directory).len(), 4, "a manifest, two parts and the lock: {:?}", names(&directory));
    compare(&*first, &before).unwrap();
    compare(&*second, &state.collections).unwrap();
    let reopened = checkpointer.open(first.id()).map(drop);
    assert!(matches!(reopened, Err(Error::Corrupt { .. })), "{reopened:?}");
}

#[test]
fn a_damaged_newest_is_set_aside_with_its_part_and_kept() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let mut state = state();
    let first = checkpointer.write(None, &mut state.take()).unwrap().id();
    state.put(1, b"more", b"");
    let second = checkpointer.write(Some(first), &mut state.take()).unwrap().id();
    let manifest = names(&directory).into_iter().find(|name| name.ends_with("0000000000000002.manifest")).unwrap();
    fs::write(directory.path().join(&manifest), "damaged").unwrap();
    assert_eq!(checkpointer.list().unwrap(), [second, first], "going by names");
    assert!(matches!(checkpointer.open(second).map(drop), Err(Error::Corrupt { .. })));

    state.put(1, b"even more", b"");
    let third = checkpointer.write(Some(first), &mut state.take_whole()).unwrap();
    compare(&*third, &state.collections).unwrap();
    assert_eq!(checkpointer.list().unwrap(), [third.id(), first]);
    assert!(third.id().seq > second.seq);
    checkpointer.remove(first).unwrap();
    let left = names(&directory);
    assert!(
        left.contains(&format!("{manifest}.bad")) && left.contains(&"0000000000000002.part".to_owned()),
        "{left:?}"
    );
    assert_eq!(fs::read(directory.path().join(format!("{manifest}.bad"))).unwrap(), b"damaged");
    state.put(1, b"and more", b"");
    let fourth = checkpointer.write(Some(third.id()), &mut state.take()).unwrap();
    let merged = checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
    checkpointer.remove(third.id()).unwrap();
    assert!(names(&directory).contains(&"0000000000000003.part".to_owned()), "the fourth stands on it");
    checkpointer.remove(fourth.id()).unwrap();
    let left = names(&directory);
    assert!(left.contains(&"0000000000000002.part".to_owned()), "{left:?}");
    assert!(!left.contains(&"0000000000000003.part".to_owned()), "newer parts are not kept because of it: {left:?}");
    compare(&*fourth, &state.collections).unwrap();
    compare(&*merged, &state.collections).unwrap();
}

#[test]
fn a_file_that_a_newer_version_wrote_is_not_damaged() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let id = checkpointer.write(None, &mut state().take()).unwrap().id();
    for (name, header_bytes) in [("0000000000000001.part", 4096), ("manifest", 96)] {
        let name = names(&directory).into_iter().find(|found| found.ends_with(name)).unwrap();
        let path = directory.path().join(name);
        let good = fs::read(&path).unwrap();
        for (at, value, what) in [(16, 99, "version 99"), (24, 128, "features 0x80")] {
            let mut newer = good.clone();
            newer[at] = value;
            let checksum = xxhash_rust::xxh3::xxh3_64(&newer[16..header_bytes]);
            newer[8..16].copy_from_slice(&checksum.to_le_bytes());
            fs::write(&path, &newer).unwrap();
            let opened = checkpointer.open(id).map(drop);
            assert!(matches!(&opened, Err(Error::NewerVersion { detail, .. }) if detail.contains(what)), "{opened:?}");
            let findings = checkpointer.verify().unwrap().findings;
            assert!(matches!(findings[..], [Error::NewerVersion { .. }]), "{findings:?}");
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(names(&directory).iter().all(|name| !name.ends_with(".damaged")));
}

#[test]
fn a_manifest_of_the_first_version_is_older() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let id = checkpointer.write(None, &mut state().take()).unwrap().id();
    let name = names(&directory).into_iter().find(|name| name.ends_with("manifest")).unwrap();
    let path = directory.path().join(name);
    let mut older = fs::read(&path).unwrap();
    older[16] = 1;
    let checksum = xxhash_rust::xxh3::xxh3_64(&older[16..96]);
    older[8..16].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &older).unwrap();
    let opened = checkpointer.open(id).map(drop);
    assert!(matches!(opened, Err(Error::OlderVersion { .. })), "{opened:?}");
}

#[test]
fn a_second_writer_is_locked_out() {
    let directory = TempDir::new().unwrap();
    let (one, other) = (open(&directory), open(&directory));
    let written = one.write(None, &mut state().take()).unwrap();
    assert_eq!(other.list().unwrap(), [written.id()], "reading needs no lock");
    assert!(matches!(other.write(None, &mut state().take()).map(drop), Err(Error::Locked { .. })));
    assert!(matches!(other.remove(written.id()), Err(Error::Locked { .. })));
    drop(one);
    other.remove(written.id()).unwrap();
    compare(&*written, &state().collections).unwrap();
}

#[test]
fn changes_that_break_their_contract_are_refused() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let mut state = state();
    state.put(2, b"key", b"value");
    let mut refuse = |spoil: &dyn Fn(&mut support::StateChanges)| {
        let mut changes = state.take_whole();
        spoil(&mut changes);
        let written = checkpointer.write(None, &mut changes).map(drop);
        assert!(matches!(written, Err(Error::Misuse(_))), "{written:?}");
    };
    refuse(&|changes| changes.changes.swap(10, 11));
    refuse(&|changes| changes.changes[11] = changes.changes[10].clone());
    refuse(&|changes| changes.changes[10].0.0 = collection(0));
    refuse(&|changes| changes.changes[10].0.0 = CollectionId::NAMES);
    assert_eq!(names(&directory), ["LOCK"]);
    let written = checkpointer.write(None, &mut state.take_whole()).unwrap();
    let mut older = state.take();
    older.head.lsn = kv_core::Lsn(1);
    assert!(matches!(checkpointer.write(Some(written.id()), &mut older).map(drop), Err(Error::Misuse(_))));
    let mut foreign = state.take();
    foreign.head.log_id = kv_core::LogId(5);
    assert!(matches!(checkpointer.write(Some(written.id()), &mut foreign).map(drop), Err(Error::Misuse(_))));
}

/// A disk that does not return what was written to it is noticed before anything is published.
#[test]
fn a_part_that_is_read_back_wrong_is_not_published() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let damage = || {
        // While entries are written, the buffer has not been written yet. Later this is called
        // before each read when the part is read back.
        let written = directory.path().join("0000000000000001.part.tmp");
        if fs::metadata(&written).is_ok_and(|written| written.len() > 0) {
            let file = fs::OpenOptions::new().write(true).open(written).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"?", 9000).unwrap();
        }
    };
    let written = checkpointer.write(None, &mut Asking(state().take(), &damage)).map(drop);
    assert!(matches!(&written, Err(Error::Corrupt { offset: Some(8192), .. })), "{written:?}");
    assert_eq!(names(&directory), ["LOCK"], "and the checkpoints are not damaged");
}

/// As above, with a manifest: it is shorter than what was written.
#[test]
fn a_manifest_that_is_read_back_too_short_is_not_published() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_owned();
    let shorten = move |event: &Event| {
        if event.kind == Kind::Read && event.path.ends_with(".manifest.tmp") {
            fs::OpenOptions::new().write(true).open(path.join(&event.path)).unwrap().set_len(100).unwrap();
        }
    };
    let vfs = TestVfs::before(OsVfs::open(directory.path()).unwrap(), shorten).unwrap();
    let written = support::open(vfs).unwrap().write(None, &mut state().take()).map(drop);
    assert!(matches!(&written, Err(Error::Corrupt { offset: Some(100), .. })), "{written:?}");
    assert_eq!(names(&directory), ["LOCK"]);
}
