//! The owner of a store's directory: who it is, how it announces itself, and how it notices that it
//! is no longer the owner.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use kv_core::{Error, LockHolder, Result};
use kv_snapshot::MmapCheckpointer;
use kv_vfs::{Lock, Process, Vfs};
use kv_wal::SegmentedLog;

use crate::record::Record;

/// The claim of this process on a store's directory, which it has locked.
///
/// The lock keeps a second owner out. On some mounts a second process does not see the lock, and
/// only the record in the `LOCK` file is left. An opening reads the record, and is refused if the
/// process that it names is alive. Before its first write it reads the record again, since another
/// owner may have come and gone meanwhile, and then writes a record of its own. So an opening that
/// only reads writes nothing.
pub(crate) struct Claim {
    directory: Arc<dyn Vfs>,
    /// `None` if `/proc` does not identify this process; then there is only the lock.
    this: Option<Process>,
    /// The record that was found when the directory was locked; an error if it could not be read.
    found: kv_vfs::Result<Option<Record>>,
    written: OnceLock<Record>,
    /// Dropped last.
    lock: Lock,
}

impl Claim {
    /// Fails if another owner is alive.
    pub(crate) fn new(directory: Arc<dyn Vfs>, this: Option<Process>, lock: Lock) -> Result<Self> {
        let found = if this.is_some() { Record::read(&*directory) } else { Ok(None) };
        let claim = Self { directory, this, found, written: OnceLock::new(), lock };
        if let Ok(Some(found)) = claim.found {
            claim.refuse_beside(&found)?;
        }
        Ok(claim)
    }

    /// Returns `error`, which was met while opening, or the cause of it: another owner began to
    /// write meanwhile.
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
        Err(Error::Locked { path, holder: LockHolder::OtherMount { id: record.process.id }, waited: Duration::ZERO })
    }

    /// Whether the record is this opening's, or was there before. If the record could not be read
    /// when the directory was locked, any record counts as known.
    fn is_known(&self, record: &Record) -> bool {
        let is_found = match &self.found {
            Ok(found) => found.is_some_and(|found| found.token == record.token),
            Err(_) => true,
        };
        is_found || self.written.get().is_some_and(|written| written.token == record.token)
    }

    /// Checks that no other opening has announced itself meanwhile, and announces, at the first
    /// call, that this one writes.
    pub(crate) fn confirm(&self) -> Result<()> {
        let Some(process) = self.this else { return Ok(()) };
        if let Ok(Some(now)) = Record::read(&*self.directory)
            && !self.is_known(&now)
        {
            self.refuse_beside(&now)?;
            // Another owner has come and gone, so what this opening has read is out of date.
            return Err(Error::Fenced);
        }
        if self.written.get().is_none() {
            let record = Record { token: self.directory.random()?, process, open: true, is_here: true };
            // Best effort: the disk may be full, and the file may not be writable.
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

/// What a store keeps until its last handle is dropped.
pub(crate) struct Owner {
    log: Arc<SegmentedLog>,
    checkpointer: Arc<MmapCheckpointer>,
    /// The directories of the store, its log and its checkpoints.
    directories: [Arc<dyn Vfs>; 3],
    /// Dropped last.
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

    pub(crate) fn checkpointer(&self) -> &MmapCheckpointer {
        &self.checkpointer
    }

    /// The same as [`Claim::explain`].
    pub(crate) fn explain(&self, error: Error) -> Error {
        self.claim.explain(error)
    }

    /// Refuses a child of the owner, and releases the locks that it inherited. The log and the
    /// checkpointer each release theirs when they check their owner.
    #[cold]
    fn refuse_child(&self) -> Result<()> {
        let _ = self.log.check_owner();
        let _ = self.checkpointer.check_owner();
        Err(Error::Forked)
    }
}

impl kv_core::Owner for Owner {
    fn check(&self) -> Result<()> {
        if self.claim.lock.is_ours() { Ok(()) } else { self.refuse_child() }
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
    fn an_owner_announces_its_first_write_and_its_end_and_never_waits_for_the_disk() {
        let disk = SimDisk::new(1);
        let vfs = disk.vfs();
        let owner = claim(&vfs);
        assert_eq!(disk.take_trace(), "", "it has only read so far");
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

    /// The lock is what counts. An owner that cannot announce itself can still write.
    #[test]
    fn an_owner_that_cannot_announce_itself_still_writes() {
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
