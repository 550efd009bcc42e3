//! Writers wait for background work, so that what waits for it stays bounded. Whatever does not end
//! or always fails exhausts no memory, and `close` returns.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use kv_core::{
    Changes, Checkpoint, CheckpointId, Checkpointer, Crash, Durability, Error, Lsn, MemoryCheckpointer, MemoryLog,
    Result, Store, StoreOptions,
};
use kv_testkit::ManualScheduler;

use crate::{
    assert_error,
    support::{GatedLog, Media, entries},
};

const THRESHOLD: u64 = 64 << 10;
/// Far more puts of 1,000 bytes than there is room for.
const PUTS_MAX: u32 = 5000;

/// A checkpointer whose writes can be held up, or made to fail.
#[derive(Default)]
struct Slow {
    inner: MemoryCheckpointer,
    shut: Mutex<bool>,
    opened: Condvar,
    fails: AtomicBool,
    /// Whether writes go on until they are cancelled.
    waits_for_cancelling: AtomicBool,
    holds_lists: AtomicBool,
    /// Whether a list has been held up.
    has_held_a_list: AtomicBool,
    writes: AtomicUsize,
}

impl Slow {
    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }
}

impl Checkpointer for Slow {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        while self.holds_lists.load(Ordering::SeqCst) {
            self.has_held_a_list.store(true, Ordering::SeqCst);
            thread::yield_now();
        }
        self.inner.list()
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        self.inner.open(id)
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        drop(self.opened.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
        while self.waits_for_cancelling.load(Ordering::SeqCst) {
            if changes.cancelled() {
                return Err(Error::Cancelled);
            }
            thread::yield_now();
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::Misuse("a test wants no checkpoint".into()));
        }
        self.inner.write(previous, changes)
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        self.inner.remove(id)
    }
}

fn options() -> StoreOptions {
    StoreOptions {
        checkpoint_record_bytes: THRESHOLD,
        room_wait: Duration::from_millis(50),
        close_wait: Duration::from_millis(50),
        ..StoreOptions::default()
    }
}

fn store_on(checkpointer: &Arc<Slow>) -> Store {
    Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), options()).unwrap()
}

/// Puts keys until the store refuses one, and returns how many it took, and the refusal.
fn fill(store: &Store, collection: &str, first: u32) -> (u32, Error) {
    let collection = store.collection(collection).unwrap();
    for number in first..first + PUTS_MAX {
        if let Err(error) = collection.put(number.to_be_bytes(), [7; 1000]) {
            return (number - first, error);
        }
    }
    panic!("{PUTS_MAX} puts have found room")
}

/// A store whose checkpointer is shut, and which has taken as much as it may. Returns the number of
/// puts that it took and the refusal of the next one.
fn full() -> (Arc<Slow>, Store, u32, Error) {
    let checkpointer = Arc::new(Slow::default());
    let store = store_on(&checkpointer);
    checkpointer.shut();
    let (taken, refusal) = fill(&store, "a", 0);
    (checkpointer, store, taken, refusal)
}

#[track_caller]
fn assert_bounded(store: &Store) {
    let stats = store.stats();
    let most = stats.wait_bytes + 2000; // the last record may go beyond the bound
    assert!(stats.unwritten_bytes <= most, "{} bytes wait, at most {most} may", stats.unwritten_bytes);
    assert!(stats.frozen_memtables <= 4, "{} memtables are frozen", stats.frozen_memtables);
}

#[test]
fn a_checkpoint_that_never_ends_exhausts_no_memory_and_hangs_neither_writers_nor_close() {
    let (checkpointer, store, taken, refusal) = full();
    assert_error!(Err::<(), _>(refusal), Error::Busy { .. });
    assert!(u64::from(taken) * 1000 > 2 * THRESHOLD, "{taken} is fewer than the bound allows");
    assert_bounded(&store);
    assert_eq!(store.collection("a").unwrap().len().unwrap(), taken.into(), "reads go on");
    assert_error!(store.transact(|tx| tx.put("a", "k", "v")), Error::Busy { .. });
    let closed = [store.close(), store.close()];
    assert_error!(store.collection("a").unwrap().put("k", "v"), Error::Closed);

    checkpointer.open();
    for closed in closed {
        assert_error!(closed, Error::StillClosing { .. });
    }
    while let Err(Error::StillClosing { .. }) = store.close() {} // closing goes on in the background
    assert_eq!(store.stats().frozen_memtables, 0);
    assert_eq!(entries(&store, "a").len(), taken as usize);
}

