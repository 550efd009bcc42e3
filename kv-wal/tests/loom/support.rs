//! What the tests share: a log on a medium, and the search.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use kv_core::{
    Durability, Log, Lsn, Result,
    background::{Job, Scheduler, Wake},
};
use kv_wal::{Options, SegmentedLog};

use crate::medium::Medium;

/// Runs `model` in every order of its threads' steps, or every one with at most so many preemptions.
#[expect(clippy::print_stdout, reason = "how much was explored is a result")]
pub fn explore(name: &str, preemptions_max: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    let start = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = preemptions_max;
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let bound = preemptions_max.map_or_else(|| "exhaustive".to_owned(), |max| format!("at most {max} preemptions"));
    let (orders, seconds) = (orders.load(Ordering::Relaxed), start.elapsed().as_secs_f64());
    println!("{name}: {orders} executions, {bound}, {seconds:.1} s");
}

/// A scheduler that runs nothing: what needs a spare prepares it.
pub struct Idle;

struct Nobody;

impl Scheduler for Idle {
    fn spawn(&self, _name: &'static str, _job: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(Nobody))
    }
}

impl Wake for Nobody {
    fn wake(&self) {}
}

/// A log and its medium.
#[derive(Clone)]
pub struct Subject {
    pub log: Arc<SegmentedLog>,
    pub medium: Arc<Medium>,
}

impl Subject {
    /// With one durable record, at position 1, in a segment that has room for all that a test appends.
    pub fn new() -> Self {
        Self::with_segments_of(64 << 10)
    }

    pub fn with_segments_of(bytes: u64) -> Self {
        Self::with_scheduler(bytes, Arc::new(Idle))
    }

    pub fn with_scheduler(bytes: u64, scheduler: Arc<dyn Scheduler>) -> Self {
        let medium = Medium::new();
        let options = Options { segment_bytes_min: bytes, segment_bytes_max: bytes, scheduler, ..Options::default() };
        let log = SegmentedLog::open(medium.clone(), options).unwrap();
        let subject = Self { log: Arc::new(log), medium };
        subject.append_and_sync("first").unwrap();
        subject
    }

    /// Appends a record with [`Durability::Disk`], waits until it is durable, and checks that it is.
    pub fn append_and_sync(&self, record: &str) -> Result<Lsn> {
        let lsn = self.log.append(record.as_bytes(), Durability::Disk)?;
        self.sync(lsn, record).map(|()| lsn)
    }

    /// Waits until the record at `lsn` is durable, and checks that it is.
    pub fn sync(&self, lsn: Lsn, record: &str) -> Result<()> {
        let durable = self.log.sync(lsn)?;
        assert!(durable >= lsn, "acknowledged up to {durable}, and {lsn} was asked for");
        assert!(self.medium.has_synced(record.as_bytes()), "{record} is acknowledged and not durable");
        Ok(())
    }

    /// Runs it in a thread of the model.
    pub fn spawn<T: 'static>(&self, run: impl FnOnce(&Self) -> T + 'static) -> loom::thread::JoinHandle<T> {
        let subject = self.clone();
        loom::thread::spawn(move || run(&subject))
    }
}
