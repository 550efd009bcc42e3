use std::{ops::Bound, thread};

use kv_core::{CheckpointId, Cursor, Epoch, Lsn};

use crate::checkpointer::{
    CheckpointerHarness,
    support::{assert_opens_as, assert_state, key, list, open, open_checkpoint, sample, value, write},
};
use crate::threads::join_all;

/// A removed checkpoint can no longer be opened, now or after reopening. Where it is open already,
/// it stays usable.
pub fn c6_removal_leaves_open_checkpoints_readable(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let first = sample(1, 10, 300);
    let mut second = first.later();
    let collection = *second.collections.keys().next().unwrap();
    second.put(collection, &key(5), b"new");
    let held = write(&*checkpointer, None, &first);
    let newest = write(&*checkpointer, Some(held.id()), &second).id();
    let opened = open_checkpoint(&*checkpointer, held.id());
    let mut cursor = held.range(collection, Bound::Unbounded, Bound::Unbounded).unwrap();
    assert!(cursor.advance().unwrap());

    checkpointer.remove(held.id()).unwrap();
    assert_eq!(list(&*checkpointer), [newest], "C6: a removed checkpoint is listed, or another is not");
    assert!(checkpointer.open(held.id()).is_err(), "C6: a removed checkpoint opens");
    assert_state(&*held, &first);
    assert_state(&*opened, &first);
    assert_rest(&mut *cursor, 1, 300);
    // It may share what the removed one was made of.
    assert_opens_as(&*checkpointer, newest, &second);
    drop((held, opened, cursor, checkpointer));

    let checkpointer = open(harness);
    assert_eq!(list(&*checkpointer), [newest], "C6: a removed checkpoint is listed after reopening");
    assert_opens_as(&*checkpointer, newest, &second);
    checkpointer.remove(newest).unwrap();
    assert_eq!(list(&*checkpointer), [], "C6: a removed checkpoint is listed");
}

/// Removing a checkpoint that does not exist, or no longer exists, is no error and removes nothing
/// else.
pub fn c6_removing_what_is_not_there(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let never = CheckpointId { epoch: Epoch(1), lsn: Lsn(5), seq: 999 };
    checkpointer.remove(never).unwrap();
    let image = sample(1, 10, 5);
    let first = write(&*checkpointer, None, &image).id();
    let second = write(&*checkpointer, Some(first), &image.later()).id();
    checkpointer.remove(never).unwrap();
    checkpointer.remove(first).unwrap();
    checkpointer.remove(first).unwrap();
    assert_eq!(list(&*checkpointer), [second], "C6: another checkpoint was removed");
    assert_opens_as(&*checkpointer, second, &image.later());
}

/// A checkpoint that is open stays as it is, whatever is written after it.
pub fn checkpoint_stays_as_it_is(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let mut image = sample(1, 10, 100);
    let mut held = vec![(write(&*checkpointer, None, &image), image.clone())];
    let collection = *image.collections.keys().next().unwrap();
    for round in 0..4 {
        image = image.later();
        for n in (round..100).step_by(3) {
            image.put(collection, &key(n), &value(round as u64 + 50, n));
        }
        image.delete(collection, &key(round));
        let previous = held[held.len() - 1].0.id();
        held.push((write(&*checkpointer, Some(previous), &image), image.clone()));
    }
    drop(checkpointer);
    for (checkpoint, image) in &held {
        assert_state(&**checkpoint, image);
    }
}

/// A cursor keeps what it reads alive: it outlives its checkpoint and the checkpointer, and may
/// move to another thread.
pub fn cursor_is_owned(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let image = sample(1, 10, 500);
    let checkpoint = write(&*checkpointer, None, &image);
    let collection = *image.collections.keys().next().unwrap();
    let mut cursor = checkpoint.range(collection, Bound::Unbounded, Bound::Unbounded).unwrap();
    assert!(cursor.advance().unwrap());
    let (first_key, first_value) = (cursor.key_handle(), cursor.value_handle());
    let value_of_7 = checkpoint.get(collection, &key(7)).unwrap().unwrap();
    drop((checkpoint, checkpointer));

    thread::scope(|scope| join_all([scope.spawn(move || assert_rest(&mut *cursor, 1, 500))]));
    assert!(first_key == key(0) && first_value == value(10, 0), "the handles changed when the cursor moved on");
    assert!(value_of_7 == value(10, 7), "a value changed when its checkpoint was closed");
}

/// Asserts that the cursor gives the entries of [`sample`] at position 10 from the n-th on.
fn assert_rest(cursor: &mut dyn Cursor, from: usize, upto: usize) {
    for n in from..upto {
        assert!(cursor.advance().unwrap(), "the cursor ends before the last entry");
        assert!(cursor.key() == key(n) && cursor.value() == value(10, n), "the cursor gives another entry");
    }
    assert!(!cursor.advance().unwrap(), "the cursor goes on after the last entry");
}
