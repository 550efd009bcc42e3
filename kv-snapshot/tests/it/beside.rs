//! Merges and writes beside each other, and what is removed meanwhile. Each test stops one of them
//! at a certain point, and does something else there.

use std::{
    cell::{Cell, RefCell},
    fs,
    sync::Arc,
};

use kv_core::{Change, Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, Effort, Error, Result};
use kv_snapshot::{MmapCheckpointer, SnapshotOptions, Vfs, verify_deep};
use kv_testkit::vfs::{Fault, TestVfs};
use tempfile::TempDir;

use crate::support::{State, StateChanges, compare, options, test_vfs};

/// Parts are in the lowest class below this size.
pub const CLASS_BYTES: u64 = 64 << 10;

/// A stack of checkpoints.
pub struct Scene {
    pub directory: TempDir,
    pub vfs: Arc<TestVfs>,
    pub checkpointer: MmapCheckpointer,
    pub state: State,
    /// Newest first, with the state of each.
    pub made: Vec<(CheckpointId, State)>,
}

impl Scene {
    pub fn new(checkpoints: u8) -> Self {
        let directory = TempDir::new().unwrap();
        let vfs = test_vfs(directory.path());
        let options = SnapshotOptions { class_bytes: CLASS_BYTES, ..options() };
        let checkpointer = MmapCheckpointer::open_with(vfs.clone(), options).unwrap();
        let mut scene = Self { directory, vfs, checkpointer, state: State::default(), made: Vec::new() };
        (0..checkpoints).for_each(|round| scene.write(round));
        scene
    }

    fn change(&mut self, round: u8) {
        for n in 0..40_u8 {
            self.state.put(u32::from(n % 2), &[b'k', n.wrapping_mul(round | 1) % 60], &[round; 20]);
        }
        self.state.delete(0, &[b'k', 2 * (round % 30)]);
    }

    pub fn write(&mut self, round: u8) {
        self.change(round);
        let previous = self.made.first().map(|(id, _)| *id);
        let id = self.checkpointer.write(previous, &mut self.state.take()).unwrap().id();
        self.made.insert(0, (id, self.state.clone()));
    }

    pub fn newest(&self) -> CheckpointId {
        self.made[0].0
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn parts(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.ends_with(".part")).collect()
    }

    pub fn assert_sound(&self) {
        for (id, state) in &self.made {
            if self.checkpointer.list().unwrap().contains(id) {
                compare(&*self.checkpointer.open(*id).unwrap(), &state.collections).unwrap();
            }
        }
        let report = self.checkpointer.verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
        let vfs: Arc<dyn Vfs> = self.vfs.clone();
        let deep = verify_deep(&vfs).unwrap();
        assert!(deep.findings.is_empty() && deep.parts == report.parts, "{deep:?}");
        assert!(self.names().iter().all(|name| !name.ends_with(".tmp")), "{:?}", self.names());
    }
}

/// Changes that do something else at the first question whether to go on after `at` changes.
struct Acting<'a>(StateChanges, Cell<usize>, usize, RefCell<Option<Box<dyn FnOnce() + 'a>>>);

