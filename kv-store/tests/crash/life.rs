//! A life that a store leads under the workload, and what is known of it.

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
    sim::{CrashChoice, CrashModel, Damage, Pick, SimDisk},
    vfs::{Fault, Kind},
};

use crate::{
    beside::Halt,
    coverage::{Scene, State, States, Timeline, Verb},
    engine::{Engine, Sizes},
    finding::{Verdict, Violation},
    known::Known,
    verbs::{self, Done},
    workload::{Action, Change, LARGE, Step, is_of_names, large_value},
};

/// So many power cuts are tried until one leaves a torn tail.
const TEARS_MAX: u64 = 200;

/// A store in use, and what is known of it.
pub struct Life {
    pub disk: SimDisk,
    /// `None` after it could not be opened.
    pub engine: Option<Engine>,
    pub known: Known,
    /// What was done when, if somebody wants to know.
    pub timeline: Option<Timeline>,
    sizes: Sizes,
    halt: Halt,
    /// Deferred writes that nobody has waited for.
    pending: Vec<Commit>,
    /// Whether the outcome of a write is unknown since the store was opened.
    is_unsure: bool,
    /// How many operations had failed when the store was opened.
    failures: u64,
    /// Whether the last opening found a clean end: up to where.
    sealed: Option<Lsn>,
    /// Whether a checkpoint is under way.
    is_frozen: bool,
    /// Whether the last checkpoint failed.
    has_failed_checkpoint: bool,
    /// Whether a power cut has left a torn tail.
    is_torn: bool,
}

impl Life {
    /// Not yet open.
    pub fn new(disk: &SimDisk, known: Known) -> Self {
        Self {
            disk: disk.clone(),
            engine: None,
            known,
            timeline: None,
            sizes: Sizes::SMALL,
            halt: Halt::default(),
            pending: Vec::new(),
            is_unsure: false,
            failures: 0,
            sealed: None,
            is_frozen: false,
            has_failed_checkpoint: false,
            is_torn: false,
        }
    }

    /// Open.
    pub fn resume(disk: &SimDisk, known: Known, engine: Engine) -> Self {
        Self { engine: Some(engine), failures: disk.failures(), ..Self::new(disk, known) }
    }

    /// Opens the store and leads it through the steps, none of which may fail.
    pub fn begin(disk: &SimDisk, known: Known, steps: &[Step]) -> Verdict<Self> {
        let mut life = Self::new(disk, known);
        life.go(steps)?;
        Ok(life)
    }

    /// The same, and what was done when.
    pub fn begin_timed(disk: &SimDisk, known: Known, steps: &[Step]) -> Verdict<Self> {
        let mut life = Self { timeline: Some(Timeline::default()), ..Self::new(disk, known) };
        life.go(steps)?;
        Ok(life)
    }

    /// The same, to the end: what is known then.
    pub fn lead(disk: &SimDisk, known: Known, steps: &[Step]) -> Verdict<Known> {
        Self::begin(disk, known, steps).map(|life| life.known)
    }

    /// Opens the store, if it is not open, and leads it through the steps, none of which may fail.
    pub fn go(&mut self, steps: &[Step]) -> Verdict {
        if self.engine.is_none() {
            if let Some(Step::Sizes(first, largest)) = steps.first() {
                self.sizes = Sizes::blocks(*first, *largest); // the first segment is made by the first opening
            }
            self.open()?.map_err(|error| Violation::refusal("cannot be opened", &error))?;
        }
        for step in steps {
            self.step(*step)?.map_err(|error| Violation::refusal(&format!("{step:?} failed"), &error))?;
        }
        Ok(())
    }

