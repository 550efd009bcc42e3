//! Writes whose caller waits for them later, or not at all.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use kv_core::{Batch, Commit, Durability, Error, Lsn, MemoryLog, Result, Store, StoreOptions};

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
    let mut commits: Vec<_> = (0..5000u32).map(|n| all.put_deferred("k", n.to_be_bytes()).unwrap()).collect();
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
    let commit = store.write_deferred(Batch::new().put("all", "k", "v")).unwrap();
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
    drop(store.write_deferred(Batch::new().put("all", "k", "v")).unwrap());
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
    let mut commits = (0..3).map(|n| store.write_deferred(Batch::new().put("all", [n], "v")).unwrap());
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
    let commit = all.put_deferred("k", "v").unwrap();
    assert!(all.contains("k").unwrap());
    commit.wait().unwrap();
    let batch = store.write_deferred_with(Batch::new().put("all", "b", "v"), Durability::Disk).unwrap();
    let ((), tx) = store.transact_deferred_with(Durability::Disk, |tx| tx.put("all", "t", "v")).unwrap();
    batch.wait().unwrap();
    tx.wait().unwrap();
    assert_eq!(store.stats().log.durable, Lsn(3), "both requested `Disk`");
    let disk = all.with_durability(Durability::Disk).put_deferred("k", "w").unwrap();
    store.close().unwrap();
    block_on(disk).unwrap();
    assert_eq!(all.get("k").unwrap().unwrap(), "w");
}

#[test]
fn a_transaction_is_deferred_with_its_result() {
    let store = Media::default().open().unwrap();
    let (before, commit) = store
        .transact_deferred(|tx| {
            let before = tx.contains("all", "k")?;
            tx.put("all", "k", "v").map(|()| before)
        })
        .unwrap();
    assert!(!before);
    commit.wait().unwrap();
    let (there, nothing) = store.transact_deferred(|tx| tx.contains("all", "k")).unwrap();
    assert!(there);
    assert_eq!(nothing.lsn(), Lsn(1));
    block_on(nothing).unwrap();
    assert_eq!(store.stats().log.appended, Lsn(1));
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
fn poll(future: &mut Commit, waker: &Arc<Counting>) -> Poll<Result<()>> {
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
        let (there, mut answer) = store.transact_deferred_with(Durability::Process, read).unwrap();
        assert!(there);
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
        let [mut first, mut second] = ["k1", "k2"].map(|key| all.put_deferred(key, "v").unwrap());
        assert!(poll(&mut first, &panicking).is_pending());
        let waker = Arc::<Counting>::default();
        assert!(poll(&mut second, &waker).is_pending());
        log.open();
        block_on(second).unwrap();
        block_on(first).unwrap();
        block_on(all.put_deferred("k3", "v").unwrap()).unwrap();
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
        let mut owned = all.put_deferred("owned", "v").unwrap();
        assert!(poll(&mut owned, &Arc::default()).is_pending());
        Waker::from(Arc::new(Task(Mutex::new(owned))))
    };
    for replaced in [true, false] {
        let mut commit = all.put_deferred("k", "v").unwrap();
        assert!(Pin::new(&mut commit).poll(&mut Context::from_waker(&task())).is_pending());
        if replaced {
            assert!(poll(&mut commit, &Arc::default()).is_pending());
        }
    }
    log.open();
}
