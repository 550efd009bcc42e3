//! The directory of checkpoints as the owner changes it: its lock, what is in force, and the steps
//! of publication.

use std::sync::{Arc, MutexGuard};

use kv_core::{CheckpointHead, CheckpointId, Error, Result};
use kv_vfs::{Access, Vfs};

use super::{MmapCheckpointer, lock, numbers::InWork};
use crate::{
    format::{
        manifest::{Manifest, PartRef},
        names,
    },
    inventory::{Inventory, Named},
    read::{
        checkpoint::MmapCheckpoint,
        file::{read_exact, twice},
        stack::Stack,
    },
    write::new_file::NewFile,
};

/// What the owner knows of the directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The newest checkpoint that this checkpointer has opened or made; `None` before the first.
    pub(super) in_force: Option<InForce>,
    /// Counts how often the checkpoint in force was replaced by one that was not made from it. What
    /// a merge has learned of a checkpoint says nothing about the others.
    pub(super) lineage: u64,
    /// Whether the names that were there at opening are known to be durable.
    names_are_durable: bool,
}

#[derive(Debug)]
pub(super) struct InForce {
    pub(super) manifest: Arc<Manifest>,
    /// The checkpoints that it was made from by merging alone: they hold the same state.
    merged_from: Vec<CheckpointId>,
}

/// A checkpoint that is being made.
pub(super) struct Attempt<'a> {
    pub(super) number: InWork<'a>,
    /// Whether it is made by merging alone, and holds the same state as what it is made from.
    is_merge: bool,
    /// Set if its manifest may be found after a power cut, though making it failed: its part must
    /// then be there.
    keep_part: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn write(number: InWork<'a>) -> Self {
        Self { number, is_merge: false, keep_part: false }
    }

    pub(super) fn merge(number: InWork<'a>) -> Self {
        Self { number, is_merge: true, keep_part: false }
    }
}

impl Directory {
    /// The manifest in force, if it holds the state of checkpoint `id` and is still listed.
    pub(super) fn merged_from(&self, id: CheckpointId, inventory: &Inventory) -> Option<Arc<Manifest>> {
        let in_force = self.in_force.as_ref()?;
        let is_from = in_force.manifest.id == id || in_force.merged_from.contains(&id);
        (is_from && inventory.manifests.contains(&in_force.manifest.id)).then(|| in_force.manifest.clone())
    }

    /// Takes a checkpoint that was made from `base`.
    fn succeed(&mut self, manifest: Arc<Manifest>, base: Option<&Manifest>, is_merge: bool) {
        let before = self.in_force.take();
        let before = before.filter(|before| base.is_some_and(|base| base.id == before.manifest.id));
        self.lineage += u64::from(before.is_none());
        let merged_from = before.filter(|_| is_merge).map_or_else(Vec::new, |mut before| {
            before.merged_from.push(before.manifest.id);
            before.merged_from
        });
        self.in_force = Some(InForce { manifest, merged_from });
        self.names_are_durable = true; // the directory was synced for this checkpoint
    }

    /// Makes the names durable that an earlier process has given and may not have synced. Otherwise
    /// a power cut could keep the removal of an older checkpoint and lose the name of the newer
    /// one.
    pub(super) fn make_names_durable(&mut self, vfs: &dyn Vfs) -> Result<()> {
        if !self.names_are_durable {
            vfs.sync_directory()?;
            self.names_are_durable = true;
        }
        Ok(())
    }

    /// Takes a checkpoint that was opened, if it is newer than what is in force.
    pub(super) fn opened(&mut self, manifest: &Arc<Manifest>) {
        if self.in_force.as_ref().is_none_or(|in_force| in_force.manifest.id < manifest.id) {
            self.lineage += 1;
            self.in_force = Some(InForce { manifest: manifest.clone(), merged_from: Vec::new() });
        }
    }
}

