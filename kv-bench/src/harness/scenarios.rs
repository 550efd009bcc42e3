//! The scenarios measure the workloads. Workloads that can share a loaded database form one
//! scenario. A child process runs it for one engine. So the database is loaded once, and the memory
//! is that of one engine.

mod endless;
mod gets;
mod large;
mod limited;
mod loaded;
mod open;
mod parts;
mod put;
mod put_rates;
mod queue;
mod scans;
mod snapshots;
mod transact;
mod values;
mod writers;
mod written;

use std::{fs, hint::black_box, path::PathBuf, thread, time::Duration};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::{BATCH_ENTRIES, VALUE_BYTES};

use super::{
    data::{Values, key, touch},
    engine::{Database, Engine, Level, Promise, Result, Session, Unsupported},
    measure::{Latencies, Pace, Work, WorkOptions, Worker, settle, work},
    workloads::{Metric, Workload},
};

/// Bytes of the key and the value of one entry.
const ENTRY_BYTES: u64 = 16 + VALUE_BYTES as u64;

/// Workloads that are measured one after another.
pub struct Scenario {
    /// The name in the run's file.
    pub name: &'static str,
    /// The names of the workloads that it measures.
    pub workloads: &'static [&'static str],
    /// Its steps, each of which runs in a child process of its own.
    pub steps: &'static [Step],
    /// Which engines it measures.
    pub takes: fn(&dyn Engine) -> bool,
    /// Whether it is measured only once, whatever the number of repetitions.
    pub once: bool,
    /// How many entries its stores hold.
    pub size: Size,
}

/// How many entries the stores of a scenario hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// [`Scale::entries`].
    Usual,
    /// [`Scale::large_entries`].
    Large,
    /// Ten times [`Scale::large_entries`].
    Huge,
}

/// A step of a scenario. If a step returns a database, that stays open until the process is killed.
pub type Step = fn(&mut Bench<'_>) -> Result<Option<Box<dyn Database>>>;

/// All scenarios, in the order in which they run.
pub const SCENARIOS: &[Scenario] = &[
    put::DISK_1,
    put::DISK_8,
    put::DISK_64,
    put::DISK_2,
    put::DISK_4,
    put::DISK_16,
    put::DISK_32,
    put_rates::PUT_RATES,
    put::PROCESS_1,
    put::PROCESS_2,
    put::BUSY_1,
    put::BUSY_2,
    put::SUSTAINED,
    transact::DISK_8,
    loaded::LOADED,
    scans::SCANS,
    queue::QUEUE,
    snapshots::SNAPSHOTS,
    parts::PARTS,
    open::OPEN,
    written::WRITTEN,
    writers::WRITERS,
    writers::PACED,
    endless::LOADING,
    values::KIB_1,
    values::KIB_64,
    large::GET,
    parts::LARGE,
    open::LARGE,
    limited::LIMITED,
    open::HUGE,
];

/// What most scenarios have in common.
const USUAL: Scenario =
    Scenario { name: "", workloads: &[], steps: &[], takes: |_| true, once: false, size: Size::Usual };

/// The scenario of that name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

/// How much is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// How many entries the stores hold.
    pub entries: u64,
    /// How many entries the large stores hold; 0 leaves those scenarios out.
    pub large_entries: u64,
    /// The duration of each measurement that has no end of its own, in seconds.
    pub seconds: f64,
    /// How often everything is measured.
    pub repetitions: u64,
}

