use std::{
    collections::VecDeque,
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use fastrand::Rng;
use kv_core::{
    Changes, Checkpoint, CheckpointId, Checkpointer, CollectionId, CollectionSize, Cursor, Effort, Error, Lsn, Result,
};

use super::{
    CheckpointerHarness,
    image::{Entries, Image},
};

pub fn open(harness: &mut (impl CheckpointerHarness + ?Sized)) -> Arc<dyn Checkpointer> {
    harness.open().unwrap_or_else(|error| panic!("the checkpointer does not open: {error:?}"))
}

pub fn list(checkpointer: &dyn Checkpointer) -> Vec<CheckpointId> {
    let list = checkpointer.list().unwrap_or_else(|error| panic!("C3: listing fails: {error:?}"));
    assert!(list.is_sorted_by(|newer, older| newer > older), "C3: the list is not newest first: {list:?}");
    list
}

/// Writes a checkpoint of `image`, and checks it, its id and the list.
pub fn write(checkpointer: &dyn Checkpointer, previous: Option<CheckpointId>, image: &Image) -> Arc<dyn Checkpoint> {
    let before = list(checkpointer);
    let written = write_with(checkpointer, previous, &mut image.changes());
    let checkpoint = written.unwrap_or_else(|error| panic!("the checkpoint is not written: {error:?}"));
    let id = checkpoint.id();
    assert!(before.iter().all(|other| *other < id && other.seq < id.seq), "C8: {id:?} is not newer than {before:?}");
    assert_eq!((id.epoch, id.lsn), (image.epoch, image.lsn), "C8: the id is not that of the head");
    let kept = before.into_iter().filter(|other| Some(*other) <= previous);
    assert_eq!(list(checkpointer), [id].into_iter().chain(kept).collect::<Vec<_>>(), "C7: the list after a write");
    assert_state(&*checkpoint, image);
    checkpoint
}

/// Writes without checking the result.
pub fn write_with(
    checkpointer: &dyn Checkpointer,
    previous: Option<CheckpointId>,
    changes: &mut dyn Changes,
) -> Result<Arc<dyn Checkpoint>> {
    checkpointer.write(previous, changes)
}

/// How often maintenance may find something to do after a few small writes. A backend that goes on
/// for longer never ends.
const MAINTENANCE_MAX: usize = 100;

/// Runs one piece of maintenance. Checks that its result holds the state of the newest checkpoint,
/// its id and the list.
pub fn maintain(checkpointer: &dyn Checkpointer, effort: Effort, image: &Image) -> Option<CheckpointId> {
    let before = list(checkpointer);
    let maintained = checkpointer.maintain(effort, &|| false);
    let maintained = maintained.unwrap_or_else(|error| panic!("maintenance fails: {error:?}"));
    let Some(checkpoint) = maintained else {
        assert_eq!(list(checkpointer), before, "C2: maintenance that did nothing shows in the list");
        return None;
    };
    let id = checkpoint.id();
    assert!(before.iter().all(|other| *other < id && other.seq < id.seq), "C8: {id:?} is not newer than {before:?}");
    let expected = [id].into_iter().chain(before).collect::<Vec<_>>();
    assert_eq!(list(checkpointer), expected, "C7: the list after maintenance");
    assert_state(&*checkpoint, image);
    assert_opens_as(checkpointer, id, image);
    Some(id)
}

/// Runs maintenance until there is nothing to do. Returns the ids that it made, oldest first.
pub fn maintain_all(checkpointer: &dyn Checkpointer, effort: Effort, image: &Image) -> Vec<CheckpointId> {
    let pieces = (0..=MAINTENANCE_MAX).map_while(|_| maintain(checkpointer, effort, image));
    let made: Vec<_> = pieces.collect();
    assert!(made.len() <= MAINTENANCE_MAX, "C5: maintenance never ends");
    made
}

pub fn open_checkpoint(checkpointer: &dyn Checkpointer, id: CheckpointId) -> Arc<dyn Checkpoint> {
    let checkpoint = checkpointer.open(id).unwrap_or_else(|error| panic!("{id:?} does not open: {error:?}"));
    assert_eq!(checkpoint.id(), id, "C3: another checkpoint was opened");
    checkpoint
}

pub fn assert_opens_as(checkpointer: &dyn Checkpointer, id: CheckpointId, image: &Image) {
    assert_state(&*open_checkpoint(checkpointer, id), image);
}

/// Asserts that the checkpoint holds the image, however it is read.
pub fn assert_state(checkpoint: &dyn Checkpoint, image: &Image) {
    let damage_met = check_reads(checkpoint, image);
    assert_eq!(damage_met, 0, "C4: damage is reported in an intact checkpoint");
}

/// Reads everything in each way. Asserts that each answer is right or reports damage, and returns
/// how many reported damage.
pub fn check_reads(checkpoint: &dyn Checkpoint, image: &Image) -> usize {
    assert_eq!(*checkpoint.head(), image.head(), "C5: the head differs from the one written");
    let mut damage_met = check_collection(checkpoint, CollectionId::NAMES, &image.names());
    for (id, (_, entries)) in &image.collections {
        damage_met += check_collection(checkpoint, *id, entries);
    }
    let unknown = CollectionId { lsn: Lsn(u64::MAX), index: 7 };
    damage_met += check_collection(checkpoint, unknown, &Entries::new());
    damage_met + check_key(checkpoint, unknown, b"key", None)
}

fn check_collection(checkpoint: &dyn Checkpoint, id: CollectionId, entries: &Entries) -> usize {
    let mut damage_met = check_range(checkpoint, id, entries) + check_many(checkpoint, id, entries);
    for (key, value) in entries {
        damage_met += check_key(checkpoint, id, key, Some(value));
        let (longer, shorter) = ([key, &b"\0"[..]].concat(), &key[..key.len() - 1]);
        damage_met += check_key(checkpoint, id, &longer, entries.get(&longer));
        damage_met += check_key(checkpoint, id, shorter, entries.get(shorter));
    }
    damage_met + check_size(checkpoint, id, entries)
}

fn check_size(checkpoint: &dyn Checkpoint, id: CollectionId, expected: &Entries) -> usize {
    let Some(size) = ok_or_corrupt(checkpoint.size(id)) else { return 1 };
    let bytes = expected.iter().map(|(key, value)| key.len() as u64 + value.len() as u64).sum();
    assert_eq!(size, CollectionSize { entries: expected.len() as u64, bytes }, "C5: size gives another one");
    0
}

fn check_key(checkpoint: &dyn Checkpoint, id: CollectionId, key: &[u8], expected: Option<&Vec<u8>>) -> usize {
    let got = ok_or_corrupt(checkpoint.get(id, key));
    if let Some(got) = &got {
        let same = got.as_deref() == expected.map(Vec::as_slice);
        assert!(same, "C5: get gives another value of {} than was written", key.escape_ascii());
    }
    let mut seen = None;
    let got_with = ok_or_corrupt(checkpoint.get_with(id, key, &mut |value| {
        assert!(seen.replace(value.to_vec()).is_none(), "get_with calls its closure twice");
    }));
    if let Some(found) = got_with {
        assert_eq!(found, seen.is_some(), "get_with returned {found}");
        assert!(seen.as_ref() == expected, "C5: get_with gives another value of {}", key.escape_ascii());
    }
    usize::from(got.is_none()) + usize::from(got_with.is_none())
}

/// All keys at once, with absent ones in between.
fn check_many(checkpoint: &dyn Checkpoint, id: CollectionId, expected: &Entries) -> usize {
    let absent: Vec<_> = expected.keys().map(|key| [key, &b"\0"[..]].concat()).collect();
    let keys: Vec<&[u8]> = expected.keys().zip(&absent).flat_map(|(key, absent)| [&key[..], &absent[..]]).collect();
    let Some(values) = ok_or_corrupt(checkpoint.get_many(id, &keys)) else { return 1 };
    let right = keys.iter().map(|key| expected.get(*key).map(Vec::as_slice));
    assert!(values.iter().map(Option::as_deref).eq(right), "C5: get_many gives other values than were written");
    0
}

fn check_range(checkpoint: &dyn Checkpoint, id: CollectionId, expected: &Entries) -> usize {
    check_entries(checkpoint, id, expected.iter(), |cursor| cursor.advance())
        + check_entries(checkpoint, id, expected.iter().rev(), |cursor| cursor.retreat())
}

fn check_entries<'a>(
    checkpoint: &dyn Checkpoint,
    id: CollectionId,
    mut expected: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
    take: fn(&mut dyn Cursor) -> Result<bool>,
) -> usize {
    let Some(mut cursor) = ok_or_corrupt(checkpoint.range(id, Bound::Unbounded, Bound::Unbounded)) else { return 1 };
    assert_at_no_entry(&*cursor);
    loop {
        match ok_or_corrupt(take(&mut *cursor)) {
            Some(true) => {
                let Some((key, value)) = expected.next() else {
                    panic!("C5: the cursor gives {} beyond the last entry", cursor.key().escape_ascii());
                };
                assert_eq!(cursor.key().escape_ascii().to_string(), key.escape_ascii().to_string(), "C5: another key");
                assert!(cursor.value() == value, "C5: the cursor gives another value of {}", key.escape_ascii());
                assert!(cursor.key_handle() == *key && cursor.value_handle() == *value, "the handles differ");
            }
            Some(false) => {
                assert_eq!(expected.next(), None, "C5: the cursor ends before the last entry");
                assert_ended(&mut *cursor);
                return 0;
            }
            None => {
                assert_ended(&mut *cursor);
                return 1;
            }
        }
    }
}

