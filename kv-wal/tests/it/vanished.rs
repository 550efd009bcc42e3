//! The newest segment vanishes: what proves that it existed, and the case that docs/durability.md
//! says cannot be seen.

use std::sync::Arc;

use kv_core::{Log, Lsn};
use kv_testkit::ManualScheduler;
use kv_wal::{Options, SegmentedLog};

use crate::{
    memory::{Files, MemoryVfs},
    support::{append_and_sync, is_corrupt, small},
};

/// Opens a log whose second segment had records and is gone. The mark may be the one from before
/// that segment was begun, as a power cut may leave it. Returns the position at which the first
/// segment ends, and the outcome of the opening.
fn open_without_the_newest(has_spare: bool, has_mark: bool) -> (Lsn, kv_core::Result<Lsn>) {
    let (vfs, scheduler) = (MemoryVfs::new(&Files::new()), ManualScheduler::new());
    let options = Options { scheduler: Arc::new(scheduler.clone()), ..small() };
    let log = SegmentedLog::open(vfs.clone(), options).unwrap();
    let is_begun = |files: &Files| files.contains_key("0000000000000002.wal");
    let (mut before, mut end) = (vfs.files(), Lsn::START);
    loop {
        let appended = append_and_sync(&log, 1);
        if is_begun(&vfs.files()) {
            break;
        }
        (before, end) = (vfs.files(), appended);
    }
    append_and_sync(&log, 2);
    if has_spare {
        scheduler.run("kv-wal-spare");
    }
    let mut left = vfs.files();
    left.remove("0000000000000002.wal");
    if !has_mark {
        left.insert("MARK".to_owned(), Arc::clone(&before["MARK"]));
    }
    (end, SegmentedLog::open(MemoryVfs::new(&left), small()).map(|log| log.bounds().durable))
}

#[test]
fn the_spare_or_the_mark_proves_it() {
    for (has_spare, has_mark) in [(true, true), (true, false), (false, true)] {
        let (_, opened) = open_without_the_newest(has_spare, has_mark);
        assert!(is_corrupt(&opened.unwrap_err()), "spare {has_spare}, mark {has_mark}");
    }
}

/// If this loss is noticed some day, remove it from the list in docs/durability.md.
#[test]
fn without_both_it_cannot_be_seen() {
    let (end, opened) = open_without_the_newest(false, false);
    assert_eq!(opened.unwrap(), end);
}
