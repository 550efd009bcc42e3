//! A child of the process that writes, and a directory that is removed or replaced.

use std::fs;

use kv_core::{Checkpointer, Effort, Error};
use kv_snapshot::MmapCheckpointer;
use kv_testkit::fork;
use kv_vfs::OsVfs;
use tempfile::TempDir;

use crate::{
    checkpointer::{open, state},
    support::compare,
};

#[test]
fn a_child_is_refused_and_its_parent_continues() {
    for has_written in [false, true] {
        let directory = TempDir::new().unwrap();
        let checkpointer = open(&directory);
        let mut state = state();
        let first = has_written.then(|| checkpointer.write(None, &mut state.take()).unwrap().id());
        let before = fs::read_dir(directory.path()).unwrap().count();
        match fork::fork() {
            None => fork::end(move || {
                let never = kv_core::CheckpointId { epoch: kv_core::Epoch(1), lsn: kv_core::Lsn(1), seq: 1 };
                let id = first.unwrap_or(never);
                let refusals = [
                    checkpointer.write(first, &mut state.take_whole()).map(drop),
                    checkpointer.maintain(Effort::Full, &|| false).map(drop),
                    checkpointer.remove(id),
                    checkpointer.check_owner(),
                ];
                for (at, refusal) in refusals.into_iter().enumerate() {
                    assert!(matches!(refusal, Err(Error::Forked)), "call {at}: {refusal:?}");
                }
                assert_eq!(checkpointer.list().unwrap().len(), usize::from(has_written), "it may read");
                drop(checkpointer);
                assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before);
                std::mem::forget(directory);
            }),
            Some(child) => assert_eq!(child.wait(), Ok(())),
        }
        let written = checkpointer.write(first, &mut state.take_whole()).unwrap();
        compare(&*written, &state.collections).unwrap();
        let other = open(&directory);
        assert!(matches!(other.remove(written.id()), Err(Error::Locked { .. })), "a child ended the lock");
    }
}

#[test]
fn nothing_is_written_once_the_directory_was_removed_or_replaced() {
    for replaced in [false, true] {
        let home = TempDir::new().unwrap();
        let path = home.path().join("checkpoints");
        let checkpointer = MmapCheckpointer::open(OsVfs::create(&path).unwrap()).unwrap();
        let mut state = state();
        let first = checkpointer.write(None, &mut state.take()).unwrap();
        fs::remove_dir_all(&path).unwrap();
        if replaced {
            fs::create_dir(&path).unwrap();
        }
        let refusals = [checkpointer.write(None, &mut state.take_whole()).map(drop), checkpointer.remove(first.id())];
        for refused in refusals {
            assert!(matches!(refused, Err(Error::DirectoryReplaced { .. })), "{refused:?}");
        }
        assert!(!replaced || fs::read_dir(&path).unwrap().next().is_none());
        compare(&*first, &state.collections).unwrap();
    }
}
