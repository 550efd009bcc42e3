//! The header of an entry: its kind and its lengths. The layout is described in
//! [`part`](super::part).

use kv_core::KEY_BYTES_MAX;

use crate::error::DecodeError;

/// The longest value that the format can hold, in bytes.
pub(crate) const VALUE_BYTES_CAP: usize = 1 << 30;
/// The shortest header, in bytes. The key follows it.
pub(crate) const HEADER_BYTES_MIN: usize = 3;
/// The longest header, in bytes: a length of key in three and one of value in five.
pub(crate) const HEADER_BYTES_MAX: usize = 9;
/// The shortest entry, in bytes: one with a key of one byte.
pub(crate) const ENTRY_BYTES_MIN: u64 = HEADER_BYTES_MIN as u64 + 1;

const PUT: u8 = Kind::Put as u8;
const TOMBSTONE: u8 = Kind::Tombstone as u8;
/// The bit of a byte of a length that says that another byte follows.
const MORE: u8 = 0x80;

const _: () = assert!(KEY_BYTES_MAX < 1 << (3 * 7), "the length of a key fits in three bytes");
const _: () = assert!(VALUE_BYTES_CAP < 1 << (5 * 7), "the length of a value fits in five bytes");

/// What an entry says about its key.
///
/// It takes a whole word, so that what holds it has no unused bytes: a copy of those in other
/// pieces than they were written in would make a look-up wait for all loads before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    /// The key has a value.
    Put = 1,
    /// The key is deleted. There is no value.
    Tombstone = 2,
}

/// The kind of an entry, and its lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) kind: Kind,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
}

impl EntryHeader {
    /// Writes the header to the start of `buffer`, and returns its length in bytes.
    pub(crate) fn encode(&self, buffer: &mut [u8; HEADER_BYTES_MAX]) -> usize {
        buffer[0] = self.kind as u8;
        let mut at = 1;
        for mut length in [self.key_bytes, self.value_bytes] {
            while length >= MORE.into() {
                buffer[at] = length as u8 | MORE;
                length >>= 7;
                at += 1;
            }
            buffer[at] = length as u8;
            at += 1;
        }
        at
    }

    /// Decodes a header with a length of key in one byte and one of value in at most two, which is
    /// what most entries have; `None` if it is a longer one, or none. Returns it with its length.
    #[inline]
    pub(crate) fn decode_short(first: &[u8; ENTRY_BYTES_MIN as usize]) -> Option<(Self, usize)> {
        let of = |kind, key: u8, value_bytes| Self { kind, key_bytes: key.into(), value_bytes };
        match *first {
            [PUT, key @ 1..MORE, value @ ..MORE, _] => Some((of(Kind::Put, key, value.into()), 3)),
            [PUT, key @ 1..MORE, low, high @ 1..MORE] => {
                Some((of(Kind::Put, key, usize::from(low & !MORE) | usize::from(high) << 7), 4))
            }
            [TOMBSTONE, key @ 1..MORE, 0, _] => Some((of(Kind::Tombstone, key, 0), 3)),
            _ => None,
        }
    }

    /// Decodes the header at the start of `bytes`. Returns it with its own length in bytes; `None`
    /// if `bytes` ends within it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((kind, lengths)) = bytes.split_first() else { return Ok(None) };
        let kind = match *kind {
            PUT => Kind::Put,
            TOMBSTONE => Kind::Tombstone,
            0 => return Err(DecodeError::damaged(0, "there is no entry here")),
            other => {
                let detail = format!("an entry of kind and flags {other:#x}, which this software does not know");
                return Err(DecodeError::newer(detail));
            }
        };
        let Some((key_bytes, rest)) = length(lengths)? else { return Ok(None) };
        let Some((value_bytes, rest)) = length(rest)? else { return Ok(None) };
        let value_bytes_max = if kind == Kind::Tombstone { 0 } else { VALUE_BYTES_CAP };
        if !(1..=KEY_BYTES_MAX).contains(&key_bytes) || value_bytes > value_bytes_max {
            return Err(DecodeError::damaged(1, "an entry has impossible lengths"));
        }
        Ok(Some((Self { kind, key_bytes, value_bytes }, bytes.len() - rest.len())))
    }
}

