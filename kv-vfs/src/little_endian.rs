//! Reads and writes little-endian integers at fixed offsets in a slice: all formats of kv store
//! their fields this way.
//!
//! Reading never panics, so that a decoder can read before it has checked every length: an integer
//! that the slice does not hold in full reads as 0. Writing beyond the end of the slice panics: the
//! caller has made the buffer itself, and to leave out a field silently would produce a damaged
//! file.
//!
//! ```
//! use kv_vfs::little_endian::{get_u16, get_u64, put_u16};
//!
//! let mut header = [0; 8];
//! put_u16(&mut header, 2, 0x0102);
//! assert_eq!(header, [0, 0, 2, 1, 0, 0, 0, 0]);
//! assert_eq!(get_u16(&header, 2), 0x0102);
//! assert_eq!(get_u64(&header, 1), 0, "it would end behind the slice");
//! ```

/// The `u16` that begins at `at`; 0 if the slice ends before the integer does.
#[inline]
pub fn get_u16(bytes: &[u8], at: usize) -> u16 {
    get(bytes, at).map_or(0, u16::from_le_bytes)
}

/// The `u32` that begins at `at`; 0 if the slice ends before the integer does.
#[inline]
pub fn get_u32(bytes: &[u8], at: usize) -> u32 {
    get(bytes, at).map_or(0, u32::from_le_bytes)
}

/// The `u64` that begins at `at`; 0 if the slice ends before the integer does.
#[inline]
pub fn get_u64(bytes: &[u8], at: usize) -> u64 {
    get(bytes, at).map_or(0, u64::from_le_bytes)
}

/// The `u128` that begins at `at`; 0 if the slice ends before the integer does.
#[inline]
pub fn get_u128(bytes: &[u8], at: usize) -> u128 {
    get(bytes, at).map_or(0, u128::from_le_bytes)
}

/// Writes a `u16` at `at`.
///
/// # Panics
/// If the slice ends before the integer does.
#[inline]
pub fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    put(bytes, at, &value.to_le_bytes());
}

/// Writes a `u32` at `at`.
///
/// # Panics
/// If the slice ends before the integer does.
#[inline]
pub fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, &value.to_le_bytes());
}

/// Writes a `u64` at `at`.
///
/// # Panics
/// If the slice ends before the integer does.
#[inline]
pub fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    put(bytes, at, &value.to_le_bytes());
}

/// Writes a `u128` at `at`.
///
/// # Panics
/// If the slice ends before the integer does.
#[inline]
pub fn put_u128(bytes: &mut [u8], at: usize, value: u128) {
    put(bytes, at, &value.to_le_bytes());
}

/// Copies `value` to `at`.
///
/// # Panics
/// If `value` reaches beyond the end of the slice.
#[inline]
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[inline]
fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_they_were_written() {
        let mut bytes = [0xff; 40];
        put_u16(&mut bytes, 1, 0x0102);
        put_u32(&mut bytes, 3, 0x0304_0506);
        put_u64(&mut bytes, 7, 0x0708_090a_0b0c_0d0e);
        put_u128(&mut bytes, 15, 0x1112 << 112 | 0x13);
        assert_eq!(bytes[..8], [0xff, 2, 1, 6, 5, 4, 3, 0x0e]);
        assert_eq!((bytes[15], bytes[29], bytes[30], bytes[31]), (0x13, 0x12, 0x11, 0xff));
        assert_eq!((get_u16(&bytes, 1), get_u32(&bytes, 3)), (0x0102, 0x0304_0506));
        assert_eq!((get_u64(&bytes, 7), get_u128(&bytes, 15)), (0x0708_090a_0b0c_0d0e, 0x1112 << 112 | 0x13));
    }

    #[test]
    fn what_the_slice_does_not_hold_in_full_reads_as_zero() {
        let bytes = [0xff; 16];
        assert_eq!((get_u16(&bytes, 14), get_u16(&bytes, 15)), (u16::MAX, 0));
        assert_eq!((get_u32(&bytes, 12), get_u32(&bytes, 13)), (u32::MAX, 0));
        assert_eq!((get_u64(&bytes, 8), get_u64(&bytes, 9)), (u64::MAX, 0));
        assert_eq!((get_u128(&bytes, 0), get_u128(&bytes, 1)), (u128::MAX, 0));
        assert_eq!((get_u64(&bytes, 16), get_u64(&bytes, usize::MAX), get_u64(&[], 0)), (0, 0, 0));
    }
}
