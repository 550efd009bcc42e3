//! A worker: one user of the store, which makes random calls and records each answer.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use kv_core::{Collection, Durability, Error, Lsn, Result, Snapshot, Store, Value};
use kv_testkit::{
    Operation,
    linearizability::{Action, History, Invoked, Part, Thread},
};

use crate::{
    deferred::InFlight,
    observations::{Observation, ObservedStep},
    recording_log::{Commits, Write, announce},
    snapshots::Scan,
};

/// The byte that values are padded with at their end, so that records have different lengths.
const PADDING: u8 = b'.';
/// The maximum length of the padding.
const PADDING_BYTES_MAX: usize = 400;

/// The durability of the writes of one incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    Disk,
    Process,
    Mixed,
}

pub struct Worker<'a> {
    pub store: Store,
    recorder: Thread,
    pub rng: fastrand::Rng,
    levels: Levels,
    calls: &'a AtomicU64,
    pub commits: Commits,
    /// Whether other threads run while this one waits.
    pub has_threads: bool,
    pub snapshots: Vec<Snapshot>,
    pub scans: Vec<Scan>,
    pub in_flight: Vec<InFlight>,
    /// What was seen of the whole store.
    pub observations: Vec<Observation>,
    /// The last value seen of each key.
    pub last_seen: HashMap<String, Option<Vec<u8>>>,
    pub known: ClientKnowledge,
}

/// What the clients know of the writes, by their calls.
#[derive(Clone, Debug, Default)]
pub struct ClientKnowledge {
    /// Writes that were acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// Writes whose values were seen.
    pub seen: BTreeSet<u64>,
    /// The highest position of any snapshot.
    pub published: Lsn,
    /// The last position that was reported to survive a power cut.
    pub synced: Lsn,
    /// Answers without a write that must survive a power cut.
    pub answers: Vec<Observation>,
    /// Errors other than answers.
    pub failures: u64,
}

/// What a call did with some keys.
pub type Parts = Vec<(String, Action)>;

impl<'a> Worker<'a> {
    pub fn new(
        store: &Store,
        history: &History,
        seed: u64,
        levels: Levels,
        calls: &'a AtomicU64,
        commits: &Commits,
    ) -> Self {
        Self {
            store: store.clone(),
            recorder: history.thread(),
            rng: fastrand::Rng::with_seed(seed),
            levels,
            calls,
            commits: commits.clone(),
            has_threads: false,
            snapshots: Vec::new(),
            scans: Vec::new(),
            in_flight: Vec::new(),
            observations: Vec::new(),
            last_seen: HashMap::new(),
            known: ClientKnowledge::default(),
        }
    }

    /// Ends the worker, adds what it recorded, and returns what it has seen of the whole store.
    pub fn finish(mut self, history: &mut History, known: &mut ClientKnowledge) -> Vec<Observation> {
        self.finish_reads();
        self.leave_in_flight();
        history.add(self.recorder);
        known.acknowledged.extend(self.known.acknowledged);
        known.seen.extend(self.known.seen);
        known.published = known.published.max(self.known.published);
        known.synced = known.synced.max(self.known.synced);
        known.answers.extend(self.known.answers);
        known.failures += self.known.failures;
        self.observations
    }

