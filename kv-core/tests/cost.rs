//! Cost follows what is there, not what has been: each verb is measured at N and at 4 N, and may
//! not cost much more. What is counted are allocations, which do not depend on the machine:
//! whatever looks at an entry makes a handle to its key.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{sync::Arc, time::Instant};

use allocation_counter::measure;
use kv_core::{
    Durability, Error, MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, MemoryLogMedium, Result, Snapshot, Store,
    StoreOptions, Transaction,
};
use kv_testkit::ManualScheduler;

/// By how much the cost may grow if everything else grows fourfold.
const RATIO_MAX: f64 = 2.0;

fn options() -> StoreOptions {
    StoreOptions {
        durability: Durability::Process,
        checkpoint_record_bytes: u64::MAX,
        checkpoint_medium_bytes: u64::MAX,
        ..StoreOptions::default()
    }
}

fn store() -> Store {
    Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options()).unwrap()
}

/// Checks what `verb` costs in the states that `prepare` makes of N and of 4 N. It is called a few
/// times in each, and the first calls may cost more.
fn check<S>(name: &str, prepare: impl Fn(u64) -> S, mut verb: impl FnMut(&mut S, u64)) {
    let mut cost = |n| {
        let mut state = prepare(n);
        (0..3).for_each(|call| verb(&mut state, call));
        let taken = measure(|| (3..13).for_each(|call| verb(&mut state, call)));
        taken.count_total as f64
    };
    let (at_n, at_4n) = (cost(1000), cost(4000));
    let ratio = (at_4n + 10.0) / (at_n + 10.0);
    assert!(ratio <= RATIO_MAX, "{name}: {at_n} allocations at N, {at_4n} at 4 N");
}

fn put(store: &Store, key: u64) {
    store.collection("q").unwrap().put(key.to_be_bytes(), "value").unwrap();
}

/// A queue of which `n` entries were popped, and a few are left.
fn popped(n: u64, checkpointed: bool, from_the_back: bool) -> Store {
    let store = store();
    (0..n + 50).for_each(|key| put(&store, key));
    if checkpointed {
        store.checkpoint().unwrap();
    }
    let q = store.collection("q").unwrap();
    for popped in 0..n {
        let entry = if from_the_back { q.pop_last() } else { q.pop_first() };
        assert!(entry.unwrap().is_some());
        if popped == n / 2 && checkpointed {
            store.checkpoint().unwrap(); // freezes
        }
    }
    store
}

#[test]
fn the_ends_of_a_queue() {
    for checkpointed in [false, true] {
        let at_front = |n| popped(n, checkpointed, false);
        let at_back = |n| popped(n, checkpointed, true);
        let q = |store: &Store| store.collection("q").unwrap();
        check("pop_first", at_front, |store, _| assert!(q(store).pop_first().unwrap().is_some()));
        check("pop_last", at_back, |store, _| assert!(q(store).pop_last().unwrap().is_some()));
        check("first", at_front, |store, _| assert!(q(store).first().unwrap().is_some()));
        check("last", at_back, |store, _| assert!(q(store).last().unwrap().is_some()));
        check("is_empty", at_front, |store, _| assert!(!q(store).is_empty().unwrap()));
        check("pop_first in a transaction", at_front, |store, _| {
            assert!(store.transact(|tx| tx.pop_first("q")).unwrap().is_some());
        });
        check("put back at the front, and pop_first twice", at_front, |store, _| {
            put(store, 1);
            put(store, 0);
            (0..2).for_each(|_| assert!(q(store).pop_first().unwrap().is_some()));
        });
        check("put at the end, and pop_first", at_front, |store, call| {
            put(store, 1 << 40 | call);
            assert!(q(store).pop_first().unwrap().is_some());
        });
    }
}

/// Plain deletions note nothing, but the first pop or drain behind them does.
#[test]
fn the_front_of_what_was_deleted() {
    let deleted = |n: u64, learn: fn(&Store, u64)| {
        let store = store();
        (0..n + 50).for_each(|key| put(&store, key));
        (0..n).for_each(|key| store.collection("q").unwrap().delete(key.to_be_bytes()).unwrap());
        learn(&store, n);
        store
    };
    let learn: [fn(&Store, u64); 4] = [
        |store, n| assert_eq!(store.collection("q").unwrap().delete_range(..n.to_be_bytes()).unwrap(), 0),
        |store, n| assert_eq!(store.collection("q").unwrap().delete_range_in_steps(..n.to_be_bytes()).unwrap(), 0),
        |store, _| assert!(store.collection("q").unwrap().pop_first().unwrap().is_some()),
        |store, n| assert!(store.collection("q").unwrap().drain(..n.to_be_bytes()).unwrap().is_empty()),
    ];
    for learn in learn {
        let at = |n| deleted(n, learn);
        check("first", at, |store, _| assert!(store.collection("q").unwrap().first().unwrap().is_some()));
        check("a range from the front", at, |store, _| {
            assert!(store.collection("q").unwrap().range(0_u64.to_be_bytes()..).next().is_some());
        });
    }
}

