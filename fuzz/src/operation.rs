//! The decoder of the records that a store appends to its log. A valid record that creates two
//! collections precedes the input.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kv_core::{Batch, Durability, Log, Lsn, MemoryCheckpointer, MemoryLog, Result, Store};

use crate::{
    Heavy,
    assertions::{decoded, must_succeed},
    disk::Folder,
    noop_scheduler,
};

mod model;

use model::Model;

/// Longer inputs are ignored: they would take longer and reach nothing new.
const INPUT_BYTES_MAX: usize = 1 << 20;

/// A record of a log.
pub(crate) fn operation(input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let log = Arc::new(MemoryLog::new());
    for record in [sample(), input.to_vec()] {
        must_succeed(log.append(&record, Durability::Disk).and_then(|lsn| log.sync(lsn)));
    }
    let mut model = Model::default();
    assert!(model.apply(&sample(), 1).is_some());
    let expected = model.apply(input, 2);
    let opened = Store::with_backends(log as _, Arc::new(MemoryCheckpointer::new()), noop_scheduler::store_options());
    if let Err(kv_core::Error::Corrupt { offset: Some(offset), .. }) = &opened {
        assert!(*offset <= input.len() as u64, "the place is outside of the record");
    }
    let store = decoded(opened.map_err(without_place), &Folder::new());
    assert_eq!(store.is_some(), expected.is_some(), "a record is valid if and only if the table says so");
    if let Some(store) = store {
        assert_eq!(must_succeed(content(&store)), model.content(), "what a valid record does");
        writes_again(&store, &model);
    }
}

/// The error without its offset: a record is not a file.
fn without_place(error: kv_core::Error) -> kv_core::Error {
    match error {
        kv_core::Error::Corrupt { place, detail, .. } => kv_core::Error::corrupt_whole(place, detail),
        other => other,
    }
}

/// Writes the content of the store to another one, whose records have to give the same content.
fn writes_again(store: &Store, model: &Model) {
    let mut batch = Batch::new();
    for (name, entries) in model.content() {
        for (key, value) in entries.iter().filter(|_| !name.is_empty()) {
            batch.put(&name, key, value);
        }
    }
    let log = Arc::new(MemoryLog::new());
    let written = must_succeed(Store::with_backends(
        Arc::clone(&log) as _,
        Arc::new(MemoryCheckpointer::new()),
        noop_scheduler::store_options(),
    ));
    must_succeed(written.write(&batch));
    let mut again = Model::default();
    let mut reader = must_succeed(log.reader(Lsn::START));
    while let Some(record) = must_succeed(reader.next()) {
        assert!(again.apply(record.payload, record.lsn.0).is_some(), "the store wrote a record that is not valid");
    }
    let held = |content: BTreeMap<String, Entries>| -> BTreeSet<(String, Entries)> {
        content.into_iter().filter(|(name, entries)| !name.is_empty() && !entries.is_empty()).collect()
    };
    assert_eq!(held(again.content()), held(must_succeed(content(store))));
}

/// The entries of a collection.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(store: &Store) -> Result<BTreeMap<String, Entries>> {
    let mut content = BTreeMap::new();
    for info in store.collections()? {
        let mut entries = Entries::new();
        for entry in store.collection(&info.name)?.iter() {
            let entry = entry?;
            entries.insert(entry.key.to_vec(), entry.value.to_vec());
        }
        content.insert(info.name, entries);
    }
    Ok(content)
}

/// Creates the collections `a` and `b`, and puts a few entries there.
fn sample() -> Vec<u8> {
    let mut batch = Batch::new();
    batch.put("a", "k1", "one").put("a", "k2", "two").put("b", "k1", "").delete("a", "k2");
    recorded(&batch)
}

/// The record that a store makes of a batch.
fn recorded(batch: &Batch) -> Vec<u8> {
    let log = Arc::new(MemoryLog::new());
    let store = must_succeed(Store::with_backends(
        Arc::clone(&log) as _,
        Arc::new(MemoryCheckpointer::new()),
        noop_scheduler::store_options(),
    ));
    must_succeed(store.write(batch));
    let mut reader = must_succeed(log.reader(Lsn::START));
    must_succeed(reader.next()).map_or_else(Vec::new, |record| record.payload.to_vec())
}

/// The inputs to start from.
pub(crate) fn seeds(_: &str) -> Vec<crate::Seed> {
    let named = |name: &str, bytes| (name.to_owned(), bytes);
    let mut puts = Batch::new();
    puts.put("c", "key", "value");
    let drop_a =
        [&[1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], b"a"].concat();
    vec![named("batch", sample()), named("create-and-put", recorded(&puts)), named("drop", drop_a)]
}

/// Operations of the smallest size, and an invalid one at the end, so that all of the record is
/// decoded and none of it applied.
pub(crate) fn heavy(_: &str) -> Vec<Heavy> {
    let count = 150_000_u32;
    let put = [&[1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], b"k"].concat();
    let record = [&[1, 0, 0, 0][..], &(count + 1).to_le_bytes(), &put.repeat(count as usize)].concat();
    let log = Arc::new(MemoryLog::new());
    must_succeed(log.append(&record, Durability::Disk).and_then(|lsn| log.sync(lsn)));
    let decode = move || {
        let opened =
            Store::with_backends(log as _, Arc::new(MemoryCheckpointer::new()), noop_scheduler::store_options());
        assert!(opened.is_err(), "the last operation is missing");
    };
    vec![Heavy { what: "many operations", bytes: record.len(), decode: Box::new(decode) }]
}