impl Scale {
    /// The number of entries of that size.
    pub fn entries(&self, size: Size) -> u64 {
        match size {
            Size::Usual => self.entries,
            Size::Large => self.large_entries,
            Size::Huge => self.large_entries.saturating_mul(10),
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The figures.
    pub samples: Vec<Sample>,
    /// Latency curves by workload: fractions of the operations, and microseconds.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
    /// Workloads that could not be measured, and why.
    pub failures: Vec<(String, String)>,
}

impl Findings {
    /// Adds what a further step measured.
    pub fn append(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.curves.extend(other.curves);
        self.failures.extend(other.failures);
    }
}

/// A figure of one repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The workload's name.
    pub workload: String,
    /// What was measured.
    pub metric: Metric,
    /// The value, in the metric's unit.
    pub value: f64,
}

/// An engine under measurement, and its figures so far.
pub struct Bench<'a> {
    /// The engine.
    pub engine: &'a dyn Engine,
    /// The engine's own directory, empty before the first step of the scenario.
    pub directory: PathBuf,
    /// How much is measured.
    pub scale: Scale,
    /// The number of entries. They have the indexes below this number.
    pub entries: u64,
    /// The seed of random numbers, which differs between repetitions.
    pub seed: u64,
    /// The names of the workloads that are wanted.
    pub wanted: Vec<String>,
    /// A cgroup in which a process of limited memory may be put.
    pub cgroup: Option<PathBuf>,
    /// The figures so far.
    pub found: Findings,
}

impl Bench<'_> {
    /// Opens the engine's database for `level`, or for the other level if the engine does not have
    /// it.
    fn open(&self, level: Level) -> Result<Box<dyn Database>> {
        self.engine.open(&self.directory, level_of(self.engine, level))
    }

    /// Uses a directory of that name within its own.
    fn enter(&mut self, name: &str) -> Result {
        self.directory.push(name);
        fs::create_dir_all(&self.directory)?;
        Ok(())
    }

    /// Measures a workload if it is wanted. A call that the engine lacks is left out. A failure is
    /// noted, and the scenario goes on.
    fn measure(&mut self, workload: &str, run: impl FnOnce(&mut Self) -> Result) {
        if self.wants(workload) {
            let done = run(self);
            self.note(workload, done);
        }
    }

    /// Notes a failure, unless the engine lacks a call.
    fn note(&mut self, workload: &str, done: Result) {
        if let Err(error) = done
            && !error.is::<Unsupported>()
        {
            self.found.failures.push((workload.to_owned(), error.to_string()));
        }
    }

    /// Makes a checkpoint, if the engine has checkpoints.
    fn checkpoint(&self, database: &dyn Database) -> Result {
        match database.checkpoint() {
            Err(error) if error.is::<Unsupported>() => Ok(()),
            done => done,
        }
    }

    fn wants_any(&self, workloads: &[&str]) -> bool {
        workloads.iter().any(|workload| self.wants(workload))
    }

    fn wants(&self, workload: &str) -> bool {
        self.wanted.iter().any(|wanted| wanted == workload)
    }

    fn sample(&mut self, workload: &str, metric: Metric, value: f64) {
        if !self.wants(workload) {
            return;
        }
        self.found.samples.push(Sample { workload: workload.to_owned(), metric, value });
    }

    /// Measures the rate of threads for the usual time, after a warm-up of a fifth of it.
    fn rate(
        &mut self,
        workload: &str,
        database: &dyn Database,
        threads: u64,
        operation: impl Fn(&mut Worker<'_>) -> Result + Sync,
    ) {
        self.measure(workload, |bench| {
            let options = WorkOptions { warm_up: bench.time() / 5, ..bench.options(threads, Latencies::Off) };
            let work = bench.work(database, options, operation)?;
            bench.sample(workload, Metric::Rate, work.rate());
            Ok(())
        });
    }

    /// Settings for threads, without a warm-up.
    fn options(&self, threads: u64, latencies: Latencies) -> WorkOptions {
        WorkOptions { threads, seed: self.seed, warm_up: Duration::ZERO, latencies, pace: Pace::Highest }
    }

    /// The duration of a measurement that has no end of its own.
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.scale.seconds)
    }

    /// Threads repeat `operation` for the usual time.
    fn work(
        &self,
        database: &dyn Database,
        options: WorkOptions,
        operation: impl Fn(&mut Worker<'_>) -> Result + Sync,
    ) -> Result<Work> {
        let until = || {
            thread::sleep(self.time());
            Ok(())
        };
        work(database, options, until, operation)
    }

    /// Records the percentiles and the curve of operations whose latencies were taken.
    fn latencies(&mut self, workload: &str, work: &Work) {
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
        for (metric, quantile) in [
            (Metric::P50, 0.5),
            (Metric::P99, 0.99),
            (Metric::P999, 0.999),
            (Metric::P9999, 0.9999),
            (Metric::Max, 1.0),
        ] {
            self.sample(workload, metric, microseconds(work.latencies.value_at_quantile(quantile)));
        }
        let mut curve: Vec<(f64, f64)> = Vec::new();
        for quantile in QUANTILES.iter().filter(|quantile| work.operations as f64 * (1.0 - **quantile) >= 1.0) {
            curve.push((*quantile, microseconds(work.latencies.value_at_quantile(*quantile))));
        }
        self.found.curves.push((workload.to_owned(), curve));
    }

    /// Overwrites every tenth entry, and returns how many there were: 0 if the engine has no puts.
    fn overwrite_tenth(&self, database: &dyn Database, values: &Values) -> Result<u64> {
        let mut session = database.session()?;
        for index in (0..self.entries).step_by(10) {
            match session.put(&key(index), values.of(!index)) {
                Err(error) if error.is::<Unsupported>() => return Ok(0),
                put => put?,
            }
        }
        Ok(self.entries.div_ceil(10))
    }

    /// Loads, and waits until the engine is idle.
    fn load_and_settle(&self, database: &dyn Database, values: &Values) -> Result {
        self.load(database, values)?;
        settle(database);
        Ok(())
    }

    /// Puts all entries, in batches and in random order of the keys, and syncs.
    fn load(&self, database: &dyn Database, values: &Values) -> Result {
        self.load_in_order(database, values, 0..self.entries)
    }

    /// Puts the entries of these indexes, in batches, and syncs.
    fn load_in_order(&self, database: &dyn Database, values: &Values, indexes: impl Iterator<Item = u64>) -> Result {
        self.load_entries(database, indexes.map(|index| (key(index), values.of(index))))
    }

    /// Puts these entries, in batches, and syncs.
    fn load_entries<'a>(
        &self,
        database: &dyn Database,
        mut entries: impl Iterator<Item = ([u8; 16], &'a [u8])>,
    ) -> Result {
        let mut session = database.session()?;
        loop {
            let entries: Vec<_> = entries.by_ref().take(BATCH_ENTRIES as usize).collect();
            if entries.is_empty() {
                return database.sync();
            }
            let entries: Vec<(&[u8], &[u8])> = entries.iter().map(|(key, value)| (&key[..], *value)).collect();
            session.put_batch(&entries)?;
        }
    }
}

