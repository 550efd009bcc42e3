//! Times threads, and reads how much memory and disk processes use.

use std::{
    fs, hint,
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

/// The state of one working thread.
pub struct Worker<'a> {
    /// The thread's own session.
    pub session: Box<dyn Session + 'a>,
    /// The thread's number.
    pub thread: u64,
    /// How many operations the thread has done.
    pub done: u64,
    /// The thread's random numbers, the same for the same seed.
    pub random: SmallRng,
    /// A word of what the last operation read, from which a dependent operation makes its key.
    pub answer: u64,
}

/// The work of all threads together.
pub struct Work {
    /// How many operations they did.
    pub operations: u64,
    /// From the start of the first thread to the end of the last.
    pub elapsed: Duration,
    /// The latencies of the operations in nanoseconds, if each was timed.
    pub latencies: Histogram<u64>,
}

impl Work {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64()
    }
}

/// Whether each operation is timed, which costs one reading of the clock per operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latencies {
    /// Each operation is timed.
    Each,
    /// Only the whole measurement is timed.
    Off,
}

/// How threads work.
#[derive(Clone, Copy, Debug)]
pub struct WorkOptions {
    /// The number of threads.
    pub threads: u64,
    /// The seed of their random numbers.
    pub seed: u64,
    /// How long they work before the measurement starts.
    pub warm_up: Duration,
    /// Whether each operation is timed.
    pub latencies: Latencies,
    /// When the next operation of a thread starts.
    pub pace: Pace,
}

/// When the next operation of a thread starts. Anything but [`Highest`](Pace::Highest) needs
/// [`Latencies::Each`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// When the one before it has ended.
    Highest,
    /// At least this long after the start of the one before it. The thread does not sleep
    /// meanwhile. Time that was lost is not made up for.
    Spinning(Duration),
    /// On average this long after the start of the one before it. The thread sleeps meanwhile. Time
    /// that was lost is made up for: an operation that starts late because of the one before it
    /// counts as started when it was due, so that a stall shows in all of them.
    Sleeping(Duration),
}

/// Threads repeat `operation` until `until` returns. `until` is called when all threads are ready.
/// Each thread does at least one operation.
///
/// # Errors
/// The error of `until`, or the first error of a thread.
pub fn work(
    database: &dyn Database,
    options: WorkOptions,
    until: impl FnOnce() -> Result,
    operation: impl Fn(&mut Worker<'_>) -> Result + Sync,
) -> Result<Work> {
    let (ready, stop) = (Barrier::new(options.threads as usize + 1), AtomicBool::new(false));
    let (ready, stop, operation) = (&ready, &stop, &operation);
    thread::scope(|scope| {
        let spawned: Vec<_> = (0..options.threads)
            .map(|thread| {
                scope.spawn(move || {
                    let worker = warm_worker(database, options, thread, operation);
                    ready.wait();
                    let part = worker.and_then(|mut worker| repeat(&mut worker, stop, options, operation));
                    stop.store(true, Ordering::Relaxed); // after a failure the others can stop
                    part
                })
            })
            .collect();
        ready.wait();
        let waited = until();
        stop.store(true, Ordering::Relaxed);
        let parts: Vec<_> = spawned.into_iter().map(ScopedJoinHandle::join).collect();
        waited?;
        let mut together = ThreadWork { operations: 0, start: Instant::now(), end: None, latencies: histogram()? };
        for part in parts {
            together.add(part.map_err(|_| "a measuring thread panicked")??)?;
        }
        let elapsed = together.end.map_or(Duration::ZERO, |end| end - together.start);
        Ok(Work { operations: together.operations, elapsed, latencies: together.latencies })
    })
}

fn warm_worker<'a>(
    database: &'a dyn Database,
    options: WorkOptions,
    thread: u64,
    operation: impl Fn(&mut Worker<'_>) -> Result,
) -> Result<Worker<'a>> {
    let random = SmallRng::seed_from_u64(options.seed ^ (thread << 32));
    let mut worker = Worker { session: database.session()?, thread, done: 0, random, answer: 0 };
    let start = Instant::now();
    while start.elapsed() < options.warm_up {
        operation(&mut worker)?;
        worker.done += 1;
    }
    Ok(worker)
}

/// The work of one thread.
struct ThreadWork {
    operations: u64,
    start: Instant,
    end: Option<Instant>,
    latencies: Histogram<u64>,
}

