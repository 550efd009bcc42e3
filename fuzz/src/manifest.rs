//! The decoder of a manifest, in a checkpoint whose parts are valid.

use std::{
    ops::Bound,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use kv_core::{
    Change, Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, CollectionId, CollectionSize, Epoch,
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
/// The identities of the checkpoint, of the previous one, and of the log.
const ID_BYTES: usize = 24;
const LOG_ID_BYTES: usize = 16;
/// A part in the list of parts.
const PART_BYTES: usize = 96;
/// The most parts that a manifest may name.
const PARTS_MAX: u64 = 1 << 10;
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
    let Base { folder, id, name } = base();
    let folder = folder.copy();
    folder.put(name, file.clone());
    let checkpointer = must_succeed(MmapCheckpointer::open(Arc::clone(&folder) as _));
    let verification = must_succeed(checkpointer.verify());
    verification.findings.iter().for_each(|finding| check(finding, &folder));
    for (name, _) in folder.files() {
        decoded(kv_snapshot::dump(&*folder, &name, &mut std::io::sink()), &folder);
    }
    let ids = must_succeed(checkpointer.list());
    assert_eq!(ids, [*id]);
    let opened = checkpointer.open(*id);
    assert!(opened.is_ok() || !verification.is_clean(), "a checkpoint that verifies does not open");
    let Some(checkpoint) = decoded(opened, &folder) else { return };
    assert_eq!(checkpoint.id(), *id);
    let head = CheckpointHead { epoch: id.epoch, lsn: id.lsn, log_id: stated_log_id(file) };
    assert_eq!(*checkpoint.head(), head, "the manifest states what was decoded");
    let read = read(&*checkpoint, verification.is_clean());
    assert!(read.is_ok() || !verification.is_clean(), "a checkpoint that verifies cannot be read");
    decoded(read, &folder);
}

/// Reads each entry in each way. If everything was verified, the sizes are right as well.
fn read(checkpoint: &dyn Checkpoint, is_clean: bool) -> Result<()> {
    let mut names = checkpoint.range(CollectionId::NAMES, Bound::Unbounded, Bound::Unbounded)?;
    while names.advance()? {
        let Some(id) = CollectionId::from_key(names.key()) else { continue };
        let mut read = CollectionSize::default();
        let mut cursor = checkpoint.range(id, Bound::Unbounded, Bound::Unbounded)?;
        while cursor.advance()? {
            let value = checkpoint.get(id, cursor.key())?;
            assert_eq!(value.as_deref(), Some(cursor.value()));
            read.entries += 1;
            read.bytes += (cursor.key().len() + cursor.value().len()) as u64;
        }
        checkpoint.get(id, b"absent")?;
        let size = checkpoint.size(id)?;
        assert!(size == read || !is_clean, "a checkpoint that verifies states {size:?} and holds {read:?}");
    }
    Ok(())
}

/// Where the identity of the log is in a manifest: after the identities of the checkpoint and of
/// the previous one, if there was one.
fn log_id_at(file: &[u8]) -> usize {
    let previous_at = HEADER_BYTES + ID_BYTES;
    previous_at + 1 + if file[previous_at] == 0 { 0 } else { ID_BYTES }
}

fn stated_log_id(file: &[u8]) -> LogId {
    let at = log_id_at(file);
    let bytes = file[at..at + LOG_ID_BYTES].try_into();
    LogId(u128::from_le_bytes(bytes.unwrap_or_else(|_| unreachable!("16 bytes were taken"))))
}

/// A directory with one checkpoint, of three collections in two parts.
struct Base {
    folder: Arc<Folder>,
    id: CheckpointId,
    /// The name of the manifest.
    name: String,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Folder::new();
        let checkpointer = must_succeed(MmapCheckpointer::open(Arc::clone(&folder) as _));
        let older = must_succeed(checkpointer.write(None, &mut Sample::first())).id();
        let id = must_succeed(checkpointer.write(Some(older), &mut Sample::second())).id();
        must_succeed(checkpointer.remove(older));
        let mut names = folder.files().into_iter().map(|(name, _)| name);
        let name = names.find(|name| name.ends_with(".manifest")).unwrap_or_else(|| panic!("there is no manifest"));
        Base { folder, id, name }
    })
}

