//! One trace: the real store takes steps, and the model follows it.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use kv_testkit::{
    sim::{CrashChoice, CrashModel, Survivors},
    stack_model::{Action, Bounds, Flaw, Look, LookAtKey, Record, State},
};

use super::{
    compare::{opened_as, shows},
    pausing::Point,
    real::{Real, position},
};

/// Nothing is bounded, but there are no crashes: listing what each may leave takes long.
const WITHOUT_CRASHES: Bounds = Bounds {
    records: u8::MAX,
    kinds: 3,
    numbers: u8::MAX,
    crashes: 0,
    damages: u8::MAX,
    pins: true,
    states: usize::MAX,
};

/// What takes several steps: making a checkpoint, and merging its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    Write,
    Merge,
}

impl Work {
    pub const ALL: [Self; 2] = [Self::Write, Self::Merge];
}

/// What the real store does for one or more actions of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Open,
    Append(Record),
    /// A record that also fills the memtable, so that it is frozen.
    Fill,
    Sync,
    Begin(Work),
    GoOn(Work),
    Compact,
    Pin,
    Unpin,
    Read(usize),
    /// Of the newest checkpoint, the part at this place in the stack.
    Damage(usize),
}

/// What ends a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crash {
    Kill,
    CutPower(Survivors),
}

/// What two traces have in common after which the same can happen.
pub type Situation = (BTreeSet<u64>, ([Option<Point>; 2], bool));

/// A store, and all states of the model that it may be in.
pub struct Follower {
    pub real: Real,
    pub states: Vec<State>,
    /// All that has happened, for messages.
    trace: Vec<String>,
}

impl Follower {
    /// An empty disk.
    pub fn new() -> Self {
        Self { real: Real::new(), states: vec![State::empty()], trace: Vec::new() }
    }

    pub fn situation(&self) -> Situation {
        let hash = |state: &State| {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            hasher.finish()
        };
        (self.states.iter().map(hash).collect(), self.real.situation())
    }

    /// The same with a copy of the disk, on which no store is open.
    pub fn copy(&self) -> Self {
        let real = self.real.on(self.real.disk.killed());
        Self { real, states: self.states.clone(), trace: self.trace.clone() }
    }

    /// What a crash leaves at this moment. The store that is open goes on with a disk of its own.
    pub fn crashed(&self, crash: Crash) -> Self {
        let mut crashed = self.copy();
        crashed.trace.push(format!("{crash:?}"));
        match crash {
            Crash::Kill => crashed.replace(|state| vec![after(state, Action::Kill)]),
            Crash::CutPower(survivors) => {
                crashed.real = self.real.on(self.real.disk.crash(&CrashChoice { model: CrashModel::Posix, survivors }));
                crashed.replace(power_cuts);
            }
        }
        crashed.keep("what the crash left", shows);
        crashed
    }

    /// A number that is another one after each step.
    pub fn seed(&self) -> u64 {
        self.trace.len() as u64
    }

    /// Takes a step, and compares the store with the model.
    pub fn take(&mut self, step: &Step) {
        self.trace.push(format!("{step:?}"));
        match *step {
            Step::Open => {
                self.act(Action::Open);
                self.real.open().unwrap_or_else(|error| self.fail(&format!("the store does not open: {error}")));
                self.keep("what opening found", opened_as);
            }
            Step::Append(record) => self.append(record, false),
            Step::Fill => self.append(Record::Put(0), true),
            Step::Sync => {
                self.act(Action::Sync);
                self.real.sync();
            }
            Step::Begin(work) => {
                self.real.begin(work);
                self.follow(work, None);
            }
            Step::GoOn(work) => {
                let from = self.real.at(work);
                self.real.go_on(work);
                self.follow(work, from);
            }
            Step::Compact => self.compact(),
            Step::Pin => {
                self.act(Action::Pin);
                self.real.pin();
            }
            Step::Unpin => {
                self.act(Action::Unpin);
                self.real.unpin();
            }
            Step::Read(key) => self.read(key),
            Step::Damage(part) => {
                self.replace(|state| damaged(state, part, WITHOUT_CRASHES).into_iter().collect());
                self.real.damage(part);
            }
        }
        self.keep("what the store shows", shows);
    }

    fn append(&mut self, record: Record, fills_memtable: bool) {
        self.act(Action::Append(record));
        if fills_memtable {
            self.act(Action::Freeze);
        }
        self.real.append(record, self.states[0].look().appended, fills_memtable);
    }

    fn read(&mut self, key: usize) {
        let read = self.real.read(key);
        let fits = |look: LookAtKey| match (look, &read) {
            (LookAtKey::Value(value) | LookAtKey::Damaged { value, is_lost: false }, Ok(read)) => value == *read,
            (LookAtKey::Damaged { .. }, Err(_)) => true,
            _ => false,
        };
        self.states.retain(|state| state.look().open.is_some_and(|open| fits(open.keys[key])));
        if self.states.is_empty() {
            self.fail(&format!("key {key} reads as {read:?}"));
        }
        if read.is_err() {
            self.act(Action::Read(key));
        }
    }

