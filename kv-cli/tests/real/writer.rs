//! The process that writes: this test binary, started again with a job in its environment.
//!
//! It prints the outcome of each step on stdout, line by line and unbuffered, so that the reader
//! knows exactly what was acknowledged, whenever the writer ends: `ack THREAD STEP`,
//! `no THREAD STEP ERROR` (not carried out), `maybe THREAD STEP ERROR`.

use std::{
    env, fmt,
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use kv_store::{Durability, Error, Options, Store};
use kv_testkit::ManualScheduler;

use crate::plan::{self, Content, Step};

const JOB: &str = "KV_REAL_WRITER";
const DIR: &str = "KV_REAL_DIR";

/// Everything was acknowledged.
pub const DONE: i32 = 0;
/// Something failed, with an error of the engine.
pub const FAILED: i32 = 3;
/// A guarantee was violated; the line `violation` in the output says which.
pub const VIOLATED: i32 = 9;

/// What the writer has to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// How many threads write, beside the engine's own. With 0, everything happens on one thread,
    /// in the same order each time.
    pub threads: u32,
    /// The steps of each thread, in each incarnation: from one opening of the store to its end.
    pub incarnations: Vec<Range<u64>>,
}

impl Job {
    /// The process that does this job.
    pub fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        let steps = self.incarnations.iter().map(|steps| format!(" {} {}", steps.start, steps.end));
        command.args(["--exact", "writer::entry", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(JOB, format!("{}{}", self.threads, steps.collect::<String>())).env(DIR, dir);
        command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn from_environment() -> Option<(Self, PathBuf)> {
        let (job, dir) = (env::var(JOB).ok()?, env::var_os(DIR)?);
        let numbers: Vec<u64> = job.split(' ').map(|number| number.parse().unwrap()).collect();
        let incarnations = numbers[1..].chunks(2).map(|steps| steps[0]..steps[1]).collect();
        Some((Self { threads: numbers[0] as u32, incarnations }, dir.into()))
    }

    /// How many threads make the steps.
    pub fn writers(&self) -> u32 {
        self.threads.max(1)
    }
}

#[test]
#[ignore = "the process that the other tests start; by itself it does nothing"]
fn entry() {
    let Some((job, dir)) = Job::from_environment() else { return };
    say(format_args!("")); // ends the harness's line
    let failed = job
        .incarnations
        .iter()
        .map(|steps| run_incarnation(&job, steps.clone(), &dir))
        .fold(false, |all, one| all | one);
    std::process::exit(if failed { FAILED } else { DONE });
}

/// The writer's options: small segments and frequent checkpoints.
pub fn options(by_hand: Option<&ManualScheduler>) -> Options {
    let mut options = Options::default();
    options.log.segment_bytes_min = 16 << 10;
    options.log.segment_bytes_max = if by_hand.is_some() { 16 << 10 } else { 256 << 10 };
    options.store.checkpoint_record_bytes = if by_hand.is_some() { 20_000 } else { 60_000 };
    if let Some(scheduler) = by_hand {
        options.log.scheduler = std::sync::Arc::new(scheduler.clone());
        options.store.scheduler = std::sync::Arc::new(scheduler.clone());
    }
    options
}

/// Opens, writes and closes. Returns whether anything failed.
fn run_incarnation(job: &Job, steps: Range<u64>, dir: &Path) -> bool {
    let by_hand = (job.threads == 0).then(ManualScheduler::new);
    let store = match options(by_hand.as_ref()).open(dir) {
        Ok(store) => store,
        Err(error) => {
            say(format_args!("open {}", described(&error)));
            return true;
        }
    };
    let writers: Vec<_> = (0..job.writers())
        .map(|thread| Writer { store: store.clone(), thread, by_hand: by_hand.clone(), poisoned: false, failed: false })
        .collect();
    let failed = match by_hand {
        Some(_) => writers.into_iter().map(|writer| writer.write(steps.clone())).fold(false, |all, one| all | one),
        None => thread::scope(|scope| {
            let running: Vec<_> =
                writers.into_iter().map(|writer| scope.spawn(|| writer.write(steps.clone()))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).fold(false, |all, one| all | one)
        }),
    };
    match store.close() {
        Ok(()) => failed,
        Err(error) => {
            say(format_args!("close {}", described(&error)));
            true
        }
    }
}

struct Writer {
    store: Store,
    thread: u32,
    by_hand: Option<ManualScheduler>,
    poisoned: bool,
    failed: bool,
}

impl Writer {
    fn write(mut self, steps: Range<u64>) -> bool {
        let mut acknowledged = match &self.by_hand {
            Some(_) => plan::content(&self.store).unwrap_or_else(|error| violated(&described(&error))),
            None => Content::new(),
        };
        for number in steps {
            let step = Step { thread: self.thread, number };
            let written = self.store.write_with(step.batch(), step.durability());
            self.report(step, &written, &mut acknowledged);
            if let Some(scheduler) = &self.by_hand {
                scheduler.run_woken();
            }
            if written.is_err() {
                self.reads_go_on(&acknowledged);
            }
        }
        self.failed
    }

    fn report(&mut self, step: Step, written: &kv_store::Result<()>, acknowledged: &mut Content) {
        let Step { thread, number } = step;
        match written {
            Ok(()) if self.poisoned => violated("a write was acknowledged after the log was poisoned"),
            Ok(()) => {
                if self.by_hand.is_some() {
                    step.apply(acknowledged);
                }
                say(format_args!("ack {thread} {number}"));
            }
            Err(error @ Error::OutcomeUnknown { .. }) => {
                say(format_args!("maybe {thread} {number} {}", described(error)));
            }
            Err(error) => say(format_args!("no {thread} {number} {}", described(error))),
        }
        self.failed |= written.is_err();
        self.poisoned |= matches!(written, Err(Error::OutcomeUnknown { .. } | Error::Poisoned { .. }));
    }

    /// Checks that after a failure everything acknowledged can still be read, and nothing else.
    fn reads_go_on(&self, acknowledged: &Content) {
        if self.by_hand.is_none() {
            return; // other threads are writing
        }
        match plan::content(&self.store) {
            Ok(content) if content == *acknowledged => {}
            Ok(_) => violated("after a failed write, reads give something else than what was acknowledged"),
            Err(error) => violated(&format!("after a failed write, reads fail: {}", described(&error))),
        }
    }
}

/// The error on one line, with the name of its variant.
fn described(error: &Error) -> String {
    let variant = format!("{error:?}");
    let variant = variant.split([' ', '(', '{']).next().unwrap_or_default();
    format!("{variant}: {}", error.chain().replace('\n', " "))
}

fn violated(what: &str) -> ! {
    say(format_args!("violation: {what}"));
    std::process::exit(VIOLATED)
}

/// Prints one line, in one call. Once the reader is gone, there is nothing left to do.
fn say(line: fmt::Arguments<'_>) {
    if io::stdout().lock().write_all(format!("{line}\n").as_bytes()).is_err() {
        std::process::exit(FAILED);
    }
}

/// Makes a step in the test itself, beside the writer.
pub fn put(store: &Store, step: Step) -> kv_store::Result<()> {
    store.write_with(step.batch(), Durability::Disk)
}