type OwnedChange = (CollectionId, Vec<u8>, Option<&'static [u8]>);

/// Changes of three collections.
struct Sample {
    head: CheckpointHead,
    changes: Vec<OwnedChange>,
    next: usize,
}

impl Sample {
    /// Names, and a few entries.
    fn first() -> Self {
        let names = (0..3).map(|index| (CollectionId::NAMES, id(index).to_key().to_vec(), Some(&b"a name"[..])));
        let keys = (1..3).flat_map(|index| (0..=index).map(move |n| (index, n)));
        let entries = keys.map(|(index, n)| (id(index), format!("key {n}").into_bytes(), Some(&b"a value"[..])));
        Self::at(Lsn(4), names.chain(entries).collect())
    }

    /// Another name, another value, a new key and deletions.
    fn second() -> Self {
        let name = (CollectionId::NAMES, id(1).to_key().to_vec(), Some(&b"another name"[..]));
        let change = |index, key: &str, value| (id(index), key.as_bytes().to_vec(), value);
        let changes = [
            name,
            change(1, "key 0", Some(&b"another value"[..])),
            change(1, "key 9", None),
            change(2, "key 1", None),
            change(2, "key 8", Some(&b""[..])),
        ];
        Self::at(Lsn(5), changes.into())
    }

    fn at(lsn: Lsn, changes: Vec<OwnedChange>) -> Self {
        Self { head: CheckpointHead { epoch: Epoch(1), lsn, log_id: LogId(7) }, changes, next: 0 }
    }
}

fn id(index: u32) -> CollectionId {
    CollectionId { lsn: Lsn(1), index }
}

impl Changes for Sample {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        self.next += 1;
        let change = self.changes.get(self.next - 1);
        Ok(change.map(|(collection, key, value)| Change { collection: *collection, key, value: *value }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// The inputs to start from: the manifest of two parts, one of the older part alone, and one whose
/// list states that it is longer than any memory.
pub(crate) fn seeds(_: &str) -> Vec<crate::Seed> {
    let stacked = base().folder.bytes(&base().name);
    let parts_at = log_id_at(&stacked) + LOG_ID_BYTES;
    let older_part = &stacked[stacked.len() - PART_BYTES..];
    let mut first = stacked[..HEADER_BYTES + ID_BYTES].to_vec();
    first.push(0); // made from none
    first.extend([&stacked[parts_at - LOG_ID_BYTES..parts_at], &1_u64.to_le_bytes(), older_part].concat());
    let mut too_long = stacked.to_vec();
    put_u64(&mut too_long, parts_at, u64::MAX / PART_BYTES as u64);
    vec![
        ("first".to_owned(), with_checksums(&first).into()),
        ("list-too-long".to_owned(), with_checksums(&too_long).into()),
        ("stacked".to_owned(), stacked.into()),
    ]
}

/// As many parts as a manifest may name.
pub(crate) fn heavy(_: &str) -> Vec<Heavy> {
    let Base { folder, id, name } = base();
    let stacked = folder.bytes(name);
    let parts_at = log_id_at(&stacked) + LOG_ID_BYTES;
    let mut file = [&stacked[..parts_at], &PARTS_MAX.to_le_bytes()].concat();
    for number in 0..PARTS_MAX {
        file.extend([&number.to_le_bytes()[..], &stacked[parts_at + 16..parts_at + 8 + PART_BYTES]].concat());
    }
    let file = with_checksums(&file);
    let folder = folder.copy();
    folder.put(name, file.clone());
    let decode = move || {
        let checkpointer = must_succeed(MmapCheckpointer::open(Arc::clone(&folder) as _));
        assert!(checkpointer.open(*id).is_err(), "there are two parts");
    };
    vec![Heavy { what: "many parts", bytes: file.len(), decode: Box::new(decode) }]
}
