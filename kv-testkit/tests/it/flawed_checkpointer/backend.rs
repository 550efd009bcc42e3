mod changes;
mod checkpoint;
mod cursor;

use std::sync::{Arc, Mutex, atomic::Ordering};

use kv_core::{
    Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, CollectionId, Effort, Epoch, Error, LogId, Lsn,
    MemoryCheckpointer, ReadCacheStats, Result, Value,
};

use changes::{Altered, Unasked};
use checkpoint::FlawedCheckpoint;
pub use checkpoint::Shared;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    BoundsAreExclusive,
    CancelledIsDone,
    CollectionsAreOne,
    CursorBackwards,
    CursorEndsWithCheckpoint,
    DamageIsAbsence,
    DamageIsNeverOver,
    DamageIsNotReported,
    DropsTombstones,
    EmptyIsAbsent,
    EndsPassEachOther,
    FailureLosesOld,
    FailureSucceeds,
    FollowsNewest,
    ForgetsDamageAtOpening,
    ForgetsNewestAtOpening,
    GetManySkipsTheAbsent,
    GetWithForgetsToCall,
    HidesDamaged,
    KeepsDroppedCollections,
    KeepsOldNames,
    ListsOldestFirst,
    ListsWhatIsSetAside,
    MaintainsForEver,
    MaintainsBeforeAsking,
    MaintainsNothing,
    MaintainsOverNewer,
    MaintainsToNothing,
    MaintainsWithoutAKey,
    MaintenanceWaitsForWrites,
    NamesAreMissing,
    OpenDamagedRefuses,
    OpenDoesNotExamine,
    PublishesFirst,
    ReadsBeyondTheEnd,
    RemoveClosesIt,
    RemoveFailsIfAbsent,
    RemovesThoughDamageWasMet,
    RetreatsFromTheFront,
    SeqIsUsedAgain,
    SeqStays,
    SetsMaintainedAside,
    SizeCountsDeletionsOfNothing,
    SizeIgnoresDeletions,
    TombstoneIsAnEntry,
    TruncatesKeys,
    WriteDisturbsReaders,
    WriteStopsAtDamage,
    WritersMix,
}

pub struct Flawed {
    pub inner: MemoryCheckpointer,
    pub flaw: Flaw,
    pub shared: Arc<Shared>,
    pub hidden: Option<CheckpointId>,
    /// The checkpoint of the last writer, which replaces the one that a write should build on.
    /// Locked while a checkpoint is written.
    pub mixed: Mutex<Option<CheckpointId>>,
    /// The number of the checkpoint that was removed last, which is used again.
    pub free_seq: Mutex<Option<u64>>,
}