/// The length at the start of `bytes`, and what follows it; `None` if `bytes` ends within it.
fn length(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, DecodeError> {
    let mut length = 0;
    for (at, byte) in bytes.iter().enumerate().take(HEADER_BYTES_MAX) {
        length |= usize::from(byte & !MORE) << (7 * at);
        if byte & MORE == 0 {
            // A last byte of zero adds nothing: there would be two ways to write the same entry.
            if *byte == 0 && at > 0 {
                return Err(DecodeError::damaged(1, "a length of an entry takes more bytes than it needs"));
            }
            return Ok(Some((length, &bytes[at + 1..])));
        }
    }
    match bytes.len() < HEADER_BYTES_MAX - 1 {
        true => Ok(None),
        false => Err(DecodeError::damaged(1, "a length of an entry does not end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(key_bytes: usize, value_bytes: usize) -> EntryHeader {
        EntryHeader { kind: Kind::Put, key_bytes, value_bytes }
    }

    fn encoded(header: EntryHeader) -> Vec<u8> {
        let mut buffer = [0xaa; HEADER_BYTES_MAX];
        let bytes = header.encode(&mut buffer);
        buffer[..bytes].to_vec()
    }

    #[test]
    fn headers_are_as_short_as_their_lengths_allow() {
        let lengths = [(1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (65_535, 3)];
        let value_lengths = [(0, 1), (127, 1), (128, 2), (1 << 14, 3), (1 << 21, 4), ((1 << 28) - 1, 4), (1 << 30, 5)];
        for (key_bytes, first) in lengths {
            for (value_bytes, second) in value_lengths {
                let header = header(key_bytes, value_bytes);
                let bytes = encoded(header);
                assert_eq!(bytes.len(), 1 + first + second);
                let followed = [&bytes[..], &[0xff; 20]].concat();
                assert_eq!(EntryHeader::decode(&followed), Ok(Some((header, bytes.len()))));
                let short = EntryHeader::decode_short(followed.first_chunk().unwrap());
                assert_eq!(short, (first == 1 && second <= 2).then_some((header, bytes.len())));
                for end in 0..bytes.len() {
                    assert_eq!(EntryHeader::decode(&bytes[..end]), Ok(None), "{header:?} cut at {end}");
                }
            }
        }
        let tombstone = EntryHeader { kind: Kind::Tombstone, key_bytes: 200, value_bytes: 0 };
        assert_eq!(encoded(tombstone), [TOMBSTONE, 0xc8, 1, 0]);
        assert_eq!(EntryHeader::decode(&encoded(tombstone)), Ok(Some((tombstone, 4))));
        let short = EntryHeader { key_bytes: 100, ..tombstone };
        assert_eq!(EntryHeader::decode(&encoded(short)), Ok(Some((short, 3))));
        assert_eq!(EntryHeader::decode_short(&[TOMBSTONE, 100, 0, 7]), Some((short, 3)));
    }

    #[test]
    fn each_length_has_one_encoding() {
        for over_long in
            [&[PUT, 0x81, 0, 5][..], &[PUT, 5, 0x80, 0], &[PUT, 5, 0x83, 0x80, 0], &[TOMBSTONE, 5, 0x80, 0]]
        {
            let bytes = [over_long, &[1; 9]].concat();
            assert_eq!(EntryHeader::decode_short(bytes.first_chunk().unwrap()), None);
            let decoded = EntryHeader::decode(&bytes);
            assert!(matches!(decoded, Err(DecodeError::Damaged { .. })), "{over_long:x?}: {decoded:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_newer_and_what_is_impossible_is_damaged() {
        let decode = |first: u8, rest: &[u8]| {
            let bytes = [&[first], rest, &[1; 9]].concat();
            assert_eq!(EntryHeader::decode_short(bytes.first_chunk().unwrap()), None);
            EntryHeader::decode(&bytes)
        };
        for kind in [3, 0x11, 0x12, 0x80, 0xff] {
            assert!(matches!(decode(kind, &[3, 3]), Err(DecodeError::Newer { .. })), "{kind:#x}");
        }
        let damaged: [(u8, &[u8]); 7] = [
            (0, &[3, 3]),
            (PUT, &[0, 3]),
            (TOMBSTONE, &[0, 0]),
            (TOMBSTONE, &[3, 1]),
            (PUT, &[0x80, 0x80, 4, 0]),
            (PUT, &[3, 0x81, 0x80, 0x80, 0x80, 4]),
            (PUT, &[0xff; 9]),
        ];
        for (kind, rest) in damaged {
            let decoded = decode(kind, rest);
            assert!(matches!(decoded, Err(DecodeError::Damaged { .. })), "{kind} {rest:x?}: {decoded:?}");
        }
    }
}
