//! The format of a manifest, which describes a checkpoint and names the parts that hold its
//! entries.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 56 | [`preamble`](kv_vfs::preamble), magic `kvmanif\n`, version 2 |
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
//! - for each part, the newest first: the number in its name, length, identity, digest, number of
//!   entries including tombstones, number of tombstones, digest of its content (see [`content`]),
//!   and the numbers of the oldest and of the newest part that it was merged from, or its own
//!   number twice. A part that was itself merged stands for those that it was merged from.
//!
//! A manifest is valid if and only if the header and the payload match their checksums, the payload
//! ends with the file, its log id is the store id of the header, its id is that of the file's name,
//! it names no part twice, no two of its parts were merged from the same part, and it keeps to the
//! limits below.
//!
//! The parts are a stack. The entry of a key is that of the newest part that has one, and a
//! tombstone says that the key is absent. The oldest part, at the bottom, has no tombstones. The
//! names of the collections are entries as well, in
//! [`CollectionId::NAMES`](kv_core::CollectionId::NAMES).

use kv_core::{CheckpointHead, CheckpointId, Epoch, LogId, Lsn};
use kv_vfs::{
    little_endian::{get_u64, put_u64},
    preamble::{PREAMBLE_BYTES, Preamble},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    codec::{self, IdRecord, ManifestRecord, PART_BYTES, PartRecord},
    content::ContentDigest,
    part::Summary,
};
use crate::error::DecodeError;

const KIND: Preamble = Preamble { magic: *b"kvmanif\n", version: 2, incompatible_known: 0 };
const HEADER_BYTES: usize = 96;
const PAYLOAD_BYTES_AT: usize = PREAMBLE_BYTES;
const PAYLOAD_CHECKSUM_AT: usize = PAYLOAD_BYTES_AT + 8;

/// The longest manifest, in bytes.
pub(crate) const MANIFEST_BYTES_MAX: u64 = (HEADER_BYTES + codec::PAYLOAD_BYTES_MAX) as u64;
/// The most parts that a manifest names.
pub(crate) const PARTS_MAX: usize = 1 << 10;

/// The most that everything but the parts takes in a payload, in bytes.
const REST_BYTES_MAX: usize = 24 + 25 + 16 + 8;

const _: () = assert!(PARTS_MAX * PART_BYTES + REST_BYTES_MAX <= codec::PAYLOAD_BYTES_MAX, "every manifest fits");

/// The content of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) id: CheckpointId,
    /// The checkpoint that it was made from. Manifests between the two are to be set aside.
    pub(crate) previous: Option<CheckpointId>,
    pub(crate) log_id: LogId,
    /// The newest first.
    pub(crate) parts: Vec<PartRef>,
}

/// A part that a manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartRef {
    pub(crate) seq: u64,
    pub(crate) summary: Summary,
    /// The number of entries, including tombstones.
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    /// The digest of the entries, taken from what was to be written.
    pub(crate) content: ContentDigest,
    pub(crate) origins: Origins,
}

/// The parts that a part was merged from: those that were written as they are, without a merge. A
/// checkpoint that names them all names them one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origins {
    /// The number of the oldest.
    pub(crate) first: u64,
    /// The number of the newest.
    pub(crate) last: u64,
}

impl Origins {
    /// Those of a part that was not merged.
    pub(crate) fn itself(seq: u64) -> Self {
        Self { first: seq, last: seq }
    }

    /// Those of a part that is merged from `parts`, the newest first; `None` if there are none.
    pub(crate) fn of_run(parts: &[PartRef]) -> Option<Self> {
        Some(Self { first: parts.last()?.origins.first, last: parts.first()?.origins.last })
    }
}

impl Manifest {
    pub(crate) fn head(&self) -> CheckpointHead {
        CheckpointHead { epoch: self.id.epoch, lsn: self.id.lsn, log_id: self.log_id }
    }

    /// `None` if it exceeds what a manifest may hold.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let parts = self.parts.iter().map(|part| PartRecord {
            seq: part.seq,
            bytes: part.summary.bytes,
            identity: part.summary.identity,
            digest: part.summary.digest,
            entries: part.entries,
            tombstones: part.tombstones,
            content: part.content.0,
            first: part.origins.first,
            last: part.origins.last,
        });
        let record = ManifestRecord {
            id: id_record(self.id),
            previous: self.previous.map(id_record),
            log_id: self.log_id.0,
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

    fn from_record(record: &ManifestRecord) -> Self {
        let parts = record.parts.iter().map(|part| PartRef {
            seq: part.seq,
            summary: Summary { bytes: part.bytes, identity: part.identity, digest: part.digest },
            entries: part.entries,
            tombstones: part.tombstones,
            content: ContentDigest(part.content),
            origins: Origins { first: part.first, last: part.last },
        });
        Self {
            id: id_of(record.id),
            previous: record.previous.map(id_of),
            log_id: LogId(record.log_id),
            parts: parts.collect(),
        }
    }
}

fn check_limits(record: &ManifestRecord) -> Result<(), &'static str> {
    if record.parts.len() > PARTS_MAX {
        return Err("it names more parts than a manifest may");
    }
    if record.parts.iter().any(|part| part.tombstones > part.entries) {
        return Err("a part has more tombstones than entries");
    }
    // The newest first, as the parts are.
    let are_in_order = record.parts.iter().all(|part| part.first <= part.last)
        && record.parts.windows(2).all(|parts| parts[0].first > parts[1].last);
    if !are_in_order {
        return Err("the parts are not in order of what they were merged from");
    }
    let mut numbers: Vec<u64> = record.parts.iter().map(|part| part.seq).collect();
    numbers.sort_unstable();
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err("it names a part twice");
    }
    Ok(())
}

fn id_record(id: CheckpointId) -> IdRecord {
    IdRecord { epoch: id.epoch.0, lsn: id.lsn.0, seq: id.seq }
}

fn id_of(record: IdRecord) -> CheckpointId {
    CheckpointId { epoch: Epoch(record.epoch), lsn: Lsn(record.lsn), seq: record.seq }
}
