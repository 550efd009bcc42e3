use std::{
    collections::VecDeque,
    ops::Bound,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use kv_core::{
    Change, Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, CollectionId, Cursor, Error,
    MemoryCheckpointer, Result, Value,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    BoundsAreExclusive,
    CancelledIsDone,
    CollectionsAreOne,
    CursorBackwards,
    CursorEndsWithCheckpoint,
    DamageIsAbsence,
    DropsTombstones,
    EmptyIsAbsent,
    EndsPassEachOther,
    FailureLosesOld,
    FailureSucceeds,
    FollowsNewest,
    ForgetsNewestAtOpening,
    GetManySkipsTheAbsent,
    GetWithForgetsToCall,
    HidesDamaged,
    IgnoresDamageMet,
    KeepsDroppedCollections,
    ListsOldestFirst,
    ListsWhatIsSetAside,
    MaintainsToNothing,
    PublishesFirst,
    RemoveClosesIt,
    RemoveFailsIfAbsent,
    RetreatsFromTheFront,
    SeqStays,
    TruncatesKeys,
    WriteDisturbsReaders,
    WritersMix,
}

pub struct Flawed {
    pub inner: MemoryCheckpointer,
    pub flaw: Flaw,
    pub removed: Arc<Mutex<Vec<CheckpointId>>>,
    pub newest: Arc<Mutex<Option<Arc<dyn Checkpoint>>>>,
    pub writing: Arc<AtomicBool>,
    pub hidden: Option<CheckpointId>,
    /// The checkpoint of the last writer, which replaces the one that a write should build on.
    pub mixed: Mutex<Option<CheckpointId>>,
}

impl Flawed {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn wrap(&self, inner: Arc<dyn Checkpoint>, previous: Option<Arc<dyn Checkpoint>>) -> Arc<dyn Checkpoint> {
        Arc::new(FlawedCheckpoint {
            inner,
            flaw: self.flaw,
            previous,
            removed: Arc::clone(&self.removed),
            newest: Arc::clone(&self.newest),
            writing: Arc::clone(&self.writing),
            alive: Arc::default(),
        })
    }

    /// The checkpoint's real id.
    fn true_id(&self, id: CheckpointId) -> CheckpointId {
        let listed = self.inner.list().unwrap();
        let same = listed.into_iter().find(|other| (other.epoch, other.lsn) == (id.epoch, id.lsn));
        if self.is(Flaw::SeqStays) { same.unwrap_or(id) } else { id }
    }
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
            Flaw::SeqStays => list.iter_mut().for_each(|id| id.seq = 1),
            _ => {}
        }
        list.retain(|id| Some(*id) != self.hidden);
        Ok(list)
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        Ok(self.wrap(self.inner.open(self.true_id(id))?, None))
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        let mut mixed = self.mixed.lock().unwrap();
        let mut previous = previous.map(|id| self.true_id(id));
        let head = changes.head().clone();
        if self.is(Flaw::PublishesFirst) && previous.is_some() {
            previous = Some(self.inner.write(previous, &mut Nothing { head: head.clone() })?.id());
        }
        if self.is(Flaw::WritersMix) {
            previous = mixed.or(previous);
        }
        let before = previous.and_then(|id| self.inner.open(id).ok());
        self.writing.store(true, Ordering::Release);
        let result = match self.flaw {
            Flaw::DropsTombstones => self.inner.write(previous, &mut WithoutTombstones(changes)),
            _ => self.inner.write(previous, changes),
        };
        self.writing.store(false, Ordering::Release);
        let written = match result {
            Err(Error::Cancelled) if self.is(Flaw::CancelledIsDone) => {
                self.inner.write(previous, &mut Nothing { head })?;
                return Err(Error::Cancelled);
            }
            Err(Error::Corrupt { .. }) if self.is(Flaw::IgnoresDamageMet) => self.inner.open(previous.unwrap())?,
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
        *self.newest.lock().unwrap() = Some(Arc::clone(&written));
        Ok(self.wrap(written, before))
    }

    fn maintain(&self, newest: CheckpointId, _budget_bytes: u64) -> Result<Option<Arc<dyn Checkpoint>>> {
        if !self.is(Flaw::MaintainsToNothing) {
            return Ok(None);
        }
        let head = self.inner.open(newest)?.head().clone();
        self.inner.write(None, &mut Nothing { head }).map(Some)
    }

    fn verify(&self, id: CheckpointId) -> Result<()> {
        self.inner.verify(id)
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        if self.is(Flaw::RemoveFailsIfAbsent) && !self.inner.list()?.contains(&id) {
            return Err(Error::Misuse("it is not there".into()));
        }
        self.removed.lock().unwrap().push(id);
        self.inner.remove(self.true_id(id))
    }
}

/// A source of changes that has none.
struct Nothing {
    head: CheckpointHead,
}

impl Changes for Nothing {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        Ok(None)
    }

    fn cancelled(&self) -> bool {
        false
    }
}

