use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use kv_core::{Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, Error, Result};
use kv_vfs::{Access, Lock, Origin, Vfs};

use crate::{
    damage_flag::DamageFlag,
    format::{
        manifest::{COLLECTIONS_MAX, Manifest, PartRef},
        names,
    },
    inventory::Inventory,
    read::checkpoint::{MmapCheckpoint, read_manifest},
    verify::{self, VerifyReport, blocks::verify_blocks},
    write::{
        merge::{go_on, merge},
        new_file::NewFile,
        part_writer::PartWriter,
    },
};

/// Keeps checkpoints as files in a directory of their own, and reads them in place through maps.
///
/// A checkpoint is a part, which holds the entries, and a manifest, which names the part and states
/// the checkpoint's log, position and collections. Neither file changes once it has its name. A new
/// checkpoint is published in these steps, each only after the one before it succeeded:
///
/// 1. The part is written under a temporary name, synced, read back from the disk and verified, and
///    renamed.
/// 2. The directory is synced.
/// 3. The same is done with the manifest: written, synced, read back, renamed.
/// 4. The directory is synced. From here on the checkpoint survives a power cut.
/// 5. The manifests that are newer than the previous checkpoint are renamed to `….manifest.bad`,
///    because the caller found them to be bad. The directory is synced.
///
/// A crash before step 4 leaves either the complete checkpoint, if the name of its manifest happens
/// to survive, or files that no manifest names, which the next write removes. A crash between steps
/// 4 and 5 leaves the new checkpoint as the newest, with the bad ones listed below it. The new one
/// names the checkpoint that it was made from, so the next write knows the bad ones and sets them
/// aside. (In the other order there would be a moment in which no name tells how far the log must
/// reach.) If a step fails, the steps before it are undone as far as possible.
///
/// Opening writes nothing. The first call that changes the directory takes a lock on it, for as
/// long as this value lives.
///
/// It belongs to the process that opened it. In a child made by `fork`, writing and removing fail
/// with [`Error::Forked`], and reading does not set the damage flag. Once the directory has been
/// removed or replaced, writing and removing fail with [`Error::DirectoryReplaced`].
///
/// Damaged bytes are an error. A page of a mapped file that the disk cannot read, however, ends the
/// process with SIGBUS, and so does another process that truncates the file.
#[derive(Debug)]
pub struct MmapCheckpointer {
    vfs: Arc<dyn Vfs>,
    damage_flag: Arc<DamageFlag>,
    /// The process that opened this.
    origin: Origin,
    /// Taken before the first change of the directory.
    lock: OnceLock<Lock>,
    /// Held by the writing thread for the whole write, so that there is one write at a time.
    writer: Mutex<()>,
    /// Held while a write plans and while it publishes, and for a whole removal. Not held while a
    /// part is written and gets its name, which may take long. A removal in the meantime leaves
    /// that part alone because of `writing`. It does not remove temporary files: only the next
    /// write does, which waits for `writer`. Taken after `writer`.
    directory: Mutex<DirectoryState>,
}

#[derive(Debug, Default)]
struct DirectoryState {
    /// The sequence number of the checkpoint that is being written. Its part gets its name before a
    /// manifest names it. A removal in the meantime must not remove that part as unneeded.
    writing: Option<u64>,
}

/// What a write decides before it begins.
struct Plan {
    id: CheckpointId,
    previous: Option<MmapCheckpoint>,
    set_aside: Vec<CheckpointId>,
}

