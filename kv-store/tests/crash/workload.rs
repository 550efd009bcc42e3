//! The reference workload, and a life that a store leads under it.

use kv_store::{Batch, Durability, Error, Result, Store, Transaction};
use kv_testkit::{
    Model, Operation,
    sim::{CrashModel, SimDisk},
};

use crate::{
    engine::Engine,
    finding::{Verdict, Violation},
    known::Known,
};

/// Something that is done to the engine.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// One of the usual things, which follows from the seed and from what the store holds then.
    Usual(u64),
    /// Two entries of that key.
    Put(u8, Durability),
    Checkpoint,
    Reopen,
    Close,
}

/// Puts, overwrites, deletions, batches and transactions over three collections, of which two are dropped, made again, cleared and renamed, at both durabilities; background work now and
/// then, so that segments are also made when they are needed; checkpoints, a clean close, openings.
pub fn reference(seed: u64) -> Vec<Step> {
    lives(seed, 55, &[Step::Checkpoint, Step::Reopen, Step::Checkpoint, Step::Checkpoint, Step::Close])
}

/// The first writes after a crash, a checkpoint, and a clean end.
pub fn first_steps() -> Vec<Step> {
    lives(7, 3, &[Step::Checkpoint, Step::Close])
}

/// As little as has everything in it: two checkpoints, segments before and after them, a tail that only the kernel has, and maybe a clean end.
pub fn small(closed: bool) -> Vec<Step> {
    let tail = (0..4).map(|key| Step::Put(key, if key < 2 { Durability::Disk } else { Durability::Process }));
    let end = closed.then_some(Step::Close);
    let large = Step::Put(LARGE, Durability::Disk); // in a segment of its own, so that there is something to be trimmed
    let lives = [lives(3, 8, &[Step::Checkpoint]), lives(4, 8, &[large]), vec![Step::Checkpoint]].concat();
    [large].into_iter().chain(lives).chain(tail).chain(end).collect()
}

/// The key whose value takes blocks of its own.
const LARGE: u8 = 99;

/// Mostly zeroes, so that there is little of it to be damaged in different ways.
fn large_value() -> Vec<u8> {
    (0..6000).map(|at| u8::from(at % 500 == 7)).collect()
}

fn lives(seed: u64, usual: u64, endings: &[Step]) -> Vec<Step> {
    let life = |(part, ending): (u64, &Step)| {
        let first = seed.wrapping_add(part).wrapping_mul(1 << 32);
        (first..first + usual).map(Step::Usual).chain([*ending]).collect::<Vec<_>>()
    };
    (0..).zip(endings).flat_map(life).collect()
}

/// What a usual step does.
enum Usual {
    Write(Vec<Operation>, Durability),
    Sync,
    /// The jobs that were woken.
    Background,
}

impl Usual {
    /// Each write changes something.
    fn new(seed: u64, model: &Model) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        match rng.u8(..40) {
            0 => Self::Sync,
            1..=5 => Self::Background,
            6 if model.collections().contains_key("b") => Self::Write(vec![Operation::drop("b")], Durability::Disk),
            6 => Self::Write(vec![Operation::create("b")], Durability::Disk),
            7 => Self::Write(vec![change_name(model)], durability(&mut rng)),
            kind => {
                let len = if kind < 16 { rng.usize(2..6) } else { 1 };
                let durability = durability(&mut rng);
                let mut after = model.clone();
                let mut operations = Vec::new();
                if kind == 8 && model.collections().contains_key("b") {
                    operations.push(Operation::Clear { collection: "b".to_owned() });
                    after.apply(&operations[0]);
                }
                operations.extend((0..len).map(|_| change(&mut rng, &mut after)));
                Self::Write(operations, durability)
            }
        }
    }
}

fn durability(rng: &mut fastrand::Rng) -> Durability {
    if rng.u8(..5) < 2 { Durability::Disk } else { Durability::Process }
}

/// What can be done to a name, of two collections.
fn change_name(model: &Model) -> Operation {
    let exists = |name| model.collections().contains_key(name);
    let rename = |from: &str, to: &str| Operation::Rename { collection: from.to_owned(), to: to.to_owned() };
    match (exists("b"), exists("c")) {
        (true, false) => rename("b", "c"),
        (false, true) => rename("c", "b"),
        (true, true) => Operation::drop("c"),
        (false, false) => Operation::create("c"),
    }
}

fn change(rng: &mut fastrand::Rng, model: &mut Model) -> Operation {
    let collection = if rng.u8(..3) == 0 { "b" } else { "a" };
    let key = vec![b'k', rng.u8(..12)];
    let is_there = model.get(collection, &key).is_some();
    let operation = if is_there && rng.u8(..3) == 0 {
        Operation::delete(collection, key)
    } else {
        let len = match rng.u8(..60) {
            0 => 18_000, // more than a usual segment holds
            1..=6 => rng.usize(..6000),
            _ => rng.usize(..200),
        };
        Operation::put(collection, key, vec![rng.u8(..); len])
    };
    model.apply(&operation);
    operation
}

/// A store in use, and what is known of it.
pub struct Life {
    disk: SimDisk,
    /// `None` after it could not be opened.
    pub engine: Option<Engine>,
    pub known: Known,
    /// Whether the outcome of a write is unknown since the store was opened.
    is_unsure: bool,
}

impl Life {
    /// Not yet open.
    pub fn new(disk: &SimDisk, known: Known) -> Self {
        Self { disk: disk.clone(), engine: None, known, is_unsure: false }
    }

