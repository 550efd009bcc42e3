//! The header of a segment: block 0 of its file. Format only, no I/O.
//!
//! ```text
//! byte  0          56       64         72       80      84        4096
//!       | preamble | number | identity | length | block | zero … |
//! ```
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 56 | the [preamble](kv_vfs::preamble) of every file: magic `kvwalseg`, checksum of the bytes up to 4,096, version 2, features, the log's id |
//! | 56 | 8 | the segment's number, from 1 to 2^62; the same as in the file's name |
//! | 64 | 8 | the segment's identity, random and not zero: the seed of every checksum in the segment |
//! | 72 | 8 | the length in bytes to which the file was filled: whole blocks, at least four |
//! | 80 | 4 | size of a block in bytes: a power of two from 4,096 to 1 MiB |
//! | 84 | … | zeroes, to the end of the block |
//!
//! A header is valid if and only if its preamble is valid and each field has a value that the table
//! allows. All integers are little-endian.

use kv_core::LogId;
use kv_vfs::preamble::{PREAMBLE_BYTES, Preamble, PreambleError};

use kv_vfs::little_endian::{get_u32, get_u64, put};

use super::frame::NUMBER_MAX;

/// How many bytes of block 0 are written and covered by the checksum.
pub(crate) const HEADER_BYTES: usize = 4096;
/// The fewest blocks that a segment has: one each for the header, the start frame, records, and the
/// seal.
pub(crate) const BLOCKS_MIN: u64 = 4;

const KIND: Preamble = Preamble { magic: *b"kvwalseg", version: 2, incompatible_known: 0 };
const BLOCK_BYTES_MIN: u32 = 4096;
const BLOCK_BYTES_MAX: u32 = 1 << 20;
/// The longest file that a reader accepts. The limit keeps sums of offsets from overflowing.
const LENGTH_MAX: u64 = 1 << 48;

const NUMBER_AT: usize = PREAMBLE_BYTES;
const IDENTITY_AT: usize = 64;
const LENGTH_AT: usize = 72;
const BLOCK_AT: usize = 80;

/// The contents of block 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) log_id: LogId,
    pub(crate) number: u64,
    pub(crate) identity: u64,
    pub(crate) block_bytes: u32,
    /// The length of the whole file in bytes.
    pub(crate) length: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        put(&mut bytes, NUMBER_AT, &self.number.to_le_bytes());
        put(&mut bytes, IDENTITY_AT, &self.identity.to_le_bytes());
        put(&mut bytes, LENGTH_AT, &self.length.to_le_bytes());
        put(&mut bytes, BLOCK_AT, &self.block_bytes.to_le_bytes());
        KIND.seal(&mut bytes, 0, self.log_id.0);
        bytes
    }

    /// Decodes the header from the first [`HEADER_BYTES`] of a file, or from fewer if the file is
    /// shorter.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PreambleError> {
        let log_id = KIND.open(bytes)?;
        let header = Self {
            log_id: LogId(log_id),
            number: get_u64(bytes, NUMBER_AT),
            identity: get_u64(bytes, IDENTITY_AT),
            length: get_u64(bytes, LENGTH_AT),
            block_bytes: get_u32(bytes, BLOCK_AT),
        };
        if header.is_sound() {
            return Ok(header);
        }
        Err(PreambleError::Damaged {
            offset: NUMBER_AT as u64,
            detail: "a field of the segment's header is out of range",
        })
    }

    fn is_sound(&self) -> bool {
        let block = u64::from(self.block_bytes);
        self.block_bytes.is_power_of_two()
            && (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&self.block_bytes)
            && (1..=NUMBER_MAX).contains(&self.number)
            && self.identity != 0
            && self.length.is_multiple_of(block)
            && (BLOCKS_MIN * block..=LENGTH_MAX).contains(&self.length)
    }
}

#[cfg(test)]
mod tests {
    use kv_core::LogId;
    use kv_vfs::preamble::PreambleError;

    use super::{HEADER_BYTES, Header};

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
        for at in 0..HEADER_BYTES {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(matches!(Header::decode(&flipped), Err(PreambleError::Damaged { .. })), "byte {at}");
            assert!(matches!(Header::decode(&bytes[..at]), Err(PreambleError::Damaged { .. })), "length {at}");
        }
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
            assert!(matches!(Header::decode(&bad.encode()), Err(PreambleError::Damaged { .. })), "{bad:?}");
        }
    }
}
