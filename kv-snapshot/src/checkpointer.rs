use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use kv_core::{Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, Error, Result};
use kv_vfs::{Access, Lock, Origin, Vfs};

use crate::{
    audit::audit_blocks,
    checkpoint::{MmapCheckpoint, read_manifest},
    fault::from_vfs,
    listing::Listing,
    manifest::{COLLECTIONS_MAX, Manifest, PartRef},
    marker::Marker,
    merge::{go_on, merge},
    names,
    new_file::NewFile,
    part_writer::PartWriter,
    verification::{self, Verification},
};

/// Keeps checkpoints as files in a directory of their own, and reads them in place through maps.
///
/// A checkpoint is a part, which holds the entries, and a manifest, which names the part and says what the checkpoint is of. Neither is
/// changed once it has its name. A new checkpoint is published in this order, each step only after the one before succeeded:
///
/// 1. the part is written under a temporary name, synced, read back from the disk and verified, and renamed;
/// 2. the directory is synced;
/// 3. the manifest likewise: written, synced, read back, renamed;
/// 4. the directory is synced: from here on the checkpoint survives a power cut;
/// 5. manifests newer than the previous checkpoint are renamed to `….manifest.bad`, and the directory is synced.
///
/// A crash before 4 leaves at most files that nobody names, which the next write removes. A crash between 4 and 5 leaves
/// the new checkpoint as the newest, with those to be set aside listed below it; it names what it was made from, so the next write
/// knows them and sets them aside. (The other order would, for a moment, leave no name that tells how far the log must
/// reach.) A failure in any step takes the steps before it back.
///
/// Opening writes nothing. The first write or removal takes a lock in the directory, for as long as this value lives.
///
/// It belongs to the process that opened it: in a child made by `fork` writing and removing are
/// refused with [`Error::Forked`], and reading leaves no marker. Once the directory was removed or
/// replaced, they are refused with [`Error::DirectoryReplaced`].
///
/// What maps cannot do: a disk that cannot read a page of a mapped file ends the process with SIGBUS, and so does somebody else who
/// cuts the file. Damaged bytes are an error.
#[derive(Debug)]
pub struct MmapCheckpointer {
    vfs: Arc<dyn Vfs>,
    marker: Arc<Marker>,
    /// The process that opened it.
    origin: Origin,
    /// Taken before the first write or removal.
    lock: OnceLock<Lock>,
    /// Held by who writes, for as long as it takes.
    writer: Mutex<()>,
    /// Held while names change. Taken after `writer`.
    upkeep: Mutex<Upkeep>,
}

#[derive(Debug, Default)]
struct Upkeep {
    /// The sequence number of the checkpoint that is being written.
    writing: Option<u64>,
}

