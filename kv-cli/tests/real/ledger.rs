//! What a writer said, and whether what it left agrees with that.

use std::{collections::BTreeMap, io, path::Path};

use kv_store::{Durability, Error, Store};

use crate::{
    plan::{self, Content, Step},
    writer::{self, Job},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Acknowledged,
    Refused,
    /// It may be there, whole, or not.
    Unknown,
}

/// What must be in a store.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What was found there last, and was right.
    settled: Content,
    /// What was done since, by thread and in order.
    fates: BTreeMap<u32, Vec<(Step, Fate)>>,
    /// How many steps were acknowledged, ever.
    pub acknowledged: usize,
}

impl Ledger {
    /// Notes what a writer said before it ended, in whatever way.
    #[track_caller]
    pub fn note(&mut self, job: &Job, out: &str) {
        assert!(!out.contains("violation"), "{out}");
        // A line that was cut off says nothing.
        let whole = out.rfind('\n').map_or("", |end| &out[..end]);
        for line in whole.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let fate = match words[0] {
                "ack" => Fate::Acknowledged,
                "no" => Fate::Refused,
                "maybe" => Fate::Unknown,
                _ => continue,
            };
            let step = Step { thread: words[1].parse().unwrap(), number: words[2].parse().unwrap() };
            self.push(step, fate);
        }
        // What comes next in each thread may have been on its way.
        for thread in 0..job.writers() {
            let last = self.fates.get(&thread).and_then(|fates| fates.last()).map(|(step, _)| step.number);
            let next = last.map_or(job.lives[0].start, |last| last + 1);
            self.push(Step { thread, number: next }, Fate::Unknown);
        }
    }

    /// Power was lost: what was acknowledged as surviving a killed process is there only if something behind it in its thread is
    /// acknowledged as surviving this.
    pub fn power_lost(&mut self) {
        for fates in self.fates.values_mut() {
            let on_disk =
                |(step, fate): &&mut (Step, Fate)| *fate == Fate::Acknowledged && step.durability() == Durability::Disk;
            fates.iter_mut().rev().take_while(|fate| !on_disk(fate)).for_each(|(_, fate)| *fate = Fate::Unknown);
        }
    }

    fn push(&mut self, step: Step, fate: Fate) {
        self.acknowledged += usize::from(fate == Fate::Acknowledged);
        self.fates.entry(step.thread).or_default().push((step, fate));
    }

    /// Notes a step that the test itself has done.
    pub fn acknowledge(&mut self, step: Step) {
        self.push(step, Fate::Acknowledged);
    }

    /// Notes a step that the test itself has tried, with an unknown outcome.
    pub fn doubt(&mut self, step: Step) {
        self.push(step, Fate::Unknown);
    }

    /// Whether nothing has to be there.
    fn may_be_absent(&self) -> bool {
        let is_acknowledged = |(_, fate): &(Step, Fate)| *fate == Fate::Acknowledged;
        self.settled.is_empty() && !self.fates.values().flatten().any(is_acknowledged)
    }

    /// Fails unless the store is sound and holds everything acknowledged, nothing that was refused, and what is unknown whole
    /// or not at all. What was found is from then on what must be there.
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
        // A second recovery gives the same, and writes go on.
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
        for fates in std::mem::take(&mut self.fates).into_values() {
            expected = best(&expected, &fates, &found);
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

/// Of all ways in which a thread's steps may have ended, the one that agrees with what was found; if none does, the first.
fn best(before: &Content, fates: &[(Step, Fate)], found: &Content) -> Content {
    let unknown = fates.iter().filter(|(_, fate)| *fate == Fate::Unknown).count();
    assert!(unknown < 8, "too many steps without an outcome: {fates:?}");
    let thread = fates.first().map_or(0, |(step, _)| step.thread);
    let of_thread = |content: &Content| -> Content {
        let suffix = format!("-{thread}");
        content.iter().filter(|((name, _), _)| name.ends_with(&suffix)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let found = of_thread(found);
    let ways = (0..1_u32 << unknown).map(|taken| outcome(before, fates, taken));
    let mut ways = ways.peekable();
    let first = ways.peek().cloned().unwrap_or_default();
    ways.find(|way| of_thread(way) == found).unwrap_or(first)
}

/// The content if of the unknown steps those were carried out whose bit is set.
fn outcome(before: &Content, fates: &[(Step, Fate)], mut taken: u32) -> Content {
    let mut content = before.clone();
    for (step, fate) in fates {
        let is_there = match fate {
            Fate::Acknowledged => true,
            Fate::Refused => false,
            Fate::Unknown => {
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
