use super::*;
use crate::sync::Mutex;

const A: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };

/// Collections with one writer, and the collection `a`.
struct Written {
    collections: Arc<Collections>,
    writer: WriterToken,
    lsn: Lsn,
}

impl Written {
    fn new() -> Self {
        let (collections, writer) = Collections::new(None, &[]);
        let mut written = Self { collections: Arc::new(collections), writer, lsn: Lsn::START };
        written.apply(&Operation::Create { name: "a" });
        written
    }

    fn apply(&mut self, operation: &Operation<'_>) {
        self.lsn = self.lsn.next();
        self.collections.apply(&mut self.writer, self.lsn, std::iter::once(*operation));
    }

    fn put(&mut self, key: u64, value: &[u8]) {
        self.apply(&Operation::Put { collection: A, key: &key.to_be_bytes(), value });
    }

    fn publish(&self) {
        self.collections.horizon.publish(self.lsn, self.lsn);
    }

    fn freeze(&mut self) {
        self.collections.freeze(&mut self.writer, self.lsn, 0);
    }

    fn get(&self, key: u64) -> Option<Value> {
        self.collections.get("a", &key.to_be_bytes()).unwrap()
    }
}

#[test]
fn a_snapshot_sees_its_position_whatever_comes_later() {
    let mut written = Written::new();
    let mut snapshots = Vec::new();
    for round in 0..300_u64 {
        (0..3).for_each(|key| written.put(key, &round.to_be_bytes()));
        if round % 50 == 20 {
            written.freeze();
        }
        written.publish();
        snapshots.push(written.collections.snapshot());
    }
    for (round, snapshot) in (0..300_u64).zip(&snapshots) {
        for key in 0..3_u64 {
            assert_eq!(snapshot.get("a", &key.to_be_bytes()).unwrap().unwrap(), round.to_be_bytes());
        }
        assert_eq!(snapshot.len("a").unwrap(), 3);
        assert_eq!(snapshot.range("a", Bound::Unbounded, Bound::Unbounded).count(), 3);
    }
}

#[test]
fn what_is_not_published_is_not_seen() {
    let mut written = Written::new();
    assert_eq!(written.get(1), None, "the collection is not published");
    written.put(1, b"one");
    written.publish();
    written.put(1, b"two");
    assert_eq!(written.get(1).unwrap(), "one");
    let newest = written.collections.get_newest(&written.writer, A, &1_u64.to_be_bytes()).unwrap();
    assert_eq!(newest, (Lsn(3), Some("two".into())));
}

/// Counting looks at what is new since the last time, whatever was written before, also over a
/// freeze. An older snapshot may be counted later.
#[test]
fn counting_again_costs_what_is_new() {
    let steps = |snapshot: &Snapshot| {
        let mut steps = 0;
        let size = snapshot.view().unwrap().size(&(A, "a".into()), snapshot.position(), &mut || {
            steps += 1;
            Ok(())
        });
        (size.unwrap().entries, steps)
    };
    let mut written = Written::new();
    (0..50_000).for_each(|key| written.put(key % 40_000, b"v"));
    written.publish();
    let earlier = written.collections.snapshot();
    assert_eq!(steps(&earlier), (40_000, 50_000_usize.div_ceil(256)));
    assert_eq!(steps(&earlier), (40_000, 0), "nothing is new");
    written.freeze();
    written.put(1, b"again");
    written.put(40_000, b"new");
    written.apply(&Operation::Delete { collection: A, key: &2_u64.to_be_bytes() });
    written.apply(&Operation::Delete { collection: A, key: &3_u64.to_be_bytes() });
    written.publish();
    let later = written.collections.snapshot();
    assert_eq!(steps(&later), (39_999, 1));
    written.put(3, b"back");
    written.publish();
    assert_eq!(steps(&written.collections.snapshot()), (40_000, 1));
    assert_eq!(steps(&earlier).0, 40_000);
    assert_eq!(steps(&later).0, 39_999);
}

