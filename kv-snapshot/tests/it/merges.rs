//! What merges leave out, what they leave alone, and numbers.

use std::{collections::BTreeMap, fs};

use kv_core::{Checkpointer, Effort};
use kv_snapshot::{MmapCheckpointer, SnapshotOptions};
use kv_testkit::vfs::Fault;

use crate::{
    beside::{CLASS_BYTES, Scene},
    support::{State, compare, options},
};

#[test]
fn nothing_is_merged_before_a_checkpoint_is_opened_or_while_bad_ones_are_listed() {
    let mut scene = Scene::new(5);
    let (bad, good) = (scene.newest(), scene.made[1].0);
    let options = SnapshotOptions { class_bytes: CLASS_BYTES, ..options() };
    scene.checkpointer = MmapCheckpointer::open_with(scene.vfs.clone(), options).unwrap_or_else(|_| unreachable!());
    let names = scene.names();
    let merge = |scene: &Scene| scene.checkpointer.maintain(Effort::Full, &|| false).map(|made| made.map(drop));
    assert!(merge(&scene).unwrap().is_none());
    assert_eq!(scene.names(), names);
    scene.checkpointer.open(good).unwrap();
    assert!(merge(&scene).unwrap().is_none(), "a newer one is listed, which was not opened");
    scene.state = scene.made[1].1.clone();
    scene.state.lsn = bad.lsn.0 + 1;
    scene.state.put(0, b"new", b"");
    let written = scene.checkpointer.write(Some(good), &mut scene.state.take()).unwrap();
    let merged = scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
    compare(&*merged, &scene.state.collections).unwrap();
    assert_eq!(scene.checkpointer.list().unwrap()[..3], [merged.id(), written.id(), good]);
}

/// A crash came between the publication of a checkpoint and setting the bad one below it aside. A
/// merge finishes that, because the next write would no longer know.
#[test]
fn a_merge_sets_aside_what_a_crash_left() {
    let mut scene = Scene::new(3);
    let (bad, good) = (scene.newest(), scene.made[1].0);
    scene.state = scene.made[1].1.clone();
    scene.state.lsn = bad.lsn.0 + 1;
    scene.state.put(0, b"new", b"");
    let written = scene.checkpointer.write(Some(good), &mut scene.state.take()).unwrap().id();
    let aside = scene.names().into_iter().find(|name| name.ends_with(".bad")).unwrap();
    let listed = aside.trim_end_matches(".bad");
    fs::rename(scene.directory.path().join(&aside), scene.directory.path().join(listed)).unwrap();
    assert_eq!(scene.checkpointer.list().unwrap()[..3], [written, bad, good]);
    let merged = scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
    compare(&*merged, &scene.state.collections).unwrap();
    assert_eq!(scene.checkpointer.list().unwrap()[..3], [merged.id(), written, good]);
}

/// Changes that change nothing but the position make no part.
#[test]
fn a_checkpoint_without_changes_has_the_same_parts() {
    let mut scene = Scene::new(2);
    let parts = scene.parts();
    scene.state.lsn += 1;
    let moved = scene.checkpointer.write(Some(scene.newest()), &mut scene.state.take()).unwrap();
    assert_eq!(scene.parts(), parts);
    assert_eq!((moved.stats().parts, moved.id().lsn.0), (2, scene.state.lsn));
    compare(&*moved, &scene.state.collections).unwrap();
    scene.made.insert(0, (moved.id(), scene.state.clone()));
    scene.write(9);
    scene.assert_sound();

    let scene = Scene::new(0);
    let mut state = State { lsn: 3, ..State::default() };
    let mut deletes_only = state.take();
    deletes_only.changes.push(((crate::support::collection(1), b"absent".to_vec()), None));
    let empty = scene.checkpointer.write(None, &mut deletes_only).unwrap();
    assert_eq!((empty.stats().parts, scene.parts().len()), (0, 0), "there is nothing that a tombstone could hide");
    compare(&*scene.checkpointer.open(empty.id()).unwrap(), &state.collections).unwrap();
    assert!(scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().is_none());
    state.put(1, b"key", b"value");
    let first = scene.checkpointer.write(Some(empty.id()), &mut state.take()).unwrap();
    compare(&*first, &state.collections).unwrap();
}

/// Merging leaves out deletions and dropped collections at the bottom, and nothing but hidden
/// entries above it.
#[test]
fn what_is_left_out() {
    let mut scene = Scene::new(1);
    scene.state.delete(0, b"k\x00");
    scene.write(3);
    let before = scene.checkpointer.open(scene.newest()).unwrap().stats();
    let hidden = before.entries;
    let merged = scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
    let held: usize = scene.state.collections.values().map(BTreeMap::len).sum();
    assert_eq!(merged.stats().entries, held as u64);
    assert!(hidden > held as u64 && merged.stats().bytes < before.bytes);
    assert_eq!((merged.stats().parts, merged.stats().unmerged_parts), (1, 1));

    scene.made.insert(0, (merged.id(), scene.state.clone()));
    scene.state.drop_collection(0);
    scene.state.drop_collection(1);
    let previous = scene.newest();
    let dropped = scene.checkpointer.write(Some(previous), &mut scene.state.take()).unwrap();
    assert_eq!(dropped.stats().entries, held as u64 + 2, "the names are deleted");
    let merged = scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
    assert_eq!((merged.stats().parts, merged.stats().entries), (1, 0));
    compare(&*merged, &scene.state.collections).unwrap();
    assert!(scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().is_none());
    scene.assert_sound();
}

/// The name of a collection lies below the parts that are merged: it exists nevertheless.
#[test]
fn a_collection_whose_name_lies_below_is_kept() {
    let mut scene = Scene::new(1);
    scene.state.put(0, b"large", &[1; 5 * CLASS_BYTES as usize]);
    (10..14).for_each(|round| scene.write(round));
    let merged = scene.checkpointer.maintain(Effort::Needed, &|| false).unwrap().unwrap();
    assert!(merged.stats().parts > 1);
    compare(&*merged, &scene.state.collections).unwrap();
}

/// Numbers are given out once, whatever became of what they were for.
#[test]
fn no_number_is_given_out_again_after_a_failure() {
    let mut scene = Scene::new(3);
    let mut highest = scene.newest().seq;
    for round in 0..6 {
        // A name that never comes to be durable may come back after a power cut, so its number is
        // used.
        scene.vfs.fail(Fault::on_changes().nth(2 + round));
        let failed = match round % 2 {
            0 => scene.checkpointer.maintain(Effort::Full, &|| false).map(drop),
            _ => scene.checkpointer.write(Some(scene.newest()), &mut scene.state.clone().take_whole()).map(drop),
        };
        scene.vfs.heal();
        assert!(failed.is_err(), "round {round}");
        scene.write(100 + round as u8);
        let seq = scene.newest().seq;
        assert!(seq >= highest + 2, "{seq} after {highest}: the number of what failed is used again");
        highest = seq;
    }
    scene.assert_sound();
}
