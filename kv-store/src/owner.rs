//! The owner of a store's directory: who it is, how it says so, and how it notices that it is not
//! any more.

use std::sync::{Arc, OnceLock};

use kv_core::{Error, LockHolder, Result};
use kv_snapshot::MmapCheckpointer;
use kv_vfs::{Lock, Process, Vfs};
use kv_wal::SegmentedLog;

use crate::{file_error, record::Record};

/// The directory of a store that this process has locked, as far as it can be locked.
///
/// The lock is what keeps a second owner out. Where it does not reach, the record in the `LOCK`
/// file is what is left: an opening reads it, and refuses beside a process that is alive. Before
/// its first write it looks again, since another may have come, and gone, meanwhile; then it says
/// that it is the owner. So an opening that only reads writes nothing.
pub(crate) struct Claim {
    directory: Arc<dyn Vfs>,
    /// `None` where processes cannot be told apart: then there is only the lock.
    this: Option<Process>,
    /// What the record said when the directory was locked; an error if it could not be read.
    found: kv_vfs::Result<Option<Record>>,
    written: OnceLock<Record>,
    /// Ends last.
    lock: Lock,
}

impl Claim {
    /// Refuses beside an owner that is alive.
    pub(crate) fn new(directory: Arc<dyn Vfs>, this: Option<Process>, lock: Lock) -> Result<Self> {
        let found = if this.is_some() { Record::read(&*directory) } else { Ok(None) };
        let claim = Self { directory, this, found, written: OnceLock::new(), lock };
        if let Ok(Some(found)) = claim.found {
            claim.refuse_beside(&found)?;
        }
        Ok(claim)
    }

    /// An error met while opening, or what explains it: an owner that began to write meanwhile.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match Record::read(&*self.directory) {
            Ok(Some(now)) => self.refuse_beside(&now).err().unwrap_or(error),
            _ => error,
        }
    }

    fn refuse_beside(&self, record: &Record) -> Result<()> {
        if self.this.is_none_or(|this| !record.is_held_by_another_than(&this)) {
            return Ok(());
        }
        let path = self.directory.path().to_owned();
        Err(Error::Locked { path, holder: LockHolder::OtherMount { id: record.process.id } })
    }

    /// Whether it is this opening's, or was there before. What cannot be read tells nothing.
    fn is_known(&self, record: &Record) -> bool {
        let is_found = match &self.found {
            Ok(found) => found.is_some_and(|found| found.token == record.token),
            Err(_) => true,
        };
        is_found || self.written.get().is_some_and(|written| written.token == record.token)
    }

    /// Says that this opening writes, or makes sure that it still does.
    pub(crate) fn confirm(&self) -> Result<()> {
        let Some(process) = self.this else { return Ok(()) };
        if let Ok(Some(now)) = Record::read(&*self.directory)
            && !self.is_known(&now)
        {
            self.refuse_beside(&now)?;
            return Err(Error::Fenced); // it has come and gone: what was read here when this was opened is old
        }
        if self.written.get().is_none() {
            let record =
                Record { token: self.directory.random().map_err(file_error)?, process, open: true, is_here: true };
            // As well as may be: the disk may be full, and the file somebody else's.
            let _ = record.write(&*self.directory);
            let _ = self.written.set(record);
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(record) = self.written.get()
            && self.lock.is_ours()
            && let Ok(Some(now)) = Record::read(&*self.directory)
            && now.token == record.token
        {
            let _ = Record { open: false, ..*record }.write(&*self.directory);
        }
    }
}

/// What a store keeps until its last handle is gone.
pub(crate) struct Owner {
    log: Arc<SegmentedLog>,
    checkpointer: Arc<MmapCheckpointer>,
    /// Of the store, of its log, of its checkpoints.
    directories: [Arc<dyn Vfs>; 3],
    /// Ends last.
    claim: Claim,
}

impl Owner {
    pub(crate) fn new(
        claim: Claim,
        directories: [Arc<dyn Vfs>; 3],
        log: Arc<SegmentedLog>,
        checkpointer: Arc<MmapCheckpointer>,
    ) -> Self {
        Self { log, checkpointer, directories, claim }
    }

    /// As [`Claim::explain`].
    pub(crate) fn explain(&self, error: Error) -> Error {
        self.claim.explain(error)
    }

    /// In a child nothing is kept of the locks, each of which is noticed where it is taken.
    #[cold]
    fn let_go(&self) -> Result<()> {
        let _ = self.log.check_owner();
        let _ = self.checkpointer.check_owner();
        Err(Error::Forked)
    }
}

impl kv_core::Owner for Owner {
    fn check(&self) -> Result<()> {
        if self.claim.lock.is_ours() { Ok(()) } else { self.let_go() }
    }

    fn confirm(&self) -> Result<()> {
        self.check()?;
        if let Some(gone) = self.directories.iter().find(|directory| !directory.is_in_place()) {
            return Err(Error::DirectoryReplaced { path: gone.path().to_owned() });
        }
        self.claim.confirm()
    }
}

#[cfg(test)]
mod tests {
    use kv_testkit::{
        sim::SimDisk,
        vfs::{Fault, Kind, TestVfs},
    };
    use kv_vfs::Access;

    use super::*;
    use crate::options::LOCK;

    fn claim(vfs: &Arc<dyn Vfs>) -> Claim {
        let lock = vfs.try_lock(LOCK, Access::ReadWrite).unwrap().unwrap();
        Claim::new(Arc::clone(vfs), Process::this(), lock).unwrap()
    }

    #[test]
    fn an_owner_says_so_before_its_first_write_and_when_it_ends_and_never_waits_for_the_disk() {
        let disk = SimDisk::new(1);
        let vfs = disk.vfs();
        let owner = claim(&vfs);
        assert_eq!(disk.take_trace(), "", "so far it may only read");
        for _ in 0..3 {
            owner.confirm().unwrap();
        }
        assert_eq!(disk.take_trace(), "write LOCK 0+128\n");
        assert!(Record::read(&*vfs).unwrap().unwrap().open);
        drop(owner);
        assert_eq!(disk.take_trace(), "write LOCK 0+128\n");
        assert!(!Record::read(&*vfs).unwrap().unwrap().open);
        drop(claim(&vfs));
        assert_eq!(disk.take_trace(), "", "it has only read");
    }

    /// The lock is what counts; what it cannot say costs nobody a write.
    #[test]
    fn an_owner_that_cannot_say_so_writes_all_the_same() {
        for kind in [Kind::Write, Kind::Open, Kind::Read] {
            let vfs = TestVfs::new(SimDisk::new(1).vfs());
            let owner = claim(&(vfs.clone() as _));
            owner.confirm().unwrap();
            vfs.fail(Fault::on(kind).of(LOCK).torn().for_ever());
            owner.confirm().unwrap();
            vfs.heal();
            drop(owner);
            vfs.fail(Fault::on(kind).of(LOCK).torn().for_ever());
            let next = claim(&(vfs.clone() as _));
            next.confirm().unwrap();
            vfs.heal();
            next.confirm().unwrap();
        }
    }
}
