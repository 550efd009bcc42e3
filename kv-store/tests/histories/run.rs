//! A run: opens, uses and crashes a store several times, and checks what must hold.

use std::{
    sync::{Arc, atomic::AtomicU64},
    thread,
};

use kv_core::{
    Durability, Lsn, Store,
    background::{Scheduler, Threads},
};
use kv_testkit::{
    ManualScheduler, Model,
    linearizability::{Action, History, Part},
    sim::{CrashChoice, CrashModel, SimDisk},
    vfs::Fault,
};

use crate::{
    count::Count,
    engine::{content, open},
    feed_checker::FeedChecker,
    follower_checker::FollowerChecker,
    observations,
    plan::{DiskFault, End, Plan},
    recording_log::{Commits, Pauses, pause},
    work::{Checkers, work_in_threads, work_in_turn},
    worker::{ClientKnowledge, Levels, Worker, tag},
};

/// The number of workers.
const WORKERS: usize = 4;

/// How the calls are made, and on which disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each worker and each background job has a thread.
    Threads,
    /// Everything runs on one thread, in an order that follows from the seed.
    OneThread,
    /// The same, on a disk that reports success for syncs which it has not done.
    LyingDisk,
}

pub struct Run {
    seed: u64,
    mode: Mode,
    rng: fastrand::Rng,
    disk: SimDisk,
    commits: Commits,
    calls: AtomicU64,
    history: History,
    known: ClientKnowledge,
    feed_checker: FeedChecker,
    follower_checker: FollowerChecker,
    /// The position that must be there after the crash.
    promised: Lsn,
    /// The crash may have lost acknowledged writes, so a new history begins.
    history_restarts: bool,
    /// The plan of the current incarnation, printed if the run fails.
    plan: Option<Plan>,
    pub count: Count,
    /// The operations that changed the disk, line by line.
    pub trace: String,
}

impl Run {
    pub fn new(seed: u64, mode: Mode) -> Self {
        Self {
            seed,
            mode,
            rng: fastrand::Rng::with_seed(seed),
            disk: SimDisk::new(seed),
            commits: Commits::default(),
            calls: AtomicU64::new(1),
            history: History::new(),
            known: ClientKnowledge::default(),
            feed_checker: FeedChecker::new(seed),
            follower_checker: FollowerChecker::new(seed),
            promised: Lsn::START,
            history_restarts: false,
            plan: None,
            count: Count { runs: 1, ..Count::default() },
            trace: String::new(),
        }
    }

    /// Runs at least three incarnations, and then reads everything once more.
    pub fn execute(&mut self) {
        for _ in 0..self.rng.u32(3..6) {
            let plan = Plan::random(&mut self.rng);
            self.run_incarnation(&plan);
            self.interrupt_openings(&plan);
        }
        let store = self.recover(&self.scheduler(&ManualScheduler::new()));
        self.record_state(&store);
        self.count.actions += self.history.len() as u64;
        self.count.fed += self.feed_checker.records;
        self.count.resumed += self.feed_checker.resumed;
        self.count.followed += self.follower_checker.states;
    }

    /// Opens the store, and crashes again while it opens.
    fn interrupt_openings(&mut self, plan: &Plan) {
        for (operations, crash) in &plan.interrupted_openings {
            self.disk.stop_at(self.disk.operations() + operations);
            let opened = self.open_with(&self.scheduler(&ManualScheduler::new()));
            if let Err(error) = &opened {
                assert!(self.disk.failures() > 0, "locked out: {}", error.chain());
            }
            self.crash(crash);
        }
    }

    fn scheduler(&self, manual: &ManualScheduler) -> Arc<dyn Scheduler> {
        match self.mode {
            Mode::Threads => Threads::shared(),
            Mode::OneThread | Mode::LyingDisk => Arc::new(manual.clone()),
        }
    }

    fn open_with(&self, scheduler: &Arc<dyn Scheduler>) -> kv_core::Result<Store> {
        let pauses = if self.mode == Mode::Threads { Pauses::Some } else { Pauses::None };
        open(&self.disk, &self.commits, scheduler, pauses)
    }

