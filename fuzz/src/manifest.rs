//! The decoder of a manifest, in a checkpoint whose part is valid.

use std::{
    ops::Bound,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use kv_core::{
    Change, Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, CollectionId, CollectionInfo, Epoch,
    LogId, Lsn, Result,
};
use kv_snapshot::MmapCheckpointer;
use kv_vfs::little_endian::put_u64;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Heavy,
    assertions::{check, decoded, must_succeed},
    disk::Folder,
};

const HEADER_BYTES: usize = 96;
const PAYLOAD_BYTES_AT: usize = 56;
const PAYLOAD_CHECKSUM_AT: usize = 64;
/// Longer inputs are ignored: they would take longer and reach nothing new.
const INPUT_BYTES_MAX: usize = 1 << 20;

/// A whole manifest: as it is, and with its checksums and the length of its payload corrected.
pub(crate) fn manifest(input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    try_manifest(&Bytes::copy_from_slice(input));
    if input.len() >= HEADER_BYTES {
        try_manifest(&with_checksums(input));
    }
}

fn with_checksums(input: &[u8]) -> Bytes {
    let mut file = input.to_vec();
    let (header, payload) = file.split_at_mut(HEADER_BYTES);
    put_u64(header, PAYLOAD_BYTES_AT, payload.len() as u64);
    put_u64(header, PAYLOAD_CHECKSUM_AT, xxh3_64(payload));
    let checksum = xxh3_64(&header[16..]);
    put_u64(header, 8, checksum);
    file.into()
}

/// Tries everything that can be done with a checkpoint.
fn try_manifest(file: &Bytes) {
    let folder = base().copy();
    folder.put(&name(&folder), file.clone());
    let checkpointer = must_succeed(MmapCheckpointer::open(Arc::clone(&folder) as _));
    let verification = must_succeed(checkpointer.verify());
    verification.findings.iter().for_each(|finding| check(finding, &folder));
    for (name, _) in folder.files() {
        decoded(kv_snapshot::dump(&*folder, &name, &mut std::io::sink()), &folder);
    }
    let ids = must_succeed(checkpointer.list());
    assert_eq!(ids, [ID]);
    let opened = checkpointer.open(ID);
    assert!(opened.is_ok() || !verification.is_clean(), "a checkpoint that verifies does not open");
    let Some(checkpoint) = decoded(opened, &folder) else { return };
    assert_eq!(checkpoint.id(), ID);
    assert_eq!(encoded(checkpoint.head()), stated(file), "the manifest states what was decoded");
    let read = read(&*checkpoint);
    assert!(read.is_ok() || !verification.is_clean(), "a checkpoint that verifies cannot be read");
    decoded(read, &folder);
}

fn read(checkpoint: &dyn Checkpoint) -> Result<()> {
    for info in &checkpoint.head().collections {
        let mut cursor = checkpoint.range(info.id, Bound::Unbounded, Bound::Unbounded)?;
        while cursor.advance()? {
            let value = checkpoint.get(info.id, cursor.key())?;
            assert_eq!(value.as_deref(), Some(cursor.value()));
        }
        checkpoint.get(info.id, b"absent")?;
    }
    Ok(())
}

/// The checkpoint's head in the layout of a manifest: the log's identity and the collections.
fn encoded(head: &CheckpointHead) -> Vec<u8> {
    let mut bytes = head.log_id.0.to_le_bytes().to_vec();
    bytes.extend((head.collections.len() as u64).to_le_bytes());
    for CollectionInfo { id, name, entries, bytes: held } in &head.collections {
        bytes.extend(id.lsn.0.to_le_bytes());
        bytes.extend(id.index.to_le_bytes());
        bytes.extend((name.len() as u64).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(entries.to_le_bytes());
        bytes.extend(held.to_le_bytes());
    }
    bytes
}

/// The same bytes in a file: after the identities of the checkpoint and of the previous one, if
/// there was one, and before the list of its one part.
fn stated(file: &[u8]) -> &[u8] {
    let payload = &file[HEADER_BYTES..];
    let at = if payload[24] == 0 { 25 } else { 49 };
    &payload[at..payload.len() - (8 + 48)]
}

const ID: CheckpointId = CheckpointId { epoch: Epoch(1), lsn: Lsn(5), seq: 1 };

/// A directory with a checkpoint of three collections.
fn base() -> &'static Arc<Folder> {
    static BASE: OnceLock<Arc<Folder>> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Folder::new();
        let checkpointer = must_succeed(MmapCheckpointer::open(Arc::clone(&folder) as _));
        let written = must_succeed(checkpointer.write(None, &mut Sample::new()));
        assert_eq!(written.id(), ID);
        folder
    })
}

fn name(folder: &Folder) -> String {
    let mut names = folder.files().into_iter().map(|(name, _)| name);
    names.find(|name| name.ends_with(".manifest")).unwrap_or_else(|| panic!("there is no manifest"))
}

/// Three collections of a few entries.
struct Sample {
    head: CheckpointHead,
    entries: Vec<(CollectionId, String)>,
    next: usize,
}

impl Sample {
    fn new() -> Self {
        let id = |index| CollectionId { lsn: Lsn(1), index };
        let info = |index: u32| CollectionInfo {
            id: id(index),
            name: format!("collection {index}"),
            entries: u64::from(index),
            bytes: u64::from(index) * 10,
        };
        let entries = (1..3).flat_map(|index| (0..index).map(move |n| (id(index), format!("key {n}"))));
        let collections = (0..3).map(info).collect();
        let head = CheckpointHead { epoch: ID.epoch, lsn: ID.lsn, log_id: LogId(7), collections };
        Self { head, entries: entries.collect(), next: 0 }
    }
}

impl Changes for Sample {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        self.next += 1;
        let entry = self.entries.get(self.next - 1);
        Ok(entry.map(|(collection, key)| Change {
            collection: *collection,
            key: key.as_bytes(),
            value: Some(key.as_bytes()),
        }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// The inputs to start from.
pub(crate) fn seeds(_: &str) -> Vec<crate::Seed> {
    let first = base().bytes(&name(base()));
    let mut second = first[..HEADER_BYTES + 24].to_vec(); // made from an older one
    second.push(1);
    second.extend([&[1_u64, 1, 0].map(u64::to_le_bytes).concat(), &first[HEADER_BYTES + 25..]].concat());
    vec![("first".to_owned(), first.into()), ("made-from-another".to_owned(), with_checksums(&second).into())]
}

/// A great number of collections with the shortest names.
pub(crate) fn heavy(_: &str) -> Vec<Heavy> {
    let first = base().bytes(&name(base()));
    let collections: Vec<CollectionInfo> = (0..100_000)
        .map(|index| CollectionInfo {
            id: CollectionId { lsn: Lsn(1), index },
            name: "n".to_owned(),
            entries: 0,
            bytes: 0,
        })
        .collect();
    let head = CheckpointHead { epoch: ID.epoch, lsn: ID.lsn, log_id: LogId(7), collections };
    let parts = &first[first.len() - (8 + 48)..];
    let file = with_checksums(&[&first[..HEADER_BYTES + 25], &encoded(&head), parts].concat());
    let folder = base().copy();
    folder.put(&name(&folder), file.clone());
    let decode = move || {
        let checkpointer = must_succeed(MmapCheckpointer::open(Arc::clone(&folder) as _));
        assert!(checkpointer.open(ID).is_err(), "the part has three collections");
    };
    vec![Heavy { what: "many collections", bytes: file.len(), decode: Box::new(decode) }]
}
