use std::sync::Arc;

use fastrand::Rng;
use kv_core::{Checkpoint, Effort, Epoch, Error, Lsn};

use crate::checkpointer::{
    CheckpointerHarness,
    image::{Go, Image},
    support::{assert_opens_as, assert_state, changed, key, list, maintain_all, open, sample, write, write_with},
};

/// The list has the newest first, whether a checkpoint is newer by epoch, by position, or only by
/// its sequence number.
pub fn c3_lists_newest_first(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    assert_eq!(list(&*checkpointer), [], "C3: a new medium has checkpoints");
    let mut written = Vec::new();
    // Numbers are compared as numbers, not as text.
    for (epoch, lsn) in [(1, 9), (1, 10), (2, 10), (9, 11), (10, 99), (10, 100), (10, 100), (255, 101), (256, 1 << 40)]
    {
        let image = sample(epoch, lsn, 3).all_changed();
        let checkpoint = write(&*checkpointer, written.last().copied(), &image);
        written.push(checkpoint.id());
        let expected: Vec<_> = written.iter().rev().copied().collect();
        assert_eq!(list(&*checkpointer), expected, "C3: the list is not newest first, or is incomplete");
    }
    drop(checkpointer);

    let expected: Vec<_> = written.into_iter().rev().collect();
    assert_eq!(list(&*open(harness)), expected, "C3: the list changed by reopening");
}

/// A new id is newer than all in the list, even after removals and openings; [`write`] checks each.
pub fn c8_ids_rise(harness: &mut dyn CheckpointerHarness) {
    let mut rng = Rng::with_seed(8);
    let mut image = sample(1, 1, 5);
    let mut previous = None;
    for round in 0..10 {
        let checkpointer = open(harness);
        previous = Some(write(&*checkpointer, previous, &image).id());
        let again = write(&*checkpointer, previous, &image.at_same_position());
        if round % 2 == 0 {
            checkpointer.remove(previous.unwrap()).unwrap();
        }
        previous = Some(again.id());
        image = changed(&image, &mut rng);
    }
}

/// No number is used twice: not after the newest checkpoint was removed or set aside, nor after a
/// failure. What is open under an older number stays as it is.
pub fn c8_no_number_is_used_twice(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 20);
    let first = write(&*checkpointer, None, &image);
    let mut held: Vec<(Arc<dyn Checkpoint>, Image)> = vec![(Arc::clone(&first), image.clone())];
    for round in 0..8 {
        let mut next = image.later();
        next.lsn.0 += round;
        next.put(*image.collections.keys().next().unwrap(), &key(round as usize), b"of this round");
        if round % 4 == 2 {
            let failure = || Err(Error::Misuse("the changes cannot be read: a failure injected by a test".into()));
            let mut failing = next.changes().with(|given| if given == 0 { Ok(Go::On) } else { failure() });
            let failed = write_with(&*checkpointer, Some(first.id()), &mut failing);
            assert!(failed.is_err(), "C2: a write succeeded though its changes could not be read");
        }
        let written = write(&*checkpointer, Some(first.id()), &next);
        let used = held.iter().any(|(other, _)| other.id().seq == written.id().seq);
        assert!(!used, "C8: the number of {:?} was used before", written.id());
        if round % 2 == 0 {
            checkpointer.remove(written.id()).unwrap();
        }
        held.push((written, next));
    }
    for (checkpoint, image) in &held {
        assert_state(&**checkpoint, image);
    }
}

/// A write that builds on the same checkpoint as maintenance leaves in the list what maintenance
/// made from it, and builds on it like any other.
pub fn c7_keeps_what_maintenance_made(harness: &mut dyn CheckpointerHarness) {
    let mut rng = Rng::with_seed(70);
    let checkpointer = open(harness);
    let mut image = sample(1, 10, 30);
    let mut listed = Vec::new();
    for _ in 0..6 {
        let previous = listed.first().copied();
        listed.insert(0, write(&*checkpointer, previous, &image).id());
        image = changed(&image, &mut rng);
    }
    let before = image.clone();
    let previous = write(&*checkpointer, listed.first().copied(), &image).id();
    listed.insert(0, previous);
    for made in maintain_all(&*checkpointer, Effort::Full, &image) {
        listed.insert(0, made);
    }
    image = changed(&image, &mut rng);
    let written = checkpointer.write(Some(previous), &mut image.changes()).unwrap();
    assert_state(&*written, &image);
    listed.insert(0, written.id());
    assert_eq!(list(&*checkpointer), listed, "C7: the list after a write beside maintenance");
    drop((written, checkpointer));

    let checkpointer = open(harness);
    assert_eq!(list(&*checkpointer), listed, "C7: the list changed by reopening");
    assert_opens_as(&*checkpointer, listed[0], &image);
    assert_opens_as(&*checkpointer, listed[1], &before);
    maintain_all(&*checkpointer, Effort::Full, &image);
}

/// Checkpoints newer than the one that a write builds on are no longer listed; older ones are.
pub fn c7_sets_newer_ones_aside(harness: &mut dyn CheckpointerHarness) {
    let mut rng = Rng::with_seed(7);
    let mut images = vec![sample(1, 10, 30)];
    let mut ids = Vec::new();
    let checkpointer = open(harness);
    for n in 0..4 {
        ids.push(write(&*checkpointer, ids.last().copied(), &images[n]).id());
        images.push(changed(&images[n], &mut rng));
    }
    let held = checkpointer.open(ids[3]).unwrap();
    let mut next = changed(&images[1], &mut rng);
    (next.epoch, next.lsn) = (Epoch(2), Lsn(50));
    let id = write(&*checkpointer, Some(ids[1]), &next).id();
    assert_state(&*held, &images[3]);
    drop((held, checkpointer));

    let checkpointer = open(harness);
    assert_eq!(list(&*checkpointer), [id, ids[1], ids[0]], "C7: newer checkpoints are listed, or older ones are not");
    assert_opens_as(&*checkpointer, id, &next);
    assert_opens_as(&*checkpointer, ids[0], &images[0]);
    for aside in &ids[2..] {
        assert!(checkpointer.open(*aside).is_err(), "C7: a checkpoint that is not listed opens");
    }
    write(&*checkpointer, Some(id), &changed(&next, &mut rng));
}

/// A write without a previous checkpoint sets all others aside.
pub fn c7_sets_all_aside_without_previous(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 30);
    let first = write(&*checkpointer, None, &image).id();
    write(&*checkpointer, Some(first), &image.later());
    let next = sample(2, 40, 10);
    let id = write(&*checkpointer, None, &next).id();
    drop(checkpointer);

    let checkpointer = open(harness);
    assert_eq!(list(&*checkpointer), [id], "C7: checkpoints that were set aside are listed");
    assert_opens_as(&*checkpointer, id, &next);
}
