//! Each verb of the engine, and what it must answer.

use kv_store::{Batch, Commit, Entry, Error, Lsn, RecordedChange, Result, Store, Transaction};
use kv_testkit::{Model, Operation};

use crate::{
    coverage::Verb,
    findings::{Verdict, Violation},
    oracle::Oracle,
    workload::WriteCall,
};

/// The result of a successful change.
pub enum Done {
    Written,
    /// It has its position, and becomes durable later.
    Deferred(Commit),
    /// There was nothing to do.
    Unchanged,
}

/// Makes a change of a store that holds what the model holds.
pub fn write(store: &Store, change: &WriteCall, model: &Model) -> Result<Done> {
    let WriteCall { verb, operations, durability } = change;
    let is_done = |done: bool| if done { Done::Written } else { Done::Unchanged };
    match (verb, &operations[..]) {
        (Verb::Write | Verb::WriteDeferred, _) => {
            let batch = batch(operations);
            match verb {
                Verb::Write => store.write_with(&batch, *durability).map(|()| Done::Written),
                _ => store.deferred().with_durability(*durability).write(&batch).map(Done::Deferred),
            }
        }
        (Verb::Create, [Operation::Create { collection }]) => store.create_collection(collection).map(is_done),
        (Verb::Drop, [Operation::Drop { collection }]) => store.drop_collection(collection).map(|()| Done::Written),
        (Verb::Clear, [Operation::Clear { collection }]) => store.clear_collection(collection).map(|()| Done::Written),
        (Verb::Rename, [Operation::Rename { collection, to }]) => {
            store.rename_collection(collection, to).map(|()| Done::Written)
        }
        (Verb::Transact, _) => store.transact_with(*durability, |tx| make_all(tx, operations)).map(|()| Done::Written),
        (Verb::TransactDeferred, _) => {
            let deferred = store.deferred().with_durability(*durability);
            deferred.transact(|tx| make_all(tx, operations)).map(Done::Deferred)
        }
        (_, [Operation::PopFirst { collection }]) => {
            let popped = store.collection(collection)?.with_durability(*durability).pop_first();
            popped.map(|popped| is_done(is_entry(popped.as_ref(), entries_of(model, collection).next())))
        }
        (_, [Operation::PopLast { collection }]) => {
            let popped = store.collection(collection)?.with_durability(*durability).pop_last();
            popped.map(|popped| is_done(is_entry(popped.as_ref(), entries_of(model, collection).next_back())))
        }
        (Verb::Drain, [.., Operation::Delete { collection, key: last }]) => {
            let drained = store.collection(collection)?.with_durability(*durability).drain(..=&last[..])?;
            let mut expected = entries_of(model, collection).take(operations.len());
            let are_those = drained.iter().all(|entry| is_entry(Some(entry), expected.next()));
            Ok(is_done(are_those && drained.len() == operations.len()))
        }
        (Verb::DeleteRange | Verb::DeleteInSteps, [.., Operation::Delete { collection, key: last }]) => {
            let (handle, keys) = (store.collection(collection)?.with_durability(*durability), ..=&last[..]);
            let deleted = match verb {
                Verb::DeleteRange => handle.delete_range(keys)?,
                _ => handle.delete_range_in_steps(keys)?,
            };
            Ok(is_done(deleted == operations.len() as u64))
        }
        (_, [Operation::Put { collection, key, value }]) => {
            let handle = store.collection(collection)?.with_durability(*durability);
            let old = model.get(collection, key);
            match verb {
                Verb::PutDeferred => handle.deferred().put(key, value).map(Done::Deferred),
                Verb::PutIfAbsent => handle.put_if_absent(key, value).map(|present| is_done(present.is_none())),
                Verb::Update => handle
                    .update(key, |seen| if seen == old { Some(value.clone()) } else { seen.map(<[u8]>::to_vec) })
                    .map(|new| is_done(new.as_deref() == Some(value))),
                Verb::CompareAndSet => handle.compare_and_set(key, old, Some(value)).map(|set| is_done(set.is_ok())),
                _ => handle.put(key, value).map(|()| Done::Written),
            }
        }
        (_, [Operation::Delete { collection, key }]) => {
            let handle = store.collection(collection)?.with_durability(*durability);
            let old = model.get(collection, key);
            match verb {
                Verb::DeleteIfPresent => handle.delete_if_present(key).map(is_done),
                Verb::Take => handle.take(key).map(|taken| is_done(taken.as_deref() == old)),
                Verb::Update => handle.update(key, |_| None::<Vec<u8>>).map(|_| Done::Written),
                Verb::CompareAndSet => handle.compare_and_set(key, old, None).map(|set| is_done(set.is_ok())),
                _ => handle.delete(key).map(|()| Done::Written),
            }
        }
        other => panic!("no verb of this workload: {other:?}"),
    }
}

/// The entries of a collection, as the model has them.
fn entries_of<'a>(model: &'a Model, collection: &str) -> impl DoubleEndedIterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> {
    model.collections().get(collection).into_iter().flatten()
}

