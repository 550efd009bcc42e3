//! Writes whose caller waits for them later, or not at all.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use kv_core::{Batch, Collection, Commit, Durability, Error, Lsn, MemoryLog, Result, Store, StoreOptions};

use crate::{
    assert_error,
    support::{GatedLog, Media},
};

/// Runs a future to completion on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn gated() -> (Arc<GatedLog>, Store) {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    (Arc::clone(&log), Store::with_backends(log, media.checkpointer(), StoreOptions::default()).unwrap())
}

#[test]
fn one_thread_has_thousands_in_flight_and_they_come_in_order() {
    let (log, store) = gated();
    let all = store.collection("all").unwrap();
    log.shut();
    let mut commits: Vec<_> = (0..5000u32).map(|n| all.deferred().put("k", n.to_be_bytes()).unwrap()).collect();
    assert!(commits.iter().map(Commit::lsn).eq((1..=5000).map(Lsn)));
    assert_eq!(all.get("k").unwrap(), None, "a Disk write is not seen before it is durable");
    log.open();
    commits.remove(2500).wait().unwrap();
    assert!(u32::from_be_bytes((*all.get("k").unwrap().unwrap()).try_into().unwrap()) >= 2500);
    for commit in commits {
        block_on(commit).unwrap();
    }
    assert_eq!(all.get("k").unwrap().unwrap(), 4999u32.to_be_bytes());
}

#[test]
fn a_commit_is_awaited_without_a_runtime() {
    let (log, store) = gated();
    log.shut();
    let commit = store.deferred().write(Batch::new().put("all", "k", "v")).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(commit));
        log.until_a_sync_is_blocked();
        thread::sleep(Duration::from_millis(10));
        assert!(!waiting.is_finished());
        log.open();
        waiting.join().unwrap().unwrap();
    });
    assert!(store.collection("all").unwrap().contains("k").unwrap());
}

#[test]
fn a_dropped_commit_is_soon_published() {
    let (log, store) = gated();
    log.shut();
    drop(store.deferred().write(Batch::new().put("all", "k", "v")).unwrap());
    log.until_a_sync_is_blocked(); // the flusher, without waiting for its interval
    log.open();
    let start = Instant::now();
    while !store.collection("all").unwrap().contains("k").unwrap() {
        assert!(start.elapsed() < Duration::from_secs(20), "it was never published");
        thread::yield_now();
    }
}

#[test]
fn a_failed_flush_fails_every_waiting_commit() {
    let (log, store) = gated();
    log.shut();
    let mut commits = (0..3).map(|n| store.deferred().write(Batch::new().put("all", [n], "v")).unwrap());
    let (waited, awaited, dropped) = (commits.next().unwrap(), commits.next().unwrap(), commits.next().unwrap());
    drop(dropped);
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let waiting = [scope.spawn(|| waited.wait()), scope.spawn(|| block_on(awaited))];
        log.until_a_sync_is_blocked();
        log.fail_and_open();
        waiting.map(|thread| thread.join().unwrap()).into()
    });
    for result in results {
        assert_error!(result, Error::OutcomeUnknown { .. });
    }
    assert_eq!(store.collection("all").unwrap().len().unwrap(), 0);
}

#[test]
fn a_process_write_is_seen_at_once_and_a_close_completes_what_is_in_flight() {
    let media = Media::default();
    let options = StoreOptions { durability: Durability::Process, ..StoreOptions::default() };
    let store = media.open_with(options).unwrap();
    let all = store.collection("all").unwrap();
    let commit = all.deferred().put("k", "v").unwrap();
    assert!(all.contains("k").unwrap());
    commit.wait().unwrap();
    let batch = store.deferred().with_durability(Durability::Disk).write(Batch::new().put("all", "b", "v")).unwrap();
    let tx = store.deferred().with_durability(Durability::Disk).transact(|tx| tx.put("all", "t", "v")).unwrap();
    batch.wait().unwrap();
    tx.wait().unwrap();
    assert_eq!(store.stats().log.durable, Lsn(3), "both requested `Disk`");
    let disk = all.with_durability(Durability::Disk).deferred().put("k", "w").unwrap();
    store.close().unwrap();
    block_on(disk).unwrap();
    assert_eq!(all.get("k").unwrap().unwrap(), "w");
}

#[test]
fn a_transaction_is_deferred_with_its_result() {
    let store = Media::default().open().unwrap();
    let before = store.deferred().transact(|tx| {
        let before = tx.contains("all", "k")?;
        tx.put("all", "k", "v").map(|()| before)
    });
    assert!(!before.unwrap().wait().unwrap());
    let there = store.deferred().transact(|tx| tx.contains("all", "k")).unwrap();
    assert_eq!(there.lsn(), Lsn(1));
    assert!(block_on(there).unwrap());
    assert_eq!(store.stats().log.appended, Lsn(1));
}

