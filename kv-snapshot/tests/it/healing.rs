//! Damage that a read meets: what is remembered of it, and what becomes of it.

use std::{fs, path::PathBuf, sync::Arc};

use kv_core::{Checkpoint, CheckpointId, Checkpointer, Effort, Error, Result, Value};
use kv_snapshot::{MmapCheckpointer, Reader, SnapshotOptions};
use kv_vfs::OsVfs;
use tempfile::TempDir;

use crate::{
    READER,
    support::{State, collection, compare, open, options},
};

/// The entries of each checkpoint.
const ENTRIES: u32 = 400;

/// Three checkpoints, each with entries of its own.
struct Scene {
    directory: TempDir,
    checkpointer: MmapCheckpointer,
    state: State,
    /// Oldest first.
    ids: Vec<CheckpointId>,
}

fn key(checkpoint: u32, n: u32) -> Vec<u8> {
    format!("key {checkpoint} {n:05}").into_bytes()
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let checkpointer = Self::open(&directory);
        let mut scene = Self { directory, checkpointer, state: State::default(), ids: Vec::new() };
        for checkpoint in 1..=3 {
            (0..ENTRIES).for_each(|n| scene.state.put(1, &key(checkpoint, n), &[b'v'; 50]));
            let previous = scene.ids.last().copied();
            scene.ids.push(scene.checkpointer.write(previous, &mut scene.state.take()).unwrap().id());
        }
        scene.reopen();
        scene
    }

    fn open(directory: &TempDir) -> MmapCheckpointer {
        // What is smaller waits to be merged.
        let options = SnapshotOptions { class_bytes: 1 << 20, ..options() };
        MmapCheckpointer::open_with(OsVfs::open(directory.path()).unwrap(), options).unwrap()
    }

    fn reopen(&mut self) {
        let vfs = OsVfs::open(TempDir::new().unwrap().path()).unwrap();
        self.checkpointer = open(vfs).unwrap(); // ends the lock of the other one
        self.checkpointer = Self::open(&self.directory);
    }

    fn part(&self, number: u32) -> PathBuf {
        self.directory.path().join(format!("{number:016x}.part"))
    }

    fn flag(&self, number: u32) -> PathBuf {
        self.directory.path().join(format!("{number:016x}.part.damaged"))
    }

    /// Changes the value of an entry of a part. Returns the sound part.
    fn damage(&self, number: u32, n: u32) -> Vec<u8> {
        let good = fs::read(self.part(number)).unwrap();
        let key = key(number, n);
        let at = good.windows(key.len()).position(|bytes| bytes == key).unwrap() + key.len() + 3;
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(self.part(number), bad).unwrap();
        good
    }

    fn newest(&self) -> CheckpointId {
        *self.ids.last().unwrap()
    }

    fn read(&self, checkpoint: &dyn Checkpoint, number: u32, n: u32) -> Result<Option<Value>> {
        checkpoint.get(collection(1), &key(number, n))
    }

    fn write(&mut self, previous: CheckpointId) -> Arc<dyn Checkpoint> {
        self.state.put(1, b"more", &self.state.lsn.to_le_bytes());
        self.checkpointer.write(Some(previous), &mut self.state.take()).unwrap()
    }
}

fn is_damage<T>(result: Result<T>) -> bool {
    matches!(result.map(drop), Err(Error::Corrupt { .. }))
}

#[test]
fn damage_leaves_a_flag_that_says_what_was_found_and_stops_removals_only() {
    let mut scene = Scene::new();
    scene.damage(2, 7);
    let checkpoint = scene.checkpointer.open(scene.newest()).unwrap();
    assert!(scene.checkpointer.damage().is_none() && !scene.flag(2).exists());
    assert!(scene.read(&*checkpoint, 1, 150).unwrap().is_some());
    assert!(is_damage(scene.read(&*checkpoint, 2, 7)));
    let text = fs::read_to_string(scene.flag(2)).unwrap();
    assert!(text.contains("0000000000000002.part") && text.contains("block 1"), "{text}");
    assert!(!scene.flag(1).exists() && !scene.flag(3).exists());

    let damage = scene.checkpointer.damage().unwrap();
    assert!(matches!(&*damage, Error::Corrupt { place, .. } if place.path() == Some(&scene.part(2))), "{damage:?}");
    assert!(is_damage(scene.checkpointer.remove(scene.ids[0])));
    let newest = scene.newest();
    let above = scene.write(newest);
    assert_eq!(above.get(collection(1), b"more").unwrap().unwrap().len(), 8);
    assert!(is_damage(scene.checkpointer.remove(scene.ids[0])));
    assert_eq!(scene.checkpointer.list().unwrap().len(), 4);
}

