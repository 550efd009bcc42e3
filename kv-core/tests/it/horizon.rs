//! The settled position: the feed returns what is both published and durable, and nothing above the
//! lower of the two.

use std::{sync::Arc, sync::mpsc, thread, time::Duration};

use kv_core::{
    ChangeFeed, Collection, Crash, Durability, Error, Lsn, MemoryLog, RecordedChange, Result, Store, StoreOptions,
};
use kv_testkit::ManualScheduler;

use crate::{
    assert_error,
    support::{GatedLog, Media},
};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(10);

/// A store over a log whose flush and whose appends can be blocked. Nothing flushes in the
/// background.
struct Subject {
    media: Media,
    log: Arc<GatedLog>,
    store: Store,
    all: Collection,
}

impl Subject {
    /// A store with one record.
    fn new() -> Self {
        let media = Media::default();
        let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
        let options = StoreOptions { scheduler: Arc::new(ManualScheduler::new()), ..StoreOptions::default() };
        let store = Store::with_backends(Arc::clone(&log) as _, media.checkpointer(), options).unwrap();
        let all = store.collection("all").unwrap();
        all.put("k", "old").unwrap();
        Self { media, log, store, all }
    }

    fn process(&self) -> Collection {
        self.all.with_durability(Durability::Process)
    }

    /// Opens a feed in another thread, and fails the test if that waits for a flush.
    fn feed(&self, after: Lsn) -> Result<ChangeFeed> {
        let (begun, feed) = mpsc::channel();
        let store = self.store.clone();
        thread::spawn(move || drop(begun.send(store.changes(after))));
        let feed = feed.recv_timeout(LONG);
        feed.unwrap_or_else(|_| {
            self.log.open();
            panic!("`changes` waits for a flush");
        })
    }
}

fn assert_gives_nothing(feed: &mut ChangeFeed) {
    assert!(!feed.wait(SHORT), "`wait` reports a record");
    assert!(feed.next().is_none());
}

/// Between `append` and `apply` of a record, the flush of another caller may make it durable.
#[test]
fn a_feed_does_not_return_what_is_durable_and_not_published() {
    for durability in [Durability::Disk, Durability::Process] {
        let subject = Subject::new();
        let mut feed = subject.feed(Lsn(1)).unwrap();
        subject.log.block_appends();
        thread::scope(|scope| {
            let writer = scope.spawn(|| subject.all.with_durability(durability).put("k", "new"));
            subject.log.until_an_append_is_blocked();
            subject.log.flush_behind_the_store();
            assert_eq!(subject.store.stats().log.durable, Lsn(2));
            let early = (feed.wait(SHORT), feed.next().is_some());
            let seen = subject.store.snapshot().get("all", "k").unwrap().unwrap();
            subject.log.release_appends();
            assert_eq!(early, (false, false), "and a snapshot has {seen:?}");
            writer.join().unwrap().unwrap();
        });
        assert!(feed.wait(LONG));
        assert_eq!(feed.next().unwrap().unwrap().lsn, Lsn(2));
        assert_eq!(subject.all.get("k").unwrap().unwrap(), "new");
    }
}

/// A power cut would undo it.
#[test]
fn a_feed_does_not_return_what_is_published_and_not_durable() {
    let subject = Subject::new();
    let mut feed = subject.feed(Lsn(1)).unwrap();
    subject.log.shut();
    subject.process().put("k", "new").unwrap();
    assert_eq!(subject.all.get("k").unwrap().unwrap(), "new");
    assert_gives_nothing(&mut feed);
    let left = subject.media.after(Crash::PowerCut).open().unwrap();
    assert_eq!(left.collection("all").unwrap().get("k").unwrap().unwrap(), "old");
    subject.log.open();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| feed.wait(LONG));
        subject.store.sync().unwrap();
        assert!(waiting.join().unwrap());
    });
    assert_eq!(feed.next().unwrap().unwrap().lsn, Lsn(2));
}

/// Such as the position of a snapshot, which sees what is published.
#[test]
fn a_feed_may_begin_ahead_of_what_is_durable() {
    let subject = Subject::new();
    subject.log.shut();
    subject.store.transact_with(Durability::Process, |tx| tx.rename_collection("all", "renamed")).unwrap();
    let after = subject.store.snapshot().position();
    assert_eq!(after, Lsn(2));
    let mut feed = subject.feed(after).unwrap();
    assert_gives_nothing(&mut feed);
    assert_eq!(feed.position(), after);
    subject.log.open();
    subject.store.sync().unwrap();
    assert_gives_nothing(&mut feed);
    subject.store.collection("renamed").unwrap().put("k", "new").unwrap();
    assert!(feed.wait(LONG));
    let record = feed.next().unwrap().unwrap();
    assert_eq!(record.lsn, Lsn(3));
    let is_renamed = |change: &RecordedChange| match change {
        RecordedChange::Put { collection, .. } => &**collection == "renamed",
        _ => false,
    };
    assert!(record.changes.iter().all(is_renamed), "{record:?}");
}

#[test]
fn a_position_that_no_record_has_is_refused() {
    let subject = Subject::new();
    subject.log.shut();
    subject.process().put("k", "new").unwrap();
    assert!(subject.feed(Lsn(2)).is_ok());
    assert_error!(subject.feed(Lsn(3)), Error::Misuse(_));
}