/// Closing would have to write the same again.
#[test]
fn closing_finishes_the_checkpoint_that_is_under_way() {
    let (checkpointer, store, taken, _) = full();
    while checkpointer.writes() == 0 {
        thread::yield_now();
    }
    let frozen = store.stats().frozen_memtables;
    assert!(frozen > 1);
    assert_error!(store.close(), Error::StillClosing { .. });
    checkpointer.open();
    while let Err(Error::StillClosing { .. }) = store.close() {}
    assert_eq!(checkpointer.writes(), frozen, "each memtable was written once");
    assert_eq!(store.stats().checkpoint_error, None);
    assert_eq!((store.stats().frozen_memtables, entries(&store, "a").len()), (0, taken as usize));
}

/// Otherwise the background would trim a log that is closed.
#[test]
fn closing_waits_until_the_background_has_trimmed_the_log() {
    let checkpointer = Arc::new(Slow::default());
    let store = store_on(&checkpointer);
    checkpointer.holds_lists.store(true, Ordering::SeqCst);
    let collection = store.collection("a").unwrap();
    let is_frozen = || store.stats().frozen_memtables > 0 || checkpointer.writes() > 0;
    (0..PUTS_MAX).take_while(|_| !is_frozen()).for_each(|key| collection.put(key.to_be_bytes(), [7; 1000]).unwrap());
    while checkpointer.writes() == 0 || store.stats().frozen_memtables > 0 {
        thread::yield_now();
    }
    assert_error!(store.close(), Error::StillClosing { .. });
    checkpointer.holds_lists.store(false, Ordering::SeqCst);
    while let Err(Error::StillClosing { .. }) = store.close() {}
    assert_eq!(store.stats().checkpoint_error, None);
}

/// Closing also waits for a checkpoint by call, even if this opening has written nothing.
#[test]
fn closing_what_was_only_read_waits_for_a_checkpoint_by_call() {
    let media = Media::default();
    let store = media.open().unwrap();
    store.collection("a").unwrap().put("k", "v").unwrap();
    drop(store);
    let checkpointer = Arc::new(Slow::default());
    let store =
        Store::with_backends(Arc::new(MemoryLog::open(&media.log).unwrap()), checkpointer.clone(), options()).unwrap();
    checkpointer.holds_lists.store(true, Ordering::SeqCst);
    let call = thread::spawn({
        let store = store.clone();
        move || store.checkpoint()
    });
    while !checkpointer.has_held_a_list.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    assert_error!(store.close(), Error::StillClosing { .. });
    checkpointer.holds_lists.store(false, Ordering::SeqCst);
    assert!(call.join().unwrap().unwrap().is_some());
    while let Err(Error::StillClosing { .. }) = store.close() {}
}

/// Closing writes what is frozen when it looks. What would be frozen later is left to the log.
#[test]
fn nothing_is_frozen_once_the_store_is_closed() {
    let (checkpointer, scheduler) = (Arc::new(Slow::default()), Arc::new(ManualScheduler::new()));
    let options = StoreOptions {
        checkpoint_medium_bytes: 1000,
        close_checkpoint_record_bytes: u64::MAX,
        scheduler: scheduler.clone(),
        ..options()
    };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), options).unwrap();
    let a = store.collection("a").unwrap().with_durability(Durability::Process);
    a.put("first", "v").unwrap();
    checkpointer.fails.store(true, Ordering::SeqCst);
    store.checkpoint().unwrap_err(); // what it froze is left, and the background begins with it
    checkpointer.fails.store(false, Ordering::SeqCst);
    checkpointer.shut();
    a.put("second", [7; 2000]).unwrap(); // the log has outgrown its medium
    let background = thread::spawn(move || scheduler.run("kv-checkpoint"));
    while checkpointer.writes() < 2 {
        thread::yield_now();
    }
    a.put("third", "v").unwrap();
    assert_error!(store.close(), Error::StillClosing { .. });
    while a.put("fourth", "v").is_ok() {} // until the store is closed
    checkpointer.open();
    background.join().unwrap();
    while let Err(Error::StillClosing { .. }) = store.close() {}
    assert_eq!((checkpointer.writes(), store.stats().frozen_memtables), (2, 0));
}