/// The older checkpoint does not have the damaged part: it is the way out.
#[test]
fn a_checkpoint_that_is_set_aside_takes_its_flag_with_it() {
    let mut scene = Scene::new();
    scene.damage(3, 7);
    assert!(is_damage(scene.read(&*scene.checkpointer.open(scene.newest()).unwrap(), 3, 7)));
    scene.reopen();
    assert!(scene.checkpointer.damage().is_some(), "after reopening as well");
    assert!(is_damage(scene.checkpointer.open(scene.newest())));
    let older = scene.checkpointer.open(scene.ids[1]).unwrap();
    assert!(scene.read(&*older, 2, 7).unwrap().is_some());
    assert!(scene.checkpointer.damage().is_some() && is_damage(scene.checkpointer.remove(scene.ids[0])));

    let older = scene.ids[1];
    (0..ENTRIES).for_each(|n| scene.state.put(1, &key(3, n), b"again"));
    let written = scene.write(older);
    compare(&*written, &scene.state.collections).unwrap();
    assert!(!scene.flag(3).exists() && scene.checkpointer.damage().is_none());
    assert!(scene.part(3).exists(), "what was set aside is kept");
    scene.checkpointer.remove(scene.ids[0]).unwrap();
    assert!(scene.checkpointer.verify().unwrap().is_clean());
    assert!(scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().is_some());
}

/// All checkpoints have the damaged part: the store has to live with it.
#[test]
fn damage_that_all_checkpoints_share_is_lived_with() {
    let mut scene = Scene::new();
    scene.damage(1, 150);
    assert!(is_damage(scene.read(&*scene.checkpointer.open(scene.newest()).unwrap(), 1, 150)));
    for reopened in 0..2 {
        scene.reopen();
        let newest = scene.newest();
        for id in &scene.ids {
            assert!(is_damage(scene.checkpointer.open(*id)), "{id:?}");
        }
        assert!(scene.checkpointer.damage().is_some());
        let damaged = scene.checkpointer.open_damaged(newest).unwrap();
        assert!(scene.checkpointer.damage().is_none() && scene.flag(1).exists());
        assert!(is_damage(scene.read(&*damaged, 1, 150)));
        assert!(scene.read(&*damaged, 1, ENTRIES - 1).unwrap().is_some());
        assert!(scene.read(&*damaged, 3, 7).unwrap().is_some());
        assert!(scene.checkpointer.damage().is_none(), "it is known");

        for _ in 0..3 {
            let newest = scene.newest();
            let id = scene.write(newest).id();
            scene.ids.push(id);
        }
        scene.checkpointer.remove(scene.ids.remove(0)).unwrap();
        let merged = scene.checkpointer.maintain(Effort::Needed, &|| false).unwrap().unwrap();
        scene.ids.push(merged.id());
        assert!(merged.stats().parts >= 2, "what is damaged is not merged");
        assert!(scene.read(&*merged, 1, ENTRIES - 1).unwrap().is_some() && is_damage(scene.read(&*merged, 1, 150)));
        assert_eq!(merged.get(collection(1), b"more").unwrap().unwrap().len(), 8);
        while scene.checkpointer.maintain(Effort::AtRest, &|| false).unwrap().is_some() {}
        assert!(is_damage(scene.checkpointer.maintain(Effort::Full, &|| false)), "it cannot be complete");
        scene.ids = scene.checkpointer.list().unwrap();
        scene.ids.reverse();
        scene.checkpointer.remove(scene.ids.remove(0)).unwrap();
        assert!(scene.part(1).exists() && scene.flag(1).exists(), "round {reopened}");
    }
}

