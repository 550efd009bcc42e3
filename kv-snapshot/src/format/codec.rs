//! Encodes and decodes the payload of a manifest. This is the only place that uses bincode.
//!
//! Layout: the fields in order. Integers are little-endian and of fixed width; an option is a byte
//! 0 or 1 and then the value; a list is its length in 8 bytes and then its elements. A golden test
//! pins the bytes, so that another library that writes the same can replace bincode.
//!
//! The decoder reads the list itself, so that a forged length cannot make it allocate memory.
//! bincode would allocate a mebibyte and then double it as it goes.

use bincode::error::DecodeError as BincodeError;
use serde::{Deserialize, Serialize};

use crate::error::DecodeError;

/// The longest payload that is read or written, in bytes. It also limits what bincode allocates.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 128 << 10;

/// What a part takes, in bytes.
pub(crate) const PART_BYTES: usize = 8 + 8 + 16 + 16 + 8 + 8 + 16 + 8 + 8;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<PAYLOAD_BYTES_MAX>,
> = bincode::config::legacy().with_limit::<PAYLOAD_BYTES_MAX>();

#[derive(Debug, Serialize)]
pub(crate) struct ManifestRecord {
    pub(crate) id: IdRecord,
    pub(crate) previous: Option<IdRecord>,
    pub(crate) log_id: u128,
    pub(crate) parts: Vec<PartRecord>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct IdRecord {
    pub(crate) epoch: u64,
    pub(crate) lsn: u64,
    pub(crate) seq: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub(crate) seq: u64,
    pub(crate) bytes: u64,
    pub(crate) identity: u128,
    pub(crate) digest: u128,
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    pub(crate) content: u128,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// `None` if the payload would be too long.
pub(crate) fn encode(record: &ManifestRecord) -> Option<Vec<u8>> {
    bincode::serde::encode_to_vec(record, CONFIG).ok().filter(|bytes| bytes.len() <= PAYLOAD_BYTES_MAX)
}

/// Decodes a payload whose checksum has been verified.
pub(crate) fn decode(payload: &[u8]) -> Result<ManifestRecord, DecodeError> {
    let mut rest = payload;
    let record = decode_record(&mut rest)
        .map_err(|error| DecodeError::damaged(0, format!("the content cannot be decoded: {error}")))?;
    match payload.len() - rest.len() {
        _ if rest.is_empty() => Ok(record),
        read => Err(DecodeError::damaged(read as u64, "there are bytes after the end of the content")),
    }
}

fn decode_record(rest: &mut &[u8]) -> Result<ManifestRecord, BincodeError> {
    Ok(ManifestRecord { id: next(rest)?, previous: next(rest)?, log_id: next(rest)?, parts: list(rest, PART_BYTES)? })
}

fn next<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Result<T, BincodeError> {
    let (value, read) = bincode::serde::borrow_decode_from_slice(rest, CONFIG)?;
    *rest = rest.get(read..).unwrap_or_default();
    Ok(value)
}

/// A list whose elements take at least `bytes_min` bytes each.
fn list<'a, T: Deserialize<'a>>(rest: &mut &'a [u8], bytes_min: usize) -> Result<Vec<T>, BincodeError> {
    let count: u64 = next(rest)?;
    if count > (rest.len() / bytes_min) as u64 {
        return Err(BincodeError::Other("a list is longer than the rest of the content"));
    }
    let mut list = Vec::with_capacity(count as usize);
    for _ in 0..count {
        list.push(next(rest)?);
    }
    Ok(list)
}
