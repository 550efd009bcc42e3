//! Removal while a checkpoint is being written.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use kv_core::Checkpointer;
use kv_snapshot::MmapCheckpointer;
use kv_vfs::{Access, File, Lock, OsVfs, Vfs};
use tempfile::TempDir;

use crate::{
    checkpointer::{open, state},
    support::compare,
};

type Act = Box<dyn FnOnce() + Send>;

/// Runs an action once, before the directory is synced.
#[derive(Clone)]
struct ActingVfs(Arc<OsVfs>, Arc<Mutex<Option<Act>>>);

impl std::fmt::Debug for ActingVfs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Vfs for ActingVfs {
    fn sync_directory(&self) -> kv_vfs::Result<()> {
        let act = self.1.lock().unwrap().take();
        if let Some(act) = act {
            std::thread::spawn(act).join().unwrap();
        }
        self.0.sync_directory()
    }
    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
    fn open(&self, name: &str, access: Access) -> kv_vfs::Result<Arc<dyn File>> {
        self.0.open(name, access)
    }
    fn create(&self, name: &str) -> kv_vfs::Result<Arc<dyn File>> {
        self.0.create(name)
    }
    fn rename(&self, from: &str, to: &str) -> kv_vfs::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> kv_vfs::Result<()> {
        self.0.remove(name)
    }
    fn list(&self) -> kv_vfs::Result<Vec<String>> {
        self.0.list()
    }
    fn open_directory(&self, name: &str) -> kv_vfs::Result<Arc<dyn Vfs>> {
        self.0.open_directory(name)
    }
    fn create_directory(&self, name: &str) -> kv_vfs::Result<Arc<dyn Vfs>> {
        self.0.create_directory(name)
    }
    fn try_lock(&self, name: &str, access: Access) -> kv_vfs::Result<Option<Lock>> {
        self.0.try_lock(name, access)
    }
    fn is_in_place(&self) -> bool {
        self.0.is_in_place()
    }
    fn block_bytes(&self) -> u32 {
        self.0.block_bytes()
    }
    fn random(&self) -> kv_vfs::Result<u128> {
        self.0.random()
    }
}

/// Removals while a checkpoint is being written do not remove anything of it.
#[test]
fn removal_during_a_write() {
    struct Removing<'a>(crate::support::StateChanges, &'a MmapCheckpointer, kv_core::CheckpointId);
    impl kv_core::Changes for Removing<'_> {
        fn head(&self) -> &kv_core::CheckpointHead {
            self.0.head()
        }
        fn next(&mut self) -> kv_core::Result<Option<kv_core::Change<'_>>> {
            self.0.next()
        }
        fn cancelled(&self) -> bool {
            self.1.remove(self.2).unwrap();
            false
        }
    }
    let directory = TempDir::new().unwrap();
    let checkpointer = open(&directory);
    let mut state = state();
    let first = checkpointer.write(None, &mut state.take()).unwrap().id();
    state.put(1, b"more", b"");
    let written = checkpointer.write(Some(first), &mut Removing(state.take(), &checkpointer, first)).unwrap();
    compare(&*written, &state.collections).unwrap();
    assert_eq!(checkpointer.list().unwrap(), [written.id()]);
    assert!(checkpointer.verify().unwrap().is_clean());
}

/// A removal at the moment when the new part has its name and no manifest names it yet.
#[test]
fn removal_between_part_and_manifest() {
    let directory = TempDir::new().unwrap();
    let act: Arc<Mutex<Option<Act>>> = Arc::default();
    let vfs = ActingVfs(OsVfs::open(directory.path()).unwrap(), act.clone());
    let checkpointer = Arc::new(MmapCheckpointer::open(Arc::new(vfs)).unwrap());
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
