//! What the panic of a closure may carry to the caller.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use kv_core::{Collection, Error, MemoryLog, Result, Store, StoreOptions, Value};

use crate::{
    assert_error,
    panicking::{Bomb, must_not_panic},
    support::{GatedLog, Media},
};

/// A store whose flush is blocked, with `k` = `old` for readers and `new` for the next writer.
fn with_something_unpublished() -> (Arc<GatedLog>, Store, Collection) {
    let media = Media::default();
    let log = GatedLog::new(MemoryLog::open(&media.log).unwrap());
    let store = Store::with_backends(Arc::clone(&log) as _, media.checkpointer(), StoreOptions::default()).unwrap();
    let all = store.collection("all").unwrap();
    all.put("k", "old").unwrap();
    log.shut();
    drop(all.deferred().put("k", "new").unwrap());
    (log, store, all)
}

/// What a caller learns by catching the panic of a closure that saw the newest value.
type Outcome = Result<Result<(), Error>, Option<Value>>;

fn panic_with_what_is_seen(how: &str, store: &Store, all: &Collection) -> Outcome {
    let panicking = AssertUnwindSafe(|| match how {
        "transact" => store.transact(|tx| -> Result<()> { panic_any(tx.get("all", "k")?) }),
        "transact_deferred" => store.deferred().transact(|tx| -> Result<()> { panic_any(tx.get("all", "k")?) })?.wait(),
        "get_with" => store.transact(|tx| -> Result<()> {
            tx.get_with("all", "k", |value| panic_any(Some(Value::copy_from(value)))).map(drop)
        }),
        "update in a transaction" => store.transact(|tx| -> Result<()> {
            tx.update("all", "k", |value| -> Option<Value> { panic_any(value.map(Value::copy_from)) }).map(drop)
        }),
        _ => all.update("k", |value| -> Option<Value> { panic_any(value.map(Value::copy_from)) }).map(drop),
    });
    catch_unwind(panicking).map_err(|payload| *payload.downcast::<Option<Value>>().unwrap())
}

const WAYS: [&str; 5] = ["transact", "transact_deferred", "update", "get_with", "update in a transaction"];

#[test]
fn a_panic_carries_nothing_that_is_not_published() {
    for how in WAYS {
        let (log, store, all) = with_something_unpublished();
        let (send, caught) = mpsc::channel();
        thread::spawn({
            let (store, all) = (store.clone(), all.clone());
            move || send.send(panic_with_what_is_seen(how, &store, &all))
        });
        log.until_a_sync_is_blocked();
        let early = caught.recv_timeout(Duration::from_millis(50));
        assert!(early.is_err(), "{how}: {early:?} is returned before it is durable");
        assert_eq!(all.get("k").unwrap().unwrap(), "old");
        log.open();
        assert_eq!(caught.recv().unwrap().unwrap_err().unwrap(), "new");
        assert_eq!(all.get("k").unwrap().unwrap(), "new");
        all.put("k", "newer").unwrap(); // nothing was poisoned
    }
}

#[test]
fn a_panic_becomes_an_error_if_what_it_saw_is_never_published() {
    for how in WAYS {
        let (log, store, all) = with_something_unpublished();
        log.until_a_sync_is_blocked();
        log.fail_and_open();
        assert_error!(panic_with_what_is_seen(how, &store, &all).unwrap(), Error::OutcomeUnknown { .. });
        assert_eq!(all.get("k").unwrap().unwrap(), "old");
    }
}

#[test]
fn what_a_panic_carries_may_panic_when_it_is_dropped() {
    let (log, store, all) = with_something_unpublished();
    log.fail_and_open();
    let outcome = must_not_panic(|| {
        store.transact(|tx| -> Result<()> {
            tx.get("all", "k")?;
            panic_any(Bomb)
        })
    });
    assert_error!(outcome, Error::OutcomeUnknown { .. });
    assert_eq!(all.get("k").unwrap().unwrap(), "old");
}
