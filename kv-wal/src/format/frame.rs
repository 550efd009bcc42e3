//! Frames: the contents of a segment from block 1 on. Format only, no I/O.
//!
//! ```text
//! byte  0      1       2       4        8          16          24         32          32+len      8-aligned
//!       | kind | flags | epoch | length | position | watermark | checksum | payload … | zeroes … | checksum |
//!       '------------------------ header, 32 bytes -----------------------'                       '- 8 bytes -'
//! ```
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind, see below; never 0 |
//! | 1 | 1 | flags, none defined yet; a reader refuses a frame with a flag that it does not know |
//! | 2 | 2 | the low 16 bits of the epoch in which the frame was written |
//! | 4 | 4 | length of the payload in bytes |
//! | 8 | 8 | position: a record's own; for the other kinds that of the last record before the frame |
//! | 16 | 8 | watermark: the highest durable position when the frame was handed to the kernel |
//! | 24 | 8 | xxh3 of bytes 0 to 24, seeded with the segment's identity |
//! | 32 | length | payload, then zeroes up to a multiple of 8 |
//! | … | 8 | xxh3 of the payload with those zeroes, seeded with the segment's identity and the position |
//!
//! | kind | | payload |
//! |---|---|---|
//! | 1 | record | the record |
//! | 2 | padding | zeroes up to a block's boundary; ends each flush |
//! | 3 | start | epoch, then number, identity and end of the predecessor (all 0 if there is none); the first frame of block 1, and nowhere else |
//! | 4 | seal | epoch, then where the frame begins, in bytes from the start of the file; position and watermark are the last durable position |
//! | 5 | epoch | epoch of the frames that follow |
//!
//! A frame is valid if and only if
//!
//! - both checksums are right, and it ends within its segment;
//! - its position is one above that of the last record (for a record) or equal to it (for the other
//!   kinds), and at most 2^62;
//! - its watermark is below its position (for a record) or not above it (for the other kinds);
//! - its epoch is the one in force where the frame lies: the epoch that the last start or epoch
//!   frame before it states, or, for these two kinds, the one that the frame itself states;
//! - the payload of a start, seal or epoch frame is as the table says;
//! - it is in order: the start frame is the first one, and only an epoch frame, whose epoch is
//!   higher than the one before, follows a seal and the padding of its block. An epoch frame occurs
//!   nowhere else.
//!
//! So these are not valid: a frame of zeroes, a frame that was moved to another segment or another
//! position, and a frame that an earlier opening left beyond the place where a later one continued.
//!
//! All integers are little-endian.

use kv_core::{Epoch, Lsn};
use kv_vfs::little_endian::{get_u16, get_u32, get_u64, put};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The bytes of a frame before its payload.
pub(crate) const HEADER_BYTES: usize = 32;
/// The bytes of a frame after its payload: the payload's checksum.
pub(crate) const TRAILER_BYTES: usize = 8;
/// The bytes of a frame without payload, the smallest.
pub(crate) const FRAME_BYTES_MIN: u64 = (HEADER_BYTES + TRAILER_BYTES) as u64;
/// Every frame begins and ends at a multiple of this.
pub(crate) const ALIGNMENT: usize = 8;
/// The longest payload that a frame can carry, in bytes.
pub(crate) const PAYLOAD_BYTES_MAX: usize = (1 << 31) - 1;
/// The highest position, epoch, counter or segment number that a reader accepts. No log lives long
/// enough to reach it.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

const START_BYTES: usize = 32;
const EPOCH_BYTES: usize = 8;
const SEAL_BYTES: usize = 16;

const EPOCH_AT: usize = 2;
const LENGTH_AT: usize = 4;
const POSITION_AT: usize = 8;
const WATERMARK_AT: usize = 16;
const CHECKSUM_AT: usize = 24;

const _: () = assert!(HEADER_BYTES.is_multiple_of(ALIGNMENT) && TRAILER_BYTES.is_multiple_of(ALIGNMENT));

/// The kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Record = 1,
    Padding = 2,
    Start = 3,
    Seal = 4,
    Epoch = 5,
}

/// The fixed part of a frame whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    kind: u8,
    flags: u8,
    epoch_bits: u16,
    pub(crate) payload_bytes: u32,
    pub(crate) lsn: Lsn,
    pub(crate) watermark: Lsn,
}