impl MmapCheckpointer {
    /// Locks the directory before names in it change: against other threads, and the first time
    /// against other processes.
    pub(super) fn lock_directory(&self) -> Result<MutexGuard<'_, Directory>> {
        self.check_owner()?;
        let directory = lock(&self.directory);
        if self.lock.get().is_none() {
            let locked = self.vfs.try_lock(names::LOCK, Access::ReadWrite)?;
            let locked = locked.ok_or_else(|| Error::locked(self.vfs.path(), self.vfs.lock_holder(names::LOCK)))?;
            let _ = self.lock.set(locked); // cannot fail: `directory` is held
        }
        if !self.vfs.is_in_place() {
            return Err(Error::DirectoryReplaced { path: self.vfs.path().to_owned() });
        }
        Ok(directory)
    }

    /// What is in the directory. Learns of the numbers and flags in it.
    pub(super) fn take_inventory(&self) -> Result<Inventory> {
        let inventory = Inventory::read(&*self.vfs)?;
        self.numbers.learn(inventory.highest);
        self.damage.learn(&inventory);
        Ok(inventory)
    }

    /// The parts that the manifests in the directory name now.
    pub(super) fn named(&self) -> Result<Named> {
        Inventory::read(&*self.vfs)?.named(&*self.vfs)
    }

    /// Removes what is no longer needed. The directory is locked.
    pub(super) fn clean(&self, inventory: &Inventory) -> Result<()> {
        let named = inventory.named(&*self.vfs)?;
        let in_work = |seq| self.numbers.is_in_work(seq);
        inventory.remove_temporaries(&*self.vfs, &in_work)?;
        inventory.remove_unnamed_parts(&*self.vfs, &named, &in_work, &|seq| self.parts.note_removed(seq))?;
        self.damage.tidy(&named);
        Ok(())
    }

    /// Publishes a checkpoint of `parts`, which all have durable names, and puts it in force.
    pub(super) fn publish(
        &self,
        directory: &mut Directory,
        attempt: &mut Attempt<'_>,
        head: &CheckpointHead,
        base: Option<&Manifest>,
        parts: Vec<PartRef>,
    ) -> Result<Arc<MmapCheckpoint>> {
        let inventory = self.take_inventory()?;
        let seq = self.numbers.for_manifest(attempt.number.seq)?;
        let id = CheckpointId { epoch: head.epoch, lsn: head.lsn, seq };
        if inventory.manifests.first().is_some_and(|newest| *newest > id) {
            return Err(Error::Misuse("a checkpoint must be newer than all that are listed".into()));
        }
        let previous = base.map(|base| base.id);
        let manifest = Arc::new(Manifest { id, previous, log_id: head.log_id, parts });
        // Open the parts before the checkpoint is published, because that can fail.
        let stack = Stack::open(&self.parts, &manifest)?;
        let set_aside = to_set_aside(&inventory.manifests, base);
        let published = publish_manifest(&self.vfs, &manifest).and_then(|()| self.set_aside(&set_aside));
        if published.is_err() {
            attempt.keep_part = !self.withdraw(id, &set_aside);
        }
        published?;
        directory.succeed(manifest.clone(), base, attempt.is_merge);
        self.tidy_flags();
        Ok(Arc::new(MmapCheckpoint::new(manifest, stack, self.options.class_bytes)))
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

    /// Undoes a publication that failed, as far as possible. Temporary files are gone already.
    /// Returns whether the manifest is gone for good.
    fn withdraw(&self, id: CheckpointId, set_aside: &[CheckpointId]) -> bool {
        for id in set_aside {
            // Fails if it was not renamed, which does no harm.
            let _ = self.vfs.rename(&names::set_aside(*id), &names::manifest(*id));
        }
        match self.vfs.remove(&names::manifest(id)) {
            Ok(()) => self.vfs.sync_directory().is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Removes the part of a checkpoint that was not made. Only after its manifest: a manifest that
    /// a power cut brings back must find its part. If that may happen, the part stays until the
    /// next write.
    pub(super) fn discard(&self, attempt: &Attempt<'_>) {
        let _directory = lock(&self.directory);
        if !attempt.keep_part {
            let _ = self.vfs.remove(&names::part(attempt.number.seq));
        }
    }

    /// Removes the flags of parts that no listed checkpoint names any more. If that fails, it is
    /// done another time.
    fn tidy_flags(&self) {
        if self.damage.has_flags()
            && let Ok(named) = self.named()
        {
            self.damage.tidy(&named);
        }
    }
}

/// Writes a manifest, reads it back, gives it its name, and makes that durable, with every other
/// name in the directory.
pub(super) fn publish_manifest(vfs: &Arc<dyn Vfs>, manifest: &Manifest) -> Result<()> {
    let bytes = manifest.encode().ok_or(Error::Misuse("there are more parts than a manifest can name".into()))?;
    let new = NewFile::create(vfs, &names::manifest(manifest.id))?;
    new.file().write_all_at(&bytes, 0)?;
    new.commit(|file| {
        let mut read = vec![0; bytes.len()];
        read_exact(file, &mut read, 0)?;
        match read == bytes && twice(|| file.len())? == bytes.len() as u64 {
            true => Ok(()),
            false => Err(Error::corrupt_whole(file.path(), "what was read back is not what was written")),
        }
    })?;
    vfs.sync_directory().map_err(Error::from)
}

/// The listed checkpoints that are newer than `base`, and those between `base` and the checkpoint
/// that `base` was made from: the write that made `base` was to set the latter aside, but a crash
/// prevented it.
fn to_set_aside(listed: &[CheckpointId], base: Option<&Manifest>) -> Vec<CheckpointId> {
    let before = base.and_then(|base| base.previous);
    let is_kept =
        |id: &CheckpointId| base.is_some_and(|base| base.id == *id) || before.is_some_and(|before| *id <= before);
    listed.iter().filter(|id| !is_kept(id)).copied().collect()
}
