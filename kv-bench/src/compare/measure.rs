//! Timing threads, and reading what processes use.

use std::{
    fs,
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
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
    /// From when all were ready until the last was done.
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

/// Has threads repeat `operation` until `until` returns, which is called when all are ready.
///
/// # Errors
/// The first error of any of them.
pub fn work(
    database: &dyn Database,
    threads: u64,
    seed: u64,
    latencies: Latencies,
    until: impl FnOnce() -> Result,
    operation: impl Fn(&mut Worker<'_>) -> Result + Sync,
) -> Result<Work> {
    let (ready, stop) = (Barrier::new(threads as usize + 1), AtomicBool::new(false));
    let (ready, stop, operation) = (&ready, &stop, &operation);
    thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let session = database.session();
                    ready.wait();
                    let random = SmallRng::seed_from_u64(seed ^ (thread << 32));
                    let mut worker = Worker { session: session?, thread, done: 0, random };
                    let latencies = repeat(&mut worker, stop, latencies, operation);
                    stop.store(true, Ordering::Relaxed); // where one fails, the others need not go on
                    latencies.map(|latencies| (worker.done, latencies))
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        let waited = until();
        stop.store(true, Ordering::Relaxed);
        let mut work = Work { operations: 0, elapsed: Duration::ZERO, latencies: histogram()? };
        for thread in spawned {
            let (done, latencies) = thread.join().map_err(|_| "a thread of the engine's user panicked")??;
            work.operations += done;
            work.latencies.add(latencies)?;
        }
        work.elapsed = start.elapsed();
        waited?;
        Ok(work)
    })
}

fn repeat(
    worker: &mut Worker<'_>,
    stop: &AtomicBool,
    latencies: Latencies,
    operation: impl Fn(&mut Worker<'_>) -> Result,
) -> Result<Histogram<u64>> {
    let mut histogram = histogram()?;
    let mut start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        operation(worker)?;
        worker.done += 1;
        if latencies == Latencies::Each {
            let end = Instant::now();
            histogram.saturating_record((end - start).as_nanos() as u64);
            start = end;
        }
    }
    Ok(histogram)
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
            let parts = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default(); // it may have ended
            let bytes = |word| 1024 * number_after(&parts, word).unwrap_or(0);
            memory.anonymous += bytes("Pss_Anon:");
            memory.mapped += bytes("Pss_File:") + bytes("Pss_Shmem:");
        }
        Ok(memory)
    }
}

/// How many bytes this process and those that the database has gave to the disk, or will have to. What an ended process wrote counts
/// for whoever started it.
///
/// # Errors
/// If the system does not tell.
pub fn bytes_written(database: &dyn Database) -> Result<u64> {
    let others = database.processes().into_iter().map(|process| process.to_string());
    let mut written = 0;
    for process in ["self".to_owned()].into_iter().chain(others) {
        let io = fs::read_to_string(format!("/proc/{process}/io"))?;
        written += number_after(&io, "write_bytes:").ok_or("no write_bytes in /proc")?;
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
