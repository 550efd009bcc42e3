use std::{ops::Bound, sync::Arc};

use kv_core::{Checkpoint, CheckpointHead, CheckpointId, CollectionId, Cursor, Error, Result, Value};
use kv_vfs::{Access, Vfs};

use super::{
    cursor::TableCursor,
    part::{Entry, Part},
};
use crate::{
    damage_flag::DamageFlag,
    error::missing_is_damage,
    format::{
        manifest::{MANIFEST_BYTES_MAX, Manifest, PartRef},
        names,
        part::Section,
    },
};

/// A checkpoint, which is one part. Its reads set the damage flag when they meet damage.
pub(crate) struct MmapCheckpoint {
    id: CheckpointId,
    head: CheckpointHead,
    part: Arc<Part>,
    damage_flag: Arc<DamageFlag>,
}

impl MmapCheckpoint {
    /// Opens the part that a manifest names, and checks that it is that part.
    pub(crate) fn open(vfs: &dyn Vfs, manifest: &Manifest, damage_flag: Arc<DamageFlag>) -> Result<Self> {
        let [named] = manifest.parts[..] else {
            return Err(Error::Misuse("a manifest of this version has one part".into()));
        };
        let part = open_part(vfs, &named)?;
        check_collections(&part, manifest)?;
        Ok(Self { id: manifest.id, head: manifest.head(), part: Arc::new(part), damage_flag })
    }

    fn find(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Entry>> {
        match self.part.section(collection) {
            Some(section) => Ok(self.part.find(section, key)?.filter(|entry| !entry.is_tombstone())),
            None => Ok(None),
        }
    }

    fn get_handle(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        let Some(entry) = self.find(collection, key)? else { return Ok(None) };
        self.part.value(entry)?;
        Ok(Some(self.part.handle(entry.value_range())))
    }

    fn get_in_place(&self, collection: CollectionId, key: &[u8]) -> Result<Option<&[u8]>> {
        self.find(collection, key)?.map(|entry| self.part.value(entry)).transpose()
    }
}

/// Reads the manifest of checkpoint `id`, which has the name `name`.
///
/// A missing manifest is [`Corrupt`](Error::Corrupt): the caller has its id from a list.
pub(crate) fn read_manifest(vfs: &dyn Vfs, name: &str, id: CheckpointId) -> Result<Manifest> {
    let path = vfs.path().join(name);
    let missing = "the file is missing: the checkpoint was removed, or has to be restored from a backup";
    let opened = vfs.open(name, Access::Read).map_err(Error::from);
    let file = opened.map_err(|error| missing_is_damage(error, missing))?;
    let length = file.len()?;
    if length > MANIFEST_BYTES_MAX {
        return Err(Error::corrupt(path, MANIFEST_BYTES_MAX, "it is longer than a manifest can be"));
    }
    let mut content = vec![0; length as usize];
    file.read_exact_at(&mut content, 0)?;
    Manifest::decode(&content, id).map_err(|fault| fault.at(&path, 0))
}

/// Opens the part that a manifest names. Fails if the file is missing or is another part.
pub(crate) fn open_part(vfs: &dyn Vfs, named: &PartRef) -> Result<Part> {
    let missing = "the file is missing, though a manifest names it: restore it from a backup";
    let opened = Part::open(vfs, &names::part(named.seq));
    let part = opened.map_err(|error| missing_is_damage(error, missing))?;
    let found = part.summary();
    if found != named.summary {
        let detail = format!("it is not the part that the manifest names: {found:?} instead of {:?}", named.summary);
        return Err(Error::corrupt_whole(part.blocks().file(), detail));
    }
    Ok(part)
}

/// Checks that a part belongs to the log of its manifest, and holds the collections that the
/// manifest states.
pub(crate) fn check_collections(part: &Part, manifest: &Manifest) -> Result<()> {
    let puts = |section: &Section| section.entries - section.tombstones;
    let in_part = part.sections().iter().map(|section| (section.id, puts(section), section.bytes));
    let in_manifest = manifest.collections.iter().map(|info| (info.id, info.entries, info.bytes));
    if part.header().store != manifest.log_id.0 || !in_part.eq(in_manifest) {
        let detail = "it does not hold the collections that its manifest states";
        return Err(Error::corrupt_whole(part.blocks().file(), detail));
    }
    Ok(())
}

impl Checkpoint for MmapCheckpoint {
    fn id(&self) -> CheckpointId {
        self.id
    }

    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        self.damage_flag.watch(self.get_handle(collection, key))
    }

    fn get_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        if let Some(section) = self.part.section(collection) {
            self.part.prefetch(section, keys);
        }
        keys.iter().map(|key| self.get(collection, key)).collect()
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.damage_flag.watch(self.get_in_place(collection, key))?;
        Ok(value.map(read).is_some())
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        let Some(section) = self.part.section(collection) else { return Ok(Box::new(EmptyCursor)) };
        let cursor = self.damage_flag.watch(TableCursor::new(self.part.clone(), *section, lower, upper))?;
        Ok(Box::new(WatchedCursor { cursor, damage_flag: self.damage_flag.clone() }))
    }
}

/// A cursor that sets the damage flag when it meets damage.
struct WatchedCursor {
    cursor: TableCursor,
    damage_flag: Arc<DamageFlag>,
}

impl Cursor for WatchedCursor {
    fn advance(&mut self) -> Result<bool> {
        self.damage_flag.watch(self.cursor.advance())
    }

    fn retreat(&mut self) -> Result<bool> {
        self.damage_flag.watch(self.cursor.retreat())
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

/// The entries of a collection that the checkpoint does not have.
struct EmptyCursor;

impl Cursor for EmptyCursor {
    fn advance(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn retreat(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn key(&self) -> &[u8] {
        &[]
    }

    fn value(&self) -> &[u8] {
        &[]
    }
}
