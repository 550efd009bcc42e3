//! The preamble: the first 56 bytes of every header in a kv file. Its layout is the same in every
//! version, so that each version can distinguish a damaged file from an older or a newer one.
//! Integers are little-endian.
//!
//! ```text
//! 0       8          16        20     24              32            40         56
//! | magic | checksum | version | zero | incompatible  | compatible  | store id | fields of this kind of file ...
//! ```
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic: the kind of file |
//! | 8 | 8 | checksum: xxh3 of the header from offset 16 to its end |
//! | 16 | 4 | format version, from 1 |
//! | 20 | 4 | zero |
//! | 24 | 8 | incompatible features: a reader that does not know a bit that is set must not read the file |
//! | 32 | 8 | compatible features: a reader ignores bits that it does not know |
//! | 40 | 16 | store id: which store the file belongs to |
//!
//! Each kind of file has a header of a fixed length. The checksum is verified before anything after
//! it is used. A wrong magic or checksum is damage. An intact header with a lower version is
//! *older*; one with a higher version, or with an unknown incompatible feature, is *newer*. Before
//! kv 1.0, no release reads an older format version.

use std::cmp::Ordering;

use xxhash_rust::xxh3::xxh3_64;

use crate::little_endian::{get_u64, get_u128, put_u64, put_u128};

/// The length of the preamble, in bytes. The other fields of the header follow it.
pub const PREAMBLE_BYTES: usize = 56;

const CHECKSUM_AT: usize = 8;
const COVERED_AT: usize = 16;
const INCOMPATIBLE_AT: usize = 24;
const COMPATIBLE_AT: usize = 32;
const STORE_ID_AT: usize = 40;

/// A kind of file, and what this version knows about its format.
#[derive(Clone, Copy, Debug)]
pub struct Preamble {
    /// The first bytes of every file of this kind.
    pub magic: [u8; 8],
    /// The format version that is read and written.
    pub version: u32,
    /// The bits of the incompatible features that are known.
    pub incompatible_known: u64,
}

/// Why a header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreambleError {
    /// It is not what was written.
    Damaged {
        /// Where in the file the damage shows, in bytes from its start.
        offset: u64,
        /// What is wrong.
        detail: &'static str,
    },
    /// It is intact, and an older version of this software wrote it.
    Older {
        /// Its version, and the version that this software reads.
        detail: String,
    },
    /// It is intact, and a newer version of this software wrote it.
    Newer {
        /// What this version does not know.
        detail: String,
    },
}

impl Preamble {
    /// Completes a header: writes the preamble, including the checksum of everything that follows
    /// the checksum. The other fields must be in place already.
    ///
    /// # Panics
    /// If the header is shorter than the preamble.
    pub fn seal(&self, header: &mut [u8], incompatible: u64, store_id: u128) {
        header[..CHECKSUM_AT].copy_from_slice(&self.magic);
        put_u64(header, COVERED_AT, self.version.into());
        put_u64(header, INCOMPATIBLE_AT, incompatible);
        put_u64(header, COMPATIBLE_AT, 0);
        put_u128(header, STORE_ID_AT, store_id);
        let checksum = xxh3_64(&header[COVERED_AT..]);
        put_u64(header, CHECKSUM_AT, checksum);
    }

    /// Checks a whole header and returns its store id.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    pub fn open(&self, header: &[u8]) -> Result<u128, PreambleError> {
        let damaged = |offset: usize, detail| PreambleError::Damaged { offset: offset as u64, detail };
        if header.len() < PREAMBLE_BYTES {
            return Err(damaged(header.len(), "it ends within its header"));
        }
        if header[..CHECKSUM_AT] != self.magic {
            return Err(damaged(0, "it does not begin with the magic bytes of this kind of file"));
        }
        if get_u64(header, CHECKSUM_AT) != xxh3_64(&header[COVERED_AT..]) {
            return Err(damaged(CHECKSUM_AT, "the header does not match its checksum"));
        }
        let version = get_u64(header, COVERED_AT);
        if version == 0 {
            return Err(damaged(COVERED_AT, "its format version is 0, which does not exist"));
        }
        let unknown = get_u64(header, INCOMPATIBLE_AT) & !self.incompatible_known;
        let mismatch = || format!("format version {version}; this software reads version {}", self.version);
        match version.cmp(&u64::from(self.version)) {
            Ordering::Less => return Err(PreambleError::Older { detail: mismatch() }),
            Ordering::Greater => return Err(PreambleError::Newer { detail: mismatch() }),
            Ordering::Equal => {}
        }
        if unknown != 0 {
            let detail = format!("features {unknown:#x}, which this software does not know");
            return Err(PreambleError::Newer { detail });
        }
        Ok(get_u128(header, STORE_ID_AT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Preamble = Preamble { magic: *b"kvtests1", version: 2, incompatible_known: 0b101 };

    fn sealed(kind: Preamble, incompatible: u64) -> Vec<u8> {
        let mut header = vec![7; 100];
        kind.seal(&mut header, incompatible, 0x0102_0304 << 80);
        header
    }

    #[test]
    fn a_sealed_header_opens_and_its_other_fields_are_unchanged() {
        let header = sealed(KIND, 0b100);
        assert_eq!(KIND.open(&header), Ok(0x0102_0304 << 80));
        assert!(header[PREAMBLE_BYTES..].iter().all(|&byte| byte == 7));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_damage() {
        let header = sealed(KIND, 0);
        for bit in 0..header.len() * 8 {
            let mut flipped = header.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(KIND.open(&flipped), Err(PreambleError::Damaged { .. })), "bit {bit}");
        }
        for len in 0..header.len() {
            assert!(matches!(KIND.open(&header[..len]), Err(PreambleError::Damaged { .. })), "length {len}");
        }
    }

    #[test]
    fn an_intact_header_with_a_lower_version_is_older() {
        let header = sealed(Preamble { version: 1, ..KIND }, 0);
        assert!(matches!(KIND.open(&header), Err(PreambleError::Older { .. })));
    }

    #[test]
    fn an_intact_header_with_something_unknown_is_newer() {
        for header in [sealed(Preamble { version: 3, ..KIND }, 0), sealed(KIND, 0b10)] {
            assert!(matches!(KIND.open(&header), Err(PreambleError::Newer { .. })));
        }
    }
}
