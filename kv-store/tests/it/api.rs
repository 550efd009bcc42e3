//! What errors say about the process that has a store open, and about missing files.

use kv_store::{Error, LockHolder, Lsn, Place};
use kv_testkit::fork;

use crate::support::small;

fn holder(error: &Error) -> LockHolder {
    let Error::Locked { holder, .. } = error else { panic!("{error:?}") };
    *holder
}

/// This holds for each kind of handle, and even after `close`.
#[test]
fn a_store_that_is_open_in_this_process_says_so_until_the_last_handle_is_dropped() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    for kind in ["store", "collection", "feed", "commit"] {
        let store = small().open(&path).unwrap();
        let all = store.collection("all").unwrap();
        let commit = all.deferred().put("k", "v").unwrap();
        let feed = store.changes(Lsn::START).unwrap();
        store.close().unwrap();
        let mut handles = (Some(store), Some(all), Some(feed), Some(commit));
        let left: Box<dyn std::any::Any> = match kind {
            "store" => Box::new(handles.0.take()),
            "collection" => Box::new(handles.1.take()),
            "feed" => Box::new(handles.2.take()),
            _ => Box::new(handles.3.take()),
        };
        drop(handles);
        let error = kv_store::open(&path).unwrap_err();
        assert_eq!(holder(&error), LockHolder::ThisProcess, "{kind}: {error}");
        assert!(error.to_string().contains("drop every handle"), "{error}");
        drop(left);
    }
    kv_store::open(&path).unwrap();
}

#[test]
fn a_store_that_is_open_in_another_process_names_it() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let store = small().open(&path).unwrap();
    let this = std::process::id();
    match fork::fork() {
        None => fork::end(|| {
            let error = kv_store::open(&path).unwrap_err();
            assert_eq!(holder(&error), LockHolder::Process { id: Some(this) }, "{error}");
            assert!(error.to_string().ends_with(&format!("is in use by process {this}")), "{error}");
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    drop(store);
}

#[test]
fn what_is_missing_is_not_said_to_be_damaged() {
    for name in ["log", "checkpoints"] {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        small().open(&path).unwrap().close().unwrap();
        std::fs::remove_dir_all(path.join(name)).unwrap();
        let error = kv_store::open(&path).unwrap_err();
        assert!(
            matches!(&error, Error::Corrupt { place: Place::File(file), offset: None, .. } if file.ends_with(name)),
            "{error:?}"
        );
        assert!(error.to_string().contains("is missing") && !error.to_string().contains("damaged"), "{error}");
    }
}
