//! The change feed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use kv_core::{
    Batch, ChangeFeed, ChangeRecord, Changes, Checkpoint, CheckpointId, Checkpointer, Durability, Effort, Error, Log,
    Lsn, MemoryLog, ReadCacheStats, RecordedChange, Result, Snapshot, Store, StoreOptions,
};

use crate::{
    assert_error,
    support::{GatedLog, Media},
};

type State = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

fn state_of(snapshot: &Snapshot) -> State {
    let entries = |name: &str| snapshot.iter(name).map(|entry| entry.unwrap());
    let names = snapshot.collections().unwrap().into_iter().map(|info| info.name);
    names
        .map(|name| {
            let entries = entries(&name).map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect();
            (name, entries)
        })
        .collect()
}

/// Applies a record of the feed to a state.
fn follow(state: &mut State, record: &ChangeRecord) {
    for change in &record.changes {
        match change {
            RecordedChange::Put { collection, key, value } => {
                let collection = state.get_mut(&**collection).unwrap();
                collection.insert(key.to_vec(), value.to_vec());
            }
            RecordedChange::Delete { collection, key } => {
                state.get_mut(&**collection).unwrap().remove(&**key).unwrap();
            }
            RecordedChange::CollectionCreated { name } => {
                assert!(state.insert(name.to_string(), BTreeMap::new()).is_none());
            }
            RecordedChange::CollectionDropped { name } => drop(state.remove(&**name).unwrap()),
            RecordedChange::CollectionRenamed { from, to } => {
                let entries = state.remove(&**from).unwrap();
                assert!(state.insert(to.to_string(), entries).is_none());
            }
            other => panic!("{other:?}"),
        }
    }
}

fn follow_all(state: &mut State, feed: &mut ChangeFeed) {
    for record in feed {
        follow(state, &record.unwrap());
    }
}

fn change_everything(store: &Store, round: u8) -> Result<()> {
    let a = store.collection("a")?;
    a.put([round], "put")?;
    a.with_durability(Durability::Process).put([round], "again")?;
    store.write(Batch::new().put("b", [round], "in a batch").delete("a", [round]))?;
    store.rename_collection("b", "c")?;
    store.transact(|tx| {
        tx.put("c", "key", "renamed")?;
        tx.put("new", "key", "value")?;
        tx.rename_collection("new", "newer")?;
        tx.drop_collection("c")
    })?;
    store.clear_collection("a")?;
    store.drop_collection("newer")?;
    a.put([round, 1], "last")
}

#[test]
fn a_snapshot_and_the_feed_after_it_are_the_state_at_every_position() {
    let media = Media::default();
    let store = media.open().unwrap();
    let mut snapshots = vec![store.snapshot()];
    for round in 0..3 {
        change_everything(&store, round).unwrap();
        snapshots.push(store.snapshot());
    }
    let last = state_of(&store.snapshot());
    for snapshot in snapshots {
        let mut state = state_of(&snapshot);
        follow_all(&mut state, &mut store.changes(snapshot.position()).unwrap());
        assert_eq!(state, last, "from position {}", snapshot.position());
    }
    for after in 0..=store.stats().log.appended.0 {
        let mut feed = store.changes(Lsn(after)).unwrap();
        let positions = feed.by_ref().map(|record| record.unwrap().lsn.0);
        assert!(positions.eq(after + 1..=store.stats().log.appended.0), "dense, after {after}");
        assert_eq!(feed.position(), store.stats().log.appended);
    }
}

/// That includes the names of collections, even when the log no longer reaches back to their
/// creation.
#[test]
fn what_is_trimmed_is_refused_and_what_is_not_goes_on_from_a_checkpoint() {
    let media = Media::default();
    let store = media.open().unwrap();
    let mut states = Vec::new();
    for round in 0..3 {
        change_everything(&store, round).unwrap();
        store.checkpoint().unwrap();
        change_everything(&store, round + 100).unwrap();
        states.push((store.snapshot().position(), state_of(&store.snapshot())));
    }
    let trimmed = store.stats().log.trimmed;
    assert!(trimmed > Lsn(0));
    assert_error!(store.changes(Lsn(0)), Error::Trimmed { .. });
    assert_error!(store.changes(Lsn(trimmed.0 - 1)), Error::Trimmed { .. });
    assert_error!(store.changes(store.stats().log.appended.next()), Error::Misuse(_));
    let last = states.last().unwrap().1.clone();
    for (position, mut state) in states.into_iter().filter(|(position, _)| *position >= trimmed) {
        follow_all(&mut state, &mut store.changes(position).unwrap());
        assert_eq!(state, last, "from position {position}");
    }
    let epochs: Vec<_> = store.changes(trimmed).unwrap().map(|record| record.unwrap().epoch.0).collect();
    assert!(!epochs.is_empty() && epochs.iter().all(|epoch| *epoch == 1));
}

