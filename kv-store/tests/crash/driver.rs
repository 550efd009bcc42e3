//! Drives a store through the steps of a workload, and tells the oracle what was acknowledged.

use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use kv_store::{CheckpointId, Commit, Durability, Error, Lsn, Result, Store};
use kv_testkit::{
    Operation,
    sim::{CrashChoice, CrashModel, Damage, SimDisk, Survivors},
    vfs::{Fault, Kind},
};

use crate::{
    coverage::{Activity, State, States, Timeline, Verb},
    engine::{Engine, Sizes},
    findings::{Verdict, Violation},
    gate::Gate,
    oracle::Oracle,
    verbs::{self, Done},
    workload::{Action, LARGE, Step, WriteCall, is_on_collections, large_value},
};

/// How many power cuts are tried until one leaves a torn tail.
const TEARS_MAX: u64 = 200;

/// A store in use, over several openings and crashes.
pub struct Driver {
    pub disk: SimDisk,
    /// `None` if it could not be opened.
    pub engine: Option<Engine>,
    pub oracle: Oracle,
    /// The activities, if they are recorded.
    pub timeline: Option<Timeline>,
    sizes: Sizes,
    gate: Gate,
    /// Deferred writes that were not waited for yet.
    pending: Vec<Commit>,
    /// Whether a write since the last opening has an unknown outcome.
    has_unknown_outcome: bool,
    /// How many operations had failed when the store was opened.
    failures: u64,
    /// The position of the last clean end, if the store was closed cleanly.
    sealed: Option<Lsn>,
    /// Whether a checkpoint is in progress.
    is_frozen: bool,
    /// Whether the last checkpoint failed.
    has_failed_checkpoint: bool,
    /// Whether a power cut has left a torn tail.
    is_torn: bool,
}

impl Driver {
    /// A store that is not open yet.
    pub fn new(disk: &SimDisk, oracle: Oracle) -> Self {
        Self {
            disk: disk.clone(),
            engine: None,
            oracle,
            timeline: None,
            sizes: Sizes::SMALL,
            gate: Gate::default(),
            pending: Vec::new(),
            has_unknown_outcome: false,
            failures: 0,
            sealed: None,
            is_frozen: false,
            has_failed_checkpoint: false,
            is_torn: false,
        }
    }

    /// A store that is already open.
    pub fn resume(disk: &SimDisk, oracle: Oracle, engine: Engine) -> Self {
        Self { engine: Some(engine), failures: disk.failures(), ..Self::new(disk, oracle) }
    }

    /// Opens the store and runs the steps, none of which may fail.
    pub fn start(disk: &SimDisk, oracle: Oracle, steps: &[Step]) -> Verdict<Self> {
        let mut driver = Self::new(disk, oracle);
        driver.run_steps(steps)?;
        Ok(driver)
    }

    /// The same, with the activities recorded.
    pub fn start_timed(disk: &SimDisk, oracle: Oracle, steps: &[Step]) -> Verdict<Self> {
        let mut driver = Self { timeline: Some(Timeline::default()), ..Self::new(disk, oracle) };
        driver.run_steps(steps)?;
        Ok(driver)
    }

    /// The same; returns what the oracle knows at the end.
    pub fn oracle_after(disk: &SimDisk, oracle: Oracle, steps: &[Step]) -> Verdict<Oracle> {
        Self::start(disk, oracle, steps).map(|driver| driver.oracle)
    }

    /// Opens the store, if it is not open, and runs the steps, none of which may fail.
    pub fn run_steps(&mut self, steps: &[Step]) -> Verdict {
        if self.engine.is_none() {
            if let Some(Step::Sizes(first, largest)) = steps.first() {
                // The first opening creates the first segment.
                self.sizes = Sizes::blocks(*first, *largest);
            }
            self.open()?.map_err(|error| Violation::refusal("the store cannot be opened", &error))?;
        }
        for step in steps {
            self.step(*step)?.map_err(|error| Violation::refusal(&format!("{step:?} failed"), &error))?;
        }
        Ok(())
    }