    /// The number of a new call, and the value that it may write. No two are equal.
    pub fn new_value(&mut self) -> (u64, Vec<u8>) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut value = call.to_string().into_bytes();
        value.resize(value.len() + self.rng.usize(..PADDING_BYTES_MAX), PADDING);
        (call, value)
    }

    pub fn durability(&mut self) -> Durability {
        match self.levels {
            Levels::Disk => Durability::Disk,
            Levels::Process => Durability::Process,
            Levels::Mixed if self.rng.bool() => Durability::Disk,
            Levels::Mixed => Durability::Process,
        }
    }

    pub fn write(
        &mut self,
        call: u64,
        operations: Vec<Operation>,
        done: Parts,
        write: impl FnOnce(&Collection, &str) -> Result<Option<Parts>>,
        key: &str,
    ) {
        let durability = self.durability();
        self.called(Write { call, operations, durability }, done, |store| {
            write(&store.collection("single")?.with_durability(durability), key)
        });
    }

    /// Makes a call that may write. `make` returns `None` if the call did what it intended, which
    /// is `done`; otherwise it returns what the call answered.
    pub fn called(&mut self, write: Write, done: Parts, make: impl FnOnce(&Store) -> Result<Option<Parts>>) {
        let (call, durability, from) = (write.call, write.durability, self.commits.floor());
        announce(write);
        let invoked = self.recorder.invoke();
        match make(&self.store) {
            Ok(None) => {
                self.acknowledged(call);
                self.returned(&invoked, done, Part::certain);
            }
            Ok(Some(answered)) => {
                self.answered(durability, from, &answered);
                self.returned(&invoked, answered, Part::certain);
            }
            Err(error) => self.failed(&invoked, done, &error),
        }
    }

    /// Records the answer of a call. If the call changed nothing, the answer must be right at a
    /// position between `from` and what is published now.
    pub fn answered(&mut self, durability: Durability, from: Lsn, answered: &Parts) {
        let steps: Option<Vec<_>> = answered.iter().map(|(path, action)| found(path, action)).collect();
        let Some(steps) = steps else { return };
        let answer = Observation { call: None, from, upto: self.store.stats().published, steps };
        self.observations.push(answer.clone());
        self.promised(durability, answer);
    }

    /// Records the answer of a call that changed nothing. At `Disk`, it must survive a power cut.
    pub fn promised(&mut self, durability: Durability, answer: Observation) {
        if durability == Durability::Disk {
            self.known.answers.push(answer);
        }
    }

    pub fn invoke(&self) -> Invoked {
        self.recorder.invoke()
    }

    pub fn returned(&mut self, invoked: &Invoked, done: Parts, part: fn(String, Action) -> Part) {
        self.recorder.returned(invoked, parts(done, part));
    }

    /// Records that the call was acknowledged.
    pub fn acknowledged(&mut self, call: u64) {
        self.known.acknowledged.insert(call);
        self.commits.acknowledged(call);
    }

    /// Records that the call failed. It may still have taken effect.
    pub fn failed(&mut self, invoked: &Invoked, done: Parts, error: &Error) {
        if matches!(error, Error::OutcomeUnknown { .. }) {
            self.returned(invoked, done, Part::maybe);
        }
        self.note(error);
    }

    pub fn read(&mut self, read: impl FnOnce(&mut Self) -> Result<Parts>) {
        let invoked = self.recorder.invoke();
        match read(self) {
            Ok(found) => self.recorder.returned(&invoked, parts(found, Part::certain)),
            Err(error) => {
                panic!("a read failed, though reads must work whatever happens to the log: {}", error.chain())
            }
        }
    }

    /// Notes a value that was seen, and returns its tag.
    pub fn observe(&mut self, collection: &Collection, key: &str, value: Option<Value>) -> Option<Vec<u8>> {
        let value = value.map(|value| value.to_vec());
        let tag = value.as_deref().map(tag);
        if let Some(tag) = &tag {
            self.known.seen.insert(std::str::from_utf8(tag).unwrap().parse().unwrap());
        }
        self.last_seen.insert(path(collection, key), value);
        tag
    }

    /// Counts an error, which must be one that a failing, full or stopped disk leads to.
    pub fn note(&mut self, error: &Error) {
        self.known.failures += 1;
        assert_expected(error);
    }
}

/// Asserts that the error is one that a failing, full or stopped disk leads to.
pub fn assert_expected(error: &Error) {
    let is_expected = matches!(
        error,
        Error::OutcomeUnknown { .. }
            | Error::Poisoned { .. }
            | Error::DiskFull { .. }
            | Error::Io { .. }
            | Error::CheckpointsFail { .. }
    );
    assert!(is_expected, "{}", error.chain());
}

/// What an action has read, if it changed nothing; otherwise `None`.
fn found(path: &str, action: &Action) -> Option<ObservedStep> {
    let tag = match action {
        Action::Get(found) | Action::CompareAndSet { answer: Err(found), .. } => found.clone(),
        Action::Delete { existed: Some(false) } => None,
        _ => return None,
    };
    let key = |collection| path.strip_prefix(collection)?.strip_prefix('/').map(|key| (collection, key));
    let (collection, key) = key("single").or_else(|| key("group"))?;
    Some(ObservedStep::Tagged { collection, key: key.into(), tag })
}

pub fn path(collection: &Collection, key: &str) -> String {
    format!("{}/{key}", collection.name())
}

/// A value without its padding, which identifies it.
pub fn tag(value: &[u8]) -> Vec<u8> {
    value.iter().copied().take_while(|byte| *byte != PADDING).collect()
}

fn parts(parts: Parts, part: fn(String, Action) -> Part) -> impl Iterator<Item = Part> {
    parts.into_iter().map(move |(key, action)| part(key, action))
}
