//! What a writer reported, and whether the store that it left agrees with it.

use std::{collections::BTreeMap, io, path::Path};

use kv_store::{Durability, Error, Store};

use crate::{
    plan::{self, Content, Step},
    writer::{self, Job},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Acknowledged,
    Refused,
    /// It may be there, completely, or not.
    Unknown,
}

/// What must be in a store.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What was last found there, and was right.
    settled: Content,
    /// What was done since then, by thread and in order.
    outcomes: BTreeMap<u32, Vec<(Step, Outcome)>>,
    /// How many steps were acknowledged in all.
    pub acknowledged: usize,
}

impl Ledger {
    /// Notes what a writer printed before it ended, however it ended.
    #[track_caller]
    pub fn note(&mut self, job: &Job, out: &str) {
        assert!(!out.contains("violation"), "{out}");
        // A line that was cut off counts for nothing.
        let whole = out.rfind('\n').map_or("", |end| &out[..end]);
        for line in whole.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let outcome = match words[0] {
                "ack" => Outcome::Acknowledged,
                "no" => Outcome::Refused,
                "maybe" => Outcome::Unknown,
                _ => continue,
            };
            let step = Step { thread: words[1].parse().unwrap(), number: words[2].parse().unwrap() };
            self.push(step, outcome);
        }
        // The next step of each thread may have begun.
        for thread in 0..job.writers() {
            let last = self.outcomes.get(&thread).and_then(|outcomes| outcomes.last()).map(|(step, _)| step.number);
            let next = last.map_or(job.incarnations[0].start, |last| last + 1);
            self.push(Step { thread, number: next }, Outcome::Unknown);
        }
    }

    /// Notes that power was lost. A step that was acknowledged as surviving a killed process is
    /// there only if a later step of its thread was acknowledged as surviving a power cut.
    pub fn power_lost(&mut self) {
        for outcomes in self.outcomes.values_mut() {
            let on_disk = |(step, outcome): &&mut (Step, Outcome)| {
                *outcome == Outcome::Acknowledged && step.durability() == Durability::Disk
            };
            outcomes
                .iter_mut()
                .rev()
                .take_while(|outcome| !on_disk(outcome))
                .for_each(|(_, outcome)| *outcome = Outcome::Unknown);
        }
    }

    fn push(&mut self, step: Step, outcome: Outcome) {
        self.acknowledged += usize::from(outcome == Outcome::Acknowledged);
        self.outcomes.entry(step.thread).or_default().push((step, outcome));
    }

    /// Notes a step of the test itself that was acknowledged.
    pub fn acknowledge(&mut self, step: Step) {
        self.push(step, Outcome::Acknowledged);
    }

    /// Notes a step of the test itself with an unknown outcome.
    pub fn doubt(&mut self, step: Step) {
        self.push(step, Outcome::Unknown);
    }

    /// Whether nothing needs to be there.
    fn may_be_absent(&self) -> bool {
        let is_acknowledged = |(_, outcome): &(Step, Outcome)| *outcome == Outcome::Acknowledged;
        self.settled.is_empty() && !self.outcomes.values().flatten().any(is_acknowledged)
    }

    /// Fails unless the store verifies and holds everything acknowledged, nothing that was refused,
    /// and each step with an unknown outcome completely or not at all. From then on, what was found
    /// is what must be there.
    #[track_caller]
    pub fn prove(&mut self, dir: &Path, why: &dyn std::fmt::Debug) {
        match kv_store::verify(dir) {
            Ok(verification) => assert!(verification.damage.is_empty(), "{why:?}: {:?}", verification.damage),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && self.may_be_absent() => {}
            Err(error) => panic!("{why:?}: {}", error.chain()),
        }
        let store = opened(dir, why);
        self.settle(&store, why);
        drop(store);
        // A second recovery gives the same, and the store can be written to.
        let store = opened(dir, why);
        self.settle(&store, why);
        let step = Step { thread: u32::MAX, number: self.acknowledged as u64 };
        writer::put(&store, step).unwrap_or_else(|error| panic!("{why:?}: {}", error.chain()));
        self.acknowledge(step);
        store.close().unwrap_or_else(|error| panic!("{why:?}: {}", error.chain()));
        drop(store);
        self.settle(&opened(dir, why), why);
    }

    /// Fails unless the content of the store agrees with this; see [`prove`](Ledger::prove).
    #[track_caller]
    pub fn settle(&mut self, store: &Store, why: &dyn std::fmt::Debug) {
        let found = plan::content(store).unwrap_or_else(|error| panic!("{why:?}: {}", error.chain()));
        let mut expected = self.settled.clone();
        for outcomes in std::mem::take(&mut self.outcomes).into_values() {
            expected = best(&expected, &outcomes, &found);
        }
        if found != expected {
            panic!("{why:?}: {}", difference(&expected, &found));
        }
        self.settled = found;
    }
}

#[track_caller]
fn opened(dir: &Path, why: &dyn std::fmt::Debug) -> Store {
    writer::options(None).open(dir).unwrap_or_else(|error| panic!("{why:?}: refused: {}", error.chain()))
}

/// The content by the way in which a thread's steps may have ended that agrees with what was found;
/// if there is none, by the first way.
fn best(before: &Content, outcomes: &[(Step, Outcome)], found: &Content) -> Content {
    let unknown = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Unknown).count();
    assert!(unknown < 8, "too many steps with an unknown outcome: {outcomes:?}");
    let thread = outcomes.first().map_or(0, |(step, _)| step.thread);
    let of_thread = |content: &Content| -> Content {
        let suffix = format!("-{thread}");
        content.iter().filter(|((name, _), _)| name.ends_with(&suffix)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let found = of_thread(found);
    let ways = (0..1_u32 << unknown).map(|taken| content_after(before, outcomes, taken));
    let mut ways = ways.peekable();
    let first = ways.peek().cloned().unwrap_or_default();
    ways.find(|way| of_thread(way) == found).unwrap_or(first)
}

/// The content if those of the unknown steps were carried out whose bit is set in `taken`.
fn content_after(before: &Content, outcomes: &[(Step, Outcome)], mut taken: u32) -> Content {
    let mut content = before.clone();
    for (step, outcome) in outcomes {
        let is_there = match outcome {
            Outcome::Acknowledged => true,
            Outcome::Refused => false,
            Outcome::Unknown => {
                let is_there = taken & 1 == 1;
                taken >>= 1;
                is_there
            }
        };
        if is_there {
            step.apply(&mut content);
        }
    }
    content
}

fn difference(expected: &Content, found: &Content) -> String {
    let named = |((name, key), value): (&(String, Vec<u8>), &Vec<u8>)| {
        let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(&value[..value.len().min(20)]));
        format!("{name}/{key} = {value:?}")
    };
    let missing: Vec<_> = expected.iter().filter(|(at, value)| found.get(*at) != Some(value)).map(named).collect();
    let surplus: Vec<_> = found.iter().filter(|(at, value)| expected.get(*at) != Some(value)).map(named).collect();
    format!("missing: {missing:?}; not expected: {surplus:?}")
}
