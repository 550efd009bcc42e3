//! The latency of one writer: on its own, and while the engine makes a checkpoint.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Bench, ENTRY_BYTES, Scenario, USUAL, VALUE_BYTES, uniform};
use crate::harness::{
    data::{Values, key},
    engine::{Database, Level, Result, Role, Unsupported},
    measure::{Latencies, Memory, Pace, Work, WorkOptions, Worker, bytes_written, work},
    workloads::Metric,
};

const ALONE: &str = "writers-alone";
const CHECKPOINT: &str = "writers-checkpoint";
const PACED_HELD: &str = "writers-paced-held";
const PACED_BESIDE: &str = "writers-paced";
/// The time between the starts of two puts, at least.
const PACE: Duration = Duration::from_micros(10);
const PACED_TIMES: u32 = 5;
/// How often memory is sampled. Another process is sampled less often, because the sample keeps it
/// from changing its memory for some milliseconds.
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
        let work = bench.work(&*database, bench.options(1, Latencies::Each), overwrite)?;
        report(bench, ALONE, &work);
        Ok(())
    });
    bench.measure(CHECKPOINT, |bench| beside_checkpoint(bench, &*database, &values, overwrite));
    database.close()?;
    Ok(None)
}

/// A steady writer, with checkpoints and merges held off and without that.
pub const PACED: Scenario = Scenario {
    name: "writers-paced",
    workloads: &[PACED_HELD, PACED_BESIDE],
    steps: &[|bench| paced(bench, PACED_HELD), |bench| paced(bench, PACED_BESIDE)],
    takes: |engine| matches!(engine.role(), Role::Ours | Role::Peer),
    ..USUAL
};

fn paced(bench: &mut Bench<'_>, workload: &str) -> Result<Option<Box<dyn Database>>> {
    if !bench.wants(workload) || bench.engine.promise(Level::Process).is_none() {
        return Ok(None);
    }
    bench.enter(workload)?;
    let held = workload == PACED_HELD;
    let database = match held {
        true => match bench.engine.open_held(&bench.directory, Level::Process) {
            Err(error) if error.is::<Unsupported>() => return Ok(None),
            opened => opened?,
        },
        false => bench.engine.open(&bench.directory, Level::Process)?,
    };
    let values = Values::new(VALUE_BYTES);
    bench.load_and_settle(&*database, &values)?;
    bench.measure(workload, |bench| {
        let entries = bench.entries;
        let options = WorkOptions { pace: Pace::Spinning(PACE), ..bench.options(1, Latencies::Each) };
        let until = || pass_time(bench, &*database, !held);
        let work = work(&*database, options, until, |worker| {
            let index = uniform(worker, entries);
            worker.session.put(&key(index), values.of(index + worker.done))
        })?;
        report(bench, workload, &work);
        Ok(())
    });
    database.close()?;
    Ok(None)
}

/// Lets the usual time pass five times, with a checkpoint in each.
fn pass_time(bench: &Bench<'_>, database: &dyn Database, with_checkpoints: bool) -> Result {
    for _ in 0..PACED_TIMES {
        let start = Instant::now();
        if with_checkpoints {
            bench.checkpoint(database)?;
        }
        thread::sleep(bench.time().saturating_sub(start.elapsed()));
    }
    Ok(())
}

fn report(bench: &mut Bench<'_>, workload: &str, work: &Work) {
    bench.sample(workload, Metric::Rate, work.rate());
    bench.latencies(workload, work);
}

/// Overwrites a tenth of the entries and makes a checkpoint without other load, to count the bytes
/// written. Then does the same while a thread keeps writing, for the usual time or until the
/// checkpoint is done, whichever is longer.
fn beside_checkpoint(
    bench: &mut Bench<'_>,
    database: &dyn Database,
    values: &Values,
    overwrite: impl Fn(&mut Worker<'_>) -> Result + Sync,
) -> Result {
    database.checkpoint()?; // so that the next one writes only the changes made here
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
    let options = bench.options(1, Latencies::Each);
    let (work, most) = most_memory(database, || work(database, options, checkpoint, overwrite))?;
    report(bench, CHECKPOINT, &work);
    bench.sample(CHECKPOINT, Metric::Written, written as f64 / changed as f64);
    bench.sample(CHECKPOINT, Metric::Extra, most.saturating_sub(memory) as f64 / 1e6);
    Ok(())
}

/// The result of `work`, and the maximum of anonymous memory while it ran, in bytes.
pub fn most_memory(database: &dyn Database, work: impl FnOnce() -> Result<Work>) -> Result<(Work, u64)> {
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
        let most: Result<u64> = watcher.join().map_err(|_| "the thread that samples memory panicked")?;
        Ok((worked?, most?))
    })
}
