//! Removal while a checkpoint is being written.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use kv_core::Checkpointer;
use kv_snapshot::MmapCheckpointer;
use kv_testkit::vfs::{Kind, TestVfs};
use kv_vfs::OsVfs;
use tempfile::TempDir;

use crate::{
    checkpointer::{open, state},
    support::{Asking, compare},
};

type Act = Box<dyn FnOnce() + Send>;

/// Removals while a checkpoint is being written do not remove anything of it.
#[test]
fn removal_during_a_write() {
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let mut state = state();
    let first = checkpointer.write(None, &mut state.take()).unwrap().id();
    state.put(1, b"more", b"");
    let remove = || checkpointer.remove(first).unwrap();
    let written = checkpointer.write(Some(first), &mut Asking(state.take(), &remove)).unwrap();
    compare(&*written, &state.collections).unwrap();
    assert_eq!(checkpointer.list().unwrap(), [written.id()]);
    assert!(checkpointer.verify().unwrap().is_clean());
}

/// A removal at the moment when the new part has its name and no manifest names it yet.
#[test]
fn removal_between_part_and_manifest() {
    let directory = TempDir::new().unwrap();
    let act: Arc<Mutex<Option<Act>>> = Arc::default();
    let vfs = TestVfs::before(OsVfs::open(directory.path()).unwrap(), {
        let act = act.clone();
        move |event| {
            let act = if event.kind == Kind::SyncDirectory { act.lock().unwrap().take() } else { None };
            if let Some(act) = act {
                std::thread::spawn(act).join().unwrap();
            }
        }
    })
    .unwrap();
    let checkpointer = Arc::new(MmapCheckpointer::open(vfs).unwrap());
    let mut state = state();
    let first = checkpointer.write(None, &mut state.take()).unwrap().id();
    let remover = checkpointer.clone();
    let path = directory.path().to_owned();
    *act.lock().unwrap() = Some(Box::new(move || {
        let left = fs::read_dir(path).unwrap().count();
        assert_eq!(left, 4, "lock, first part and manifest, second part");
        remover.remove(first).unwrap();
    }));
    state.put(1, b"more", b"");
    let written = checkpointer.write(Some(first), &mut state.take()).unwrap();
    assert!(act.lock().unwrap().is_none());
    assert!(checkpointer.verify().unwrap().is_clean());
    compare(&*checkpointer.open(written.id()).unwrap(), &state.collections).unwrap();
}