/// What is known of where live keys are outlives the memtable in which it was learned.
#[test]
fn the_ends_of_a_queue_are_known_after_a_freeze() {
    let mut written = Written::new();
    (0..3).for_each(|key| written.put(key, b"v"));
    let first = Value::copy_from(&0_u64.to_be_bytes());
    written.apply(&Operation::Delete { collection: A, key: &first });
    let mut ends = Ends::default();
    ends.narrow(Direction::Forward, Bound::Included(first.clone()), written.lsn);
    written.collections.narrow(&mut written.writer, written.lsn, A, ends);
    written.freeze();
    written.put(7, b"v");
    let live = written.collections.view().active.live(A, written.lsn);
    assert_eq!(live.narrow((Bound::Unbounded, Bound::Unbounded)).bounds.0, Bound::Excluded(&*first));
    written.put(0, b"back");
    let live = written.collections.view().active.live(A, written.lsn);
    assert_eq!(live.narrow((Bound::Unbounded, Bound::Unbounded)).bounds.0, Bound::Included(&*first));
}

/// However many queues were popped from, the memtable after a freeze is empty, and what was not in
/// use for a whole memtable does not go on.
#[test]
fn queues_that_were_popped_leave_the_next_memtable_empty() {
    let mut written = Written::new();
    for index in 0..10_000 {
        let mut ends = Ends::default();
        ends.narrow(Direction::Forward, Bound::Unbounded, written.lsn);
        written.collections.narrow(&mut written.writer, written.lsn, CollectionId { lsn: Lsn(1), index }, ends);
    }
    let bytes = |written: &Written| written.collections.view().active.bytes();
    assert!(bytes(&written) >= 10_000 * 100, "what is known counts");
    for _ in 0..2 {
        written.freeze();
        assert_eq!(bytes(&written), 0);
        written.put(1, b"v");
        assert!(bytes(&written) < 10_000, "{} bytes", bytes(&written));
    }
}

/// A checkpoint takes nothing of collections that do not exist: neither those that were created and
/// dropped since the last one, nor those that it does not know.
#[test]
fn changes_of_dropped_collections_are_left_out() {
    let mut written = Written::new();
    written.put(1, b"one");
    written.apply(&Operation::Create { name: "b" });
    let b = CollectionId { lsn: written.lsn, index: 0 };
    written.apply(&Operation::Put { collection: b, key: b"k", value: b"v" });
    written.apply(&Operation::Drop { collection: b, name: "b" });
    written.freeze();
    written.put(1, b"again");
    written.freeze();

    let changed = |frozen: &read_view::Frozen| {
        let mut view = ReadView::clone(&written.collections.view());
        view.frozen = vec![frozen.clone()];
        let mut changes = view.oldest_changes(&mut || Ok(())).unwrap().unwrap();
        std::iter::from_fn(|| changes.next().map(|change| change.collection)).collect::<Vec<_>>()
    };
    let view = written.collections.view();
    assert_eq!(changed(&view.frozen[1]), [CollectionId::NAMES, CollectionId::NAMES, A]);
    assert_eq!(changed(&view.frozen[0]), [], "there is no checkpoint, and so no collection");
}

/// Without a threshold a memtable is frozen only before its addresses run out, which is early in
/// tests.
#[test]
fn a_memtable_is_frozen_before_its_addresses_run_out() {
    let options = crate::StoreOptions { checkpoint_record_bytes: u64::MAX, ..crate::StoreOptions::default() };
    let backends = (Arc::new(crate::MemoryLog::new()), Arc::new(crate::MemoryCheckpointer::new()));
    let store = crate::Store::with_backends(backends.0, backends.1, options).unwrap();
    let a = store.collection("a").unwrap().with_durability(crate::Durability::Process);
    for key in 0..10_000_u32 {
        a.put(key.to_be_bytes(), [1; 1000]).unwrap();
    }
    assert!(store.stats().frozen_memtables >= 1 || store.stats().checkpoint.is_some());
    assert_eq!(a.iter().map(|entry| entry.unwrap().value[0] as usize).sum::<usize>(), 10_000);
}