impl MmapCheckpointer {
    /// Opens the checkpoints in a directory, which may be empty.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn open(vfs: Arc<dyn Vfs>) -> Result<Self> {
        Inventory::read(&*vfs)?;
        let damage_flag = Arc::new(DamageFlag::new(vfs.clone()));
        Ok(Self {
            vfs,
            damage_flag,
            origin: Origin::here(),
            lock: OnceLock::new(),
            writer: Mutex::default(),
            directory: Mutex::default(),
        })
    }

    /// Fails if this process is a child, made by `fork`, of the process that opened this.
    ///
    /// It takes no lock, and is called before any lock is taken: another thread of the parent may
    /// have held a lock at the fork, and nothing would ever release it in the child. The first call
    /// in a child also closes the child's inherited handle on the directory's lock.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn check_owner(&self) -> Result<()> {
        let is_ours = self.lock.get().map_or_else(|| self.origin.is_here(), Lock::is_ours);
        if is_ours { Ok(()) } else { Err(Error::Forked) }
    }

    /// Reads and verifies every listed checkpoint, from the disk: its manifest, every block of its
    /// parts, and whether entries, order and index agree. If nothing is wrong, the damage flag is
    /// cleared, and writing and removing work again (C9). [`verify`](crate::verify()) does the same
    /// verification and changes nothing.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read or the damage flag cannot be removed;
    /// [`Error::Locked`] if the flag is set and another process writes. Damage is not an error: it
    /// is in the report.
    pub fn verify(&self) -> Result<VerifyReport> {
        let report = verify::verify(&*self.vfs)?;
        if report.is_clean() && self.damage_flag.is_set()? {
            let _directory = self.lock_directory()?;
            self.damage_flag.clear()?;
        }
        Ok(report)
    }

    /// Locks the directory before names in it change: against other threads, and the first time
    /// against other processes.
    fn lock_directory(&self) -> Result<MutexGuard<'_, DirectoryState>> {
        self.check_owner()?;
        let state = lock(&self.directory);
        if self.lock.get().is_none() {
            let locked = self.vfs.try_lock(names::LOCK, Access::ReadWrite)?;
            let locked = locked.ok_or_else(|| Error::locked(self.vfs.path(), self.vfs.lock_holder(names::LOCK)))?;
            let _ = self.lock.set(locked); // cannot fail: `directory` is held
        }
        if !self.vfs.is_in_place() {
            return Err(Error::DirectoryReplaced { path: self.vfs.path().to_owned() });
        }
        Ok(state)
    }

    fn open_checkpoint(&self, manifest: &Manifest) -> Result<MmapCheckpoint> {
        MmapCheckpoint::open(&*self.vfs, manifest, self.damage_flag.clone())
    }

    /// Checks that the checkpoint can be written, and removes what interrupted writes left.
    fn plan(&self, previous: Option<CheckpointId>, head: &CheckpointHead) -> Result<Plan> {
        let mut directory = self.lock_directory()?;
        self.damage_flag.check()?;
        check_head(head)?;
        let inventory = Inventory::read(&*self.vfs)?;
        let id = CheckpointId { epoch: head.epoch, lsn: head.lsn, seq: inventory.next_seq()? };
        if inventory.manifests.first().is_some_and(|newest| *newest > id) {
            return Err(Error::Misuse("a checkpoint must be newer than all that are listed".into()));
        }
        let made_from = previous.map(|id| read_manifest(&*self.vfs, &names::manifest(id), id)).transpose()?;
        if made_from.as_ref().is_some_and(|manifest| manifest.log_id != head.log_id) {
            return Err(Error::Misuse("the previous checkpoint belongs to another log".into()));
        }
        let previous = made_from.as_ref().map(|manifest| self.open_checkpoint(manifest)).transpose()?;
        inventory.remove_temporaries(&*self.vfs)?;
        inventory.remove_unnamed_parts(&*self.vfs, None)?;
        directory.writing = Some(id.seq);
        let set_aside = to_set_aside(&inventory.manifests, made_from.as_ref());
        Ok(Plan { id, previous, set_aside })
    }

    fn write_planned(&self, plan: &Plan, changes: &mut dyn Changes) -> Result<MmapCheckpoint> {
        let part = self.write_part(plan, changes)?;
        let head = changes.head();
        let manifest = Manifest {
            id: plan.id,
            previous: plan.previous.as_ref().map(Checkpoint::id),
            log_id: head.log_id,
            collections: head.collections.clone(),
            parts: vec![part],
        };
        // Open the checkpoint before it is published, because opening can fail.
        let checkpoint = self.open_checkpoint(&manifest)?;
        let _directory = lock(&self.directory);
        self.publish_manifest(&manifest)?;
        self.set_aside(&plan.set_aside)?;
        Ok(checkpoint)
    }

    fn write_part(&self, plan: &Plan, changes: &mut dyn Changes) -> Result<PartRef> {
        let new = NewFile::create(&self.vfs, &names::part(plan.id.seq))?;
        let identity = self.vfs.random()?;
        let mut writer = PartWriter::new(new.file().clone(), changes.head().log_id.0, identity)?;
        merge(plan.previous.as_ref().map(|previous| previous as &dyn Checkpoint), changes, &mut writer)?;
        let summary = writer.finish(&mut || go_on(changes))?;
        new.commit(|file| verify_blocks(file, &summary, || go_on(changes)))?;
        self.vfs.sync_directory()?;
        Ok(PartRef { seq: plan.id.seq, summary })
    }

    fn publish_manifest(&self, manifest: &Manifest) -> Result<()> {
        let bytes =
            manifest.encode().ok_or(Error::Misuse("there are more collections than a manifest can hold".into()))?;
        let new = NewFile::create(&self.vfs, &names::manifest(manifest.id))?;
        new.file().write_all_at(&bytes, 0)?;
        new.commit(|file| {
            let mut read = vec![0; bytes.len()];
            file.read_exact_at(&mut read, 0)?;
            match read == bytes && file.len()? == bytes.len() as u64 {
                true => Ok(()),
                false => Err(Error::corrupt_whole(file.path(), "what was read back is not what was written")),
            }
        })?;
        self.vfs.sync_directory().map_err(Error::from)
    }

    fn set_aside(&self, ids: &[CheckpointId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            self.vfs.rename(&names::manifest(*id), &names::set_aside(*id))?;
        }
        self.vfs.sync_directory().map_err(Error::from)
    }

    /// Undoes what a failed write has done, as far as possible. Temporary files are gone already.
    fn roll_back(&self, plan: &Plan) {
        for id in &plan.set_aside {
            // Fails if it was not renamed, which does no harm.
            let _ = self.vfs.rename(&names::set_aside(*id), &names::manifest(*id));
        }
        let no_manifest = match self.vfs.remove(&names::manifest(plan.id)) {
            Ok(()) => self.vfs.sync_directory().is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        // A power cut may bring the manifest back, and it must then find its part. If its removal
        // is not durable, the part stays until the next write.
        if no_manifest {
            let _ = self.vfs.remove(&names::part(plan.id.seq));
        }
    }
}

