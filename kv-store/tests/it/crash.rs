//! Crashes of the whole engine, at every operation on the disk of a workload, with every state that the disk may be left in, or a sample of them; and again
//! while the engine recovers.

use std::sync::{Arc, Mutex};

use kv_core::Checkpointer;
use kv_snapshot::MmapCheckpointer;
use kv_store::{Batch, Durability, Epoch, Lsn, Result, Store, StoreOptions};
use kv_testkit::{
    ManualScheduler, Model, Operation,
    sim::{Count, CrashChoice, CrashModel, Exploration, Moment, Pick, SimDisk},
};
use kv_wal::SegmentedLog;

use crate::support::content;

/// How many states a run looks at that is not told otherwise, not counting those of second crashes.
const STATES: u64 = 8_000;
/// A second crash follows in one of so many states, with so many states of its own.
const AGAIN_ONE_IN: u64 = 24;
const AGAIN_STATES: u64 = 12;

/// An engine on a simulated disk, whose background work is done when it is told to.
struct Engine {
    disk: SimDisk,
    store: Store,
    scheduler: ManualScheduler,
}

impl Engine {
    fn open(disk: &SimDisk) -> Result<Self> {
        let vfs = disk.vfs();
        let io = |error: kv_vfs::Error| kv_store::Error::from_io(error.operation, error.path, error.source);
        let [log, checkpoints] = ["log", "checkpoints"].map(|name| vfs.create_directory(name));
        vfs.sync_directory().map_err(io)?;
        let scheduler = ManualScheduler::new();
        let checkpointer = MmapCheckpointer::open(checkpoints.map_err(io)?)?;
        let newest = checkpointer.list()?.first().map_or(0, |id| id.epoch.0);
        let log_options = kv_wal::Options {
            segment_bytes_max: 16 << 10,
            epoch_min: Epoch(newest + 1),
            scheduler: Arc::new(scheduler.clone()),
            ..kv_wal::Options::default()
        };
        let log = SegmentedLog::open(log.map_err(io)?, log_options)?;
        let options = StoreOptions {
            close_checkpoint_record_bytes: u64::MAX,
            scheduler: Arc::new(scheduler.clone()),
            ..StoreOptions::default()
        };
        let store = Store::open(Arc::new(log), Arc::new(checkpointer), options)?;
        Ok(Self { disk: disk.clone(), store, scheduler })
    }
}

/// What the outside knows, each with how many operations the disk had done when it came to know.
#[derive(Clone)]
struct Known {
    /// The state at each position, from 0, and when the write that made it was begun.
    states: Vec<(u64, Arc<Model>)>,
    /// Positions that were acknowledged to survive a power cut.
    durable: Vec<(u64, Lsn)>,
    /// Positions that were acknowledged to survive a killed process.
    written: Vec<(u64, Lsn)>,
    /// Positions of checkpoints that were made.
    checkpoints: Vec<(u64, Lsn)>,
}

impl Known {
    /// A store in that state, and what led to it.
    fn begin(states: Vec<Arc<Model>>) -> Self {
        Self {
            states: states.into_iter().map(|model| (0, model)).collect(),
            durable: Vec::new(),
            written: Vec::new(),
            checkpoints: Vec::new(),
        }
    }

    fn last(&self) -> Lsn {
        Lsn(self.states.len() as u64 - 1)
    }

    fn model(&self) -> Model {
        Model::clone(&self.states.last().unwrap().1)
    }
}

fn highest_at(known: &[(u64, Lsn)], operation: u64) -> Lsn {
    known.iter().filter(|(at, _)| *at <= operation).map(|(_, lsn)| *lsn).max().unwrap_or_default()
}

/// Something that is done to the engine.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Operation>, Durability),
    Sync,
    Checkpoint,
    /// The jobs that were woken.
    Background,
    CloseAndReopen,
    Close,
}

/// An engine in use, and what is known of it.
struct Life {
    engine: Engine,
    known: Known,
}

impl Life {
    fn begin(disk: &SimDisk, known: Known) -> Result<Self> {
        let mut life = Self { engine: Engine::open(disk)?, known };
        life.note_durable();
        Ok(life)
    }