fn is_entry(found: Option<&Entry>, expected: Option<(&Vec<u8>, &Vec<u8>)>) -> bool {
    match (found, expected) {
        (Some(found), Some((key, value))) => found.key == **key && found.value == **value,
        _ => false,
    }
}

/// Calls a verb where it has nothing to do. Returns whether its answer says so.
pub fn no_op(store: &Store, verb: Verb, collection: &str, key: &[u8]) -> Result<bool> {
    let refused = |result: Result<()>| match result {
        Ok(()) => Ok(false),
        Err(Error::KeyNotFound { .. } | Error::CollectionNotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    };
    let handle = || store.collection(collection);
    match verb {
        Verb::Drop => refused(store.drop_collection(collection)),
        Verb::Clear => refused(store.clear_collection(collection)),
        Verb::Rename => refused(store.rename_collection(collection, "e")),
        Verb::Delete => refused(handle()?.delete(key)),
        Verb::DeleteIfPresent => Ok(!handle()?.delete_if_present(key)?),
        Verb::Take => Ok(handle()?.take(key)?.is_none()),
        Verb::PopFirst => Ok(handle()?.pop_first()?.is_none()),
        Verb::PopLast => Ok(handle()?.pop_last()?.is_none()),
        Verb::Drain => Ok(handle()?.drain(key..=key)?.is_empty()),
        Verb::DeleteRange => Ok(handle()?.delete_range(key..=key)? == 0),
        Verb::DeleteInSteps => Ok(handle()?.delete_range_in_steps(key..=key)? == 0),
        Verb::PutIfAbsent => Ok(handle()?.put_if_absent(key, b"another")?.is_some()),
        Verb::CompareAndSet => Ok(handle()?.compare_and_set(key, None, Some(b"another"))?.is_err()),
        Verb::Update => Ok(handle()?.update(key, |_| None::<Vec<u8>>)?.is_none()),
        other => panic!("{other} always writes"),
    }
}

/// Reads the feed after a position, and checks that it leads to the states that the oracle knows.
pub fn check_feed(store: &Store, oracle: &Oracle, after: Lsn) -> Result<Verdict> {
    let mut feed = match store.changes(after) {
        Err(Error::Trimmed { .. }) if store.stats().log.trimmed > after => return Ok(Ok(())),
        // On a full disk the older checkpoint is let go. The log may have kept records before the
        // newest, but without a checkpoint before them they are of no use.
        Err(Error::Trimmed { trimmed, .. }) if store.stats().checkpoint.is_some_and(|id| id.lsn == trimmed) => {
            return Ok(Ok(()));
        }
        feed => feed?,
    };
    let Some(mut model) = oracle.state_at(after).cloned() else { return Ok(Ok(())) };
    for record in &mut feed {
        let record = record?;
        record.changes.iter().for_each(|change| apply(&mut model, change));
        if oracle.state_at(record.lsn) != Some(&model) {
            let what = format!("the feed after {after} leads to another state at {}", record.lsn);
            return Ok(Err(Violation::loss(what)));
        }
    }
    let (position, durable) = (feed.position(), store.stats().log.durable);
    if position > durable {
        return Ok(Err(Violation::wrong(format!("the feed gave {position}, and {durable} is durable"))));
    }
    Ok(Ok(()))
}

fn apply(model: &mut Model, change: &RecordedChange) {
    model.apply(&match change {
        RecordedChange::Put { collection, key, value } => Operation::put(collection, &key[..], &value[..]),
        RecordedChange::Delete { collection, key } => Operation::delete(collection, &key[..]),
        RecordedChange::CollectionCreated { name } => Operation::create(name),
        RecordedChange::CollectionDropped { name } => Operation::drop(name),
        RecordedChange::CollectionRenamed { from, to } => {
            Operation::Rename { collection: from.to_string(), to: to.to_string() }
        }
        other => panic!("a change of an unknown kind: {other:?}"),
    });
}

fn batch(operations: &[Operation]) -> Batch {
    let mut batch = Batch::new();
    for operation in operations {
        match operation {
            Operation::Put { collection, key, value } => batch.put(collection, key, value),
            Operation::Delete { collection, key } => batch.delete(collection, key),
            other => panic!("no batch has this: {other:?}"),
        };
    }
    batch
}

fn make_all(tx: &mut Transaction<'_>, operations: &[Operation]) -> Result<()> {
    operations.iter().try_for_each(|operation| make(tx, operation))
}

fn make(tx: &mut Transaction<'_>, operation: &Operation) -> Result<()> {
    match operation {
        Operation::Put { collection, key, value } => tx.put(collection, key, value),
        Operation::Delete { collection, key } => tx.delete(collection, key),
        Operation::PopFirst { collection } => tx.pop_first(collection).map(drop),
        Operation::PopLast { collection } => tx.pop_last(collection).map(drop),
        Operation::Create { collection } => tx.create_collection(collection).map(drop),
        Operation::Drop { collection } => tx.drop_collection(collection),
        Operation::Clear { collection } => tx.clear_collection(collection),
        Operation::Rename { collection, to } => tx.rename_collection(collection, to),
        other => panic!("not in this workload: {other:?}"),
    }
}
