//! The layout of the records that the store appends to its log. This file owns the format and does
//! no I/O.
//!
//! A record is a header followed by operations, little-endian and without padding:
//!
//! ```text
//! record     0      1      2      4          8
//!            | kind | flags| zero | count u32| operations ...
//! operation  0      1      2             4               8                 16                  20
//!            | kind | flags| key u16     | value u32     | collection u64  | index u32         | deadline? | key | value
//! ```
//!
//! | operation | kind | collection, index | key | value |
//! |---|---|---|---|---|
//! | put | 1 | the collection's identity | the key | the value |
//! | delete | 2 | the collection's identity | the key | empty |
//! | create collection | 3 | zero | the name, UTF-8 | empty |
//! | drop collection | 4 | the collection's identity | the name, UTF-8 | empty |
//! | rename collection | 5 | the collection's identity | the name, UTF-8 | the new name, UTF-8 |
//!
//! `key u16` and `value u32` are the lengths of the key and the value in bytes; `count u32` is the
//! number of operations.
//!
//! An operation refers to its collection by identity: the position of the record that created the
//! collection, and the index of the creating operation within it. Position 0 means the record that
//! contains the operation, because the position of that record is not known until the log has taken
//! it.
//!
//! Kinds and flags that are not listed here come from a newer version. Flag 1 of an operation means
//! that a deadline follows, a u64 of milliseconds since 1970 after which the entry has expired. Its
//! place is reserved. This version cannot expire entries, so it refuses the record.
//!
//! A record is valid if and only if its operations fill it exactly, and each operation is valid by
//! the table and by the caps (the defaults of [`Limits`](crate::Limits)).

use crate::{
    CollectionId, Lsn,
    limits::{KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX},
};

pub(crate) const RECORD_HEADER_BYTES: usize = 8;
pub(crate) const OPERATION_HEADER_BYTES: usize = 20;

const RECORD_OPERATIONS: u8 = 1;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const CREATE: u8 = 3;
const DROP: u8 = 4;
const RENAME: u8 = 5;

const FLAG_DEADLINE: u8 = 1;

/// In a collection's identity, stands for the position of the record that contains the operation.
const THIS_RECORD: Lsn = Lsn(0);

const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize && NAME_BYTES_MAX <= KEY_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX <= u32::MAX as usize);

/// One change, as a record carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    Put { collection: CollectionId, key: &'a [u8], value: &'a [u8] },
    Delete { collection: CollectionId, key: &'a [u8] },
    Create { name: &'a str },
    Drop { collection: CollectionId, name: &'a str },
    Rename { collection: CollectionId, from: &'a str, to: &'a str },
}

impl<'a> Operation<'a> {
    /// The key that it changes; `None` if it changes a name.
    pub(crate) fn key(self) -> Option<(CollectionId, &'a [u8])> {
        match self {
            Self::Put { collection, key, .. } | Self::Delete { collection, key } => Some((collection, key)),
            Self::Create { .. } | Self::Drop { .. } | Self::Rename { .. } => None,
        }
    }

    /// The length of its key and value together, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key, .. } => key.len(),
            Self::Create { name } | Self::Drop { name, .. } => name.len(),
            Self::Rename { from, to, .. } => from.len() + to.len(),
        }
    }
}

impl CollectionId {
    /// Whether the record under construction creates this collection.
    pub(crate) fn is_created_here(self) -> bool {
        self.lsn == THIS_RECORD
    }
}

/// The identity of the collection that operation `index` of the record under construction creates.
pub(crate) fn created_here(index: u32) -> CollectionId {
    CollectionId { lsn: THIS_RECORD, index }
}

/// Builds a record.
#[derive(Debug)]
pub(crate) struct RecordBuilder {
    bytes: Vec<u8>,
    count: u32,
}

impl RecordBuilder {
    /// An empty record, with capacity for `bytes_expected` bytes.
    pub(crate) fn with_capacity(bytes_expected: usize) -> Self {
        let mut bytes = Vec::with_capacity(bytes_expected);
        bytes.extend_from_slice(&[RECORD_OPERATIONS, 0, 0, 0, 0, 0, 0, 0]);
        Self { bytes, count: 0 }
    }

