//! Wakers are foreign code: they may call the store that wakes them, and may panic.

use std::{
    panic::panic_any,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use kv_core::{
    Changes, Checkpoint, CheckpointId, Checkpointer, Commit, Effort, Error, MemoryCheckpointer, MemoryLog,
    ReadCacheStats, Result, Store, StoreOptions,
};
use kv_testkit::ManualScheduler;

use crate::{
    assert_error,
    panicking::Bomb,
    support::{GatedLog, Media},
};

/// A waker that makes a call and sends its result.
struct Calling {
    call: Box<dyn Fn() -> Result<()> + Send + Sync>,
    returned: Mutex<mpsc::Sender<Result<()>>>,
}

impl Wake for Calling {
    fn wake(self: Arc<Self>) {
        let result = (self.call)();
        let _ = self.returned.lock().unwrap().send(result);
    }
}

/// A waker that makes the call, and the channel that receives its result.
fn calling(call: impl Fn() -> Result<()> + Send + Sync + 'static) -> (Waker, mpsc::Receiver<Result<()>>) {
    let (send, receive) = mpsc::channel();
    (Waker::from(Arc::new(Calling { call: Box::new(call), returned: Mutex::new(send) })), receive)
}

fn wait(commit: &mut Commit, waker: &Waker) {
    assert!(Pin::new(commit).poll(&mut Context::from_waker(waker)).is_pending());
}

/// Runs the call in a thread, so that a call that hangs fails the test.
fn within_time<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(call()));
    receive.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{what} hangs, or has panicked"))
}

/// A store whose jobs run only when the test runs them. A checkpoint is always due.
fn quiet() -> (ManualScheduler, Store) {
    let scheduler = ManualScheduler::new();
    let options =
        StoreOptions { checkpoint_medium_bytes: 0, scheduler: Arc::new(scheduler.clone()), ..StoreOptions::default() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options).unwrap();
    (scheduler, store)
}

type Call = fn(&Store) -> Result<()>;

const FROM_A_WAKER: [(&str, Call); 5] = [
    ("checkpoint", |store| store.checkpoint().map(drop)),
    ("close", Store::close),
    ("sync", Store::sync),
    ("put", |store| store.collection("all")?.put("from a waker", "v")),
    ("transact", |store| store.transact(|tx| tx.put("all", "from a waker", "v"))),
];

type Move = fn(&ManualScheduler, &Store);

/// For everything that moves the published position and so wakes a waker.
#[test]
fn a_waker_may_make_any_call_to_the_store_that_wakes_it() {
    let moves: [(&str, Move); 7] = [
        ("checkpoint", |_, store| drop(store.checkpoint())),
        ("close", |_, store| drop(store.close())),
        ("sync", |_, store| store.sync().unwrap()),
        ("put", |_, store| drop(store.collection("all").unwrap().put("k2", "v"))),
        ("a refusal", |_, store| {
            assert_error!(store.collection("all").unwrap().delete("no"), Error::KeyNotFound { .. });
        }),
        ("the flusher", |scheduler, _| assert!(scheduler.run("kv-flush").is_some())),
        ("the checkpoint job", |scheduler, _| assert!(scheduler.run("kv-checkpoint").is_some())),
    ];
    for (mover, moves) in moves {
        for (name, call) in FROM_A_WAKER {
            let what = format!("{name} from a waker that {mover} wakes");
            let (scheduler, store) = quiet();
            let mut commit = store.collection("all").unwrap().deferred().put("k", "v").unwrap();
            let (waker, returned) = calling({
                let store = store.clone();
                move || call(&store)
            });
            wait(&mut commit, &waker);
            within_time(&what, move || moves(&scheduler, &store));
            match returned.try_recv().unwrap_or_else(|_| panic!("{what}: no waker ran")) {
                Err(Error::Closed) if mover == "close" => {}
                result => result.unwrap_or_else(|error| panic!("{what}: {error}")),
            }
        }
    }
}

