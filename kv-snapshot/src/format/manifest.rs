//! The format of a manifest, which describes a checkpoint and names the parts that hold its
//! entries.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 56 | [`preamble`](kv_vfs::preamble), magic `kvmanif\n`; incompatible features: bit 0 there is more than one part |
//! | 56 | 8 | payload length |
//! | 64 | 8 | payload checksum, xxh3-64 |
//! | 72 | 24 | zero |
//! | 96 | | payload, see [`codec`], up to the end of the file |
//!
//! The header checksum covers the first 96 bytes. The payload holds, in this order:
//!
//! - the id of the checkpoint,
//! - the id of the checkpoint that it was made from, if any,
//! - the log id,
//! - for each collection, in order of ids: id, name, number of entries, bytes of keys and values,
//! - for each part, the newest first: the number in its name, length, identity, digest.
//!
//! A manifest is valid if and only if the header and the payload match their checksums, the payload
//! ends with the file, its log id is the store id of the header, its id is that of the file's name,
//! its collections are in order, and it keeps to the limits below.
//!
//! With more than one part, the entry of a key is that of the newest part that has one, and a
//! tombstone says that the key is absent. This version writes one part and reads only manifests
//! with one.

use kv_core::{CheckpointHead, CheckpointId, CollectionId, CollectionInfo, Epoch, LogId, Lsn, NAME_BYTES_MAX};
use kv_vfs::{
    little_endian::{get_u64, put_u64},
    preamble::{PREAMBLE_BYTES, Preamble},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    codec::{self, CollectionRecord, IdRecord, ManifestRecord, PartRecord},
    part::Summary,
};
use crate::error::DecodeError;

const KIND: Preamble = Preamble { magic: *b"kvmanif\n", version: 1, incompatible_known: 0 };
const HEADER_BYTES: usize = 96;
const PAYLOAD_BYTES_AT: usize = PREAMBLE_BYTES;
const PAYLOAD_CHECKSUM_AT: usize = PAYLOAD_BYTES_AT + 8;

/// The longest manifest, in bytes.
pub(crate) const MANIFEST_BYTES_MAX: u64 = (HEADER_BYTES + codec::PAYLOAD_BYTES_MAX) as u64;
/// The most collections that a manifest carries.
pub(crate) const COLLECTIONS_MAX: usize = 1 << 20;
const _: () = assert!(kv_core::COLLECTIONS_MAX <= COLLECTIONS_MAX, "every store within its limits can be checkpointed");
/// The most parts that a manifest carries.
const PARTS_MAX: usize = 1 << 10;

/// The most that a collection takes in a payload, in bytes; then a part, and everything else.
const COLLECTION_BYTES_MAX: usize = 8 + 4 + 8 + NAME_BYTES_MAX + 8 + 8;
const PART_BYTES: usize = 8 + 8 + 16 + 16;
const REST_BYTES_MAX: usize = 24 + 25 + 16 + 8 + 8;

const _: () = assert!(
    COLLECTIONS_MAX * COLLECTION_BYTES_MAX + PARTS_MAX * PART_BYTES + REST_BYTES_MAX <= codec::PAYLOAD_BYTES_MAX,
    "what keeps to the other limits fits"
);

/// The content of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) id: CheckpointId,
    /// The checkpoint that it was made from. Manifests between the two are to be set aside.
    pub(crate) previous: Option<CheckpointId>,
    pub(crate) log_id: LogId,
    pub(crate) collections: Vec<CollectionInfo>,
    pub(crate) parts: Vec<PartRef>,
}

/// A part that a manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartRef {
    pub(crate) seq: u64,
    pub(crate) summary: Summary,
}

impl Manifest {
    pub(crate) fn head(&self) -> CheckpointHead {
        CheckpointHead {
            epoch: self.id.epoch,
            lsn: self.id.lsn,
            log_id: self.log_id,
            collections: self.collections.clone(),
        }
    }