    /// Adds an operation and returns its index. The caller has checked its key, value and names
    /// against the limits.
    pub(crate) fn push(&mut self, operation: &Operation<'_>) -> u32 {
        let none = CollectionId { lsn: Lsn(0), index: 0 };
        let (kind, collection, key, value) = match *operation {
            Operation::Put { collection, key, value } => (PUT, collection, key, value),
            Operation::Delete { collection, key } => (DELETE, collection, key, &[][..]),
            Operation::Create { name } => (CREATE, none, name.as_bytes(), &[][..]),
            Operation::Drop { collection, name } => (DROP, collection, name.as_bytes(), &[][..]),
            Operation::Rename { collection, from, to } => (RENAME, collection, from.as_bytes(), to.as_bytes()),
        };
        debug_assert!(key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX);
        self.bytes.extend_from_slice(&[kind, 0]);
        self.bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&collection.lsn.0.to_le_bytes());
        self.bytes.extend_from_slice(&collection.index.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.count += 1;
        self.count - 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The size of the record so far, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Completes the record and returns its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
    }
}

/// Why a record cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The bytes of the record break the format at this offset.
    Malformed { offset: usize, what: &'static str },
    /// The record has a kind or a flag that this version does not know.
    Newer { what: String },
}

/// The operations of the record `payload` at position `lsn`. If an operation refers to a collection
/// that the same record created, `lsn` is filled in as the position of that record. Allocates
/// nothing.
pub(crate) fn decode(payload: &[u8], lsn: Lsn) -> Result<Operations<'_>, DecodeError> {
    let header: &[u8; RECORD_HEADER_BYTES] =
        payload.first_chunk().ok_or(DecodeError::Malformed { offset: 0, what: "shorter than a record's header" })?;
    let &[kind, flags, zero, zero_too, count @ ..] = header;
    if kind != RECORD_OPERATIONS || flags != 0 || zero != 0 || zero_too != 0 {
        return Err(DecodeError::Newer { what: format!("a record of kind {kind} with flags {flags:#x}") });
    }
    Ok(Operations { payload, offset: RECORD_HEADER_BYTES, left: u32::from_le_bytes(count), lsn })
}

/// An iterator over the operations of a record. It ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Operations<'a> {
    payload: &'a [u8],
    offset: usize,
    left: u32,
    lsn: Lsn,
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<Operation<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let offset = self.offset;
            let rest = self.payload.len() - offset;
            self.offset = self.payload.len();
            return (rest > 0)
                .then_some(Err(DecodeError::Malformed { offset, what: "bytes after the last operation" }));
        }
        self.left -= 1;
        let decoded = self.decode_next();
        if decoded.is_err() {
            self.left = 0;
            self.offset = self.payload.len();
        }
        Some(decoded)
    }
}

