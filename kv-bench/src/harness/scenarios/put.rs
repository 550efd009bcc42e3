//! Puts of new keys, one at a time, into a new database.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

use super::{Bench, Scenario, USUAL, VALUE_BYTES, get};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Level, Result, Role, Unsupported},
    measure::{Latencies, Worker, work},
    workloads::Metric,
};

/// The scenarios of [`put`].
macro_rules! puts {
    ($($scenario:ident $name:literal $level:ident $threads:literal;)*) => {$(
        pub const $scenario: Scenario = Scenario {
            name: $name,
            workloads: &[$name],
            steps: &[|bench| put(bench, $name, Level::$level, $threads)],
            ..USUAL
        };
    )*};
}

puts! {
    DISK_1 "put-disk-1" Disk 1;
    DISK_2 "put-disk-2" Disk 2;
    DISK_4 "put-disk-4" Disk 4;
    DISK_8 "put-disk-8" Disk 8;
    DISK_16 "put-disk-16" Disk 16;
    DISK_32 "put-disk-32" Disk 32;
    DISK_64 "put-disk-64" Disk 64;
    PROCESS_1 "put-process-1" Process 1;
    PROCESS_2 "put-process-2" Process 2;
}

pub const BUSY_1: Scenario = Scenario {
    name: "put-process-busy-1",
    workloads: &["put-process-busy-1"],
    steps: &[|bench| put_beside(bench, "put-process-busy-1", Level::Process, 1, BUSY)],
    ..USUAL
};
pub const BUSY_2: Scenario = Scenario {
    name: "put-process-busy-2",
    workloads: &["put-process-busy-2"],
    steps: &[|bench| put_beside(bench, "put-process-busy-2", Level::Process, 2, BUSY)],
    ..USUAL
};
pub const SUSTAINED: Scenario = Scenario {
    name: "put-process-sustained",
    workloads: &["put-process-sustained"],
    steps: &[sustained],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Peer),
    once: true,
    ..USUAL
};

/// What a busy thread does before each put takes as long as this.
const BUSY: Duration = Duration::from_nanos(500);
/// How many times the usual time sustained puts take.
const SUSTAINED_TIMES: u32 = 60;

fn put(bench: &mut Bench<'_>, workload: &str, level: Level, threads: u64) -> Result<Option<Box<dyn Database>>> {
    put_beside(bench, workload, level, threads, Duration::ZERO)
}

/// Puts by threads that are busy for that long before each put.
fn put_beside(
    bench: &mut Bench<'_>,
    workload: &str,
    level: Level,
    threads: u64,
    busy: Duration,
) -> Result<Option<Box<dyn Database>>> {
    if bench.engine.promise(level).is_none() {
        return Ok(None);
    }
    let database = bench.engine.open(&bench.directory, level)?;
    let values = Values::new(VALUE_BYTES);
    // A durable put takes longer than a hundred readings of the clock, so each one can be timed.
    let latencies = if level == Level::Disk { Latencies::Each } else { Latencies::Off };
    bench.measure(workload, |bench| {
        let work = bench.work(&*database, bench.options(threads, latencies), |worker| {
            spin(busy);
            put_next(worker, &values, 0, threads)
        })?;
        is_there(&*database)?;
        bench.sample(workload, Metric::Rate, work.rate());
        if latencies == Latencies::Each {
            bench.latencies(workload, &work);
        }
        Ok(())
    });
    database.close()?;
    Ok(None)
}

fn sustained(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let (workload, level) = ("put-process-sustained", Level::Process);
    if bench.engine.promise(level).is_none() {
        return Ok(None);
    }
    let database = bench.engine.open(&bench.directory, level)?;
    let values = Values::new(VALUE_BYTES);
    bench.measure(workload, |bench| {
        let until = || {
            thread::sleep(bench.time() * SUSTAINED_TIMES);
            Ok(())
        };
        let put = |worker: &mut Worker<'_>| put_next(worker, &values, 0, 1);
        let work = work(&*database, bench.options(1, Latencies::Each), until, put)?;
        is_there(&*database)?;
        bench.sample(workload, Metric::Rate, work.rate());
        bench.latencies(workload, &work);
        Ok(())
    });
    database.close()?;
    Ok(None)
}

/// Puts the next new key of a thread. The keys of all threads begin with the one at `first`.
pub(super) fn put_next(worker: &mut Worker<'_>, values: &Values, first: u64, threads: u64) -> Result {
    let index = first + worker.done * threads + worker.thread;
    worker.session.put(&key(index), values.of(index))
}

/// Keeps the processor busy.
fn spin(time: Duration) {
    if !time.is_zero() {
        let start = Instant::now();
        while start.elapsed() < time {
            hint::spin_loop();
        }
    }
}

/// Checks that the first put is there.
fn is_there(database: &dyn Database) -> Result {
    match get(&mut *database.session()?, &key(0), true) {
        Err(error) if error.is::<Unsupported>() => Ok(()), // a log finds no keys
        got => got.map(drop),
    }
}
