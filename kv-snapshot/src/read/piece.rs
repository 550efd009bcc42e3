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

/// A handle to a range of a buffer. It shares the buffer if it is long and at least half of that,
/// and is a copy otherwise: so what a caller keeps takes at most twice the memory that it asked
/// for.
pub(crate) fn handle(buffer: &Bytes, range: Range<usize>) -> Value {
    let is_shared = range.len() > Value::COPIED_BYTES_MAX && range.len() >= buffer.len() / 2;
    if is_shared { buffer.slice(range).into() } else { Value::copy_from(&buffer[range]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(buffer: &Bytes, range: Range<usize>) -> bool {
        let handle = handle(buffer, range.clone());
        assert_eq!(handle, buffer[range.clone()]);
        handle.as_ptr() == buffer[range].as_ptr()
    }

    #[test]
    fn a_handle_shares_what_it_is_half_of_and_copies_what_is_less() {
        let buffer = Bytes::from(vec![7; 16384]);
        assert!(shares(&buffer, 0..16384) && shares(&buffer, 100..100 + 8192));
        assert!(!shares(&buffer, 100..100 + 8191) && !shares(&buffer, 16383..16384));
    }

    #[test]
    fn a_handle_copies_what_is_short() {
        let short = Value::COPIED_BYTES_MAX;
        let buffer = Bytes::from(vec![7; short + 1]);
        assert!(!shares(&buffer, 0..short) && !shares(&buffer, 1..short) && shares(&buffer, 0..short + 1));
    }
}