    /// Opens the store and leads it through the steps, none of which may fail.
    pub fn begin(disk: &SimDisk, known: Known, steps: &[Step]) -> Verdict<Self> {
        let mut life = Self::new(disk, known);
        life.open()?.map_err(|error| Violation::refusal("cannot be opened", &error))?;
        for step in steps {
            life.step(*step)?.map_err(|error| Violation::refusal(&format!("{step:?} failed"), &error))?;
        }
        Ok(life)
    }

    /// The same, to the end: what is known then.
    pub fn lead(disk: &SimDisk, known: Known, steps: &[Step]) -> Verdict<Known> {
        Self::begin(disk, known, steps).map(|life| life.known)
    }

    /// Opens the store, and looks whether it is the one that is known. What is not there any more is forgotten.
    pub fn open(&mut self) -> Verdict<Result<()>> {
        let engine = match Engine::open(&self.disk) {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        let now = self.disk.operations();
        let position = self.known.check_opened(now, CrashModel::Killed, &engine)?;
        self.known.forget_beyond(position);
        self.known.acknowledge(now, Durability::Disk);
        self.engine = Some(engine);
        self.is_unsure = false;
        Ok(Ok(()))
    }

    /// Does it. The error is the engine's answer; a violation, a wrong one.
    pub fn step(&mut self, step: Step) -> Verdict<Result<()>> {
        let Some(Engine { store, .. }) = &self.engine else { return self.open() };
        match step {
            Step::Usual(seed) => return self.usual(&Usual::new(seed, self.known.model())),
            Step::Put(key, durability) => {
                let value = if key == LARGE { large_value() } else { vec![key; 20] };
                let puts = ["a", "b"].map(|collection| Operation::put(collection, [key], value.clone()));
                return self.usual(&Usual::Write(puts.to_vec(), durability));
            }
            Step::Checkpoint => {
                if let Err(error) = store.checkpoint() {
                    return Ok(Err(error));
                }
                self.known.checkpointed(self.disk.operations());
            }
            Step::Close | Step::Reopen => {
                let closed = store.close();
                if closed.is_ok() {
                    self.known.synced(self.disk.operations());
                }
                if matches!(step, Step::Reopen) {
                    self.engine = None; // lets go of the lock
                    return self.open().map(|opened| closed.and(opened));
                }
                return Ok(closed);
            }
        }
        Ok(Ok(()))
    }

    fn usual(&mut self, usual: &Usual) -> Verdict<Result<()>> {
        let Some(Engine { store, scheduler }) = &self.engine else { return Ok(Ok(())) };
        match usual {
            Usual::Background => {
                scheduler.run_woken();
                Ok(Ok(()))
            }
            Usual::Sync => {
                let synced = store.sync();
                if synced.is_ok() {
                    self.known.synced(self.disk.operations());
                }
                Ok(synced)
            }
            Usual::Write(operations, durability) => {
                let mut model = self.known.model().clone();
                model.apply_batch(operations);
                self.known.begin(self.disk.operations(), model);
                let written = write(store, operations, *durability);
                let appended = store.stats().log.appended;
                let creates = matches!(operations[..], [Operation::Create { .. }]);
                match &written {
                    // What a write whose outcome is unknown was to change is still as it was, to the store: it answers by that.
                    Ok(()) if creates && self.is_unsure && appended < self.known.last() => self.known.take_back(),
                    Err(Error::CollectionExists { .. } | Error::CollectionNotFound { .. } | Error::KeyNotFound)
                        if self.is_unsure && appended < self.known.last() =>
                    {
                        self.known.take_back();
                        return Ok(Ok(()));
                    }
                    Ok(()) if appended != self.known.last() => {
                        let what = format!("the write after {} others has position {appended}", self.known.last());
                        return Err(Violation::wrong(what));
                    }
                    Ok(()) => self.known.acknowledge(self.disk.operations(), *durability),
                    Err(Error::OutcomeUnknown { .. }) if appended == self.known.last() => self.is_unsure = true, // it may be there
                    Err(error) if appended == self.known.last() => {
                        return Err(Violation::wrong(format!("a write was refused, and logged: {error:?}")));
                    }
                    Err(_) => self.known.take_back(),
                }
                Ok(written)
            }
        }
    }
}

/// Single puts as such, several puts and deletions as a batch, and everything else as a transaction.
fn write(store: &Store, operations: &[Operation], durability: Durability) -> Result<()> {
    match operations {
        [Operation::Put { collection, key, value }] => {
            store.collection(collection)?.with_durability(durability).put(key, value)
        }
        operations => match batch(operations) {
            Some(batch) => store.write_with(&batch, durability),
            None => store.transact_with(durability, |tx| operations.iter().try_for_each(|change| make(tx, change))),
        },
    }
}

fn batch(operations: &[Operation]) -> Option<Batch> {
    let mut batch = Batch::new();
    for operation in operations {
        match operation {
            Operation::Put { collection, key, value } => batch.put(collection, key, value),
            Operation::Delete { collection, key } => batch.delete(collection, key),
            _ => return None,
        };
    }
    Some(batch)
}

fn make(tx: &mut Transaction<'_>, operation: &Operation) -> Result<()> {
    match operation {
        Operation::Put { collection, key, value } => tx.put(collection, key, value),
        Operation::Delete { collection, key } => tx.delete(collection, key),
        Operation::Create { collection } => tx.create_collection(collection).map(drop),
        Operation::Drop { collection } => tx.drop_collection(collection),
        Operation::Clear { collection } => tx.clear_collection(collection),
        Operation::Rename { collection, to } => tx.rename_collection(collection, to),
        other => panic!("not in this workload: {other:?}"),
    }
}