/// Makes a call, and returns what checks its answer.
type Ask = fn(&Store, &Collection) -> Box<dyn FnOnce()>;

/// Each finds that `k` was deleted, and `a` and `z` are there; nothing of that is published.
const VERBS: &[(&str, Ask)] = &[
    ("put", |_, all| {
        let put = all.deferred().put("k", "w").unwrap();
        Box::new(move || put.wait().unwrap())
    }),
    ("get", |_, all| answers(all.deferred().get("k"), Option::is_none)),
    ("get_many", |_, all| {
        answers(all.deferred().get_many(&["k", "a"]), |found| found[0].is_none() && found[1].is_some())
    }),
    ("contains", |_, all| answers(all.deferred().contains("k"), |there| !there)),
    ("first", |_, all| answers(all.deferred().first(), |first| first.as_ref().unwrap().key == "a")),
    ("last", |_, all| answers(all.deferred().last(), |last| last.as_ref().unwrap().key == "z")),
    ("is_empty", |_, all| answers(all.deferred().is_empty(), |empty| !empty)),
    ("delete", |_, all| is_refused(all.deferred().delete("k"))),
    ("delete_if_present", |_, all| answers(all.deferred().delete_if_present("k"), |deleted| !deleted)),
    ("compare_and_set", |_, all| answers(all.deferred().compare_and_set("k", Some(b"v"), None), Result::is_err)),
    ("put_if_absent", |_, all| answers(all.deferred().put_if_absent("k", "w"), Option::is_none)),
    ("update", |_, all| answers(all.deferred().update("k", |old| old.map(<[u8]>::to_vec)), Option::is_none)),
    ("take", |_, all| answers(all.deferred().take("k"), Option::is_none)),
    ("pop_first", |_, all| answers(all.deferred().pop_first(), |first| first.as_ref().unwrap().key == "a")),
    ("pop_last", |_, all| answers(all.deferred().pop_last(), |last| last.as_ref().unwrap().key == "z")),
    ("drain", |_, all| answers(all.deferred().drain("b".."z"), Vec::is_empty)),
    ("write", |store, _| answers(store.deferred().write(Batch::new().delete("all", "a")), |()| true)),
    ("a write that is refused", |store, _| is_refused(store.deferred().write(Batch::new().delete("all", "k")))),
    ("transact", |store, _| answers(store.deferred().transact(|tx| tx.get("all", "k")), Option::is_none)),
    ("a transaction that gives up", |store, _| is_refused(store.deferred().transact(|tx| tx.delete("all", "k")))),
    ("create_collection", |store, _| answers(store.deferred().create_collection("b"), |created| *created)),
    ("drop_collection", |store, _| answers(store.deferred().drop_collection("all"), |()| true)),
    ("clear_collection", |store, _| answers(store.deferred().clear_collection("all"), |()| true)),
    ("rename_collection", |store, _| answers(store.deferred().rename_collection("all", "b"), |()| true)),
    ("a transaction that panics", |store, _| {
        let panics =
            store.deferred().transact(|tx| -> Result<()> { panic_any(tx.get("all", "k")?.is_none()) }).unwrap();
        Box::new(move || {
            let panic = catch_unwind(AssertUnwindSafe(|| panics.wait())).unwrap_err();
            assert!(*panic.downcast::<bool>().unwrap());
        })
    }),
];

fn answers<T: 'static>(call: Result<Commit<T>>, is_right: impl FnOnce(&T) -> bool + 'static) -> Box<dyn FnOnce()> {
    let mut commit = call.unwrap();
    assert!(poll(&mut commit, &Arc::default()).is_pending(), "it was answered before it was durable");
    Box::new(move || assert!(is_right(&commit.wait().unwrap())))
}

fn is_refused(call: Result<Commit>) -> Box<dyn FnOnce()> {
    let mut commit = call.unwrap();
    assert!(poll(&mut commit, &Arc::default()).is_pending(), "it was refused before that was durable");
    Box::new(move || assert_error!(commit.wait(), Error::KeyNotFound { .. }))
}

/// Opens the log also if an assertion fails. A store that is dropped waits for its flush.
struct Shut(Arc<GatedLog>);