    /// Opens the store and checks it against the oracle, which then forgets what was legally lost.
    pub fn open(&mut self) -> Verdict<Result<()>> {
        self.begin_activity(Verb::Open);
        self.failures = self.disk.failures();
        let engine = match Engine::open_with(&self.disk, self.sizes, &self.gate) {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        let now = self.disk.operations();
        let position = self.oracle.check_opened(now, CrashModel::Killed, &engine)?;
        self.oracle.forget_beyond(position);
        self.oracle.acknowledge(now, Durability::Disk);
        self.engine = Some(engine);
        self.has_unknown_outcome = false;
        self.note();
        Ok(Ok(()))
    }

    /// Runs a step. The inner error is the engine's answer; a violation is a wrong answer.
    pub fn step(&mut self, step: Step) -> Verdict<Result<()>> {
        let answer = self.try_step(step)?;
        self.note();
        self.has_unknown_outcome |= matches!(answer, Err(Error::OutcomeUnknown { .. } | Error::Poisoned { .. }));
        Ok(answer)
    }

    fn try_step(&mut self, step: Step) -> Verdict<Result<()>> {
        if self.engine.is_none() {
            return self.open();
        }
        match step {
            Step::Usual(seed) => self.act(&Action::usual(seed, self.oracle.model())),
            Step::Verb(Verb::Checkpoint, _) | Step::Checkpoint => self.checkpoint(),
            Step::Verb(Verb::Close, _) | Step::Close => self.close(),
            Step::Verb(Verb::Open, _) | Step::Reopen => self.reopen(),
            Step::Verb(verb, seed) => match Action::of(verb, seed, self.oracle.model()) {
                Some(action) => self.act(&action),
                None => Ok(Ok(())),
            },
            Step::Put(key, durability) => {
                let value = if key == LARGE { large_value() } else { vec![key; 20] };
                let operations = ["a", "b"].map(|collection| Operation::put(collection, [key], value.clone())).to_vec();
                self.act(&Action::Write(WriteCall { verb: Verb::Write, operations, durability }))
            }
            Step::CheckpointBeside(None, seed) => self.checkpoint_beside(Step::Usual(seed)),
            Step::CheckpointBeside(Some(verb), seed) => self.checkpoint_beside(Step::Verb(verb, seed)),
            Step::FailedCheckpoint => self.fail_checkpoint(),
            Step::Sizes(first, largest) => {
                self.sizes = Sizes::blocks(first, largest);
                self.reopen()
            }
            Step::Crash(model, seed) => {
                let survivors =
                    if model == CrashModel::Killed { Survivors::Everything } else { Survivors::Sample(seed) };
                self.crash(&CrashChoice { model, survivors })
            }
            Step::Tear => self.tear(),
            Step::Damage => self.damage(),
        }
    }

    /// Notes what the store reports about itself, which is a promise, too.
    fn note(&mut self) {
        let Some(Engine { store, .. }) = &self.engine else { return };
        let stats = store.stats();
        self.oracle.note(self.disk.operations(), stats.log.durable, stats.published);
        self.pending.retain(|commit| commit.lsn() > stats.published);
    }

    /// Drops the store, and with it its lock.
    fn drop_store(&mut self) {
        self.pending.clear();
        self.engine = None;
    }

    fn act(&mut self, action: &Action) -> Verdict<Result<()>> {
        self.begin_activity(action.verb());
        let Some(Engine { store, scheduler }) = &self.engine else { return Ok(Ok(())) };
        match action {
            Action::Background => {
                scheduler.run_woken();
                Ok(Ok(()))
            }
            Action::Sync => {
                let synced = store.sync();
                if synced.is_ok() {
                    self.oracle.synced(self.disk.operations());
                }
                Ok(synced)
            }
            Action::Wait => {
                let waited: Result<Vec<_>> = std::mem::take(&mut self.pending).into_iter().map(Commit::wait).collect();
                Ok(waited.map(drop))
            }
            Action::Read => self.oracle.check_state(store, store.stats().published).map(Ok),
            Action::Feed(seed) => {
                let after = Lsn(fastrand::Rng::with_seed(*seed).u64(..=store.stats().log.durable.0));
                match verbs::check_feed(store, &self.oracle, after) {
                    Ok(verdict) => verdict.map(Ok),
                    Err(error) => Ok(Err(error)),
                }
            }
            Action::NoOp(verb, collection, key) => {
                let appended = store.stats().log.appended;
                match verbs::no_op(store, *verb, collection, key) {
                    Ok(false) if !self.may_miss_writes() => {
                        Err(Violation::wrong(format!("{verb} found what is not there")))
                    }
                    Ok(_) if store.stats().log.appended != appended => {
                        Err(Violation::wrong(format!("{verb} had nothing to do, but wrote something")))
                    }
                    answered => Ok(answered.map(drop)),
                }
            }
            Action::Write(change) => self.write(&store.clone(), change),
        }
    }

    fn write(&mut self, store: &Store, change: &WriteCall) -> Verdict<Result<()>> {
        let old = self.oracle.model().clone();
        let mut model = old.clone();
        model.apply_batch(&change.operations);
        self.oracle.begin(self.disk.operations(), model);
        let done = verbs::write(store, change, &old);
        let stats = store.stats();
        let (appended, last) = (stats.log.appended, self.oracle.last());
        let is_missed = |error: &Error| {
            matches!(
                error,
                Error::CollectionExists { .. } | Error::CollectionNotFound { .. } | Error::KeyNotFound { .. }
            )
        };
        let answer = match done {
            // A write of unknown outcome is not visible in the store. So the store answers as if it
            // had not happened.
            Ok(_) if appended < last && self.may_miss_writes() => {
                self.oracle.take_back();
                Ok(())
            }
            Err(error) if appended < last && self.may_miss_writes() && is_missed(&error) => {
                self.oracle.take_back();
                Ok(())
            }
            Ok(Done::Unchanged) => {
                return Err(Violation::wrong(format!("{} found nothing to do: {change:?}", change.verb)));
            }
            Ok(_) if appended != last => {
                return Err(Violation::wrong(format!("the write at {last} has position {appended}")));
            }
            Ok(Done::Written) => {
                let durability = if is_on_collections(change.verb) { Durability::Disk } else { change.durability };
                self.oracle.acknowledge(self.disk.operations(), durability);
                Ok(())
            }
            Ok(Done::Deferred(commit)) => {
                self.pending.push(commit);
                Ok(())
            }
            Err(error @ Error::OutcomeUnknown { .. }) if appended == last => {
                if stats.published >= last {
                    return Err(Violation::wrong("a write of unknown outcome is visible".to_owned()));
                }
                Err(error) // it may be in the log
            }
            Err(error) if appended == last => {
                return Err(Violation::wrong(format!("a write was refused, but logged: {error:?}")));
            }
            Err(error) => {
                self.oracle.take_back();
                Err(error)
            }
        };
        Ok(answer)
    }

    /// Whether the store may lack a write that the oracle knows, because its log has failed.
    fn may_miss_writes(&self) -> bool {
        self.has_unknown_outcome || self.disk.failures() > self.failures
    }

    fn checkpoint(&mut self) -> Verdict<Result<()>> {
        self.begin_activity(Verb::Checkpoint);
        let Some(Engine { store, .. }) = &self.engine else { return Ok(Ok(())) };
        let made = store.checkpoint();
        Ok(self.checkpointed(made))
    }

    fn checkpointed(&mut self, made: Result<Option<CheckpointId>>) -> Result<()> {
        self.has_failed_checkpoint = made.is_err();
        made.map(|made| {
            if let Some(id) = made {
                self.oracle.checkpointed(self.disk.operations(), id.lsn);
            }
        })
    }

    /// The checkpoint runs on a thread of its own. At any time, one of the two threads waits. So
    /// every run does everything in the same order.
    fn checkpoint_beside(&mut self, step: Step) -> Verdict<Result<()>> {
        self.begin_activity(Verb::Checkpoint);
        let Some(Engine { store, .. }) = &self.engine else { return Ok(Ok(())) };
        let closed_gate = self.gate.close();
        let (store, open_gate) = (store.clone(), OpenGate(self.gate.clone()));
        let making = thread::spawn(move || {
            let _open_gate = open_gate;
            store.checkpoint()
        });
        let mut beside = Ok(Ok(()));
        if closed_gate.is_reached() {
            self.is_frozen = true;
            beside = self.step(step);
            self.begin_activity(Verb::Checkpoint);
        }
        closed_gate.open();
        let made = making.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        self.is_frozen = false;
        let made = self.checkpointed(made);
        beside.map(|beside| beside.and(made))
    }

    fn fail_checkpoint(&mut self) -> Verdict<Result<()>> {
        self.begin_activity(Verb::Checkpoint);
        let Some(Engine { store, .. }) = &self.engine else { return Ok(Ok(())) };
        let (armed, met) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (is_armed, is_met) = (Arc::clone(&armed), Arc::clone(&met));
        self.disk.fail(Fault::when(move |event| {
            let meets = event.kind == Kind::Create && event.path.starts_with("checkpoints/");
            let meets = meets && is_armed.load(Ordering::Relaxed);
            is_met.fetch_or(meets, Ordering::Relaxed);
            meets
        }));
        let made = store.checkpoint();
        armed.store(false, Ordering::Relaxed);
        let met = met.load(Ordering::Relaxed);
        self.failures += u64::from(met);
        match self.checkpointed(made) {
            Err(Error::Io { .. }) if met => Ok(Ok(())),
            Ok(()) if met => Err(Violation::wrong("a failed checkpoint is reported as made".to_owned())),
            answer => Ok(answer),
        }
    }

    fn reopen(&mut self) -> Verdict<Result<()>> {
        let closed = self.close()?;
        self.drop_store();
        self.open().map(|opened| closed.and(opened))
    }

    fn close(&mut self) -> Verdict<Result<()>> {
        self.begin_activity(Verb::Close);
        let Some(Engine { store, .. }) = &self.engine else { return Ok(Ok(())) };
        let closed = store.close();
        if closed.is_ok() {
            self.oracle.synced(self.disk.operations());
            self.sealed = Some(self.oracle.last());
        }
        self.note();
        Ok(closed)
    }

    fn crash(&mut self, choice: &CrashChoice) -> Verdict<Result<()>> {
        let left = self.disk.crash(choice);
        self.drop_store(); // what it may still write goes to the old disk
        self.disk = left;
        self.oracle = self.oracle.clone().after_crash(choice.model);
        self.sealed = None;
        self.timeline.as_mut().map(std::mem::take);
        let opened = self.open()?;
        // Writes that are acknowledged from now on are in the memory of the new kernel.
        self.oracle.kernel_forgets = false;
        Ok(opened)
    }

    fn tear(&mut self) -> Verdict<Result<()>> {
        let is_torn = |choice: &CrashChoice| {
            let engine = Engine::open(&self.disk.crash(choice));
            engine.is_ok_and(|engine| !engine.store.recovery().log_notes.is_empty())
        };
        let mut choices =
            (0..TEARS_MAX).map(|seed| CrashChoice { model: CrashModel::Posix, survivors: Survivors::Sample(seed) });
        let choice =
            choices.find(is_torn).ok_or_else(|| Violation::wrong("no power cut leaves a torn tail".to_owned()))?;
        self.is_torn = true;
        self.crash(&choice)
    }

    fn damage(&mut self) -> Verdict<Result<()>> {
        let closed = self.close()?;
        self.drop_store();
        let manifest = self.disk.paths().into_iter().rfind(|path| path.ends_with(".manifest"));
        if !manifest.is_some_and(|manifest| self.disk.damage(&manifest, &Damage::FlippedBit(800))) {
            return Err(Violation::wrong("there is no checkpoint to damage".to_owned()));
        }
        self.oracle.is_damaged = true;
        self.open().map(|opened| closed.and(opened))
    }

    fn begin_activity(&mut self, verb: Verb) {
        if self.timeline.is_some() {
            let activity = Activity { verb, states: self.states() };
            self.timeline.get_or_insert_default().begin(self.disk.operations(), activity);
        }
    }

    /// The states of the log and the checkpoints now.
    pub fn states(&self) -> States {
        let mut states = States::default();
        let segments: Vec<_> = self.disk.paths().into_iter().filter(|path| path.ends_with(".wal")).collect();
        let is_used = |path: &&String| self.disk.peek(path, 4096, 1).is_some_and(|byte| byte != [0]);
        let used = segments.iter().filter(is_used).count();
        let recovery = self.engine.as_ref().map(|engine| engine.store.recovery());
        let appended = self.engine.as_ref().map(|engine| engine.store.stats().log.appended);
        let holds = |state| match state {
            State::Fresh => used == 0 && appended.is_none_or(|appended| appended == Lsn::START),
            State::Sealed => self.sealed.is_some_and(|sealed| appended.is_none_or(|appended| appended == sealed)),
            State::Torn => recovery.map_or(self.is_torn, |recovery| !recovery.log_notes.is_empty()),
            State::Rolled => used > 1,
            State::Trimmed => segments.first().is_some_and(|first| !first.ends_with("/0000000000000001.wal")),
            State::Frozen => self.is_frozen,
            State::FailedCheckpoint => self.has_failed_checkpoint,
            State::Damaged => self.oracle.is_damaged,
        };
        State::ALL.iter().copied().filter(|state| holds(*state)).for_each(|state| states.add(state));
        states
    }
}

/// Opens the gate however the checkpoint ends, so that no thread waits for it for ever.
struct OpenGate(Gate);

impl Drop for OpenGate {
    fn drop(&mut self) {
        self.0.open_for_good();
    }
}
