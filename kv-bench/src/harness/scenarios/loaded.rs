//! One database is loaded, then read and changed in many ways.

use std::time::Instant;

use rand::RngExt;

use super::{
    Bench, Scenario, USUAL, VALUE_BYTES, get,
    gets::{gets, present_gets},
    scans::{iterate, prefixes, ranges},
    transact::transact,
    uniform,
};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Level, Result, Unsupported},
    measure::{Memory, disk_bytes, settle},
    workloads::Metric,
};

pub const LOADED: Scenario = Scenario {
    name: "loaded",
    workloads: &[
        "load",
        "memory",
        "disk",
        "get-1",
        "get-2",
        "get-zipf-1",
        "get-zipf-2",
        "get-absent-1",
        "get-absent-2",
        "get-dependent-1",
        "iterate",
        "range-100",
        "prefix",
        "memory-checkpointed",
        "get-checkpointed-1",
        "checkpoint",
        "mixed-95-5",
        "mixed-50-50",
        "transact-process-1",
        "transact-process-2",
    ],
    steps: &[measure_loaded],
    ..USUAL
};

fn measure_loaded(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let values = Values::new(VALUE_BYTES);
    let before = Memory::of(None)?;
    let opened = bench.open(Level::Process)?;
    let database = &*opened;
    load(bench, database, &values)?;
    memory(bench, "memory", database, before);
    disk(bench, "disk");
    gets(bench, database, "get");
    iterate(bench, database, "iterate");
    ranges(bench, database, "range-100");
    prefixes(bench, database);
    checkpoint(bench, database, &values, before);
    mixed(bench, database, &values);
    let entries = bench.entries;
    for (workload, threads) in [("transact-process-1", 1), ("transact-process-2", 2)] {
        bench.rate(workload, database, threads, |worker| transact(worker, entries));
    }
    opened.close()?;
    Ok(None)
}

/// Loads the database. An engine that cannot load is not measured further.
fn load(bench: &mut Bench<'_>, database: &dyn Database, values: &Values) -> Result {
    let start = Instant::now();
    bench.load(database, values)?;
    bench.sample("load", Metric::Rate, bench.entries as f64 / start.elapsed().as_secs_f64());
    settle(database);
    Ok(())
}

/// The disk space of the files, unless there are none.
pub fn disk(bench: &mut Bench<'_>, workload: &str) {
    bench.measure(workload, |bench| {
        let bytes = disk_bytes(&bench.directory)?;
        if bytes > 0 {
            bench.sample(workload, Metric::Disk, bytes as f64 / bench.entries as f64);
        }
        Ok(())
    });
}

/// The memory that was gained since `before`.
pub fn memory(bench: &mut Bench<'_>, workload: &str, database: &dyn Database, before: Memory) {
    bench.measure(workload, |bench| {
        let memory = Memory::of(Some(database))?;
        for (metric, now, before) in
            [(Metric::Anonymous, memory.anonymous, before.anonymous), (Metric::Mapped, memory.mapped, before.mapped)]
        {
            bench.sample(workload, metric, now.saturating_sub(before) as f64 / bench.entries as f64);
        }
        Ok(())
    });
}

/// Measures reads after a checkpoint, and the time to overwrite and write out a tenth of the
/// entries.
fn checkpoint(bench: &mut Bench<'_>, database: &dyn Database, values: &Values, before: Memory) {
    let wanted = ["memory-checkpointed", "get-checkpointed-1", "checkpoint"];
    if !bench.wants_any(&wanted) {
        return;
    }
    if let Err(error) = database.checkpoint() {
        if !error.is::<Unsupported>() {
            bench.found.failures.push(("checkpoint".to_owned(), error.to_string()));
        }
        return;
    }
    settle(database);
    memory(bench, "memory-checkpointed", database, before);
    present_gets(bench, database, "get-checkpointed-1", 1);
    bench.measure("checkpoint", |bench| {
        // The overwrites and the checkpoint are timed together: some engines write out during the
        // overwrites, and their checkpoint has little left to do.
        let start = Instant::now();
        bench.overwrite_tenth(database, values)?;
        database.checkpoint()?;
        bench.sample("checkpoint", Metric::Time, start.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    });
}

/// Gets and puts of present keys, `gets` gets in 100 operations.
fn mixed(bench: &mut Bench<'_>, database: &dyn Database, values: &Values) {
    let entries = bench.entries;
    for (workload, gets) in [("mixed-95-5", 95), ("mixed-50-50", 50)] {
        bench.rate(workload, database, 2, |worker| {
            let index = uniform(worker, entries);
            if worker.random.random_range(0..100) < gets {
                get(&mut *worker.session, &key(index), true).map(drop)
            } else {
                worker.session.put(&key(index), values.of(index + worker.done))
            }
        });
    }
}
