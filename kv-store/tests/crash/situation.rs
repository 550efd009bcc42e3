//! Every verb in every state of log and checkpoints, so that coverage does not depend on what a
//! random workload happens to meet.

use std::{fmt, str::FromStr};

use kv_store::Durability;
use kv_testkit::sim::SimDisk;

use crate::{
    coverage::{Combination, State, Verb},
    driver::Driver,
    findings::{Verdict, Violation},
    impossible::why_not,
    oracle::Oracle,
    workload::{LARGE, Step},
};

/// A verb, in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    pub state: State,
    pub verb: Verb,
}

impl Situation {
    pub fn all() -> impl Iterator<Item = Self> {
        let situations =
            State::ALL.iter().flat_map(|state| Verb::ALL.iter().map(|verb| Self { state: *state, verb: *verb }));
        // While one checkpoint is written, another waits for it. What the first one still has to do
        // is done in this state anyway.
        let can_be = |situation: &Self| (situation.state, situation.verb) != (State::Frozen, Verb::Checkpoint);
        situations
            .filter(can_be)
            .filter(|situation| why_not(Combination::StateVerb(situation.state, situation.verb)).is_none())
    }

    /// The steps that lead to the state, and the verb.
    pub fn path(self) -> Vec<Step> {
        let mut steps = steps_to(self.state);
        steps.push(self.step());
        steps
    }

    fn step(self) -> Step {
        match self.state {
            State::Frozen => Step::CheckpointBeside(Some(self.verb), VERB),
            _ => Step::Verb(self.verb, VERB),
        }
    }

    /// A store in the state, and the steps that come next: the verb, another opening, and a write.
    pub fn prepare(self, seed: u64) -> Verdict<(Driver, Vec<Step>)> {
        let mut driver = Driver::start_timed(&SimDisk::new(seed), Oracle::nothing(), &steps_to(self.state))?;
        if self.has_work() && self.state != State::Frozen {
            driver.run_steps(&[Step::Verb(Verb::PutDeferred, PENDING)])?;
        }
        if self.state != State::Frozen && !driver.states().iter().any(|state| state == self.state) {
            return Err(Violation::wrong(format!("the steps to the state \"{}\" do not lead there", self.state)));
        }
        Ok((driver, vec![self.step(), Step::Reopen, Step::Put(7, Durability::Disk)]))
    }

    /// Whether the verb needs pending work to wait for, and pending work does not end the state.
    fn has_work(self) -> bool {
        matches!(self.verb, Verb::Wait | Verb::Background) && !matches!(self.state, State::Fresh | State::Sealed)
    }
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.state.to_string().replace(' ', "-"), self.verb.to_string().replace(' ', "-"))
    }
}

impl FromStr for Situation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::all().find(|situation| situation.to_string() == text).ok_or(())
    }
}

/// The seeds of the verbs, from which their keys follow.
const VERB: u64 = 200;
const PENDING: u64 = 202;

fn steps_to(state: State) -> Vec<Step> {
    use Durability::{Disk, Process};
    let put = Step::Put;
    match state {
        State::Fresh => vec![],
        State::Sealed => vec![put(1, Disk), put(2, Process), Step::Reopen],
        State::Torn => {
            vec![put(1, Disk), put(LARGE, Process), put(2, Process), put(3, Process), put(4, Process), Step::Tear]
        }
        State::Rolled => (1..6).map(|key| put(key, Disk)).collect(),
        State::Trimmed => {
            vec![put(LARGE, Disk), put(1, Disk), Step::Checkpoint, put(LARGE, Disk), put(2, Disk), Step::Checkpoint]
        }
        State::Frozen => vec![put(1, Disk), put(2, Process)],
        State::FailedCheckpoint => vec![put(1, Disk), put(2, Process), Step::FailedCheckpoint],
        State::Damaged => {
            vec![put(1, Disk), Step::Checkpoint, put(2, Disk), Step::Checkpoint, put(3, Disk), Step::Damage]
        }
    }
}
