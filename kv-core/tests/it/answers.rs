//! An answer that changes nothing is returned once the changes that it looked at are durable as
//! requested. It depends on no other change.

use std::{
    sync::{Arc, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use kv_core::{
    Batch, Collection, Commit, Durability, Error, Limits, Lsn, MemoryLog, Result, Store, StoreOptions, Transaction,
};
use kv_testkit::ManualScheduler;

use crate::{
    assert_error,
    support::{GatedLog, Media},
};

/// How long to wait before a test fails because something hangs.
const LONG: Duration = Duration::from_secs(20);

/// A call whose answer changes nothing.
struct Call {
    name: &'static str,
    /// The write that the call looks at.
    looks_at: fn(&mut Transaction<'_>) -> Result<()>,
    /// Makes the call and checks its answer.
    ask: fn(&User),
}

/// A caller, with the durability that it requests.
#[derive(Clone)]
struct User {
    store: Store,
    all: Collection,
    other: Collection,
    durability: Durability,
}

impl User {
    fn batch(&self, add: impl FnOnce(&mut Batch) -> &mut Batch) -> Result<()> {
        self.store.write_with(batch(add), self.durability)
    }

    fn batch_deferred(&self, add: impl FnOnce(&mut Batch) -> &mut Batch) -> Commit {
        self.store.deferred().with_durability(self.durability).write(batch(add)).unwrap()
    }

    fn transact<T>(&self, transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        self.store.transact_with(self.durability, transaction)
    }

    fn transact_deferred<T>(&self, transaction: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Commit<T> {
        self.store.deferred().with_durability(self.durability).transact(transaction).unwrap()
    }
}

fn batch(add: impl FnOnce(&mut Batch) -> &mut Batch) -> Batch {
    add(&mut Batch::new()).clone()
}

/// `all` has `k` and `m`; `other` and `beside` have `k`. Four collections are allowed.
fn fill(tx: &mut Transaction<'_>) -> Result<()> {
    for (collection, key) in [("all", "k"), ("all", "m"), ("other", "k"), ("beside", "k")] {
        tx.put(collection, key, "old")?;
    }
    Ok(())
}

/// A write that no call looks at.
fn unrelated(tx: &mut Transaction<'_>) -> Result<()> {
    tx.put("beside", "k", "new")?;
    tx.put("all", "z", "new")
}

fn delete(tx: &mut Transaction<'_>) -> Result<()> {
    tx.delete("all", "k")
}

fn overwrite(tx: &mut Transaction<'_>) -> Result<()> {
    tx.put("all", "k", "new")
}

fn create(tx: &mut Transaction<'_>) -> Result<()> {
    tx.create_collection("new").map(drop)
}

fn pop(tx: &mut Transaction<'_>) -> Result<()> {
    tx.pop_first("all").map(drop)
}

fn pop_last_of_other(tx: &mut Transaction<'_>) -> Result<()> {
    tx.pop_last("other").map(drop)
}

fn drop_other(tx: &mut Transaction<'_>) -> Result<()> {
    tx.drop_collection("other")
}

fn clear_other(tx: &mut Transaction<'_>) -> Result<()> {
    tx.clear_collection("other")
}

fn rename_other(tx: &mut Transaction<'_>) -> Result<()> {
    tx.rename_collection("other", "new")
}

fn cancel<T>(_: T) -> Result<()> {
    Err(Error::Cancelled)
}

/// The key of the first entry of an iteration.
fn first(mut entries: impl Iterator<Item = Result<kv_core::Entry>>) -> Result<Option<Vec<u8>>> {
    Ok(entries.next().transpose()?.map(|entry| entry.key.to_vec()))
}

fn call(name: &'static str, looks_at: fn(&mut Transaction<'_>) -> Result<()>, ask: fn(&User)) -> Call {
    Call { name, looks_at, ask }
}

fn calls_on_keys() -> Vec<Call> {
    vec![
        call("delete", delete, |user| assert_error!(user.all.delete("k"), Error::KeyNotFound { .. })),
        call("delete_if_present", delete, |user| assert!(!user.all.delete_if_present("k").unwrap())),
        call("take", delete, |user| assert_eq!(user.all.take("k").unwrap(), None)),
        call("pop_first of what was emptied", pop_last_of_other, |user| {
            assert_eq!(user.other.pop_first().unwrap(), None);
        }),
        call("pop_last of what was emptied", pop_last_of_other, |user| {
            assert_eq!(user.other.pop_last().unwrap(), None);
        }),
        call("drain of what was popped", pop, |user| assert!(user.all.drain(.."l").unwrap().is_empty())),
        call("drain of what was found empty before", delete, |user| {
            drop(user.all.deferred().drain(.."l").unwrap());
            assert!(user.all.drain(.."l").unwrap().is_empty());
        }),
        call("delete_range", delete, |user| assert_eq!(user.all.delete_range(.."l").unwrap(), 0)),
        call("delete_prefix", pop, |user| assert_eq!(user.all.delete_prefix("k").unwrap(), 0)),
        call("delete_range_in_steps", delete, |user| assert_eq!(user.all.delete_range_in_steps(.."l").unwrap(), 0)),
        call("a batch that deletes an empty range", delete, |user| {
            user.batch(|batch| batch.delete_range("all", .."l")).unwrap();
        }),
        call("update", delete, |user| assert_eq!(user.all.update("k", |_| None::<&[u8]>).unwrap(), None)),
        call("compare_and_set with what was deleted", delete, |user| {
            assert_eq!(user.all.compare_and_set("k", Some(b"old"), Some(b"x")).unwrap().unwrap_err().actual, None);
        }),
        call("compare_and_set with what was written", overwrite, |user| {
            let actual = user.all.compare_and_set("k", None, None).unwrap().unwrap_err().actual;
            assert_eq!(actual.unwrap(), "new");
        }),
        call("put_if_absent", overwrite, |user| {
            assert_eq!(user.all.put_if_absent("k", "x").unwrap().unwrap(), "new");
        }),
        call("a batch that is refused", delete, |user| {
            assert_error!(user.batch(|batch| batch.put("all", "a", "v").delete("all", "k")), Error::KeyNotFound { .. });
        }),
        call("a batch that deletes nothing", delete, |user| {
            user.batch(|batch| batch.delete_if_present("all", "k").delete_if_present("all", "absent")).unwrap();
        }),
        call("a deferred batch that is refused", delete, |user| {
            let refused = user.batch_deferred(|batch| batch.delete("all", "k"));
            assert_error!(refused.wait(), Error::KeyNotFound { .. });
        }),
        call("a deferred batch that deletes nothing", delete, |user| {
            user.batch_deferred(|batch| batch.delete_if_present("all", "k")).wait().unwrap();
        }),
        call("delete in a collection that was dropped", drop_other, |user| {
            assert_error!(user.other.delete("k"), Error::KeyNotFound { .. });
        }),
        call("delete in a collection that was cleared", clear_other, |user| {
            assert_error!(user.other.delete("k"), Error::KeyNotFound { .. });
        }),
        call("delete in a collection that was renamed", rename_other, |user| {
            assert!(!user.other.delete_if_present("k").unwrap());
        }),
        call("put_if_absent in a collection that was renamed", rename_other, |user| {
            let new = user.store.collection("new").unwrap().with_durability(user.durability);
            assert_eq!(new.put_if_absent("k", "x").unwrap().unwrap(), "old");
        }),
    ]
}

fn calls_in_transactions() -> Vec<Call> {
    vec![
        call("tx.get", delete, |user| assert_eq!(user.transact(|tx| tx.get("all", "k")).unwrap(), None)),
        call("tx.get of what was written", overwrite, |user| {
            assert_eq!(user.transact(|tx| tx.get("all", "k")).unwrap().unwrap(), "new");
        }),
        call("tx.contains", delete, |user| assert!(!user.transact(|tx| tx.contains("all", "k")).unwrap())),
        call("tx.delete", delete, |user| {
            assert_error!(user.transact(|tx| tx.delete("all", "k")), Error::KeyNotFound { .. });
        }),
        call("tx.delete_if_present", delete, |user| {
            assert!(!user.transact(|tx| tx.delete_if_present("all", "k")).unwrap());
        }),
        call("tx.delete_range", delete, |user| {
            assert_eq!(user.transact(|tx| tx.delete_range("all", .."l")).unwrap(), 0);
        }),
        call("tx.get_many", delete, |user| {
            assert_eq!(user.transact(|tx| tx.get_many("all", &["k"])).unwrap(), [None]);
        }),
        call("tx.get_with", overwrite, |user| {
            assert_eq!(user.transact(|tx| tx.get_with("all", "k", <[u8]>::to_vec)).unwrap().unwrap(), b"new");
        }),
        call("tx.first", delete, |user| {
            assert_eq!(user.transact(|tx| tx.first("all")).unwrap().unwrap().key, "m");
        }),
        call("tx.first after a pop", pop, |user| {
            assert_eq!(user.transact(|tx| tx.first("all")).unwrap().unwrap().key, "m");
        }),
        call("tx.range from a key that was popped", pop, |user| {
            assert_eq!(user.transact(|tx| first(tx.range("all", "k"..))).unwrap().unwrap(), b"m");
        }),
        call("tx.take", delete, |user| assert_eq!(user.transact(|tx| tx.take("all", "k")).unwrap(), None)),
        call("tx.update", delete, |user| {
            assert_eq!(user.transact(|tx| tx.update("all", "k", |_| None::<&[u8]>)).unwrap(), None);
        }),
        call("tx.compare_and_set", overwrite, |user| {
            let refused = user.transact(|tx| tx.compare_and_set("all", "k", None, None)).unwrap();
            assert_eq!(refused.unwrap_err().actual.unwrap(), "new");
        }),
        call("tx.put_if_absent", overwrite, |user| {
            assert_eq!(user.transact(|tx| tx.put_if_absent("all", "k", "x")).unwrap().unwrap(), "new");
        }),
        call("tx.iter over a key that was deleted", delete, |user| {
            assert_eq!(user.transact(|tx| first(tx.iter("all"))).unwrap().unwrap(), b"m");
        }),
        call("tx.range backwards over a key that was deleted", delete, |user| {
            assert_eq!(user.transact(|tx| first(tx.range("all", .."m").rev())).unwrap(), None);
        }),
        call("tx.prefix of a key that was written", overwrite, |user| {
            assert_eq!(user.transact(|tx| first(tx.prefix("all", "k"))).unwrap().unwrap(), b"k");
        }),
        call("a transaction that gives up", delete, |user| {
            assert_error!(user.transact(|tx| tx.get("all", "k").and_then(cancel)), Error::Cancelled);
        }),
        call("a transaction that gives up what it wrote", delete, |user| {
            let gives_up = |tx: &mut Transaction<'_>| {
                tx.put("all", "m", "x")?;
                tx.contains("all", "k").and_then(cancel)
            };
            assert_error!(user.transact(gives_up), Error::Cancelled);
        }),
        call("a deferred transaction that reads", delete, |user| {
            assert_eq!(user.transact_deferred(|tx| tx.get("all", "k")).wait().unwrap(), None);
        }),
        call("a deferred transaction that gives up", delete, |user| {
            let gives_up = user.transact_deferred(|tx| tx.get("all", "k").and_then(cancel));
            assert_error!(gives_up.wait(), Error::Cancelled);
        }),
        call("tx.get in a collection that was created", create, |user| {
            assert_eq!(user.transact(|tx| tx.get("new", "k")).unwrap(), None);
        }),
        call("tx.get in a collection that was dropped", drop_other, |user| {
            assert_eq!(user.transact(|tx| tx.get("other", "k")).unwrap(), None);
        }),
        call("tx.get by a new name", rename_other, |user| {
            assert_eq!(user.transact(|tx| tx.get("new", "k")).unwrap().unwrap(), "old");
        }),
        call("tx.iter by a new name", rename_other, |user| {
            assert_eq!(user.transact(|tx| first(tx.iter("new"))).unwrap().unwrap(), b"k");
        }),
        call("tx.iter of a collection that was cleared", clear_other, |user| {
            assert_eq!(user.transact(|tx| first(tx.iter("other"))).unwrap(), None);
        }),
    ]
}

fn calls_on_collections() -> Vec<Call> {
    vec![
        call("create_collection", create, |user| {
            assert!(!user.transact(|tx| tx.create_collection("new")).unwrap());
        }),
        call("one collection too many", create, |user| {
            let refused = user.transact(|tx| tx.create_collection("yet another"));
            assert_error!(refused, Error::TooManyCollections { .. });
        }),
        call("one collection too many for a put", create, |user| {
            let yet_another = user.store.collection("yet another").unwrap().with_durability(user.durability);
            assert_error!(yet_another.put("k", "v"), Error::TooManyCollections { .. });
        }),
        call("drop_collection", drop_other, |user| {
            assert_error!(user.transact(|tx| tx.drop_collection("other")), Error::CollectionNotFound { .. });
        }),
        call("clear_collection", drop_other, |user| {
            assert_error!(user.transact(|tx| tx.clear_collection("other")), Error::CollectionNotFound { .. });
        }),
        call("rename_collection of what was dropped", drop_other, |user| {
            let refused = user.transact(|tx| tx.rename_collection("other", "new"));
            assert_error!(refused, Error::CollectionNotFound { .. });
        }),
        call("rename_collection to what was created", create, |user| {
            let refused = user.transact(|tx| tx.rename_collection("other", "new"));
            assert_error!(refused, Error::CollectionExists { .. });
        }),
    ]
}

fn calls() -> impl Iterator<Item = Call> {
    calls_on_keys().into_iter().chain(calls_in_transactions()).chain(calls_on_collections())
}

/// A store over a log whose flush can be blocked. Nothing flushes in the background.
struct Subject {
    log: Arc<GatedLog>,
    store: Store,
    scheduler: ManualScheduler,
}

impl Subject {
    fn new() -> Self {
        let (media, scheduler) = (Media::default(), ManualScheduler::new());
        let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
        let options = StoreOptions {
            scheduler: Arc::new(scheduler.clone()),
            limits: Limits { collections_max: 4, ..Limits::default() },
            ..StoreOptions::default()
        };
        let store = Store::with_backends(Arc::clone(&log) as _, media.checkpointer(), options).unwrap();
        store.transact(fill).unwrap();
        Self { log, store, scheduler }
    }

    fn user(&self, durability: Durability) -> User {
        let collection = |name| self.store.collection(name).unwrap().with_durability(durability);
        User { store: self.store.clone(), all: collection("all"), other: collection("other"), durability }
    }

    /// Writes without waiting for durability.
    fn write(&self, write: fn(&mut Transaction<'_>) -> Result<()>, durability: Durability) -> Lsn {
        self.store.deferred().with_durability(durability).transact(write).unwrap().lsn()
    }

    /// Makes the call in another thread. The channel receives a message once the answer is there
    /// and is right.
    fn ask(&self, call: &Call, durability: Durability) -> mpsc::Receiver<()> {
        let (answer_sender, answered) = mpsc::channel();
        let (user, ask) = (self.user(durability), call.ask);
        thread::spawn(move || {
            ask(&user);
            answer_sender.send(()).unwrap();
        });
        answered
    }

    fn assert_answers(&self, answered: &mpsc::Receiver<()>, what: &str) {
        let outcome = answered.recv_timeout(LONG);
        self.log.open();
        assert_eq!(outcome, Ok(()), "no answer, or a wrong one: {what}");
    }
}

#[test]
fn an_answer_waits_until_what_it_looked_at_is_durable_as_asked() {
    for call in calls() {
        for asked in [Durability::Disk, Durability::Process] {
            for written in [Durability::Disk, Durability::Process] {
                let what = format!("{}, asked at {asked:?} for what was written at {written:?}", call.name);
                let subject = Subject::new();
                subject.log.shut();
                let observed = subject.write(call.looks_at, written);
                let answered = subject.ask(&call, asked);
                if asked.max(written) == Durability::Process {
                    subject.assert_answers(&answered, &what);
                    assert!(subject.store.stats().log.durable < observed, "{what}");
                    continue;
                }
                while !subject.log.has_blocked_a_sync() {
                    assert_ne!(answered.recv_timeout(Duration::from_millis(1)), Ok(()), "returned too early: {what}");
                }
                subject.log.open();
                subject.assert_answers(&answered, &what);
                assert!(subject.store.stats().log.durable >= observed, "{what}");
            }
        }
    }
}

#[test]
fn an_answer_does_not_wait_for_what_it_did_not_look_at() {
    for call in calls() {
        for asked in [Durability::Disk, Durability::Process] {
            for written in [Durability::Disk, Durability::Process] {
                let what = format!("{}, asked at {asked:?} beside a write at {written:?}", call.name);
                let subject = Subject::new();
                subject.write(call.looks_at, Durability::Process);
                subject.store.sync().unwrap();
                subject.log.shut();
                subject.write(unrelated, written);
                let answered = subject.ask(&call, asked);
                subject.assert_answers(&answered, &what);
            }
        }
    }
}

/// The checkpoint holds what the answer depends on, so that is on disk, whatever the log reports.
#[test]
fn an_answer_from_a_checkpoint_waits_for_nothing() {
    for call in calls() {
        let subject = Subject::new();
        subject.write(call.looks_at, Durability::Process);
        subject.store.checkpoint().unwrap();
        subject.log.shut();
        subject.write(unrelated, Durability::Disk);
        let answered = subject.ask(&call, Durability::Disk);
        subject.assert_answers(&answered, call.name);
    }
}

/// Deleted names are forgotten, but an answer about one depends on its deletion until that is
/// durable.
#[test]
fn an_answer_depends_on_a_forgotten_name_until_its_deletion_is_durable() {
    let subject = Subject::new();
    subject.log.shut();
    subject.write(drop_other, Durability::Process);
    // Each change of a name forgets deleted names that no reader sees any more.
    for n in 0..1000 {
        let name = n.to_string();
        subject.store.transact_with(Durability::Process, |tx| tx.create_collection(&name)).unwrap();
        subject.store.transact_with(Durability::Process, |tx| tx.drop_collection(&name)).unwrap();
    }
    // An answer about a name that never existed depends on none of the deletions.
    let (answer_sender, answered) = mpsc::channel();
    thread::spawn({
        let store = subject.store.clone();
        move || {
            assert_error!(store.drop_collection("never existed"), Error::CollectionNotFound { .. });
            answer_sender.send(()).unwrap();
        }
    });
    assert_eq!(answered.recv_timeout(LONG), Ok(()), "it waits for a change that it did not look at");
    let refused = thread::spawn({
        let store = subject.store.clone();
        move || store.drop_collection("other")
    });
    while !subject.log.has_blocked_a_sync() {
        assert!(!refused.is_finished(), "returned too early");
        thread::yield_now();
    }
    subject.log.open();
    assert_error!(refused.join().unwrap(), Error::CollectionNotFound { .. });
}

fn poll<T>(commit: &mut Commit<T>) -> Poll<Result<T>> {
    std::pin::Pin::new(commit).poll(&mut Context::from_waker(Waker::noop()))
}

/// To wait for a deferred answer is to wait for what it looked at, and the flusher flushes no more
/// than that.
#[test]
fn a_deferred_answer_is_due_when_what_it_looked_at_is_durable_as_asked() {
    let subject = Subject::new();
    let ask = |durability| subject.user(durability).transact_deferred(|tx| tx.contains("all", "k"));
    subject.scheduler.run_woken();
    subject.log.shut();
    let deleted = subject.write(delete, Durability::Process);
    let (mut disk, mut process) = (ask(Durability::Disk), ask(Durability::Process));
    assert_eq!((disk.lsn(), process.lsn()), (deleted, deleted));
    assert!(matches!(poll(&mut process), Poll::Ready(Ok(false))));
    assert!(poll(&mut disk).is_pending());
    subject.log.open();
    subject.scheduler.run("kv-flush"); // requested at once, because a caller waits for the disk
    assert!(matches!(poll(&mut disk), Poll::Ready(Ok(false))));

    subject.log.shut();
    subject.write(unrelated, Durability::Disk);
    assert!(matches!(poll(&mut ask(Durability::Disk)), Poll::Ready(Ok(false))));
}

#[test]
fn a_task_that_awaits_a_deferred_answer_is_woken_when_it_is_due() {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };
    #[derive(Default)]
    struct Counting(AtomicUsize);
    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let subject = Subject::new();
    subject.log.shut();
    subject.write(delete, Durability::Process);
    let mut commit = subject.user(Durability::Disk).transact_deferred(|tx| tx.contains("all", "k"));
    let woken = Arc::<Counting>::default();
    let waker = Waker::from(Arc::clone(&woken));
    assert!(std::pin::Pin::new(&mut commit).poll(&mut Context::from_waker(&waker)).is_pending());
    subject.log.open();
    subject.store.sync().unwrap();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(matches!(poll(&mut commit), Poll::Ready(Ok(false))));
}
