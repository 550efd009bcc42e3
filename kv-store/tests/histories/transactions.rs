//! Random transactions. Each answer is recorded, also where a transaction reads its own writes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use kv_core::{Commit, Durability, Error, Lsn, Store, Transaction};
use kv_testkit::{Operation, Outcome};

use crate::{
    deferred::InFlight,
    observations::{Observation, ObservedStep},
    recording_log::{Write, announce, announce_nothing},
    snapshots::{NAMES, pair, random_bounds, random_collection, random_key},
    worker::{Worker, assert_expected},
};

/// Why a transaction was rolled back.
#[derive(Debug)]
enum RollBack {
    Store(Error),
    /// On purpose.
    OnPurpose,
}

impl From<Error> for RollBack {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Commit,
    Error,
    Panic,
}

impl Worker<'_> {
    /// Several reads and writes, perhaps followed by an error or a panic.
    pub fn transact(&mut self) {
        let (call, value) = self.new_value();
        let durability = self.durability();
        let ending = match self.rng.u8(..10) {
            0 => Ending::Error,
            1 => Ending::Panic,
            _ => Ending::Commit,
        };
        let from = self.commits.floor();
        let mut closure = Closure { rng: self.rng.fork(), call, value, durability, ending, steps: Vec::new() };
        let transact = || self.store.try_transact_with(durability, |tx| closure.run(&self.store, tx));
        let outcome = catch_unwind(AssertUnwindSafe(transact));
        let upto = match &outcome {
            Ok(Ok(()) | Err(RollBack::OnPurpose)) => self.store.stats().published,
            // The transaction may have seen writes that are not published yet: the store has
            // acknowledged nothing to it.
            Ok(Err(RollBack::Store(_))) | Err(_) => Lsn(self.commits.lock().len() as u64),
        };
        let was_answered = matches!(outcome, Ok(Ok(()) | Err(RollBack::OnPurpose)));
        match outcome {
            Ok(Ok(())) => self.acknowledged(call),
            Ok(Err(RollBack::OnPurpose)) => assert_eq!(ending, Ending::Error),
            Ok(Err(RollBack::Store(error))) => self.note(&error),
            Err(panic) if panic.is::<Ending>() => {}
            Err(panic) => resume_unwind(panic),
        }
        let observation = Observation { call: Some(call), from, upto, steps: closure.steps };
        if was_answered && !self.has_written(call) {
            self.promised(durability, observation.clone());
        }
        self.observations.push(observation);
    }

    /// Whether the call has a record in the log.
    fn has_written(&self, call: u64) -> bool {
        self.commits.lock().iter().any(|write| write.call == call)
    }

    /// The same, without waiting, at the store's durability.
    pub fn transact_deferred(&mut self) {
        let (call, value) = self.new_value();
        let (durability, ending) = (Durability::Disk, Ending::Commit);
        let from = self.commits.floor();
        let mut closure = Closure { rng: self.rng.fork(), call, value, durability, ending, steps: Vec::new() };
        let invoked = self.invoke();
        let run = |tx: &mut Transaction<'_>| {
            closure.run(&self.store, tx).map_err(|roll_back| match roll_back {
                RollBack::Store(error) => error,
                RollBack::OnPurpose => panic!("the transaction was rolled back without a reason"),
            })
        };
        let outcome = self.store.deferred().transact(run);
        let upto = Lsn(self.commits.lock().len() as u64);
        let observation = Observation { call: Some(call), from, upto, steps: closure.steps };
        self.observations.push(observation.clone());
        match outcome {
            Ok(commit) => {
                self.check_place(call, &commit);
                let answer = (!self.has_written(call)).then_some(observation);
                self.in_flight.push(InFlight { call, invoked, done: Vec::new(), answer, commit });
            }
            Err(error) => self.note(&error),
        }
    }

    /// Asserts that the commit has the position of the call's record.
    pub fn check_place(&self, call: u64, commit: &Commit) {
        let commits = self.commits.lock();
        let at = commits.iter().rposition(|write| write.call == call);
        assert!(
            at.is_none_or(|at| at as u64 + 1 == commit.lsn().0),
            "{} is not the position of call {call}",
            commit.lsn()
        );
    }
}

struct Closure {
    rng: fastrand::Rng,
    call: u64,
    value: Vec<u8>,
    durability: Durability,
    ending: Ending,
    steps: Vec<ObservedStep>,
}

