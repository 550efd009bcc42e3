//! How long a put holds the writer's lock, over kv-wal and over a log that costs nothing.
//!
//! A store asks its owner whether it may write right before it takes that lock, and again right
//! after it has released it. So an owner that looks at the clock sees the lock taken, held and
//! released, and the store needs no code for that. What a look at the clock takes is subtracted.
//!
//! What counts is the median of many puts: on a machine that does other work, too, the mean says
//! for how long threads were not running. Run it on an idle machine to compare the two logs.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode};
use kv_bench::{COLLECTION, entries, key, scratch, value};
use kv_core::{
    Bounds, Durability, Epoch, Log, LogId, LogReader, Lsn, MemoryCheckpointer, Owner, Record, Result, Store,
    StoreOptions,
};
use kv_vfs::OsVfs;
use kv_wal::SegmentedLog;

use crate::SCRATCH;

/// How often a put asks the owner: before it takes the lock, before it waits for its position, and
/// before it publishes.
const ASKED: usize = 3;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock held per put");
    // The memory of a memtable follows the number of puts, so few are made.
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    group.bench_function("log that costs nothing", |bencher| {
        bencher.iter_custom(|puts| held(Arc::new(NoLog::default()), puts));
    });
    group.bench_function("kv-wal", |bencher| {
        bencher.iter_custom(|puts| {
            let directory = scratch(SCRATCH);
            let vfs = OsVfs::open(directory.path()).unwrap();
            held(Arc::new(SegmentedLog::open(vfs, kv_wal::Options::default()).unwrap()), puts)
        });
    });
    group.finish();
}

/// For how long this many puts hold the lock, one after the other, in one thread, if each takes the
/// median.
fn held(log: Arc<dyn Log>, puts: u64) -> Duration {
    let clock = Arc::new(Clock::default());
    let options = StoreOptions {
        durability: Durability::Process,
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        close_checkpoint_record_bytes: u64::MAX,
        owner: Some(Arc::clone(&clock) as Arc<dyn Owner>),
        ..StoreOptions::default()
    };
    let store = Store::with_backends(log, Arc::new(MemoryCheckpointer::new()), options).unwrap();
    let collection = store.collection(COLLECTION).unwrap();
    collection.put(key(0), value(0)).unwrap(); // the first one does more
    let entries = entries();
    let held = (0..puts).map(|index| {
        let (key, value) = (key(index % entries), value(index));
        clock.clear();
        collection.put(key, value).unwrap();
        clock.between_the_first_two()
    });
    let held = median(held.collect());
    assert_eq!(clock.asked(), ASKED, "a store asks at other moments than this measurement takes for granted");
    // A single put that was interrupted may seem to take nothing, which criterion does not accept.
    held.saturating_sub(cost_of_looking(puts)).max(Duration::from_nanos(1)) * u32::try_from(puts).unwrap()
}

fn median(mut all: Vec<Duration>) -> Duration {
    let middle = all.len() / 2;
    *all.select_nth_unstable(middle).1
}

/// What a look at the clock adds between the two instants: the median.
fn cost_of_looking(times: u64) -> Duration {
    let clock = Clock::default();
    let look = |_| {
        clock.clear();
        (0..2).for_each(|_| clock.check().unwrap());
        clock.between_the_first_two()
    };
    median((0..times).map(look).collect())
}

/// An owner that notes when it is asked.
#[derive(Default)]
struct Clock(Mutex<(usize, [Option<Instant>; 2])>);

impl Clock {
    fn clear(&self) {
        *self.0.lock().unwrap() = (0, [None; 2]);
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().0
    }

    fn between_the_first_two(&self) -> Duration {
        let (_, [first, second]) = *self.0.lock().unwrap();
        second.unwrap() - first.unwrap()
    }
}

impl Owner for Clock {
    fn check(&self) -> Result<()> {
        let mut asked = self.0.lock().unwrap();
        let number = asked.0;
        if let Some(instant) = asked.1.get_mut(number) {
            *instant = Some(Instant::now());
        }
        asked.0 += 1;
        Ok(())
    }

    fn confirm(&self) -> Result<()> {
        Ok(())
    }
}

/// A log that keeps nothing but the number of its records.
#[derive(Default)]
struct NoLog(AtomicU64);

impl NoLog {
    fn appended(&self) -> Lsn {
        Lsn(self.0.load(Ordering::Acquire))
    }
}

impl Log for NoLog {
    fn id(&self) -> LogId {
        LogId(1)
    }

    fn append(&self, _: &[u8], _: Durability) -> Result<Lsn> {
        Ok(Lsn(self.0.fetch_add(1, Ordering::AcqRel) + 1))
    }

    fn sync(&self, _: Lsn) -> Result<Lsn> {
        Ok(self.appended())
    }

    fn reader(&self, _: Lsn) -> Result<Box<dyn LogReader>> {
        Ok(Box::new(NoRecords))
    }

    fn trim(&self, _: Lsn) -> Result<()> {
        Ok(())
    }

    fn bounds(&self) -> Bounds {
        let appended = self.appended();
        let trimmed = Lsn::START;
        Bounds { trimmed, durable: appended, written: appended, appended, epoch: Epoch(1), record_bytes_max: 1 << 20 }
    }

    fn medium_bytes_after(&self, _: Lsn) -> u64 {
        0
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

struct NoRecords;

impl LogReader for NoRecords {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        Ok(None)
    }
}
