use std::sync::Arc;

use kv_core::{CollectionId, Error, KEY_BYTES_MAX, Result};
use kv_vfs::File;

use super::{index::IndexBuilder, output::Output, steps::GoOn};
use crate::format::{
    block::{ALIGN_BYTES, BLOCK_BYTES},
    index::hash,
    part::{EntryHeader, Footer, Header, PART_BYTES_MAX, Section, Summary, VALUE_BYTES_CAP, digest},
};

/// Writes a part into an empty file: collections in order of their ids, and the entries of each in
/// order of their keys.
#[derive(Debug)]
pub(crate) struct PartWriter {
    output: Output,
    header: Header,
    sections: Vec<Section>,
    index: IndexBuilder,
    last_key: Vec<u8>,
}

impl PartWriter {
    /// Starts a part with a random `identity`. `store` is the id of the log that it belongs to.
    pub(crate) fn new(file: Arc<dyn File>, store: u128, identity: u128) -> Result<Self> {
        let header = Header { store, identity };
        let mut output = Output::new(file, header.seed());
        output.write(&*header.encode())?;
        Ok(Self { output, header, sections: Vec::new(), index: IndexBuilder::default(), last_key: Vec::new() })
    }

    /// Starts a collection of about `entries` entries. Its id must be above those before it.
    ///
    /// It first completes the collection before, which may take long: `go_on` may stop that.
    pub(crate) fn start_collection(&mut self, id: CollectionId, entries: u64, go_on: GoOn<'_>) -> Result<()> {
        if self.sections.last().is_some_and(|last| last.id >= id) {
            return Err(Error::Misuse("collections must be written in order of their ids, each once".into()));
        }
        self.end_collection(go_on)?;
        self.output.pad_to(ALIGN_BYTES)?;
        self.last_key.clear();
        self.index = IndexBuilder::new(entries);
        let at = self.output.position();
        self.sections.push(Section {
            id,
            common_bytes: 0,
            entries: 0,
            tombstones: 0,
            bytes: 0,
            entries_offset: at,
            entries_end: at,
            anchors_offset: at,
            slots_offset: at,
            slots: 0,
            homes: 0,
        });
        Ok(())
    }

    /// Adds an entry to the current collection: a put, or without a value a tombstone. Its key must
    /// be above those before it.
    pub(crate) fn insert(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let tombstone = value.is_none();
        let value = value.unwrap_or_default();
        let Some(section) = self.sections.last_mut() else {
            return Err(Error::Misuse("start a collection before inserting an entry".into()));
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Error::InvalidKey { len: key.len(), max: KEY_BYTES_MAX });
        }
        if value.len() > VALUE_BYTES_CAP {
            return Err(Error::ValueTooLarge { len: value.len(), max: VALUE_BYTES_CAP });
        }
        // In a new collection `last_key` is empty. A key is never empty, so every first key is
        // above it.
        if key <= &self.last_key[..] {
            return Err(Error::Misuse("keys must be inserted in order, each once".into()));
        }
        let entry = EntryHeader { tombstone, key_bytes: key.len(), value_bytes: value.len() };
        let offset = self.output.position();
        if offset + entry.bytes() > PART_BYTES_MAX {
            return Err(Error::Misuse("a part can have at most 256 TiB".into()));
        }
        self.output.write(&entry.encode())?;
        self.output.write(key)?;
        self.output.write(value)?;
        self.index.add(key, hash(key, self.header.seed()), offset);
        section.entries += 1;
        if tombstone {
            section.tombstones += 1;
        } else {
            section.bytes += (key.len() + value.len()) as u64;
        }
        section.entries_end = self.output.position();
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    /// The number of bytes so far.
    pub(crate) fn position(&self) -> u64 {
        self.output.position()
    }

    /// Completes the part, unless `go_on` stops that. Nothing is synced.
    pub(crate) fn finish(mut self, go_on: GoOn<'_>) -> Result<Summary> {
        self.end_collection(go_on)?;
        self.output.pad_to(ALIGN_BYTES)?;
        let directory_offset = self.output.position();
        for section in &self.sections {
            self.output.write(&section.encode())?;
        }
        self.output.pad_to(BLOCK_BYTES as u64)?;
        let blocks_covered = self.output.position() / BLOCK_BYTES as u64;
        let root = self.output.write_tree(go_on)?;
        let footer = Footer {
            identity: self.header.identity,
            blocks: self.output.position() / BLOCK_BYTES as u64 + 1,
            blocks_covered,
            directory_offset,
            collections: self.sections.len() as u64,
            root,
        };
        let footer = footer.encode(self.header.seed());
        self.output.write(&*footer)?;
        self.output.flush()?;
        let digest = digest(&self.header.encode(), &footer);
        Ok(Summary { bytes: self.output.position(), identity: self.header.identity, digest })
    }

    fn end_collection(&mut self, go_on: GoOn<'_>) -> Result<()> {
        if let Some(section) = self.sections.last_mut() {
            let index = std::mem::take(&mut self.index).write(&mut self.output, go_on)?;
            section.common_bytes = index.common_bytes;
            section.anchors_offset = index.anchors_offset;
            section.slots_offset = index.slots_offset;
            section.slots = index.slots;
            section.homes = index.homes;
        }
        Ok(())
    }
}
