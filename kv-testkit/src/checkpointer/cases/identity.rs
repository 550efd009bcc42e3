use fastrand::Rng;
use kv_core::{Epoch, Lsn};

use crate::checkpointer::{
    CheckpointerHarness,
    support::{assert_opens_as, assert_state, changed, list, open, sample, write},
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
