use std::sync::Arc;

use kv_core::{Checkpoint, CheckpointId, Checkpointer, Epoch, Error};

use crate::checkpointer::{
    CheckpointerDamage,
    image::Image,
    support::{assert_opens_as, check_reads, list, ok_or_corrupt, open, sample, write, write_with},
};

/// How many places are damaged.
const PLACES: u64 = 48;

/// Two checkpoints. The newer one will be damaged.
struct Two {
    older: (CheckpointId, Image),
    newer: (CheckpointId, Image),
}

fn two(harness: &mut dyn CheckpointerDamage) -> Two {
    let checkpointer = open(harness);
    let image = sample(1, 10, 100);
    let older = write(&*checkpointer, None, &image).id();
    // The newer one keeps nothing of the older one, so damage to it does not affect the older one.
    let later = sample(1, 20, 100);
    let newer = write(&*checkpointer, Some(older), &later).id();
    Two { older: (older, image), newer: (newer, later) }
}

/// How damage in one place was detected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DetectedBy {
    Opening,
    Reading,
    Nothing,
}

/// Damages a place, reads everything, and asserts that no answer is wrong. Also returns the
/// checkpointer that met the damage.
fn damage_and_read(harness: &mut dyn CheckpointerDamage, two: &Two, place: u64) -> (DetectedBy, Arc<dyn Checkpointer>) {
    let (id, image) = &two.newer;
    harness.damage(*id, place);
    let checkpointer = open(harness);
    let detected = match ok_or_corrupt(checkpointer.open(*id)) {
        None => DetectedBy::Opening,
        Some(checkpoint) if check_reads(&*checkpoint, image) > 0 => DetectedBy::Reading,
        Some(_) => DetectedBy::Nothing,
    };
    (detected, checkpointer)
}

/// Repairs the damage, and lets the checkpointer examine what was damaged.
fn repair(harness: &mut dyn CheckpointerDamage, two: &Two) {
    harness.repair();
    harness.verify().unwrap_or_else(|error| panic!("verification finds damage where there is none: {error:?}"));
    let opened = open(harness).open(two.newer.0).map(drop);
    assert!(opened.is_ok(), "C10: a checkpoint that was repaired does not open: {opened:?}");
}

/// Damages one place after the other until the damage is detected in the wanted way, and leaves it.
/// Returns the checkpointer that met it.
fn damage_until_found(harness: &mut dyn CheckpointerDamage, two: &Two, wanted: DetectedBy) -> Arc<dyn Checkpointer> {
    for place in 0..PLACES {
        let (detected, checkpointer) = damage_and_read(harness, two, place);
        if detected == wanted {
            return checkpointer;
        }
        drop(checkpointer);
        repair(harness, two);
    }
    panic!("none of {PLACES} damages was detected in the way this case needs; see `CheckpointerDamage::damage`");
}

/// Wherever the damage is, each read is right or reports damage, and some do report it.
pub fn c4_damage_is_never_data(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    let mut found = 0;
    for place in 0..PLACES {
        let (detected, _) = damage_and_read(harness, &two, place);
        if detected != DetectedBy::Nothing {
            found += 1;
            let verified = harness.verify();
            assert!(matches!(verified, Err(Error::Corrupt { .. })), "C4: verifying what is damaged gave {verified:?}");
        }
        repair(harness, &two);
    }
    assert!(found > 0, "C4: none of {PLACES} damages was found");
    let checkpointer = open(harness);
    assert_opens_as(&*checkpointer, two.newer.0, &two.newer.1);
    assert_opens_as(&*checkpointer, two.older.0, &two.older.1);
}

/// A damaged checkpoint is still listed, so that its existence is known.
pub fn c3_lists_what_is_damaged(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    for place in 0..PLACES / 4 {
        drop(damage_and_read(harness, &two, place));
        assert_eq!(list(&*open(harness)), [two.newer.0, two.older.0], "C3: a damaged checkpoint is not listed");
        repair(harness, &two);
    }
}

/// A checkpoint that does not open is set aside by a write that builds on the one before it.
pub fn c7_sets_damaged_ones_aside(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    drop(damage_until_found(harness, &two, DetectedBy::Opening));
    let checkpointer = open(harness);
    let (older, image) = &two.older;
    let mut next = image.later();
    next.epoch = Epoch(2);
    let collection = *next.collections.keys().next().unwrap();
    next.put(collection, b"new", b"value");
    let id = write(&*checkpointer, Some(*older), &next).id();
    drop(checkpointer);

    let checkpointer = open(harness);
    assert_eq!(list(&*checkpointer), [id, *older], "C7: the list after a damaged checkpoint was set aside");
    assert_opens_as(&*checkpointer, id, &next);
}

/// After a read met damage, this is reported and nothing is removed, also after reopening, until
/// the damaged checkpoint was opened and found sound.
pub fn c9_damage_stops_removal(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    let met = damage_until_found(harness, &two, DetectedBy::Reading);
    assert_stopped(&*met, &two);
    drop(met);
    let checkpointer = open(harness);
    assert_stopped(&*checkpointer, &two);
    assert_opens_as(&*checkpointer, two.older.0, &two.older.1);
    assert_stopped(&*checkpointer, &two); // another checkpoint was opened
    drop(checkpointer);
    harness.repair();
    let checkpointer = open(harness);
    assert_stopped(&*checkpointer, &two); // repaired, but not examined yet
    assert_opens_as(&*checkpointer, two.newer.0, &two.newer.1);
    assert_goes_on(&*checkpointer, two.older.0);
}