/// Deleting a range notes what it has deleted from an end, however many steps it takes.
#[test]
fn the_front_of_a_range_that_was_deleted() {
    let delete: [fn(&Store, u64); 2] = [
        |store, n| assert_eq!(store.collection("q").unwrap().delete_range(..n.to_be_bytes()).unwrap(), n),
        |store, n| assert_eq!(store.collection("q").unwrap().delete_range_in_steps(..n.to_be_bytes()).unwrap(), n),
    ];
    for delete in delete {
        for checkpointed in [false, true] {
            let at = |n| {
                let store = store();
                (0..5 * n + 50).for_each(|key| put(&store, key));
                if checkpointed {
                    store.checkpoint().unwrap();
                }
                delete(&store, 5 * n);
                store
            };
            check("first", at, |store, _| assert!(store.collection("q").unwrap().first().unwrap().is_some()));
        }
    }
}

/// What each step costs does not depend on how much the steps before have deleted.
#[test]
fn deleting_in_steps() {
    let cost = |n: u64, delete: fn(&Store, u64)| {
        let store = store();
        (0..n).for_each(|key| put(&store, key));
        store.checkpoint().unwrap();
        measure(|| delete(&store, n)).count_total as f64 / n as f64
    };
    let delete: [fn(&Store, u64); 3] = [
        |store, n| assert_eq!(store.collection("q").unwrap().delete_range_in_steps::<&[u8]>(..).unwrap(), n),
        |store, n| {
            let q = store.collection("q").unwrap();
            assert_eq!(q.delete_range_in_steps(0_u64.to_be_bytes()..).unwrap(), n);
        },
        |store, n| assert_eq!(store.collection("q").unwrap().retain(|_, _| false).unwrap(), n),
    ];
    for delete in delete {
        let (at_n, at_4n) = (cost(10_000, delete), cost(40_000, delete));
        assert!(at_4n <= RATIO_MAX * at_n, "{at_n} allocations for each entry at N, {at_4n} at 4 N");
    }
}

/// A store that was opened again, with a queue from which everything was popped before.
fn reopened(n: u64, checkpointed: bool) -> Store {
    let (log, checkpoints) = (MemoryLogMedium::default(), MemoryCheckpointMedium::default());
    let open = || {
        let log = Arc::new(MemoryLog::open(&log).unwrap());
        let options = StoreOptions { close_checkpoint_record_bytes: u64::MAX, ..options() };
        Store::with_backends(log, Arc::new(MemoryCheckpointer::open(&checkpoints)), options).unwrap()
    };
    let store = open();
    (0..n).for_each(|key| put(&store, key));
    if checkpointed {
        store.checkpoint().unwrap();
    }
    while store.collection("q").unwrap().pop_first().unwrap().is_some() {}
    store.close().unwrap();
    drop(store);
    open()
}

/// A queue that is found empty again and again was walked over once.
#[test]
fn an_empty_queue() {
    for checkpointed in [false, true] {
        let at = |n| reopened(n, checkpointed);
        let q = |store: &Store| store.collection("q").unwrap();
        check("pop_first", at, |store, _| assert!(q(store).pop_first().unwrap().is_none()));
        check("pop_last", at, |store, _| assert!(q(store).pop_last().unwrap().is_none()));
        check("drain", at, |store, _| assert!(q(store).drain::<&[u8]>(..).unwrap().is_empty()));
        check("drain of the front", at, |store, _| assert!(q(store).drain(..[0xFF]).unwrap().is_empty()));
        check("pop_first in a transaction", at, |store, _| {
            assert!(store.transact(|tx| tx.pop_first("q")).unwrap().is_none());
        });
        check("is_empty beside pop_first", at, |store, _| {
            assert!(q(store).pop_first().unwrap().is_none());
            assert!(q(store).is_empty().unwrap());
        });
        check("put at the front, and pop_first twice", at, |store, _| {
            put(store, 0);
            assert!(q(store).pop_first().unwrap().is_some());
            assert!(q(store).pop_first().unwrap().is_none());
        });
    }
}

/// However many keys are put where everything was popped, the rest stays known.
#[test]
fn many_keys_put_back() {
    const PUT_BACK: u64 = 300;
    let emptied = |n| {
        let store = popped(10 * n, false, true);
        while store.collection("q").unwrap().pop_last().unwrap().is_some() {}
        store
    };
    check("a stack that was deeper", emptied, |store, _| {
        (0..PUT_BACK).for_each(|key| put(store, key));
        let q = store.collection("q").unwrap();
        (0..PUT_BACK).for_each(|_| assert!(q.pop_last().unwrap().is_some()));
    });
}