    fn note_durable(&mut self) {
        self.known.durable.push((self.engine.disk.operations(), self.known.last()));
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let store = &self.engine.store;
        match step {
            Step::Write(operations, durability) => {
                let mut model = self.known.model();
                model.apply_batch(operations);
                self.known.states.push((self.engine.disk.operations(), Arc::new(model)));
                let acknowledged = write(store, operations, *durability)?;
                assert_eq!(store.stats().log.appended, self.known.last());
                self.known.written.push((self.engine.disk.operations(), self.known.last()));
                if acknowledged == Durability::Disk {
                    self.note_durable();
                }
            }
            Step::Sync => {
                store.sync()?;
                self.note_durable();
            }
            Step::Checkpoint => {
                store.checkpoint()?;
                self.note_durable();
                self.known.checkpoints.push((self.engine.disk.operations(), self.known.last()));
            }
            Step::Background => {
                self.engine.scheduler.run_woken();
            }
            Step::Close => {
                store.close()?;
                self.note_durable();
            }
            Step::CloseAndReopen => {
                store.close()?;
                self.note_durable();
                let disk = self.engine.disk.clone();
                self.engine = Engine::open(&SimDisk::new(0))?; // the old one lets go of its lock first
                self.engine = Engine::open(&disk)?;
            }
        }
        Ok(())
    }
}

/// Does it, and says what the acknowledgement promises.
fn write(store: &Store, operations: &[Operation], durability: Durability) -> Result<Durability> {
    match operations {
        [Operation::Create { collection }] => store.create_collection(collection).map(|_| Durability::Disk),
        [Operation::Drop { collection }] => store.drop_collection(collection).map(|()| Durability::Disk),
        [Operation::Put { collection, key, value }] => {
            store.collection(collection)?.with_durability(durability).put(key, value).map(|()| durability)
        }
        operations => {
            let mut batch = Batch::new();
            for operation in operations {
                match operation {
                    Operation::Put { collection, key, value } => batch.put(collection, key, value),
                    Operation::Delete { collection, key } => batch.delete(collection, key),
                    other => panic!("not for a batch: {other:?}"),
                };
            }
            store.write_with(&batch, durability).map(|()| durability)
        }
    }
}

/// Puts, overwrites, deletions, batches over two collections, a collection dropped and made again; checkpoints, openings, background work now and
/// then, so that segments are also made when they are needed. Each write changes something.
fn steps(seed: u64, count: usize, mut model: Model) -> Vec<Step> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut steps = Vec::new();
    while steps.len() < count {
        let step = match rng.u8(..40) {
            0 => Step::Sync,
            1..=5 => Step::Background,
            6 if model.collections().contains_key("b") => Step::Write(vec![Operation::drop("b")], Durability::Disk),
            6 => Step::Write(vec![Operation::create("b")], Durability::Disk),
            kind => {
                let len = if kind < 14 { rng.usize(2..6) } else { 1 };
                let durability = if rng.u8(..5) < 2 { Durability::Disk } else { Durability::Process };
                let mut after = model.clone();
                let operations = (0..len).map(|_| change(&mut rng, &mut after)).collect();
                Step::Write(operations, durability)
            }
        };
        if let Step::Write(operations, _) = &step {
            model.apply_batch(operations);
        }
        steps.push(step);
    }
    steps
}

fn change(rng: &mut fastrand::Rng, model: &mut Model) -> Operation {
    let collection = if rng.u8(..3) == 0 { "b" } else { "a" };
    let key = vec![b'k', rng.u8(..12)];
    let is_there = model.get(collection, &key).is_some();
    let operation = if is_there && rng.u8(..3) == 0 {
        Operation::delete(collection, key)
    } else {
        let len = if rng.u8(..10) == 0 { rng.usize(..6000) } else { rng.usize(..200) };
        Operation::put(collection, key, vec![rng.u8(..); len])
    };
    model.apply(&operation);
    operation
}

fn long_life(disk: &SimDisk, seed: u64) -> Result<Known> {
    let mut life = Life::begin(disk, Known::begin(vec![Arc::default()]))?;
    let endings = [Step::Checkpoint, Step::CloseAndReopen, Step::Checkpoint, Step::Checkpoint, Step::Close];
    for (part, ending) in (0..).zip(endings) {
        for step in steps(seed + part, 55, life.known.model()) {
            life.step(&step)?;
        }
        life.step(&ending)?;
    }
    Ok(life.known)
}

