//! Loading without end, and the memory that it takes.

use std::thread;

use super::{Bench, Scenario, USUAL, VALUE_BYTES, writers::most_memory};
use crate::{
    BATCH_ENTRIES,
    harness::{
        data::{Values, key},
        engine::{Database, Level, Result, Role},
        measure::{Latencies, Memory, work},
        workloads::Metric,
    },
};

const LOAD: &str = "memory-loading";
/// How many times the usual time it takes.
const TIMES: u32 = 20;

pub const LOADING: Scenario = Scenario {
    name: "loading",
    workloads: &[LOAD],
    steps: &[loading],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Peer),
    once: true,
    ..USUAL
};

fn loading(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    if bench.engine.promise(Level::Process).is_none() {
        return Ok(None);
    }
    let opened = bench.engine.open(&bench.directory, Level::Process)?;
    bench.measure(LOAD, |bench| load(bench, &*opened));
    opened.close()?;
    Ok(None)
}

fn load(bench: &mut Bench<'_>, database: &dyn Database) -> Result {
    let values = Values::new(VALUE_BYTES);
    let until = || {
        thread::sleep(bench.time() * TIMES);
        Ok(())
    };
    let before = Memory::of(Some(database))?.anonymous;
    let (work, most) = most_memory(database, || {
        work(database, bench.options(1, Latencies::Off), until, |worker| {
            let start = worker.done * BATCH_ENTRIES;
            let entries: Vec<_> = (start..start + BATCH_ENTRIES).map(|index| (key(index), values.of(index))).collect();
            let entries: Vec<(&[u8], &[u8])> = entries.iter().map(|(key, value)| (&key[..], *value)).collect();
            worker.session.put_batch(&entries)
        })
    })?;
    bench.sample(LOAD, Metric::Extra, most.saturating_sub(before) as f64 / 1e6);
    bench.sample(LOAD, Metric::Rate, work.rate() * BATCH_ENTRIES as f64);
    Ok(())
}
