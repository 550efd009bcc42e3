//! Scans: of an unchanged store, of one whose entries changed since the last checkpoint, and of one
//! that was loaded in the order of the keys.

use std::hint::black_box;

use super::{Bench, Scenario, USUAL, VALUE_BYTES, uniform};
use crate::harness::{
    data::{Values, key, touch},
    engine::{Database, Level, Result, Role},
    measure::{Worker, settle},
};

const UNCHANGED: [&str; 2] = ["iterate-checkpointed", "range-100-checkpointed"];
const CHANGED: [&str; 2] = ["iterate-changed", "range-100-changed"];
const ORDERED: [&str; 2] = ["iterate-ordered", "range-100-ordered"];

pub const SCANS: Scenario = Scenario {
    name: "scans",
    workloads: &[UNCHANGED[0], UNCHANGED[1], CHANGED[0], CHANGED[1], ORDERED[0], ORDERED[1]],
    steps: &[unordered, ordered],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Peer | Role::Limit),
    ..USUAL
};

/// Loads in random order of the keys, and scans before and after a tenth has changed.
fn unordered(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    if !bench.wants_any(&UNCHANGED) && !bench.wants_any(&CHANGED) {
        return Ok(None);
    }
    let opened = bench.open(Level::Process)?;
    let (database, values) = (&*opened, Values::new(VALUE_BYTES));
    bench.load(database, &values)?;
    bench.checkpoint(database)?;
    settle(database);
    iterate(bench, database, UNCHANGED[0]);
    ranges(bench, database, UNCHANGED[1]);
    if bench.overwrite_tenth(database, &values)? > 0 {
        iterate(bench, database, CHANGED[0]);
        ranges(bench, database, CHANGED[1]);
    }
    opened.close()?;
    Ok(None)
}

fn ordered(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    if !bench.wants_any(&ORDERED) {
        return Ok(None);
    }
    bench.enter("ordered")?;
    let opened = bench.open(Level::Process)?;
    let mut indexes: Vec<u64> = (0..bench.entries).collect();
    indexes.sort_unstable_by_key(|index| key(*index));
    bench.load_in_order(&*opened, &Values::new(VALUE_BYTES), indexes.into_iter())?;
    bench.checkpoint(&*opened)?;
    settle(&*opened);
    iterate(bench, &*opened, ORDERED[0]);
    ranges(bench, &*opened, ORDERED[1]);
    opened.close()?;
    Ok(None)
}

/// All entries, again and again.
pub fn iterate(bench: &mut Bench<'_>, database: &dyn Database, workload: &str) {
    let entries = bench.entries;
    bench.rate(workload, database, 1, |worker| {
        let mut read = 0;
        worker.session.scan(&[], &mut |_, value| {
            black_box(touch(value));
            read += 1;
            true
        })?;
        entries_read(worker, read, read == entries)
    });
}

/// 100 entries from a random key on.
pub fn ranges(bench: &mut Bench<'_>, database: &dyn Database, workload: &str) {
    let entries = bench.entries;
    bench.rate(workload, database, 1, |worker| {
        let (from, mut read) = (key(uniform(worker, entries)), 0);
        worker.session.scan(&from, &mut |_, value| {
            black_box(touch(value));
            read += 1;
            read < 100
        })?;
        entries_read(worker, read, read > 0)
    });
}

/// The entries that share two random bytes.
pub fn prefixes(bench: &mut Bench<'_>, database: &dyn Database) {
    let entries = bench.entries;
    bench.rate("prefix", database, 1, |worker| {
        let (from, mut read) = (key(uniform(worker, entries)), 0);
        worker.session.scan(&from[..2], &mut |key, value| {
            black_box(touch(value));
            let goes_on = key.starts_with(&from[..2]);
            read += u64::from(goes_on);
            goes_on
        })?;
        entries_read(worker, read, read > 0)
    });
}

/// Counts the entries of a scan as operations. The caller counts the scan itself as one of them.
fn entries_read(worker: &mut Worker<'_>, read: u64, expected: bool) -> Result {
    worker.done += read.saturating_sub(1);
    if expected { Ok(()) } else { Err(format!("a scan gave {read} entries, which is not the number stored").into()) }
}
