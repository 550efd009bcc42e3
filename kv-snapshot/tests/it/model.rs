use std::{
    collections::{BTreeMap, VecDeque},
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use kv_core::{Checkpoint, CheckpointId, Checkpointer, Effort};
use kv_snapshot::{MmapCheckpointer, SnapshotOptions};
use kv_testkit::{checkpointer::read_below, vfs::TestVfs};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{Entries, State, collection, compare, open, options, read_range, test_vfs};

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

#[derive(Clone, Debug)]
enum Step {
    Put(u32, Vec<u8>, Vec<u8>),
    Delete(u32, Vec<u8>),
    Drop(u32),
    Checkpoint,
    Merge(Effort),
    Remove(prop::sample::Index),
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
        5 => Just(Step::Checkpoint),
        2 => prop::sample::select(vec![Effort::Needed, Effort::AtRest, Effort::Full]).prop_map(Step::Merge),
        1 => any::<prop::sample::Index>().prop_map(Step::Remove),
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
    checkpoint: &dyn Checkpoint,
    collections: &BTreeMap<kv_core::CollectionId, Entries>,
    (lower, upper): &Bounds,
) {
    let bounds = (lower.as_ref().map(|k| &k[..]), upper.as_ref().map(|k| &k[..]));
    for (id, entries) in collections {
        let found = read_range(checkpoint, *id, bounds.0, bounds.1).unwrap();
        let lies_within = |key: &[u8]| RangeBounds::<[u8]>::contains(&bounds, key);
        let expected = entries.iter().filter(|(key, _)| lies_within(key));
        assert!(found.iter().map(|(k, v)| (k, v)).eq(expected), "range {bounds:?}: {found:?}");
    }
}

/// Checkpoints, each with what a map holds at its position.
struct Model {
    vfs: Arc<TestVfs>,
    checkpointer: MmapCheckpointer,
    state: State,
    /// Newest first.
    listed: Vec<(CheckpointId, BTreeMap<kv_core::CollectionId, Entries>)>,
    /// How often each collection was dropped: created again, it is another collection.
    dropped: [u32; 3],
    ranges: Vec<Bounds>,
}

impl Model {
    fn new(vfs: Arc<TestVfs>, ranges: Vec<Bounds>) -> Self {
        let checkpointer = Self::open(&vfs);
        Self { vfs, checkpointer, state: State::default(), listed: Vec::new(), dropped: [0; 3], ranges }
    }

    /// With classes so small that all kinds of merges happen.
    fn open(vfs: &Arc<TestVfs>) -> MmapCheckpointer {
        let options = SnapshotOptions { class_bytes: 24 << 10, ..options() };
        MmapCheckpointer::open_with(vfs.clone(), options).unwrap()
    }

    fn index(&self, collection: u32) -> u32 {
        collection + 10 * self.dropped[collection as usize]
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(c, key, value) => self.state.put(self.index(c), &key, &value),
            Step::Delete(c, key) => self.state.delete(self.index(c), &key),
            Step::Drop(c) => {
                self.state.drop_collection(self.index(c));
                self.dropped[c as usize] += 1;
            }
            Step::Reopen => {
                self.checkpointer = Self::open(&self.vfs);
                for (id, expected) in &self.listed {
                    compare(&*self.checkpointer.open(*id).unwrap(), expected).unwrap();
                }
            }
            Step::Remove(which) if !self.listed.is_empty() => {
                // The newest is never removed by a store.
                let at = which.index(self.listed.len());
                if at > 0 {
                    self.checkpointer.remove(self.listed.remove(at).0).unwrap();
                }
            }
            Step::Remove(_) => {}
            Step::Checkpoint => {
                let previous = self.listed.first().map(|(id, _)| *id);
                let written = self.checkpointer.write(previous, &mut self.state.take()).unwrap();
                self.made(&written, self.state.collections.clone());
            }
            Step::Merge(effort) => {
                for round in 0.. {
                    assert!(round < 20, "there is always something to merge");
                    let Some(made) = self.checkpointer.maintain(effort, &|| false).unwrap() else { break };
                    let expected = self.listed[0].1.clone();
                    let stats = made.stats();
                    assert!(effort < Effort::Full || stats.parts == 1, "{stats:?}");
                    self.made(&made, expected);
                }
            }
        }
    }

    fn made(&mut self, made: &Arc<dyn Checkpoint>, expected: BTreeMap<kv_core::CollectionId, Entries>) {
        assert_eq!(self.checkpointer.list().unwrap()[0], made.id());
        for checkpoint in [made.clone(), self.checkpointer.open(made.id()).unwrap()] {
            assert_eq!(checkpoint.head(), made.head());
            compare(&*checkpoint, &expected).unwrap();
            self.ranges.iter().for_each(|range| check_range(&*checkpoint, &expected, range));
        }
        self.listed.insert(0, (made.id(), expected));
    }

    fn finish(&self) {
        let listed: Vec<_> = self.listed.iter().map(|(id, _)| *id).collect();
        assert_eq!(self.checkpointer.list().unwrap(), listed);
        for (id, expected) in &self.listed {
            compare(&*self.checkpointer.open(*id).unwrap(), expected).unwrap();
        }
        let report = self.checkpointer.verify().unwrap();
        assert!(report.is_clean() && report.checkpoints == listed.len(), "{report:?}");
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
        let mut model = Model::new(test_vfs(directory.path()), ranges);
        steps.into_iter().chain([Step::Checkpoint, Step::Merge(Effort::Full)]).for_each(|step| model.step(step));
        model.finish();
    }
}

