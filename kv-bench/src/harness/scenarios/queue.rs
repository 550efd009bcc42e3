//! A queue: entries are put at its back and popped from its front.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use super::{Bench, Scenario, USUAL, VALUE_BYTES};
use crate::harness::{
    data::{Values, touch},
    engine::{Database, Level, Result, Session},
    measure::settle,
    workloads::Metric,
};

const POP: &str = "queue-pop";
const STEADY: &str = "queue-steady";
/// How many times the usual time a steady queue takes, at most.
const STEADY_TIMES: u32 = 10;
/// After how many steps the clock is read. Reading it takes as long as some engines need to pop.
const STEPS: u64 = 64;

pub const QUEUE: Scenario = Scenario { name: "queue", workloads: &[POP, STEADY], steps: &[pop_all, go_round], ..USUAL };

/// Pops until the time is over or the queue is empty.
fn pop_all(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let time = bench.time();
    queue(bench, POP, time, |session, _, step| pop(session, step))
}

/// Pushes and pops until the time is over or every entry of the load has been popped.
fn go_round(bench: &mut Bench<'_>) -> Result<Option<Box<dyn Database>>> {
    let (time, entries) = (bench.time() * STEADY_TIMES, bench.entries);
    queue(bench, STEADY, time, |session, values, step| {
        let back = entries + step;
        session.put(&ticket(back), values.of(back))?;
        pop(session, step)
    })
}

/// Loads a queue, and repeats a step for the time, at most once for each entry of the load.
fn queue(
    bench: &mut Bench<'_>,
    workload: &str,
    time: Duration,
    step: impl Fn(&mut dyn Session, &Values, u64) -> Result,
) -> Result<Option<Box<dyn Database>>> {
    if !bench.wants(workload) || bench.engine.promise(Level::Process).is_none() {
        return Ok(None);
    }
    bench.enter(workload)?;
    let opened = bench.engine.open(&bench.directory, Level::Process)?;
    bench.measure(workload, |bench| {
        let (database, values, entries) = (&*opened, Values::new(VALUE_BYTES), bench.entries);
        let mut session = database.session()?;
        session.pop_first(&mut |_, _| ())?; // an engine that cannot pop loads nothing
        bench.load_entries(database, (0..entries).map(|index| (ticket(index), values.of(index))))?;
        bench.checkpoint(database)?;
        settle(database);
        let rate = rate(time, entries, |done| step(&mut *session, &values, done))?;
        bench.sample(workload, Metric::Rate, rate);
        Ok(())
    });
    opened.close()?;
    Ok(None)
}

/// The key of the entry with that number in the queue. The order of the keys is that of the
/// numbers.
fn ticket(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

/// Pops the front, which must be the entry with that number.
fn pop(session: &mut dyn Session, number: u64) -> Result {
    let (expected, mut is_expected) = (ticket(number), false);
    let popped = session.pop_first(&mut |key, value| {
        black_box(touch(value));
        is_expected = key == expected;
    })?;
    if popped && is_expected { Ok(()) } else { Err(format!("entry {number} was not the front of the queue").into()) }
}

/// Repeats `step` for that time, but not more often than `most`. Returns the steps per second.
fn rate(time: Duration, most: u64, mut step: impl FnMut(u64) -> Result) -> Result<f64> {
    let (start, mut done) = (Instant::now(), 0);
    while done < most && (done % STEPS != 0 || start.elapsed() < time) {
        step(done)?;
        done += 1;
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}