    /// Merges everything, and lets go of what is older. The real store does all of it at once.
    fn compact(&mut self) {
        self.real.compact();
        let parts = self.states[0].look().open.map_or(0, |open| open.parts);
        // A single part with deletions is written again, which nothing shows.
        if parts > 1 {
            [Action::BeginMerge { from: 0, len: parts }, Action::PublishMerge, Action::FinishMerge]
                .into_iter()
                .for_each(|action| self.act(action));
        }
        self.trim(Action::Compact);
        self.act_if_offered(Action::Remove);
    }

    /// Does in the model what the work has done since it paused at `from`.
    fn follow(&mut self, work: Work, from: Option<Point>) {
        let at = self.real.at(work);
        let (publish, finish) = match work {
            Work::Write => (Action::PublishWrite, Action::FinishWrite),
            Work::Merge => (Action::PublishMerge, Action::FinishMerge),
        };
        match from {
            Some(Point::Publish) => self.act(publish),
            Some(Point::Finish) => {
                self.act(finish);
                self.trim(Action::Trim);
            }
            Some(Point::Part | Point::Remove) | None => {}
        }
        // What can be removed is removed before the work does anything else.
        if matches!(from, Some(Point::Finish | Point::Remove)) && at != Some(Point::Remove) {
            self.act_if_offered(Action::Remove);
        }
        if at == Some(Point::Part) {
            self.begin(work);
        }
    }

    /// A part was written. In the model that begins the write, or any of the merges.
    fn begin(&mut self, work: Work) {
        if work == Work::Merge {
            self.act_as(|action| matches!(action, Action::BeginMerge { .. }));
            return;
        }
        let frozen = self.real.store().stats().frozen_memtables;
        if self.states[0].look().open.is_some_and(|open| open.frozen < frozen) {
            self.act(Action::Freeze);
        }
        self.act(Action::BeginWrite);
    }

    /// The log never forgets the segment that it continues, and each record has one of its own.
    fn trim(&mut self, action: Action) {
        self.act_if_offered(action);
        let (trimmed, appended) = (position(self.real.store().stats().log.trimmed.0), self.states[0].look().appended);
        if trimmed + 1 == appended {
            self.replace(|state| vec![Ok(state.with_log_kept(trimmed))]);
        }
    }

    /// Does an action in each state that the store may be in. States in which it is impossible are
    /// none of them any more.
    fn act(&mut self, action: Action) {
        self.act_as(|offered| *offered == action);
    }

    /// Does each of the wanted actions, in each state.
    fn act_as(&mut self, is_wanted: impl Fn(&Action) -> bool) {
        self.replace(|state| {
            let wanted = state.actions(WITHOUT_CRASHES, Flaw::None).into_iter().filter(&is_wanted);
            wanted.map(|action| after(state, action)).collect()
        });
    }

    fn act_if_offered(&mut self, action: Action) {
        self.replace(|state| match offers(state, action, WITHOUT_CRASHES) {
            true => vec![after(state, action)],
            false => vec![Ok(state.clone())],
        });
    }

    /// Replaces each state by those that may follow it.
    fn replace(&mut self, next: impl Fn(&State) -> Vec<Result<State, &'static str>>) {
        let next: Result<Vec<_>, _> = self.states.iter().flat_map(next).collect();
        self.states = next.unwrap_or_else(|what| self.fail(what));
        let mut known = HashSet::new();
        self.states.retain(|state| known.insert(state.clone()));
        if self.states.is_empty() {
            self.fail("the model cannot do that");
        }
    }

    /// Keeps the states that fit. There must be one.
    fn keep(&mut self, what: &str, fits: fn(&Look, &Real) -> Result<(), String>) {
        let fitted = self.states.iter().map(|state| fits(&state.look(), &self.real));
        let fitted: Vec<_> = fitted.collect();
        if fitted.iter().all(Result::is_err) {
            let states: Vec<_> = std::iter::zip(&fitted, &self.states).take(3).collect();
            self.fail(&format!("{what} is none of those that the model allows: {states:#?}"));
        }
        let mut fits = fitted.iter().map(Result::is_ok);
        self.states.retain(|_| fits.next() == Some(true));
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{what}\nafter {}", self.trace.join(", "))
    }
}

pub fn offers(state: &State, action: Action, bounds: Bounds) -> bool {
    state.actions(bounds, Flaw::None).contains(&action)
}

pub fn after(state: &State, action: Action) -> Result<State, &'static str> {
    let next = state.after(action, Flaw::None)?;
    next.check()?;
    Ok(next)
}

/// The state after damage to a part of the newest checkpoint; `None` if the bounds allow none.
pub fn damaged(state: &State, part: usize, bounds: Bounds) -> Option<Result<State, &'static str>> {
    let action = Action::Damage(*state.newest_stack().get(part)?);
    offers(state, action, bounds).then(|| after(state, action))
}

/// All states that a power cut may leave.
fn power_cuts(state: &State) -> Vec<Result<State, &'static str>> {
    let actions = state.actions(Bounds { crashes: u8::MAX, ..WITHOUT_CRASHES }, Flaw::None).into_iter();
    let cuts = actions.filter(|action| matches!(action, Action::CutPower { .. }));
    cuts.map(|action| after(state, action)).collect()
}
