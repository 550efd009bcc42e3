use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use kv_core::{CheckpointId, Checkpointer, Error};
use kv_snapshot::{MmapCheckpointer, TableWriter, dump};
use kv_testkit::vfs::{Fault, TestVfs};
use tempfile::TempDir;

use crate::support::{State, compare, open, test_vfs};

type Files = BTreeMap<String, Vec<u8>>;

fn files(path: &Path) -> Files {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn restore(path: &Path, files: &Files) {
    fs::read_dir(path).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    files.iter().for_each(|(name, content)| fs::write(path.join(name), content).unwrap());
}

/// Two good checkpoints and a third, newer one that is bad: the next one is made from the second.
struct Scene {
    directory: TempDir,
    files: Files,
    list: Vec<CheckpointId>,
    state: State,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let checkpointer = open(test_vfs(directory.path())).unwrap();
        let mut state = State::default();
        for n in 0..30 {
            state.put(n % 3, format!("key {n}").as_bytes(), &[n as u8; 300]);
        }
        let first = checkpointer.write(None, &mut state.take()).unwrap().id();
        state.put(1, b"key", b"second");
        let second = checkpointer.write(Some(first), &mut state.take()).unwrap().id();
        state.put(1, b"key", b"third");
        checkpointer.write(Some(second), &mut state.take()).unwrap();
        fs::write(directory.path().join("0000000000000003.part"), b"not any more").unwrap();
        state.put(1, b"key", b"fourth");
        state.delete(2, b"key 2");
        Self { files: files(directory.path()), list: checkpointer.list().unwrap(), directory, state }
    }

    fn previous(&self) -> CheckpointId {
        self.list[1]
    }

    /// Restores the directory to what it was in the beginning.
    fn reset(&self) -> (Arc<TestVfs>, MmapCheckpointer) {
        restore(self.directory.path(), &self.files);
        let vfs = test_vfs(self.directory.path());
        (vfs.clone(), open(vfs).unwrap())
    }
}

#[test]
fn a_write_that_fails_anywhere_leaves_everything_as_it_was() {
    let scene = Scene::new();
    for n in 1.. {
        let (vfs, checkpointer) = scene.reset();
        vfs.fail(Fault::on_any().nth(n).never_repeated());
        let written = checkpointer.write(Some(scene.previous()), &mut scene.state.clone().take());
        if vfs.failures() == 0 {
            vfs.heal(); // reads would fail
            compare(&*written.unwrap(), &scene.state.collections).unwrap();
            assert!(n > 30, "only {n} operations");
            return;
        }
        assert!(matches!(written.as_ref().map(drop), Err(Error::Io { .. })), "operation {n}: {:?}", written.map(drop));
        assert_eq!(checkpointer.list().unwrap(), scene.list, "operation {n}");
        assert_eq!(files(scene.directory.path()), scene.files, "operation {n}");
        let again = checkpointer.write(Some(scene.previous()), &mut scene.state.clone().take()).unwrap();
        compare(&*again, &scene.state.collections).unwrap();
    }
}

#[test]
fn a_write_repeats_what_the_medium_did_not_give() {
    let scene = Scene::new();
    for n in 1.. {
        let (vfs, checkpointer) = scene.reset();
        vfs.fail(Fault::on_reads().nth(n));
        let written = checkpointer.write(Some(scene.previous()), &mut scene.state.clone().take()).unwrap();
        compare(&*written, &scene.state.collections).unwrap();
        if vfs.failures() == 0 {
            assert!(n > 12, "only {n} operations");
            return;
        }
    }
}

#[test]
fn a_dump_repeats_what_the_medium_did_not_give() {
    let scene = Scene::new();
    let vfs = test_vfs(scene.directory.path());
    for name in scene.files.keys().filter(|name| name.starts_with("0000000000000001.") || name.ends_with(".manifest")) {
        let dumped = || {
            let mut text = Vec::new();
            dump(&*vfs, name, &mut text).unwrap();
            text
        };
        let expected = dumped();
        for n in 1.. {
            let before = vfs.failures();
            vfs.fail(Fault::on_reads().nth(n));
            assert_eq!(dumped(), expected, "operation {n} on {name}");
            vfs.heal();
            if vfs.failures() == before {
                assert!(n > 2, "only {n} operations on {name}");
                break;
            }
        }
    }
}

#[test]
fn a_write_that_is_killed_anywhere_is_complete_or_not_there_and_the_next_one_cleans_up() {
    let mut scene = Scene::new();
    let (mut absent, mut present) = (0, 0);
    for n in 1.. {
        let (vfs, checkpointer) = scene.reset();
        vfs.fail(Fault::on_any().nth(n).for_ever());
        let survived = checkpointer.write(Some(scene.previous()), &mut scene.state.clone().take()).is_ok();
        drop(checkpointer);
        let checkpointer = open(test_vfs(scene.directory.path())).unwrap();
        let list = checkpointer.list().unwrap();
        if list == scene.list {
            absent += 1;
        } else {
            present += 1;
            assert!(list[0] > scene.list[0] && list.ends_with(&scene.list[1..]), "operation {n}: {list:?}");
            compare(&*checkpointer.open(list[0]).unwrap(), &scene.state.collections).unwrap();
        }
        let newest_good = if list == scene.list { scene.previous() } else { list[0] };
        scene.state.put(1, b"key", b"fifth");
        let again = checkpointer.write(Some(newest_good), &mut scene.state.clone().take()).unwrap();
        compare(&*again, &scene.state.collections).unwrap();
        let mut kept = checkpointer.list().unwrap();
        assert_eq!(kept.remove(0), again.id());
        assert!(!kept.contains(&scene.list[0]), "operation {n}: the bad one must not be listed any more");
        let names: Vec<_> = files(scene.directory.path()).into_keys().collect();
        let bad = names.iter().filter(|name| name.ends_with(".manifest.bad")).count();
        let parts = names.iter().filter(|name| name.ends_with(".part")).count();
        assert_eq!(
            (bad, parts, names.len()),
            (1, kept.len() + 2, 2 * (kept.len() + 2) + 1),
            "operation {n}: {names:?}"
        );
        if survived {
            break;
        }
    }
    assert!(absent > 20 && present > 2, "{absent} absent, {present} present");
}

#[test]
fn a_removal_that_fails_anywhere_can_be_repeated() {
    let scene = Scene::new();
    let first = scene.list[2];
    for n in 1.. {
        let (vfs, checkpointer) = scene.reset();
        vfs.fail(Fault::on_any().nth(n).never_repeated());
        let removed = checkpointer.remove(first);
        let failed = vfs.failures() > 0;
        vfs.heal();
        assert_eq!(removed.is_err(), failed, "operation {n}");
        checkpointer.remove(first).unwrap();
        assert_eq!(checkpointer.list().unwrap(), scene.list[..2]);
        if !failed {
            return;
        }
    }
}

#[test]
fn a_table_that_fails_anywhere_is_not_there() {
    for n in 1.. {
        let directory = TempDir::new().unwrap();
        let vfs = test_vfs(directory.path());
        vfs.fail(Fault::on_any().nth(n).never_repeated());
        let finished = TableWriter::create(vfs.clone(), "table").and_then(|mut writer| {
            writer.insert(b"key", b"value")?;
            writer.finish()
        });
        if vfs.failures() == 0 {
            finished.unwrap();
            return;
        }
        assert!(finished.is_err(), "operation {n}");
        // Once the table has its name, only syncing the directory and opening the table can fail.
        let left = files(directory.path());
        assert!(left.is_empty() || left.keys().eq(["table"]), "operation {n}: {:?}", left.keys());
    }
}
