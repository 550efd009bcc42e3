//! Frames that wait to be written.

use std::sync::Arc;

use kv_core::{Epoch, Lsn, Result};

use crate::{
    error,
    format::frame::{self, Kind},
    segment_file::Segment,
};

/// Frames that lie one behind the other in one segment.
#[derive(Debug)]
pub(crate) struct Chunk {
    segment: Arc<Segment>,
    /// Where the first frame belongs, in bytes from the start of the file.
    offset: u64,
    bytes: Vec<u8>,
    /// Where each frame begins in `bytes`.
    frames: Vec<usize>,
}

impl Chunk {
    /// Stamps the frames with the durable position and hands them to the kernel.
    pub(crate) fn write(&mut self, watermark: Lsn) -> Result<&Arc<Segment>> {
        let identity = self.segment.header.identity;
        for at in &self.frames {
            frame::stamp(&mut self.bytes[*at..], identity, watermark);
        }
        self.segment.file.write_all_at(&self.bytes, self.offset).map_err(error::io)?;
        Ok(&self.segment)
    }

    fn ends_at(&self, segment: &Arc<Segment>, offset: u64) -> bool {
        Arc::ptr_eq(&self.segment, segment) && self.offset + self.bytes.len() as u64 == offset
    }
}

/// Chunks in the order in which they are to be written.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// The epoch of this opening, which every frame bears.
    epoch: Epoch,
    chunks: Vec<Chunk>,
    bytes: usize,
}

impl Buffer {
    /// A buffer for the frames of that epoch.
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, chunks: Vec::new(), bytes: 0 }
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a frame that belongs at `offset` of the segment.
    pub(crate) fn push(&mut self, segment: &Arc<Segment>, offset: u64, kind: Kind, lsn: Lsn, payload: &[u8]) {
        if !self.chunks.last().is_some_and(|chunk| chunk.ends_at(segment, offset)) {
            let segment = Arc::clone(segment);
            self.chunks.push(Chunk { segment, offset, bytes: Vec::new(), frames: Vec::new() });
        }
        let Some(chunk) = self.chunks.last_mut() else { return };
        chunk.frames.push(chunk.bytes.len());
        frame::push(&mut chunk.bytes, segment.header.identity, self.epoch, kind, lsn, payload);
        self.bytes += frame::frame_bytes(payload.len()) as usize;
    }

    /// Everything that waits; nothing does afterwards.
    pub(crate) fn take(&mut self) -> Vec<Chunk> {
        self.bytes = 0;
        std::mem::take(&mut self.chunks)
    }
}

/// Segments that were written and not yet synced, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    segments: Vec<Arc<Segment>>,
}

impl Unsynced {
    /// Notes that the segment, which is not older than any other that was noted, was written.
    pub(crate) fn add(&mut self, segment: &Arc<Segment>) {
        if !self.segments.last().is_some_and(|last| Arc::ptr_eq(last, segment)) {
            self.segments.push(Arc::clone(segment));
        }
    }

    /// Writes the chunks, and notes their segments.
    pub(crate) fn write(&mut self, chunks: Vec<Chunk>, watermark: Lsn) -> Result<()> {
        for mut chunk in chunks {
            self.add(chunk.write(watermark)?);
        }
        Ok(())
    }

    /// Makes everything that was written durable, older segments first.
    pub(crate) fn sync(&self) -> Result<()> {
        self.segments.iter().try_for_each(|segment| segment.file.sync_data().map_err(error::io))
    }
}