/// However long the keys are.
#[test]
fn long_keys() {
    let key = |key: u64| [&[7; 2000][..], &key.to_be_bytes()].concat();
    let popped = |n| {
        let store = store();
        let q = store.collection("q").unwrap();
        (0..n + 50).for_each(|number| q.put(key(number), "value").unwrap());
        (0..n).for_each(|_| assert!(q.pop_first().unwrap().is_some()));
        store
    };
    check("pop_first", popped, |store, _| {
        assert!(store.collection("q").unwrap().pop_first().unwrap().is_some());
    });
}

/// Pops in a transaction.
fn pop(tx: &mut Transaction<'_>, pops: u64) -> Result<()> {
    (0..pops).try_for_each(|_| tx.pop_first("q").map(|entry| assert!(entry.is_some())))
}

/// What a transaction allocates that is taken back at its end.
fn taken_back(store: &Store, write: impl Fn(&mut Transaction<'_>) -> Result<()>) -> u64 {
    let run = || {
        let taken_back = store.transact(|tx| write(tx).and(Err::<(), _>(Error::Cancelled)));
        assert!(matches!(taken_back, Err(Error::Cancelled)), "{taken_back:?}");
    };
    measure(run).count_total
}

/// Checks what something costs in transactions that have popped N and 4 N entries before.
fn check_after_pops(cost: impl Fn(u64) -> f64) {
    let (at_n, at_4n) = (cost(500), cost(2000));
    assert!(at_4n <= RATIO_MAX * at_n, "{at_n} allocations after N pops, {at_4n} after 4 N");
}

/// What the verbs that look at an end cost in a transaction that has popped much there.
#[test]
fn looking_at_what_a_transaction_popped() {
    let cost = |n: u64| {
        let store = store();
        (0..n + 50).for_each(|key| put(&store, key));
        let with_looks = |looks: u64| {
            taken_back(&store, |tx| {
                pop(tx, n)?;
                for _ in 0..looks {
                    assert!(tx.first("q")?.is_some() && !tx.is_empty("q")?);
                    assert!(tx.range("q", 0_u64.to_be_bytes()..).next().transpose()?.is_some());
                    tx.put("q", 0_u64.to_be_bytes(), "again")?;
                    assert!(tx.pop_first("q")?.is_some());
                }
                Ok(())
            })
        };
        with_looks(0);
        with_looks(100).saturating_sub(with_looks(0)) as f64
    };
    check_after_pops(cost);
}

/// How long pops take in a transaction, before and after it has popped from many other collections.
/// Looking for what was noted of one among all of them allocates nothing, so this takes the time:
/// the shortest of many, and with room to spare.
#[test]
fn pops_beside_many_collections_in_a_transaction() {
    let store = store();
    (0..1000).for_each(|key| put(&store, key));
    let names: Vec<String> = (0..30_000).map(|name| name.to_string()).collect();
    store.transact(|tx| names.iter().try_for_each(|name| tx.put(name, "k", "v"))).unwrap();
    let shortest_of_pops = |tx: &mut Transaction<'_>| {
        let ten = |_| {
            let begun = Instant::now();
            (0..10).for_each(|_| assert!(tx.pop_first("q").unwrap().is_some()));
            begun.elapsed()
        };
        (0..20).map(ten).min().unwrap()
    };
    let (before, after) = store
        .transact(|tx| {
            let before = shortest_of_pops(tx);
            names.iter().try_for_each(|name| tx.pop_first(name).map(drop))?;
            Ok((before, shortest_of_pops(tx)))
        })
        .unwrap();
    assert!(after <= 3 * before, "{before:?} before, {after:?} after");
}

/// What one pop costs in a transaction that has popped much.
#[test]
fn many_pops_in_a_transaction() {
    let cost_of_pops = |before: u64| {
        let store = store();
        (0..before + 200).for_each(|key| put(&store, key));
        let with_pops = |pops: u64| {
            taken_back(&store, |tx| {
                pop(tx, pops)?;
                tx.create_collection("never").map(drop)
            })
        };
        with_pops(0);
        with_pops(before + 100).saturating_sub(with_pops(before)) as f64
    };
    check_after_pops(cost_of_pops);
}