/// The closure holds the writer's lock, and the waker needs it.
#[test]
fn a_waker_woken_inside_a_closure_runs_after_it() {
    let moves: [(&str, Move); 3] = [
        ("a sync", |_, store| store.sync().unwrap()),
        ("a checkpoint", |_, store| assert!(store.checkpoint().unwrap().is_some())),
        ("a put", |_, store| store.collection("all").unwrap().put("k2", "v").unwrap()),
    ];
    for is_same in [true, false] {
        for (mover, moves) in moves {
            if is_same && mover != "a sync" {
                continue; // refused inside a closure of the same store
            }
            let what = format!("{mover} of the {} store", if is_same { "same" } else { "other" });
            let ((scheduler, outer), (_, other)) = (quiet(), quiet());
            let moved = if is_same { outer.clone() } else { other };
            let mut commit = moved.collection("all").unwrap().deferred().put("k", "v").unwrap();
            let (waker, returned) = calling({
                let outer = outer.clone();
                move || outer.collection("all")?.put("from a waker", "v")
            });
            wait(&mut commit, &waker);
            let returned = within_time(&what, move || {
                outer
                    .transact(|tx| {
                        moves(&scheduler, &moved);
                        assert!(returned.try_recv().is_err(), "it ran under the writer's lock");
                        tx.put("all", "k3", "v")
                    })
                    .unwrap();
                returned.try_recv()
            });
            returned.unwrap_or_else(|_| panic!("{what}: no waker ran")).unwrap();
        }
    }
}

/// A checkpointer whose `write` blocks until the test lets it go on.
struct BlockedCheckpointer {
    inner: MemoryCheckpointer,
    go_on: Mutex<mpsc::Receiver<()>>,
}

#[deny(clippy::missing_trait_methods)]
impl Checkpointer for BlockedCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        self.inner.list()
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.inner.open(id)
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        self.go_on.lock().unwrap().recv().unwrap();
        self.inner.write(previous, changes)
    }

    fn open_damaged(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.inner.open_damaged(id)
    }

    fn damage(&self) -> Option<Arc<Error>> {
        self.inner.damage()
    }

    fn read_cache(&self) -> Option<ReadCacheStats> {
        self.inner.read_cache()
    }

    fn removed_bytes(&self) -> u64 {
        self.inner.removed_bytes()
    }

    fn maintain(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        self.inner.maintain(effort, cancelled)
    }

    fn verify(&self, id: CheckpointId, cancelled: &dyn Fn() -> bool) -> Result<()> {
        self.inner.verify(id, cancelled)
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        self.inner.remove(id)
    }
}

#[test]
fn a_commit_that_a_checkpoint_flushes_does_not_wait_for_the_checkpoint() {
    let (go_on, receive) = mpsc::channel();
    let checkpointer = BlockedCheckpointer { inner: MemoryCheckpointer::new(), go_on: Mutex::new(receive) };
    let options = StoreOptions { scheduler: Arc::new(ManualScheduler::new()), ..StoreOptions::default() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(checkpointer), options).unwrap();
    let mut commit = store.collection("all").unwrap().deferred().put("k", "v").unwrap();
    let (waker, woken) = calling(|| Ok(()));
    wait(&mut commit, &waker);
    thread::scope(|scope| {
        let checkpoint = scope.spawn(|| store.checkpoint().unwrap().unwrap());
        let received = woken.recv_timeout(Duration::from_secs(20));
        assert!(!checkpoint.is_finished());
        go_on.send(()).unwrap();
        received.expect("it waits for the checkpoint").unwrap();
    });
}

/// Panics when it is woken, with a payload that panics when it is dropped.
#[derive(Default)]
struct Bombing(AtomicUsize);

impl Wake for Bombing {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic_any(Bomb);
    }
}

#[test]
fn a_waker_whose_panic_panics_again_affects_no_other_waiter() {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(Arc::clone(&log) as _, media.checkpointer(), StoreOptions::default()).unwrap();
    let all = store.collection("all").unwrap();
    let bombing = Arc::<Bombing>::default();
    for round in 0..2 {
        log.shut();
        let [mut first, mut second] = ["k1", "k2"].map(|key| all.deferred().put(key, "v").unwrap());
        wait(&mut first, &Waker::from(Arc::clone(&bombing)));
        let (waker, woken) = calling(|| Ok(()));
        wait(&mut second, &waker);
        log.open(); // the flusher wakes both
        woken.recv_timeout(Duration::from_secs(20)).expect("the flusher is dead").unwrap();
        assert_eq!(bombing.0.load(Ordering::SeqCst), round + 1);
    }
    all.put("k3", "v").unwrap();
}
