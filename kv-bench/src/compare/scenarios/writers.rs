//! A writer, alone and while the engine writes its memory out.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Bench, ENTRY_BYTES, Scenario, USUAL, VALUE_BYTES, uniform};
use crate::compare::{
    data::{Values, key},
    engine::{Database, Level, Result},
    measure::{Latencies, Memory, Work, Worker, bytes_written, work},
    workloads::Metric,
};

const ALONE: &str = "writers-alone";
const CHECKPOINT: &str = "writers-checkpoint";
/// How often memory is read meanwhile. Reading that of other processes keeps them from changing it for some milliseconds.
const MEMORY_INTERVAL: Duration = Duration::from_millis(10);
const MEMORY_INTERVAL_OF_OTHERS: Duration = Duration::from_millis(100);

pub const WRITERS: Scenario = Scenario { name: "writers", workloads: &[ALONE, CHECKPOINT], steps: &[writers], ..USUAL };

fn writers(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    if bench.engine.promise(Level::Process).is_none() {
        return Ok(None);
    }
    let database = bench.engine.open(&bench.directory, Level::Process)?;
    let values = Values::new(VALUE_BYTES);
    bench.load_and_settle(&*database, &values)?;
    let entries = bench.entries;
    let overwrite = |worker: &mut Worker<'_>| {
        let index = uniform(worker, entries);
        worker.session.put(&key(index), values.of(index + worker.done))
    };
    bench.measure(ALONE, |bench| {
        let work = bench.work(&*database, bench.how(1, Latencies::Each), overwrite)?;
        report(bench, ALONE, &work);
        Ok(())
    });
    bench.measure(CHECKPOINT, |bench| beside_checkpoint(bench, &*database, &values, overwrite));
    database.close()?;
    Ok(None)
}

fn report(bench: &mut Bench<'_>, workload: &str, work: &Work) {
    bench.sample(workload, Metric::Rate, work.rate());
    bench.latencies(workload, work);
}

/// First a tenth of the entries is overwritten and written out in peace, then again while a thread goes on to write: for the usual time, or
/// until that is done.
fn beside_checkpoint(
    bench: &mut Bench<'_>,
    database: &dyn Database,
    values: &Values,
    overwrite: impl Fn(&mut Worker<'_>) -> Result + Sync,
) -> Result {
    database.checkpoint()?; // from here on the changes are known
    let before = bytes_written(database)?;
    let changed = ENTRY_BYTES * bench.overwrite_tenth(database, values)?;
    database.checkpoint()?;
    database.sync()?;
    let written = bytes_written(database)? - before;
    bench.overwrite_tenth(database, values)?;
    let memory = Memory::of(Some(database))?.anonymous;
    let time = bench.time();
    let checkpoint = || {
        let start = Instant::now();
        database.checkpoint()?;
        thread::sleep(time.saturating_sub(start.elapsed()));
        Ok(())
    };
    let how = bench.how(1, Latencies::Each);
    let (work, most) = most_memory(database, || work(database, how, checkpoint, overwrite))?;
    report(bench, CHECKPOINT, &work);
    bench.sample(CHECKPOINT, Metric::Written, written as f64 / changed as f64);
    bench.sample(CHECKPOINT, Metric::Extra, most.saturating_sub(memory) as f64 / 1e6);
    Ok(())
}

/// The most anonymous memory that is in use while `work` goes on, in bytes.
fn most_memory(database: &dyn Database, work: impl FnOnce() -> Result<Work>) -> Result<(Work, u64)> {
    let done = &AtomicBool::new(false);
    let interval = if database.processes().is_empty() { MEMORY_INTERVAL } else { MEMORY_INTERVAL_OF_OTHERS };
    thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(Memory::of(Some(database))?.anonymous);
                thread::sleep(interval);
            }
            Ok(most)
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let most: Result<u64> = watcher.join().map_err(|_| "the thread that watches memory panicked")?;
        Ok((worked?, most?))
    })
}
