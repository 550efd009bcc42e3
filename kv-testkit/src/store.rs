//! Comparing a [`Store`], over any backends, with the [`Model`].

mod change;
mod same;

use kv_core::{Durability, Result, Store};

use crate::{Model, Operation};
use change::{batch, change, outcome, transact};
pub use same::assert_same;

/// Opens a store on its media, and knows what a killed process leaves on them.
pub trait StoreHarness {
    /// Opens the store, or reopens it.
    fn open(&mut self) -> Result<Store>;

    /// Replaces the media by what a process killed now would leave. A store that is open keeps the
    /// old media.
    fn kill(&mut self);
}

/// A step of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A change.
    Change(Operation, Durability),
    /// Changes that are made together. Those that a batch cannot hold (comparisons, pops and
    /// operations on whole collections) are left out.
    Batch(Vec<Operation>, Durability),
    /// A transaction, which reads its own writes.
    Transaction(Vec<Operation>, Durability),
    /// A checkpoint.
    Checkpoint,
    /// Closes the store and opens it again.
    Reopen,
    /// Kills the process and opens the store again.
    Kill,
}

/// A random byte string from which [`steps`] makes a step.
pub type Seed = [u8; 5];

/// Makes steps from random bytes. They use few collections and keys, so that they conflict often.
pub fn steps(seeds: &[Seed]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut seeds = seeds.iter();
    while let Some(seed) = seeds.next() {
        let durability = if seed[1].is_multiple_of(2) { Durability::Disk } else { Durability::Process };
        steps.push(match seed[0] {
            0..=7 => Step::Checkpoint,
            8..=13 => Step::Reopen,
            14..=19 => Step::Kill,
            20..=40 => {
                Step::Transaction(seeds.by_ref().take(usize::from(seed[2] % 8)).map(operation).collect(), durability)
            }
            41..=80 => Step::Batch(seeds.by_ref().take(usize::from(seed[2] % 8)).map(operation).collect(), durability),
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
        11 if value.is_multiple_of(2) => Operation::delete_if_present(collection, key),
        11 => {
            let to = vec![key[0].saturating_add(value % 8); 2];
            Operation::DeleteRange { collection: collection.to_owned(), from: key, to }
        }
        12 if value.is_multiple_of(2) => Operation::PopFirst { collection: collection.to_owned() },
        12 => Operation::PopLast { collection: collection.to_owned() },
        13 => Operation::CompareAndSet {
            collection: collection.to_owned(),
            key,
            // A quarter of the values are empty, so this expectation is often met.
            expected: (!value.is_multiple_of(3)).then(Vec::new),
            new: (!value.is_multiple_of(5)).then(|| vec![value; usize::from(value % 2)]),
        },
        14 if key[0].is_multiple_of(4) => Operation::Clear { collection: collection.to_owned() },
        14 => Operation::create(collection),
        _ if key[0].is_multiple_of(2) => Operation::drop(collection),
        _ => Operation::Rename {
            collection: collection.to_owned(),
            to: ["a", "b", "c", "d"][usize::from(value) % 4].to_owned(),
        },
    }
}

/// Applies the steps to a store and to a model. Compares the answers at each step, and the whole
/// state now and then.
///
/// # Panics
/// If they differ.
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
            Step::Transaction(operations, durability) => {
                assert_eq!(
                    transact(&store, operations, *durability, &model),
                    model.apply_batch(operations),
                    "{step:?}"
                );
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
