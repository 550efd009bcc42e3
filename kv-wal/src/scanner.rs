//! The one loop over the frames of a segment. Recovery, readers, verification and the dump are its visitors.

use std::{path::Path, sync::Arc};

use kv_core::{Epoch, Error, Lsn, Result};
use kv_vfs::File;

use crate::{
    bytes::is_zero,
    error,
    file::Segment,
    frame::{self, FRAME_BYTES_MIN, FrameHeader, HEADER_BYTES, Kind, Start},
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
    /// The last record's position, and the epoch; `None` before the start frame.
    last: Option<(Lsn, Epoch)>,
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
            last: None,
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
        self.last.map_or(Lsn::START, |(lsn, _)| lsn)
    }

    /// The epoch at the next frame.
    pub(crate) fn epoch(&self) -> Epoch {
        self.last.map_or(Epoch(0), |(_, epoch)| epoch)
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
        let kind = header.kind().map_err(|detail| Error::NewerVersion { file: self.path().to_owned(), detail })?;
        if let Some(bad) = self.misplaced(&header, kind) {
            return Ok(Step::Bad(bad));
        }
        if (kind != Kind::Record || header.lsn > self.skip) && !self.load_payload(&header)? {
            return Ok(Step::Bad("a frame's payload fails its checksum"));
        }
        if !self.enter(kind, header.lsn) {
            return Ok(Step::Bad("a control frame makes no sense"));
        }
        let offset = self.offset;
        self.offset += header.frame_bytes();
        let FrameHeader { lsn, watermark, payload_bytes, .. } = header;
        Ok(Step::Frame(Frame { offset, kind, lsn, watermark, payload_bytes }))
    }

    fn misplaced(&self, header: &FrameHeader, kind: Kind) -> Option<&'static str> {
        if header.frame_bytes() > self.limit - self.offset {
            return Some("a frame runs beyond its segment's end");
        }
        let in_order = match (self.last, kind) {
            (None, Kind::Start) => self.offset == self.block,
            (None, _) | (Some(_), Kind::Start) => false,
            (Some((last, _)), Kind::Record) => header.lsn == last.next(),
            (Some((last, _)), Kind::Padding | Kind::Seal | Kind::Epoch) => header.lsn == last,
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

    /// Takes in what the frame means for those that follow.
    fn enter(&mut self, kind: Kind, lsn: Lsn) -> bool {
        match kind {
            Kind::Record => self.last = self.last.map(|(_, epoch)| (lsn, epoch)),
            Kind::Padding => {}
            Kind::Start => {
                let Some(start) = Start::decode(self.payload()) else { return false };
                self.start = Some(start);
                self.last = Some((lsn, start.epoch));
            }
            Kind::Seal => return frame::decode_epoch(self.payload()).is_some(),
            Kind::Epoch => {
                let Some(epoch) = frame::decode_epoch(self.payload()) else { return false };
                self.last = Some((lsn, epoch));
            }
        }
        true
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

/// Reads until the buffer is full or the file ends, and returns how many bytes it read.
pub(crate) fn read_up_to(file: &dyn File, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], offset + len as u64).map_err(error::io)? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}
