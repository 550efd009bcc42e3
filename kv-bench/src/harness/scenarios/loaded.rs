//! One database is loaded, then read and changed in many ways.

use std::{hint::black_box, time::Instant};

use rand::RngExt;

use super::{Bench, Scenario, USUAL, VALUE_BYTES, get, gets::gets, transact::transact, uniform};
use crate::harness::{
    data::{Values, key, touch},
    engine::{Database, Level, Result, Unsupported},
    measure::{Memory, Worker, disk_bytes, settle},
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
    bench.measure("disk", |bench| {
        let bytes = disk_bytes(&bench.directory)?;
        if bytes > 0 {
            bench.sample("disk", Metric::Disk, bytes as f64 / bench.entries as f64);
        }
        Ok(())
    });
    gets(bench, database, "get");
    scans(bench, database);
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

fn memory(bench: &mut Bench<'_>, workload: &str, database: &dyn Database, before: Memory) {
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

fn scans(bench: &mut Bench<'_>, database: &dyn Database) {
    let entries = bench.entries;
    bench.rate("iterate", database, 1, |worker| {
        let mut read = 0;
        worker.session.scan(&[], &mut |_, value| {
            black_box(touch(value));
            read += 1;
            true
        })?;
        entries_read(worker, read, read == entries)
    });
    bench.rate("range-100", database, 1, |worker| {
        let (from, mut read) = (key(uniform(worker, entries)), 0);
        worker.session.scan(&from, &mut |_, value| {
            black_box(touch(value));
            read += 1;
            read < 100
        })?;
        entries_read(worker, read, read > 0)
    });
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

/// Measures reads after a checkpoint, and the time to overwrite and write out a tenth of the
/// entries.
fn checkpoint(bench: &mut Bench<'_>, database: &dyn Database, values: &Values, before: Memory) {
    let wanted = ["memory-checkpointed", "get-checkpointed-1", "checkpoint"];
    if !wanted.iter().any(|workload| bench.wants(workload)) {
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
    let entries = bench.entries;
    bench.rate("get-checkpointed-1", database, 1, |worker| {
        let index = uniform(worker, entries);
        get(&mut *worker.session, &key(index), true)
    });
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
                get(&mut *worker.session, &key(index), true)
            } else {
                worker.session.put(&key(index), values.of(index + worker.done))
            }
        });
    }
}