fn assert_ended(cursor: &mut dyn Cursor) {
    assert_at_no_entry(cursor);
    assert!(!cursor.advance().unwrap(), "a cursor went on after its end");
    assert_at_no_entry(cursor);
}

/// Calls [`Cursor::read_below`] with `end`, and breaks at the entry with the number `most`, counted
/// from 1. `left` is what was not taken of the range, and the cursor stands on the first of it.
/// Asserts that the right entries are read, and takes those out of `left` that are behind the
/// cursor then.
pub fn read_below(cursor: &mut dyn Cursor, left: &mut VecDeque<(&Vec<u8>, &Vec<u8>)>, end: Option<&[u8]>, most: usize) {
    let mut read = Vec::new();
    let broke = cursor.read_below(end, &mut |key, value| {
        read.push((key.to_vec(), value.to_vec()));
        if read.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let is_below = |(key, _): &&(&Vec<u8>, &Vec<u8>)| end.is_none_or(|end| key[..] < *end);
    let expected: Vec<_> = left.iter().take_while(is_below).take(most).collect();
    assert!(
        read.iter().map(|(key, value)| (key, value)).eq(expected.into_iter().copied()),
        "C5: read_below reads others"
    );
    assert_eq!(broke.unwrap().is_break(), read.len() == most, "C5: read_below does not tell whether it broke");
    left.drain(..read.len() - usize::from(read.len() == most));
    let (key, value) = left.pop_front().map_or((&[][..], &[][..]), |(key, value)| (key, value));
    assert!(cursor.key() == key && cursor.value() == value, "C5: read_below leaves the cursor elsewhere");
}

pub fn assert_at_no_entry(cursor: &dyn Cursor) {
    assert!(cursor.key().is_empty() && cursor.value().is_empty(), "a cursor that is at no entry gives one");
}

/// `None` if it is damaged.
pub fn ok_or_corrupt<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => panic!("C4: reading fails with an error other than Corrupt: {error:?}"),
    }
}

