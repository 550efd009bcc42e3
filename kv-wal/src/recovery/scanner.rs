//! Reads a segment frame by frame, and checks that each frame is valid where it lies. Recovery,
//! readers, `verify` and the dump use it.

use std::{path::Path, sync::Arc};

use kv_core::{Epoch, Error, Lsn, Result};
use kv_vfs::File;

use crate::{
    format::{
        frame::{self, FRAME_BYTES_MIN, FrameHeader, HEADER_BYTES, Kind, Seal, Start},
        zeroes::is_zero,
    },
    segment_file::{Segment, read_up_to},
};

/// How many bytes are read at once, if no frame is larger.
const CHUNK_BYTES: u64 = 256 << 10;

/// The next thing in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A valid frame; [`Scanner::payload`] returns its payload.
    Frame(Frame),
    /// No further frame: there are zeroes, or the limit is reached.
    End,
    /// Bytes that are not a valid frame, and what is wrong with them.
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
    /// Why the frame that follows is bad; `None` if no frame follows.
    pub(crate) bad: Option<&'static str>,
    /// Whether the last frames are a seal and the padding of its block.
    pub(crate) sealed: bool,
}

/// What the frames so far decide about the next one.
#[derive(Clone, Copy, Debug)]
struct Context {
    /// The last record's position.
    lsn: Lsn,
    epoch: Epoch,
    /// Whether the last frame, apart from padding, is a seal.
    sealed: bool,
}

/// Goes through a segment frame by frame.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    file: Arc<dyn File>,
    identity: u64,
    block: u64,
    limit: u64,
    /// Records up to this position are passed over: their payloads are not verified.
    skip: Lsn,
    /// Where the next frame begins.
    offset: u64,
    /// `None` before the start frame.
    context: Option<Context>,
    /// The contents of the start frame.
    start: Option<Start>,
    /// Bytes of the file from `buffer_at` on.
    buffer: Vec<u8>,
    buffer_at: u64,
    /// Where in the buffer the current frame's payload lies: from, to.
    payload: (usize, usize),
}

impl Scanner {
    /// Starts at the start frame of `segment`. Ends at `limit`, in bytes from the start of the
    /// file, or at the end of the file.
    pub(crate) fn new(segment: &Segment, limit: u64) -> Result<Self> {
        let limit = limit.min(segment.header.length).min(segment.file.len()?);
        Ok(Self {
            file: Arc::clone(&segment.file),
            identity: segment.header.identity,
            block: segment.block(),
            limit,
            skip: Lsn::START,
            offset: segment.block(),
            context: None,
            start: None,
            buffer: Vec::new(),
            buffer_at: 0,
            payload: (0, 0),
        })
    }

    /// Passes over the records up to `lsn` without verifying their payloads.
    pub(crate) fn skip_to(mut self, lsn: Lsn) -> Self {
        self.skip = lsn;
        self
    }

    /// The path of the file, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position of the last record before the next frame; [`Lsn::START`] before the start
    /// frame.
    pub(crate) fn last(&self) -> Lsn {
        self.context.map_or(Lsn::START, |context| context.lsn)
    }

    /// The epoch in force at the next frame.
    pub(crate) fn epoch(&self) -> Epoch {
        self.context.map_or(Epoch(0), |context| context.epoch)
    }

    /// The contents of the start frame, once it has been passed.
    pub(crate) fn start(&self) -> Option<Start> {
        self.start
    }

    /// The payload of the frame that the last step returned; empty if the frame was passed over.
    pub(crate) fn payload(&self) -> &[u8] {
        self.buffer.get(self.payload.0..self.payload.1).unwrap_or_default()
    }

    /// Discards what was read ahead, because the log may have written there since.
    pub(crate) fn forget_read_ahead(&mut self) {
        self.buffer.clear();
    }