/// Damage stops removal only. A write goes on above it, so that memory does not fill up.
pub fn c9_writing_goes_on_after_damage(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    let met = damage_until_found(harness, &two, DetectedBy::Reading);
    let (newer, image) = &two.newer;
    let written = write_with(&*met, Some(*newer), &mut image.later().changes());
    let id = written.unwrap_or_else(|error| panic!("C9: nothing is written after damage was met: {error:?}")).id();
    assert_eq!(list(&*met), [id, *newer, two.older.0], "C9: the list after a write above damage");
}

/// Where the damage stays, a write above the older checkpoint sets the damaged one aside, and
/// removal goes on.
pub fn c9_damage_that_is_set_aside_stops_nothing(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    drop(damage_until_found(harness, &two, DetectedBy::Reading));
    let checkpointer = open(harness);
    assert_refuses(&*checkpointer, two.newer.0);
    let (older, image) = &two.older;
    let mut next = image.later();
    next.epoch = Epoch(2);
    let id = write(&*checkpointer, Some(*older), &next).id();
    assert_goes_on(&*checkpointer, *older);
    drop(checkpointer);
    let checkpointer = open(harness);
    assert_opens_as(&*checkpointer, id, &next);
    assert_eq!(list(&*checkpointer), [id], "C9: the list after damage was set aside");
}

/// A checkpoint in which damage was met does not open while the damage is there. It can be opened
/// nevertheless, and written above, and so can what is written above it.
pub fn c10_damage_is_examined(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    let met = damage_until_found(harness, &two, DetectedBy::Reading);
    let (newer, image) = &two.newer;
    assert_refuses(&*met, *newer);
    drop(met);
    let checkpointer = open(harness);
    assert_refuses(&*checkpointer, *newer);
    assert_refuses(&*checkpointer, *newer); // and again
    assert_opens_as(&*checkpointer, two.older.0, &two.older.1);
    let damaged = open_damaged(&*checkpointer, *newer);
    assert!(check_reads(&*damaged, image) > 0, "C10: the damage is no longer met");
    let damage = checkpointer.damage();
    assert!(damage.is_none(), "C10: damage that was examined and accepted is reported: {damage:?}");

    let mut next = image.later();
    let collection = *next.collections.keys().next().unwrap();
    next.put(collection, b"new", b"value");
    let written = write_with(&*checkpointer, Some(*newer), &mut next.changes());
    let above = written.unwrap_or_else(|error| panic!("C10: nothing can be written above damage: {error:?}"));
    assert_reads_above(&*above, &next);
    let id = above.id();
    assert_eq!(list(&*checkpointer), [id, *newer, two.older.0], "C10: the list after a write above damage");
    drop((damaged, above, checkpointer));

    let checkpointer = open(harness);
    assert_reads_above(&*open_damaged(&*checkpointer, id), &next);
    drop(checkpointer);
    harness.repair();
    assert_opens_as(&*open(harness), id, &next);
}

fn assert_reads_above(checkpoint: &dyn Checkpoint, image: &Image) {
    let collection = *image.collections.keys().next().unwrap();
    let got = checkpoint.get(collection, b"new");
    assert!(matches!(&got, Ok(Some(value)) if *value == b"value"), "C10: what is not damaged cannot be read: {got:?}");
    check_reads(checkpoint, image);
}

fn open_damaged(checkpointer: &dyn Checkpointer, id: CheckpointId) -> Arc<dyn Checkpoint> {
    checkpointer.open_damaged(id).unwrap_or_else(|error| panic!("C10: a damaged checkpoint does not open: {error:?}"))
}

fn assert_refuses(checkpointer: &dyn Checkpointer, id: CheckpointId) {
    let opened = checkpointer.open(id).map(|checkpoint| checkpoint.id());
    assert!(matches!(opened, Err(Error::Corrupt { .. })), "C10: opening what a read found damaged gave {opened:?}");
}

fn assert_stopped(checkpointer: &dyn Checkpointer, two: &Two) {
    let damage = checkpointer.damage();
    assert!(matches!(damage.as_deref(), Some(Error::Corrupt { .. })), "C9: the damage is reported as {damage:?}");
    for id in [two.older.0, two.newer.0] {
        let removed = checkpointer.remove(id);
        assert!(matches!(removed, Err(Error::Corrupt { .. })), "C9: after damage was met, remove gave {removed:?}");
    }
    assert_eq!(list(checkpointer), [two.newer.0, two.older.0], "C9: the list changed");
}

fn assert_goes_on(checkpointer: &dyn Checkpointer, removed: CheckpointId) {
    let damage = checkpointer.damage();
    assert!(damage.is_none(), "C9: damage is reported after it was examined: {damage:?}");
    let result = checkpointer.remove(removed);
    assert!(result.is_ok(), "C9: after the damage was examined, remove gave {result:?}");
    assert!(!list(checkpointer).contains(&removed), "C9: a checkpoint was not removed");
}