impl Flawed {
    pub fn new(inner: MemoryCheckpointer, flaw: Flaw, shared: Arc<Shared>) -> Result<Self> {
        let newest = inner.list()?.first().copied();
        let hidden = newest.filter(|_| flaw == Flaw::ForgetsNewestAtOpening);
        Ok(Self { inner, flaw, shared, hidden, mixed: Mutex::default(), free_seq: Mutex::default() })
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn wrap(
        &self,
        inner: Arc<dyn Checkpoint>,
        previous: Option<Arc<dyn Checkpoint>>,
        deletions: u64,
    ) -> Arc<dyn Checkpoint> {
        let (id, flaw, shared) = (self.shown_id(inner.id()), self.flaw, Arc::clone(&self.shared));
        Arc::new(FlawedCheckpoint { inner, id, flaw, previous, deletions, shared, alive: Arc::default() })
    }

    /// The id under which a checkpoint is known outside.
    fn shown_id(&self, id: CheckpointId) -> CheckpointId {
        let free = *self.free_seq.lock().unwrap();
        let seq = match self.flaw {
            Flaw::SeqStays => 1,
            Flaw::SeqIsUsedAgain if free.is_some_and(|free| id.seq > free) => id.seq - 1,
            _ => id.seq,
        };
        CheckpointId { seq, ..id }
    }

    /// The checkpoint's real id.
    fn true_id(&self, id: CheckpointId) -> CheckpointId {
        let mut listed = self.inner.list().unwrap().into_iter();
        listed.find(|listed| self.shown_id(*listed) == id).unwrap_or(id)
    }

    fn newest(&self) -> Result<Option<Arc<dyn Checkpoint>>> {
        let newest = || self.inner.list()?.first().map(|id| self.inner.open_damaged(*id)).transpose();
        newest().or_else(|_| newest()) // it may be removed between the two calls
    }

    fn maintain_nothing(&self) -> Result<Option<Arc<dyn Checkpoint>>> {
        if !self.is(Flaw::MaintainsNothing) {
            return Ok(None);
        }
        let head = CheckpointHead { epoch: Epoch(1), lsn: Lsn(1), log_id: LogId(1) };
        self.inner.write(None, &mut Unasked::none(head)).map(Some)
    }

    /// Maintains with a flaw.
    fn maintain_wrongly(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        let Some(newest) = self.newest()? else { return self.maintain_nothing() };
        let head = *newest.head();
        match self.flaw {
            Flaw::MaintainsBeforeAsking => {
                let maintained = self.inner.maintain(effort, &|| false);
                if cancelled() { Err(Error::Cancelled) } else { maintained }
            }
            Flaw::MaintainsForEver => self.inner.write(Some(newest.id()), &mut Unasked::none(head)).map(Some),
            Flaw::MaintainsOverNewer => {
                if cancelled() {
                    return Err(Error::Cancelled);
                }
                let newer = self.newest()?.map_or(head, |newer| *newer.head());
                self.inner.write(Some(newest.id()), &mut Unasked::none(newer)).map(Some)
            }
            Flaw::MaintainsToNothing => self.inner.write(None, &mut Unasked::none(head)).map(Some),
            Flaw::MaintainsWithoutAKey => match first_entry(&*newest)? {
                // Meanwhile a write may have removed what it is based on.
                Some((id, key)) => Ok(self.inner.write(Some(newest.id()), &mut Unasked::deletion(head, id, key)).ok()),
                None => Ok(None),
            },
            Flaw::MaintenanceWaitsForWrites => {
                let _one_writer = self.mixed.lock().unwrap();
                self.inner.maintain(effort, cancelled)
            }
            Flaw::FailureSucceeds => self.inner.maintain(effort, cancelled).or(Ok(Some(newest))),
            _ => self.inner.maintain(effort, cancelled),
        }
    }
}

/// The first entry of the first collection that is not reserved.
fn first_entry(checkpoint: &dyn Checkpoint) -> Result<Option<(CollectionId, Value)>> {
    use std::ops::Bound::Unbounded;
    let mut names = checkpoint.range(CollectionId::NAMES, Unbounded, Unbounded)?;
    while names.advance()? {
        let Some(id) = CollectionId::from_key(names.key()) else { continue };
        let mut entries = checkpoint.range(id, Unbounded, Unbounded)?;
        if entries.advance()? {
            return Ok(Some((id, entries.key_handle())));
        }
    }
    Ok(None)
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Checkpointer for Flawed {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        let mut list = self.inner.list()?;
        match self.flaw {
            Flaw::ListsOldestFirst => list.reverse(),
            Flaw::ListsWhatIsSetAside => {
                list.extend(self.inner.medium().set_aside());
                list.sort_by(|a, b| b.cmp(a));
            }
            Flaw::HidesDamaged => list.retain(|id| self.inner.open(*id).is_ok()),
            _ => {}
        }
        list.retain(|id| Some(*id) != self.hidden);
        Ok(list.into_iter().map(|id| self.shown_id(id)).collect())
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        let id = self.true_id(id);
        let opened = if self.is(Flaw::OpenDoesNotExamine) { self.inner.open_damaged(id) } else { self.inner.open(id) };
        Ok(self.wrap(opened?, None, 0))
    }

    fn open_damaged(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        if self.is(Flaw::OpenDamagedRefuses) {
            return self.open(id);
        }
        Ok(self.wrap(self.inner.open_damaged(self.true_id(id))?, None, 0))
    }

    fn read_cache(&self) -> Option<ReadCacheStats> {
        self.inner.read_cache()
    }

    fn removed_bytes(&self) -> u64 {
        self.inner.removed_bytes()
    }

    fn damage(&self) -> Option<Arc<Error>> {
        let met = self.shared.met_damage.load(Ordering::Acquire);
        match self.flaw {
            Flaw::DamageIsNotReported => None,
            Flaw::ForgetsDamageAtOpening if !met => None,
            Flaw::DamageIsNeverOver if met => Some(Arc::new(Error::corrupt_whole("(checkpoints)", "it was damaged"))),
            _ => self.inner.damage(),
        }
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        let mut mixed = self.mixed.lock().unwrap();
        let mut previous = previous.map(|id| self.true_id(id));
        let head = *changes.head();
        if let Some(damage) = self.inner.damage().filter(|_| self.is(Flaw::WriteStopsAtDamage)) {
            return Err(Error::corrupt_whole("(checkpoints)", damage.to_string()));
        }
        if self.is(Flaw::PublishesFirst) && previous.is_some() {
            previous = Some(self.inner.write(previous, &mut Unasked::none(head))?.id());
        }
        if self.is(Flaw::WritersMix) {
            previous = mixed.or(previous);
        }
        let before = previous.and_then(|id| self.inner.open_damaged(id).ok());
        let mut changes = Altered::new(changes, self.flaw, before.clone());
        self.shared.writing.store(true, Ordering::Release);
        let result = self.inner.write(previous, &mut changes);
        self.shared.writing.store(false, Ordering::Release);
        let written = match result {
            Err(Error::Cancelled) if self.is(Flaw::CancelledIsDone) => {
                self.inner.write(previous, &mut Unasked::none(head))?;
                return Err(Error::Cancelled);
            }
            Err(_) if self.is(Flaw::FailureSucceeds) => self.inner.open(previous.unwrap())?,
            Err(error) => {
                if let Some(id) = previous.filter(|_| self.is(Flaw::FailureLosesOld)) {
                    self.inner.remove(id)?;
                }
                return Err(error);
            }
            Ok(written) => written,
        };
        if self.is(Flaw::WritersMix) && before.is_some() {
            *mixed = Some(written.id());
        }
        if self.is(Flaw::SetsMaintainedAside) {
            let newer = self.inner.list()?.into_iter().filter(|id| *id < written.id() && Some(*id) > previous);
            newer.into_iter().try_for_each(|id| self.inner.remove(id))?;
        }
        *self.shared.newest.lock().unwrap() = Some(Arc::clone(&written));
        Ok(self.wrap(written, before, changes.deletions))
    }

    fn maintain(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        let maintained = self.maintain_wrongly(effort, cancelled)?;
        Ok(maintained.map(|maintained| self.wrap(maintained, None, 0)))
    }

    fn verify(&self, id: CheckpointId, cancelled: &dyn Fn() -> bool) -> Result<()> {
        self.inner.verify(id, cancelled)
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        let true_id = self.true_id(id);
        if self.is(Flaw::RemoveFailsIfAbsent) && !self.inner.list()?.contains(&id) {
            return Err(Error::Misuse("it is not there".into()));
        }
        let damage = if self.is(Flaw::RemovesThoughDamageWasMet) { self.inner.damage() } else { None };
        if damage.is_some() {
            return Ok(());
        }
        if self.inner.list()?.first() == Some(&true_id) {
            self.free_seq.lock().unwrap().get_or_insert(true_id.seq);
        }
        self.shared.removed.lock().unwrap().push(id);
        self.inner.remove(true_id)
    }
}
