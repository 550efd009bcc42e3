//! Opening a loaded database: after a checkpoint and a clean close, and after a kill of the process
//! that had it open.

use std::{fs, time::Instant};

use super::{Bench, Scenario, USUAL, VALUE_BYTES, get};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Engine, Level, Promise, Result, Unsupported},
    workloads::Metric,
};

pub const OPEN: Scenario = Scenario {
    name: "open",
    workloads: &["open-clean", "open-killed"],
    steps: &[
        |bench| fill_and_close(bench, "open-clean"),
        |bench| open(bench, "open-clean"),
        |bench| fill(bench, "open-killed"),
        |bench| open(bench, "open-killed"),
    ],
    takes: stores,
    ..USUAL
};

pub const LARGE: Scenario = Scenario {
    name: "open-large",
    workloads: &["open-clean-10m", "open-killed-10m"],
    steps: &[
        |bench| fill_and_close(bench, "open-clean-10m"),
        |bench| open(bench, "open-clean-10m"),
        |bench| fill(bench, "open-killed-10m"),
        |bench| open(bench, "open-killed-10m"),
    ],
    takes: |engine| ["kv", "lmdb", "rocksdb", "redis"].contains(&engine.name()),
    once: true,
    large: true,
};

fn stores(engine: &dyn Engine) -> bool {
    [Level::Disk, Level::Process]
        .into_iter()
        .filter_map(|level| engine.promise(level))
        .any(|promise| promise != Promise::Nothing)
}

fn fill_and_close(bench: &mut Bench<'_>, workload: &str) -> Result<Option<Box<dyn Database>>> {
    if let Some(database) = fill(bench, workload)? {
        match database.checkpoint() {
            Err(error) if error.is::<Unsupported>() => {}
            done => done?,
        }
        database.close()?;
    }
    Ok(None)
}

fn fill(bench: &mut Bench<'_>, workload: &str) -> Result<Option<Box<dyn Database>>> {
    if !bench.wants(workload) {
        return Ok(None);
    }
    enter(bench, workload)?;
    let database = bench.open(Level::Process)?;
    bench.load(&*database, &Values::new(VALUE_BYTES))?;
    Ok(Some(database))
}

fn open(bench: &mut Bench<'_>, workload: &str) -> Result<Option<Box<dyn Database>>> {
    if !bench.wants(workload) {
        return Ok(None);
    }
    enter(bench, workload)?;
    let last = key(bench.entries - 1);
    let start = Instant::now();
    let database = bench.open(Level::Process)?;
    bench.measure(workload, |bench| {
        get(&mut *database.session()?, &last, true)?;
        bench.sample(workload, Metric::Time, start.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    });
    database.close()?;
    Ok(None)
}

/// Gives the workload a directory of its own.
fn enter(bench: &mut Bench<'_>, workload: &str) -> Result {
    bench.directory.push(workload);
    fs::create_dir_all(&bench.directory)?;
    Ok(())
}
