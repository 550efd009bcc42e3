//! The one place that uses bincode: the payload of a manifest, to bytes and back.
//!
//! Layout: the fields in order; integers little-endian and of fixed width; an option is a byte 0 or 1 and then the value; a list or a text
//! is its length in 8 bytes and then its elements or its UTF-8. It is pinned by a golden test, so that another library which writes the same bytes can
//! take bincode's place here. Decoding borrows the texts and takes lists apart itself, so that no memory is taken for a forged length: bincode
//! would take a mebibyte, and then grow the list by doubling it.

use bincode::error::DecodeError;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The longest payload that is read or written, in bytes. It also bounds what bincode allocates.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 512 << 20;

/// What a collection takes at least, in bytes: without a name.
const COLLECTION_BYTES_MIN: usize = 8 + 4 + 8 + 8 + 8;
/// What a part takes, in bytes.
const PART_BYTES: usize = 8 + 8 + 16 + 16;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<PAYLOAD_BYTES_MAX>,
> = bincode::config::legacy().with_limit::<PAYLOAD_BYTES_MAX>();

#[derive(Debug, Serialize)]
pub(crate) struct ManifestRecord<'a> {
    pub(crate) id: IdRecord,
    pub(crate) previous: Option<IdRecord>,
    pub(crate) log_id: u128,
    pub(crate) collections: Vec<CollectionRecord<'a>>,
    pub(crate) parts: Vec<PartRecord>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct IdRecord {
    pub(crate) epoch: u64,
    pub(crate) lsn: u64,
    pub(crate) seq: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CollectionRecord<'a> {
    pub(crate) lsn: u64,
    pub(crate) index: u32,
    pub(crate) name: &'a str,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub(crate) seq: u64,
    pub(crate) bytes: u64,
    pub(crate) identity: u128,
    pub(crate) digest: u128,
}

/// `None` if it would be longer than is allowed.
pub(crate) fn encode(record: &ManifestRecord<'_>) -> Option<Vec<u8>> {
    bincode::serde::encode_to_vec(record, CONFIG).ok().filter(|bytes| bytes.len() <= PAYLOAD_BYTES_MAX)
}

/// Decodes a payload whose checksum has been verified.
pub(crate) fn decode(payload: &[u8]) -> Result<ManifestRecord<'_>, Fault> {
    let mut rest = payload;
    let record = decode_record(&mut rest)
        .map_err(|error| Fault::damaged(0, format!("the content cannot be decoded: {error}")))?;
    match payload.len() - rest.len() {
        _ if rest.is_empty() => Ok(record),
        read => Err(Fault::damaged(read as u64, "there are bytes behind the content")),
    }
}

fn decode_record<'a>(rest: &mut &'a [u8]) -> Result<ManifestRecord<'a>, DecodeError> {
    Ok(ManifestRecord {
        id: next(rest)?,
        previous: next(rest)?,
        log_id: next(rest)?,
        collections: list(rest, COLLECTION_BYTES_MIN)?,
        parts: list(rest, PART_BYTES)?,
    })
}

fn next<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Result<T, DecodeError> {
    let (value, read) = bincode::serde::borrow_decode_from_slice(rest, CONFIG)?;
    *rest = rest.get(read..).unwrap_or_default();
    Ok(value)
}

/// A list whose elements take at least `bytes_min` each.
fn list<'a, T: Deserialize<'a>>(rest: &mut &'a [u8], bytes_min: usize) -> Result<Vec<T>, DecodeError> {
    let count: u64 = next(rest)?;
    if count > (rest.len() / bytes_min) as u64 {
        return Err(DecodeError::Other("a list is longer than what is left"));
    }
    let mut list = Vec::with_capacity(count as usize);
    for _ in 0..count {
        list.push(next(rest)?);
    }
    Ok(list)
}
