//! Puts of new keys, one at a time, into a new database.

use super::{Bench, Scenario, USUAL, VALUE_BYTES, get};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Level, Result, Unsupported},
    measure::Latencies,
    workloads::Metric,
};

pub const DISK_1: Scenario = Scenario {
    name: "put-disk-1",
    workloads: &["put-disk-1"],
    steps: &[|bench| put(bench, "put-disk-1", Level::Disk, 1)],
    ..USUAL
};
pub const DISK_8: Scenario = Scenario {
    name: "put-disk-8",
    workloads: &["put-disk-8"],
    steps: &[|bench| put(bench, "put-disk-8", Level::Disk, 8)],
    ..USUAL
};
pub const DISK_64: Scenario = Scenario {
    name: "put-disk-64",
    workloads: &["put-disk-64"],
    steps: &[|bench| put(bench, "put-disk-64", Level::Disk, 64)],
    ..USUAL
};
pub const PROCESS_1: Scenario = Scenario {
    name: "put-process-1",
    workloads: &["put-process-1"],
    steps: &[|bench| put(bench, "put-process-1", Level::Process, 1)],
    ..USUAL
};
pub const PROCESS_2: Scenario = Scenario {
    name: "put-process-2",
    workloads: &["put-process-2"],
    steps: &[|bench| put(bench, "put-process-2", Level::Process, 2)],
    ..USUAL
};

fn put(bench: &mut Bench<'_>, workload: &str, level: Level, threads: u64) -> Result<Option<Box<dyn Database>>> {
    if bench.engine.promise(level).is_none() {
        return Ok(None);
    }
    let database = bench.engine.open(&bench.directory, level)?;
    let values = Values::new(VALUE_BYTES);
    // A durable put takes longer than a hundred readings of the clock, so each one can be timed.
    let latencies = if level == Level::Disk { Latencies::Each } else { Latencies::Off };
    bench.measure(workload, |bench| {
        let work = bench.work(&*database, bench.options(threads, latencies), |worker| {
            let index = worker.done * threads + worker.thread;
            worker.session.put(&key(index), values.of(index))
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

/// Checks that the first put is there.
fn is_there(database: &dyn Database) -> Result {
    match get(&mut *database.session()?, &key(0), true) {
        Err(error) if error.is::<Unsupported>() => Ok(()), // a log finds no keys
        got => got,
    }
}