struct WithoutTombstones<'a>(&'a mut dyn Changes);

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Changes for WithoutTombstones<'_> {
    fn head(&self) -> &CheckpointHead {
        self.0.head()
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        // A deleted key keeps some value.
        Ok(self.0.next()?.map(|change| Change { value: change.value.or(Some(b"still here")), ..change }))
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

struct FlawedCheckpoint {
    inner: Arc<dyn Checkpoint>,
    flaw: Flaw,
    previous: Option<Arc<dyn Checkpoint>>,
    removed: Arc<Mutex<Vec<CheckpointId>>>,
    newest: Arc<Mutex<Option<Arc<dyn Checkpoint>>>>,
    writing: Arc<AtomicBool>,
    /// Not shared, so it ends with this checkpoint.
    alive: Arc<()>,
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Checkpoint for FlawedCheckpoint {
    fn id(&self) -> CheckpointId {
        let id = self.inner.id();
        if self.flaw == Flaw::SeqStays { CheckpointId { seq: 1, ..id } } else { id }
    }

    fn head(&self) -> &CheckpointHead {
        self.inner.head()
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        let key = if self.flaw == Flaw::TruncatesKeys { &key[..key.len().min(65_535)] } else { key };
        let newest = self.newest.lock().unwrap().clone().filter(|_| self.flaw == Flaw::FollowsNewest);
        match newest.as_ref().unwrap_or(&self.inner).get(collection, key) {
            Ok(_) if self.flaw == Flaw::WriteDisturbsReaders && self.writing.load(Ordering::Acquire) => Ok(None),
            Ok(Some(value)) if self.flaw == Flaw::EmptyIsAbsent && value.is_empty() => Ok(None),
            Ok(_) if self.flaw == Flaw::CollectionsAreOne => self.inner.get(self.head().collections[0].id, key),
            Err(Error::Corrupt { .. }) if self.flaw == Flaw::DamageIsAbsence => Ok(None),
            _ if self.flaw == Flaw::RemoveClosesIt && self.removed.lock().unwrap().contains(&self.id()) => Ok(None),
            Ok(None) if self.flaw == Flaw::KeepsDroppedCollections => match &self.previous {
                Some(previous) if self.head().collections.iter().all(|info| info.id != collection) => {
                    previous.get(collection, key)
                }
                _ => Ok(None),
            },
            got => got,
        }
    }

    fn get_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        let mut values = keys.iter().map(|key| self.get(collection, key)).collect::<Result<Vec<_>>>()?;
        if self.flaw == Flaw::GetManySkipsTheAbsent {
            values.retain(Option::is_some);
        }
        Ok(values)
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if self.flaw == Flaw::GetWithForgetsToCall {
            return Ok(self.inner.get(collection, key)?.is_some());
        }
        self.inner.get_with(collection, key, read)
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        let upper = match upper {
            Bound::Included(key) if self.flaw == Flaw::BoundsAreExclusive => Bound::Excluded(key),
            upper => upper,
        };
        let mut cursor = self.inner.range(collection, lower, upper)?;
        match self.flaw {
            Flaw::CursorBackwards | Flaw::RetreatsFromTheFront | Flaw::EndsPassEachOther => {}
            Flaw::CursorEndsWithCheckpoint => {
                return Ok(Box::new(Ending { cursor, checkpoint: Arc::downgrade(&self.alive) }));
            }
            _ => return Ok(cursor),
        }
        let mut entries = VecDeque::new();
        while cursor.advance()? {
            entries.push_back((cursor.key_handle(), cursor.value_handle()));
        }
        Ok(Box::new(Collected { from_end: entries.clone(), entries, flaw: self.flaw, at: None }))
    }
}

struct Ending {
    cursor: Box<dyn Cursor>,
    checkpoint: Weak<()>,
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Cursor for Ending {
    fn advance(&mut self) -> Result<bool> {
        Ok(self.checkpoint.strong_count() > 0 && self.cursor.advance()?)
    }

    fn retreat(&mut self) -> Result<bool> {
        Ok(self.checkpoint.strong_count() > 0 && self.cursor.retreat()?)
    }

    fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    fn value(&self) -> &[u8] {
        self.cursor.value()
    }

    fn key_handle(&self) -> Value {
        self.cursor.key_handle()
    }

    fn value_handle(&self) -> Value {
        self.cursor.value_handle()
    }
}

struct Collected {
    entries: VecDeque<(Value, Value)>,
    /// The same entries again, for an end that does not notice what was taken from the other end.
    from_end: VecDeque<(Value, Value)>,
    flaw: Flaw,
    at: Option<(Value, Value)>,
}

impl Cursor for Collected {
    fn advance(&mut self) -> Result<bool> {
        let backwards = self.flaw == Flaw::CursorBackwards;
        self.at = if backwards { self.entries.pop_back() } else { self.entries.pop_front() };
        if self.entries.is_empty() {
            self.from_end.clear();
        }
        Ok(self.at.is_some())
    }

    fn retreat(&mut self) -> Result<bool> {
        self.at = match self.flaw {
            Flaw::EndsPassEachOther => self.from_end.pop_back(),
            _ => self.entries.pop_front(),
        };
        if self.from_end.is_empty() {
            self.entries.clear();
        }
        Ok(self.at.is_some())
    }

    fn key(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |(key, _)| key)
    }

    fn value(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |(_, value)| value)
    }
}