/// The fractions of operations at which a latency curve has points.
const QUANTILES: &[f64] = &[
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 0.992, 0.994, 0.996, 0.998, 0.999,
    0.9992, 0.9994, 0.9996, 0.9998, 0.9999, 0.99992, 0.99994, 0.99996, 0.99998, 0.99999,
];

/// The level for which a database is opened if a scenario asks for `level`.
fn level_of(engine: &dyn Engine, level: Level) -> Level {
    let other = match level {
        Level::Disk => Level::Process,
        Level::Process => Level::Disk,
    };
    if engine.promise(level).is_some() { level } else { other }
}

/// The promise of the database that a workload uses.
pub fn promise(engine: &dyn Engine, workload: &Workload) -> Option<Promise> {
    engine.promise(level_of(engine, workload.level))
}

/// Gets the value of a key, and returns a word of it, or 0. Fails unless the key is present exactly
/// if `expected`.
fn get(session: &mut dyn Session, key: &[u8], expected: bool) -> Result<u64> {
    let mut answer = None;
    session.get(key, &mut |value| answer = Some(black_box(touch(value))))?;
    match answer.is_some() {
        found if found == expected => Ok(answer.unwrap_or_default()),
        found => Err(format!("the key {key:02x?} was found: {found}").into()),
    }
}

/// A random index below `end`.
fn uniform(worker: &mut Worker<'_>, end: u64) -> u64 {
    worker.random.random_range(0..end)
}

/// A random index below `end` that cannot be known before the last answer.
fn dependent(worker: &mut Worker<'_>, end: u64) -> u64 {
    let random = worker.random.random::<u64>() ^ worker.answer;
    ((u128::from(random) * u128::from(end)) >> 64) as u64
}