impl FrameHeader {
    /// Decodes the header at the start of `bytes`. `None` if it is not valid.
    pub(crate) fn decode(bytes: &[u8], identity: u64) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let kind = bytes[0];
        let (lsn, watermark) = (get_u64(bytes, POSITION_AT), get_u64(bytes, WATERMARK_AT));
        // Do the cheap comparisons first: the search beyond a log's end tries this at every eighth
        // byte.
        if kind == 0 || watermark > lsn || lsn > NUMBER_MAX {
            return None;
        }
        if get_u64(bytes, CHECKSUM_AT) != xxh3_64_with_seed(&bytes[..CHECKSUM_AT], identity) {
            return None;
        }
        Some(Self {
            kind,
            flags: bytes[1],
            epoch_bits: get_u16(bytes, EPOCH_AT),
            payload_bytes: get_u32(bytes, LENGTH_AT),
            lsn: Lsn(lsn),
            watermark: Lsn(watermark),
        })
    }

    /// The frame's kind. The error describes a flag or a kind that only a newer version can know.
    pub(crate) fn kind(&self) -> Result<Kind, String> {
        if self.flags != 0 {
            return Err(format!("a frame has unknown flags: {:#x}", self.flags));
        }
        match self.kind {
            1 => Ok(Kind::Record),
            2 => Ok(Kind::Padding),
            3 => Ok(Kind::Start),
            4 => Ok(Kind::Seal),
            5 => Ok(Kind::Epoch),
            unknown => Err(format!("a frame is of an unknown kind: {unknown}")),
        }
    }

    /// Whether the frame may have been written in that epoch.
    pub(crate) fn is_of(&self, epoch: Epoch) -> bool {
        self.epoch_bits == epoch_bits(epoch)
    }

    /// The length of the whole frame in bytes.
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.payload_bytes as usize)
    }
}

/// Where a segment continues the log: in segment `number` at the offset `end`, in bytes from the
/// start of that file. Anything beyond that offset is void, and so is every segment between the
/// two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) number: u64,
    pub(crate) identity: u64,
    pub(crate) end: u64,
}

/// The payload of a start frame. The frame's header holds the position before the segment's first
/// record, and the durable position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) epoch: Epoch,
    pub(crate) predecessor: Option<Link>,
}

impl Start {
    pub(crate) fn encode(&self) -> [u8; START_BYTES] {
        let link = self.predecessor.unwrap_or(Link { number: 0, identity: 0, end: 0 });
        let mut bytes = [0; START_BYTES];
        for (at, value) in [self.epoch.0, link.number, link.identity, link.end].into_iter().enumerate() {
            put(&mut bytes, at * 8, &value.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        if payload.len() != START_BYTES {
            return None;
        }
        let epoch = decode_epoch(&payload[..EPOCH_BYTES])?;
        let link = Link { number: get_u64(payload, 8), identity: get_u64(payload, 16), end: get_u64(payload, 24) };
        Some(Self { epoch, predecessor: (link.number != 0).then_some(link) })
    }
}

/// The payload of a seal. It states its own offset, because recovery looks for a seal without
/// reading the frames before it. So a seal that the disk moved elsewhere does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) epoch: Epoch,
    /// Where the frame begins, in bytes from the start of the file.
    pub(crate) offset: u64,
}

impl Seal {
    pub(crate) fn encode(&self) -> [u8; SEAL_BYTES] {
        let mut bytes = [0; SEAL_BYTES];
        put(&mut bytes, 0, &self.epoch.0.to_le_bytes());
        put(&mut bytes, EPOCH_BYTES, &self.offset.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let (epoch, offset) = payload.split_at_checked(EPOCH_BYTES)?;
        let offset = u64::from_le_bytes(offset.try_into().ok()?);
        Some(Self { epoch: decode_epoch(epoch)?, offset })
    }
}

/// The payload of an epoch frame.
pub(crate) fn encode_epoch(epoch: Epoch) -> [u8; EPOCH_BYTES] {
    epoch.0.to_le_bytes()
}

/// The epoch that an epoch frame states.
pub(crate) fn decode_epoch(payload: &[u8]) -> Option<Epoch> {
    let epoch = get_u64(payload, 0);
    (payload.len() == EPOCH_BYTES && epoch <= NUMBER_MAX).then_some(Epoch(epoch))
}

/// The part of an epoch that a frame's header holds. Epochs that differ by a multiple of 65,536
/// look the same. That could matter only if two openings with such epochs wrote to the same
/// segment.
fn epoch_bits(epoch: Epoch) -> u16 {
    epoch.0 as u16
}

/// The length in bytes of a frame whose payload has `payload_bytes` bytes.
pub(crate) fn frame_bytes(payload_bytes: usize) -> u64 {
    (HEADER_BYTES + payload_bytes.next_multiple_of(ALIGNMENT) + TRAILER_BYTES) as u64
}

/// The length in bytes of a start frame.
pub(crate) fn start_frame_bytes() -> u64 {
    frame_bytes(START_BYTES)
}

/// Appends a frame to `buffer`. It becomes valid once it is [stamped](stamp).
pub(crate) fn push(buffer: &mut Vec<u8>, identity: u64, epoch: Epoch, kind: Kind, lsn: Lsn, payload: &[u8]) {
    let mut header = [0; HEADER_BYTES];
    header[0] = kind as u8;
    put(&mut header, EPOCH_AT, &epoch_bits(epoch).to_le_bytes());
    put(&mut header, LENGTH_AT, &(payload.len() as u32).to_le_bytes());
    put(&mut header, POSITION_AT, &lsn.0.to_le_bytes());
    buffer.extend_from_slice(&header);
    let at = buffer.len();
    buffer.extend_from_slice(payload);
    buffer.resize(at + payload.len().next_multiple_of(ALIGNMENT), 0);
    let checksum = payload_checksum(identity, lsn, &buffer[at..]);
    buffer.extend_from_slice(&checksum.to_le_bytes());
}

/// Writes the watermark and the header's checksum to the frame at the start of `frame`.
pub(crate) fn stamp(frame: &mut [u8], identity: u64, watermark: Lsn) {
    put(frame, WATERMARK_AT, &watermark.0.to_le_bytes());
    let checksum = xxh3_64_with_seed(&frame[..CHECKSUM_AT], identity);
    put(frame, CHECKSUM_AT, &checksum.to_le_bytes());
}

/// The payload of `frame`, whose header is `header`; `None` if its checksum is wrong.
pub(crate) fn payload<'a>(header: &FrameHeader, frame: &'a [u8], identity: u64) -> Option<&'a [u8]> {
    let (padded, checksum) = frame.get(HEADER_BYTES..)?.split_last_chunk::<TRAILER_BYTES>()?;
    let sound = u64::from_le_bytes(*checksum) == payload_checksum(identity, header.lsn, padded);
    if sound { padded.get(..header.payload_bytes as usize) } else { None }
}

