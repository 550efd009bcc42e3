//! The header of a segment: block 0 of its file. Format only, no I/O.
//!
//! ```text
//! byte  0       8        16      20      24           32         40      56      64        72      80      4096
//!       | magic | checksum | ver | block | incompat.  | compat.  | log id | number | identity | length | zero … |
//! ```
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `kvwalseg` |
//! | 8 | 8 | xxh3 of bytes 16 to 4,096; at this place and over these bytes in every version, and judged first |
//! | 16 | 4 | version, 1 |
//! | 20 | 4 | size of a block in bytes: a power of two from 4,096 to 1 MiB |
//! | 24 | 8 | incompatible features: a bit that is not known means "written by a newer version" |
//! | 32 | 8 | compatible features: unknown bits do not matter |
//! | 40 | 16 | the log's identity |
//! | 56 | 8 | the segment's number, from 1; the file's name says the same |
//! | 64 | 8 | the segment's identity, random and not zero: the seed of every checksum in it |
//! | 72 | 8 | the length in bytes to which the file was filled: whole blocks, at least four |
//! | 80 | … | zeroes, to the end of the block |
//!
//! A header is valid if and only if the magic and the checksum are right and each field has a value that the table allows.
//! All integers are little-endian.

use kv_core::LogId;
use xxhash_rust::xxh3::xxh3_64;

use crate::bytes::{get_u32, get_u64, get_u128, put};

/// How many bytes of block 0 are written and covered by the checksum.
pub(crate) const HEADER_BYTES: usize = 4096;
/// The fewest blocks that a segment has: header, one with the start frame, one for records, one for the seal.
pub(crate) const BLOCKS_MIN: u64 = 4;

const MAGIC: &[u8; 8] = b"kvwalseg";
const VERSION: u32 = 1;
const BLOCK_BYTES_MIN: u32 = 4096;
const BLOCK_BYTES_MAX: u32 = 1 << 20;
/// No file is longer; keeps sums of offsets from overflowing.
const LENGTH_MAX: u64 = 1 << 48;

const CHECKSUM_AT: usize = 8;
const COVERED_AT: usize = 16;
const VERSION_AT: usize = 16;
const BLOCK_AT: usize = 20;
const INCOMPATIBLE_AT: usize = 24;
const LOG_ID_AT: usize = 40;
const NUMBER_AT: usize = 56;
const IDENTITY_AT: usize = 64;
const LENGTH_AT: usize = 72;

/// What block 0 of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) log_id: LogId,
    pub(crate) number: u64,
    pub(crate) identity: u64,
    pub(crate) block_bytes: u32,
    /// The length of the whole file in bytes.
    pub(crate) length: u64,
}

/// Why a header could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Damaged(&'static str),
    Newer { version: u32, incompatible: u64 },
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, VERSION_AT, &VERSION.to_le_bytes());
        put(&mut bytes, BLOCK_AT, &self.block_bytes.to_le_bytes());
        put(&mut bytes, LOG_ID_AT, &self.log_id.0.to_le_bytes());
        put(&mut bytes, NUMBER_AT, &self.number.to_le_bytes());
        put(&mut bytes, IDENTITY_AT, &self.identity.to_le_bytes());
        put(&mut bytes, LENGTH_AT, &self.length.to_le_bytes());
        let checksum = xxh3_64(&bytes[COVERED_AT..]);
        put(&mut bytes, CHECKSUM_AT, &checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else {
            return Err(HeaderError::Damaged("the file is too short for a segment's header"));
        };
        if !bytes.starts_with(MAGIC) {
            return Err(HeaderError::Damaged("it does not begin as a segment does"));
        }
        if get_u64(bytes, CHECKSUM_AT) != xxh3_64(&bytes[COVERED_AT..]) {
            return Err(HeaderError::Damaged("the segment's header fails its checksum"));
        }
        let (version, incompatible) = (get_u32(bytes, VERSION_AT), get_u64(bytes, INCOMPATIBLE_AT));
        if version != VERSION || incompatible != 0 {
            return Err(HeaderError::Newer { version, incompatible });
        }
        let header = Self {
            log_id: LogId(get_u128(bytes, LOG_ID_AT)),
            number: get_u64(bytes, NUMBER_AT),
            identity: get_u64(bytes, IDENTITY_AT),
            block_bytes: get_u32(bytes, BLOCK_AT),
            length: get_u64(bytes, LENGTH_AT),
        };
        if header.is_sound() { Ok(header) } else { Err(HeaderError::Damaged("the segment's header makes no sense")) }
    }

    fn is_sound(&self) -> bool {
        let block = u64::from(self.block_bytes);
        self.block_bytes.is_power_of_two()
            && (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&self.block_bytes)
            && self.number != 0
            && self.identity != 0
            && self.length.is_multiple_of(block)
            && (BLOCKS_MIN * block..=LENGTH_MAX).contains(&self.length)
    }
}

#[cfg(test)]
mod tests {
    use kv_core::LogId;
    use xxhash_rust::xxh3::xxh3_64;

    use super::{CHECKSUM_AT, COVERED_AT, HEADER_BYTES, Header, HeaderError, VERSION_AT};
    use crate::bytes::put;

    fn header() -> Header {
        Header { log_id: LogId(7), number: 3, identity: 0xdead, block_bytes: 4096, length: 16384 }
    }

    #[test]
    fn a_header_decodes_to_what_was_encoded() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let bytes = header().encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Header::decode(&bytes), Err(HeaderError::Damaged(_))), "bit {bit}");
        }
        for len in 0..HEADER_BYTES {
            assert!(matches!(Header::decode(&bytes[..len]), Err(HeaderError::Damaged(_))), "length {len}");
        }
    }

    #[test]
    fn a_higher_version_that_verifies_is_newer_and_not_damaged() {
        let mut bytes = header().encode();
        put(&mut bytes, VERSION_AT, &2u32.to_le_bytes());
        let checksum = xxh3_64(&bytes[COVERED_AT..]);
        put(&mut bytes, CHECKSUM_AT, &checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Newer { version: 2, incompatible: 0 }));
    }

    #[test]
    fn fields_out_of_their_ranges_are_damage_though_the_checksum_is_right() {
        for bad in [
            Header { block_bytes: 4095, ..header() },
            Header { block_bytes: 2048, ..header() },
            Header { number: 0, ..header() },
            Header { identity: 0, ..header() },
            Header { length: 12288, ..header() },
            Header { length: 16385, ..header() },
            Header { length: u64::MAX - 4095, ..header() },
        ] {
            assert!(matches!(Header::decode(&bad.encode()), Err(HeaderError::Damaged(_))), "{bad:?}");
        }
    }
}