#[test]
fn snapshots() {
    let with_snapshots = |n| {
        let store = store();
        put(&store, 1);
        let snapshots: Vec<Snapshot> = (0..n)
            .map(|key| {
                put(&store, key % 10);
                store.snapshot()
            })
            .collect();
        (store, snapshots)
    };
    check("a snapshot beside others", with_snapshots, |(store, _), _| drop(store.snapshot()));
    check("a put beside snapshots", with_snapshots, |(store, _), call| put(store, call));
    check("an iterator beside snapshots", with_snapshots, |(store, _), _| {
        assert!(store.collection("q").unwrap().iter().next().is_some());
    });
    check("a get in an old snapshot of a hot key", with_snapshots, |(_, snapshots), call| {
        snapshots[call as usize].get("q", 1_u64.to_be_bytes()).unwrap();
    });
}

#[test]
fn names() {
    let with_collections = |n| {
        let store = store();
        (0..n).for_each(|name| assert!(store.create_collection(&name.to_string()).unwrap()));
        store
    };
    check("create_collection", with_collections, |store, call| {
        assert!(store.create_collection(&format!("new {call}")).unwrap());
    });
    check("rename_collection", with_collections, |store, call| {
        store.rename_collection(&call.to_string(), &format!("renamed {call}")).unwrap();
    });
    check("drop_collection", with_collections, |store, call| store.drop_collection(&call.to_string()).unwrap());
    check("a scan of one of many collections", with_collections, |store, call| {
        let collection = store.collection(&call.to_string()).unwrap();
        collection.put("k", "v").unwrap();
        assert_eq!(collection.iter().count(), 1);
    });
    check("len of one of many collections", with_collections, |store, call| {
        assert_eq!(store.collection(&call.to_string()).unwrap().len().unwrap(), 0);
    });
}

/// A store that has `n` collections, and as many more whose creation waits for a flush that never
/// comes.
fn with_pending_names(n: u64, checkpointed: bool) -> Store {
    let scheduler = Arc::new(ManualScheduler::new());
    let options = StoreOptions { scheduler, durability: Durability::Disk, ..options() };
    let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options).unwrap();
    let deferred = store.deferred();
    let last = (0..n).fold(None, |_, name| Some(deferred.create_collection(&name.to_string())));
    assert!(last.unwrap().unwrap().wait().unwrap());
    if checkpointed {
        store.checkpoint().unwrap();
    }
    (n..2 * n).for_each(|name| drop(deferred.create_collection(&name.to_string()).unwrap()));
    assert_eq!(store.snapshot().collections().unwrap().len() as u64, n, "they wait");
    store
}

/// What names cost while many changes of names wait for a flush. Walking over them allocates a list
/// of them once, so what is counted are bytes: the median of some calls, as a table may grow.
#[test]
fn names_beside_pending_changes_of_names() {
    let check = |what: &str, verb: fn(&Store, u64)| {
        for checkpointed in [false, true] {
            let cost = |n| {
                let store = with_pending_names(n, checkpointed);
                let mut calls: Vec<u64> = (0..11).map(|call| measure(|| verb(&store, call)).bytes_total).collect();
                calls.sort_unstable();
                calls[calls.len() / 2]
            };
            let (at_n, at_4n) = (cost(1000), cost(4000));
            assert!(at_4n as f64 <= RATIO_MAX * at_n as f64, "{what}: {at_n} bytes at N, {at_4n} at 4 N");
        }
    };
    check("create_collection", |store, call| {
        drop(store.deferred().create_collection(&format!("new {call}")).unwrap());
    });
    check("rename_collection", |store, call| {
        drop(store.deferred().rename_collection(&call.to_string(), &format!("new {call}")).unwrap());
    });
    check("rename_collection of a pending one", |store, call| {
        drop(store.deferred().rename_collection(&(1000 + call).to_string(), &format!("new {call}")).unwrap());
    });
    check("drop_collection", |store, call| {
        drop(store.deferred().drop_collection(&call.to_string()).unwrap());
    });
    check("get", |store, call| {
        assert!(store.snapshot().get(&call.to_string(), "k").unwrap().is_none());
    });
}

/// What reads cost in a transaction that has made many changes.
#[test]
fn reads_in_a_transaction() {
    let cost_of_reads = |changes: u64| {
        let store = store();
        put(&store, 0);
        let with_reads = |reads: u64| {
            let run = || {
                let made = store.transact(|tx| {
                    (0..changes).try_for_each(|key| tx.put("q", key.to_be_bytes(), "new"))?;
                    (0..reads).try_for_each(|_| tx.first("q").map(drop))?;
                    (0..reads).try_for_each(|_| tx.range("q", [0]..).next_back().transpose().map(drop))
                });
                made.unwrap();
            };
            measure(run).count_total
        };
        with_reads(0); // the memtable grows
        with_reads(200).saturating_sub(with_reads(100)) as f64
    };
    let (at_n, at_4n) = (cost_of_reads(1000), cost_of_reads(4000));
    assert!(at_4n <= RATIO_MAX * at_n, "{at_n} allocations beside N changes, {at_4n} beside 4 N");
}
