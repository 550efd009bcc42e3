//! The feed checker: reads the change feed over all incarnations. The changes that the feed gave
//! must lead from a snapshot to the state at each position.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use kv_core::{ChangeFeed, Epoch, Error, Lsn, RecordedChange, Result, Store};
use kv_testkit::{Model, Operation, Outcome};

use crate::{snapshots::content_of, worker::assert_expected};

/// What the feed gave at a position.
#[derive(Debug)]
pub enum FeedEvent {
    /// The checker restarted from the content of a snapshot.
    Start(Model),
    Changes(Vec<RecordedChange>),
}

impl FeedEvent {
    pub fn apply(&self, model: &mut Model) {
        match self {
            Self::Start(start) => model.clone_from(start),
            Self::Changes(changes) => {
                for change in changes {
                    assert_eq!(model.apply(&operation(change)), Outcome::Done, "{change:?}");
                }
            }
        }
    }
}

fn operation(change: &RecordedChange) -> Operation {
    match change {
        RecordedChange::Put { collection, key, value } => Operation::put(collection, &**key, &**value),
        RecordedChange::Delete { collection, key } => Operation::delete(collection, &**key),
        RecordedChange::CollectionCreated { name } => Operation::create(name),
        RecordedChange::CollectionDropped { name } => Operation::drop(name),
        RecordedChange::CollectionRenamed { from, to } => {
            Operation::Rename { collection: from.to_string(), to: to.to_string() }
        }
        other => panic!("another change: {other:?}"),
    }
}

pub struct FeedChecker {
    rng: fastrand::Rng,
    feed: Option<ChangeFeed>,
    /// The position up to which the checker has read everything; `None` if it has read nothing.
    position: Option<Lsn>,
    epoch: Epoch,
    /// What the feed gave in the current incarnation.
    pub events: Vec<(Lsn, FeedEvent)>,
    /// The state that the feed of all earlier incarnations leads to.
    pub model: Model,
    /// The last position that the feed gave. No crash may take it back.
    pub given: Lsn,
    pub failures: u64,
    pub records: u64,
    /// How often it resumed where an earlier feed had ended.
    pub resumed: u64,
}

impl FeedChecker {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            feed: None,
            position: Some(Lsn::START),
            epoch: Epoch(0),
            events: Vec::new(),
            model: Model::default(),
            given: Lsn::START,
            failures: 0,
            records: 0,
            resumed: 0,
        }
    }

    /// Notes that the store was opened at this position. The checker resumes where it was, unless
    /// it had started from a snapshot that a power cut has lost.
    pub fn begin(&mut self, opened: Lsn) {
        assert!(self.given <= opened, "the feed gave {}, but {opened} was recovered", self.given);
        self.position = self.position.filter(|position| *position <= opened);
    }

    /// Notes that the store was closed or crashed.
    pub fn end(&mut self) {
        self.feed = None;
    }

    /// Reads the feed until there are no more writes.
    pub fn follow(&mut self, store: &Store, done: &AtomicBool) {
        while !done.load(Ordering::Acquire) {
            let failures = self.failures;
            self.step(store, Duration::from_micros(500));
            if self.failures > failures {
                thread::sleep(Duration::from_millis(1)); // the disk has most likely failed
            }
        }
    }

    /// Reads to the end, and asserts that nothing durable is missing.
    pub fn finish(&mut self, store: &Store) {
        let (durable, failures) = (store.stats().log.durable, self.failures);
        for _ in 0..3 {
            self.step(store, Duration::ZERO); // this may find that it must restart
        }
        let position = self.position.unwrap_or(Lsn::START);
        assert!(
            position >= durable || self.failures > failures,
            "{durable} is durable, and the feed ends at {position}"
        );
    }

    /// Reads what is available.
    pub fn step(&mut self, store: &Store, timeout: Duration) {
        match self.try_step(store, timeout) {
            Ok(()) => {}
            Err(Error::Trimmed { .. }) => (self.feed, self.position) = (None, None),
            Err(error) => {
                assert_expected(&error);
                self.feed = None;
                self.failures += 1;
            }
        }
    }

    fn try_step(&mut self, store: &Store, timeout: Duration) -> Result<()> {
        let mut feed = match self.feed.take() {
            Some(feed) => feed,
            None => self.open(store)?,
        };
        if !timeout.is_zero() {
            feed.wait(timeout);
        }
        for record in &mut feed {
            let record = record?;
            assert_eq!(Some(record.lsn.0 - 1), self.position.map(|lsn| lsn.0), "a record is missing or repeated");
            assert!(record.epoch >= self.epoch);
            let (seen, durable) = (store.snapshot().position(), store.stats().log.durable);
            assert!(record.lsn <= seen, "the feed gave {}, and a snapshot taken after that is at {seen}", record.lsn);
            assert!(record.lsn <= durable, "the feed gave {}, and {durable} is durable", record.lsn);
            self.epoch = record.epoch;
            self.position = Some(record.lsn);
            self.given = record.lsn;
            self.events.push((record.lsn, FeedEvent::Changes(record.changes)));
            self.records += 1;
        }
        assert_eq!(Some(feed.position()), self.position);
        // Otherwise the next step resumes with another feed.
        self.feed = (self.rng.u8(..16) > 0).then_some(feed);
        Ok(())
    }

    fn open(&mut self, store: &Store) -> Result<ChangeFeed> {
        if let Some(after) = self.position {
            self.resumed += u64::from(after > Lsn::START);
            return store.changes(after);
        }
        let snapshot = store.snapshot();
        let feed = store.changes(snapshot.position())?;
        self.events.push((snapshot.position(), FeedEvent::Start(content_of(&snapshot))));
        self.position = Some(snapshot.position());
        Ok(feed)
    }
}