    /// Moves the limit, because more frames have been written, or this segment has ended.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Goes through all remaining frames, and returns where they end.
    pub(crate) fn end(mut self) -> Result<SegmentEnd> {
        let bad = loop {
            match self.step()? {
                Step::Frame(_) => {}
                Step::End => break None,
                Step::Bad(reason) => break Some(reason),
            }
        };
        let sealed = bad.is_none() && self.context.is_some_and(|context| context.sealed);
        Ok(SegmentEnd { offset: self.offset, last: self.last(), epoch: self.epoch(), bad, sealed })
    }

    /// Takes one step. Once it has returned something other than a frame, it returns the same
    /// again.
    pub(crate) fn step(&mut self) -> Result<Step> {
        self.payload = (0, 0);
        if self.limit.saturating_sub(self.offset) < FRAME_BYTES_MIN {
            return Ok(Step::End);
        }
        let identity = self.identity;
        let bytes = self.bytes(HEADER_BYTES as u64)?;
        let Some(header) = FrameHeader::decode(bytes, identity) else {
            return Ok(if is_zero(bytes) {
                Step::End
            } else {
                Step::Bad("the header of a frame has a wrong checksum")
            });
        };
        let kind = header.kind().map_err(|detail| Error::NewerVersion { place: self.path().into(), detail })?;
        if let Some(bad) = self.order_error(&header, kind) {
            return Ok(Step::Bad(bad));
        }
        if (kind != Kind::Record || header.lsn > self.skip) && !self.load_payload(&header)? {
            return Ok(Step::Bad("the payload of a frame has a wrong checksum"));
        }
        let Some(context) = self.context_after(kind, header.lsn) else {
            return Ok(Step::Bad("a control frame has an invalid payload"));
        };
        if !header.is_of(context.epoch) {
            return Ok(Step::Bad("a frame belongs to another epoch"));
        }
        self.context = Some(context);
        let offset = self.offset;
        self.offset += header.frame_bytes();
        let FrameHeader { lsn, watermark, payload_bytes, .. } = header;
        Ok(Step::Frame(Frame { offset, kind, lsn, watermark, payload_bytes }))
    }

    fn order_error(&self, header: &FrameHeader, kind: Kind) -> Option<&'static str> {
        if header.frame_bytes() > self.limit - self.offset {
            return Some("a frame extends beyond the end of its segment");
        }
        let in_order = match (self.context, kind) {
            (None, Kind::Start) => self.offset == self.block,
            (None, _) | (Some(_), Kind::Start) => false,
            // A later opening that continues behind a seal begins with an epoch frame.
            (Some(before), Kind::Record) => header.lsn == before.lsn.next() && !before.sealed,
            (Some(before), Kind::Padding) => header.lsn == before.lsn,
            (Some(before), Kind::Seal) => header.lsn == before.lsn && !before.sealed,
            (Some(before), Kind::Epoch) => header.lsn == before.lsn && before.sealed,
        };
        let watermark_fits = if kind == Kind::Record { header.watermark < header.lsn } else { true };
        if in_order && watermark_fits { None } else { Some("a frame has the wrong position or is out of order") }
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

    /// The context after a frame that is in order. `None` if the frame's payload is not valid.
    fn context_after(&mut self, kind: Kind, lsn: Lsn) -> Option<Context> {
        match (kind, self.context) {
            (Kind::Start, _) => {
                let start = Start::decode(self.payload())?;
                self.start = Some(start);
                Some(Context { lsn, epoch: start.epoch, sealed: false })
            }
            (_, None) => None,
            (Kind::Record | Kind::Padding, Some(before)) => Some(Context { lsn, ..before }),
            (Kind::Seal, Some(before)) => {
                let here = Seal { epoch: before.epoch, offset: self.offset };
                (Seal::decode(self.payload())? == here).then_some(Context { sealed: true, ..before })
            }
            (Kind::Epoch, Some(before)) => {
                let epoch = frame::decode_epoch(self.payload())?;
                (epoch > before.epoch).then_some(Context { epoch, lsn, sealed: false })
            }
        }
    }

    /// The next `len` bytes, or fewer if the file ends earlier. They lie before the limit.
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
