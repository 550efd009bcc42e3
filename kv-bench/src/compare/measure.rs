//! Timing threads, and reading what processes use.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rand::{SeedableRng, rngs::SmallRng};

use super::engine::{Database, Result, Session};

/// What one thread needs to make its operations.
pub struct Worker<'a> {
    /// The thread's own calls.
    pub session: Box<dyn Session + 'a>,
    /// The thread's number.
    pub thread: u64,
    /// How many operations it has done.
    pub done: u64,
    /// Its own random numbers, the same in every run of that seed.
    pub random: SmallRng,
}

/// What threads did together.
pub struct Work {
    /// How many operations, by all of them.
    pub operations: u64,
    /// From when the first began until the last was done.
    pub elapsed: Duration,
    /// How long each took, in nanoseconds, if that was asked for.
    pub latencies: Histogram<u64>,
}

impl Work {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64()
    }
}

/// Whether the time of each operation is taken: that costs a reading of the clock each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latencies {
    /// They are taken.
    Each,
    /// Only all together are timed.
    Off,
}

/// How threads work.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// How many there are.
    pub threads: u64,
    /// What their random numbers are made from.
    pub seed: u64,
    /// For how long they do the same before it counts.
    pub warm_up: Duration,
    /// Whether each operation is timed.
    pub latencies: Latencies,
}

/// Has threads repeat `operation` until `until` returns, which is called when all are ready. Each does it once at least.
///
/// # Errors
/// The first error of any of them.
pub fn work(
    database: &dyn Database,
    how: How,
    until: impl FnOnce() -> Result,
    operation: impl Fn(&mut Worker<'_>) -> Result + Sync,
) -> Result<Work> {
    let (ready, stop) = (Barrier::new(how.threads as usize + 1), AtomicBool::new(false));
    let (ready, stop, operation) = (&ready, &stop, &operation);
    thread::scope(|scope| {
        let spawned: Vec<_> = (0..how.threads)
            .map(|thread| {
                scope.spawn(move || {
                    let worker = warm_worker(database, how, thread, operation);
                    ready.wait();
                    let part = worker.and_then(|mut worker| repeat(&mut worker, stop, how.latencies, operation));
                    stop.store(true, Ordering::Relaxed); // where one fails, the others need not go on
                    part
                })
            })
            .collect();
        ready.wait();
        let waited = until();
        stop.store(true, Ordering::Relaxed);
        let parts: Vec<_> = spawned.into_iter().map(ScopedJoinHandle::join).collect();
        waited?;
        let mut together = Part { operations: 0, start: Instant::now(), end: None, latencies: histogram()? };
        for part in parts {
            together.add(part.map_err(|_| "a thread of the engine's user panicked")??)?;
        }
        let elapsed = together.end.map_or(Duration::ZERO, |end| end - together.start);
        Ok(Work { operations: together.operations, elapsed, latencies: together.latencies })
    })
}

fn warm_worker<'a>(
    database: &'a dyn Database,
    how: How,
    thread: u64,
    operation: impl Fn(&mut Worker<'_>) -> Result,
) -> Result<Worker<'a>> {
    let random = SmallRng::seed_from_u64(how.seed ^ (thread << 32));
    let mut worker = Worker { session: database.session()?, thread, done: 0, random };
    let start = Instant::now();
    while start.elapsed() < how.warm_up {
        operation(&mut worker)?;
        worker.done += 1;
    }
    Ok(worker)
}

/// What one thread did.
struct Part {
    operations: u64,
    start: Instant,
    end: Option<Instant>,
    latencies: Histogram<u64>,
}

impl Part {
    fn add(&mut self, other: Self) -> Result {
        self.operations += other.operations;
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        Ok(self.latencies.add(other.latencies)?)
    }
}

