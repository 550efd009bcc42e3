//! Little-endian integers at fixed offsets, and zeroes.

/// The `u16` at `at`. Zero if the slice is too short, which no caller allows.
pub(crate) fn get_u16(bytes: &[u8], at: usize) -> u16 {
    get(bytes, at).map_or(0, u16::from_le_bytes)
}

/// The `u32` at `at`. Zero if the slice is too short, which no caller allows.
pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    get(bytes, at).map_or(0, u32::from_le_bytes)
}

/// The `u64` at `at`. Zero if the slice is too short, which no caller allows.
pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    get(bytes, at).map_or(0, u64::from_le_bytes)
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Copies `value` to `at`.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROES: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROES.len()).all(|block| *block == ZEROES[..block.len()])
}

/// The length of `bytes` without the zeroes at its end.
pub(crate) fn len_without_trailing_zeroes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