/// A handle to a value does not keep the memtable alive, nor does an iterator that has ended.
#[test]
fn a_value_outlives_its_memtable() {
    let mut written = Written::new();
    let long = [7; 10_000];
    written.put(1, b"short");
    written.put(2, &long);
    written.publish();
    let memtable = Arc::downgrade(written.writer.active.memtable());
    let (short, apart) = (written.get(1).unwrap(), written.get(2).unwrap());
    let again = written.get(2).unwrap();
    assert_eq!(apart.as_ptr(), again.as_ptr(), "a long value is not copied");
    drop(written);
    assert!(memtable.upgrade().is_none(), "a value keeps its memtable alive");
    assert_eq!((&*short, &*apart), (&b"short"[..], &long[..]));
}

/// What memory takes for keys and values of 16 and 100 bytes, at each number of keys.
#[test]
fn memory_above_keys_and_values_is_bounded() {
    let mut written = Written::new();
    let mut worst = 0.0_f64;
    for key in 0..200_000_u64 {
        let key = [key, key.wrapping_mul(0x9E37_79B9_7F4A_7C15)].map(u64::to_be_bytes).concat();
        written.apply(&Operation::Put { collection: A, key: &key, value: &[1; 100] });
        let keys = written.lsn.0 - 1;
        let bytes = written.writer.active.mapped_bytes();
        if keys >= 20_000 {
            worst = worst.max(bytes as f64 / keys as f64 - 116.0);
        }
    }
    assert!(worst <= 36.0, "{worst:.1} bytes above key and value");
}

/// A writer overwrites, deletes, freezes and publishes, while readers check each other's answers:
/// whatever they read is one published state.
#[test]
fn readers_beside_a_writer_see_one_state() {
    let rounds = if cfg!(debug_assertions) { 4_000 } else { 400_000 };
    let mut written = Written::new();
    written.publish();
    let collections = Arc::clone(&written.collections);
    let done = Mutex::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2_u64 {
            let (collections, done) = (&collections, &done);
            scope.spawn(move || {
                let mut last = 0;
                while !*lock(done) {
                    let snapshot = collections.snapshot();
                    let seen = |key: u64| {
                        let value = snapshot.get("a", &key.to_be_bytes()).unwrap();
                        value.map(|value| u64::from_be_bytes(value[..8].try_into().unwrap()))
                    };
                    let all: Vec<_> = (0..8).map(seen).collect();
                    let in_order = snapshot.range("a", Bound::Unbounded, Bound::Unbounded);
                    let in_order: Vec<_> = in_order
                        .map(|entry| u64::from_be_bytes(entry.unwrap().value[..8].try_into().unwrap()))
                        .collect();
                    assert_eq!(all.iter().flatten().copied().collect::<Vec<_>>(), in_order);
                    assert_eq!(snapshot.len("a").unwrap(), in_order.len() as u64);
                    // All keys of a round are written before it is published; each fourth is then
                    // deleted.
                    let round = in_order.first().copied().unwrap_or(last);
                    assert!(in_order.iter().all(|value| *value == round), "{all:?} is not one state");
                    assert!(round >= last, "reader {reader} went back from {last} to {round}");
                    last = round;
                }
            });
        }
        for round in 0..rounds {
            for key in 0..8_u64 {
                let key = key.to_be_bytes();
                if (round + u64::from(key[7])) % 4 == 0 {
                    written.apply(&Operation::Delete { collection: A, key: &key });
                } else {
                    let value = [round.to_be_bytes(); 20].concat();
                    written.apply(&Operation::Put { collection: A, key: &key, value: &value });
                }
            }
            if round % (rounds / 4) == 1 {
                written.freeze();
            }
            written.publish();
        }
        *lock(&done) = true;
    });
}