fn payload_checksum(identity: u64, lsn: Lsn, padded: &[u8]) -> u64 {
    // An odd factor maps different positions to different seeds.
    xxh3_64_with_seed(padded, identity ^ lsn.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Where a flush ends if its last frame ends at `end`: at `end` itself if that is a block boundary,
/// otherwise at the next one that leaves room for a padding frame.
pub(crate) fn closed_end(end: u64, block_bytes: u64) -> u64 {
    let boundary = end.next_multiple_of(block_bytes);
    if boundary - end != 0 && boundary - end < FRAME_BYTES_MIN { boundary + block_bytes } else { boundary }
}

#[cfg(test)]
mod tests {
    use kv_core::{Epoch, Lsn};

    use super::{
        FrameHeader, Kind, Link, Seal, Start, closed_end, decode_epoch, encode_epoch, frame_bytes, payload, push, stamp,
    };

    fn frame(identity: u64, lsn: Lsn, bytes: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        push(&mut frame, identity, Epoch(7), Kind::Record, lsn, bytes);
        stamp(&mut frame, identity, Lsn(lsn.0 - 1));
        frame
    }

    fn decode(bytes: &[u8], identity: u64) -> Option<(FrameHeader, &[u8])> {
        let header = FrameHeader::decode(bytes, identity)?;
        Some((header, payload(&header, bytes, identity)?))
    }

    #[test]
    fn a_frame_decodes_to_what_was_encoded() {
        for len in 0..100 {
            let bytes: Vec<u8> = (0..len).collect();
            let frame = frame(9, Lsn(5), &bytes);
            assert_eq!(frame.len() as u64, frame_bytes(bytes.len()));
            let (header, decoded) = decode(&frame, 9).unwrap();
            assert_eq!((header.kind(), header.lsn, header.watermark), (Ok(Kind::Record), Lsn(5), Lsn(4)));
            assert!(header.is_of(Epoch(7)) && header.is_of(Epoch(7 + (1 << 16))) && !header.is_of(Epoch(8)));
            assert_eq!(decoded, bytes);
        }
    }

    #[test]
    fn every_flipped_bit_makes_a_frame_invalid() {
        let frame = frame(9, Lsn(5), b"some bytes");
        for bit in 0..frame.len() * 8 {
            let mut frame = frame.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&frame, 9), None, "bit {bit}");
        }
        assert_eq!(decode(&frame, 8), None, "another segment's identity");
        assert_eq!(decode(&[0; 64], 9), None, "zeroes");
    }

    #[test]
    fn the_payload_of_another_position_does_not_pass() {
        let (mut one, two) = (frame(9, Lsn(5), b"one"), frame(9, Lsn(6), b"two"));
        one[32..].copy_from_slice(&two[32..]);
        assert_eq!(decode(&one, 9), None);
    }

    #[test]
    fn a_flush_ends_where_a_padding_frame_can_reach() {
        assert_eq!(closed_end(4096, 4096), 4096);
        assert_eq!(closed_end(4104, 4096), 8192);
        assert_eq!(closed_end(8192 - 40, 4096), 8192);
        assert_eq!(closed_end(8192 - 32, 4096), 12288);
    }

    #[test]
    fn control_payloads_decode_to_what_was_encoded() {
        for predecessor in [None, Some(Link { number: 3, identity: 4, end: 8192 })] {
            let start = Start { epoch: Epoch(2), predecessor };
            assert_eq!(Start::decode(&start.encode()), Some(start));
        }
        assert_eq!(Start::decode(&[0; 31]), None);
        let seal = Seal { epoch: Epoch(7), offset: 8192 };
        assert_eq!(Seal::decode(&seal.encode()), Some(seal));
        assert_eq!(Seal::decode(&seal.encode()[1..]), None);
        assert_eq!(decode_epoch(&encode_epoch(Epoch(7))), Some(Epoch(7)));
        assert_eq!(decode_epoch(&encode_epoch(Epoch(u64::MAX))), None);
    }
}