/// Whether the background writes the checkpoint, or a call of `close` that has given up waiting.
#[test]
fn dropping_the_last_handle_cancels_the_checkpoint_that_is_under_way() {
    for closes in [false, true] {
        let checkpointer = Arc::new(Slow::default());
        let store = store_on(&checkpointer);
        checkpointer.waits_for_cancelling.store(true, Ordering::SeqCst);
        fill(&store, "a", 0);
        while checkpointer.writes() == 0 {
            thread::yield_now();
        }
        if closes {
            assert_error!(store.close(), Error::StillClosing { .. });
        }
        thread::spawn(move || drop(store));
        let began = Instant::now();
        while Arc::strong_count(&checkpointer) > 1 {
            assert!(began.elapsed() < Duration::from_secs(20), "the checkpoint is not cancelled");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn writers_go_on_once_the_checkpoint_ends() {
    for wait_thresholds in [4, 1, 0] {
        let checkpointer = Arc::new(Slow::default());
        let options = StoreOptions { room_wait: Duration::from_secs(60), wait_thresholds, ..options() };
        let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), options).unwrap();
        checkpointer.shut();
        let writer = thread::spawn({
            let store = store.clone();
            move || (0..1000_u32).try_for_each(|key| store.collection("a")?.put(key.to_be_bytes(), [7; 1000]))
        });
        while store.stats().unwritten_bytes < store.stats().wait_bytes {
            assert!(!writer.is_finished(), "it does not wait");
            thread::sleep(Duration::from_millis(1));
        }
        assert_bounded(&store);
        checkpointer.open();
        writer.join().unwrap().unwrap();
        assert_eq!(store.collection("a").unwrap().len().unwrap(), 1000);
    }
}

#[test]
fn while_checkpoints_fail_writers_learn_why_and_go_on_afterwards() {
    let checkpointer = Arc::new(Slow::default());
    let store = store_on(&checkpointer);
    checkpointer.fails.store(true, Ordering::SeqCst);
    let (taken, refusal) = fill(&store, "a", 0);
    let Error::CheckpointsFail { cause, .. } = &refusal else { panic!("{refusal:?}") };
    assert!(cause.contains("a test wants no checkpoint"), "{cause}");
    assert_bounded(&store);

    let (before, start) = (checkpointer.writes(), Instant::now());
    for _ in 0..10 {
        assert_error!(store.collection("a").unwrap().put("k", "v"), Error::CheckpointsFail { .. });
    }
    let tried = (checkpointer.writes() - before) as u128;
    assert!(tried <= start.elapsed().as_millis() / 100 + 1, "refused writers tried {tried} checkpoints");

    checkpointer.fails.store(false, Ordering::SeqCst);
    store.collection("a").unwrap().put("k", "v").unwrap();
    assert_eq!(store.collection("a").unwrap().len().unwrap(), u64::from(taken) + 1);
}

#[test]
fn writers_may_fill_one_threshold_at_least() {
    let checkpointer = Arc::new(Slow::default());
    let options = StoreOptions { wait_thresholds: 0, ..options() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), options).unwrap();
    checkpointer.shut();
    let (taken, refusal) = fill(&store, "a", 0);
    assert_error!(Err::<(), _>(refusal), Error::Busy { .. });
    assert!(u64::from(taken) * 1000 > THRESHOLD / 2, "only {taken} puts were taken");
    assert_eq!(store.stats().wait_bytes, THRESHOLD);
    assert_bounded(&store);
    checkpointer.open();
}

#[test]
fn deferred_writes_never_wait_for_room() {
    let checkpointer = Arc::new(Slow::default());
    let options = StoreOptions { room_wait: Duration::from_secs(60), ..options() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), options).unwrap();
    checkpointer.shut();
    let a = store.collection("a").unwrap();
    let refused = (0..PUTS_MAX).find_map(|key| a.deferred().put(key.to_be_bytes(), [7; 1000]).err()).unwrap();
    let start = Instant::now();
    assert_error!(Err::<(), _>(refused), Error::Busy { .. });
    assert_error!(store.deferred().transact(|tx| tx.put("a", "k", "v")), Error::Busy { .. });
    assert!(a.deferred().get(0_u32.to_be_bytes()).is_ok(), "reading needs no room");
    assert!(start.elapsed() < Duration::from_secs(10), "it waited");
    assert_bounded(&store);
    checkpointer.open();
}

#[test]
fn writers_are_slowed_down_before_they_have_to_wait() {
    let checkpointer = Arc::new(Slow::default());
    let options = StoreOptions { checkpoint_record_bytes: 1 << 20, ..options() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), checkpointer.clone(), options).unwrap();
    checkpointer.shut();
    let a = store.collection("a").unwrap();
    let time_upto = |thresholds: u64, key: u8| {
        let start = Instant::now();
        for number in 0..PUTS_MAX {
            if store.stats().unwritten_bytes >= thresholds << 20 {
                break;
            }
            a.put([&[key][..], &number.to_be_bytes()].concat(), vec![7; 10_000]).unwrap();
        }
        start.elapsed()
    };
    time_upto(3, 0);
    // Near the bound, a byte costs up to 250 ns: between 3 and 4 thresholds about 140 ms together.
    let slow = time_upto(4, 1);
    assert!(slow > Duration::from_millis(50), "a threshold took {slow:?}");
    checkpointer.open();
}