    fn crash(&mut self, choice: &CrashChoice) {
        self.trace += &self.disk.take_trace();
        self.disk = self.disk.crash(choice);
    }

    /// Opens what a crash left. It must be a prefix of the commits, with everything promised.
    fn recover(&mut self, scheduler: &Arc<dyn Scheduler>) -> Store {
        let store = self.open_with(scheduler).unwrap_or_else(|error| panic!("locked out: {}", error.chain()));
        let (position, committed) = (store.recovery().position, Lsn(self.commits.lock().len() as u64));
        assert!(store.recovery().bad_checkpoints.is_empty(), "{}", store.recovery());
        assert!(position >= self.promised, "{position} was recovered, but {} was promised", self.promised);
        assert!(position <= committed, "{position} was recovered, but {committed} is the last that was committed");
        self.count.on_checkpoints += u64::from(store.recovery().checkpoint.is_some());
        self.count.lost += committed.0 - position.0;
        self.commits.cut(position);
        let answers = std::mem::take(&mut self.known.answers);
        self.count.answers += answers.len() as u64;
        observations::check_answers(&self.commits, position, answers);
        self.known.published = self.known.published.min(position);
        let expected = self.commits.state_at(position);
        assert!(content(&store).unwrap() == *expected.collections(), "the state at {position} differs");
        self.promised = position; // it is visible now, so it must stay
        if std::mem::take(&mut self.history_restarts) {
            self.restart_history(&expected);
        }
        store
    }

    /// Checks the history so far, and begins a new one with the current state.
    fn restart_history(&mut self, model: &Model) {
        self.check();
        self.count.actions += self.history.len() as u64;
        self.history = History::new();
        let mut thread = self.history.thread();
        for (collection, entries) in model.collections() {
            for (key, value) in entries {
                let put = thread.invoke();
                let key = format!("{collection}/{}", str::from_utf8(key).unwrap());
                thread.returned(&put, [Part::certain(key, Action::Put(tag(value)))]);
            }
        }
        self.history.add(thread);
    }

    fn check(&self) {
        if let Err(violation) = self.history.check() {
            panic!("{violation}");
        }
    }

    /// Records the current state as a part of the history.
    fn record_state(&mut self, store: &Store) {
        let mut reader = Worker::new(store, &self.history, 0, Levels::Disk, &self.calls, &self.commits);
        reader.read_all();
        reader.finish(&mut self.history, &mut self.known);
        self.check();
    }

    fn run_incarnation(&mut self, plan: &Plan) {
        let manual = ManualScheduler::new();
        let store = self.recover(&self.scheduler(&manual));
        self.record_state(&store);
        self.plan = Some(plan.clone());
        self.begin_disk_fault(plan);
        self.work(plan, &store, &manual);
        self.end(plan, &store);
        self.feed_checker.end();
        drop(store); // the old process cannot change what the crash left
    }

    fn begin_disk_fault(&self, plan: &Plan) {
        if let Some(disk_fault) = plan.disk_fault {
            disk_fault.begin(&self.disk);
        }
        match self.mode {
            Mode::Threads => self.disk.fail(slow_log()),
            Mode::OneThread => {}
            Mode::LyingDisk => self.disk.lie(),
        }
        if let End::StopAt(operations) = plan.end {
            self.disk.stop_at(self.disk.operations() + operations);
        }
    }

