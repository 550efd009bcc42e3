use std::{
    cell::{Cell, RefCell},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use fastrand::Rng;
use kv_core::{CheckpointId, Checkpointer, Effort, Error};

use crate::checkpointer::{
    CheckpointerFaults, CheckpointerHarness, CheckpointerPowerCut,
    image::{Go, Image},
    support::{assert_opens_as, assert_state, changed, list, maintain, maintain_all, open, sample, write, write_with},
};
use crate::threads::{DoneFlag, join_all};

/// How long something may take that must not wait. It is over at once in a sound backend.
const LIMIT: Duration = Duration::from_secs(5);

/// Some checkpoints, each a little different from the one before it, so that there is something to
/// maintain.
struct Stack {
    /// Newest first.
    listed: Vec<(CheckpointId, Image)>,
}

impl Stack {
    fn new(checkpointer: &dyn Checkpointer, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut image = sample(1, 10, 60);
        let mut listed = vec![(write(checkpointer, None, &image).id(), image.clone())];
        for _ in 0..9 {
            image = changed(&image, &mut rng);
            listed.insert(0, (write(checkpointer, Some(listed[0].0), &image).id(), image.clone()));
        }
        Self { listed }
    }

    fn newest(&self) -> &Image {
        &self.listed[0].1
    }

    fn assert_unchanged(&self, checkpointer: &dyn Checkpointer) {
        let ids: Vec<_> = self.listed.iter().map(|(id, _)| *id).collect();
        assert_eq!(list(checkpointer), ids, "C2: maintenance that did not succeed shows in the list");
        for (id, image) in &self.listed {
            assert_opens_as(checkpointer, *id, image);
        }
    }
}

/// Maintenance, if the backend does any, keeps the state under a newer id, and ends at some point.
/// Writes, removals and openings go on beside it.
pub fn c5_maintenance_keeps_the_state(harness: &mut dyn CheckpointerHarness) {
    let mut rng = Rng::with_seed(6);
    let mut image = sample(1, 10, 200);
    let mut checkpointer = open(harness);
    let mut newest = write(&*checkpointer, None, &image).id();
    for round in 0..16 {
        image = changed(&image, &mut rng);
        newest = write(&*checkpointer, Some(newest), &image).id();
        let effort = [Effort::Needed, Effort::AtRest, Effort::Full][round % 3];
        newest = maintain_all(&*checkpointer, effort, &image).last().copied().unwrap_or(newest);
        assert_eq!(maintain(&*checkpointer, effort, &image), None, "C5: maintenance goes on after it had ended");
        if round % 4 == 0 {
            for id in &list(&*checkpointer)[2..] {
                checkpointer.remove(*id).unwrap();
            }
        }
        if round % 5 == 0 {
            drop(checkpointer);
            checkpointer = open(harness);
        }
        assert_opens_as(&*checkpointer, newest, &image);
    }
}

/// There is nothing to maintain where there is no checkpoint.
pub fn c5_maintenance_of_nothing(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    for effort in [Effort::Needed, Effort::AtRest, Effort::Full] {
        let result = checkpointer.maintain(effort, &|| false).map(|checkpoint| checkpoint.map(|new| new.id()));
        assert!(matches!(result, Ok(None)), "C5: maintenance without a checkpoint gave {result:?}");
    }
    assert_eq!(list(&*checkpointer), [], "C2: maintenance without a checkpoint shows in the list");
}

/// What maintenance returned is listed and opens unchanged after a kill.
pub fn c1_maintained_survives_kill(harness: &mut dyn CheckpointerHarness) {
    maintained_survives(harness, <dyn CheckpointerHarness>::kill);
}

/// What maintenance returned is listed and opens unchanged after a power cut.
pub fn c1_maintained_survives_power_cut(harness: &mut dyn CheckpointerPowerCut) {
    maintained_survives(harness, <dyn CheckpointerPowerCut>::cut_power);
}

fn maintained_survives<H: CheckpointerHarness + ?Sized>(harness: &mut H, crash: impl Fn(&mut H)) {
    let checkpointer = open(harness);
    let Stack { mut listed } = Stack::new(&*checkpointer, 11);
    let image = listed[0].1.clone();
    drop(checkpointer);
    for round in 0..8 {
        let checkpointer = open(harness);
        let made = maintain(&*checkpointer, Effort::Full, &image);
        if let Some(id) = made {
            listed.insert(0, (id, image.clone()));
        }
        if round % 2 == 0 {
            // What is stacked on a checkpoint must still be there when that one is removed.
            let (oldest, _) = listed.pop().unwrap();
            checkpointer.remove(oldest).unwrap();
        }
        crash(harness);
        drop(checkpointer);
        let checkpointer = open(harness);
        let ids: Vec<_> = listed.iter().map(|(id, _)| *id).collect();
        let found = list(&*checkpointer);
        assert!(found.starts_with(&ids), "C1: checkpoints are missing after a crash: {found:?}, not {ids:?}");
        for (id, image) in &listed {
            assert_opens_as(&*checkpointer, *id, image);
        }
        // A power cut may undo a removal.
        found[ids.len()..].iter().for_each(|id| checkpointer.remove(*id).unwrap());
    }
}

/// Maintenance that is cancelled, at any point, leaves the list as it was.
pub fn c2_cancelled_maintenance_leaves_nothing(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let stack = Stack::new(&*checkpointer, 12);
    for cancel_at in 0.. {
        let asked = Cell::new(0);
        let cancelled = || asked.replace(asked.get() + 1) >= cancel_at;
        let result = checkpointer.maintain(Effort::Full, &cancelled).map(|made| made.map(|new| new.id()));
        if asked.get() <= cancel_at {
            assert!(result.is_ok(), "C2: maintenance that was not cancelled gave {result:?}");
            break;
        }
        assert!(matches!(result, Err(Error::Cancelled)), "C2: maintenance that was cancelled gave {result:?}");
        stack.assert_unchanged(&*checkpointer);
    }
    assert_opens_as(&*checkpointer, list(&*checkpointer)[0], stack.newest());
    maintain_all(&*checkpointer, Effort::Full, stack.newest());
}

/// A kill in the middle of maintenance, at any point, leaves the list as it was.
pub fn c2_killed_maintenance_leaves_nothing(harness: &mut dyn CheckpointerHarness) {
    crash_in_maintenance(harness, <dyn CheckpointerHarness>::kill);
}

/// A power cut in the middle of maintenance, at any point, leaves the list as it was.
pub fn c2_power_cut_in_maintenance_leaves_nothing(harness: &mut dyn CheckpointerPowerCut) {
    crash_in_maintenance(harness, <dyn CheckpointerPowerCut>::cut_power);
}

fn crash_in_maintenance<H: CheckpointerHarness + ?Sized>(harness: &mut H, crash: impl Fn(&mut H)) {
    let first = open(harness);
    let stack = Stack::new(&*first, 13);
    drop(first);
    for crash_at in 0.. {
        let checkpointer = open(harness);
        let asked = Cell::new(0);
        let medium = RefCell::new(&mut *harness);
        let crash_once = || {
            if asked.replace(asked.get() + 1) == crash_at {
                crash(&mut medium.borrow_mut());
            }
            false
        };
        let result = checkpointer.maintain(Effort::Full, &crash_once);
        assert!(result.is_ok(), "C2: maintenance failed though only a copy of its medium crashed: {:?}", result.err());
        if asked.get() <= crash_at {
            return; // there was no crash
        }
        drop((result, checkpointer));
        let checkpointer = open(harness);
        stack.assert_unchanged(&*checkpointer);
    }
}

/// Each operation of maintenance on its medium fails in turn. Each time, maintenance fails, and the
/// list stays as it was.
pub fn c2_failed_maintenance_leaves_nothing(harness: &mut dyn CheckpointerFaults) {
    let mut checkpointer = open(harness);
    let stack = Stack::new(&*checkpointer, 14);
    for n in 1.. {
        harness.fail_nth_operation(n);
        let result = checkpointer.maintain(Effort::Full, &|| false).map(|made| made.map(|new| new.id()));
        if matches!(result, Ok(None)) || !harness.failed() {
            assert!(result.is_ok(), "C2: maintenance failed though its medium did not: {result:?}");
            return;
        }
        assert!(result.is_err(), "C2: maintenance succeeded though operation {n} on its medium failed");
        stack.assert_unchanged(&*checkpointer);
        drop(checkpointer);
        checkpointer = open(harness);
        stack.assert_unchanged(&*checkpointer);
    }
}

/// A checkpoint that is written in the middle of maintenance, at any point, is not lost: what
/// maintenance makes holds its state. The write does not wait for maintenance.
pub fn c5_maintenance_takes_in_a_write(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let mut image = Stack::new(&*checkpointer, 15).newest().clone();
    let mut rng = Rng::with_seed(150); // with that of the stack, it would create the same collections again
    for write_at in 0..20 {
        let before = list(&*checkpointer);
        let next = changed(&image, &mut rng);
        let asked = Cell::new(0);
        let written = Cell::new(None);
        let write_once = || {
            if asked.replace(asked.get() + 1) == write_at {
                written.set(Some(in_another_thread(&checkpointer, {
                    let (previous, next) = (before[0], next.clone());
                    move |checkpointer| write_with(checkpointer, Some(previous), &mut next.changes()).unwrap().id()
                })));
            }
            false
        };
        let made = checkpointer.maintain(Effort::Full, &write_once);
        let made = made.unwrap_or_else(|error| panic!("C5: maintenance beside a write failed: {error:?}"));
        let Some(written) = written.get() else { break }; // it was over before that
        let made: Vec<_> = made.iter().map(|made| made.id()).collect();
        let expected: Vec<_> = made.iter().copied().chain([written]).chain(before).collect();
        assert_eq!(list(&*checkpointer), expected, "C7: the list after a write in the middle of maintenance");
        image = next;
        assert_opens_as(&*checkpointer, expected[0], &image);
        assert_opens_as(&*checkpointer, written, &image);
    }
    let newest = list(&*checkpointer)[0];
    drop(checkpointer);
    assert_opens_as(&*open(harness), newest, &image);
}

/// Maintenance does not wait for a write that goes on meanwhile, and is not undone by it.
pub fn maintenance_does_not_wait_for_a_write(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let stack = Stack::new(&*checkpointer, 16);
    let before = list(&*checkpointer);
    let next = changed(stack.newest(), &mut Rng::with_seed(160));
    let made = Cell::new(None);
    let mut changes = next.changes().with(|given| {
        if given == 1 && made.get().is_none() {
            let maintain = |checkpointer: &dyn Checkpointer| checkpointer.maintain(Effort::Full, &|| false).unwrap();
            made.set(Some(in_another_thread(&checkpointer, maintain).map(|made| made.id())));
        }
        Ok(Go::On)
    });
    let written = write_with(&*checkpointer, Some(before[0]), &mut changes).unwrap();
    drop(changes);
    assert_state(&*written, &next);
    let made = made.get().unwrap_or_else(|| panic!("C5: a write did not read its changes"));
    let expected: Vec<_> = [written.id()].into_iter().chain(made).chain(before).collect();
    assert_eq!(list(&*checkpointer), expected, "C7: the list after maintenance in the middle of a write");
    if let Some(made) = made {
        assert_opens_as(&*checkpointer, made, stack.newest());
    }
    maintain_all(&*checkpointer, Effort::Full, &next);
}

/// Runs `act` in a thread of its own. Panics if it does not end soon, and leaves it alone then.
fn in_another_thread<T: Send + 'static>(
    checkpointer: &Arc<dyn Checkpointer>,
    act: impl FnOnce(&dyn Checkpointer) -> T + Send + 'static,
) -> T {
    let (send, receive) = mpsc::channel();
    let checkpointer = Arc::clone(checkpointer);
    thread::spawn(move || send.send(act(&*checkpointer)));
    receive.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("writes and maintenance wait for each other: {error}"))
}

