//! Puts and gets of longer values.

use super::{Bench, Scenario, USUAL, get, uniform};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Level, Result},
    measure::{Latencies, settle},
    workloads::Metric,
};

/// After this many bytes of values, puts start again at the first key.
const BYTES_MAX: u64 = 1 << 30;

pub const KIB_1: Scenario = Scenario {
    name: "values-1k",
    workloads: &["put-1k", "get-1k"],
    steps: &[|bench| put_and_get(bench, 1 << 10, "put-1k", "get-1k")],
    ..USUAL
};
pub const KIB_64: Scenario = Scenario {
    name: "values-64k",
    workloads: &["put-64k", "get-64k"],
    steps: &[|bench| put_and_get(bench, 64 << 10, "put-64k", "get-64k")],
    ..USUAL
};

fn put_and_get(bench: &mut Bench<'_>, bytes: u64, put: &str, gets: &str) -> Result<Option<Box<dyn Database>>> {
    if bench.engine.promise(Level::Process).is_none() {
        return Ok(None);
    }
    let database = bench.engine.open(&bench.directory, Level::Process)?;
    let (values, entries_max) = (Values::new(bytes as usize), BYTES_MAX / bytes);
    let work = bench.work(&*database, bench.options(1, Latencies::Off), |worker| {
        let index = worker.done % entries_max;
        worker.session.put(&key(index), values.of(index))
    })?;
    bench.sample(put, Metric::Rate, work.rate());
    let entries = work.operations.min(entries_max);
    database.sync()?;
    settle(&*database);
    bench.rate(gets, &*database, 1, |worker| {
        let index = uniform(worker, entries);
        get(&mut *worker.session, &key(index), true).map(drop)
    });
    database.close()?;
    Ok(None)
}
