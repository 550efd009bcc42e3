use std::sync::Arc;

use kv_store::{Durability, Options, Store, StoreOptions};
use kv_testkit::{ManualScheduler, sim::SimDisk};

pub const MIB: u64 = 1 << 20;

/// A disk of that many bytes.
pub fn disk_of(bytes: u64) -> SimDisk {
    let disk = SimDisk::new(bytes);
    disk.limit_space(bytes);
    disk
}

/// A store with the default sizes, whose background jobs run only when the test runs them.
pub struct Stepped {
    pub store: Store,
    pub scheduler: ManualScheduler,
    jobs_run: bool,
}

/// The jobs run after this many puts.
const PUTS_BETWEEN_JOBS: u64 = 50;

impl Stepped {
    /// A store whose jobs run often enough.
    pub fn open(disk: &SimDisk) -> Self {
        Self::open_with(disk, true)
    }

    /// A store whose jobs do not run by themselves. So memory must not be bounded.
    pub fn open_without_jobs(disk: &SimDisk) -> Self {
        Self::open_with(disk, false)
    }

    fn open_with(disk: &SimDisk, jobs_run: bool) -> Self {
        let scheduler = ManualScheduler::new();
        let defaults = Options::default();
        let log = kv_store::LogOptions { scheduler: Arc::new(scheduler.clone()), ..defaults.log };
        let thresholds = if jobs_run { defaults.store.wait_thresholds } else { u32::MAX };
        let store = StoreOptions {
            scheduler: Arc::new(scheduler.clone()),
            slow_thresholds: thresholds,
            wait_thresholds: thresholds,
            ..defaults.store
        };
        let store = Options { store, log, ..Options::default() }.open_in(disk.vfs()).unwrap();
        Self { store, scheduler, jobs_run }
    }

    /// Puts keys of a collection, in turn, each time with another value of that length.
    pub fn put(&self, puts: u64, keys: u64, value_len: usize, durability: Durability) {
        let collection = self.store.collection("c").unwrap().with_durability(durability);
        for n in 0..puts {
            let mut value = vec![0; value_len.max(8)];
            value[..8].copy_from_slice(&n.to_be_bytes());
            if let Err(error) = collection.put((n % keys).to_be_bytes(), value) {
                panic!("put {n}: {}; {}", error.chain(), self.store.stats());
            }
            if self.jobs_run && n.is_multiple_of(PUTS_BETWEEN_JOBS) {
                self.scheduler.run_woken();
            }
        }
    }
}

/// How many bytes the segments of the log take.
pub fn log_bytes(disk: &SimDisk) -> u64 {
    disk.file_bytes().into_iter().filter(|(path, _)| path.ends_with(".wal")).map(|(_, bytes)| bytes).sum()
}
