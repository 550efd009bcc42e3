//! Writing a checkpoint can be cancelled soon, in each of the steps that take long.

use std::cell::{Cell, RefCell};

use kv_core::{Change, Changes, CheckpointHead, Checkpointer, Epoch, Error, LogId, Lsn, Result};
use kv_testkit::vfs::{Kind, TestVfs};
use tempfile::TempDir;

use crate::support::{collection, open, test_vfs};

/// Enough entries that the index of the one collection is sorted and written in several steps.
const ENTRIES: u32 = 140_000;

/// How far a checkpoint was when it asked whether to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Progress {
    changes: u32,
    written: u64,
    synced: u64,
    read: u64,
}

/// Numbered entries, counted as they are taken. Cancels at the question with the number
/// `cancel_at`.
struct Counted<'a> {
    head: CheckpointHead,
    key: [u8; 4],
    taken: u32,
    vfs: &'a TestVfs,
    asked: RefCell<Vec<Progress>>,
    cancel_at: Cell<usize>,
}

impl<'a> Counted<'a> {
    fn new(vfs: &'a TestVfs, cancel_at: usize) -> Self {
        let head = CheckpointHead { epoch: Epoch(1), lsn: Lsn(1), log_id: LogId(1) };
        let (asked, cancel_at) = (RefCell::default(), Cell::new(cancel_at));
        Self { head, key: [0; 4], taken: 0, vfs, asked, cancel_at }
    }

    fn progress(&self) -> Progress {
        let count = |kind| self.vfs.count(kind);
        Progress {
            changes: self.taken,
            written: count(Kind::Write),
            synced: count(Kind::Sync) + count(Kind::SyncDirectory),
            read: count(Kind::Read),
        }
    }
}

impl Changes for Counted<'_> {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        if self.taken == ENTRIES {
            return Ok(None);
        }
        self.key = self.taken.to_be_bytes();
        self.taken += 1;
        Ok(Some(Change { collection: collection(0), key: &self.key, value: Some(b"four") }))
    }

    fn cancelled(&self) -> bool {
        let mut asked = self.asked.borrow_mut();
        asked.push(self.progress());
        asked.len() >= self.cancel_at.get()
    }
}

/// Writes a checkpoint that is cancelled at this question. Returns how far it was at each question,
/// and at the end.
fn write(cancel_at: usize) -> (Result<()>, Vec<Progress>, Progress) {
    let directory = TempDir::new().unwrap();
    let vfs = test_vfs(directory.path());
    let checkpointer = open(vfs.clone()).unwrap();
    let mut changes = Counted::new(&vfs, cancel_at);
    let result = checkpointer.write(None, &mut changes).map(drop);
    assert_eq!(checkpointer.list().unwrap().len(), usize::from(result.is_ok()));
    let end = changes.progress();
    (result, changes.asked.into_inner(), end)
}

#[test]
fn each_step_asks_often_whether_to_go_on() {
    let (written, asked, end) = write(usize::MAX);
    written.unwrap();
    for pair in asked.windows(2) {
        let [before, after] = pair else { unreachable!() };
        assert!(after.changes - before.changes <= 256, "{pair:?}: too many changes between two questions");
        // One operation reads or writes a MiB at most. The additional ones are the last write of
        // the part, and the reads at the beginning of the verification.
        assert!(after.written - before.written <= 2 && after.read - before.read <= 4, "{pair:?}");
        assert!(after.synced - before.synced <= 1, "{pair:?}");
    }
    let times = |is_so: &dyn Fn(&Progress) -> bool| asked.iter().filter(|progress| is_so(progress)).count();
    let of_index = times(&|progress| progress.changes == ENTRIES && progress.synced == 0);
    assert!(of_index >= 9, "asked only {of_index} times while the index is sorted and written");
    let of_reading = times(&|progress| progress.synced > 0);
    assert!(of_reading >= 4, "asked only {of_reading} times while the part is read back");
    assert!(end.synced >= 4, "the part, its name, the manifest and its name");
}

#[test]
fn a_write_stops_at_each_question() {
    let (_, asked, _) = write(usize::MAX);
    let after_changes = asked.iter().position(|progress| progress.changes == ENTRIES).unwrap();
    for cancel_at in [1, 2, after_changes].into_iter().chain(after_changes + 1..=asked.len()) {
        let (cancelled, asked, end) = write(cancel_at);
        assert!(matches!(cancelled, Err(Error::Cancelled)), "question {cancel_at}: {cancelled:?}");
        assert_eq!((asked.len(), asked.last()), (cancel_at, Some(&end)), "it went on");
    }
}
