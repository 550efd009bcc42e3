//! Transactions that read a value, change it and write it back.

use super::{Bench, Scenario, USUAL, VALUE_BYTES, uniform};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Level, Result},
    measure::Worker,
};

const DISK_ENTRIES: u64 = 100_000;

pub const DISK_8: Scenario =
    Scenario { name: "transact-disk-8", workloads: &["transact-disk-8"], steps: &[transact_disk_8], ..USUAL };

fn transact_disk_8(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    if bench.engine.promise(Level::Disk).is_none() {
        return Ok(None);
    }
    bench.entries = bench.entries.min(DISK_ENTRIES);
    let entries = bench.entries;
    let database = bench.engine.open(&bench.directory, Level::Disk)?;
    bench.load_and_settle(&*database, &Values::new(VALUE_BYTES))?;
    bench.rate("transact-disk-8", &*database, 8, |worker| transact(worker, entries));
    database.close()?;
    Ok(None)
}

/// One transaction, on a present key.
pub fn transact(worker: &mut Worker<'_>, entries: u64) -> Result {
    let key = key(uniform(worker, entries));
    let mut found = false;
    worker.session.update(&key, &mut |value| {
        if let Some(first) = value.first_mut() {
            *first = first.wrapping_add(1);
            found = true;
        }
    })?;
    if found { Ok(()) } else { Err(format!("the key {key:02x?} was not found").into()) }
}
