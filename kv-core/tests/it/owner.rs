//! What a store does when its owner says that this is a child, or that the medium is another's: it
//! asks before it takes a lock, and touches nothing.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use kv_core::{
    Batch, Bounds, Durability, Error, Log, LogId, LogReader, Lsn, MemoryLog, Owner, Result, Store, StoreOptions,
    background::{Job, Scheduler, Wake},
};

use crate::support::Media;

/// An owner that is what a test says.
#[derive(Default)]
struct Told {
    is_child: AtomicBool,
    is_lost: AtomicBool,
    confirmed: AtomicU64,
}

impl Owner for Told {
    fn check(&self) -> Result<()> {
        if self.is_child.load(Ordering::Relaxed) { Err(Error::Forked) } else { Ok(()) }
    }

    fn confirm(&self) -> Result<()> {
        self.confirmed.fetch_add(1, Ordering::Relaxed);
        if self.is_lost.load(Ordering::Relaxed) { Err(Error::Fenced) } else { Ok(()) }
    }
}

/// Notes every call that changes something, or could wait.
struct Noting {
    inner: MemoryLog,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Noting {
    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

impl Log for Noting {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.note("append");
        self.inner.append(record, durability)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.note("sync");
        self.inner.sync(upto)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.note("reader");
        self.inner.reader(after)
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.note("trim");
        self.inner.trim(upto)
    }

    fn bounds(&self) -> Bounds {
        self.note("bounds");
        self.inner.bounds()
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.inner.medium_bytes_after(after)
    }

    fn close(&self) -> Result<()> {
        self.note("close");
        self.inner.close()
    }
}

/// Jobs that never run, and say when they are ended.
struct Jobs(Arc<Mutex<Vec<&'static str>>>);

struct Ended(Arc<Mutex<Vec<&'static str>>>);

impl Scheduler for Jobs {
    fn spawn(&self, _: &'static str, _: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(Ended(Arc::clone(&self.0))))
    }
}

impl Wake for Ended {
    fn wake(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("end of a job");
    }
}

struct Tried {
    owner: Arc<Told>,
    calls: Arc<Mutex<Vec<&'static str>>>,
    media: Media,
}

impl Tried {
    fn new() -> Self {
        Self { owner: Arc::default(), calls: Arc::default(), media: Media::default() }
    }

    fn open(&self) -> Store {
        let log = Noting { inner: MemoryLog::open(&self.media.log).unwrap(), calls: Arc::clone(&self.calls) };
        let owner = Some(Arc::clone(&self.owner) as _);
        let scheduler = Arc::new(Jobs(Arc::clone(&self.calls)));
        let options = StoreOptions { owner, scheduler, ..StoreOptions::default() };
        Store::with_backends(Arc::new(log), self.media.checkpointer(), options).unwrap()
    }

    fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[track_caller]
fn is_forked<T>(result: Result<T>) {
    let error = result.err().unwrap_or_else(|| panic!("it was not refused"));
    assert!(matches!(error, Error::Forked), "{error:?}");
}

#[test]
fn in_a_child_everything_refuses_before_it_asks_for_anything() {
    let tried = Tried::new();
    let store = tried.open();
    let all = store.collection("all").unwrap();
    all.put("k", "v").unwrap();
    let mut feed = store.changes(Lsn::START).unwrap();
    let (polled, dropped, waited) =
        (all.put_deferred("a", "1").unwrap(), all.put_deferred("b", "2").unwrap(), all.put_deferred("c", "3").unwrap());
    let mut dropped = Box::pin(dropped);
    assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let snapshot = store.snapshot();
    tried.take_calls();

    tried.owner.is_child.store(true, Ordering::Relaxed);
    is_forked(all.put("k", "w"));
    is_forked(all.with_durability(Durability::Process).put("k", "w"));
    is_forked(all.put_deferred("k", "w"));
    is_forked(all.delete_if_present("absent"));
    is_forked(store.write(Batch::new().put("all", "k", "w")));
    is_forked(store.transact(|tx| tx.put("all", "k", "w")));
    is_forked(store.transact_deferred(|tx| tx.delete("all", "k")));
    is_forked(store.sync());
    is_forked(store.checkpoint());
    is_forked(store.close());
    is_forked(store.changes(Lsn::START));
    assert!(feed.wait(std::time::Duration::from_secs(60)));
    is_forked(feed.next().unwrap());
    is_forked(waited.wait());
    let polled = pin!(polled).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(Error::Forked))));
    assert_eq!(all.get("k").unwrap().unwrap(), "v", "what is in memory can be read");
    drop((dropped, feed, snapshot, all, store));
    assert_eq!(tried.take_calls(), [""; 0], "the log was asked, or a job was ended");
    assert_eq!(tried.owner.confirmed.load(Ordering::Relaxed), 1, "before the first write, by the parent");
}

#[test]
fn the_owner_is_confirmed_before_the_first_write_and_before_each_checkpoint() {
    let tried = Tried::new();
    let store = tried.open();
    let all = store.collection("all").unwrap();
    let confirmed = || tried.owner.confirmed.swap(0, Ordering::Relaxed);
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
        let tried = Tried::new();
        let store = tried.open();
        let all = store.collection("all").unwrap();
        if by_checkpoint {
            all.put("k", "v").unwrap();
        }
        tried.take_calls();
        tried.owner.is_lost.store(true, Ordering::Relaxed);
        let refused = if by_checkpoint { store.checkpoint().map(drop) } else { all.put("k", "w") };
        tried.owner.is_lost.store(false, Ordering::Relaxed);
        for refused in [refused, all.put("k", "w"), store.checkpoint().map(drop), store.close()] {
            let error = refused.unwrap_err();
            assert!(matches!(&error, Error::Poisoned { cause } if matches!(**cause, Error::Fenced)), "{error:?}");
        }
        assert_eq!(all.get("k").unwrap().is_some(), by_checkpoint, "reads go on");
        drop((all, store));
        let calls = tried.take_calls();
        let changing = ["append", "trim", "close"];
        assert!(!calls.iter().any(|call| changing.contains(call)), "{calls:?}");
        assert!(calls.contains(&"end of a job"));
    }
}