    /// Opens the store, and looks whether it is the one that is known. What is not there any more
    /// is forgotten.
    pub fn open(&mut self) -> Verdict<Result<()>> {
        self.begin_scene(Verb::Open);
        self.failures = self.disk.failures();
        let engine = match Engine::open_with(&self.disk, self.sizes, &self.halt) {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        let now = self.disk.operations();
        let position = self.known.check_opened(now, CrashModel::Killed, &engine)?;
        self.known.forget_beyond(position);
        self.known.acknowledge(now, Durability::Disk);
        self.engine = Some(engine);
        self.is_unsure = false;
        self.note();
        Ok(Ok(()))
    }

    /// Does it. The error is the engine's answer; a violation, a wrong one.
    pub fn step(&mut self, step: Step) -> Verdict<Result<()>> {
        let answer = self.try_step(step)?;
        self.note();
        self.is_unsure |= matches!(answer, Err(Error::OutcomeUnknown { .. } | Error::Poisoned { .. }));
        Ok(answer)
    }

    fn try_step(&mut self, step: Step) -> Verdict<Result<()>> {
        if self.engine.is_none() {
            return self.open();
        }
        match step {
            Step::Usual(seed) => self.act(&Action::usual(seed, self.known.model())),
            Step::Verb(Verb::Checkpoint, _) | Step::Checkpoint => self.checkpoint(),
            Step::Verb(Verb::Close, _) | Step::Close => self.close(),
            Step::Verb(Verb::Open, _) | Step::Reopen => self.reopen(),
            Step::Verb(verb, seed) => match Action::of(verb, seed, self.known.model()) {
                Some(action) => self.act(&action),
                None => Ok(Ok(())),
            },
            Step::Put(key, durability) => {
                let value = if key == LARGE { large_value() } else { vec![key; 20] };
                let operations = ["a", "b"].map(|collection| Operation::put(collection, [key], value.clone())).to_vec();
                self.act(&Action::Write(Change { verb: Verb::Write, operations, durability }))
            }
            Step::CheckpointBeside(None, seed) => self.checkpoint_beside(Step::Usual(seed)),
            Step::CheckpointBeside(Some(verb), seed) => self.checkpoint_beside(Step::Verb(verb, seed)),
            Step::FailedCheckpoint => self.fail_checkpoint(),
            Step::Sizes(first, largest) => {
                self.sizes = Sizes::blocks(first, largest);
                self.reopen()
            }
            Step::Crash(model, seed) => {
                let pick = if model == CrashModel::Killed { Pick::Everything } else { Pick::Sample(seed) };
                self.crash(&CrashChoice { model, pick })
            }
            Step::Tear => self.tear(),
            Step::Damage => self.damage(),
        }
    }

    /// What the store says of itself is known, too.
    fn note(&mut self) {
        let Some(Engine { store, .. }) = &self.engine else { return };
        let stats = store.stats();
        self.known.note(self.disk.operations(), stats.log.durable, stats.published);
        self.pending.retain(|commit| commit.lsn() > stats.published);
    }

    /// Lets go of the store, and with it of the lock.
    fn let_go(&mut self) {
        self.pending.clear();
        self.engine = None;
    }

    fn act(&mut self, action: &Action) -> Verdict<Result<()>> {
        self.begin_scene(action.verb());
        let Some(Engine { store, scheduler }) = &self.engine else { return Ok(Ok(())) };
        match action {
            Action::Background => {
                scheduler.run_woken();
                Ok(Ok(()))
            }
            Action::Sync => {
                let synced = store.sync();
                if synced.is_ok() {
                    self.known.synced(self.disk.operations());
                }
                Ok(synced)
            }
            Action::Wait => {
                let waited: Result<Vec<_>> = std::mem::take(&mut self.pending).into_iter().map(Commit::wait).collect();
                Ok(waited.map(drop))
            }
            Action::Read => self.known.check_state(store, store.stats().published).map(Ok),
            Action::Feed(seed) => {
                let after = Lsn(fastrand::Rng::with_seed(*seed).u64(..=store.stats().log.durable.0));
                match verbs::follow(store, &self.known, after) {
                    Ok(verdict) => verdict.map(Ok),
                    Err(error) => Ok(Err(error)),
                }
            }
            Action::Ask(verb, collection, key) => {
                let appended = store.stats().log.appended;
                match verbs::ask(store, *verb, collection, key) {
                    Ok(false) if !self.may_miss() => Err(Violation::wrong(format!("{verb} found what is not there"))),
                    Ok(_) if store.stats().log.appended != appended => {
                        Err(Violation::wrong(format!("{verb} had nothing to do, and wrote something")))
                    }
                    answered => Ok(answered.map(drop)),
                }
            }
            Action::Write(change) => self.write(&store.clone(), change),
        }
    }

    fn write(&mut self, store: &Store, change: &Change) -> Verdict<Result<()>> {
        let old = self.known.model().clone();
        let mut model = old.clone();
        model.apply_batch(&change.operations);
        self.known.begin(self.disk.operations(), model);
        let done = verbs::write(store, change, &old);
        let stats = store.stats();
        let (appended, last) = (stats.log.appended, self.known.last());
        let is_missed = |error: &Error| {
            matches!(
                error,
                Error::CollectionExists { .. } | Error::CollectionNotFound { .. } | Error::KeyNotFound { .. }
            )
        };
        let answer = match done {
            // What a write whose outcome is unknown was to change is still as it was, to the store:
            // it answers by that.
            Ok(_) if appended < last && self.may_miss() => {
                self.known.take_back();
                Ok(())
            }
            Err(error) if appended < last && self.may_miss() && is_missed(&error) => {
                self.known.take_back();
                Ok(())
            }
            Ok(Done::Unchanged) => {
                return Err(Violation::wrong(format!("{} found nothing to do: {change:?}", change.verb)));
            }
            Ok(_) if appended != last => {
                return Err(Violation::wrong(format!("the write at {last} has position {appended}")));
            }
            Ok(Done::Written) => {
                let durability = if is_of_names(change.verb) { Durability::Disk } else { change.durability };
                self.known.acknowledge(self.disk.operations(), durability);
                Ok(())
            }
            Ok(Done::Deferred(commit)) => {
                self.pending.push(commit);
                Ok(())
            }
            Err(error @ Error::OutcomeUnknown { .. }) if appended == last => {
                if stats.published >= last {
                    return Err(Violation::wrong("a write of unknown outcome is seen".to_owned()));
                }
                Err(error) // it may be there
            }
            Err(error) if appended == last => {
                return Err(Violation::wrong(format!("a write was refused, and logged: {error:?}")));
            }
            Err(error) => {
                self.known.take_back();
                Err(error)
            }
        };
        Ok(answer)
    }

    /// Whether the store may not know of a write that is known here: its log has failed.
    fn may_miss(&self) -> bool {
        self.is_unsure || self.disk.failures() > self.failures
    }

    fn checkpoint(&mut self) -> Verdict<Result<()>> {
        self.begin_scene(Verb::Checkpoint);
        let Some(Engine { store, .. }) = &self.engine else { return Ok(Ok(())) };
        let made = store.checkpoint();
        Ok(self.checkpointed(made))
    }

    fn checkpointed(&mut self, made: Result<Option<CheckpointId>>) -> Result<()> {
        self.has_failed_checkpoint = made.is_err();
        made.map(|made| {
            if let Some(id) = made {
                self.known.checkpointed(self.disk.operations(), id.lsn);
            }
        })
    }

    /// The checkpoint is made by a thread of its own, and one of the two waits at any time: so
    /// everything happens in the same order always.
    fn checkpoint_beside(&mut self, step: Step) -> Verdict<Result<()>> {
        self.begin_scene(Verb::Checkpoint);
        let Some(Engine { store, .. }) = &self.engine else { return Ok(Ok(())) };
        let halted = self.halt.set();
        let (store, lift) = (store.clone(), Lift(self.halt.clone()));
        let making = thread::spawn(move || {
            let _lift = lift;
            store.checkpoint()
        });
        let mut beside = Ok(Ok(()));
        if halted.is_reached() {
            self.is_frozen = true;
            beside = self.step(step);
            self.begin_scene(Verb::Checkpoint);
        }
        halted.go_on();
        let made = making.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        self.is_frozen = false;
        let made = self.checkpointed(made);
        beside.map(|beside| beside.and(made))
    }

    fn fail_checkpoint(&mut self) -> Verdict<Result<()>> {
        self.begin_scene(Verb::Checkpoint);
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
            Ok(()) if met => Err(Violation::wrong("a checkpoint without its file is said to be made".to_owned())),
            answer => Ok(answer),
        }
    }

