//! The calls of a worker, and what it makes of the answers.

use kv_core::{Batch, Collection, Durability, Error, Result, Store};
use kv_testkit::{Operation, linearizability::Action};

use crate::{
    recording_log::Write,
    worker::{Parts, Worker, path, tag},
};

/// Keys that are written one by one, in the collection `single`.
pub const SINGLE: &[&str] = &["a", "b", "c", "d"];
/// Keys that only batches write, all with the same value, in the collection `group`.
pub const GROUP: &[&str] = &["g1", "g2", "g3"];

impl Worker<'_> {
    /// Makes one random call.
    pub fn step(&mut self) {
        let key = *self.rng.choice(SINGLE).unwrap();
        match self.rng.u8(..170) {
            0..24 => self.get("single", key),
            24..42 => self.put(key),
            42..49 => self.delete(key),
            49..56 => self.delete_if_present(key),
            56..78 => self.compare_and_set(key),
            78..90 => self.batch(),
            90..96 => self.read_group(),
            96..98 => self.drop_group(),
            98 => self.create_group(),
            100..120 => self.transact(),
            120..124 => self.transact_deferred(),
            124..134 => self.read_snapshot(),
            134..142 => self.scan(),
            142..148 => self.read_published(),
            148..153 => self.update(key),
            153..157 => self.put_if_absent(key),
            157..160 => self.take(key),
            160..164 => self.put_deferred(),
            164 => self.write_deferred(),
            165..170 => self.wait_for_one(),
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
        self.read_group();
    }

    fn get(&mut self, collection: &str, key: &str) {
        let collection = self.store.collection(collection).unwrap();
        self.read(|worker| {
            let found = worker.observe(&collection, key, collection.get(key)?);
            Ok(vec![(path(&collection, key), Action::Get(found))])
        });
    }

    /// An iteration sees one position, so the keys that are always written together have the same
    /// value.
    fn read_group(&mut self) {
        let collection = self.store.collection("group").unwrap();
        self.read(|worker| {
            let entries = collection.prefix("g").collect::<Result<Vec<_>>>()?;
            let tags: Vec<_> = entries.iter().map(|entry| String::from_utf8(tag(&entry.value)).unwrap()).collect();
            assert!(tags.is_empty() || tags.len() == GROUP.len(), "a part of a batch is visible: {tags:?}");
            assert!(tags.windows(2).all(|pair| pair[0] == pair[1]), "batches are mixed: {tags:?}");
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
            Err(Error::KeyNotFound { .. }) => Ok(Some(action(false))),
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

    /// Expects the value that the worker saw last, or sometimes another one. Sometimes deletes the
    /// key.
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

    /// Writes or deletes the group, and one other key.
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

    /// Drops the group's collection, which deletes each of its keys.
    fn drop_group(&mut self) {
        let all = |action: Action| GROUP.iter().map(|key| (format!("group/{key}"), action.clone())).collect::<Parts>();
        let drop = |store: &Store| match store.drop_collection("group") {
            Ok(()) => Ok(None),
            Err(Error::CollectionNotFound { .. }) => Ok(Some(all(Action::Get(None)))),
            Err(error) => Err(error),
        };
        let (call, _) = self.new_value();
        let write = Write { call, operations: vec![Operation::drop("group")], durability: Durability::Disk };
        self.called(write, all(Action::Delete { existed: None }), drop);
    }

    /// Creates the group's collection. This is visible only by the position that it takes.
    fn create_group(&mut self) {
        let (call, _) = self.new_value();
        let write = Write { call, operations: vec![Operation::create("group")], durability: Durability::Disk };
        self.called(write, Vec::new(), |store| store.create_collection("group").map(|_| None));
    }
}
