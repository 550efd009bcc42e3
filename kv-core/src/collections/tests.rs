use super::*;

const KEYS: u64 = 100;

/// Collections with one writer, which can publish at once.
struct Written {
    collections: Arc<Collections>,
    writer: WriterToken,
    lsn: Lsn,
}

impl Written {
    fn new() -> Self {
        let (collections, writer) = Collections::new(None, &[]);
        Self { collections: Arc::new(collections), writer, lsn: Lsn::START }
    }

    fn apply(&mut self, operation: &Operation<'_>) {
        self.lsn = Lsn(self.lsn.0 + 1);
        self.collections.apply(&mut self.writer, self.lsn, std::iter::once(*operation));
    }

    fn put(&mut self, collection: CollectionId, key: u64) {
        let key = key.to_be_bytes();
        self.apply(&Operation::Put { collection, key: &key, value: b"value" });
    }

    fn publish(&self) {
        self.collections.horizon.publish(self.lsn, self.lsn);
    }

    /// The versions of keys. The name of the collection has one, too.
    fn versions(&self) -> usize {
        self.collections.view().active.versions() - 1
    }

    fn waiting(&self) -> usize {
        self.writer.superseded.queue.len() + self.writer.superseded.held.len()
    }
}

fn overwritten(in_flight: u64, mut before_each_round: impl FnMut(&Arc<Collections>)) -> Written {
    let mut written = Written::new();
    let collection = CollectionId { lsn: Lsn(1), index: 0 };
    written.apply(&Operation::Create { name: "a" });
    written.publish();
    for round in 0..1000 {
        before_each_round(&written.collections);
        for key in 0..KEYS {
            written.put(collection, key);
            if (round * KEYS + key).is_multiple_of(in_flight) {
                written.publish();
            }
        }
    }
    written.publish();
    (0..KEYS).for_each(|key| written.put(collection, key));
    written
}

#[test]
fn overwriting_keeps_no_versions_that_nothing_sees() {
    for in_flight in [1, 10, 1000] {
        let written = overwritten(in_flight, |_| {});
        assert!(written.versions() as u64 <= 2 * KEYS, "{} versions, {in_flight} in flight", written.versions());
        assert!(written.waiting() as u64 <= KEYS);
    }
}

#[test]
fn a_snapshot_keeps_one_version_of_each_key() {
    let mut held = None;
    let written = overwritten(1, |collections| {
        held.get_or_insert_with(|| collections.snapshot());
    });
    assert!(written.versions() as u64 <= 3 * KEYS, "{} versions", written.versions());
    assert!(written.waiting() as u64 <= 2 * KEYS);
}

#[test]
fn versions_kept_for_snapshots_are_dropped_after_them() {
    let mut held = Vec::new();
    let written = overwritten(1, |collections| {
        held.push(collections.snapshot());
        if held.len() > 3 {
            held.remove(0);
        }
    });
    drop(held);
    let mut written = written;
    written.publish();
    let other = CollectionId { lsn: Lsn(2), index: 0 };
    (0..2 * KEYS).for_each(|key| written.put(other, key));
    assert_eq!(written.versions() as u64, 3 * KEYS);
    assert_eq!(written.waiting(), 0);
}

/// One key that is overwritten very often, and many keys that are overwritten ten times: no version
/// is kept that nothing can see. `KV_MEMORY_KEYS` sets the number of keys; use a million in an
/// optimised build.
#[test]
fn memory_stays_flat_over_millions_of_overwrites() {
    let keys = std::env::var("KV_MEMORY_KEYS").map_or(50_000, |keys| keys.parse().unwrap());
    for (keys, rounds) in [(1, 1_000_000), (keys, 10)] {
        for with_snapshots in [false, true] {
            let mut written = Written::new();
            let collection = CollectionId { lsn: Lsn(1), index: 0 };
            let mut snapshot = None;
            for round in 0..rounds {
                if with_snapshots && round % (rounds / 5) == 0 {
                    snapshot = Some(written.collections.snapshot()); // drops the previous one
                }
                for key in 0..keys {
                    written.put(collection, key);
                    written.publish();
                }
            }
            drop(snapshot);
            (0..keys).for_each(|key| written.put(collection, key));
            assert!(written.versions() as u64 <= 2 * keys + 2, "{} versions of {keys} keys", written.versions());
        }
    }
}

/// In a child made by `fork`, the registry's lock may be held for ever.
#[test]
fn a_snapshot_dropped_in_a_child_releases_nothing() {
    use std::sync::atomic::{AtomicBool, Ordering};

    struct FakeOwner(AtomicBool);

    impl Owner for FakeOwner {
        fn check(&self) -> Result<()> {
            if self.0.load(Ordering::Relaxed) { Err(Error::Forked) } else { Ok(()) }
        }
    }

    let owner: Arc<FakeOwner> = Arc::new(FakeOwner(AtomicBool::new(false)));
    let (mut collections, _writer) = Collections::new(None, &[]);
    let weak: Weak<FakeOwner> = Arc::downgrade(&owner);
    collections.owner = Some(weak);
    let collections = Arc::new(collections);
    let releases = || collections.horizon().visible().releases();
    let (in_the_parent, in_a_child, after_the_store) =
        (collections.snapshot(), collections.snapshot(), collections.snapshot());
    drop(collections.snapshot());
    drop(in_the_parent);
    assert_eq!(releases(), 0, "other snapshots read at the same position");
    owner.0.store(true, Ordering::Relaxed);
    drop(in_a_child);
    drop(owner);
    drop(after_the_store);
    assert_eq!(releases(), 0, "a child released a position");
}