impl Shut {
    fn new(log: &Arc<GatedLog>) -> Self {
        log.shut();
        Self(Arc::clone(log))
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Here each call runs in the thread that would open the log: if it waited, this test would not
/// end.
#[test]
fn no_deferred_verb_waits_for_the_disk_and_each_sees_what_was_written_before() {
    for (name, ask) in VERBS {
        let (log, store) = gated();
        let all = store.collection("all").unwrap();
        all.put("k", "v").unwrap();
        let shut = Shut::new(&log);
        let deferred = all.deferred();
        let written = [deferred.put("a", "v"), deferred.put("z", "v"), deferred.delete("k")].map(Result::unwrap);
        let answer = ask(&store, &all);
        assert!(all.contains("k").unwrap(), "{name}: it was published");
        drop(shut);
        answer();
        written.into_iter().for_each(|commit| commit.wait().unwrap());
    }
}

#[test]
fn a_pipeline_builds_on_its_own_writes() {
    let (log, store) = gated();
    let all = store.collection("all").unwrap().deferred();
    let shut = Shut::new(&log);
    let add_one = |count: Option<&[u8]>| Some([count.map_or(0, |count| count[0]) + 1]);
    let counts: Vec<_> = (0..100).map(|_| all.update("count", add_one).unwrap()).collect();
    let taken = all.take("count").unwrap();
    drop(shut);
    assert_eq!(taken.wait().unwrap().unwrap(), [100]);
    assert!((1..=100).eq(counts.into_iter().map(|count| count.wait().unwrap().unwrap()[0])));
}

/// A connection polls all that it has in flight with one waker, or one after the other. Either way
/// it is woken once.
#[test]
fn a_pipeline_is_woken_once_for_each_flush() {
    let (log, store) = gated();
    let all = store.collection("all").unwrap().deferred();
    let shut = Shut::new(&log);
    let mut commits: Vec<_> = (0..1000_u32).map(|n| all.put(n.to_be_bytes(), "v").unwrap()).collect();
    let waker = Arc::<Counting>::default();
    assert!(commits.iter_mut().all(|commit| poll(commit, &waker).is_pending()));
    drop(shut);
    store.sync().unwrap();
    assert!(commits.iter_mut().all(|commit| poll(commit, &waker).is_ready()));
    let woken = waker.woken.load(Ordering::SeqCst);
    assert!(woken <= 3, "{woken} wake-ups for 1,000 commits");
}

/// Counts its wake-ups, and panics at each one if told to.
#[derive(Default)]
struct Counting {
    woken: AtomicUsize,
    panics: bool,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "on purpose");
    }
}

/// Polls the future with this waker.
fn poll<T>(future: &mut Commit<T>, waker: &Arc<Counting>) -> Poll<Result<T>> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker))))
}

/// A transaction that wrote nothing and was requested with `Process` has no flush of its own: the
/// writes that it depends on are flushed by their writer.
#[test]
fn an_answer_fails_when_the_flush_of_what_it_depends_on_fails() {
    let (log, store) = gated();
    let all = store.collection("all").unwrap();
    log.shut();
    thread::scope(|scope| {
        let writer = scope.spawn(|| all.put("k", "v"));
        log.until_a_sync_is_blocked();
        let read = |tx: &mut kv_core::Transaction<'_>| tx.contains("all", "k");
        let mut answer = store.deferred().with_durability(Durability::Process).transact(read).unwrap();
        let waker = Arc::<Counting>::default();
        assert!(poll(&mut answer, &waker).is_pending());
        log.fail_and_open();
        assert_error!(writer.join().unwrap(), Error::OutcomeUnknown { .. });
        assert_eq!(waker.woken.load(Ordering::SeqCst), 1);
        assert!(matches!(poll(&mut answer, &waker), Poll::Ready(Err(Error::OutcomeUnknown { .. }))));
    });
}

/// The flusher goes on, and so does every other waiter.
#[test]
fn a_panicking_waker_affects_no_other_waiter() {
    let (log, store) = gated();
    let all = store.collection("all").unwrap();
    let panicking = Arc::new(Counting { panics: true, ..Counting::default() });
    for _ in 0..2 {
        log.shut();
        let [mut first, mut second] = ["k1", "k2"].map(|key| all.deferred().put(key, "v").unwrap());
        assert!(poll(&mut first, &panicking).is_pending());
        let waker = Arc::<Counting>::default();
        assert!(poll(&mut second, &waker).is_pending());
        log.open();
        block_on(second).unwrap();
        block_on(first).unwrap();
        block_on(all.deferred().put("k3", "v").unwrap()).unwrap();
    }
    assert!(panicking.woken.load(Ordering::SeqCst) > 0);
}

/// Such as the waker of a task that owns another commit, when the waker is all that keeps the task
/// alive.
#[test]
fn a_waker_may_drop_another_commit_when_it_is_dropped_itself() {
    struct Task(#[expect(dead_code, reason = "it is there to be dropped")] Mutex<Commit>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let (log, store) = gated();
    let all = store.collection("all").unwrap();
    log.shut();
    let task = || {
        let mut owned = all.deferred().put("owned", "v").unwrap();
        assert!(poll(&mut owned, &Arc::default()).is_pending());
        Waker::from(Arc::new(Task(Mutex::new(owned))))
    };
    for replaced in [true, false] {
        let mut commit = all.deferred().put("k", "v").unwrap();
        assert!(Pin::new(&mut commit).poll(&mut Context::from_waker(&task())).is_pending());
        if replaced {
            assert!(poll(&mut commit, &Arc::default()).is_pending());
        }
    }
    log.open();
}
