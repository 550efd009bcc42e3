//! What the API offers beyond the verbs: inference, conversions, and errors that say what happened.

use std::{fmt, sync::Arc, thread, time::Duration};

use kv_core::{
    Batch, Checkpointer, Durability, Error, LockHolder, Log, LogId, Lsn, MemoryCheckpointer, MemoryLog,
    MemoryLogMedium, Place, Store, StoreOptions, Value,
};

use crate::assert_error;

/// The closures say nowhere what their errors are: that this compiles is the test.
#[test]
fn the_error_type_of_a_transaction_is_inferred() {
    let store = Store::in_memory().unwrap();
    store.transact(|_| Ok(())).unwrap();
    store
        .transact(|tx| {
            tx.put("all", "k", "v")?;
            Ok(())
        })
        .unwrap();
    let found = store.transact_with(Durability::Process, |tx| Ok(tx.get("all", "k")?.is_some())).unwrap();
    assert!(found);
    let count = store.deferred().transact(|tx| Ok(tx.iter("all").count())).unwrap();
    store.deferred().with_durability(Durability::Disk).transact(|_| Ok(())).unwrap().wait().unwrap();
    assert_eq!(count.wait().unwrap(), 1);
}

#[test]
fn stats_say_for_how_long_writes_hold_the_lock() {
    const HELD: Duration = Duration::from_millis(2);
    let store = Store::in_memory().unwrap();
    for n in 0..64_u8 {
        assert_eq!(store.stats().lock_held, None);
        store
            .transact(|tx| {
                if n == 63 {
                    thread::sleep(HELD); // this one is measured
                }
                tx.put("all", [n], "v")
            })
            .unwrap();
    }
    let held = store.stats().lock_held.unwrap();
    assert!((HELD..100 * HELD).contains(&held), "{held:?}");
}

#[derive(Debug)]
enum Mine {
    Store(Error),
    Refused,
}