impl ThreadWork {
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
    WorkOptions { latencies, pace, .. }: WorkOptions,
    operation: impl Fn(&mut Worker<'_>) -> Result,
) -> Result<ThreadWork> {
    let (mut histogram, warm) = (histogram()?, worker.done);
    let start = Instant::now();
    let (mut last, mut due) = (start, start);
    loop {
        operation(worker)?;
        worker.done += 1;
        if latencies == Latencies::Each {
            let now = Instant::now();
            histogram.saturating_record((now - last).as_nanos() as u64);
            last = match pace {
                Pace::Highest => now,
                Pace::Spinning(interval) => wait_until(last + interval, now),
                Pace::Sleeping(interval) => {
                    due += interval;
                    if due > now { sleep_until(due, now) } else { due }
                }
            };
        }
        if stop.load(Ordering::Relaxed) {
            let end = Some(Instant::now());
            return Ok(ThreadWork { operations: worker.done - warm, start, end, latencies: histogram });
        }
    }
}

/// Returns the time when it is `due`, or `now` if that has passed.
fn wait_until(due: Instant, mut now: Instant) -> Instant {
    while now < due {
        hint::spin_loop();
        now = Instant::now();
    }
    now
}

/// Returns the time when the thread is awake again.
fn sleep_until(due: Instant, now: Instant) -> Instant {
    thread::sleep(due - now);
    Instant::now()
}

/// A histogram of latencies up to one minute, with three significant digits.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// How much memory processes use, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Memory that is not backed by a file.
    pub anonymous: u64,
    /// Memory that maps files.
    pub mapped: u64,
}

impl Memory {
    /// The memory of this process and of the database's processes. A page that these processes
    /// share, for instance after a fork, is counted once in total.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn of(database: Option<&dyn Database>) -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let own =
            |word| number_after(&status, word).map(|kib| 1024 * kib).ok_or("no resident memory in /proc/self/status");
        let mut memory = Self { anonymous: own("RssAnon:")?, mapped: own("RssFile:")? + own("RssShmem:")? };
        for process in database.map(Database::processes).unwrap_or_default() {
            let parts = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
            if parts.is_empty() {
                continue; // the process has ended
            }
            let bytes = |word| number_after(&parts, word).map(|kib| 1024 * kib).ok_or("no such line in smaps_rollup");
            memory.anonymous += bytes("Pss_Anon:")?;
            memory.mapped += bytes("Pss_File:")? + bytes("Pss_Shmem:")?;
        }
        Ok(memory)
    }
}

/// Waits until this process and the database's processes are idle, so that background work after a
/// load does not count in the next measurement. It gives up after [`SETTLE_TIME_MAX`].
pub fn settle(database: &dyn Database) {
    let (start, mut last, mut idle) = (Instant::now(), processor_ticks(database), 0);
    while idle < IDLE_INTERVALS && start.elapsed() < SETTLE_TIME_MAX {
        thread::sleep(INTERVAL);
        let now = processor_ticks(database);
        idle = if now.saturating_sub(last) <= IDLE_TICKS_MAX { idle + 1 } else { 0 };
        last = now;
    }
}

/// Processes are idle if they use at most this many ticks (of 10 ms) in an interval.
const IDLE_TICKS_MAX: u64 = 1;
/// How many idle intervals in a row are needed.
const IDLE_INTERVALS: u32 = 3;
const INTERVAL: Duration = Duration::from_millis(50);
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);

/// The processor time used so far, in ticks.
fn processor_ticks(database: &dyn Database) -> u64 {
    let others = database.processes().into_iter().map(|process| process.to_string());
    let mut ticks = 0;
    for process in ["self".to_owned()].into_iter().chain(others) {
        // Empty if the process has ended.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name may contain spaces. After it, fields 12 and 13 are the times in user and system
        // mode.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        ticks += fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    }
    ticks
}

/// How many bytes this process and the database's processes have written to the disk, or have
/// dirtied and must still write. What an ended process wrote counts for its parent.
///
/// # Errors
/// If /proc cannot be read.
pub fn bytes_written(database: &dyn Database) -> Result<u64> {
    let of = |io: &str| number_after(io, "write_bytes:").ok_or("no write_bytes in /proc");
    let mut written = of(&fs::read_to_string("/proc/self/io")?)?;
    for process in database.processes() {
        match fs::read_to_string(format!("/proc/{process}/io")) {
            Err(error) if error.kind() == ErrorKind::NotFound => {} // the process has ended
            io => written += of(&io?)?,
        }
    }
    Ok(written)
}

/// The number after a word in a file of /proc.
pub fn number_after(text: &str, word: &str) -> Option<u64> {
    text.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

/// The disk space that the files below a directory take, in bytes.
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
