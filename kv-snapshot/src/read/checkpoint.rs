use std::{ops::Bound, sync::Arc};

use kv_core::{
    Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, CollectionId, CollectionSize, Cursor, Error, Result,
    Value,
};
use kv_vfs::Vfs;

use super::{
    file::{self, read_exact, twice},
    stack::{Found, Stack},
};
use crate::{
    error::missing_is_damage,
    format::manifest::{MANIFEST_BYTES_MAX, Manifest},
    merging,
};

/// A checkpoint, which is a stack of parts.
pub(crate) struct MmapCheckpoint {
    manifest: Arc<Manifest>,
    head: CheckpointHead,
    stack: Stack,
    /// Parts below this size wait to be merged.
    class_bytes: u64,
}

impl MmapCheckpoint {
    pub(crate) fn new(manifest: Arc<Manifest>, stack: Stack, class_bytes: u64) -> Self {
        Self { head: manifest.head(), manifest, stack, class_bytes }
    }
}

/// Reads the manifest of checkpoint `id`, which has the name `name`.
///
/// A missing manifest is [`Corrupt`](Error::Corrupt): the caller has its id from a list.
pub(crate) fn read_manifest(vfs: &dyn Vfs, name: &str, id: CheckpointId) -> Result<Manifest> {
    let path = vfs.path().join(name);
    let missing = "the file is missing: the checkpoint was removed, or has to be restored from a backup";
    let opened = file::open(vfs, name).map_err(Error::from);
    let file = opened.map_err(|error| missing_is_damage(error, missing))?;
    let length = twice(|| file.len())?;
    if length > MANIFEST_BYTES_MAX {
        return Err(Error::corrupt(path, MANIFEST_BYTES_MAX, "it is longer than a manifest can be"));
    }
    let mut content = vec![0; length as usize];
    read_exact(&*file, &mut content, 0)?;
    Manifest::decode(&content, id).map_err(|fault| fault.at(&path, 0))
}

impl Checkpoint for MmapCheckpoint {
    fn id(&self) -> CheckpointId {
        self.manifest.id
    }

    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        if let Ok(found) = self.stack.find_quickly(collection, key) {
            return Ok(found.map(|(found, _)| found.verified_handle()));
        }
        self.stack.find(collection, key)?.map(Found::handle).transpose()
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if let Ok(found) = self.stack.find_quickly(collection, key) {
            return Ok(found.map(|(_, value)| read(value)).is_some());
        }
        match self.stack.find(collection, key)? {
            Some(found) => found.read(read).map(|()| true),
            None => Ok(false),
        }
    }

    fn get_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        let found = self.stack.find_many(collection, keys)?;
        found.into_iter().map(|found| found.map(Found::handle).transpose()).collect()
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        self.stack.range(collection, lower, upper)
    }

    fn size(&self, collection: CollectionId) -> Result<CollectionSize> {
        self.stack.size(collection)
    }

    fn scrub(&self, from: u64, bytes: u64) -> Result<Option<u64>> {
        self.stack.scrub(from, bytes)
    }

    fn stats(&self) -> CheckpointStats {
        let parts = &self.manifest.parts;
        let is_unmerged = |bytes: u64| merging::class(bytes, self.class_bytes) == 0;
        CheckpointStats {
            parts: parts.len(),
            unmerged_parts: parts.iter().filter(|part| is_unmerged(part.summary.bytes)).count(),
            entries: parts.iter().map(|part| part.entries).fold(0, u64::saturating_add),
            bytes: parts.iter().map(|part| part.summary.bytes).fold(0, u64::saturating_add),
        }
    }
}