impl Closure {
    fn run(&mut self, store: &Store, tx: &mut Transaction<'_>) -> Result<(), RollBack> {
        for _ in 0..self.rng.usize(1..7) {
            if self.rng.bool() { self.read(tx)? } else { self.change(tx)? }
        }
        if self.rng.u8(..8) == 0 {
            let nested = store.collection("x")?.put("nested", "");
            assert!(matches!(nested, Err(Error::InTransaction)), "{nested:?}");
        }
        match self.ending {
            Ending::Commit => {}
            Ending::Error => return Err(RollBack::OnPurpose),
            Ending::Panic => resume_unwind(Box::new(Ending::Panic)), // skips the panic hook
        }
        let done = |step: &ObservedStep| match step {
            ObservedStep::Change(operation, Outcome::Done) => Some(operation.clone()),
            _ => None,
        };
        let operations: Vec<_> = self.steps.iter().filter_map(done).collect();
        if operations.is_empty() {
            announce_nothing();
        } else {
            announce(Write { call: self.call, operations, durability: self.durability });
        }
        Ok(())
    }

    fn read(&mut self, tx: &Transaction<'_>) -> kv_core::Result<()> {
        let collection = random_collection(&mut self.rng);
        let step = if self.rng.bool() {
            let key = random_key(&mut self.rng);
            let found = tx.get(collection, &key)?.map(|value| value.to_vec());
            assert_eq!(tx.contains(collection, &key)?, found.is_some());
            ObservedStep::Get { collection: collection.to_owned(), key, found }
        } else {
            let (lower, upper) = random_bounds(&mut self.rng);
            let mut entries = tx.range(collection, (lower.clone(), upper.clone()));
            let (mut front, mut back) = (Vec::new(), Vec::new());
            let mut is_all = false;
            let count = self.rng.choice([1, 3, usize::MAX]).unwrap();
            while !is_all && front.len() + back.len() < count {
                let (taken, to) = match self.rng.bool() {
                    true => (entries.next(), &mut front),
                    false => (entries.next_back(), &mut back),
                };
                is_all = taken.is_none();
                to.extend(taken.map(pair));
            }
            ObservedStep::Entries { collection: collection.to_owned(), lower, upper, front, back, is_all }
        };
        self.steps.push(step);
        Ok(())
    }

    fn change(&mut self, tx: &mut Transaction<'_>) -> kv_core::Result<()> {
        let collection = *self.rng.choice(NAMES).unwrap();
        let name = || collection.to_owned();
        let key = random_key(&mut self.rng);
        let (operation, answer) = match self.rng.u8(..34) {
            0..19 => {
                let value = [&self.value[..], format!("#{}", self.steps.len()).as_bytes()].concat();
                let answer = tx.put(collection, &key, &value).map(|()| true);
                (Operation::put(collection, key, value), answer)
            }
            19..22 => (Operation::delete(collection, &*key), tx.delete(collection, &key).map(|()| true)),
            22..25 => (Operation::delete_if_present(collection, &*key), tx.delete_if_present(collection, &key)),
            25..27 => (Operation::Clear { collection: name() }, tx.clear_collection(collection).map(|()| true)),
            27 => (Operation::create(collection), tx.create_collection(collection)),
            32..34 => {
                let (from, to) = (key, random_key(&mut self.rng));
                let answer = tx.delete_range(collection, &from[..]..&to[..]).map(|deleted| deleted > 0);
                (Operation::DeleteRange { collection: name(), from, to }, answer)
            }
            28 => (Operation::drop(collection), tx.drop_collection(collection).map(|()| true)),
            _ => {
                let to = *self.rng.choice(NAMES).unwrap();
                let answer = tx.rename_collection(collection, to).map(|()| true);
                (Operation::Rename { collection: name(), to: to.to_owned() }, answer)
            }
        };
        let outcome = match answer {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Unchanged,
            Err(Error::KeyNotFound { .. }) => Outcome::KeyNotFound,
            Err(Error::CollectionNotFound { .. }) => Outcome::CollectionNotFound,
            Err(Error::CollectionExists { .. }) => Outcome::CollectionExists,
            Err(error) => {
                assert_expected(&error);
                return Err(error);
            }
        };
        self.steps.push(ObservedStep::Change(operation, outcome));
        Ok(())
    }
}
