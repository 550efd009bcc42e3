//! Merging parts in the background.

use std::{
    io,
    ops::Range,
    sync::{Arc, MutexGuard, TryLockError},
    thread,
    time::Duration,
};

use kv_core::{CheckpointHead, CheckpointId, Effort, Error, Result};
use kv_vfs::Space;

use super::{
    MmapCheckpointer,
    directory::{Attempt, Directory},
    lock,
};
use crate::{
    format::{
        manifest::{Manifest, Origins, PartRef},
        names,
    },
    inventory::Inventory,
    merging::{Candidate, choose, fitting},
    read::{
        checkpoint::{MmapCheckpoint, read_manifest},
        stack::Stack,
    },
    verify::blocks::verify_file,
    write::{merge::Run, new_part::NewPart, pace::Pace},
};

/// How often a thread that waits for another merge asks whether to go on.
const LOCK_POLL: Duration = Duration::from_millis(1);

/// A merge that found no room.
#[derive(Debug)]
pub(super) struct Refused {
    parts: Vec<PartRef>,
    /// How many bytes of the disk were free afterwards.
    free: u64,
}

/// A merge that has begun.
struct Plan<'a> {
    attempt: Attempt<'a>,
    /// The checkpoint in force when it began.
    head: CheckpointHead,
    stack: Stack,
    run: Range<usize>,
    /// The parts of the run, newest first.
    replaced: Vec<PartRef>,
    lineage: u64,
    /// How many bytes of the disk it leaves free.
    kept: u64,
}

