use kv_core::{CheckpointId, Epoch, Error, Result};

use crate::checkpointer::{
    CheckpointerDamage,
    image::Image,
    support::{assert_opens_as, check_reads, list, ok_or_corrupt, open, sample, write},
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
#[derive(PartialEq, Eq)]
enum DetectedBy {
    Opening,
    Reading,
    Nothing,
}

/// Damages a place, reads everything, and asserts that no answer is wrong.
fn damage_and_read(harness: &mut dyn CheckpointerDamage, two: &Two, place: u64) -> DetectedBy {
    let (id, image) = &two.newer;
    harness.damage(*id, place);
    let checkpointer = open(harness);
    match ok_or_corrupt(checkpointer.open(*id)) {
        None => DetectedBy::Opening,
        Some(checkpoint) if check_reads(&*checkpoint, image) > 0 => DetectedBy::Reading,
        Some(_) => DetectedBy::Nothing,
    }
}

fn repair(harness: &mut dyn CheckpointerDamage) {
    harness.repair();
    harness.verify().unwrap_or_else(|error| panic!("verification finds damage where there is none: {error:?}"));
}

/// Damages one place after the other until the damage is detected in the wanted way, and leaves it.
fn damage_until_found(harness: &mut dyn CheckpointerDamage, two: &Two, wanted: &DetectedBy) {
    for place in 0..PLACES {
        if damage_and_read(harness, two, place) == *wanted {
            return;
        }
        repair(harness);
    }
    panic!("none of {PLACES} damages was detected in the way this case needs; see `CheckpointerDamage::damage`");
}

/// Wherever the damage is, each read is right or reports damage, and some do report it.
pub fn c4_damage_is_never_data(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    let mut found = 0;
    for place in 0..PLACES {
        found += usize::from(damage_and_read(harness, &two, place) != DetectedBy::Nothing);
        repair(harness);
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
        damage_and_read(harness, &two, place);
        assert_eq!(list(&*open(harness)), [two.newer.0, two.older.0], "C3: a damaged checkpoint is not listed");
        repair(harness);
    }
}

/// A checkpoint that does not open is set aside by a write that builds on the one before it.
pub fn c7_sets_damaged_ones_aside(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    damage_until_found(harness, &two, &DetectedBy::Opening);
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

/// After a read met damage, nothing is written or removed until a full verification finds nothing.
pub fn c9_damage_stops_maintenance(harness: &mut dyn CheckpointerDamage) {
    let two = two(harness);
    damage_until_found(harness, &two, &DetectedBy::Reading);
    assert_stopped(harness, &two);
    let verified = harness.verify();
    assert!(
        matches!(verified, Err(Error::Corrupt { .. })),
        "C9: the verification of a damaged medium gave {verified:?}"
    );
    assert_stopped(harness, &two);
    harness.repair();
    assert_stopped(harness, &two); // repaired, but not verified yet
    harness.verify().unwrap_or_else(|error| panic!("C9: verification finds damage where there is none: {error:?}"));

    let checkpointer = open(harness);
    write(&*checkpointer, Some(two.newer.0), &two.newer.1.later());
    checkpointer.remove(two.older.0).unwrap();
}

fn assert_stopped(harness: &mut dyn CheckpointerDamage, two: &Two) {
    let checkpointer = open(harness);
    for (previous, image) in [(Some(two.newer.0), &two.newer.1), (Some(two.older.0), &two.older.1)] {
        assert_refused("write", &checkpointer.write(previous, &mut image.later().changes()).map(drop));
    }
    for id in [two.older.0, two.newer.0] {
        assert_refused("remove", &checkpointer.remove(id));
    }
    match checkpointer.maintain(two.newer.0, 1 << 20) {
        Ok(None) => {} // a backend that never maintains anything
        maintained => assert_refused("maintain", &maintained.map(drop)),
    }
    assert_eq!(list(&*checkpointer), [two.newer.0, two.older.0], "C9: the list changed");
}

fn assert_refused(what: &str, result: &Result<()>) {
    assert!(matches!(result, Err(Error::Corrupt { .. })), "C9: after damage was met, {what} gave {result:?}");
}