fn repeat(
    worker: &mut Worker<'_>,
    stop: &AtomicBool,
    latencies: Latencies,
    operation: impl Fn(&mut Worker<'_>) -> Result,
) -> Result<Part> {
    let (mut histogram, warm) = (histogram()?, worker.done);
    let start = Instant::now();
    let mut last = start;
    loop {
        operation(worker)?;
        worker.done += 1;
        if latencies == Latencies::Each {
            let now = Instant::now();
            histogram.saturating_record((now - last).as_nanos() as u64);
            last = now;
        }
        if stop.load(Ordering::Relaxed) {
            let end = Some(Instant::now());
            return Ok(Part { operations: worker.done - warm, start, end, latencies: histogram });
        }
    }
}

/// To a minute, with three digits.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// What processes use of memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What belongs to no file.
    pub anonymous: u64,
    /// What maps files.
    pub mapped: u64,
}

impl Memory {
    /// That of this process and of those that the database has. Of what those share, such as the memory of a forked process, each has its part.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn of(database: Option<&dyn Database>) -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let own =
            |word| number_after(&status, word).map(|kib| 1024 * kib).ok_or("no resident memory in /proc/self/status");
        let mut memory = Self { anonymous: own("RssAnon:")?, mapped: own("RssFile:")? + own("RssShmem:")? };
        for process in database.map(Database::processes).unwrap_or_default() {
            let parts = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
            if parts.is_empty() {
                continue; // it has ended
            }
            let bytes = |word| number_after(&parts, word).map(|kib| 1024 * kib).ok_or("no such line in smaps_rollup");
            memory.anonymous += bytes("Pss_Anon:")?;
            memory.mapped += bytes("Pss_File:")? + bytes("Pss_Shmem:")?;
        }
        Ok(memory)
    }
}

/// Waits until this process and those that the database has are at rest: what an engine does in the background after a load is not to be
/// measured with what follows. After a while it waits no longer.
pub fn settle(database: &dyn Database) {
    let (start, mut last, mut rests) = (Instant::now(), processor_ticks(database), 0);
    while rests < RESTS && start.elapsed() < SETTLE_TIME_MAX {
        thread::sleep(REST);
        let now = processor_ticks(database);
        rests = if now.saturating_sub(last) <= REST_TICKS { rests + 1 } else { 0 };
        last = now;
    }
}

/// A process is at rest when it has used no more than so many ticks, of ten milliseconds, in so many intervals one after the other.
const REST_TICKS: u64 = 1;
const RESTS: u32 = 3;
const REST: Duration = Duration::from_millis(50);
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);

/// The processor time that was used so far.
fn processor_ticks(database: &dyn Database) -> u64 {
    let others = database.processes().into_iter().map(|process| process.to_string());
    let mut ticks = 0;
    for process in ["self".to_owned()].into_iter().chain(others) {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default(); // it may have ended
        // After the name, which may have spaces: the 12th and 13th are times in user and in system mode.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        ticks += fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    }
    ticks
}

/// How many bytes this process and those that the database has gave to the disk, or will have to. What an ended process wrote counts
/// for whoever started it.
///
/// # Errors
/// If the system does not tell.
pub fn bytes_written(database: &dyn Database) -> Result<u64> {
    let of = |io: &str| number_after(io, "write_bytes:").ok_or("no write_bytes in /proc");
    let mut written = of(&fs::read_to_string("/proc/self/io")?)?;
    for process in database.processes() {
        match fs::read_to_string(format!("/proc/{process}/io")) {
            Err(error) if error.kind() == ErrorKind::NotFound => {} // it has ended
            io => written += of(&io?)?,
        }
    }
    Ok(written)
}

/// The number after a word in a file of /proc.
pub fn number_after(text: &str, word: &str) -> Option<u64> {
    text.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

/// What the files of a directory, and below, take on disk, in bytes.
///
/// # Errors
/// If the directory cannot be read.
pub fn disk_bytes(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path())?,
            Ok(metadata) => 512 * metadata.blocks(),
            Err(_) => 0, // removed meanwhile
        };
    }
    Ok(bytes)
}
