//! One thread of a store's users: random calls, each recorded with what it answered.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use kv_core::{Batch, Collection, Durability, Error, Lsn, Result, Store, Value};
use kv_testkit::{
    Operation,
    linearizability::{Action, History, Part, Thread},
};

use crate::witness::{Write, ask};

/// Keys that are written one by one, in the collection `single`.
const SINGLE: &[&str] = &["a", "b", "c", "d"];
/// Keys that only batches write, all with the same value, in the collection `group`.
const GROUP: &[&str] = &["g1", "g2", "g3"];
/// Values end in so many of these at most: records are of different lengths.
const PADDING: u8 = b'.';
const PADDING_BYTES_MAX: usize = 400;

/// The durability of the writes of one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    Disk,
    Process,
    Mixed,
}

pub struct Worker<'a> {
    store: Store,
    recorder: Thread,
    pub rng: fastrand::Rng,
    levels: Levels,
    calls: &'a AtomicU64,
    /// What was seen last of each key.
    last_seen: HashMap<String, Option<Vec<u8>>>,
    pub known: Known,
}

/// What one or several threads know of the writes, by their calls.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Writes that were acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// Writes whose values were seen.
    pub seen: BTreeSet<u64>,
    /// The last position of which it was said that it survives a power cut.
    pub synced: Lsn,
    /// Errors other than answers.
    pub failures: u64,
}

/// What a call did with some keys.
type Parts = Vec<(String, Action)>;

impl<'a> Worker<'a> {
    pub fn new(store: &Store, history: &History, seed: u64, levels: Levels, calls: &'a AtomicU64) -> Self {
        Self {
            store: store.clone(),
            recorder: history.thread(),
            rng: fastrand::Rng::with_seed(seed),
            levels,
            calls,
            last_seen: HashMap::new(),
            known: Known::default(),
        }
    }

    /// Ends it, and adds what it recorded.
    pub fn finish(self, history: &mut History, known: &mut Known) {
        history.add(self.recorder);
        known.acknowledged.extend(self.known.acknowledged);
        known.seen.extend(self.known.seen);
        known.synced = known.synced.max(self.known.synced);
        known.failures += self.known.failures;
    }

    /// Makes one call.
    pub fn step(&mut self) {
        let key = *self.rng.choice(SINGLE).unwrap();
        match self.rng.u8(..100) {
            0..24 => self.get("single", key),
            24..42 => self.put(key),
            42..49 => self.delete(key),
            49..56 => self.delete_if_present(key),
            56..78 => self.compare_and_set(key),
            78..90 => self.batch(),
            90..99 => self.look_at_group(),
            _ => {
                let published = self.store.stats().published;
                match self.store.sync() {
                    Ok(()) => self.known.synced = published,
                    Err(error) => self.note(&error),
                }
            }
        }
    }

    /// Reads every key.
    pub fn read_all(&mut self) {
        SINGLE.iter().for_each(|key| self.get("single", key));
        GROUP.iter().for_each(|key| self.get("group", key));
        self.look_at_group();
    }

    fn get(&mut self, collection: &str, key: &str) {
        let collection = self.store.collection(collection).unwrap();
        self.read(|worker| {
            let found = worker.observe(&collection, key, collection.get(key)?);
            Ok(vec![(path(&collection, key), Action::Get(found))])
        });
    }

    /// An iteration sees one position: so the keys that are always written together have the same value.
    fn look_at_group(&mut self) {
        let collection = self.store.collection("group").unwrap();
        self.read(|worker| {
            let entries = collection.prefix("g")?.collect::<Result<Vec<_>>>()?;
            assert!(entries.is_empty() || entries.len() == GROUP.len(), "a part of a batch was seen: {entries:?}");
            assert!(entries.windows(2).all(|pair| pair[0].value == pair[1].value), "batches are mixed: {entries:?}");
            let value = entries.first().map(|entry| &entry.value);
            let part =
                |key: &&str| (path(&collection, key), Action::Get(worker.observe(&collection, key, value.cloned())));
            Ok(GROUP.iter().map(part).collect())
        });
    }

    fn put(&mut self, key: &str) {
        let (call, value) = self.new_value();
        let operation = Operation::put("single", key, value.clone());
        let done = vec![(format!("single/{key}"), Action::Put(tag(&value)))];
        self.write(call, vec![operation], done, |single, key| single.put(key, &value).map(|()| None), key);
    }

    fn delete(&mut self, key: &str) {
        let (call, _) = self.new_value();
        let action = |existed| vec![(format!("single/{key}"), Action::Delete { existed: Some(existed) })];
        let delete = |single: &Collection, key: &str| match single.delete(key) {
            Ok(()) => Ok(None),
            Err(Error::KeyNotFound) => Ok(Some(action(false))),
            Err(error) => Err(error),
        };
        self.write(call, vec![Operation::delete("single", key)], action(true), delete, key);
    }

    fn delete_if_present(&mut self, key: &str) {
        let (call, _) = self.new_value();
        let action = |existed| vec![(format!("single/{key}"), Action::Delete { existed: Some(existed) })];
        let delete = |single: &Collection, key: &str| {
            single.delete_if_present(key).map(|existed| (!existed).then(|| action(false)))
        };
        self.write(call, vec![Operation::delete_if_present("single", key)], action(true), delete, key);
    }

