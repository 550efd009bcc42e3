//! What a store does when its owner reports that this process is a child, or that the medium
//! belongs to another process: it asks the owner before it takes a lock, and touches nothing.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use kv_core::{
    Batch, Bounds, Durability, Error, FlushStats, Log, LogId, LogReader, Lsn, MemoryLog, Owner, Result, Store,
    StoreOptions,
    background::{Job, Scheduler, Wake},
};

use crate::support::Media;

/// An owner that answers as the test tells it to.
#[derive(Default)]
struct FakeOwner {
    is_child: AtomicBool,
    is_lost: AtomicBool,
    confirmed: AtomicU64,
}

impl Owner for FakeOwner {
    fn check(&self) -> Result<()> {
        if self.is_child.load(Ordering::Relaxed) { Err(Error::Forked) } else { Ok(()) }
    }

    fn confirm(&self) -> Result<()> {
        self.confirmed.fetch_add(1, Ordering::Relaxed);
        if self.is_lost.load(Ordering::Relaxed) { Err(Error::Fenced) } else { Ok(()) }
    }
}

/// Records every call that changes something or could wait.
struct RecordingLog {
    inner: MemoryLog,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl RecordingLog {
    fn record(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

#[deny(clippy::missing_trait_methods)]
impl Log for RecordingLog {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.make_room(record_bytes, kept_bytes)
    }

    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.check_room(record_bytes, kept_bytes)
    }

    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        self.record("append");
        self.inner.append_deletion(record, durability, kept_bytes)
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.record("append");
        self.inner.append(record, durability)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.record("sync");
        self.inner.sync(upto)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.record("reader");
        self.inner.reader(after)
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.record("trim");
        self.inner.trim(upto)
    }

    fn bounds(&self) -> Bounds {
        self.record("bounds");
        self.inner.bounds()
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.inner.medium_bytes_after(after)
    }

    fn flush_stats(&self) -> FlushStats {
        self.inner.flush_stats()
    }

    fn opening_notes(&self) -> Vec<String> {
        self.inner.opening_notes()
    }

    fn close(&self) -> Result<()> {
        self.record("close");
        self.inner.close()
    }
}

/// A scheduler whose jobs never run, and which records when they end.
struct IdleScheduler(Arc<Mutex<Vec<&'static str>>>);

struct IdleJob(Arc<Mutex<Vec<&'static str>>>);

impl Scheduler for IdleScheduler {
    fn spawn(&self, _: &'static str, _: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(IdleJob(Arc::clone(&self.0))))
    }
}

impl Wake for IdleJob {
    fn wake(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for IdleJob {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("end of a job");
    }
}

struct Subject {
    owner: Arc<FakeOwner>,
    calls: Arc<Mutex<Vec<&'static str>>>,
    media: Media,
}

impl Subject {
    fn new() -> Self {
        Self { owner: Arc::default(), calls: Arc::default(), media: Media::default() }
    }

    fn open(&self) -> Store {
        let log = RecordingLog { inner: MemoryLog::open(&self.media.log).unwrap(), calls: Arc::clone(&self.calls) };
        let owner = Some(Arc::clone(&self.owner) as _);
        let scheduler = Arc::new(IdleScheduler(Arc::clone(&self.calls)));
        let options = StoreOptions { owner, scheduler, ..StoreOptions::default() };
        Store::with_backends(Arc::new(log), self.media.checkpointer(), options).unwrap()
    }

    fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[track_caller]
fn assert_forked<T>(result: Result<T>) {
    let error = result.err().unwrap_or_else(|| panic!("it was not refused"));
    assert!(matches!(error, Error::Forked), "{error:?}");
}

#[test]
fn in_a_child_every_call_is_refused_before_it_reaches_a_backend() {
    let subject = Subject::new();
    let store = subject.open();
    let all = store.collection("all").unwrap();
    all.put("k", "v").unwrap();
    let mut feed = store.changes(Lsn::START).unwrap();
    let (polled, dropped, waited) = (
        all.deferred().put("a", "1").unwrap(),
        all.deferred().put("b", "2").unwrap(),
        all.deferred().put("c", "3").unwrap(),
    );
    let mut dropped = Box::pin(dropped);
    assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let snapshot = store.snapshot();
    subject.take_calls();

    subject.owner.is_child.store(true, Ordering::Relaxed);
    assert_forked(all.put("k", "w"));
    assert_forked(all.with_durability(Durability::Process).put("k", "w"));
    assert_forked(all.deferred().put("k", "w"));
    assert_forked(all.delete_if_present("absent"));
    assert_forked(store.write(Batch::new().put("all", "k", "w")));
    assert_forked(store.transact(|tx| tx.put("all", "k", "w")));
    assert_forked(store.deferred().transact(|tx| tx.delete("all", "k")));
    assert_forked(store.sync());
    assert_forked(store.checkpoint());
    assert_forked(store.close());
    assert_forked(store.changes(Lsn::START));
    assert!(feed.wait(std::time::Duration::from_secs(60)));
    assert_forked(feed.next().unwrap());
    assert_forked(waited.wait());
    let polled = pin!(polled).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(Error::Forked))));
    assert_eq!(all.get("k").unwrap().unwrap(), "v", "what is in memory can be read");
    drop((dropped, feed, snapshot, all, store));
    assert_eq!(subject.take_calls(), [""; 0], "the log was called, or a job was ended");
    assert_eq!(subject.owner.confirmed.load(Ordering::Relaxed), 1, "before the first write, by the parent");
}

#[test]
fn the_owner_is_confirmed_before_the_first_write_and_before_each_checkpoint() {
    let subject = Subject::new();
    let store = subject.open();
    let all = store.collection("all").unwrap();
    let confirmed = || subject.owner.confirmed.swap(0, Ordering::Relaxed);
    assert_eq!(all.get("k").unwrap(), None);
    assert_eq!(confirmed(), 0);
    all.put("k", "v").unwrap();
    assert_eq!(confirmed(), 1);
    all.put("k", "w").unwrap();
    assert_eq!(confirmed(), 0);
    for count in 0..2 {
        all.put("count", [count]).unwrap();
        store.checkpoint().unwrap();
        assert_eq!(confirmed(), 1);
    }
}

#[test]
fn an_owner_that_is_lost_is_lost_for_good() {
    for by_checkpoint in [false, true] {
        let subject = Subject::new();
        let store = subject.open();
        let all = store.collection("all").unwrap();
        if by_checkpoint {
            all.put("k", "v").unwrap();
        }
        subject.take_calls();
        subject.owner.is_lost.store(true, Ordering::Relaxed);
        let refused = if by_checkpoint { store.checkpoint().map(drop) } else { all.put("k", "w") };
        subject.owner.is_lost.store(false, Ordering::Relaxed);
        for refused in [refused, all.put("k", "w"), store.checkpoint().map(drop), store.close()] {
            let error = refused.unwrap_err();
            assert!(matches!(&error, Error::Poisoned { cause } if matches!(**cause, Error::Fenced)), "{error:?}");
        }
        assert_eq!(all.get("k").unwrap().is_some(), by_checkpoint, "reads go on");
        drop((all, store));
        let calls = subject.take_calls();
        let changing = ["append", "trim", "close"];
        assert!(!calls.iter().any(|call| changing.contains(call)), "{calls:?}");
        assert!(calls.contains(&"end of a job"));
    }
}
