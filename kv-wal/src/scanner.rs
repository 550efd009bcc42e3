//! The one reader of frames: from frame to frame through a segment. Recovery, readers, verification
//! and the dump use it.

use std::{path::Path, sync::Arc};

use kv_core::{Epoch, Error, Lsn, Result};
use kv_vfs::File;

use crate::{
    bytes::is_zero,
    error,
    file::{Segment, read_up_to},
    frame::{self, FRAME_BYTES_MIN, FrameHeader, HEADER_BYTES, Kind, Seal, Start},
};

/// How many bytes are read at once, if no frame is larger.
const CHUNK_BYTES: u64 = 256 << 10;

/// What comes next in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A valid frame; [`Scanner::payload`] has its payload.
    Frame(Frame),
    /// No further frame: zeroes, or the limit.
    End,
    /// Something that is not a valid frame, and why.
    Bad(&'static str),
}

/// A valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it begins, in bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) kind: Kind,
    pub(crate) lsn: Lsn,
    pub(crate) watermark: Lsn,
    pub(crate) payload_bytes: u32,
}

/// Where the frames of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// In bytes from the start of the file.
    pub(crate) offset: u64,
    /// The last record's position.
    pub(crate) last: Lsn,
    /// The epoch in force there.
    pub(crate) epoch: Epoch,
    /// What is there instead of a further frame; `None` if that is nothing.
    pub(crate) bad: Option<&'static str>,
    /// Whether a seal, and the padding of its block, are the last that is there.
    pub(crate) sealed: bool,
}

/// The state behind a frame, which decides what may follow it.
#[derive(Clone, Copy, Debug)]
struct InForce {
    /// The last record's position.
    lsn: Lsn,
    epoch: Epoch,
    /// The last frame, but for padding, is a seal.
    sealed: bool,
}

/// Goes from frame to frame.
#[derive(Debug)]
pub(crate) struct Scanner {
    file: Arc<dyn File>,
    identity: u64,
    block: u64,
    limit: u64,
    /// Records up to here are passed over: their payloads are neither read nor verified.
    skip: Lsn,
    /// Where the next frame begins.
    offset: u64,
    /// `None` before the start frame.
    in_force: Option<InForce>,
    /// What the start frame said.
    start: Option<Start>,
    /// Bytes of the file from `buffer_at` on.
    buffer: Vec<u8>,
    buffer_at: u64,
    /// Where in the buffer the current frame's payload lies.
    payload: (usize, usize),
}

impl Scanner {
    /// Begins with the start frame of `segment`, and ends at `limit` bytes from the start of the file, or with the file.
    pub(crate) fn new(segment: &Segment, limit: u64) -> Result<Self> {
        let limit = limit.min(segment.header.length).min(segment.file.len().map_err(error::io)?);
        Ok(Self {
            file: Arc::clone(&segment.file),
            identity: segment.header.identity,
            block: segment.block(),
            limit,
            skip: Lsn::START,
            offset: segment.block(),
            in_force: None,
            start: None,
            buffer: Vec::new(),
            buffer_at: 0,
            payload: (0, 0),
        })
    }

    /// Passes over the records up to `lsn` without reading them.
    pub(crate) fn skip_to(mut self, lsn: Lsn) -> Self {
        self.skip = lsn;
        self
    }

    /// The file that is read, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position of the last record before the next frame; [`Lsn::START`] before the start frame.
    pub(crate) fn last(&self) -> Lsn {
        self.in_force.map_or(Lsn::START, |in_force| in_force.lsn)
    }

    /// The epoch at the next frame.
    pub(crate) fn epoch(&self) -> Epoch {
        self.in_force.map_or(Epoch(0), |in_force| in_force.epoch)
    }

    /// What the start frame said, once it has been passed.
    pub(crate) fn start(&self) -> Option<Start> {
        self.start
    }

    /// The payload of the frame that the last step gave; empty if it was passed over.
    pub(crate) fn payload(&self) -> &[u8] {
        self.buffer.get(self.payload.0..self.payload.1).unwrap_or_default()
    }

    /// Forgets what was read ahead: somebody may have written there since.
    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// Moves the limit: somebody has written more, or will not.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Goes on to the last frame, and returns where it ends.
    pub(crate) fn end(mut self) -> Result<SegmentEnd> {
        let bad = loop {
            match self.step()? {
                Step::Frame(_) => {}
                Step::End => break None,
                Step::Bad(reason) => break Some(reason),
            }
        };
        let sealed = bad.is_none() && self.in_force.is_some_and(|in_force| in_force.sealed);
        Ok(SegmentEnd { offset: self.offset, last: self.last(), epoch: self.epoch(), bad, sealed })
    }

