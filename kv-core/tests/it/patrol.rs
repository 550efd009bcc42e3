//! The job that reads the checkpoint in the background, over a checkpoint that never ends.

use std::{
    io,
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kv_core::{
    Changes, Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, Checkpointer, CollectionId, CollectionSize,
    Cursor, Error, MemoryCheckpointer, MemoryLog, Result, Store, StoreOptions, Value, background::Next,
};
use kv_testkit::ManualScheduler;

use crate::support::Media;

/// What reads of checkpoints do. Each piece is told to be followed by another one, up to `end`.
struct Scrubbed {
    end: u64,
    damaged_at: u64,
    unreadable_at: u64,
    pieces: AtomicU64,
    begun: Mutex<Vec<u64>>,
}

impl Scrubbed {
    fn new(end: u64) -> Arc<Self> {
        let (damaged_at, unreadable_at) = (u64::MAX, u64::MAX);
        Arc::new(Self { end, damaged_at, unreadable_at, pieces: AtomicU64::new(0), begun: Mutex::default() })
    }
}

struct Patrolled(Arc<Scrubbed>, MemoryCheckpointer);

impl Patrolled {
    fn wrap(&self, checkpoint: Result<Arc<dyn Checkpoint>>) -> Result<Arc<dyn Checkpoint>> {
        checkpoint.map(|checkpoint| Arc::new(Read(Arc::clone(&self.0), checkpoint)) as _)
    }
}

impl Checkpointer for Patrolled {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        self.1.list()
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.wrap(self.1.open(id))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        self.wrap(self.1.write(previous, changes))
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        self.1.remove(id)
    }
}

struct Read(Arc<Scrubbed>, Arc<dyn Checkpoint>);

impl Checkpoint for Read {
    fn id(&self) -> CheckpointId {
        self.1.id()
    }

    fn head(&self) -> &CheckpointHead {
        self.1.head()
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        self.1.get(collection, key)
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.1.get_with(collection, key, read)
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        self.1.range(collection, lower, upper)
    }

    fn size(&self, collection: CollectionId) -> Result<CollectionSize> {
        self.1.size(collection)
    }

    fn scrub(&self, from: u64, bytes: u64) -> Result<Option<u64>> {
        if self.0.pieces.fetch_add(1, Ordering::Relaxed) < 100 {
            self.0.begun.lock().unwrap().push(from / bytes);
        }
        let piece = from..from.saturating_add(bytes);
        if piece.contains(&self.0.damaged_at) {
            return Err(Error::corrupt("a checkpoint", self.0.damaged_at, "a piece is damaged"));
        }
        if piece.contains(&self.0.unreadable_at) {
            return Err(Error::from_io("read", "a checkpoint", io::Error::other("a sector")));
        }
        Ok((piece.end < self.0.end).then_some(piece.end))
    }

    fn stats(&self) -> CheckpointStats {
        self.1.stats()
    }
}

/// Opens a store that has a checkpoint.
fn open(scrubbed: &Arc<Scrubbed>, options: StoreOptions) -> Store {
    let media = Media::default();
    let store = media.open().unwrap();
    store.collection("a").unwrap().put("key", "value").unwrap();
    store.checkpoint().unwrap().unwrap();
    store.close().unwrap();
    drop(store);
    let checkpointer = Patrolled(Arc::clone(scrubbed), MemoryCheckpointer::open(&media.checkpoints));
    Store::with_backends(Arc::new(MemoryLog::open(&media.log).unwrap()), Arc::new(checkpointer), options).unwrap()
}

/// Warming reads at full speed and without an end here, and closing ends it nevertheless.
#[test]
fn closing_ends_a_warming_that_is_under_way() {
    let scrubbed = Scrubbed::new(u64::MAX);
    let options = StoreOptions { warm: true, ..StoreOptions::default() };
    let store = open(&scrubbed, options);
    let pieces = || scrubbed.pieces.load(Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_secs(60);
    while pieces() < 1000 {
        assert!(Instant::now() < deadline, "only {} pieces were read", pieces());
        thread::yield_now();
    }
    let begun = Instant::now();
    store.close().unwrap();
    drop(store);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let after = pieces();
    thread::sleep(Duration::from_millis(20));
    assert_eq!(pieces(), after, "it goes on after the store is closed");
}

/// A patrol goes on behind what is damaged or cannot be read, and begins again at the end.
#[test]
fn a_patrol_reads_the_pieces_in_turn() {
    const PIECE: u64 = 1 << 20;
    let scheduler = ManualScheduler::new();
    let sound = Arc::into_inner(Scrubbed::new(4 * PIECE - 9)).unwrap();
    let scrubbed = Arc::new(Scrubbed { damaged_at: PIECE + 5, unreadable_at: 2 * PIECE, ..sound });
    let options = StoreOptions {
        patrol_bytes_per_second: PIECE,
        scheduler: Arc::new(scheduler.clone()),
        ..StoreOptions::default()
    };
    let store = open(&scrubbed, options);
    for _ in 0..10 {
        assert_eq!(scheduler.run("kv-patrol"), Some(Next::After(Duration::from_secs(1))));
    }
    let begun = scrubbed.begun.lock().unwrap().clone();
    let expected: Vec<u64> = (0..10).map(|piece| piece % 4).collect();
    assert_eq!(begun, expected);
    drop(store);
}