    fn reopen(&mut self) -> Verdict<Result<()>> {
        let closed = self.close()?;
        self.let_go();
        self.open().map(|opened| closed.and(opened))
    }

    fn close(&mut self) -> Verdict<Result<()>> {
        self.begin_scene(Verb::Close);
        let Some(Engine { store, .. }) = &self.engine else { return Ok(Ok(())) };
        let closed = store.close();
        if closed.is_ok() {
            self.known.synced(self.disk.operations());
            self.sealed = Some(self.known.last());
        }
        self.note();
        Ok(closed)
    }

    fn crash(&mut self, choice: &CrashChoice) -> Verdict<Result<()>> {
        let left = self.disk.crash(choice);
        self.let_go(); // what it writes now, it writes to the disk that is no more
        self.disk = left;
        self.known = self.known.clone().after_crash(choice.model);
        self.sealed = None;
        self.timeline.as_mut().map(std::mem::take);
        let opened = self.open()?;
        self.known.kernel_forgets = false; // what is acknowledged from now on is with the kernel that goes on
        Ok(opened)
    }

    fn tear(&mut self) -> Verdict<Result<()>> {
        let is_torn = |choice: &CrashChoice| {
            let engine = Engine::open(&self.disk.crash(choice));
            engine.is_ok_and(|engine| !engine.store.recovery().log_notes.is_empty())
        };
        let mut choices = (0..TEARS_MAX).map(|seed| CrashChoice { model: CrashModel::Posix, pick: Pick::Sample(seed) });
        let choice = choices.find(is_torn).ok_or_else(|| Violation::wrong("nothing can be torn".to_owned()))?;
        self.is_torn = true;
        self.crash(&choice)
    }

    fn damage(&mut self) -> Verdict<Result<()>> {
        let closed = self.close()?;
        self.let_go();
        let manifest = self.disk.paths().into_iter().rfind(|path| path.ends_with(".manifest"));
        if !manifest.is_some_and(|manifest| self.disk.damage(&manifest, &Damage::FlippedBit(800))) {
            return Err(Violation::wrong("there is no checkpoint to be damaged".to_owned()));
        }
        self.known.is_damaged = true;
        self.open().map(|opened| closed.and(opened))
    }

    fn begin_scene(&mut self, verb: Verb) {
        if self.timeline.is_some() {
            let scene = Scene { verb, states: self.states() };
            self.timeline.get_or_insert_default().begin(self.disk.operations(), scene);
        }
    }

    /// What holds of the log and the checkpoints now.
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
            State::Damaged => self.known.is_damaged,
        };
        State::ALL.iter().copied().filter(|state| holds(*state)).for_each(|state| states.add(state));
        states
    }
}

/// However a checkpoint ends, nobody waits for it any more.
struct Lift(Halt);

impl Drop for Lift {
    fn drop(&mut self) {
        self.0.lift();
    }
}