impl Checkpointer for MmapCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        Ok(Inventory::read(&*self.vfs)?.manifests)
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        let manifest = read_manifest(&*self.vfs, &names::manifest(id), id)?;
        Ok(Arc::new(self.open_checkpoint(&manifest)?))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        self.check_owner()?;
        let _one_writer = lock(&self.writer);
        let plan = self.plan(previous, changes.head())?;
        let written = self.write_planned(&plan, changes);
        let mut directory = lock(&self.directory);
        if written.is_err() {
            self.roll_back(&plan);
        }
        directory.writing = None;
        Ok(Arc::new(written?))
    }

    /// A checkpoint is always one part, so there is nothing to merge.
    fn maintain(&self, newest: CheckpointId, budget_bytes: u64) -> Result<Option<Arc<dyn Checkpoint>>> {
        let _ = (newest, budget_bytes);
        self.check_owner()?;
        self.damage_flag.check()?;
        Ok(None)
    }

    /// Reads it from the disk, as [`verify`](crate::verify()) does.
    fn verify(&self, id: CheckpointId) -> Result<()> {
        verify::verify_checkpoint(&*self.vfs, id, &mut BTreeMap::new())
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        let directory = self.lock_directory()?;
        self.damage_flag.check()?;
        match self.vfs.remove(&names::manifest(id)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        // Before its parts are removed: a manifest that a power cut brings back must find them.
        self.vfs.sync_directory()?;
        Inventory::read(&*self.vfs)?.remove_unnamed_parts(&*self.vfs, directory.writing)
    }
}

/// The listed checkpoints that are newer than `made_from`, and those between `made_from` and the
/// checkpoint that `made_from` was made from: the write of `made_from` was to set the latter aside,
/// but a crash prevented it.
fn to_set_aside(listed: &[CheckpointId], made_from: Option<&Manifest>) -> Vec<CheckpointId> {
    let before = made_from.and_then(|manifest| manifest.previous);
    let is_kept =
        |id: &CheckpointId| made_from.is_some_and(|m| m.id == *id) || before.is_some_and(|before| *id <= before);
    listed.iter().filter(|id| !is_kept(id)).copied().collect()
}

fn check_head(head: &CheckpointHead) -> Result<()> {
    if !head.collections.is_sorted_by(|a, b| a.id < b.id) {
        return Err(Error::Misuse("the collections in the head are not in order of their ids".into()));
    }
    if head.collections.len() > COLLECTIONS_MAX {
        return Err(Error::Misuse("there are more collections than a manifest can hold".into()));
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves nothing half changed in memory: the state of the directory is read again each
    // time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