/// Both ends of a cursor over several parts meet, wherever each of them is then.
#[test]
fn a_stack_is_taken_from_both_ends() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(test_vfs(directory.path())).unwrap();
    let mut state = State::default();
    let mut rng = fastrand::Rng::with_seed(8);
    let mut newest: Option<Arc<dyn Checkpoint>> = None;
    for round in 0..5_u8 {
        for _ in 0..12 {
            let key = [rng.u8(0..30)];
            match rng.u8(0..3) {
                0 => state.delete(1, &key),
                _ => state.put(1, &key, &[round]),
            }
        }
        // A tombstone between entries that no other part has.
        if round == 4 {
            state.put(1, &[40], &[round]);
            state.delete(1, &[41]);
            state.put(1, &[42], &[round]);
        }
        newest = Some(checkpointer.write(newest.map(|newest| newest.id()), &mut state.take()).unwrap());
    }
    let newest = newest.unwrap();
    assert_eq!(newest.stats().parts, 5);
    for _ in 0..2000 {
        let mut expected: VecDeque<_> = state.collections[&collection(1)].iter().collect();
        let mut cursor = newest.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
        let first_ones = rng.usize(0..5);
        loop {
            let from_the_front = rng.usize(0..4) < first_ones;
            let (moved, entry) = match from_the_front {
                true => (cursor.advance().unwrap(), expected.pop_front()),
                false => (cursor.retreat().unwrap(), expected.pop_back()),
            };
            assert_eq!(moved, entry.is_some());
            let Some((key, value)) = entry else { break };
            assert_eq!((cursor.key(), cursor.value()), (&key[..], &value[..]));
            assert_eq!((&*cursor.key_handle(), &*cursor.value_handle()), (&key[..], &value[..]));
            if rng.u8(..8) == 0 && from_the_front {
                expected.push_front((key, value));
                read_below(&mut *cursor, &mut expected, Some(&[rng.u8(0..45)]), rng.usize(1..10));
            }
        }
        assert!(!cursor.advance().unwrap() && !cursor.retreat().unwrap() && cursor.key().is_empty());
    }
}

/// More blocks than one block of the checksum tree covers, and more than a buffer holds.
#[test]
fn holds_many_entries_and_large_values() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(test_vfs(directory.path())).unwrap();
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
