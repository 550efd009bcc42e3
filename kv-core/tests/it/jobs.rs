//! No job dies unnoticed: if a background job panics, that counts as a failed flush or a failed
//! checkpoint.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use kv_core::{
    Commit, Crash, Durability, Error, Log, Lsn, MemoryCheckpointer, MemoryLog, Result, Store, StoreOptions,
    background::{Job, Next, Scheduler, Threads, Wake},
};
use kv_testkit::ManualScheduler;

use crate::{
    assert_error,
    panicking::{Calls, PanickingCheckpointer, PanickingLog, When, must_not_panic},
    support::{Media, entries},
};

/// The outcome of a commit; `None` if it is not known yet.
fn outcome(commit: &mut Commit) -> Option<Result<()>> {
    match Pin::new(commit).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A store on backends that can panic at any call, with two checkpoints and some work for each job.
struct Subject {
    media: Media,
    calls: Arc<Calls>,
    scheduler: ManualScheduler,
    store: Store,
}

impl Subject {
    fn new() -> Self {
        let (media, calls, scheduler) = (Media::default(), Arc::<Calls>::default(), ManualScheduler::new());
        let log = PanickingLog { inner: MemoryLog::open(&media.log).unwrap(), calls: Arc::clone(&calls) };
        let checkpointer = PanickingCheckpointer { inner: media.checkpointer(), calls: Arc::clone(&calls) };
        let options = StoreOptions {
            checkpoint_record_bytes: 1000,
            scheduler: Arc::new(scheduler.clone()),
            ..StoreOptions::default()
        };
        let store = Store::with_backends(Arc::new(log), Arc::new(checkpointer), options).unwrap();
        for key in ["1", "2"] {
            store.collection("disk").unwrap().put(key, "v").unwrap();
            store.checkpoint().unwrap().unwrap();
        }
        store.collection("process").unwrap().with_durability(Durability::Process).put("k", "v").unwrap();
        store.collection("disk").unwrap().put("3", vec![0; 1000]).unwrap();
        Self { media, calls, scheduler, store }
    }

    /// Runs the job with one call of a backend panicking, while a commit waits. Returns whether the
    /// job made that many calls.
    fn run(&self, job: &str, number: u64, when: When) -> bool {
        let mut commit = self.store.collection("deferred").unwrap().deferred().put("k", "v").unwrap();
        assert!(outcome(&mut commit).is_none());
        self.calls.arm(number, when);
        must_not_panic(|| self.scheduler.run(job));
        let panicked = self.calls.disarm();
        self.scheduler.run("kv-flush"); // the commit requested it
        assert!(outcome(&mut commit).is_some(), "call {number}, {when:?}: the commit hangs");
        panicked
    }

    /// Checks that every acknowledged write is there, after reopening and after a power cut.
    fn check_acknowledged(self) {
        let Self { media, store, .. } = self;
        let cut = media.after(Crash::PowerCut).open().unwrap();
        drop(store);
        for reopened in [cut, media.open().unwrap()] {
            let keys: Vec<_> = entries(&reopened, "disk").into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys, [b"1", b"2", b"3"]);
        }
    }
}

#[test]
fn a_panic_at_any_call_of_the_flusher_fails_the_flush() {
    let mut panics = 0;
    for when in [When::Before, When::After] {
        for number in 1.. {
            let subject = Subject::new();
            let panicked = subject.run("kv-flush", number, when);
            let refused = subject.store.collection("disk").unwrap().put("4", "v");
            if !panicked {
                refused.unwrap();
                break;
            }
            let error = refused.unwrap_err();
            assert!(matches!(&error, Error::Poisoned { .. }), "call {number}: {error:?}");
            assert!(error.chain().contains("panicked"), "call {number}: {}", error.chain());
            assert_error!(subject.store.close(), Error::Poisoned { .. } | Error::OutcomeUnknown { .. });
            subject.check_acknowledged();
            panics += 1;
        }
    }
    assert!(panics >= 4, "the flusher calls `sync` and `bounds` of the log");
}

#[test]
fn a_panic_at_any_call_of_a_checkpoint_fails_the_checkpoint() {
    let mut panics = 0;
    for when in [When::Before, When::After] {
        for number in 1.. {
            let subject = Subject::new();
            if !subject.run("kv-checkpoint", number, when) {
                assert_eq!(subject.store.stats().checkpoint_error, None);
                break;
            }
            let error = subject.store.stats().checkpoint_error.expect("the failure is not reported");
            assert!(error.contains("panicked"), "call {number}: {error}");
            let disk = subject.store.collection("disk").unwrap();
            match disk.put("3", vec![0; 1000]) {
                Ok(()) => {
                    subject.scheduler.run("kv-checkpoint");
                    assert_eq!(
                        subject.store.stats().checkpoint_error,
                        None,
                        "call {number}: the next attempt succeeds"
                    );
                    assert_eq!(subject.store.stats().memory_entries, 0);
                }
                Err(Error::Poisoned { .. }) => {} // the flush panicked
                Err(error) => panic!("call {number}: {error:?}"),
            }
            drop(disk);
            subject.check_acknowledged();
            panics += 1;
        }
    }
    assert!(panics >= 20, "{panics}: a checkpoint flushes, reads, writes, trims, lists and removes");
}

