//! Reading the whole store: at once, in snapshots that are kept for a while, and in iterations that
//! continue later.

use std::{ops::Bound, thread};

use kv_core::{Entries, Entry, Lsn, Result, Snapshot};
use kv_testkit::{Model, Operation};

use crate::{
    observations::{Observation, ObservedStep, Pair},
    worker::Worker,
};

/// Collections that transactions write, clear, rename, drop and create.
pub const NAMES: &[&str] = &["x", "y", "z"];

/// How many snapshots and iterations a worker keeps.
const KEPT_MAX: usize = 3;

/// An iteration in progress, over a snapshot that nothing else holds.
pub struct Scan {
    position: Lsn,
    collection: String,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    entries: Entries,
    front: Vec<Pair>,
    back: Vec<Pair>,
    is_all: bool,
}

impl Scan {
    /// Takes up to `count` entries from either end.
    fn take(&mut self, rng: &mut fastrand::Rng, count: usize) {
        for _ in 0..count {
            let is_forward = rng.bool();
            let entry = if is_forward { self.entries.next() } else { self.entries.next_back() };
            let Some(entry) = entry else {
                self.is_all = true;
                return;
            };
            let taken = if is_forward { &mut self.front } else { &mut self.back };
            taken.push(pair(entry));
        }
    }

    fn observed(self) -> Observation {
        let Self { position, collection, lower, upper, front, back, is_all, .. } = self;
        let step = ObservedStep::Entries { collection, lower, upper, front, back, is_all };
        Observation { call: None, from: position, upto: position, steps: vec![step] }
    }
}

pub fn pair(entry: Result<Entry>) -> Pair {
    let entry = entry.unwrap();
    (entry.key.to_vec(), entry.value.to_vec())
}

/// Two bounds. The lower one may be above the upper one.
pub fn random_bounds(rng: &mut fastrand::Rng) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut bound = || {
        let key = random_key(rng);
        match rng.u8(..4) {
            0 => Bound::Excluded(key),
            1 => Bound::Included(key),
            _ => Bound::Unbounded,
        }
    };
    (bound(), bound())
}

/// A key of these collections.
pub fn random_key(rng: &mut fastrand::Rng) -> Vec<u8> {
    format!("k{}", rng.u8(..10)).into_bytes()
}

/// The name of one of these collections, or `single` or `group`.
pub fn random_collection(rng: &mut fastrand::Rng) -> &'static str {
    match rng.u8(..8) {
        0 => "single",
        1 => "group",
        _ => rng.choice(NAMES).copied().unwrap(),
    }
}

fn key_for(rng: &mut fastrand::Rng, collection: &str) -> Vec<u8> {
    match collection {
        "single" => vec![rng.u8(b'a'..=b'd')],
        "group" => vec![b'g', rng.u8(b'1'..=b'3')],
        _ => random_key(rng),
    }
}

/// Everything that a snapshot holds.
pub fn content_of(snapshot: &Snapshot) -> Model {
    let mut model = Model::default();
    for info in snapshot.collections().unwrap() {
        model.apply(&Operation::create(&info.name));
        for (key, value) in snapshot.iter(&info.name).map(pair) {
            model.apply(&Operation::put(&info.name, key, value));
        }
    }
    model
}

