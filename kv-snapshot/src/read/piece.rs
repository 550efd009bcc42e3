//! Bytes of a part, in a map or in a buffer.

use std::ops::{Deref, Range};

use bytes::Bytes;
use kv_core::Value;

/// Bytes of a part, verified.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// In the map of the file.
    InPlace(&'a [u8]),
    /// In a buffer, which they keep alive.
    Held(Held),
}

/// A range of a buffer that was read from a file.
#[derive(Debug)]
pub(crate) struct Held {
    buffer: Bytes,
    range: Range<usize>,
}

impl Deref for Piece<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::InPlace(bytes) => bytes,
            Self::Held(held) => held.bytes(),
        }
    }
}

impl Held {
    /// The range must lie within the buffer.
    pub(crate) fn new(buffer: Bytes, range: Range<usize>) -> Self {
        Self { buffer, range }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }

    pub(crate) fn handle(&self) -> Value {
        handle(&self.buffer, self.range.clone())
    }
}

/// A handle to a range of a buffer. It shares the buffer if it is at least half of that, and is a
/// copy otherwise: so what a caller keeps takes at most twice the memory that it asked for.
pub(crate) fn handle(buffer: &Bytes, range: Range<usize>) -> Value {
    if range.len() >= buffer.len() / 2 { buffer.slice(range).into() } else { Value::copy_from(&buffer[range]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_shares_what_it_is_half_of_and_copies_what_is_less() {
        let buffer = Bytes::from(vec![7; 4096]);
        let shares = |range: Range<usize>| {
            let handle = handle(&buffer, range.clone());
            assert_eq!(handle, buffer[range.clone()]);
            handle.as_ptr() == buffer[range].as_ptr()
        };
        assert!(shares(0..4096) && shares(100..100 + 2048));
        assert!(!shares(100..100 + 2047) && !shares(4095..4096));
    }
}
