//! Power cuts at every operation of writing, maintaining and removing checkpoints. Each checkpoint
//! is there, complete, or not at all, and none that was made is lost.

use std::{collections::BTreeMap, sync::Mutex};

use kv_core::{CheckpointId, Checkpointer, CollectionId, Effort, Error, Result};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::sim::{Count, CrashChoice, CrashModel, Damage, Exploration, Moment, SimDisk, Survivors};

use crate::support::{Entries, State, compare, open};

/// The number of crash states that a run tries by default, without those of second crashes.
const STATES: u64 = 12_000;
/// One in this many states is followed by a second crash ...
const AGAIN_ONE_IN: u64 = 24;
/// ... of which this many states are tried.
const AGAIN_STATES: u64 = 24;

type Content = BTreeMap<CollectionId, Entries>;

/// What the outside knows. Each item has the number of operations that the disk had done when it
/// became known.
#[derive(Clone, Default)]
struct Known {
    /// What a new checkpoint at a position holds: (the earliest moment at which it may be there,
    /// position, content).
    contents: Vec<(u64, u64, Content)>,
    /// Checkpoints that were made, and when.
    made: Vec<(u64, CheckpointId)>,
    /// Checkpoints that may be gone, and since when.
    removed: Vec<(u64, CheckpointId)>,
    /// Checkpoints that were set aside, and when.
    set_aside: Vec<(u64, CheckpointId)>,
}

struct Workload<'a> {
    disk: &'a SimDisk,
    checkpointer: MmapCheckpointer,
    known: Known,
    state: State,
    /// The states of the newest checkpoint and of the one before it.
    written: State,
    before: State,
}

impl<'a> Workload<'a> {
    fn begin(disk: &'a SimDisk, known: Known, state: State) -> Result<Self> {
        let checkpointer = open(disk.vfs())?;
        Ok(Self { disk, checkpointer, known, state, written: State::default(), before: State::default() })
    }

    fn write(&mut self, previous: Option<CheckpointId>) -> Result<CheckpointId> {
        self.known.contents.push((self.disk.operations(), self.state.lsn, self.state.collections.clone()));
        let id = self.checkpointer.write(previous, &mut self.state.take())?.id();
        self.before = std::mem::replace(&mut self.written, self.state.clone());
        self.known.made.push((self.disk.operations(), id));
        Ok(id)
    }

    /// Damages the newest checkpoint and makes the next one from the one before it. The damaged one
    /// is set aside.
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

    /// Merges the newest checkpoint, which is in force.
    fn merge(&mut self, effort: Effort) -> Result<Option<CheckpointId>> {
        let made = self.checkpointer.maintain(effort, &|| false)?.map(|made| made.id());
        self.known.made.extend(made.map(|id| (self.disk.operations(), id)));
        Ok(made)
    }

    fn remove(&mut self, id: CheckpointId) -> Result<()> {
        self.known.removed.push((self.disk.operations(), id));
        self.checkpointer.remove(id)
    }

    fn change(&mut self, round: u8) {
        for n in 0..12_u8 {
            // A dropped collection is not created again: that would be another one.
            let index = if n % 3 == 2 && round > 2 { 5 } else { n % 3 };
            self.state.put(
                u32::from(index),
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

/// Checkpoints, each made from the one before it, except that one follows a damaged one, which is
/// set aside. Some are merged, and the older ones are removed. The checkpointer is opened again in
/// between.
fn long_workload(disk: &SimDisk) -> Result<Known> {
    let mut workload = Workload::begin(disk, Known::default(), State::default())?;
    let mut kept: Vec<CheckpointId> = Vec::new();
    for round in 0..7 {
        if round == 5 {
            let (newest, previous) = (kept.remove(1), kept[0]);
            kept.push(workload.write_over_damaged(newest, previous)?);
        } else {
            workload.change(round);
            kept.push(workload.write(kept.last().copied())?);
        }
        if round == 3 {
            workload.checkpointer = open(disk.vfs())?;
        }
        if let Some(effort) = [Effort::Needed, Effort::Full].get(round as usize % 4)
            && let Some(merged) = workload.merge(*effort)?
        {
            workload.remove(std::mem::replace(kept.last_mut().unwrap(), merged))?;
        }
        while kept.len() > 2 {
            workload.remove(kept.remove(0))?;
        }
    }
    Ok(workload.known)
}

/// The first checkpoint after a crash, and the removal of all others.
fn workload_after_a_crash(disk: &SimDisk, known: &Known, operation: u64) -> Result<Known> {
    let list = open(disk.vfs())?.list()?;
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
    let mut workload = Workload::begin(disk, found, state)?;
    workload.change(9);
    workload.known.removed.extend(list.iter().filter(|id| Some(**id) > newest).map(|id| (0, *id)));
    workload.write(newest)?;
    workload.merge(Effort::Full)?;
    for id in list {
        workload.remove(id)?;
    }
    Ok(workload.known)
}

fn content_of(known: &Known, operation: u64, id: CheckpointId) -> Option<&(u64, u64, Content)> {
    known.contents.iter().find(|(begun, lsn, _)| *begun <= operation && *lsn == id.lsn.0)
}

fn check(known: &Known, operation: u64, left: &SimDisk) {
    let checkpointer = open(left.vfs()).unwrap();
    let list = checkpointer.list().unwrap();
    for id in &list {
        let content = content_of(known, operation, *id);
        let (.., content) = content.unwrap_or_else(|| panic!("{id:?} was never written"));
        let is_doubtful = known.removed.iter().any(|(since, removed)| since <= &operation && removed == id);
        match checkpointer.open(*id).and_then(|checkpoint| compare(&*checkpoint, content)) {
            // Its removal may have removed its part already.
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
            let known = workload_after_a_crash(&left, known, moment.operation)
                .unwrap_or_else(|error| panic!("{}", error.chain()));
            second.lock().unwrap().add(&explore(&again, "checkpoints again", 2, &left.take_recording(), &known));
        }
    });
    count.add(&second.into_inner().unwrap());
    count
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was tried belongs to the result")]
fn no_crash_loses_a_checkpoint_or_leaves_half_of_one() {
    let disk = SimDisk::new(1);
    disk.record();
    let known = long_workload(&disk).unwrap();
    let count = explore(&Exploration::from_env(STATES), "checkpoints", 1, &disk.take_recording(), &known);
    eprintln!("crashes of checkpoints: {count}");
}

/// On a disk whose syncs do nothing, a checkpoint that was made is lost: `check` notices that.
#[test]
fn a_disk_that_lies_is_noticed() {
    let disk = SimDisk::new(1);
    disk.lie();
    let known = long_workload(&disk).unwrap();
    let left = disk.crash(&CrashChoice { model: CrashModel::Xfs, survivors: Survivors::Nothing });
    assert!(std::panic::catch_unwind(|| check(&known, disk.operations(), &left)).is_err());
}
