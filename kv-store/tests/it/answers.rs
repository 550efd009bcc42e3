//! A `Disk` answer that changed nothing survives a power cut, as a `Disk` write does.

use std::{fs, time::Duration};

use kv_store::{Collection, Durability, Error, Lsn, Options, Store};
use kv_testkit::sim::{CrashChoice, CrashModel, SimDisk, Survivors};

use crate::support::{copy, small};

/// Options with which nothing is flushed unless a caller waits for it.
fn lazy() -> Options {
    let mut options = small();
    options.store.flush_interval = Duration::from_secs(3600);
    options
}

type Ask = (&'static str, fn(&Store, &Collection));

/// Each call finds out that `k` is absent.
const ASK: &[Ask] = &[
    ("delete", |_, all| assert!(matches!(all.delete("k"), Err(Error::KeyNotFound { .. })))),
    ("delete_if_present", |_, all| assert!(!all.delete_if_present("k").unwrap())),
    ("take", |_, all| assert_eq!(all.take("k").unwrap(), None)),
    ("update", |_, all| assert_eq!(all.update("k", |_| None::<&[u8]>).unwrap(), None)),
    ("compare_and_set", |_, all| {
        assert_eq!(all.compare_and_set("k", Some(b"v"), None).unwrap().unwrap_err().actual, None);
    }),
    ("transact", |store, _| assert_eq!(store.transact(|tx| tx.get("all", "k")).unwrap(), None)),
    ("scan in a transaction", |store, _| {
        assert!(store.transact(|tx| Ok(tx.iter("all").next().is_none())).unwrap());
    }),
    ("deferred transact", |store, _| {
        assert_eq!(store.deferred().transact(|tx| tx.get("all", "k")).unwrap().wait().unwrap(), None);
    }),
    ("deferred get", |_, all| assert_eq!(all.deferred().get("k").unwrap().wait().unwrap(), None)),
    ("deferred delete", |_, all| {
        assert!(matches!(all.deferred().delete("k").unwrap().wait(), Err(Error::KeyNotFound { .. })));
    }),
];

/// This happened on a real file system: `delete_if_present` had called a key absent, and after a
/// power cut the key was back.
#[test]
fn what_was_called_absent_is_not_back_after_a_power_cut() {
    let delete: fn(&Store, &Collection) = |_, all| all.with_durability(Durability::Process).delete("k").unwrap();
    let clear: fn(&Store, &Collection) =
        |store, _| store.transact_with(Durability::Process, |tx| tx.clear_collection("all")).unwrap();
    let drop_it: fn(&Store, &Collection) =
        |store, _| store.transact_with(Durability::Process, |tx| tx.drop_collection("all")).unwrap();
    for (name, ask) in ASK {
        for make_absent in [delete, clear, drop_it] {
            let disk = SimDisk::new(1);
            let store = lazy().open_in(disk.vfs()).unwrap();
            let all = store.collection("all").unwrap();
            all.put("k", "v").unwrap();
            make_absent(&store, &all);
            let is_back = |disk: &SimDisk| {
                let cut = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
                let store = lazy().open_in(cut.vfs()).unwrap();
                store.collection("all").unwrap().contains("k").unwrap()
            };
            assert!(is_back(&disk), "nothing was promised yet, so this test can fail");
            ask(&store, &all);
            assert!(!is_back(&disk), "{name} called it absent, and the power cut brought it back");
        }
    }
}

#[test]
fn what_was_called_present_is_there_after_a_power_cut() {
    let disk = SimDisk::new(1);
    let store = lazy().open_in(disk.vfs()).unwrap();
    let all = store.collection("all").unwrap();
    let process = all.with_durability(Durability::Process);
    let asked: [fn(&Store, &Collection, &[u8]); 3] = [
        |_, all, key| assert!(all.put_if_absent(key, "w").unwrap().is_some()),
        |_, all, key| assert!(all.compare_and_set(key, None, None).unwrap().is_err()),
        |store, _, key| assert!(store.transact(|tx| tx.contains("all", key)).unwrap()),
    ];
    for (key, ask) in (0..).zip(asked) {
        process.put([key], "v").unwrap();
        ask(&store, &all, &[key]);
        let cut = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
        let store = lazy().open_in(cut.vfs()).unwrap();
        assert_eq!(store.collection("all").unwrap().get([key]).unwrap().unwrap(), "v");
    }
}

/// Recovery makes the deletion durable, but only the ack mark proves that to the next opening.
/// Without the mark, a damaged record would be taken for torn, and the key would silently be back.
#[test]
fn what_recovery_found_is_proven_before_an_answer_rests_on_it() {
    let parent = tempfile::tempdir().unwrap();
    let live = parent.path().join("live");
    let store = lazy().open(&live).unwrap();
    let all = store.collection("all").unwrap();
    all.put("a key that is easy to find", "v").unwrap();
    all.with_durability(Durability::Process).delete("a key that is easy to find").unwrap();
    for asks in [false, true] {
        let path = parent.path().join(format!("asks {asks}"));
        copy(&live, &path);
        let store = lazy().open(&path).unwrap();
        assert_eq!(store.changes(Lsn::START).unwrap().count(), 2); // reading proves nothing
        if asks {
            assert!(!store.collection("all").unwrap().delete_if_present("a key that is easy to find").unwrap());
        }
        let damaged = parent.path().join(format!("damaged, asks {asks}"));
        copy(&path, &damaged);
        damage_last(&damaged, b"a key that is easy to find");
        let opened = lazy().open(&damaged);
        if asks {
            assert!(matches!(opened, Err(Error::Corrupt { .. })), "{opened:?}");
        } else {
            assert_eq!(opened.unwrap().recovery().position.0, 1, "a write that was not promised is torn");
        }
    }
}

/// Flips a bit at the last place in the log that holds these bytes.
fn damage_last(path: &std::path::Path, bytes: &[u8]) {
    let mut segments: Vec<_> = fs::read_dir(path.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    for segment in segments.into_iter().rev() {
        let mut content = fs::read(&segment).unwrap();
        if let Some(at) = content.windows(bytes.len()).rposition(|window| window == bytes) {
            content[at] ^= 1;
            fs::write(segment, content).unwrap();
            return;
        }
    }
    panic!("it is not in the log");
}