#[test]
fn a_part_that_is_intact_again_loses_its_flag_at_the_next_write() {
    let mut scene = Scene::new();
    let good = scene.damage(1, 150);
    assert!(is_damage(scene.read(&*scene.checkpointer.open(scene.newest()).unwrap(), 1, 150)));
    fs::write(scene.part(1), good).unwrap();
    // What this one has in memory may still be damaged.
    let newest = scene.newest();
    drop(scene.checkpointer.open(newest).unwrap());
    assert!(is_damage(scene.checkpointer.remove(scene.ids[0])));

    scene.reopen();
    assert!(scene.checkpointer.damage().is_some(), "nothing was examined yet");
    let opened = scene.checkpointer.open(newest).unwrap();
    compare(&*opened, &scene.state.collections).unwrap();
    assert!(scene.checkpointer.damage().is_none());
    assert!(scene.flag(1).exists(), "opening writes nothing");
    assert!(scene.checkpointer.verify().unwrap().is_clean());
    let written = scene.write(newest);
    assert!(!scene.flag(1).exists());
    compare(&*written, &scene.state.collections).unwrap();
    scene.checkpointer.remove(scene.ids[0]).unwrap();
    scene.reopen();
    assert!(scene.checkpointer.damage().is_none());
    compare(&*scene.checkpointer.open(written.id()).unwrap(), &scene.state.collections).unwrap();
}

/// The part was replaced by a sound copy while the damaged one was still mapped.
#[test]
fn a_part_that_was_restored_is_opened_from_its_file_again() {
    let mut scene = Scene::new();
    let good = scene.damage(1, 150);
    assert!(is_damage(scene.read(&*scene.checkpointer.open(scene.newest()).unwrap(), 1, 150)));
    scene.reopen();
    let held = scene.checkpointer.open_damaged(scene.newest()).unwrap();
    assert!(is_damage(scene.read(&*held, 1, 150)));
    fs::remove_file(scene.part(1)).unwrap();
    fs::write(scene.part(1), good).unwrap();
    let again = scene.checkpointer.open(scene.newest()).unwrap();
    compare(&*again, &scene.state.collections).unwrap();
    match READER {
        Reader::Mapped => assert!(is_damage(scene.read(&*held, 1, 150)), "this one still has the other file"),
        Reader::Pread { .. } => assert_eq!(scene.read(&*held, 1, 150).unwrap().unwrap(), [b'v'; 50], "in the cache"),
    }
}

#[test]
fn verification_removes_the_flags_if_nothing_is_wrong() {
    let mut scene = Scene::new();
    let good = scene.damage(1, 150);
    assert!(is_damage(scene.read(&*scene.checkpointer.open(scene.newest()).unwrap(), 1, 150)));
    let report = scene.checkpointer.verify().unwrap();
    assert!(report.damage_noted && report.findings.len() == 3, "{report:?}");
    assert!(scene.flag(1).exists());
    fs::write(scene.part(1), good).unwrap();
    let report = scene.checkpointer.verify().unwrap();
    assert!(report.damage_noted && report.is_clean());
    assert!(!scene.flag(1).exists() && scene.checkpointer.damage().is_none());
    scene.checkpointer.remove(scene.ids[0]).unwrap();
    let newest = scene.newest();
    compare(&*scene.write(newest), &scene.state.collections).unwrap();
}

/// A block that was read before is read again, and not trusted, once damage was met in its part.
#[test]
fn what_was_verified_is_forgotten_once_damage_was_met() {
    let scene = Scene::new();
    let checkpoint = scene.checkpointer.open(scene.newest()).unwrap();
    assert!(scene.read(&*checkpoint, 1, ENTRIES - 1).unwrap().is_some());
    scene.damage(1, ENTRIES - 1);
    assert!(scene.read(&*checkpoint, 1, ENTRIES - 1).unwrap().is_some(), "the block had been verified before");
    scene.damage(1, 150);
    assert!(is_damage(scene.read(&*checkpoint, 1, 150)));
    match READER {
        Reader::Mapped => assert!(is_damage(scene.read(&*checkpoint, 1, ENTRIES - 1))),
        // The cache has the block as it was when it was verified.
        Reader::Pread { .. } => {
            assert_eq!(scene.read(&*checkpoint, 1, ENTRIES - 1).unwrap().unwrap(), [b'v'; 50]);
        }
    }
}

