//! Applying the model's operations to a store.

use kv_core::{Batch, Durability, Error, Result, Store, Transaction};

use crate::{Model, Operation, Outcome};

pub(super) fn change(store: &Store, operation: &Operation, durability: Durability) -> Outcome {
    let handle = |name: &str| store.collection(name).unwrap().with_durability(durability);
    outcome(match operation {
        Operation::Put { collection, key, value } => handle(collection).put(key, value).map(|()| true),
        Operation::Delete { collection, key } => handle(collection).delete(key).map(|()| true),
        Operation::DeleteIfPresent { collection, key } => handle(collection).delete_if_present(key),
        Operation::PopFirst { collection } => handle(collection).pop_first().map(|popped| popped.is_some()),
        Operation::PopLast { collection } => handle(collection).pop_last().map(|popped| popped.is_some()),
        Operation::DeleteRange { collection, from, to } => {
            handle(collection).delete_range(&from[..]..&to[..]).map(|deleted| deleted > 0)
        }
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
        Operation::Clear { collection } => store.clear_collection(collection).map(|()| true),
        Operation::Rename { collection, to } => store.rename_collection(collection, to).map(|()| true),
    })
}

pub(super) fn outcome(answer: Result<bool>) -> Outcome {
    match answer {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::Unchanged,
        Err(Error::KeyNotFound { .. }) => Outcome::KeyNotFound,
        Err(Error::CollectionNotFound { .. }) => Outcome::CollectionNotFound,
        Err(Error::CollectionExists { .. }) => Outcome::CollectionExists,
        Err(error) => panic!("the store failed: {}", error.chain()),
    }
}

/// A batch of those operations that a batch can hold, and the operations in it.
pub(super) fn batch(operations: &[Operation]) -> (Batch, Vec<Operation>) {
    let mut batch = Batch::new();
    let mut taken = Vec::new();
    for operation in operations {
        match operation {
            Operation::Put { collection, key, value } => batch.put(collection, key, value),
            Operation::Delete { collection, key } => batch.delete(collection, key),
            Operation::DeleteIfPresent { collection, key } => batch.delete_if_present(collection, key),
            Operation::DeleteRange { collection, from, to } => batch.delete_range(collection, &from[..]..&to[..]),
            Operation::PopFirst { .. }
            | Operation::PopLast { .. }
            | Operation::CompareAndSet { .. }
            | Operation::Create { .. }
            | Operation::Drop { .. }
            | Operation::Clear { .. }
            | Operation::Rename { .. } => continue,
        };
        taken.push(operation.clone());
    }
    (batch, taken)
}

/// Makes the changes in a transaction, which is abandoned at the first refused change. Compares
/// every read inside the transaction with the model.
pub(super) fn transact(store: &Store, operations: &[Operation], durability: Durability, model: &Model) -> Outcome {
    let mut model = model.clone();
    let done = store.try_transact_with(durability, |tx| {
        for operation in operations {
            let answer = change_in(tx, operation);
            assert_eq!(answer, model.apply(operation), "{operation:?} in a transaction");
            if !matches!(answer, Outcome::Done | Outcome::Unchanged) {
                return Err(GivenUp(answer));
            }
            assert_sees(tx, &model);
        }
        Ok(Outcome::Done)
    });
    done.unwrap_or_else(|GivenUp(answer)| answer)
}

struct GivenUp(Outcome);

impl From<Error> for GivenUp {
    fn from(error: Error) -> Self {
        Self(outcome(Err(error)))
    }
}

fn change_in(tx: &mut Transaction<'_>, operation: &Operation) -> Outcome {
    outcome(match operation {
        Operation::Put { collection, key, value } => tx.put(collection, key, value).map(|()| true),
        Operation::Delete { collection, key } => tx.delete(collection, key).map(|()| true),
        Operation::DeleteIfPresent { collection, key } => tx.delete_if_present(collection, key),
        Operation::PopFirst { collection } => tx.pop_first(collection).map(|popped| popped.is_some()),
        Operation::PopLast { collection } => tx.pop_last(collection).map(|popped| popped.is_some()),
        Operation::DeleteRange { collection, from, to } => {
            tx.delete_range(collection, &from[..]..&to[..]).map(|deleted| deleted > 0)
        }
        Operation::CompareAndSet { collection, key, expected, new } => {
            if tx.get(collection, key).unwrap().as_deref() != expected.as_deref() {
                return Outcome::Mismatch;
            }
            match new {
                Some(new) => tx.put(collection, key, new).map(|()| true),
                None => tx.delete_if_present(collection, key).map(|_| true),
            }
        }
        Operation::Create { collection } => tx.create_collection(collection),
        Operation::Drop { collection } => tx.drop_collection(collection).map(|()| true),
        Operation::Clear { collection } => tx.clear_collection(collection).map(|()| true),
        Operation::Rename { collection, to } => tx.rename_collection(collection, to).map(|()| true),
    })
}

fn assert_sees(tx: &Transaction<'_>, model: &Model) {
    for name in ["a", "b", "c", "d"] {
        let entries = model.collections().get(name).into_iter().flatten();
        let expected: Vec<_> = entries.map(|(key, value)| (key.clone(), value.clone())).collect();
        let owned =
            |entry: Result<kv_core::Entry>| entry.map(|entry| (entry.key.to_vec(), entry.value.to_vec())).unwrap();
        assert!(tx.iter(name).map(owned).eq(expected.iter().cloned()), "{name} differs in a transaction");
        assert!(tx.iter(name).rev().map(owned).eq(expected.iter().rev().cloned()), "{name} differs, backwards");
        for (key, value) in &expected {
            assert_eq!(tx.get(name, key).unwrap().unwrap(), *value);
        }
    }
}
