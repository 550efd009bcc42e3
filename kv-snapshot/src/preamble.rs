//! How every file of this crate starts. This is the same in every version, so that any version can tell a damaged file from one
//! that is newer than itself. All integers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic: which kind of file it is |
//! | 8 | 8 | header checksum: xxh3-64 of the header from offset 16 to its end |
//! | 16 | 4 | format version, from 1 |
//! | 20 | 4 | zero |
//! | 24 | 8 | incompatible features: a reader that does not know a bit that is set must not read the file |
//! | 32 | 8 | compatible features: a reader may ignore bits that it does not know |
//! | 40 | 16 | store id: the identity of the log that the file belongs to; zero if there is none |
//! | 56 | | fields of the kind of file |
//!
//! The header's size is a constant of the kind of file. The checksum is judged before anything behind it is believed: wrong
//! magic or wrong checksum is damage; a sound header with a higher version or an unknown incompatible feature is "written by a
//! newer version".

use xxhash_rust::xxh3::xxh3_64;

use crate::fault::Fault;

/// Where the fields that belong to the kind of file begin.
pub(crate) const PREAMBLE_BYTES: usize = 56;

const CHECKSUM_AT: usize = 8;
const COVERED_AT: usize = 16;
const INCOMPATIBLE_AT: usize = 24;
const COMPATIBLE_AT: usize = 32;
const STORE_AT: usize = 40;

const _: () = assert!(STORE_AT + 16 == PREAMBLE_BYTES);

/// The version and the features that a reader or writer of one kind of file knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) incompatible_known: u64,
}

/// Puts the preamble in front of a header whose other fields are in place, and seals it.
pub(crate) fn seal(header: &mut [u8], kind: Kind, incompatible: u64, store: u128) {
    header[..8].copy_from_slice(&kind.magic);
    put_u32(header, COVERED_AT, kind.version);
    put_u32(header, COVERED_AT + 4, 0);
    put_u64(header, INCOMPATIBLE_AT, incompatible);
    put_u64(header, COMPATIBLE_AT, 0);
    put_u128(header, STORE_AT, store);
    let checksum = xxh3_64(&header[COVERED_AT..]);
    put_u64(header, CHECKSUM_AT, checksum);
}

/// Judges a whole header, and returns the store id.
pub(crate) fn open(header: &[u8], kind: Kind) -> Result<u128, Fault> {
    if header[..8] != kind.magic {
        return Err(Fault::damaged(0, "this is not the kind of file that its name says (wrong magic)"));
    }
    if u64_at(header, CHECKSUM_AT) != xxh3_64(&header[COVERED_AT..]) {
        return Err(Fault::damaged(CHECKSUM_AT as u64, "the header does not match its checksum"));
    }
    let version = u32_at(header, COVERED_AT);
    if version > kind.version {
        return Err(Fault::newer(format!("format version {version}; this software knows up to {}", kind.version)));
    }
    if version == 0 {
        return Err(Fault::damaged(COVERED_AT as u64, "there is no format version 0"));
    }
    let unknown = u64_at(header, INCOMPATIBLE_AT) & !kind.incompatible_known;
    if unknown != 0 {
        return Err(Fault::newer(format!("it has features {unknown:#x}, which this software does not know")));
    }
    Ok(u128_at(header, STORE_AT))
}

// Callers pass arrays of a fixed size, or slices that they have measured, and constant offsets.

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u128(bytes: &mut [u8], at: usize, value: u128) {
    bytes[at..at + 16].copy_from_slice(&value.to_le_bytes());
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { magic: *b"testfile", version: 2, incompatible_known: 0b1 };

    fn sealed(kind: Kind, incompatible: u64) -> [u8; 96] {
        let mut header = [0; 96];
        seal(&mut header, kind, incompatible, 77);
        header
    }

    #[test]
    fn a_header_opens_with_what_it_was_sealed_with() {
        assert_eq!(open(&sealed(KIND, 1), KIND), Ok(77));
        assert_eq!(open(&sealed(Kind { version: 1, ..KIND }, 0), KIND), Ok(77));
    }

    #[test]
    fn what_is_newer_is_not_damaged() {
        let version = open(&sealed(Kind { version: 3, ..KIND }, 0), KIND);
        assert!(matches!(version, Err(Fault::Newer { .. })), "{version:?}");
        let feature = open(&sealed(KIND, 0b10), KIND);
        assert!(matches!(feature, Err(Fault::Newer { .. })), "{feature:?}");
    }

    #[test]
    fn every_flipped_bit_is_damage_and_never_newer() {
        for bit in 0..96 * 8 {
            let mut header = sealed(KIND, 0);
            header[bit / 8] ^= 1 << (bit % 8);
            let opened = open(&header, KIND);
            assert!(matches!(opened, Err(Fault::Damaged { .. })), "bit {bit}: {opened:?}");
        }
    }
}
