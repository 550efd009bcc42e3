//! Closing a loaded database, and opening it: after that close, after a checkpoint and a clean
//! close, and after a kill of the process that had it open.

use std::time::Instant;

use super::{Bench, Scenario, Size, USUAL, VALUE_BYTES, get};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Engine, Level, Promise, Result, Role},
    workloads::Metric,
};

/// The workloads of one size.
#[derive(Clone, Copy)]
struct Names {
    close: &'static str,
    closed: &'static str,
    clean: &'static str,
    killed: &'static str,
}

const ALL: Names = Names { close: "close", closed: "open-closed", clean: "open-clean", killed: "open-killed" };
const ALL_LARGE: Names =
    Names { close: "close-10m", closed: "open-closed-10m", clean: "open-clean-10m", killed: "open-killed-10m" };
const ALL_HUGE: Names =
    Names { close: "close-100m", closed: "open-closed-100m", clean: "open-clean-100m", killed: "open-killed-100m" };

pub const OPEN: Scenario = Scenario {
    name: "open",
    workloads: &[ALL.close, ALL.closed, ALL.clean, ALL.killed],
    steps: &[
        |bench| fill_and_close(bench, ALL),
        |bench| open_and_checkpoint(bench, ALL),
        |bench| open(bench, ALL.clean),
        |bench| fill(bench, ALL.killed),
        |bench| open(bench, ALL.killed),
    ],
    takes: stores,
    ..USUAL
};

pub const LARGE: Scenario = Scenario {
    name: "open-large",
    workloads: &[ALL_LARGE.close, ALL_LARGE.closed, ALL_LARGE.clean, ALL_LARGE.killed],
    steps: &[
        |bench| fill_and_close(bench, ALL_LARGE),
        |bench| open_and_checkpoint(bench, ALL_LARGE),
        |bench| open(bench, ALL_LARGE.clean),
        |bench| fill(bench, ALL_LARGE.killed),
        |bench| open(bench, ALL_LARGE.killed),
    ],
    takes: |engine| ["kv", "lmdb", "rocksdb", "redis", "valkey"].contains(&engine.name()),
    once: true,
    size: Size::Large,
};

pub const HUGE: Scenario = Scenario {
    name: "open-huge",
    workloads: &[ALL_HUGE.close, ALL_HUGE.closed, ALL_HUGE.clean, ALL_HUGE.killed],
    steps: &[
        |bench| fill_and_close(bench, ALL_HUGE),
        |bench| open_and_checkpoint(bench, ALL_HUGE),
        |bench| open(bench, ALL_HUGE.clean),
        |bench| fill(bench, ALL_HUGE.killed),
        |bench| open(bench, ALL_HUGE.killed),
    ],
    takes: |engine| engine.role() == Role::Ours,
    once: true,
    size: Size::Huge,
};

fn stores(engine: &dyn Engine) -> bool {
    [Level::Disk, Level::Process]
        .into_iter()
        .filter_map(|level| engine.promise(level))
        .any(|promise| promise != Promise::Nothing)
}

/// Loads, and times the close straight after it.
fn fill_and_close(bench: &mut Bench<'_>, names: Names) -> Result<Option<Box<dyn Database>>> {
    if bench.wants_any(&[names.close, names.closed, names.clean]) {
        let database = filled(bench, names.clean)?;
        let start = Instant::now();
        database.close()?;
        bench.sample(names.close, Metric::Time, start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(None)
}

/// Times the opening after that close. Then makes a checkpoint and closes again.
fn open_and_checkpoint(bench: &mut Bench<'_>, names: Names) -> Result<Option<Box<dyn Database>>> {
    if bench.wants_any(&[names.closed, names.clean]) {
        bench.enter(names.clean)?;
        let database = opened(bench, names.closed)?;
        bench.checkpoint(&*database)?;
        database.close()?;
    }
    Ok(None)
}

/// Loads, and leaves the database open, to be killed with the process.
fn fill(bench: &mut Bench<'_>, workload: &str) -> Result<Option<Box<dyn Database>>> {
    if bench.wants(workload) { filled(bench, workload).map(Some) } else { Ok(None) }
}

fn open(bench: &mut Bench<'_>, workload: &str) -> Result<Option<Box<dyn Database>>> {
    if bench.wants(workload) {
        bench.enter(workload)?;
        opened(bench, workload)?.close()?;
    }
    Ok(None)
}

fn filled(bench: &mut Bench<'_>, directory: &str) -> Result<Box<dyn Database>> {
    bench.enter(directory)?;
    let database = bench.open(Level::Process)?;
    bench.load(&*database, &Values::new(VALUE_BYTES))?;
    Ok(database)
}

/// Opens, and times that up to the end of the first get.
fn opened(bench: &mut Bench<'_>, workload: &str) -> Result<Box<dyn Database>> {
    let last = key(bench.entries - 1);
    let start = Instant::now();
    let database = bench.open(Level::Process)?;
    bench.measure(workload, |bench| {
        get(&mut *database.session()?, &last, true)?;
        bench.sample(workload, Metric::Time, start.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    });
    Ok(database)
}
