use std::sync::Arc;

use kv_core::{CollectionId, LogId, Result};
use kv_vfs::Vfs;

use super::{new_file::NewFile, part_writer::PartWriter, steps::GoOn};
use crate::{
    format::{
        content::ContentHasher,
        manifest::{Origins, PartRef},
        names,
    },
    verify::blocks::verify_blocks,
};

/// The number of entries after which it is asked whether to go on ...
const ASK_ENTRIES: u64 = 256;
/// ... and the number of bytes.
const ASK_BYTES: u64 = 1 << 20;

/// A part of a checkpoint that is being written.
#[derive(Debug)]
pub(crate) struct NewPart {
    vfs: Arc<dyn Vfs>,
    seq: u64,
    new: NewFile,
    writer: PartWriter,
    collection: Option<CollectionId>,
    entries: u64,
    tombstones: u64,
    content: ContentHasher,
    /// The number of steps, and the position, when it was last asked whether to go on.
    steps: u64,
    asked_at: u64,
}

impl NewPart {
    pub(crate) fn create(vfs: &Arc<dyn Vfs>, seq: u64, log_id: LogId) -> Result<Self> {
        let new = NewFile::create(vfs, &names::part(seq))?;
        let identity = vfs.random()?;
        let writer = PartWriter::new(new.file().clone(), log_id.0, identity)?;
        let vfs = vfs.clone();
        Ok(Self {
            vfs,
            seq,
            new,
            writer,
            collection: None,
            entries: 0,
            tombstones: 0,
            content: ContentHasher::default(),
            steps: 0,
            asked_at: 0,
        })
    }

    /// Whether entries of this collection can be inserted now.
    pub(crate) fn is_in(&self, collection: CollectionId) -> bool {
        self.collection == Some(collection)
    }

    /// Starts a collection of about `entries` entries. Its id must be above those before it.
    pub(crate) fn start_collection(&mut self, id: CollectionId, entries: u64, go_on: GoOn<'_>) -> Result<()> {
        self.collection = Some(id);
        self.writer.start_collection(id, entries, go_on)
    }

    /// Adds an entry: a put, or without a value a tombstone. Its key must be above those before it.
    pub(crate) fn insert(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.writer.insert(key, value)?;
        if let Some(collection) = self.collection {
            self.content.add(collection, key, value);
        }
        self.entries += 1;
        self.tombstones += u64::from(value.is_none());
        Ok(())
    }

    /// The number of bytes so far.
    pub(crate) fn position(&self) -> u64 {
        self.writer.position()
    }

    /// Counts a step, and calls `go_on` now and then.
    #[inline]
    pub(crate) fn ask(&mut self, go_on: GoOn<'_>) -> Result<()> {
        self.steps += 1;
        let position = self.writer.position();
        let is_long = position - self.asked_at >= ASK_BYTES;
        if self.steps >= ASK_ENTRIES || is_long {
            self.steps = 0;
            self.asked_at = position;
            return go_on();
        }
        Ok(())
    }

    /// Completes the part: writes the rest, syncs it, reads it back from the disk and verifies it,
    /// gives it its name, and makes the name durable. After an error it may have its name.
    ///
    /// `origins` are the parts that it was merged from, if it was.
    pub(crate) fn finish(self, origins: Option<Origins>, go_on: GoOn<'_>) -> Result<PartRef> {
        let summary = self.writer.finish(go_on)?;
        self.new.commit(|file| verify_blocks(file, &summary, go_on))?;
        self.vfs.sync_directory()?;
        Ok(PartRef {
            seq: self.seq,
            summary,
            entries: self.entries,
            tombstones: self.tombstones,
            content: self.content.digest(),
            origins: origins.unwrap_or(Origins::itself(self.seq)),
        })
    }
}