#[test]
fn a_feed_follows_writers_and_gives_nothing_before_it_is_durable() {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(log.clone(), media.checkpointer(), StoreOptions::default()).unwrap();
    let mut feed = store.changes(Lsn(0)).unwrap();
    assert!(!feed.wait(Duration::ZERO));
    assert!(feed.next().is_none());
    let all = store.collection("all").unwrap();
    log.shut();
    thread::scope(|scope| {
        let writer = scope.spawn(|| all.put("k", "v"));
        log.until_a_sync_is_blocked();
        assert!(!feed.wait(Duration::from_millis(10)), "it is not durable");
        assert!(feed.next().is_none());
        log.open();
        assert!(feed.wait(Duration::from_secs(60)));
        assert_eq!(feed.next().unwrap().unwrap().changes.len(), 2, "created, and put");
        writer.join().unwrap().unwrap();
    });
    let process = all.with_durability(Durability::Process);
    thread::scope(|scope| {
        scope.spawn(|| (0..100u8).for_each(|n| process.put([n], "v").unwrap()));
        let mut seen = 0;
        while seen < 100 {
            assert!(feed.wait(Duration::from_secs(60)), "the flusher makes them durable");
            seen += feed.by_ref().inspect(|record| assert!(record.is_ok())).count();
        }
    });
}

/// A record that cannot be decoded is not skipped: the feed gives nothing after it.
#[test]
fn an_error_is_followed_by_no_later_change() {
    let media = Media::default();
    let log = Arc::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(log.clone(), media.checkpointer(), StoreOptions::default()).unwrap();
    let all = store.collection("all").unwrap();
    all.put("before", "v").unwrap();
    log.append(b"not a record of the store", Durability::Disk).unwrap();
    all.put("after", "v").unwrap();
    let mut feed = store.changes(Lsn(0)).unwrap();
    assert_eq!(feed.next().unwrap().unwrap().lsn, Lsn(1));
    for _ in 0..3 {
        assert_error!(feed.next().unwrap(), Error::NewerVersion { .. });
        assert_eq!(feed.position(), Lsn(1));
    }
}

/// A checkpointer that runs something between the listing of checkpoints and the first opening.
struct InterruptedCheckpointer {
    inner: Arc<dyn Checkpointer>,
    before_open: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[deny(clippy::missing_trait_methods)]
impl Checkpointer for InterruptedCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        self.inner.list()
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        if let Some(interrupt) = self.before_open.lock().unwrap().take() {
            interrupt();
        }
        self.inner.open(id)
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
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
fn trimming_while_a_feed_begins_is_not_taken_for_damage() {
    let media = Media::default();
    let interrupted = Arc::new(InterruptedCheckpointer { inner: media.checkpointer(), before_open: Mutex::default() });
    let log = Arc::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(log, interrupted.clone(), StoreOptions::default()).unwrap();
    let all = store.collection("all").unwrap();
    for value in ["1", "2"] {
        all.put("k", value).unwrap();
        store.checkpoint().unwrap();
    }
    assert_eq!(store.changes(Lsn(1)).unwrap().count(), 1);
    let other = store.clone();
    let checkpoint_again = move || {
        other.collection("all").unwrap().put("k", "3").unwrap();
        other.checkpoint().unwrap();
    };
    *interrupted.before_open.lock().unwrap() = Some(Box::new(checkpoint_again));
    assert_error!(store.changes(Lsn(1)), Error::Trimmed { after: Lsn(1), trimmed: Lsn(2) });
}

/// The log trims whole segments, so records from before the older checkpoint may remain. The error
/// names the position that was requested, and one from which a feed can begin.
#[test]
fn records_without_the_checkpoint_before_them_count_as_trimmed() {
    let media = Media::default();
    let store = media.open().unwrap();
    let all = store.collection("all").unwrap();
    let checkpoints: Vec<_> = (0..3u8)
        .map(|n| {
            all.put([n], "v").unwrap();
            store.checkpoint().unwrap().unwrap()
        })
        .collect();
    assert_eq!(store.stats().log.trimmed, Lsn(2));
    media.checkpointer().remove(checkpoints[1]).unwrap();
    assert_error!(store.changes(Lsn(2)), Error::Trimmed { after: Lsn(2), trimmed: Lsn(3) });
    assert_eq!(store.changes(Lsn(3)).unwrap().count(), 0);
}

/// A caller that follows a store learns that nothing more will come, without asking another handle.
#[test]
fn a_feed_gives_the_failure_of_the_log_after_everything_that_settled() {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    let store =
        Store::with_backends(Arc::clone(&log) as Arc<dyn Log>, media.checkpointer(), StoreOptions::default()).unwrap();
    let all = store.collection("all").unwrap();
    all.put("a", "settled").unwrap();
    let mut feed = store.changes(Lsn::START).unwrap();
    assert_eq!(feed.next().unwrap().unwrap().lsn, Lsn(1));
    log.shut();
    let lost = all.deferred().put("b", "lost").unwrap();
    assert!(!feed.wait(Duration::from_millis(10)) && feed.next().is_none());
    thread::scope(|scope| {
        let told = scope.spawn(|| feed.wait(Duration::from_secs(60)).then(|| feed.next().unwrap()));
        log.fail_and_open();
        assert_error!(lost.wait(), Error::OutcomeUnknown { .. });
        assert_error!(told.join().unwrap().unwrap(), Error::Poisoned { .. });
    });
    // A feed that begins now returns what had settled, and then the same error.
    let mut feed = store.changes(Lsn::START).unwrap();
    assert_eq!(feed.next().unwrap().unwrap().lsn, Lsn(1));
    assert_error!(feed.next().unwrap(), Error::Poisoned { .. });
    // A program that goes on in spite of it neither spins nor reads for ever.
    assert!(feed.next().is_none() && !feed.wait(Duration::ZERO));
    assert_eq!(store.changes(Lsn::START).unwrap().count(), 2);
}
