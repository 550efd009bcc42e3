use std::{
    cell::{Cell, RefCell},
    thread,
    time::Duration,
};

use kv_core::{CheckpointId, Checkpointer, Error};

use crate::checkpointer::{
    CheckpointerFaults, CheckpointerHarness, CheckpointerPowerCut,
    image::{Go, Image},
    support::{assert_opens_as, key, list, open, sample, value, write, write_with},
};

/// An existing checkpoint, and the next one to write.
struct Before {
    id: CheckpointId,
    image: Image,
    next: Image,
}

fn before(checkpointer: &dyn Checkpointer, changes: usize) -> Before {
    let image = sample(1, 10, 100);
    let id = write(checkpointer, None, &image).id();
    let mut next = image.later();
    let collection = *next.collections.keys().next().unwrap();
    for n in 0..changes {
        next.put(collection, &key(n * 2), &value(77, n));
    }
    Before { id, image, next }
}

impl Before {
    fn assert_unchanged(&self, checkpointer: &dyn Checkpointer) {
        assert_eq!(list(checkpointer), [self.id], "C2: a write that did not succeed shows in the list");
        assert_opens_as(checkpointer, self.id, &self.image);
    }

    /// Asserts that nothing changed, neither for this checkpointer nor after reopening, and that
    /// the next write succeeds.
    fn assert_nothing_left(&self, checkpointer: &dyn Checkpointer, harness: &mut dyn CheckpointerHarness) {
        self.assert_unchanged(checkpointer);
        harness.kill();
        let again = open(harness);
        self.assert_unchanged(&*again);
        write(&*again, Some(self.id), &self.next);
    }
}

/// A cancelled write stops within about a second, returns `Cancelled`, and leaves the list as it
/// was.
pub fn c2_cancelled_write_leaves_nothing(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let before = before(&*checkpointer, 1000);
    // After the cancellation, each further change takes a millisecond. That gives the writer time
    // to ask whether to stop.
    let mut changes = before.next.changes().with(|given| match given {
        0..100 => Ok(Go::On),
        _ => {
            thread::sleep(Duration::from_millis(1));
            Ok(Go::Stop)
        }
    });
    let result = write_with(&*checkpointer, Some(before.id), &mut changes).map(|checkpoint| checkpoint.id());
    assert!(matches!(result, Err(Error::Cancelled)), "C2: a write that was cancelled gave {result:?}");
    before.assert_nothing_left(&*checkpointer, harness);
}

/// If reading the changes fails, at any point, the write fails and leaves the list as it was.
pub fn c2_failed_changes_leave_nothing(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let before = before(&*checkpointer, 50);
    for fail_at in [0, 1, 25, 49, 50] {
        let mut changes = before.next.changes().with(|given| match given {
            given if given >= fail_at => {
                Err(Error::Misuse("the changes cannot be read: a failure injected by a test".into()))
            }
            _ => Ok(Go::On),
        });
        let result = write_with(&*checkpointer, Some(before.id), &mut changes);
        assert!(result.is_err(), "C2: a write succeeded though its changes could not be read");
        before.assert_unchanged(&*checkpointer);
    }
    before.assert_nothing_left(&*checkpointer, harness);
}

/// A kill in the middle of a write, at any point, leaves the list as it was.
pub fn c2_killed_write_leaves_nothing(harness: &mut dyn CheckpointerHarness) {
    crash_in_a_write(harness, <dyn CheckpointerHarness>::kill);
}

/// A power cut in the middle of a write, at any point, leaves the list as it was.
pub fn c2_power_cut_in_a_write_leaves_nothing(harness: &mut dyn CheckpointerPowerCut) {
    crash_in_a_write(harness, <dyn CheckpointerPowerCut>::cut_power);
}

fn crash_in_a_write<H: CheckpointerHarness + ?Sized>(harness: &mut H, crash: impl Fn(&mut H)) {
    let first = open(harness);
    let before = before(&*first, 60);
    drop(first);
    for crash_at in [0, 1, 30, 59, 60] {
        let checkpointer = open(harness);
        let crashed = Cell::new(false);
        let medium = RefCell::new(&mut *harness);
        let mut changes = before.next.changes().with(|given| {
            if given == crash_at && !crashed.replace(true) {
                crash(&mut medium.borrow_mut());
            }
            Ok(Go::On)
        });
        let result = write_with(&*checkpointer, Some(before.id), &mut changes);
        assert!(result.is_ok(), "C2: a write failed though only a copy of its medium crashed: {:?}", result.err());
        assert!(crashed.get(), "C5: a write did not read its changes to the end");
        drop((result, changes, checkpointer));
        before.assert_unchanged(&*open(harness));
    }
    write(&*open(harness), Some(before.id), &before.next);
}

/// Each operation of a write on its medium fails in turn: the first, then the second, and so on,
/// until a write has no operation left that could fail. Each time, the write fails, the list stays
/// as it was, and the next write succeeds.
pub fn c2_failed_write_leaves_nothing(harness: &mut dyn CheckpointerFaults) {
    let mut checkpointer = open(harness);
    let before = before(&*checkpointer, 30);
    for n in 1.. {
        harness.fail_nth_operation(n);
        let result = write_with(&*checkpointer, Some(before.id), &mut before.next.changes());
        if !harness.failed() {
            assert!(result.is_ok(), "C2: a write failed though its medium did not: {:?}", result.err());
            assert!(n > 1, "the harness made nothing fail");
            return;
        }
        assert!(result.is_err(), "C2: a write succeeded though operation {n} on its medium failed");
        before.assert_unchanged(&*checkpointer);
        drop((result, checkpointer));
        checkpointer = open(harness);
        before.assert_unchanged(&*checkpointer);
    }
}