/// The first writes after a crash, a checkpoint, and a clean end.
fn short_life(disk: &SimDisk, known: Known) -> Result<Known> {
    let mut life = Life::begin(disk, known)?;
    for step in steps(7, 3, life.known.model()).into_iter().chain([Step::Checkpoint]) {
        life.step(&step)?;
    }
    for step in steps(8, 3, life.known.model()).into_iter().chain([Step::Close]) {
        life.step(&step)?;
    }
    Ok(life.known)
}

/// Opens what a crash left, compares it with what was known, and returns what is known of that.
fn check(known: &Known, operation: u64, model: CrashModel, left: &SimDisk) -> Known {
    let engine = Engine::open(left).unwrap_or_else(|error| panic!("locked out: {}", error.chain()));
    let position = engine.store.recovery().position;
    let durable = highest_at(&known.durable, operation);
    let promised =
        if model == CrashModel::Killed { durable.max(highest_at(&known.written, operation)) } else { durable };
    let begun = known.states.iter().rposition(|(at, _)| *at <= operation).unwrap() as u64;
    assert!(position >= promised, "position {promised} was acknowledged, and the store is at {position}");
    assert!(position.0 <= begun, "position {position} was never written");
    let checkpoint = engine.store.recovery().checkpoint.map_or(Lsn::START, |id| id.lsn);
    assert!(checkpoint >= highest_at(&known.checkpoints, operation), "a checkpoint is lost");
    let expected = &known.states[position.0 as usize].1;
    assert!(engine.store.recovery().bad_checkpoints.is_empty(), "{}", engine.store.recovery());
    assert!(content(&engine.store).unwrap() == *expected.collections(), "the state at {position} is another");

    // What one opening has found, the next one finds, though the power goes between them.
    let again = left.crash(&CrashChoice { model: CrashModel::Posix, pick: Pick::Nothing });
    let again = Engine::open(&again).unwrap_or_else(|error| panic!("locked out again: {}", error.chain()));
    assert_eq!(again.store.recovery().position, position, "a second recovery finds another position");
    assert!(content(&again.store).unwrap() == *expected.collections(), "a second recovery finds another state");
    Known::begin(known.states[..=position.0 as usize].iter().map(|(_, model)| Arc::clone(model)).collect())
}

fn explore(exploration: &Exploration, name: &str, depth: u32, moments: &[Moment], known: &Known) -> Count {
    let second = Mutex::new(Count::default());
    let mut count = exploration.run(name, moments, &CrashModel::ALL, &|moment, choice, left| {
        let found = check(known, moment.operation, choice.model, left);
        if depth == 1
            && let Some(again) = exploration.again(moment, choice, AGAIN_ONE_IN, AGAIN_STATES)
        {
            let left = moment.disk.crash(choice);
            left.record();
            let known = short_life(&left, found).unwrap_or_else(|error| panic!("{}", error.chain()));
            second.lock().unwrap().add(&explore(&again, "store again", 2, &left.take_recording(), &known));
        }
    });
    count.add(&second.into_inner().unwrap());
    count
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was looked at belongs to the result")]
fn no_crash_loses_what_was_acknowledged_or_locks_out() {
    let exploration = Exploration::from_env(STATES);
    let disk = SimDisk::new(exploration.seed());
    disk.record();
    let known = long_life(&disk, exploration.seed()).unwrap();
    let moments = disk.take_recording();
    let count = explore(&exploration, "store", 1, &moments, &known);
    eprintln!("crashes of a store, {} writes: {count}", known.last());
}

/// The same workload on a disk whose syncs of the log, or of the names in it, do nothing: what it acknowledged is lost, and that is noticed.
#[test]
fn a_disk_that_lies_is_found_out() {
    let disk = SimDisk::new(1);
    let mut life = Life::begin(&disk, Known::begin(vec![Arc::default()])).unwrap();
    disk.lie();
    life.step(&Step::Write(vec![Operation::put("a", "k", "v")], Durability::Disk)).unwrap();
    let left = disk.crash(&CrashChoice { model: CrashModel::Ext4, pick: Pick::Nothing });
    let checked = std::panic::catch_unwind(|| check(&life.known, disk.operations(), CrashModel::Ext4, &left));
    assert!(checked.is_err());
}
