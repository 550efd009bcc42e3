//! Power cuts at every operation of writing, maintaining and removing checkpoints: each is there, whole, or not at all, and none that was made is lost.

use std::{collections::BTreeMap, sync::Mutex};

use kv_core::{CheckpointId, Checkpointer, CollectionId, Error, Result};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::sim::{Count, CrashChoice, CrashModel, Damage, Exploration, Moment, SimDisk, Survivors};

use crate::support::{Entries, State, compare};

/// How many states a run looks at that is not told otherwise, not counting those of second crashes.
const STATES: u64 = 30_000;
/// A second crash follows in one of so many states, with so many states of its own.
const AGAIN_ONE_IN: u64 = 24;
const AGAIN_STATES: u64 = 24;

type Content = BTreeMap<CollectionId, Entries>;

/// What the outside knows, each with how many operations the disk had done when it came to know.
#[derive(Clone, Default)]
struct Known {
    /// What a new checkpoint holds, from when on it may be there.
    contents: Vec<(u64, u64, Content)>,
    /// Checkpoints that were made, and when.
    made: Vec<(u64, CheckpointId)>,
    /// Checkpoints that may be gone, and since when.
    removed: Vec<(u64, CheckpointId)>,
    /// Checkpoints that were set aside, and when.
    set_aside: Vec<(u64, CheckpointId)>,
}

struct Life<'a> {
    disk: &'a SimDisk,
    checkpointer: MmapCheckpointer,
    known: Known,
    state: State,
    /// The states of the newest checkpoint and the one before.
    written: State,
    before: State,
}

impl<'a> Life<'a> {
    fn begin(disk: &'a SimDisk, known: Known, state: State) -> Result<Self> {
        let checkpointer = MmapCheckpointer::open(disk.vfs())?;
        Ok(Self { disk, checkpointer, known, state, written: State::default(), before: State::default() })
    }

    fn write(&mut self, previous: Option<CheckpointId>) -> Result<CheckpointId> {
        self.known.contents.push((self.disk.operations(), self.state.lsn, self.state.collections.clone()));
        let id = self.checkpointer.write(previous, &mut self.state.take())?.id();
        self.before = std::mem::replace(&mut self.written, self.state.clone());
        self.known.made.push((self.disk.operations(), id));
        Ok(id)
    }

    /// Damages the newest checkpoint and makes the next one of the one before: the damaged one is set aside.
    fn write_over_damaged(&mut self, newest: CheckpointId, previous: CheckpointId) -> Result<CheckpointId> {
        self.known.removed.push((self.disk.operations(), newest));
        assert!(self.disk.damage(&format!("{:016x}.part", newest.seq), &Damage::ZeroedSector(0)));
        let lsn = self.state.lsn;
        self.state = self.before.clone();
        self.state.lsn = lsn;
        self.change(8);
        let id = self.write(Some(previous))?;
        self.known.set_aside.push((self.disk.operations(), newest));
        Ok(id)
    }

    fn remove(&mut self, id: CheckpointId) -> Result<()> {
        self.known.removed.push((self.disk.operations(), id));
        self.checkpointer.remove(id)
    }

    fn change(&mut self, round: u8) {
        for n in 0..12_u8 {
            self.state.put(
                u32::from(n % 3),
                &[b'k', n.wrapping_mul(round + 3) % 20],
                &vec![round; usize::from(n) * 40],
            );
        }
        self.state.delete(1, b"k\x04");
        if round == 2 {
            self.state.drop_collection(2);
        }
    }
}

/// Checkpoints each made of the one before, one made of the one before a damaged one, the removal of the older ones, an opening in between.
fn long_life(disk: &SimDisk) -> Result<Known> {
    let mut life = Life::begin(disk, Known::default(), State::default())?;
    let mut kept: Vec<CheckpointId> = Vec::new();
    for round in 0..7 {
        if round == 5 {
            let (newest, previous) = (kept.remove(1), kept[0]);
            kept.push(life.write_over_damaged(newest, previous)?);
        } else {
            life.change(round);
            kept.push(life.write(kept.last().copied())?);
        }
        if round == 3 {
            life.checkpointer = MmapCheckpointer::open(disk.vfs())?;
        }
        while kept.len() > 2 {
            life.remove(kept.remove(0))?;
        }
    }
    Ok(life.known)
}

