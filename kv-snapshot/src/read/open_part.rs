//! Parts of checkpoints, opened once and shared by all checkpoints that name them.

use std::{
    collections::HashMap,
    ops::{Bound, ControlFlow},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use kv_core::{CollectionId, Error, ReadEntry, Result};
use kv_vfs::{Origin, Vfs};

use super::{
    cache::BlockCache,
    cursor::PartCursor,
    in_use::{FilesInUse, InUse},
    part::{Entry, Part},
    size::Delta,
};
use crate::{
    damage::Damage,
    error::missing_part_is_damage,
    format::{manifest::PartRef, names, part::Section},
};

/// A part of a checkpoint, open for reading. A read that meets damage sets its flag.
#[derive(Debug)]
pub(crate) struct OpenPart {
    named: PartRef,
    part: Arc<Part>,
    /// One for each section.
    deltas: Box<[Delta]>,
    damage: Arc<Damage>,
}

impl OpenPart {
    fn new(named: PartRef, part: Part, damage: Arc<Damage>) -> Self {
        let deltas = part.sections().iter().map(|_| Delta::default()).collect();
        Self { named, part: Arc::new(part), deltas, damage }
    }

    pub(crate) fn part(&self) -> &Arc<Part> {
        &self.part
    }

    pub(crate) fn section(&self, collection: CollectionId) -> Option<&Section> {
        self.part.section(collection)
    }

    /// How much this part changes the size of a collection that it has.
    pub(super) fn delta(&self, collection: CollectionId) -> Option<&Delta> {
        let at = self.part.sections().binary_search_by_key(&collection, |section| section.id).ok()?;
        self.deltas.get(at)
    }

    /// Passes the result of a read through. If it is damage, sets the flag, and forgets which
    /// blocks were verified: they are read again, and may no longer be what they were. A sector
    /// that cannot be read sets the flag as well: the next opening reads it again.
    #[inline]
    pub(crate) fn watch<T>(&self, read: Result<T>) -> Result<T> {
        if let Err(error) = &read
            && self.damage.note(self.named.seq, error)
        {
            self.part.blocks().forget();
        }
        read
    }

    /// The entry of a key in one of its sections. It may be a tombstone.
    #[inline]
    pub(crate) fn find(&self, section: &Section, key: &[u8]) -> Result<Option<Entry>> {
        self.watch(self.part.find(section, key))
    }

    /// The entries of one of its sections, including tombstones.
    pub(crate) fn cursor(
        self: &Arc<Self>,
        section: &Section,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Result<WatchedCursor> {
        let cursor = self.watch(PartCursor::new(self.part.clone(), *section, lower, upper))?;
        Ok(WatchedCursor { cursor, part: self.clone() })
    }
}

/// A cursor of a part. It sets the flag of the part when it meets damage.
#[derive(Clone, Debug)]
pub(crate) struct WatchedCursor {
    pub(crate) cursor: PartCursor,
    part: Arc<OpenPart>,
}

impl WatchedCursor {
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool> {
        self.part.watch(kv_core::Cursor::advance(&mut self.cursor))
    }

    /// As [`PartCursor::read_puts_below`].
    pub(crate) fn read_puts_below(&mut self, end: Option<&[u8]>, read: ReadEntry<'_>) -> Result<ControlFlow<()>> {
        self.part.watch(self.cursor.read_puts_below(end, read))
    }

    #[inline]
    pub(crate) fn retreat(&mut self) -> Result<bool> {
        self.part.watch(kv_core::Cursor::retreat(&mut self.cursor))
    }
}

/// The parts that are open. A part keeps its map or file, and what is known of its blocks, from one
/// checkpoint to the next: it is known by its identity, which no other part has.
#[derive(Debug)]
pub(crate) struct OpenParts {
    vfs: Arc<dyn Vfs>,
    damage: Arc<Damage>,
    /// Parts are read through it and never mapped; `None` if they are mapped.
    cache: Option<Arc<BlockCache>>,
    /// The process that shares parts. A child made by `fork` takes no lock.
    origin: Origin,
    by_identity: Mutex<HashMap<u128, Weak<OpenPart>>>,
    files: FilesInUse,
}

impl OpenParts {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, damage: Arc<Damage>, cache: Option<Arc<BlockCache>>) -> Self {
        Self { vfs, damage, cache, origin: Origin::here(), by_identity: Mutex::default(), files: FilesInUse::default() }
    }

    pub(crate) fn cache(&self) -> Option<&BlockCache> {
        self.cache.as_deref()
    }

    /// A part that a manifest names: the open one, or opens it.
    pub(crate) fn get(&self, named: &PartRef) -> Result<Arc<OpenPart>> {
        let is_ours = self.origin.is_here();
        if is_ours && let Some(open) = self.find(named) {
            return Ok(open);
        }
        let in_use = if is_ours { self.files.hold(named.seq, named.summary.bytes) } else { Arc::default() };
        let part = open_part(&*self.vfs, named, self.cache.as_ref(), in_use)?;
        let part = Arc::new(OpenPart::new(*named, part, self.damage.clone()));
        if is_ours {
            let mut parts = self.by_identity.lock().unwrap_or_else(PoisonError::into_inner);
            parts.retain(|_, part| part.strong_count() > 0);
            parts.insert(named.summary.identity, Arc::downgrade(&part));
        }
        Ok(part)
    }

    fn find(&self, named: &PartRef) -> Option<Arc<OpenPart>> {
        let parts = self.by_identity.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get(&named.summary.identity)?.upgrade().filter(|open| open.named == *named)
    }

    /// Notes that the file of a part was removed.
    pub(crate) fn note_removed(&self, seq: u64) {
        self.files.removed(seq);
    }

    /// The bytes of the files that were removed while something still reads them.
    pub(crate) fn removed_bytes(&self) -> u64 {
        if self.origin.is_here() { self.files.removed_bytes() } else { 0 }
    }

    /// Forgets an open part, so that it is opened from its file again.
    pub(crate) fn forget(&self, named: &PartRef) {
        self.by_identity.lock().unwrap_or_else(PoisonError::into_inner).remove(&named.summary.identity);
    }
}

/// Opens the part that a manifest names. Fails if the file is missing or is another part. Its
/// header may name another log: the one of the store that this one is a copy of. The digest says
/// that it is the part that is meant.
pub(crate) fn open_part(
    vfs: &dyn Vfs,
    named: &PartRef,
    cache: Option<&Arc<BlockCache>>,
    in_use: Arc<InUse>,
) -> Result<Part> {
    let part = Part::open_through(vfs, &names::part(named.seq), cache, in_use).map_err(missing_part_is_damage)?;
    let found = part_ref(named, &part);
    if found != *named {
        let detail = format!("it is not the part that the manifest names: {found:?} instead of {named:?}");
        return Err(Error::corrupt_whole(part.blocks().file(), detail));
    }
    Ok(part)
}

/// What a manifest says about this part, with what only a manifest knows taken from `named`.
fn part_ref(named: &PartRef, part: &Part) -> PartRef {
    let count = |of: fn(&Section) -> u64| part.sections().iter().map(of).fold(0, u64::saturating_add);
    let (entries, tombstones) = (count(|section| section.entries), count(|section| section.tombstones));
    PartRef { summary: part.summary(), entries, tombstones, ..*named }
}