impl Worker<'_> {
    /// Reads something in a snapshot, a new one or a kept one, and keeps the snapshot or not.
    pub fn read_snapshot(&mut self) {
        let snapshot = if self.snapshots.is_empty() || self.rng.u8(..3) == 0 {
            self.take_snapshot()
        } else {
            self.snapshots.swap_remove(self.rng.usize(..self.snapshots.len()))
        };
        let steps = (0..self.rng.usize(1..4)).map(|_| self.read_from(&snapshot)).collect::<Vec<_>>();
        let steps = steps.into_iter().flatten().collect();
        let position = snapshot.position();
        self.observations.push(Observation { call: None, from: position, upto: position, steps });
        if self.rng.u8(..4) > 0 && self.snapshots.len() < KEPT_MAX {
            self.snapshots.push(snapshot);
        }
    }

    /// Takes a snapshot. It must see everything acknowledged or seen before, and nothing that was
    /// not begun yet.
    fn take_snapshot(&mut self) -> Snapshot {
        let from = self.commits.floor();
        let snapshot = self.store.snapshot();
        let (position, begun) = (snapshot.position(), Lsn(self.commits.lock().len() as u64));
        assert!(position >= from, "a snapshot is at {position}, after {from} was acknowledged or seen");
        assert!(position <= begun, "a snapshot is at {position}, but nothing above {begun} was begun");
        self.commits.seen(position);
        self.known.published = self.known.published.max(position);
        snapshot
    }

    fn read_from(&mut self, snapshot: &Snapshot) -> Vec<ObservedStep> {
        let collection = random_collection(&mut self.rng);
        let name = collection.to_owned();
        match self.rng.u8(..10) {
            0..2 => {
                let key = key_for(&mut self.rng, collection);
                let found = snapshot.get(collection, &key).unwrap().map(|value| value.to_vec());
                assert_eq!(snapshot.contains(collection, &key).unwrap(), found.is_some());
                vec![ObservedStep::Get { collection: name, key, found }]
            }
            2..4 => {
                let keys: Vec<_> = (0..3).map(|_| key_for(&mut self.rng, collection)).collect();
                let found = snapshot.get_many(collection, &keys).unwrap();
                let get = |(key, found): (Vec<u8>, Option<kv_core::Value>)| ObservedStep::Get {
                    collection: name.clone(),
                    key,
                    found: found.map(|value| value.to_vec()),
                };
                keys.into_iter().zip(found).map(get).collect()
            }
            4 => vec![ObservedStep::Len { collection: name, len: snapshot.len(collection).unwrap() }],
            5 => {
                let size = |info: kv_core::CollectionInfo| (info.name, info.entries, info.bytes);
                vec![ObservedStep::Collections(snapshot.collections().unwrap().into_iter().map(size).collect())]
            }
            6 => {
                let first = snapshot.first(collection).unwrap().map(|entry| pair(Ok(entry)));
                let last = snapshot.last(collection).unwrap().map(|entry| pair(Ok(entry)));
                let all = |front: Vec<Pair>, back: Vec<Pair>| ObservedStep::Entries {
                    collection: name.clone(),
                    lower: Bound::Unbounded,
                    upper: Bound::Unbounded,
                    is_all: front.is_empty() && back.is_empty(),
                    front,
                    back,
                };
                vec![all(first.into_iter().collect(), vec![]), all(vec![], last.into_iter().collect())]
            }
            7 => vec![entries(&name, snapshot.iter(collection).map(pair).collect(), vec![])],
            _ => vec![entries(&name, vec![], snapshot.iter(collection).rev().map(pair).collect())],
        }
    }

    /// Continues an iteration, or begins one. Only the iteration holds its snapshot.
    pub fn scan(&mut self) {
        let mut scan = if self.scans.is_empty() || self.rng.bool() {
            let snapshot = self.take_snapshot();
            let collection = random_collection(&mut self.rng);
            let (lower, upper) = random_bounds(&mut self.rng);
            let entries = snapshot.range(collection, (lower.clone(), upper.clone()));
            let (position, collection) = (snapshot.position(), collection.to_owned());
            Scan { position, collection, lower, upper, entries, front: vec![], back: vec![], is_all: false }
        } else {
            self.scans.swap_remove(self.rng.usize(..self.scans.len()))
        };
        let count = self.rng.usize(..5);
        scan.take(&mut self.rng, count);
        if scan.is_all || self.scans.len() == KEPT_MAX {
            self.observations.push(scan.observed());
        } else {
            self.scans.push(scan);
        }
    }

    /// Reads what is published now, through a collection's handle.
    pub fn read_published(&mut self) {
        let name = random_collection(&mut self.rng);
        let collection = self.store.collection(name).unwrap();
        let key = key_for(&mut self.rng, name);
        let (lower, upper) = random_bounds(&mut self.rng);
        let from = self.commits.floor();
        let step = match self.rng.u8(..6) {
            0..3 => {
                let found = collection.get(&key).unwrap().map(|value| value.to_vec());
                ObservedStep::Get { collection: name.to_owned(), key, found }
            }
            3 => ObservedStep::Len { collection: name.to_owned(), len: collection.len().unwrap() },
            4 => entries(name, vec![], collection.iter().rev().map(pair).collect()),
            _ => {
                let front = collection.range((lower.clone(), upper.clone())).map(pair).collect();
                ObservedStep::Entries { collection: name.to_owned(), lower, upper, front, back: vec![], is_all: true }
            }
        };
        let upto = self.store.stats().published;
        self.observations.push(Observation { call: None, from, upto, steps: vec![step] });
    }

    /// Finishes the iterations, and reads each snapshot once more.
    pub fn finish_reads(&mut self) {
        for mut scan in std::mem::take(&mut self.scans) {
            scan.take(&mut self.rng, usize::MAX);
            self.observations.push(scan.observed());
        }
        for snapshot in std::mem::take(&mut self.snapshots) {
            let all: Vec<_> =
                NAMES.iter().map(|name| entries(name, snapshot.iter(name).map(pair).collect(), vec![])).collect();
            let position = snapshot.position();
            self.observations.push(Observation { call: None, from: position, upto: position, steps: all });
            drop(thread::spawn(move || drop(snapshot)).join());
        }
    }
}

/// All entries of a collection, in one of the two orders.
fn entries(collection: &str, front: Vec<Pair>, back: Vec<Pair>) -> ObservedStep {
    let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
    ObservedStep::Entries { collection: collection.to_owned(), lower, upper, front, back, is_all: true }
}