/// While one thread maintains without a pause, others write, remove and read. Nothing is lost.
pub fn maintenance_beside_writes(harness: &mut dyn CheckpointerHarness) {
    let checkpointer = open(harness);
    let mut rng = Rng::with_seed(17);
    let mut images = vec![sample(1, 10, 60)];
    for _ in 0..30 {
        images.push(changed(&images[images.len() - 1], &mut rng));
    }
    let assert_right = |id: CheckpointId| {
        let image = images.iter().find(|image| image.lsn == id.lsn).unwrap();
        match checkpointer.open(id) {
            Ok(checkpoint) => assert_state(&*checkpoint, image),
            Err(error) => assert!(!list(&*checkpointer).contains(&id), "{id:?} is listed and does not open: {error:?}"),
        }
    };
    let mut previous = write(&*checkpointer, None, &images[0]).id();
    let done = DoneFlag::default();
    thread::scope(|scope| {
        let maintainer = scope.spawn(|| {
            while !done.is_set() {
                for effort in [Effort::Full, Effort::Needed] {
                    let made = checkpointer.maintain(effort, &|| false).unwrap();
                    made.iter().for_each(|made| assert_right(made.id()));
                }
                thread::yield_now();
            }
        });
        let writer = scope.spawn(|| {
            let _done = done.set_when_dropped();
            for image in &images[1..] {
                previous = write_with(&*checkpointer, Some(previous), &mut image.changes()).unwrap().id();
                let listed = list(&*checkpointer);
                assert!(listed.contains(&previous), "C7: a checkpoint was set aside by maintenance");
                assert_right(listed[0]);
                listed.iter().filter(|id| id.lsn < previous.lsn).skip(1).for_each(|id| {
                    checkpointer.remove(*id).unwrap();
                });
            }
        });
        join_all([writer, maintainer]);
    });
    let last = &images[images.len() - 1];
    drop(checkpointer);
    let checkpointer = open(harness);
    assert_opens_as(&*checkpointer, list(&*checkpointer)[0], last);
    maintain_all(&*checkpointer, Effort::Full, last);
}