impl MmapCheckpointer {
    pub(super) fn merge_parts(
        &self,
        effort: Effort,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Arc<MmapCheckpoint>>> {
        self.check_owner()?;
        let go_on = &mut || if cancelled() { Err(Error::Cancelled) } else { Ok(()) };
        let _one_merger = self.lock_merger(go_on)?;
        let Some(mut plan) = self.plan_merge(effort)? else { return Ok(None) };
        let kept = plan.kept;
        let go_on = &mut || go_on().and_then(|()| self.check_room(kept));
        let merged = self.merge_planned(&mut plan, effort, go_on);
        if !matches!(merged, Ok(Some(_))) {
            self.discard(&plan.attempt);
        }
        if let Err(Error::DiskFull { .. }) = &merged {
            self.note_refusal(&plan.replaced);
        }
        merged
    }

    /// Waits for another merge, which may take long.
    fn lock_merger(&self, go_on: &mut dyn FnMut() -> Result<()>) -> Result<MutexGuard<'_, ()>> {
        loop {
            match self.merger.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => go_on()?,
            }
            thread::sleep(LOCK_POLL);
        }
    }

    /// Verifies every part of a checkpoint, and makes its name durable: it may have been given by a
    /// process that was killed before it made sure of that.
    pub(super) fn verify_whole(&self, id: CheckpointId, cancelled: &dyn Fn() -> bool) -> Result<()> {
        let manifest = read_manifest(&*self.vfs, &names::manifest(id), id)?;
        let go_on = || if cancelled() { Err(Error::Cancelled) } else { Ok(()) };
        manifest.parts.iter().try_for_each(|part| self.verify_part(part, go_on))?;
        self.lock_directory()?.make_names_durable(&*self.vfs)
    }

    fn plan_merge(&self, effort: Effort) -> Result<Option<Plan<'_>>> {
        // Takes no lock on the directory as long as there is nothing to do.
        if !lock(&self.directory).in_force.as_ref().is_some_and(|in_force| self.is_work(&in_force.manifest, effort)) {
            return Ok(None);
        }
        let directory = self.lock_directory()?;
        let inventory = self.take_inventory()?;
        let Some(in_force) = &directory.in_force else { return Ok(None) };
        let damaged = || in_force.manifest.parts.iter().find_map(|part| self.damage.of_part(part.seq));
        if effort == Effort::Full
            && let Some(error) = damaged()
        {
            return Err(error);
        }
        let newest = newest_in_force(&directory, &inventory);
        let (room, kept) = self.room(effort);
        let Some((manifest, run)) = newest.and_then(|newest| Some((newest, self.choose(newest, effort, room)?))) else {
            return Ok(None);
        };
        let stack = Stack::open(&self.parts, manifest)?;
        self.clean(&inventory)?;
        let replaced = manifest.parts[run.clone()].to_vec();
        if effort != Effort::Full && self.was_refused(&replaced) {
            return Ok(None);
        }
        let attempt = Attempt::merge(self.numbers.start([].into_iter())?);
        let (head, lineage) = (manifest.head(), directory.lineage);
        Ok(Some(Plan { attempt, head, stack, run, replaced, lineage, kept }))
    }

    /// Fails if less of the disk is free than a merge leaves. It is called while the merge writes.
    fn check_room(&self, kept: u64) -> Result<()> {
        let Ok(Space { free, total }) = self.vfs.space() else { return Ok(()) };
        if total == 0 || free >= kept {
            return Ok(());
        }
        let detail = format!("a merge needs room for a copy, {free} bytes are free, and {kept} are kept");
        Err(Error::from_io("merge in", self.vfs.path(), io::Error::new(io::ErrorKind::StorageFull, detail)))
    }

    /// Whether the merge of these parts did not find room, and there is no more room now. It would
    /// read and write them in vain again.
    fn was_refused(&self, parts: &[PartRef]) -> bool {
        let refused = lock(&self.refused);
        let free = || self.vfs.space().map_or(u64::MAX, |space| space.free);
        refused.as_ref().is_some_and(|refused| refused.parts == parts && free() <= refused.free)
    }

    fn note_refusal(&self, parts: &[PartRef]) {
        let free = self.vfs.space().map_or(0, |space| space.free);
        *lock(&self.refused) = Some(Refused { parts: parts.to_vec(), free });
    }

    fn is_work(&self, manifest: &Manifest, effort: Effort) -> bool {
        effort == Effort::Full || self.choose(manifest, effort, u64::MAX).is_some()
    }

    fn choose(&self, manifest: &Manifest, effort: Effort, room: u64) -> Option<Range<usize>> {
        let candidate = |part: &PartRef| Candidate {
            bytes: part.summary.bytes,
            tombstones: part.tombstones,
            is_blocked: self.damage.of_part(part.seq).is_some(),
        };
        let candidates: Vec<_> = manifest.parts.iter().map(candidate).collect();
        let run = choose(&candidates, effort, self.options.class_bytes)?;
        let count = match effort {
            Effort::Full => fitting(&candidates[run.clone()], room),
            _ => run.len(),
        };
        Some(run.start..run.start + count)
    }

    /// How many bytes a merge may write, and how many it leaves free.
    fn room(&self, effort: Effort) -> (u64, u64) {
        let kept = |free: u64| match effort {
            // It may be what frees the disk, so it must not be refused altogether.
            Effort::Full => self.options.kept_bytes_of_all.min(free / 2),
            _ => self.options.kept_bytes,
        };
        match self.vfs.space() {
            Ok(Space { free, total }) if total > 0 => (free.saturating_sub(kept(free)), kept(free)),
            _ => (u64::MAX, kept(u64::MAX)),
        }
    }

    /// Merges, and publishes the result. `None` if the checkpoint in force is another one now,
    /// which does not have these parts.
    fn merge_planned(
        &self,
        plan: &mut Plan<'_>,
        effort: Effort,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Arc<MmapCheckpoint>>> {
        let mut part = NewPart::create(&self.vfs, plan.attempt.number.seq, plan.head.log_id)?;
        let mut pace = match effort {
            Effort::Full => Pace::unlimited(),
            _ => Pace::following(&self.change_rate, self.options.merge_bytes_per_second),
        };
        let run = Run {
            parts: &plan.stack.parts[plan.run.clone()],
            is_bottom: plan.run.end == plan.stack.parts.len(),
            exists: &|collection| plan.stack.may_have(collection),
        };
        run.merge(&mut part, &mut pace, go_on)?;
        let part = part.finish(Origins::of_run(&plan.replaced), go_on)?;
        self.publish_merged(plan, part)
    }

    /// Replaces the parts of the run in the newest manifest, whatever was put on top of it.
    fn publish_merged(&self, plan: &mut Plan<'_>, part: PartRef) -> Result<Option<Arc<MmapCheckpoint>>> {
        let mut directory = self.lock_directory()?;
        let inventory = Inventory::read(&*self.vfs)?;
        let Some(base) = newest_in_force(&directory, &inventory).cloned() else { return Ok(None) };
        let mut runs = base.parts.windows(plan.replaced.len());
        let Some(start) = runs.position(|parts| parts == plan.replaced) else { return Ok(None) };
        if directory.lineage != plan.lineage {
            return Ok(None);
        }
        let mut parts = base.parts.clone();
        parts.splice(start..start + plan.replaced.len(), [part]);
        let head = base.head();
        self.publish(&mut directory, &mut plan.attempt, &head, Some(&base), parts).map(Some)
    }

    fn verify_part(&self, part: &PartRef, go_on: impl FnMut() -> Result<()>) -> Result<()> {
        verify_file(&*self.vfs, part, go_on).inspect_err(|error| {
            self.damage.note(part.seq, error);
        })
    }
}

/// The manifest in force, unless newer ones are listed, which are bad and not set aside yet, or it
/// is not listed any more.
fn newest_in_force<'a>(directory: &'a Directory, inventory: &Inventory) -> Option<&'a Arc<Manifest>> {
    let manifest = &directory.in_force.as_ref()?.manifest;
    let newest: Option<&CheckpointId> = inventory.manifests.first();
    (newest == Some(&manifest.id)).then_some(manifest)
}
