use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use kv_core::{
    Batch, Collection, Durability, Lsn, MemoryCheckpointer, Result, Store, StoreOptions,
    background::{Job, Scheduler, Wake},
};

use crate::log::ModelLog;

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

/// A scheduler that runs nothing.
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

#[derive(Clone)]
pub struct Subject {
    pub store: Store,
    pub all: Collection,
    pub log: Arc<ModelLog>,
}

impl Subject {
    /// With `k` = 1 at position 1.
    pub fn new() -> Self {
        let log = ModelLog::new();
        let options = StoreOptions { scheduler: Arc::new(Idle), ..StoreOptions::default() };
        let store = Store::open(log.clone(), Arc::new(MemoryCheckpointer::new()), options).unwrap();
        let all = store.collection("all").unwrap();
        let subject = Self { store, all, log };
        subject.put(1, Durability::Disk).unwrap();
        subject
    }

    pub fn put(&self, value: u8, durability: Durability) -> Result<()> {
        self.all.with_durability(durability).put("k", [value])
    }

    pub fn get(&self) -> u8 {
        self.all.get("k").unwrap().unwrap()[0]
    }

    pub fn spawn<T: 'static>(&self, run: impl FnOnce(&Self) -> T + 'static) -> loom::thread::JoinHandle<T> {
        let subject = self.clone();
        loom::thread::spawn(move || run(&subject))
    }
}
