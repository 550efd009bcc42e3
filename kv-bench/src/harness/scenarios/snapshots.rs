//! Many snapshots that are open at once: opening them, and gets and puts beside them.

use std::time::Instant;

use super::{Bench, Scenario, USUAL, VALUE_BYTES, gets::present_gets, uniform};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Level, Result, Snapshot},
    measure::Memory,
    workloads::Metric,
};

const OPEN: &str = "snapshot-open";
const GET: &str = "get-snapshots";
const PUT: &str = "put-snapshots";
/// For this many entries there is one snapshot.
const ENTRIES: u64 = 10;
/// The maximum number of snapshots.
const SNAPSHOTS_MAX: u64 = 100_000;
/// An engine that has not opened all snapshots after this many times the usual time has failed.
const TIMES: u32 = 60;
/// After how many snapshots the clock is read. Reading it takes as long as opening some snapshots.
const STEPS: u64 = 64;

pub const SNAPSHOTS: Scenario =
    Scenario { name: "snapshots", workloads: &[OPEN, GET, PUT], steps: &[snapshots], ..USUAL };

fn snapshots(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let opened = bench.open(Level::Process)?;
    let measured = measure(bench, &*opened);
    bench.note("snapshots", measured);
    opened.close()?;
    Ok(None)
}

fn measure(bench: &mut Bench<'_>, database: &dyn Database) -> Result {
    drop(database.snapshot()?); // an engine without snapshots loads nothing
    let values = Values::new(VALUE_BYTES);
    bench.load_and_settle(database, &values)?;
    bench.measure(OPEN, |bench| measure_open(bench, database));
    if bench.wants_any(&[GET, PUT]) {
        measure_beside(bench, database, &values)?;
    }
    Ok(())
}

fn measure_open(bench: &mut Bench<'_>, database: &dyn Database) -> Result {
    let before = Memory::of(Some(database))?.anonymous;
    let start = Instant::now();
    let snapshots = open(bench, database, |_| Ok(()))?;
    let elapsed = start.elapsed().as_secs_f64();
    let after = Memory::of(Some(database))?.anonymous;
    bench.sample(OPEN, Metric::Rate, snapshots.len() as f64 / elapsed);
    bench.sample(OPEN, Metric::Extra, after.saturating_sub(before) as f64 / 1e6);
    Ok(())
}

/// Measures gets and puts while snapshots are open that all differ.
fn measure_beside(bench: &mut Bench<'_>, database: &dyn Database, values: &Values) -> Result {
    let entries = bench.entries;
    let mut session = database.session()?;
    let snapshots = open(bench, database, |number| {
        let index = number * ENTRIES % entries;
        session.put(&key(index), values.of(!index))
    })?;
    database.sync()?;
    present_gets(bench, database, GET, 1);
    bench.rate(PUT, database, 1, |worker| {
        let index = uniform(worker, entries);
        worker.session.put(&key(index), values.of(index + worker.done))
    });
    drop(snapshots);
    Ok(())
}

/// Opens all snapshots, and calls `change` with the number of each before it.
fn open<'a>(
    bench: &Bench<'_>,
    database: &'a dyn Database,
    mut change: impl FnMut(u64) -> Result,
) -> Result<Vec<Box<dyn Snapshot + 'a>>> {
    let (count, limit) = ((bench.entries / ENTRIES).min(SNAPSHOTS_MAX), bench.time() * TIMES);
    let (start, mut snapshots) = (Instant::now(), Vec::with_capacity(count as usize));
    for number in 0..count {
        if number % STEPS == 0 && start.elapsed() > limit {
            return Err(format!("only {number} of {count} snapshots were open after {limit:?}").into());
        }
        change(number)?;
        snapshots.push(database.snapshot()?);
    }
    Ok(snapshots)
}