#[test]
fn a_merge_that_meets_damage_flags_it_and_leaves_it_alone_from_then_on() {
    let mut scene = Scene::new();
    let newest = scene.newest();
    scene.checkpointer.open(newest).unwrap();
    let id = scene.write(newest).id();
    scene.damage(2, 7);
    assert!(is_damage(scene.checkpointer.maintain(Effort::Needed, &|| false)));
    assert!(scene.flag(2).exists() && scene.checkpointer.damage().is_some());
    assert_eq!(scene.checkpointer.list().unwrap()[0], id);
    let left = fs::read_dir(scene.directory.path()).unwrap().count();
    assert_eq!(left, 4 + 4 + 2, "manifests, parts, the lock and the flag");
    let merged = scene.checkpointer.maintain(Effort::Needed, &|| false).unwrap();
    let merged = merged.map(|merged| merged.stats().parts);
    assert_eq!(merged, None, "three small parts are not worth it");
}

/// Verification of one checkpoint flags what it finds, and full maintenance has nothing to merge.
#[test]
fn verification_of_a_checkpoint_flags_what_it_finds() {
    let mut scene = Scene::new();
    scene.checkpointer.open(scene.newest()).unwrap();
    let merged = scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap().id();
    assert!(scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().is_none());
    Checkpointer::verify(&scene.checkpointer, merged, &|| false).unwrap();
    let part = u32::try_from(merged.seq).unwrap();
    let mut bad = fs::read(scene.part(part)).unwrap();
    bad[5000] ^= 1;
    fs::write(scene.part(part), bad).unwrap();
    assert!(is_damage(Checkpointer::verify(&scene.checkpointer, merged, &|| false)));
    assert!(scene.flag(part).exists() && scene.checkpointer.damage().is_some());
    assert!(is_damage(scene.checkpointer.maintain(Effort::Full, &|| false)), "it cannot be complete");
    Checkpointer::verify(&scene.checkpointer, scene.newest(), &|| false).unwrap();
    scene.ids.push(merged);
    scene.reopen();
    assert!(is_damage(scene.checkpointer.open(scene.newest())));
}

/// Another process may have met damage in the meantime; and the old flag of a whole directory means
/// nothing any more.
#[test]
fn flags_of_others_count_and_foreign_names_do_not() {
    let scene = Scene::new();
    fs::write(scene.directory.path().join("DAMAGED"), "an older version wrote this").unwrap();
    scene.checkpointer.open(scene.newest()).unwrap();
    scene.checkpointer.remove(scene.ids[0]).unwrap();
    let other = Scene::open(&scene.directory);
    scene.damage(2, 7);
    assert!(is_damage(scene.read(&*other.open(scene.newest()).unwrap(), 2, 7)));
    assert!(is_damage(scene.checkpointer.remove(scene.ids[1])));
    assert!(is_damage(scene.checkpointer.open(scene.newest())));
    assert!(scene.directory.path().join("DAMAGED").exists());
}

/// Without the names of its collections a checkpoint is of no use.
#[test]
fn a_checkpoint_whose_names_are_damaged_does_not_open_at_all() {
    let scene = Scene::new();
    let mut bad = fs::read(scene.part(1)).unwrap();
    let at = bad.windows(12).position(|bytes| bytes == b"collection 1").unwrap();
    bad[at] ^= 1;
    fs::write(scene.part(1), bad).unwrap();
    for id in &scene.ids {
        assert!(is_damage(scene.checkpointer.open(*id)) && is_damage(scene.checkpointer.open_damaged(*id)));
    }
    assert!(scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().is_none(), "nothing was opened");
}