/// With real threads, as in a program, and a backend that goes on after its panic as if nothing had
/// happened.
#[test]
fn a_waiting_commit_fails_when_the_flusher_thread_panics() {
    let (media, calls) = (Media::default(), Arc::<Calls>::default());
    let log = PanickingLog { inner: MemoryLog::open(&media.log).unwrap(), calls: Arc::clone(&calls) };
    let store = Store::with_backends(Arc::new(log), media.checkpointer(), StoreOptions::default()).unwrap();
    let all = store.collection("all").unwrap();
    all.put("k", "old").unwrap();
    calls.arm_in("kv-flush", 1, When::Before);
    let mut commit = all.deferred().put("k", "new").unwrap();
    let mut received = None;
    until("the commit does not fail", || {
        received = outcome(&mut commit);
        received.is_some()
    });
    assert!(calls.disarm());
    assert_error!(received.unwrap(), Error::OutcomeUnknown { .. });
    assert_error!(all.with_durability(Durability::Process).put("k", "newer"), Error::Poisoned { .. });
    assert_eq!(all.get("k").unwrap().unwrap(), "old");
}

#[test]
fn checkpoints_go_on_after_one_that_panicked_in_its_thread() {
    let (media, calls) = (Media::default(), Arc::<Calls>::default());
    let checkpointer = PanickingCheckpointer { inner: media.checkpointer(), calls: Arc::clone(&calls) };
    let options = StoreOptions { checkpoint_record_bytes: 1000, ..StoreOptions::default() };
    let store =
        Store::with_backends(Arc::new(MemoryLog::open(&media.log).unwrap()), Arc::new(checkpointer), options).unwrap();
    let all = store.collection("all").unwrap();
    calls.arm_in("kv-checkpoint", 1, When::Before);
    all.put("k", vec![0; 1000]).unwrap();
    until("the failure is not reported", || store.stats().checkpoint_error.is_some());
    assert!(calls.disarm());
    all.put("k2", vec![0; 1000]).unwrap();
    until("no further checkpoint is made", || store.stats().checkpoint_size.entries == 3);
    assert_eq!(store.stats().checkpoint_error, None);
}

/// Panics if its field is `true`.
struct Fragile(bool);

impl Job for Fragile {
    fn run(&mut self) -> Next {
        assert!(!self.0, "on purpose");
        Next::WhenWoken
    }
}

#[test]
fn waking_a_job_that_is_dead_is_an_error() {
    let sound = Threads.spawn("sound", Box::new(Fragile(false))).unwrap();
    let fragile = Threads.spawn("fragile", Box::new(Fragile(true))).unwrap();
    fragile.wake().unwrap();
    let mut received = None;
    until("the wake-up was accepted", || {
        received = fragile.wake().err();
        received.is_some()
    });
    assert_eq!(received.unwrap().to_string(), "fragile panicked: on purpose");
    sound.wake().unwrap();

    let scheduler = ManualScheduler::new();
    let fragile = scheduler.spawn("fragile", Box::new(Fragile(true))).unwrap();
    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scheduler.run("fragile")));
    assert!(run.is_err() && fragile.wake().is_err() && scheduler.jobs().is_empty());
}

/// Drops the jobs that it is given. Waking one of them fails.
struct DeadScheduler;

impl Scheduler for DeadScheduler {
    fn spawn(&self, name: &'static str, _: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(DeadJob(name)))
    }
}

struct DeadJob(&'static str);

impl Wake for DeadJob {
    fn wake(&self) -> Result<()> {
        Err(Error::Panicked { what: self.0, message: "lost".to_owned() })
    }
}

#[test]
fn a_store_whose_jobs_are_dead_says_so() {
    let open = || {
        let options =
            StoreOptions { scheduler: Arc::new(DeadScheduler), checkpoint_record_bytes: 1000, ..Default::default() };
        Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options).unwrap()
    };
    let store = open();
    let all = store.collection("all").unwrap();
    all.put("k", vec![0; 1000]).unwrap();
    assert_eq!(store.stats().checkpoint_error.unwrap(), "kv-checkpoint panicked: lost");
    assert_error!(all.with_durability(Durability::Process).put("k", "v"), Error::OutcomeUnknown { .. });
    assert_error!(all.put("k", "v"), Error::Poisoned { .. });

    let store = open();
    let mut commit = store.collection("all").unwrap().deferred().put("k", "v").unwrap();
    assert_error!(outcome(&mut commit).expect("the commit waits for a dead flusher"), Error::OutcomeUnknown { .. });
}

/// With the settings that [`StoreOptions`] documents for this.
#[test]
fn with_checkpoints_by_call_only_everything_else_works() {
    let media = Media::default();
    let options = StoreOptions {
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        close_checkpoint_record_bytes: u64::MAX,
        flush_interval: Duration::from_millis(1),
        ..StoreOptions::default()
    };
    let log = Arc::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(Arc::clone(&log) as _, media.checkpointer(), options).unwrap();
    let all = store.collection("all").unwrap().with_durability(Durability::Process);
    let mut last = Lsn::START;
    for key in 0..1000_u32 {
        all.put(key.to_le_bytes(), vec![0; 100_000]).unwrap();
        last = last.next();
    }
    until("a Process write is not flushed", || log.bounds().durable >= last);
    let mut commit = store.collection("all").unwrap().deferred().put("k", "v").unwrap();
    until("a deferred write is not completed", || outcome(&mut commit).is_some_and(|outcome| outcome.is_ok()));
    store.close().unwrap();
    assert!(media.checkpointer().list().unwrap().is_empty(), "a checkpoint was made without a call");
}