impl Changes for Acting<'_> {
    fn head(&self) -> &CheckpointHead {
        self.0.head()
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        self.1.set(self.1.get() + 1);
        if self.1.get() > self.2
            && let Some(act) = self.3.borrow_mut().take()
        {
            act();
        }
        self.0.next()
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// Merges everything, and acts once at the question with the number `at` whether to go on.
fn merge_and(
    checkpointer: &MmapCheckpointer,
    at: usize,
    act: impl FnOnce(),
) -> (Result<Option<Arc<dyn Checkpoint>>>, bool) {
    let asked = Cell::new(0);
    let act = Cell::new(Some(act));
    let cancelled = || {
        asked.set(asked.get() + 1);
        if asked.get() == at
            && let Some(act) = act.take()
        {
            act();
        }
        false
    };
    (checkpointer.maintain(Effort::Full, &cancelled), asked.get() >= at)
}

#[test]
fn a_write_during_a_merge_goes_on_top_of_it() {
    for at in 1.. {
        let mut scene = Scene::new(5);
        scene.change(77);
        let (newest, state) = (scene.newest(), scene.state.clone());
        let mut changes = scene.state.take();
        let written = Cell::new(None);
        let write = || written.set(Some(scene.checkpointer.write(Some(newest), &mut changes).unwrap()));
        let (merged, acted) = merge_and(&scene.checkpointer, at, write);
        let merged = merged.unwrap().unwrap();
        let Some(written) = written.take() else {
            assert!(!acted && at > 6, "asked only {at} times");
            return;
        };
        assert!(merged.id() > written.id() && merged.id().lsn == written.id().lsn);
        assert_eq!((written.stats().parts, merged.stats().parts), (6, 2), "question {at}");
        for checkpoint in [&*written, &*merged] {
            compare(checkpoint, &state.collections).unwrap();
        }
        assert_eq!(scene.checkpointer.list().unwrap()[..2], [merged.id(), written.id()]);
        scene.assert_sound();
    }
}

#[test]
fn a_merge_during_a_write_stays_below_it() {
    for at in [0, 1, 10] {
        let mut scene = Scene::new(5);
        scene.change(78);
        let state = scene.state.clone();
        let merged = Cell::new(None);
        let merge = || merged.set(scene.checkpointer.maintain(Effort::Full, &|| false).unwrap());
        let mut changes = Acting(scene.state.take(), Cell::new(0), at, RefCell::new(Some(Box::new(merge))));
        let written = scene.checkpointer.write(Some(scene.newest()), &mut changes).unwrap();
        drop(changes);
        let merged = merged.take().unwrap();
        compare(&*merged, &scene.made[0].1.collections).unwrap();
        compare(&*written, &state.collections).unwrap();
        assert_eq!(written.stats().parts, 2, "the new part, and what the others were merged to");
        let list = scene.checkpointer.list().unwrap();
        assert_eq!(list[..3], [written.id(), merged.id(), scene.newest()], "neither sets the other aside");
        assert!(written.id().seq > merged.id().seq, "C8");
        // The next write builds on the older one of the two, which holds the same state.
        scene.assert_sound();
    }
}

/// A write takes what was merged from its previous checkpoint, however often.
#[test]
fn a_write_above_what_was_merged_twice() {
    let mut scene = Scene::new(6);
    let previous = scene.newest();
    let once = scene.checkpointer.maintain(Effort::Needed, &|| false).unwrap().unwrap();
    let twice = scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().map_or(once.id(), |twice| twice.id());
    scene.change(79);
    let written = scene.checkpointer.write(Some(previous), &mut scene.state.take()).unwrap();
    compare(&*written, &scene.state.collections).unwrap();
    assert_eq!(written.stats().parts, 2);
    let list = scene.checkpointer.list().unwrap();
    assert!(list.contains(&once.id()) && list.contains(&twice) && list.contains(&previous), "{list:?}");
    scene.assert_sound();
}

/// The checkpoint that is merged turns out to be bad, and the next one is written above an older
/// one. What was merged is of no use then. Above all, it must not take the place of parts that both
/// have: it lacks a collection that was dropped in the bad one only.
#[test]
fn a_merge_of_what_was_set_aside_is_dropped() {
    for at in 1..5 {
        let mut scene = Scene::new(3);
        let (older, older_state) = (scene.newest(), scene.state.clone());
        scene.state.drop_collection(1);
        scene.write(50);
        let bad = scene.newest();
        let mut state = State { lsn: scene.state.lsn + 1, ..older_state };
        state.put(0, b"kept", b"yes");
        let expected = state.collections.clone();
        let mut changes = state.take();
        let written = Cell::new(None);
        let write = || written.set(Some(scene.checkpointer.write(Some(older), &mut changes).unwrap()));
        let (merged, _) = merge_and(&scene.checkpointer, at, write);
        let (merged, written) = (merged.unwrap(), written.take().unwrap());
        assert!(merged.is_none(), "question {at}");
        let list = scene.checkpointer.list().unwrap();
        assert_eq!(list[..2], [written.id(), older]);
        assert!(!list.contains(&bad));
        compare(&*written, &expected).unwrap();
        compare(&*scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap(), &expected).unwrap();
        scene.made.remove(0);
        scene.assert_sound();
    }
}

/// A merge of parts below the newest one, and a bad checkpoint above: the parts lie next to each
/// other in the new one as well, and must be left alone nevertheless.
#[test]
fn a_merge_learned_nothing_of_another_checkpoint() {
    let mut scene = Scene::new(4);
    let (older, older_state) = (scene.newest(), scene.state.clone());
    // The bad one has a large part, so that the four below it are merged without it.
    scene.state.drop_collection(1);
    scene.state.put(0, b"large", &[1; 2 * CLASS_BYTES as usize]);
    scene.write(51);
    let mut state = State { lsn: scene.state.lsn + 1, ..older_state };
    state.put(0, b"kept", b"yes");
    let expected = state.collections.clone();
    let written = Cell::new(None);
    let mut changes = state.take();
    let acted = Cell::new(false);
    let changes = RefCell::new(&mut changes);
    let cancelled = || {
        if !acted.replace(true) {
            let above_older = scene.checkpointer.write(Some(older), *changes.borrow_mut()).unwrap();
            written.set(Some(above_older));
        }
        false
    };
    let merged = scene.checkpointer.maintain(Effort::Needed, &cancelled).unwrap();
    assert!(merged.is_none());
    let written = written.take().unwrap();
    compare(&*written, &expected).unwrap();
    assert_eq!(scene.checkpointer.list().unwrap()[..2], [written.id(), older]);
    compare(&*scene.checkpointer.open(written.id()).unwrap(), &expected).unwrap();
}

/// Everything else is removed while a merge goes on, again and again.
#[test]
fn removal_during_a_merge() {
    let scene = Scene::new(6);
    let newest = scene.newest();
    let removed = RefCell::new(scene.checkpointer.list().unwrap());
    let cancelled = || {
        let older = removed.borrow_mut().pop().filter(|id| *id != newest);
        older.into_iter().for_each(|id| scene.checkpointer.remove(id).unwrap());
        scene.checkpointer.remove(CheckpointId { seq: 999, ..newest }).unwrap(); // and cleans
        false
    };
    let merged = scene.checkpointer.maintain(Effort::Full, &cancelled).unwrap().unwrap();
    compare(&*merged, &scene.state.collections).unwrap();
    scene.checkpointer.remove(newest).unwrap();
    assert_eq!(scene.parts().len(), 1, "{:?}", scene.names());
    scene.assert_sound();
    compare(&*scene.checkpointer.open(merged.id()).unwrap(), &scene.state.collections).unwrap();
}

/// The checkpoint that is merged is removed meanwhile: there is nothing to put the result into.
#[test]
fn a_merge_of_what_was_removed_is_dropped() {
    let scene = Scene::new(3);
    let newest = scene.newest();
    let (merged, _) = merge_and(&scene.checkpointer, 2, || scene.checkpointer.remove(newest).unwrap());
    assert!(merged.unwrap().is_none());
    assert_eq!(scene.checkpointer.list().unwrap(), [scene.made[1].0, scene.made[2].0]);
    scene.assert_sound();
}

#[test]
fn a_merge_stops_at_each_question_and_leaves_nothing() {
    let scene = Scene::new(4);
    let (list, names) = (scene.checkpointer.list().unwrap(), scene.names());
    for cancel_at in 1.. {
        let asked = Cell::new(0);
        let merged = scene.checkpointer.maintain(Effort::Full, &|| {
            asked.set(asked.get() + 1);
            asked.get() >= cancel_at
        });
        if asked.get() < cancel_at {
            compare(&*merged.unwrap().unwrap(), &scene.state.collections).unwrap();
            return assert!(cancel_at > 6, "asked only {cancel_at} times");
        }
        assert!(matches!(merged.map(drop), Err(Error::Cancelled)), "question {cancel_at}");
        assert_eq!(asked.get(), cancel_at, "it went on");
        assert_eq!((scene.checkpointer.list().unwrap(), scene.names()), (list.clone(), names.clone()));
    }
}

#[test]
fn a_merge_that_fails_anywhere_leaves_everything_as_it_was() {
    let scene = Scene::new(4);
    let (list, names) = (scene.checkpointer.list().unwrap(), scene.names());
    for n in 1.. {
        scene.vfs.fail(Fault::on_any().nth(n).never_repeated());
        let before = scene.vfs.failures();
        let merged = scene.checkpointer.maintain(Effort::Full, &|| false);
        let failed = scene.vfs.failures() > before;
        scene.vfs.heal();
        if !failed {
            compare(&*merged.unwrap().unwrap(), &scene.state.collections).unwrap();
            return assert!(n > 20, "only {n} operations");
        }
        assert!(matches!(merged.map(drop), Err(Error::Io { .. })), "operation {n}");
        assert_eq!((scene.checkpointer.list().unwrap(), scene.names()), (list.clone(), names.clone()), "operation {n}");
    }
}

/// Threads that write, merge, remove and read, without any order.
#[test]
fn threads_that_write_merge_remove_and_read() {
    let scene = Scene::new(2);
    let Scene { ref checkpointer, .. } = scene;
    let states: Vec<State> = {
        let mut state = scene.state.clone();
        let change = |round: u8| {
            for n in 0..30_u8 {
                state.put(u32::from(n % 2), &[b'k', n.wrapping_mul(round | 1) % 60], &[round; 50]);
            }
            state.delete(1, &[b'k', round % 60]);
            let next = state.clone();
            state.changes.clear();
            next
        };
        (0..40).map(change).collect()
    };
    let read = |id: CheckpointId| {
        let expected = states.iter().chain([&scene.state]).find(|state| state.lsn == id.lsn.0);
        match (checkpointer.open(id), expected) {
            (Ok(checkpoint), Some(state)) => compare(&*checkpoint, &state.collections).unwrap(),
            (Ok(_), None) => {}
            (Err(error), _) => assert!(!checkpointer.list().unwrap().contains(&id), "{}", error.chain()),
        }
    };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let merger = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let cancel = fastrand::bool();
                let left = std::sync::atomic::AtomicU32::new(fastrand::u32(1..30));
                let cancelled = || cancel && left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1;
                match checkpointer.maintain(fastrand::choice([Effort::Needed, Effort::Full]).unwrap(), &cancelled) {
                    Ok(made) => made.iter().for_each(|made| read(made.id())),
                    Err(error) => assert!(matches!(error, Error::Cancelled), "{}", error.chain()),
                }
            }
        });
        let mut previous = scene.newest();
        for state in &states {
            previous = checkpointer.write(Some(previous), &mut state.clone().take()).unwrap().id();
            let list = checkpointer.list().unwrap();
            assert!(list.contains(&previous));
            read(list[0]);
            list.iter().filter(|id| id.lsn < previous.lsn).skip(1).for_each(|id| checkpointer.remove(*id).unwrap());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        merger.join().unwrap();
    });
    let newest = checkpointer.list().unwrap()[0];
    compare(&*checkpointer.open(newest).unwrap(), &states.last().unwrap().collections).unwrap();
    scene.assert_sound();
}