    /// Expects what it saw last, or something else now and then, and deletes now and then.
    fn compare_and_set(&mut self, key: &str) {
        let (call, value) = self.new_value();
        let seen = self.last_seen.get(&format!("single/{key}")).cloned().unwrap_or_default();
        let expected = if self.rng.u8(..8) == 0 { None } else { seen };
        let new = (self.rng.u8(..5) > 0).then_some(value);
        let operation = Operation::CompareAndSet {
            collection: "single".to_owned(),
            key: key.into(),
            expected: expected.clone(),
            new: new.clone(),
        };
        let action = |answer| {
            let (expected, new) = (expected.as_deref().map(tag), new.as_deref().map(tag));
            vec![(format!("single/{key}"), Action::CompareAndSet { expected, new, answer })]
        };
        let mut actual = None;
        let set = |single: &Collection, key: &str| {
            let answer = single.compare_and_set(key, expected.as_deref(), new.as_deref())?;
            Ok(answer.err().map(|mismatch| {
                let found = mismatch.actual.as_deref().map(tag);
                actual = Some(mismatch.actual);
                action(Err(found))
            }))
        };
        self.write(call, vec![operation], action(Ok(())), set, key);
        if let Some(actual) = actual {
            let single = self.store.collection("single").unwrap();
            self.observe(&single, key, actual);
        } else if let Some(new) = new {
            self.last_seen.insert(format!("single/{key}"), Some(new));
        }
    }

    /// Writes or deletes the group, and something beside it.
    fn batch(&mut self) {
        let (call, value) = self.new_value();
        let mut batch = Batch::new();
        let (mut operations, mut done) = (Vec::new(), Vec::new());
        let puts = self.rng.u8(..6) > 0;
        for key in GROUP {
            if puts {
                batch.put("group", key, &value);
                operations.push(Operation::put("group", *key, value.clone()));
                done.push((format!("group/{key}"), Action::Put(tag(&value))));
            } else {
                batch.delete_if_present("group", key);
                operations.push(Operation::delete_if_present("group", *key));
                done.push((format!("group/{key}"), Action::Delete { existed: None }));
            }
        }
        let key = *self.rng.choice(SINGLE).unwrap();
        batch.put("single", key, &value);
        operations.push(Operation::put("single", key, value.clone()));
        done.push((format!("single/{key}"), Action::Put(tag(&value))));
        let durability = self.durability();
        self.called(Write { call, operations, durability }, done, |store| {
            store.write_with(&batch, durability).map(|()| None)
        });
    }

    /// A call that is going to be made, and the value that it may write: no two are equal.
    fn new_value(&mut self) -> (u64, Vec<u8>) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut value = call.to_string().into_bytes();
        value.resize(value.len() + self.rng.usize(..PADDING_BYTES_MAX), PADDING);
        (call, value)
    }

    fn durability(&mut self) -> Durability {
        match self.levels {
            Levels::Disk => Durability::Disk,
            Levels::Process => Durability::Process,
            Levels::Mixed if self.rng.bool() => Durability::Disk,
            Levels::Mixed => Durability::Process,
        }
    }

    fn write(
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

    /// Makes a call that may write. It has `done` what it was to do, unless it answers that it did something else.
    fn called(&mut self, write: Write, done: Parts, make: impl FnOnce(&Store) -> Result<Option<Parts>>) {
        let call = write.call;
        ask(write);
        let invoked = self.recorder.invoke();
        match make(&self.store) {
            Ok(None) => {
                self.known.acknowledged.insert(call);
                self.recorder.returned(&invoked, parts(done, Part::certain));
            }
            Ok(Some(answered)) => self.recorder.returned(&invoked, parts(answered, Part::certain)),
            Err(error) => {
                if matches!(error, Error::OutcomeUnknown { .. }) {
                    self.recorder.returned(&invoked, parts(done, Part::maybe));
                }
                self.note(&error);
            }
        }
    }

    fn read(&mut self, read: impl FnOnce(&mut Self) -> Result<Parts>) {
        let invoked = self.recorder.invoke();
        match read(self) {
            Ok(found) => self.recorder.returned(&invoked, parts(found, Part::certain)),
            Err(error) => panic!("reads go on, whatever happens to the log: {}", error.chain()),
        }
    }

    /// Takes note of a value, and gives what tells it from others.
    fn observe(&mut self, collection: &Collection, key: &str, value: Option<Value>) -> Option<Vec<u8>> {
        let value = value.map(|value| value.to_vec());
        let tag = value.as_deref().map(tag);
        if let Some(tag) = &tag {
            self.known.seen.insert(std::str::from_utf8(tag).unwrap().parse().unwrap());
        }
        self.last_seen.insert(path(collection, key), value);
        tag
    }

    /// Errors that a disk which fails, is full, or is gone leads to.
    fn note(&mut self, error: &Error) {
        self.known.failures += 1;
        let is_expected = matches!(
            error,
            Error::OutcomeUnknown { .. } | Error::Poisoned { .. } | Error::DiskFull { .. } | Error::Io { .. }
        );
        assert!(is_expected, "{}", error.chain());
    }
}

fn path(collection: &Collection, key: &str) -> String {
    format!("{}/{key}", collection.name())
}

/// A value without its padding: what tells it from others.
pub fn tag(value: &[u8]) -> Vec<u8> {
    value.iter().copied().take_while(|byte| *byte != PADDING).collect()
}

fn parts(parts: Parts, part: fn(String, Action) -> Part) -> impl Iterator<Item = Part> {
    parts.into_iter().map(move |(key, action)| part(key, action))
}