#[test]
fn a_flush_that_never_ends_exhausts_no_memory_and_does_not_hang_close() {
    let log = GatedLog::new(MemoryLog::new());
    let store = Store::with_backends(log.clone(), Arc::new(MemoryCheckpointer::new()), options()).unwrap();
    log.shut();
    let a = store.collection("a").unwrap().with_durability(Durability::Process);
    let refused = (0..PUTS_MAX).find_map(|key| a.put(key.to_be_bytes(), [7; 1000]).err()).unwrap();
    assert_error!(Err::<(), _>(refused), Error::Busy { .. });
    assert_bounded(&store);
    assert_error!(store.close(), Error::StillClosing { .. });
    log.open();
}

/// Closes a store while `write` holds its writer's lock, which `end` brings to an end. The call
/// must give up waiting, and the store must be closed nevertheless.
fn close_beside(
    store: &Store,
    write: impl FnOnce() + Send + 'static,
    until_it_holds: impl FnOnce(),
    end: impl FnOnce(),
) {
    let (write, closing) = (thread::spawn(write), store.clone());
    until_it_holds();
    let (sender, closed) = mpsc::channel();
    thread::spawn(move || sender.send(closing.close()));
    let closed = closed.recv_timeout(Duration::from_secs(20));
    end();
    let closed = closed.unwrap_or_else(|_| panic!("the call waits for the write"));
    assert_error!(closed, Error::StillClosing { .. });
    write.join().unwrap();
    let began = Instant::now();
    while !matches!(store.collection("a").unwrap().put("late", "v"), Err(Error::Closed)) {
        assert!(began.elapsed() < Duration::from_secs(20), "closing does not go on");
        thread::yield_now();
    }
    while let Err(Error::StillClosing { .. }) = store.close() {}
    assert_eq!(store.collection("a").unwrap().get("stuck").unwrap().unwrap(), "v");
}

#[test]
fn a_write_that_is_stuck_in_the_log_does_not_hang_close() {
    let log = GatedLog::new(MemoryLog::new());
    let store = Store::with_backends(log.clone(), Arc::new(MemoryCheckpointer::new()), options()).unwrap();
    log.block_appends();
    let a = store.collection("a").unwrap();
    let until_it_holds = || log.until_an_append_is_blocked();
    close_beside(&store, move || a.put("stuck", "v").unwrap(), until_it_holds, || log.release_appends());
}

#[test]
fn a_long_transaction_does_not_hang_close() {
    let store =
        Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options()).unwrap();
    let (begun, begins) = mpsc::channel();
    let (ends, ended) = mpsc::channel::<()>();
    let transaction = {
        let store = store.clone();
        move || {
            let put = store.transact(|tx| {
                begun.send(()).unwrap();
                ended.recv().unwrap();
                tx.put("a", "stuck", "v")
            });
            put.unwrap();
        }
    };
    close_beside(&store, transaction, || begins.recv().unwrap(), || ends.send(()).unwrap());
}

#[test]
fn each_full_memtable_becomes_a_checkpoint_of_its_own_and_nothing_is_lost() {
    let checkpointer = Arc::new(Slow::default());
    let store = store_on(&checkpointer);
    for key in 0..2000_u32 {
        store.collection("a").unwrap().put((key % 700).to_be_bytes(), [key as u8; 500]).unwrap();
    }
    store.checkpoint().unwrap();
    assert!(checkpointer.writes() > 10, "{} checkpoints", checkpointer.writes());
    let stats = store.stats();
    assert_eq!((stats.frozen_memtables, stats.memory_entries, stats.checkpoint.unwrap().lsn), (0, 0, Lsn(2000)));
    let value = |key: u32| (0..2000).filter(|number| number % 700 == key).max().unwrap() as u8;
    for (key, found) in entries(&store, "a") {
        assert_eq!(found, [value(u32::from_be_bytes(key.try_into().unwrap())); 500]);
    }
    assert_eq!(store.collection("a").unwrap().len().unwrap(), 700);
}

/// The log may hold far more than today's thresholds allow, because they were higher before.
#[test]
fn a_long_replay_does_not_lock_writers_out() {
    let media = Media::default();
    let unbounded = StoreOptions { checkpoint_record_bytes: u64::MAX, ..StoreOptions::default() };
    let store = media.open_with(unbounded).unwrap();
    for key in 0..4000_u32 {
        store.collection("a").unwrap().put(key.to_be_bytes(), [7; 500]).unwrap();
    }
    let media = media.after(Crash::Killed);
    let store = media.open_with(StoreOptions { room_wait: Duration::from_secs(20), ..options() }).unwrap();
    assert!(store.stats().unwritten_bytes > store.stats().wait_bytes);
    store.collection("a").unwrap().put("one more", "v").unwrap();
    assert_eq!(store.collection("a").unwrap().len().unwrap(), 4001);
}
