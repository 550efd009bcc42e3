//! The one place that uses bincode: the payload of a manifest, to bytes and back.
//!
//! Layout: the fields in order; integers little-endian and of fixed width; an option is a byte 0 or 1 and then the value; a list or a text
//! is its length in 8 bytes and then its elements or its UTF-8. It is pinned by a golden test, so that another library which writes the same bytes can
//! take bincode's place here. Decoding borrows the texts, so that a forged length meets the end of the input before anything is
//! allocated for it.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The longest payload that is read or written, in bytes. It also bounds what bincode allocates.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 512 << 20;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<PAYLOAD_BYTES_MAX>,
> = bincode::config::legacy().with_limit::<PAYLOAD_BYTES_MAX>();

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ManifestRecord<'a> {
    pub(crate) id: IdRecord,
    pub(crate) previous: Option<IdRecord>,
    pub(crate) log_id: u128,
    #[serde(borrow)]
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
    match bincode::serde::borrow_decode_from_slice(payload, CONFIG) {
        Ok((record, read)) if read == payload.len() => Ok(record),
        Ok((_, read)) => Err(Fault::damaged(read as u64, "there are bytes behind the content")),
        Err(error) => Err(Fault::damaged(0, format!("the content cannot be decoded: {error}"))),
    }
}