impl<'a> Operations<'a> {
    fn decode_next(&mut self) -> Result<Operation<'a>, DecodeError> {
        let start = self.offset;
        let malformed = |what| DecodeError::Malformed { offset: start, what };
        let header: [u8; OPERATION_HEADER_BYTES] =
            self.take(OPERATION_HEADER_BYTES)?.try_into().map_err(|_| malformed("no operation header"))?;
        let [kind, flags, k0, k1, v0, v1, v2, v3, lsn @ .., i0, i1, i2, i3] = header;
        if flags == FLAG_DEADLINE {
            return Err(DecodeError::Newer { what: "an entry with a deadline".to_owned() });
        }
        if flags != 0 || !(PUT..=RENAME).contains(&kind) {
            return Err(DecodeError::Newer { what: format!("an operation of kind {kind} with flags {flags:#x}") });
        }
        let key_len = usize::from(u16::from_le_bytes([k0, k1]));
        let value_len = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        let named = Lsn(u64::from_le_bytes(lsn));
        let collection = CollectionId {
            lsn: if named == THIS_RECORD { self.lsn } else { named },
            index: u32::from_le_bytes([i0, i1, i2, i3]),
        };
        if key_len == 0 || value_len > VALUE_BYTES_MAX || (!matches!(kind, PUT | RENAME) && value_len != 0) {
            return Err(malformed("an operation has an invalid length"));
        }
        if kind == CREATE && (named != THIS_RECORD || collection.index != 0) {
            return Err(malformed("an operation that creates a collection refers to another one"));
        }
        let key = self.take(key_len)?;
        let value = self.take(value_len)?;
        let name = |bytes| match std::str::from_utf8(bytes) {
            Ok(name) if (1..=NAME_BYTES_MAX).contains(&name.len()) => Ok(name),
            _ => Err(malformed("a collection name is empty, too long or not UTF-8")),
        };
        Ok(match kind {
            PUT => Operation::Put { collection, key, value },
            DELETE => Operation::Delete { collection, key },
            CREATE => Operation::Create { name: name(key)? },
            DROP => Operation::Drop { collection, name: name(key)? },
            _ => Operation::Rename { collection, from: name(key)?, to: name(value)? },
        })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let malformed = DecodeError::Malformed { offset: self.offset, what: "the record ends within an operation" };
        let end = self.offset.checked_add(len).ok_or_else(|| malformed.clone())?;
        let taken = self.payload.get(self.offset..end).ok_or(malformed)?;
        self.offset = end;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut record = RecordBuilder::with_capacity(0);
        let index = record.push(&Operation::Create { name: "users" });
        record.push(&Operation::Put { collection: created_here(index), key: b"k", value: b"value" });
        record.push(&Operation::Put { collection: id(3, 1), key: b"k2", value: b"" });
        record.push(&Operation::Delete { collection: id(3, 1), key: b"k" });
        record.push(&Operation::Drop { collection: id(3, 2), name: "old" });
        record.push(&Operation::Rename { collection: id(3, 3), from: "before", to: "after" });
        record.finish()
    }

    fn id(lsn: u64, index: u32) -> CollectionId {
        CollectionId { lsn: Lsn(lsn), index }
    }

    fn decode_all(payload: &[u8]) -> Result<Vec<Operation<'_>>, DecodeError> {
        decode(payload, Lsn(9))?.collect()
    }

    #[test]
    fn what_was_built_is_decoded() {
        let expected = vec![
            Operation::Create { name: "users" },
            Operation::Put { collection: id(9, 0), key: b"k", value: b"value" },
            Operation::Put { collection: id(3, 1), key: b"k2", value: b"" },
            Operation::Delete { collection: id(3, 1), key: b"k" },
            Operation::Drop { collection: id(3, 2), name: "old" },
            Operation::Rename { collection: id(3, 3), from: "before", to: "after" },
        ];
        assert_eq!(decode_all(&sample()), Ok(expected));
    }

    #[test]
    fn the_layout_is_fixed() {
        let mut record = RecordBuilder::with_capacity(0);
        record.push(&Operation::Put { collection: id(0x0102, 3), key: b"key", value: b"val" });
        let expected = [
            &[1, 0, 0, 0, 1, 0, 0, 0][..],
            &[1, 0, 3, 0, 3, 0, 0, 0],
            &[2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0],
            b"keyval",
        ];
        assert_eq!(record.finish(), expected.concat());
    }

    #[test]
    fn a_record_cut_or_lengthened_anywhere_is_malformed() {
        let whole = sample();
        for len in 0..whole.len() {
            assert!(matches!(decode_all(&whole[..len]), Err(DecodeError::Malformed { .. })), "cut at {len}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(matches!(decode_all(&longer), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn a_creation_names_no_collection() {
        for offset in [16, 24] {
            let mut record = sample(); // its first operation is a creation
            record[offset] = 1;
            assert!(matches!(decode_all(&record), Err(DecodeError::Malformed { .. })), "byte {offset}");
        }
    }

    #[test]
    fn unknown_kinds_and_flags_come_from_a_newer_version() {
        for (offset, byte) in [(0, 2), (1, 1), (8, 9), (8, 0), (9, 1), (9, 0x80)] {
            let mut record = sample();
            record[offset] = byte;
            assert!(matches!(decode_all(&record), Err(DecodeError::Newer { .. })), "byte {offset} = {byte}");
        }
    }
}