/// The first checkpoint after a crash, and the removal of all others.
fn short_life(disk: &SimDisk, known: &Known, operation: u64) -> Result<Known> {
    let list = MmapCheckpointer::open(disk.vfs())?.list()?;
    let mut found = Known::default();
    for id in &list {
        let (_, lsn, content) = content_of(known, operation, *id).unwrap();
        found.contents.push((0, *lsn, content.clone()));
        found.made.push((0, *id));
    }
    let is_bad =
        |id: &&CheckpointId| known.removed.iter().any(|(since, removed)| *since <= operation && removed == *id);
    found.removed.extend(list.iter().filter(is_bad).map(|id| (0, *id)));
    let newest = list.iter().find(|id| !is_bad(id)).copied();
    let mut state = State { lsn: list.first().map_or(0, |id| id.lsn.0), ..State::default() };
    if let Some(newest) = newest {
        state.collections = content_of(known, operation, newest).unwrap().2.clone();
    }
    let mut life = Life::begin(disk, found, state)?;
    life.change(9);
    life.known.removed.extend(list.iter().filter(|id| Some(**id) > newest).map(|id| (0, *id)));
    life.write(newest)?;
    for id in list {
        life.remove(id)?;
    }
    Ok(life.known)
}

fn content_of(known: &Known, operation: u64, id: CheckpointId) -> Option<&(u64, u64, Content)> {
    known.contents.iter().find(|(begun, lsn, _)| *begun <= operation && *lsn == id.lsn.0)
}

fn check(known: &Known, operation: u64, left: &SimDisk) {
    let checkpointer = MmapCheckpointer::open(left.vfs()).unwrap();
    let list = checkpointer.list().unwrap();
    for id in &list {
        let content = content_of(known, operation, *id);
        let (.., content) = content.unwrap_or_else(|| panic!("{id:?} was never written"));
        let is_doubtful = known.removed.iter().any(|(since, removed)| since <= &operation && removed == id);
        match checkpointer.open(*id).and_then(|checkpoint| compare(&*checkpoint, content)) {
            // Its removal may have got as far as its part.
            Err(Error::Corrupt { .. }) if is_doubtful => {}
            opened => opened.unwrap_or_else(|error| panic!("{id:?}: {}", error.chain())),
        }
    }
    for (since, id) in &known.made {
        let may_be_gone = known.removed.iter().any(|(since, removed)| *since <= operation && removed == id);
        assert!(*since > operation || may_be_gone || list.contains(id), "{id:?} is lost");
    }
    assert!(
        known.removed.iter().any(|(since, _)| *since <= operation)
            || checkpointer.verify().unwrap().findings.is_empty()
    );
}

fn explore(exploration: &Exploration, name: &str, depth: u32, moments: &[Moment], known: &Known) -> Count {
    let second = Mutex::new(Count::default());
    let mut count = exploration.run(name, moments, &CrashModel::ALL, &|moment, choice, left| {
        check(known, moment.operation, left);
        if depth == 1
            && let Some(again) = exploration.again(moment, choice, AGAIN_ONE_IN, AGAIN_STATES)
        {
            let left = moment.disk.crash(choice);
            left.record();
            let known = short_life(&left, known, moment.operation).unwrap_or_else(|error| panic!("{}", error.chain()));
            second.lock().unwrap().add(&explore(&again, "checkpoints again", 2, &left.take_recording(), &known));
        }
    });
    count.add(&second.into_inner().unwrap());
    count
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn no_crash_loses_a_checkpoint_or_leaves_half_of_one() {
    let disk = SimDisk::new(1);
    disk.record();
    let known = long_life(&disk).unwrap();
    let count = explore(&Exploration::from_env(STATES), "checkpoints", 1, &disk.take_recording(), &known);
    eprintln!("crashes of checkpoints: {count}");
}

/// On a disk whose syncs do nothing a checkpoint is lost that was said to be made, and that is noticed.
#[test]
fn a_disk_that_lies_is_found_out() {
    let disk = SimDisk::new(1);
    disk.lie();
    let known = long_life(&disk).unwrap();
    let left = disk.crash(&CrashChoice { model: CrashModel::Xfs, survivors: Survivors::Nothing });
    assert!(std::panic::catch_unwind(|| check(&known, disk.operations(), &left)).is_err());
}
