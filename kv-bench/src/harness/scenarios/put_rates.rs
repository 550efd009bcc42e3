//! Latencies of durable puts at a part of the highest rate.

use std::time::Duration;

use super::{Bench, Scenario, USUAL, VALUE_BYTES, put::put_next};
use crate::harness::{
    data::Values,
    engine::{Database, Level, Result},
    measure::{Latencies, Pace, WorkOptions, Worker},
    workloads::Metric,
};

const THREADS: u64 = 8;
/// The workloads, and the parts of the highest rate at which they run.
const PARTS: [(&str, f64); 2] = [("put-disk-8-at-50", 0.5), ("put-disk-8-at-90", 0.9)];

pub const PUT_RATES: Scenario =
    Scenario { name: "put-disk-rates", workloads: &[PARTS[0].0, PARTS[1].0], steps: &[puts], ..USUAL };

/// Finds the highest rate first. It varies from hour to hour, and between engines.
fn puts(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    if bench.engine.promise(Level::Disk).is_none() {
        return Ok(None);
    }
    let database = bench.engine.open(&bench.directory, Level::Disk)?;
    let values = Values::new(VALUE_BYTES);
    let put = |first: u64, pace: Pace, bench: &Bench<'_>| {
        let options = WorkOptions { pace, ..bench.options(THREADS, Latencies::Each) };
        bench.work(&*database, options, |worker: &mut Worker<'_>| put_next(worker, &values, first, THREADS))
    };
    let highest = match put(0, Pace::Highest, bench) {
        Ok(work) => work,
        Err(error) => {
            bench.note(PARTS[0].0, Err(error));
            return Ok(None);
        }
    };
    // A thread may have made most of the puts, so each of them may have used as many keys.
    let mut first = THREADS * highest.operations;
    for (workload, part) in PARTS {
        bench.measure(workload, |bench| {
            let interval = Duration::from_secs_f64(THREADS as f64 / (part * highest.rate()));
            let work = put(first, Pace::Sleeping(interval), bench)?;
            first += THREADS * work.operations;
            bench.sample(workload, Metric::Rate, work.rate());
            bench.latencies(workload, &work);
            Ok(())
        });
    }
    database.close()?;
    Ok(None)
}