    /// The next frame. After anything else than a frame, the same step comes again.
    pub(crate) fn step(&mut self) -> Result<Step> {
        self.payload = (0, 0);
        if self.limit.saturating_sub(self.offset) < FRAME_BYTES_MIN {
            return Ok(Step::End);
        }
        let identity = self.identity;
        let bytes = self.bytes(HEADER_BYTES as u64)?;
        let Some(header) = FrameHeader::decode(bytes, identity) else {
            return Ok(if is_zero(bytes) { Step::End } else { Step::Bad("a frame's header fails its checksum") });
        };
        let kind = header.kind().map_err(|detail| Error::NewerVersion { place: self.path().into(), detail })?;
        if let Some(bad) = self.misplaced(&header, kind) {
            return Ok(Step::Bad(bad));
        }
        if (kind != Kind::Record || header.lsn > self.skip) && !self.load_payload(&header)? {
            return Ok(Step::Bad("a frame's payload fails its checksum"));
        }
        let Some(in_force) = self.behind(kind, header.lsn) else {
            return Ok(Step::Bad("a control frame makes no sense"));
        };
        if !header.is_of(in_force.epoch) {
            return Ok(Step::Bad("a frame of another epoch"));
        }
        self.in_force = Some(in_force);
        let offset = self.offset;
        self.offset += header.frame_bytes();
        let FrameHeader { lsn, watermark, payload_bytes, .. } = header;
        Ok(Step::Frame(Frame { offset, kind, lsn, watermark, payload_bytes }))
    }

    fn misplaced(&self, header: &FrameHeader, kind: Kind) -> Option<&'static str> {
        if header.frame_bytes() > self.limit - self.offset {
            return Some("a frame runs beyond its segment's end");
        }
        let in_order = match (self.in_force, kind) {
            (None, Kind::Start) => self.offset == self.block,
            (None, _) | (Some(_), Kind::Start) => false,
            // What follows a seal in its segment belongs to a later opening, which begins by saying
            // so.
            (Some(before), Kind::Record) => header.lsn == before.lsn.next() && !before.sealed,
            (Some(before), Kind::Padding) => header.lsn == before.lsn,
            (Some(before), Kind::Seal) => header.lsn == before.lsn && !before.sealed,
            (Some(before), Kind::Epoch) => header.lsn == before.lsn && before.sealed,
        };
        let watermark_fits = if kind == Kind::Record { header.watermark < header.lsn } else { true };
        if in_order && watermark_fits { None } else { Some("a frame is out of order") }
    }

    fn load_payload(&mut self, header: &FrameHeader) -> Result<bool> {
        let identity = self.identity;
        let bytes = self.bytes(header.frame_bytes())?;
        if frame::payload(header, bytes, identity).is_none() {
            return Ok(false);
        }
        let at = (self.offset - self.buffer_at) as usize + HEADER_BYTES;
        self.payload = (at, at + header.payload_bytes as usize);
        Ok(true)
    }

    /// What is in force behind the frame, which is in order; `None` if what it says makes no sense.
    fn behind(&mut self, kind: Kind, lsn: Lsn) -> Option<InForce> {
        match (kind, self.in_force) {
            (Kind::Start, _) => {
                let start = Start::decode(self.payload())?;
                self.start = Some(start);
                Some(InForce { lsn, epoch: start.epoch, sealed: false })
            }
            (_, None) => None,
            (Kind::Record | Kind::Padding, Some(before)) => Some(InForce { lsn, ..before }),
            (Kind::Seal, Some(before)) => {
                let here = Seal { epoch: before.epoch, offset: self.offset };
                (Seal::decode(self.payload())? == here).then_some(InForce { sealed: true, ..before })
            }
            (Kind::Epoch, Some(before)) => {
                let epoch = frame::decode_epoch(self.payload())?;
                (epoch > before.epoch).then_some(InForce { epoch, lsn, sealed: false })
            }
        }
    }

    /// The next `len` bytes, or fewer where the file ends before. The limit lies beyond them.
    fn bytes(&mut self, len: u64) -> Result<&[u8]> {
        let in_buffer = |offset: u64, at: u64, buffer: &[u8]| offset >= at && offset + len <= at + buffer.len() as u64;
        if !in_buffer(self.offset, self.buffer_at, &self.buffer) {
            self.fill(len.max(CHUNK_BYTES).min(self.limit - self.offset))?;
        }
        let from = (self.offset - self.buffer_at) as usize;
        let to = self.buffer.len().min(from + len as usize);
        Ok(&self.buffer[from..to])
    }

    fn fill(&mut self, len: u64) -> Result<()> {
        self.buffer_at = self.offset;
        self.buffer.clear();
        self.buffer.resize(len as usize, 0);
        let read = read_up_to(&*self.file, &mut self.buffer, self.offset);
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }
}