/// What a write has found out before it begins.
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
        Listing::read(&*vfs)?;
        let marker = Arc::new(Marker::new(vfs.clone()));
        Ok(Self {
            vfs,
            marker,
            origin: Origin::here(),
            lock: OnceLock::new(),
            writer: Mutex::default(),
            upkeep: Mutex::default(),
        })
    }

    /// Fails in a child, made by `fork`, of the process that opened it: before any lock is taken,
    /// since another thread may have held it at that moment, and hold it in the child for ever. The
    /// first call there closes what the child inherited of the lock on the directory.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn check_owner(&self) -> Result<()> {
        let is_ours = self.lock.get().map_or_else(|| self.origin.is_here(), Lock::is_ours);
        if is_ours { Ok(()) } else { Err(Error::Forked) }
    }

    /// Reads and verifies everything that is listed, from the disk: every manifest, every block of every part, and whether entries, order
    /// and index agree. If nothing is wrong, the marker that damage was met is removed, and writing goes on (C9).
    ///
    /// # Errors
    /// Damage is not an error but in the report. [`Error::Io`] if the directory cannot be read or
    /// the marker cannot be removed; [`Error::Locked`] if there is a marker to be removed and
    /// another process writes. For a verification that changes nothing see
    /// [`verify`](crate::verify()).
    pub fn verify(&self) -> Result<Verification> {
        let verification = verification::verify(&*self.vfs)?;
        if verification.is_clean() && self.marker.is_left()? {
            let _names_change = self.lock_upkeep()?;
            self.marker.clear()?;
        }
        Ok(verification)
    }

    /// Starts to change names: takes the lock of the directory.
    fn lock_upkeep(&self) -> Result<MutexGuard<'_, Upkeep>> {
        self.check_owner()?;
        let upkeep = lock(&self.upkeep);
        if self.lock.get().is_none() {
            let locked = self.vfs.try_lock(names::LOCK, Access::ReadWrite).map_err(from_vfs)?;
            let locked = locked.ok_or_else(|| Error::locked(self.vfs.path(), self.vfs.lock_holder(names::LOCK)))?;
            let _ = self.lock.set(locked); // nobody else was here meanwhile
        }
        if !self.vfs.is_in_place() {
            return Err(Error::DirectoryReplaced { path: self.vfs.path().to_owned() });
        }
        Ok(upkeep)
    }

    fn open_checkpoint(&self, manifest: &Manifest) -> Result<MmapCheckpoint> {
        MmapCheckpoint::open(&*self.vfs, manifest, self.marker.clone())
    }

    /// Checks whether the checkpoint can be written, and cleans up.
    fn plan(&self, previous: Option<CheckpointId>, head: &CheckpointHead) -> Result<Plan> {
        let mut upkeep = self.lock_upkeep()?;
        self.marker.refuse()?;
        check_head(head)?;
        let listing = Listing::read(&*self.vfs)?;
        let id = CheckpointId { epoch: head.epoch, lsn: head.lsn, seq: listing.next_seq()? };
        if listing.manifests.first().is_some_and(|newest| *newest > id) {
            return Err(Error::Misuse("a checkpoint must be newer than those that are there".into()));
        }
        let made_from = previous.map(|id| read_manifest(&*self.vfs, &names::manifest(id), id)).transpose()?;
        if made_from.as_ref().is_some_and(|manifest| manifest.log_id != head.log_id) {
            return Err(Error::Misuse("the previous checkpoint is of another log".into()));
        }
        let previous = made_from.as_ref().map(|manifest| self.open_checkpoint(manifest)).transpose()?;
        listing.remove_temporaries(&*self.vfs)?;
        listing.remove_unnamed_parts(&*self.vfs, None)?;
        upkeep.writing = Some(id.seq);
        let set_aside = to_set_aside(&listing.manifests, made_from.as_ref());
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
        // While the part has a name but no manifest: nothing that can fail shall be left for after the publication.
        let checkpoint = self.open_checkpoint(&manifest)?;
        let _names_change = lock(&self.upkeep);
        self.publish_manifest(&manifest)?;
        self.set_aside(&plan.set_aside)?;
        Ok(checkpoint)
    }

    fn write_part(&self, plan: &Plan, changes: &mut dyn Changes) -> Result<PartRef> {
        let new = NewFile::create(&self.vfs, &names::part(plan.id.seq))?;
        let identity = self.vfs.random().map_err(from_vfs)?;
        let mut writer = PartWriter::new(new.file().clone(), changes.head().log_id.0, identity)?;
        merge(plan.previous.as_ref().map(|previous| previous as &dyn Checkpoint), changes, &mut writer)?;
        let summary = writer.finish(&mut || go_on(changes))?;
        new.commit(|file| audit_blocks(file, &summary, || go_on(changes)))?;
        self.vfs.sync_directory().map_err(from_vfs)?;
        Ok(PartRef { seq: plan.id.seq, summary })
    }

    fn publish_manifest(&self, manifest: &Manifest) -> Result<()> {
        let bytes = manifest.encode().ok_or(Error::Misuse("there are too many collections for a manifest".into()))?;
        let new = NewFile::create(&self.vfs, &names::manifest(manifest.id))?;
        new.file().write_all_at(&bytes, 0).map_err(from_vfs)?;
        new.commit(|file| {
            let mut read = vec![0; bytes.len()];
            file.read_exact_at(&mut read, 0).map_err(from_vfs)?;
            match read == bytes && file.len().map_err(from_vfs)? == bytes.len() as u64 {
                true => Ok(()),
                false => Err(Error::corrupt_whole(file.path(), "what was read back is not what was written")),
            }
        })?;
        self.vfs.sync_directory().map_err(from_vfs)
    }

    fn set_aside(&self, ids: &[CheckpointId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            self.vfs.rename(&names::manifest(*id), &names::set_aside(*id)).map_err(from_vfs)?;
        }
        self.vfs.sync_directory().map_err(from_vfs)
    }

    /// Takes back what a failed write has done, as far as that is possible. Temporary files are gone already.
    fn take_back(&self, plan: &Plan) {
        for id in &plan.set_aside {
            // Fails, harmlessly, where it was not renamed.
            let _ = self.vfs.rename(&names::set_aside(*id), &names::manifest(*id));
        }
        let no_manifest = match self.vfs.remove(&names::manifest(plan.id)) {
            Ok(()) => self.vfs.sync_directory().is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        // A manifest that a power cut brings back must find its part. Otherwise the next write removes the part.
        if no_manifest {
            let _ = self.vfs.remove(&names::part(plan.id.seq));
        }
    }
}

impl Checkpointer for MmapCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        Ok(Listing::read(&*self.vfs)?.manifests)
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
        let mut upkeep = lock(&self.upkeep);
        if written.is_err() {
            self.take_back(&plan);
        }
        upkeep.writing = None;
        Ok(Arc::new(written?))
    }

    /// A checkpoint is one part already: there is nothing to do.
    fn maintain(&self, newest: CheckpointId, budget_bytes: u64) -> Result<Option<Arc<dyn Checkpoint>>> {
        let _ = (newest, budget_bytes);
        self.check_owner()?;
        self.marker.refuse()?;
        Ok(None)
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        let upkeep = self.lock_upkeep()?;
        self.marker.refuse()?;
        match self.vfs.remove(&names::manifest(id)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(from_vfs)?,
        }
        // Before its parts go: a manifest that a power cut brings back must find them.
        self.vfs.sync_directory().map_err(from_vfs)?;
        Listing::read(&*self.vfs)?.remove_unnamed_parts(&*self.vfs, upkeep.writing)
    }
}

/// Those newer than the one that a checkpoint is made from, and those that should have been set aside when that one was made.
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
        return Err(Error::Misuse("there are too many collections for a manifest".into()));
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half changed by a panic: what names say is read anew each time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