impl From<Error> for Mine {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Mine {}

#[test]
fn a_transaction_may_have_errors_of_its_own() {
    let store = Store::in_memory().unwrap();
    let refused = store.try_transact(|tx| {
        tx.put("all", "k", "v")?;
        Err::<(), _>(Mine::Refused)
    });
    assert!(matches!(refused, Err(Mine::Refused)));
    let missing = |result: Result<(), Mine>| assert!(matches!(result, Err(Mine::Store(Error::KeyNotFound { .. }))));
    missing(store.try_transact(|tx| Ok(tx.delete("all", "k")?)));
    missing(store.try_transact_with(Durability::Process, |tx| Ok(tx.delete("all", "k")?)));
    missing(store.deferred().try_transact(|tx| Ok(tx.delete("all", "k")?)).unwrap().wait());
    let boxed: Result<(), Box<dyn std::error::Error>> = store.try_transact(|_| Err("refused".into()));
    assert_eq!(boxed.unwrap_err().to_string(), "refused");
}

/// Over what was stored before, what the transaction has written itself, and what is absent.
#[test]
fn a_transaction_has_the_verbs_of_a_collection() {
    let store = Store::in_memory().unwrap();
    let all = store.collection("all").unwrap();
    for key in ["b", "c", "d"] {
        all.put(key, key).unwrap();
    }
    store.checkpoint().unwrap();
    store
        .transact(|tx| {
            assert_eq!((tx.len("all")?, tx.is_empty("all")?), (3, false));
            assert_eq!((tx.len("none")?, tx.is_empty("none")?), (0, true));
            tx.put("all", "a", "1")?;
            tx.delete("all", "d")?;
            assert_eq!(tx.len("all")?, 3);
            assert_eq!(tx.first("all")?.unwrap().key, "a");
            assert_eq!(tx.last("all")?.unwrap().key, "c");
            assert!(tx.first("none")?.is_none() && tx.last("none")?.is_none());
            let found = tx.get_many("all", &["d", "c", "a"])?;
            assert_eq!(found, [None, Some(Value::from("c")), Some(Value::from("1"))]);
            assert_eq!(tx.get_with("all", "b", <[u8]>::len)?, Some(1));
            assert_eq!(tx.get_with("all", "d", <[u8]>::len)?, None);

            assert_eq!(tx.put_if_absent("all", "b", "x")?.unwrap(), "b");
            assert_eq!(tx.put_if_absent("new", "k", "v")?, None);
            assert_eq!(tx.get("new", "k")?.unwrap(), "v");
            assert_eq!(tx.compare_and_set("all", "b", Some(b"x"), None)?.unwrap_err().actual.unwrap(), "b");
            assert!(tx.compare_and_set("all", "b", Some(b"b"), Some(b"2"))?.is_ok());
            assert!(tx.compare_and_set("all", "d", None, Some(b"4"))?.is_ok());
            assert!(tx.compare_and_set("all", "d", Some(b"4"), None)?.is_ok());
            assert_eq!(tx.update("all", "c", |old| old.map(|_| "3"))?.unwrap(), "3");
            assert_eq!(tx.update("all", "a", |_| None::<&str>)?, None);
            assert_eq!(tx.take("all", "c")?.unwrap(), "3");
            assert_eq!(tx.take("all", "c")?, None);
            assert!(!tx.contains("all", "a")?);
            Ok(())
        })
        .unwrap();
    let keys: Vec<_> = all.iter().map(|entry| entry.unwrap()).map(|entry| (entry.key, entry.value)).collect();
    assert_eq!(keys, [(Value::from("b"), Value::from("2"))]);
    assert_eq!(store.collection("new").unwrap().get("k").unwrap().unwrap(), "v");
}

#[test]
fn verbs_of_a_transaction_refuse_what_those_of_a_collection_do() {
    let store = Store::in_memory().unwrap();
    store
        .transact(|tx| {
            assert_error!(tx.put_if_absent("all", "", "v"), Error::InvalidKey { .. });
            assert_error!(tx.put_if_absent("", "k", "v"), Error::InvalidCollectionName { .. });
            assert_error!(tx.compare_and_set("all", "", None, None), Error::InvalidKey { .. });
            assert_error!(tx.compare_and_set("", "k", None, Some(b"v")), Error::InvalidCollectionName { .. });
            assert_error!(tx.update("all", "", |_| Some("v")), Error::InvalidKey { .. });
            assert_error!(tx.take("all", ""), Error::InvalidKey { .. });
            assert_error!(tx.get_many("all", &["k", ""]), Error::InvalidKey { .. });
            assert_error!(tx.get_with("all", "", |_| ()), Error::InvalidKey { .. });
            Ok(())
        })
        .unwrap();
    assert_eq!(store.snapshot().position(), Lsn::START, "something was written");
}

#[test]
fn an_absent_key_is_named_with_its_collection() {
    let store = Store::in_memory().unwrap();
    store.write(Batch::new().put("jobs", "1", "")).unwrap();
    let batch = Batch::new().delete("jobs", "1").delete("jobs", b"\x00\x02").delete("jobs", "3").take();
    for refused in [
        store.collection("jobs").unwrap().delete(b"\x00\x02"),
        store.write(&batch),
        store.transact(|tx| tx.delete("jobs", b"\x00\x02")),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.to_string(), r#"there is no key "\x00\x02" in the collection "jobs""#);
        let Error::KeyNotFound { collection, key } = error else { panic!("{error:?}") };
        assert_eq!((collection.as_str(), &key), ("jobs", &Value::from(b"\x00\x02")));
    }
}

#[test]
fn a_batch_is_written_by_value_or_by_reference_and_collected() {
    let store = Store::in_memory().unwrap();
    let all = store.collection("all").unwrap();
    let bound = Batch::new().put("all", "1", "a").put("all", "2", "b").take();
    store.write(&bound).unwrap();
    store.write(bound).unwrap();
    store.write_with(Batch::new().put("all", "3", "c"), Durability::Process).unwrap();
    store.deferred().write(Batch::new().put("all", "4", "d")).unwrap().wait().unwrap();
    let mut batch: Batch = [("all", "5", "e")].into_iter().collect();
    batch.extend([(String::from("all"), vec![b'6'], [b'f'])]);
    store.deferred().with_durability(Durability::Disk).write(&mut batch).unwrap().wait().unwrap();
    let keys: Vec<_> = all.iter().map(|entry| entry.unwrap().key).collect();
    assert_eq!(keys, ["1", "2", "3", "4", "5", "6"]);

    let mut chained = Batch::new();
    let taken = chained.put("all", "7", "g").take();
    assert!(chained.is_empty() && chained.bytes() == 0);
    assert_eq!((taken.len(), taken.bytes()), (1, 2));
}

#[test]
fn a_value_converts_and_compares_both_ways() {
    let value = Value::from("Zoë");
    assert_eq!(value, Value::from(String::from("Zoë")));
    assert_eq!(value, Value::from("Zoë".as_bytes()));
    assert_eq!(Value::from(b"ab"), Value::from(vec![b'a', b'b']));
    assert_eq!(value.to_str(), Ok("Zoë"));
    assert_eq!(String::try_from(value.clone()).unwrap(), "Zoë");
    assert_eq!(Vec::<u8>::from(value.clone()), "Zoë".as_bytes());
    let text = String::from("Zoë");
    assert!("Zoë" == value && *"Zoë" == value && text == value);
    assert!(*"Zoë".as_bytes() == value && "Zoë".as_bytes() == value && "Zoë".as_bytes().to_vec() == value);
    assert!("Zoe" != value);
    let binary = Value::from(&[0xff, 0xfe]);
    assert!(binary.to_str().is_err());
    assert_eq!(String::try_from(binary).unwrap_err().into_bytes(), [0xff, 0xfe]);
}

#[test]
fn statistics_read_as_a_sentence_and_a_log_has_its_number_in_hexadecimal() {
    let store = Store::in_memory().unwrap();
    store.collection("all").unwrap().put("k", "value").unwrap();
    let text = store.stats().to_string();
    assert!(text.starts_with("published up to position 1; no checkpoint; changed since: 1 entries, "), "{text}");
    store.checkpoint().unwrap();
    let text = store.stats().to_string();
    assert!(
        text.contains("checkpoint at position 1: 2 entries, 21 bytes, parts: 1; changed since: 0 entries"),
        "{text}"
    );
    assert!(text.contains("durable up to 1, appended up to 1"), "{text}");
    assert_eq!(format!("{:?}", LogId(0xab)), "LogId(000000000000000000000000000000ab)");
}

#[test]
fn a_log_that_is_open_says_that_it_is_open_here() {
    let medium = MemoryLogMedium::new();
    let _open = MemoryLog::open(&medium).unwrap();
    let error = MemoryLog::open(&medium).map(drop).unwrap_err();
    assert!(matches!(error, Error::Locked { holder: LockHolder::ThisProcess, .. }), "{error:?}");
    let text = error.to_string();
    for part in ["open in this process", "collections", "change feeds", "commits", "even after `close`"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn who_holds_a_lock_is_said_as_far_as_it_is_known() {
    let this = std::process::id();
    assert_eq!(LockHolder::from(Some(this)), LockHolder::ThisProcess);
    for (holder, another, text) in [
        (LockHolder::from(Some(this + 1)), true, format!("d is in use by process {}", this + 1)),
        (LockHolder::Process { id: None }, true, "d is in use by another process".to_owned()),
    ] {
        assert_eq!(holder.is_another_process(), another);
        assert_eq!(Error::Locked { path: "d".into(), holder, waited: Duration::ZERO }.to_string(), text);
    }
    assert!(!LockHolder::ThisProcess.is_another_process() && !LockHolder::Unknown.is_another_process());
    assert!(Error::locked("d", None).to_string().contains("by another process, or by a handle of this one"));
}

/// Opens a store whose log has one record, of these bytes.
fn open_record(bytes: &[u8]) -> Error {
    let log = MemoryLog::new();
    log.append(bytes, Durability::Disk).unwrap();
    log.sync(Lsn(1)).unwrap();
    Store::with_backends(Arc::new(log), Arc::new(MemoryCheckpointer::new()), StoreOptions::default()).unwrap_err()
}

#[test]
fn damage_has_a_place_which_need_not_be_a_file() {
    let error = open_record(b"");
    assert_error!(Err::<(), _>(&error), Error::Corrupt { place: Place::Record(Lsn(1)), offset: Some(0), .. });
    assert!(error.to_string().starts_with("record 1 of the log is damaged at byte 0: "), "{error}");
    let error = open_record(b"no operation");
    assert_error!(Err::<(), _>(&error), Error::NewerVersion { place: Place::Record(Lsn(1)), .. });
    assert!(error.to_string().starts_with("record 1 of the log was written by a newer version: "), "{error}");

    let store = Store::in_memory().unwrap();
    store.collection("all").unwrap().put("k", "v").unwrap();
    let id = store.checkpoint().unwrap().unwrap();
    let error = MemoryCheckpointer::new().open(id).map(drop).unwrap_err();
    assert!(matches!(error, Error::Corrupt { place: Place::Checkpoint(_), offset: None, .. }), "{error:?}");
    assert_eq!(error.to_string(), "the checkpoint at position 1: there is no such checkpoint");
}