    /// `None` if it exceeds what a manifest may carry.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let collections = self.collections.iter().map(|info| CollectionRecord {
            lsn: info.id.lsn.0,
            index: info.id.index,
            name: &info.name,
            entries: info.entries,
            bytes: info.bytes,
        });
        let parts = self.parts.iter().map(|part| PartRecord {
            seq: part.seq,
            bytes: part.summary.bytes,
            identity: part.summary.identity,
            digest: part.summary.digest,
        });
        let record = ManifestRecord {
            id: id_record(self.id),
            previous: self.previous.map(id_record),
            log_id: self.log_id.0,
            collections: collections.collect(),
            parts: parts.collect(),
        };
        check_limits(&record).ok()?;
        let payload = codec::encode(&record)?;
        let mut file = vec![0; HEADER_BYTES];
        put_u64(&mut file, PAYLOAD_BYTES_AT, payload.len() as u64);
        put_u64(&mut file, PAYLOAD_CHECKSUM_AT, xxh3_64(&payload));
        KIND.seal(&mut file, 0, self.log_id.0);
        file.extend_from_slice(&payload);
        Some(file)
    }

    /// Decodes a whole file. `id` is the checkpoint that its name states.
    pub(crate) fn decode(file: &[u8], id: CheckpointId) -> Result<Self, DecodeError> {
        let cut = || DecodeError::damaged(file.len() as u64, "the file is truncated: it ends within its header");
        let (header, payload) = file.split_at_checked(HEADER_BYTES).ok_or_else(cut)?;
        let store = KIND.open(header)?;
        let expected = get_u64(header, PAYLOAD_BYTES_AT);
        if payload.len() as u64 != expected {
            let detail = format!("the content has {} bytes, and should have {expected}", payload.len());
            return Err(DecodeError::damaged(file.len() as u64, detail));
        }
        if xxh3_64(payload) != get_u64(header, PAYLOAD_CHECKSUM_AT) {
            return Err(DecodeError::damaged(HEADER_BYTES as u64, "the content does not match its checksum"));
        }
        let wrong = |detail: &str| DecodeError::damaged(HEADER_BYTES as u64, detail);
        let record = codec::decode(payload)?;
        check_limits(&record).map_err(wrong)?;
        let manifest = Self::from_record(&record);
        if manifest.id != id {
            return Err(wrong("its name and its content state different checkpoints"));
        }
        if manifest.log_id.0 != store {
            return Err(wrong("its header and its content name different logs"));
        }
        Ok(manifest)
    }

    fn from_record(record: &ManifestRecord<'_>) -> Self {
        let collections = record.collections.iter().map(|collection| CollectionInfo {
            id: CollectionId { lsn: Lsn(collection.lsn), index: collection.index },
            name: collection.name.to_owned(),
            entries: collection.entries,
            bytes: collection.bytes,
        });
        let parts = record.parts.iter().map(|part| PartRef {
            seq: part.seq,
            summary: Summary { bytes: part.bytes, identity: part.identity, digest: part.digest },
        });
        Self {
            id: id_of(record.id),
            previous: record.previous.map(id_of),
            log_id: LogId(record.log_id),
            collections: collections.collect(),
            parts: parts.collect(),
        }
    }
}

fn check_limits(record: &ManifestRecord<'_>) -> Result<(), &'static str> {
    if record.collections.len() > COLLECTIONS_MAX || record.parts.len() > PARTS_MAX {
        return Err("it has more collections or parts than a manifest may carry");
    }
    if record.parts.len() != 1 {
        return Err("it does not have exactly one part");
    }
    if record.collections.iter().any(|collection| collection.name.len() > NAME_BYTES_MAX) {
        return Err("the name of a collection is too long");
    }
    if !record.collections.is_sorted_by(|a, b| (a.lsn, a.index) < (b.lsn, b.index)) {
        return Err("its collections are not in order of their ids");
    }
    Ok(())
}

fn id_record(id: CheckpointId) -> IdRecord {
    IdRecord { epoch: id.epoch.0, lsn: id.lsn.0, seq: id.seq }
}

fn id_of(record: IdRecord) -> CheckpointId {
    CheckpointId { epoch: Epoch(record.epoch), lsn: Lsn(record.lsn), seq: record.seq }
}
