use std::{
    collections::BTreeMap,
    ops::{Bound, RangeBounds},
};

use kv_core::Checkpointer;
use kv_snapshot::MmapCheckpointer;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{Entries, State, collection, compare, read_range, test_vfs};

#[derive(Clone, Debug)]
enum Step {
    Put(u32, Vec<u8>, Vec<u8>),
    Delete(u32, Vec<u8>),
    Drop(u32),
    Checkpoint,
    Reopen,
}

/// Keys that share prefixes, are prefixes of each other, and are longer than the 8 bytes of an
/// anchor.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(vec![&b""[..], b"common prefix/", b"common prefix/\0\0\0\0\0\0\0\0"]);
    let tail = prop::collection::vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(255)], 1..5);
    (head, tail).prop_map(|(head, tail)| [head, &tail].concat())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0..20_000usize).prop_map(|(byte, bytes)| vec![byte; bytes]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (0..3u32, key(), value()).prop_map(|(c, k, v)| Step::Put(c, k, v)),
        15 => (0..3u32, key()).prop_map(|(c, k)| Step::Delete(c, k)),
        1 => (0..3u32).prop_map(Step::Drop),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    let some = prop_oneof![key(), Just(Vec::new()), Just(b"common".to_vec()), Just(b"common prefix0".to_vec())];
    (some, 0..5).prop_map(|(key, kind)| match kind {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(key),
        _ => Bound::Excluded(key),
    })
}

fn check_range(
    checkpoint: &dyn kv_core::Checkpoint,
    collections: &BTreeMap<kv_core::CollectionId, Entries>,
    (lower, upper): &(Bound<Vec<u8>>, Bound<Vec<u8>>),
) {
    let bounds = (lower.as_ref().map(|k| &k[..]), upper.as_ref().map(|k| &k[..]));
    for (id, entries) in collections {
        let found = read_range(checkpoint, *id, bounds.0, bounds.1).unwrap();
        let lies_within = |key: &[u8]| RangeBounds::<[u8]>::contains(&bounds, key);
        let expected = entries.iter().filter(|(key, _)| lies_within(key));
        assert!(found.iter().map(|(k, v)| (k, v)).eq(expected), "range {bounds:?}: {found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn holds_what_a_map_holds(
        steps in prop::collection::vec(step(), 0..300),
        ranges in prop::collection::vec((bound(), bound()), 8),
    ) {
        let directory = TempDir::new().unwrap();
        let vfs = test_vfs(directory.path());
        let mut checkpointer = MmapCheckpointer::open(vfs.clone()).unwrap();
        let mut state = State::default();
        let mut newest = None;
        let mut dropped = [0; 3];
        for step in steps.into_iter().chain([Step::Checkpoint]) {
            match step {
                Step::Put(c, key, value) => state.put(c + 10 * dropped[c as usize], &key, &value),
                Step::Delete(c, key) => state.delete(c + 10 * dropped[c as usize], &key),
                Step::Drop(c) => {
                    state.drop_collection(c + 10 * dropped[c as usize]);
                    dropped[c as usize] += 1; // created again, it is another collection
                }
                Step::Reopen => {
                    drop(checkpointer);
                    checkpointer = MmapCheckpointer::open(vfs.clone()).unwrap();
                }
                Step::Checkpoint => {
                    let written = checkpointer.write(newest, &mut state.take()).unwrap();
                    prop_assert_eq!(checkpointer.list().unwrap()[0], written.id());
                    newest = Some(written.id());
                    for checkpoint in [written.clone(), checkpointer.open(written.id()).unwrap()] {
                        prop_assert_eq!(checkpoint.head(), written.head());
                        compare(&*checkpoint, &state.collections).unwrap();
                        ranges.iter().for_each(|range| check_range(&*checkpoint, &state.collections, range));
                    }
                }
            }
        }
        let report = checkpointer.verify().unwrap();
        prop_assert!(report.is_clean(), "{:?}", report);
    }
}

/// More blocks than one block of the checksum tree covers, and more than a buffer holds.
#[test]
fn holds_many_entries_and_large_values() {
    let directory = TempDir::new().unwrap();
    let checkpointer = MmapCheckpointer::open(test_vfs(directory.path())).unwrap();
    let mut state = State::default();
    for n in 0..20_000u32 {
        state.put(1, &n.wrapping_mul(2_654_435_761).to_be_bytes(), &n.to_le_bytes());
    }
    state.put(2, b"empty", b"");
    state.put(2, b"large", &vec![7; 64 << 20]);
    state.put(2, &[9; 65_535], b"the longest key");
    let written = checkpointer.write(None, &mut state.take()).unwrap();
    compare(&*written, &state.collections).unwrap();
    let report = checkpointer.verify().unwrap();
    assert!(report.is_clean() && report.bytes > 64 << 20, "{report:?}");
    for n in (1..20_000u32).step_by(77) {
        let key = n.to_be_bytes();
        let expected = state.collections[&collection(1)].range(key.to_vec()..).take(3);
        let mut cursor = written.range(collection(1), Bound::Included(&key), Bound::Unbounded).unwrap();
        for (key, value) in expected {
            assert!(cursor.advance().unwrap());
            assert_eq!((cursor.key(), cursor.value()), (&key[..], &value[..]));
        }
    }
}
