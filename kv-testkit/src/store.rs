//! Comparing a [`Store`], over any backends, with the [`Model`].

use kv_core::{Batch, Durability, Error, Result, Store};

use crate::{Model, Operation, Outcome};

/// How a store is opened on its media, and what a killed process leaves of those.
pub trait StoreHarness {
    /// Opens the store; again, if it was opened before.
    fn open(&mut self) -> Result<Store>;

    /// Puts what a process that is killed now would leave in the place of the media. A store that has the present ones open goes on with those.
    fn kill(&mut self);
}

/// Something that is done to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A change.
    Change(Operation, Durability),
    /// Changes that are made together; creations and drops of collections, and comparisons, are left out, as no batch has them.
    Batch(Vec<Operation>, Durability),
    /// A checkpoint.
    Checkpoint,
    /// Closing and opening.
    Reopen,
    /// A killed process, and opening.
    Kill,
}

/// A random byte string from which [`steps`] makes a step.
pub type Seed = [u8; 5];

/// Makes steps of random bytes: over few collections and keys, so that they meet.
pub fn steps(seeds: &[Seed]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut seeds = seeds.iter();
    while let Some(seed) = seeds.next() {
        let durability = if seed[1].is_multiple_of(2) { Durability::Disk } else { Durability::Process };
        steps.push(match seed[0] {
            0..=7 => Step::Checkpoint,
            8..=13 => Step::Reopen,
            14..=19 => Step::Kill,
            20..=70 => Step::Batch(seeds.by_ref().take(usize::from(seed[2] % 8)).map(operation).collect(), durability),
            _ => Step::Change(operation(seed), durability),
        });
    }
    steps
}

fn operation(seed: &Seed) -> Operation {
    let &[kind, _, collection, key, value] = seed;
    let collection = ["a", "b", "c"][usize::from(collection) % 3];
    let key = vec![key % 32; 1 + usize::from(key % 3)];
    match kind % 16 {
        0..=8 => Operation::put(collection, key, vec![value; usize::from(value) * usize::from(value % 4)]),
        9..=10 => Operation::delete(collection, key),
        11..=12 => Operation::delete_if_present(collection, key),
        13 => Operation::CompareAndSet {
            collection: collection.to_owned(),
            key,
            // A quarter of the values are empty: so what is expected is there often enough.
            expected: (!value.is_multiple_of(3)).then(Vec::new),
            new: (!value.is_multiple_of(5)).then(|| vec![value; usize::from(value % 2)]),
        },
        14 => Operation::create(collection),
        _ => Operation::drop(collection),
    }
}

/// Does the steps to a store and to a model, and compares their answers at each step, and everything that they hold now and then.
///
/// # Panics
/// Where they differ.
pub fn compare_with_model(harness: &mut dyn StoreHarness, steps: &[Step]) {
    let mut model = Model::default();
    let mut store = harness.open().unwrap();
    for step in steps {
        match step {
            Step::Change(operation, durability) => {
                assert_eq!(change(&store, operation, *durability), model.apply(operation), "{step:?}");
            }
            Step::Batch(operations, durability) => {
                let (batch, operations) = batch(operations);
                let outcome = outcome(store.write_with(&batch, *durability).map(|()| true));
                assert_eq!(outcome, model.apply_batch(&operations), "{step:?}");
            }
            Step::Checkpoint => {
                store.checkpoint().unwrap();
                assert_same(&store, &model);
            }
            Step::Reopen => {
                store.close().unwrap();
                drop(store);
                store = harness.open().unwrap();
                assert_same(&store, &model);
            }
            Step::Kill => {
                harness.kill();
                store = harness.open().unwrap();
                assert_same(&store, &model);
            }
        }
    }
    assert_same(&store, &model);
}

fn change(store: &Store, operation: &Operation, durability: Durability) -> Outcome {
    let handle = |name: &str| store.collection(name).unwrap().with_durability(durability);
    outcome(match operation {
        Operation::Put { collection, key, value } => handle(collection).put(key, value).map(|()| true),
        Operation::Delete { collection, key } => handle(collection).delete(key).map(|()| true),
        Operation::DeleteIfPresent { collection, key } => handle(collection).delete_if_present(key),
        Operation::CompareAndSet { collection, key, expected, new } => {
            return match handle(collection).compare_and_set(key, expected.as_deref(), new.as_deref()).unwrap() {
                Ok(()) => Outcome::Done,
                Err(mismatch) => {
                    assert_eq!(mismatch.actual, handle(collection).get(key).unwrap());
                    Outcome::Mismatch
                }
            };
        }
        Operation::Create { collection } => store.create_collection(collection),
        Operation::Drop { collection } => store.drop_collection(collection).map(|()| true),
    })
}

fn outcome(answer: Result<bool>) -> Outcome {
    match answer {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::Unchanged,
        Err(Error::KeyNotFound) => Outcome::KeyNotFound,
        Err(Error::CollectionNotFound { .. }) => Outcome::CollectionNotFound,
        Err(error) => panic!("the store failed: {}", error.chain()),
    }
}

/// The batch of the operations that a batch can have, and those.
fn batch(operations: &[Operation]) -> (Batch, Vec<Operation>) {
    let mut batch = Batch::new();
    let mut taken = Vec::new();
    for operation in operations {
        match operation {
            Operation::Put { collection, key, value } => batch.put(collection, key, value),
            Operation::Delete { collection, key } => batch.delete(collection, key),
            Operation::DeleteIfPresent { collection, key } => batch.delete_if_present(collection, key),
            Operation::CompareAndSet { .. } | Operation::Create { .. } | Operation::Drop { .. } => continue,
        };
        taken.push(operation.clone());
    }
    (batch, taken)
}

/// Compares everything that a store answers with what the model holds.
///
/// # Panics
/// Where they differ.
pub fn assert_same(store: &Store, model: &Model) {
    let listed = store.collections().unwrap();
    let sizes = listed.iter().map(|info| (info.name.clone(), info.entries, info.bytes)).collect::<Vec<_>>();
    let size_of = |entries: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>| {
        entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>()
    };
    let expected =
        model.collections().iter().map(|(name, entries)| (name.clone(), entries.len() as u64, size_of(entries)));
    assert_eq!(sizes, expected.collect::<Vec<_>>());

    for (name, entries) in model.collections() {
        let collection = store.collection(name).unwrap();
        assert_eq!(collection.len().unwrap(), entries.len() as u64);
        let seen = |entry: Result<kv_core::Entry>| {
            let entry = entry.unwrap();
            (entry.key.to_vec(), entry.value.to_vec())
        };
        assert!(collection.iter().unwrap().map(seen).eq(entries.clone()), "{name} differs");
        for (key, value) in entries {
            assert_eq!(collection.get(key).unwrap().unwrap(), *value);
            assert_eq!(collection.get_with(key, <[u8]>::to_vec).unwrap().as_ref(), Some(value));
        }
        for key in (0..=32).flat_map(|byte| [vec![byte], vec![byte; 2]]) {
            let expected = model.prefix(name, &key).map(|(key, value)| (key.to_vec(), value.to_vec()));
            assert!(collection.prefix(&key).unwrap().map(seen).eq(expected), "{name} differs at {key:?}");
            assert_eq!(collection.contains(&key).unwrap(), model.get(name, &key).is_some());
        }
    }
}
