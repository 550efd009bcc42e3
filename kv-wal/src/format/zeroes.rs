//! Recognizes zeroes, with which a segment is filled ahead of need.

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROES: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROES.len()).all(|block| *block == ZEROES[..block.len()])
}

/// The length of `bytes` without the zeroes at its end.
pub(crate) fn len_without_trailing_zeroes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
