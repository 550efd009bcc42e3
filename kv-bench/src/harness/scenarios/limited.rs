//! Gets from more data than memory holds.

use std::{
    fs::{self, File},
    path::Path,
    thread,
};

use rustix::fs::{Advice, fadvise, syncfs};

use super::{
    Bench, ENTRY_BYTES, Scenario, Size, VALUE_BYTES,
    gets::{draw, zipfian},
};
use crate::harness::{
    cgroup::Cgroup,
    data::Values,
    engine::{Database, Level, Result, Unsupported},
    measure::{Latencies, WorkOptions, work},
    workloads::Metric,
};

const GET: &str = "get-limited-zipf-1";
/// How many times the usual time the warm-up takes, which fills the page cache with what is read
/// often, and the measurement.
const TIMES: u32 = 10;
/// The keys and values are this many times the memory.
const TIMES_MEMORY: u64 = 3;
/// What the process itself needs.
const MEMORY_MIN: u64 = 64 << 20;

pub const LIMITED: Scenario = Scenario {
    name: "get-limited",
    workloads: &[GET],
    steps: &[fill, get_limited],
    takes: |engine| ["kv", "lmdb", "rocksdb"].contains(&engine.name()),
    once: true,
    size: Size::Large,
};

fn fill(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let Some(cgroup) = &bench.cgroup else {
        return Err(Unsupported("no cgroup was given in which memory can be limited (--cgroup)").into());
    };
    drop(Cgroup::new(cgroup, MEMORY_MIN)?); // fails before the long load
    let database = bench.open(Level::Process)?;
    bench.load_and_settle(&*database, &Values::new(VALUE_BYTES))?;
    bench.checkpoint(&*database)?;
    database.close()?;
    Ok(None)
}

fn get_limited(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let Some(cgroup) = &bench.cgroup else { return Ok(None) };
    evict(&bench.directory)?;
    let memory = (ENTRY_BYTES * bench.entries / TIMES_MEMORY).max(MEMORY_MIN);
    let limited = Cgroup::new(cgroup, memory)?;
    limited.enter()?;
    let level = if bench.engine.promise(Level::Process).is_some() { Level::Process } else { Level::Disk };
    let database = bench.engine.open_within(&bench.directory, level, memory)?;
    bench.measure(GET, |bench| {
        let drawn = draw(bench.entries, bench.seed);
        let options = WorkOptions { warm_up: bench.time() * TIMES, ..bench.options(1, Latencies::Each) };
        let until = || {
            thread::sleep(bench.time() * TIMES);
            Ok(())
        };
        let work = work(&*database, options, until, |worker| zipfian(worker, &drawn, 1))?;
        bench.sample(GET, Metric::Rate, work.rate());
        bench.latencies(GET, &work);
        Ok(())
    });
    database.close()?;
    Ok(None)
}

/// Drops the files below a directory from the page cache, so that what is read later counts for the
/// process that reads it.
fn evict(directory: &Path) -> Result {
    syncfs(File::open(directory)?)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            evict(&path)?;
        } else {
            fadvise(File::open(&path)?, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
