//! Frames that wait to be written, and segments that wait to be synced.

use std::{mem, sync::Arc};

use kv_core::{Epoch, Lsn, Result};

use crate::{
    format::frame::{self, Kind},
    segment_file::Segment,
};

/// How frames reach the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenBy {
    /// By a system call.
    Call,
    /// By a copy into a map of the segment if this opening has filled it, and where there can be a
    /// map; otherwise by a call. This is for short records: each new page takes a fault, and for a
    /// group of records a call is cheaper.
    Copy,
}

/// Consecutive frames of one segment.
#[derive(Debug)]
pub(crate) struct Chunk {
    segment: Arc<Segment>,
    /// Where the first frame begins, in bytes from the start of the file.
    offset: u64,
    bytes: Vec<u8>,
    /// Where each frame begins in `bytes`.
    frames: Vec<usize>,
}

impl Chunk {
    /// Stamps the frames with the durable position and hands them to the kernel. Returns the
    /// segment.
    fn write(&mut self, watermark: Lsn, by: WrittenBy) -> Result<&Arc<Segment>> {
        let identity = self.segment.header.identity;
        for at in &self.frames {
            frame::stamp(&mut self.bytes[*at..], identity, watermark);
        }
        match by {
            WrittenBy::Copy if self.segment.is_filled() => self.segment.file.copy_at(&self.bytes, self.offset)?,
            WrittenBy::Copy | WrittenBy::Call => self.segment.file.write_all_at(&self.bytes, self.offset)?,
        }
        Ok(&self.segment)
    }

    fn ends_at(&self, segment: &Arc<Segment>, offset: u64) -> bool {
        Arc::ptr_eq(&self.segment, segment) && self.offset + self.bytes.len() as u64 == offset
    }
}

/// How much memory is kept for the next frames after a write, in bytes.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Frames that were not yet handed to the kernel: chunks, in the order in which they will be
/// written.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// The epoch of this opening, which every frame carries.
    epoch: Epoch,
    chunks: Vec<Chunk>,
    bytes: usize,
    /// Memory for the next chunk.
    kept: (Vec<u8>, Vec<usize>),
}

impl Buffer {
    /// An empty buffer for frames of that epoch.
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, chunks: Vec::new(), bytes: 0, kept: Default::default() }
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a frame that begins at `offset` in the segment.
    pub(crate) fn push(&mut self, segment: &Arc<Segment>, offset: u64, kind: Kind, lsn: Lsn, payload: &[u8]) {
        if !self.chunks.last().is_some_and(|chunk| chunk.ends_at(segment, offset)) {
            let (bytes, frames) = mem::take(&mut self.kept);
            self.chunks.push(Chunk { segment: Arc::clone(segment), offset, bytes, frames });
        }
        let Some(chunk) = self.chunks.last_mut() else { return };
        chunk.frames.push(chunk.bytes.len());
        frame::push(&mut chunk.bytes, segment.header.identity, self.epoch, kind, lsn, payload);
        self.bytes += frame::frame_bytes(payload.len()) as usize;
    }

    /// Takes all chunks out of the buffer.
    pub(crate) fn take(&mut self) -> Vec<Chunk> {
        self.bytes = 0;
        mem::take(&mut self.chunks)
    }

    /// Writes all chunks and adds their segments to `unsynced`. Keeps the memory for the next ones.
    pub(crate) fn write(&mut self, unsynced: &mut Unsynced, watermark: Lsn, by: WrittenBy) -> Result<()> {
        let mut chunks = self.take();
        unsynced.write(&mut chunks, watermark, by)?;
        if let Some(Chunk { mut bytes, mut frames, .. }) = chunks.pop()
            && bytes.capacity() <= KEPT_BYTES_MAX
        {
            bytes.clear();
            frames.clear();
            self.kept = (bytes, frames);
        }
        chunks.clear();
        self.chunks = chunks;
        Ok(())
    }
}

/// Segments that were written but not yet synced, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    segments: Vec<Arc<Segment>>,
}

impl Unsynced {
    /// Adds a segment that was written. It must not be older than those that were added before.
    pub(crate) fn add(&mut self, segment: &Arc<Segment>) {
        if !self.segments.last().is_some_and(|last| Arc::ptr_eq(last, segment)) {
            self.segments.push(Arc::clone(segment));
        }
    }

    /// Writes the chunks and adds their segments.
    pub(crate) fn write(&mut self, chunks: &mut [Chunk], watermark: Lsn, by: WrittenBy) -> Result<()> {
        chunks.iter_mut().try_for_each(|chunk| chunk.write(watermark, by).map(|segment| self.add(segment)))
    }

    /// Makes all these segments durable, the oldest first: a segment must never be durable before
    /// its predecessor is.
    pub(crate) fn sync(&self) -> Result<()> {
        self.segments.iter().try_for_each(|segment| Ok(segment.file.sync_data()?))
    }
}