/// An image with two collections and `entries` entries in each.
pub fn sample(epoch: u64, lsn: u64, entries: usize) -> Image {
    let mut image = Image::new(epoch, lsn);
    for index in 0..2 {
        let id = image.create(index, &format!("collection {index}"));
        for n in 0..entries {
            image.put(id, &key(n), &value(lsn, n));
        }
    }
    image
}

pub fn key(n: usize) -> Vec<u8> {
    format!("key {n:06}").into_bytes()
}

/// Up to 200 random bytes, the same for the same arguments.
pub fn value(seed: u64, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n * 31 % 200];
    Rng::with_seed(seed << 32 | n as u64).fill(&mut bytes);
    bytes
}

/// A later image with changes of every kind.
pub fn changed(image: &Image, rng: &mut Rng) -> Image {
    let mut image = image.later();
    let index = rng.u32(2..);
    if rng.bool() {
        image.create(index, &format!("collection {index}"));
    }
    let mut ids: Vec<_> = image.collections.keys().copied().collect();
    if ids.len() > 3 {
        image.drop_collection(ids.swap_remove(rng.usize(..ids.len())));
    }
    for _ in 0..rng.usize(..60) {
        let id = ids[rng.usize(..ids.len())];
        let key = key(rng.usize(..150));
        match rng.u8(..3) {
            0 => image.delete(id, &key),
            _ => image.put(id, &key, &value(rng.u64(..1 << 31), rng.usize(..200))),
        }
    }
    image
}
