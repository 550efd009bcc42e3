//! Verbs that read a key and write it in one step. In the history, each is a compare-and-set that
//! expects what the verb found.

use kv_core::{Collection, Value};
use kv_testkit::{Operation, linearizability::Action};

use crate::{
    recording_log::{Write, announce, announce_nothing},
    worker::{Worker, tag},
};

impl Worker<'_> {
    pub fn put_if_absent(&mut self, key: &str) {
        let (call, value) = self.new_value();
        let operation = compare_and_set(key, None, Some(value.clone()));
        let action = |answer| {
            vec![(format!("single/{key}"), Action::CompareAndSet { expected: None, new: Some(tag(&value)), answer })]
        };
        let mut actual = None;
        let put = |single: &Collection, key: &str| {
            actual = single.put_if_absent(key, &value)?;
            Ok(actual.as_deref().map(|actual| action(Err(Some(tag(actual))))))
        };
        self.write(call, vec![operation], action(Ok(())), put, key);
        self.saw(key, actual);
    }

    pub fn take(&mut self, key: &str) {
        let (call, _) = self.new_value();
        let action = |action| vec![(format!("single/{key}"), action)];
        let mut taken = None;
        let take = |single: &Collection, key: &str| {
            taken = single.take(key)?;
            Ok(Some(action(match taken.as_deref().map(tag) {
                Some(value) => Action::CompareAndSet { expected: Some(value), new: None, answer: Ok(()) },
                None => Action::Get(None),
            })))
        };
        // If the call fails, it is not known whether it has deleted anything.
        let done = action(Action::Delete { existed: None });
        self.write(call, vec![Operation::delete("single", key)], done, take, key);
        if taken.is_some() {
            self.acknowledged(call);
        }
        self.saw(key, taken);
    }

    /// Sometimes deletes the key.
    pub fn update(&mut self, key: &str) {
        let (call, value) = self.new_value();
        let (durability, from) = (self.durability(), self.commits.floor());
        let new = (self.rng.u8(..5) > 0).then_some(value);
        let mut found = None;
        let single = self.store.collection("single").unwrap().with_durability(durability);
        let invoked = self.invoke();
        let outcome = single.update(key, |present| {
            found = present.map(<[u8]>::to_vec);
            let operations = vec![compare_and_set(key, found.clone(), new.clone())];
            match (present, &new) {
                (None, None) => announce_nothing(),
                _ => announce(Write { call, operations, durability }),
            }
            new.clone()
        });
        let (expected, set) = (found.as_deref().map(tag), new.as_deref().map(tag));
        let action = Action::CompareAndSet { expected, new: set, answer: Ok(()) };
        let done = vec![(format!("single/{key}"), action)];
        match outcome {
            Ok(answer) => {
                assert_eq!(answer.as_deref(), new.as_deref());
                if found.is_some() || new.is_some() {
                    self.acknowledged(call);
                } else {
                    self.answered(durability, from, &vec![(format!("single/{key}"), Action::Get(None))]);
                }
                self.returned(&invoked, done, kv_testkit::linearizability::Part::certain);
                self.saw(key, found.map(Value::from));
                self.last_seen.insert(format!("single/{key}"), new);
            }
            Err(error) => self.failed(&invoked, done, &error),
        }
    }

    fn saw(&mut self, key: &str, value: Option<Value>) {
        if value.is_some() {
            let single = self.store.collection("single").unwrap();
            self.observe(&single, key, value);
        }
    }
}

fn compare_and_set(key: &str, expected: Option<Vec<u8>>, new: Option<Vec<u8>>) -> Operation {
    Operation::CompareAndSet { collection: "single".to_owned(), key: key.into(), expected, new }
}