    fn work(&mut self, plan: &Plan, store: &Store, manual: &ManualScheduler) {
        let (opened, failures) = (store.recovery().position, self.known.failures);
        self.feed_checker.begin(opened);
        self.follower_checker.begin(&self.disk, opened);
        let seeds: Vec<_> = (0..WORKERS).map(|_| self.rng.u64(..)).collect();
        let has_threads = self.mode == Mode::Threads;
        let worker = |seed: &u64| {
            let mut worker = Worker::new(store, &self.history, *seed, plan.levels, &self.calls, &self.commits);
            worker.has_threads = has_threads;
            worker
        };
        let workers: Vec<_> = seeds.iter().map(worker).collect();
        let checkers = Checkers { feed: &mut self.feed_checker, follower: &mut self.follower_checker };
        let workers = match self.mode {
            Mode::Threads => work_in_threads(workers, plan.calls, store, self.rng.u32(..4), checkers),
            Mode::OneThread | Mode::LyingDisk => {
                work_in_turn(workers, plan.calls, store, &mut self.rng, manual, checkers)
            }
        };
        self.feed_checker.finish(store);
        self.known.synced = self.known.synced.max(self.feed_checker.given).max(self.follower_checker.highest);
        self.known.failures += std::mem::take(&mut self.feed_checker.failures);
        self.known.failures += std::mem::take(&mut self.follower_checker.failures);
        self.follower_checker.end(&self.commits);
        let finish = |worker: Worker<'_>| worker.finish(&mut self.history, &mut self.known);
        let observations: Vec<_> = workers.into_iter().flat_map(finish).collect();
        self.count.observations += observations.len() as u64;
        let events = std::mem::take(&mut self.feed_checker.events);
        observations::check(&self.commits, opened, observations, events, &mut self.feed_checker.model);
        self.count.incarnations += 1;
        self.count.writes += self.commits.lock().len() as u64 - opened.0;
        self.count.failures += self.known.failures - failures;
        assert!(!plan.is_fault_free() || self.known.failures == failures, "something failed without a fault");
    }

    /// Ends the process as planned, and notes what must be there afterwards.
    fn end(&mut self, plan: &Plan, store: &Store) {
        let closed = plan.end == End::Close && store.close().is_ok();
        assert!(closed || plan.end != End::Close || !plan.is_fault_free(), "closing failed without a fault");
        // A sync that fails and drops data also loses what only the kernel had.
        let forgets = matches!(plan.disk_fault, Some(DiskFault::SyncFails { forgets: true, .. }));
        let keeps_all = plan.crashes().all(|crash| crash.model == CrashModel::Killed) && !forgets;
        self.promised = if closed { Lsn(self.commits.lock().len() as u64) } else { self.promise(keeps_all) };
        self.history_restarts |= !(closed || keeps_all || plan.levels == Levels::Disk);
        self.crash(&plan.crash);
        self.history.crash();
    }

    /// The last position that must be there. If the kernel keeps everything, this is the last write
    /// that was acknowledged or seen. Otherwise it is the last `Disk` write up to that one: it was
    /// durable before anything above it was published.
    fn promise(&self, keeps_all: bool) -> Lsn {
        let (mut promised, mut last_disk) = (self.promised, Lsn::START);
        for (lsn, write) in (1..).map(Lsn).zip(self.commits.lock().iter()) {
            if write.durability == Durability::Disk {
                last_disk = lsn;
            }
            let was_answered =
                [&self.known.acknowledged, &self.known.seen].iter().any(|calls| calls.contains(&write.call));
            if was_answered || lsn <= self.known.published {
                promised = promised.max(if keeps_all { lsn } else { last_disk });
            }
        }
        promised.max(self.known.synced)
    }
}

/// Injects no failure, but makes changes to the log slow, as on a real disk, so that other threads
/// run meanwhile.
fn slow_log() -> Fault {
    Fault::when(|event| {
        if event.kind.changes() && event.path.starts_with("log/") {
            pause();
        }
        false
    })
}

impl Drop for Run {
    /// Prints how to repeat a run that fails.
    #[expect(clippy::print_stderr, reason = "a failing run says how to repeat it")]
    fn drop(&mut self) {
        let test = match self.mode {
            Mode::Threads => "histories_of_threads",
            Mode::OneThread => "histories_on_one_thread",
            Mode::LyingDisk => return, // it must fail
        };
        if thread::panicking() {
            let command = format!("cargo test -p kv-store --test histories {test}");
            eprintln!("failed in incarnation {}: {:?}", self.count.incarnations, self.plan);
            eprintln!("again: KV_HISTORIES_SEED={} KV_HISTORIES_SEEDS=1 {command}", self.seed);
        }
    }
}
