use std::sync::Arc;

use kv_core::{CollectionId, Error, Result, Value};

use super::{
    open_part::{OpenPart, OpenParts},
    part::Entry,
    search::NotQuick,
};
use crate::format::manifest::Manifest;

/// The parts of a checkpoint, newest first. The entry of a key is that of the newest part that has
/// one; a tombstone says that the key is absent.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) parts: Vec<Arc<OpenPart>>,
}

/// Where the entry of a key lies, in one of the parts. It is not a tombstone.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    part: &'a OpenPart,
    entry: Entry,
}

impl<'a> Found<'a> {
    /// `None` for a tombstone.
    fn new(part: &'a OpenPart, entry: Entry) -> Option<Self> {
        (!entry.is_tombstone()).then_some(Self { part, entry })
    }

    /// Calls `read` with the value, verified.
    #[inline]
    pub(crate) fn read(self, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        read(&self.part.watch(self.part.part().value(self.entry))?);
        Ok(())
    }

    /// A handle to the value, verified.
    pub(crate) fn handle(self) -> Result<Value> {
        self.part.watch(self.part.part().value_handle(self.entry))
    }

    /// A handle to the value, which the caller must have found verified in the map.
    pub(crate) fn verified_handle(self) -> Value {
        self.part.part().handle(self.entry.value_range())
    }

    /// The bytes of the key and the value together.
    pub(crate) fn bytes(self) -> usize {
        self.entry.key_range().len() + self.entry.value_range().len()
    }
}

impl Stack {
    /// Opens the parts that a manifest names.
    pub(crate) fn open(parts: &OpenParts, manifest: &Manifest) -> Result<Self> {
        let opened = manifest.parts.iter().map(|named| parts.get(named));
        Ok(Self { parts: opened.collect::<Result<_>>()? })
    }

    /// The entry of a key and its value, if everything on the way has been verified. See
    /// [`Part::find_quickly`].
    #[inline(always)]
    pub(crate) fn find_quickly(
        &self,
        collection: CollectionId,
        key: &[u8],
    ) -> Result<Option<(Found<'_>, &[u8])>, NotQuick> {
        for part in &self.parts {
            let Some(section) = part.section(collection) else { continue };
            if let Some((entry, value)) = part.part().find_quickly(section, key)? {
                return Ok(Found::new(part, entry).map(|found| (found, value)));
            }
        }
        Ok(None)
    }

    /// The entry of a key.
    pub(crate) fn find(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Found<'_>>> {
        for part in &self.parts {
            let Some(section) = part.section(collection) else { continue };
            if let Some(entry) = part.find(section, key)? {
                return Ok(Found::new(part, entry));
            }
        }
        Ok(None)
    }

    /// Whether a collection has a name. If that cannot be read, it may have one.
    pub(crate) fn may_have(&self, collection: CollectionId) -> Result<bool> {
        if collection == CollectionId::NAMES {
            return Ok(true);
        }
        match self.find(CollectionId::NAMES, &collection.to_key()) {
            Err(Error::Corrupt { .. }) => Ok(true),
            found => Ok(found?.is_some()),
        }
    }

    /// The entries of several keys, in the order of `keys`. The waits of the look-ups in one part
    /// overlap, if it is mapped.
    pub(crate) fn find_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Found<'_>>>> {
        find_many(&self.parts, collection, keys)
    }
}

/// As [`Stack::find_many`], in some of the parts of a stack.
pub(super) fn find_many<'a>(
    parts: &'a [Arc<OpenPart>],
    collection: CollectionId,
    keys: &[&[u8]],
) -> Result<Vec<Option<Found<'a>>>> {
    let mut found = vec![None; keys.len()];
    let mut places: Vec<usize> = (0..keys.len()).collect();
    let mut sought = keys.to_vec();
    for part in parts {
        let Some(section) = part.section(collection) else { continue };
        if places.is_empty() {
            break;
        }
        part.part().prefetch(section, &sought);
        let mut missing = Vec::new();
        for (place, key) in places.iter().zip(&sought) {
            let entry = match part.part().find_quickly(section, key) {
                Ok(entry) => entry.map(|(entry, _)| entry),
                Err(NotQuick) => part.find(section, key)?,
            };
            match entry {
                Some(entry) => found[*place] = Found::new(part, entry),
                None => missing.push(*place),
            }
        }
        sought = missing.iter().map(|place| keys[*place]).collect();
        places = missing;
    }
    Ok(found)
}
