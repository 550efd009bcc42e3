//! Comparing the whole content of a store with the model.

use std::{
    collections::BTreeMap,
    ops::{Bound, RangeBounds},
};

use kv_core::{Collection, Entry, Result, Store};

use crate::Model;

/// Compares every answer of a store with what the model holds.
///
/// # Panics
/// If they differ.
pub fn assert_same(store: &Store, model: &Model) {
    let listed = store.collections().unwrap();
    let sizes = listed.iter().map(|info| (info.name.clone(), info.entries, info.bytes)).collect::<Vec<_>>();
    let size_of = |entries: &BTreeMap<Vec<u8>, Vec<u8>>| {
        entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>()
    };
    let expected =
        model.collections().iter().map(|(name, entries)| (name.clone(), entries.len() as u64, size_of(entries)));
    assert_eq!(sizes, expected.collect::<Vec<_>>());

    for (name, entries) in model.collections() {
        let collection = store.collection(name).unwrap();
        assert_eq!(collection.len().unwrap(), entries.len() as u64);
        assert_same_order(&collection, entries);
        let keys: Vec<_> = entries.keys().collect();
        let many = collection.get_many(&keys).unwrap();
        assert!(many.iter().map(Option::as_deref).eq(entries.values().map(|value| Some(&value[..]))), "{name} differs");
        for (key, value) in entries {
            assert_eq!(collection.get(key).unwrap().unwrap(), *value);
            assert_eq!(collection.get_with(key, <[u8]>::to_vec).unwrap().as_ref(), Some(value));
        }
        for key in (0..=32).flat_map(|byte| [vec![byte], vec![byte; 2]]) {
            let expected = model.prefix(name, &key).map(|(key, value)| (key.to_vec(), value.to_vec()));
            assert!(collection.prefix(&key).map(owned).eq(expected), "{name} differs at {key:?}");
            assert_eq!(collection.contains(&key).unwrap(), model.get(name, &key).is_some());
        }
    }
}

/// Compares the entries of a collection from both ends, and in ranges.
fn assert_same_order(collection: &Collection, entries: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let name = collection.name();
    assert!(collection.iter().map(owned).eq(entries.clone()), "{name} differs");
    assert!(collection.iter().rev().map(owned).eq(entries.clone().into_iter().rev()), "{name} differs, backwards");
    let as_owned = |entry: Option<Entry>| entry.map(|entry| owned(Ok(entry)));
    let cloned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    assert_eq!(as_owned(collection.first().unwrap()), entries.first_key_value().map(cloned));
    assert_eq!(as_owned(collection.last().unwrap()), entries.last_key_value().map(cloned));
    let bounds: Vec<_> = entries.keys().step_by(entries.len() / 4 + 1).collect();
    for (lower, upper) in bounds.iter().flat_map(|lower| bounds.iter().map(move |upper| (*lower, *upper))) {
        for range in [
            (Bound::Included(lower), Bound::Included(upper)),
            (Bound::Included(lower), Bound::Excluded(upper)),
            (Bound::Excluded(lower), Bound::Unbounded),
        ] {
            let expected =
                || entries.iter().filter(|(key, _)| RangeBounds::<Vec<u8>>::contains(&range, *key)).map(cloned);
            assert!(collection.range::<Vec<u8>>(range).map(owned).eq(expected()), "{name} differs in {range:?}");
            let backwards = expected().collect::<Vec<_>>().into_iter().rev();
            assert!(
                collection.range::<Vec<u8>>(range).rev().map(owned).eq(backwards),
                "{name} differs in {range:?}, backwards"
            );
        }
    }
}

fn owned(entry: Result<Entry>) -> (Vec<u8>, Vec<u8>) {
    let entry = entry.unwrap();
    (entry.key.to_vec(), entry.value.to_vec())
}
