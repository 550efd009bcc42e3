//! The decoders of kv-wal: frames, segments, the links between them, the acknowledgement mark.
//!
//! An input holds a segment without the zeroes that fill it: the first 128 bytes of its header,
//! then its bytes from block 1 on.

use std::sync::Arc;

use bytes::Bytes;
use kv_core::{Durability, FollowedLog, Log, Lsn, Result};
use kv_vfs::little_endian::{get_u16, put};
use kv_wal::{LogFollower, SegmentedLog};

use crate::{
    Heavy,
    assertions::{check, decoded, must_succeed},
    disk::Folder,
    noop_scheduler,
};

mod checksums;
pub(crate) mod seeds;

use checksums::{fix_mark_slot, fix_segment};

const BLOCK_BYTES: usize = 4096;
const SEGMENT_BYTES_MIN: usize = 4 * BLOCK_BYTES;
/// The part of a segment's header that is not always zero.
const HEADER_BYTES: usize = 128;
const MARK_SLOT_BYTES: usize = 128;
const MARK_SLOTS_AT: [usize; 2] = [0, 64 << 10];
const MARK: &str = "MARK";
/// How many records are made from an input, at most.
const RECORDS_MAX: usize = 32;
/// Longer inputs are ignored: they would take longer and reach nothing new.
const INPUT_BYTES_MAX: usize = 128 << 10;

/// Frames after a valid header, with their checksums corrected. The input is also cut into records,
/// which are written and read back.
pub(crate) fn frame(input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let base = seeds::killed();
    let sparse = [&base.bytes(&segment_name(1))[..HEADER_BYTES], input].concat();
    try_log(&Folder::with([(&segment_name(1), with_checksums(&sparse)), (MARK, base.bytes(MARK))]));
    written_is_read(input);
}

/// One segment without a mark: as it is, cut where the input ends, and with its checksums
/// corrected.
pub(crate) fn segment(input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    for file in [filled(input), filled(input).slice(..cut_end(input)), with_checksums(input)] {
        try_log(&Folder::with([(&segment_name(1), file)]));
    }
}

/// A mark and two segments. The input holds 256 bytes of mark, the length of the first segment in
/// two bytes, the first segment, and the second.
pub(crate) fn log(input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let Some((mark, segments)) = input.split_at_checked(2 * MARK_SLOT_BYTES) else { return };
    let Some((length, segments)) = segments.split_at_checked(2) else { return };
    let (first, second) = segments.split_at(segments.len().min(get_u16(length, 0).into()));
    let files =
        |mark, first, second| Folder::with([(MARK, mark), (&segment_name(1), first), (&segment_name(2), second)]);
    try_log(&files(mark_file(mark), filled(first), filled(second)));
    try_log(&files(mark_file_with_checksums(mark), with_checksums(first), with_checksums(second)));
}

/// The frames of a second segment from its start frame on, after a valid first segment and a valid
/// header.
pub(crate) fn start(input: &[u8]) {
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let base = seeds::two_segments();
    let sparse = [&base.bytes(&segment_name(2))[..HEADER_BYTES], input].concat();
    let folder = base.copy();
    folder.put(&segment_name(2), with_checksums(&sparse));
    try_log(&folder);
}

/// The two slots of a mark, beside a valid log that was not closed.
pub(crate) fn mark(input: &[u8]) {
    let mut slots = [0; 2 * MARK_SLOT_BYTES];
    let len = input.len().min(slots.len());
    slots[..len].copy_from_slice(&input[..len]);
    let whole = seeds::killed_records();
    for file in [Bytes::copy_from_slice(input), mark_file(&slots), mark_file_with_checksums(&slots)] {
        let folder = seeds::killed().copy();
        folder.put(MARK, file);
        if let Some(records) = try_log(&folder) {
            assert_eq!(records.len(), whole, "no mark takes a record away");
        }
    }
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:016x}.wal")
}

/// The segment with its zeroes.
fn filled(sparse: &[u8]) -> Bytes {
    let (header, frames) = sparse.split_at(sparse.len().min(HEADER_BYTES));
    let mut file = vec![0; (BLOCK_BYTES + frames.len()).next_multiple_of(BLOCK_BYTES).max(SEGMENT_BYTES_MIN)];
    put(&mut file, 0, header);
    put(&mut file, BLOCK_BYTES, frames);
    file.into()
}

fn cut_end(sparse: &[u8]) -> usize {
    if sparse.len() < HEADER_BYTES { sparse.len() } else { BLOCK_BYTES + sparse.len() - HEADER_BYTES }
}

fn with_checksums(sparse: &[u8]) -> Bytes {
    let mut file = Vec::from(filled(sparse));
    fix_segment(&mut file);
    file.into()
}

fn mark_file(slots: &[u8]) -> Bytes {
    let mut file = vec![0; MARK_SLOTS_AT[1] + MARK_SLOT_BYTES];
    for (slot, at) in slots.chunks(MARK_SLOT_BYTES).zip(MARK_SLOTS_AT) {
        put(&mut file, at, slot);
    }
    file.into()
}

fn mark_file_with_checksums(slots: &[u8]) -> Bytes {
    let mut slots = slots.to_vec();
    slots.chunks_exact_mut(MARK_SLOT_BYTES).for_each(fix_mark_slot);
    mark_file(&slots)
}

/// One record of several mebibytes.
pub(crate) fn heavy(target: &str) -> Vec<Heavy> {
    if target != "segment" {
        return Vec::new();
    }
    let bytes = 4 << 20;
    let folder = seeds::one_record(bytes);
    let decode = move || {
        assert!(must_succeed(kv_wal::verify(&*folder)).is_empty());
        let log = must_succeed(SegmentedLog::open(Arc::clone(&folder) as _, noop_scheduler::log_options(false)));
        let mut reader = must_succeed(log.reader(Lsn::START));
        assert!(must_succeed(reader.next()).is_some_and(|record| record.payload.len() == bytes));
    };
    vec![Heavy { what: "a large record", bytes, decode: Box::new(decode) }]
}

/// A record: epoch, position, payload.
type Record = (u64, u64, Vec<u8>);

/// Tries everything that can be done with a log's directory. Returns the records if it opens.
fn try_log(folder: &Arc<Folder>) -> Option<Vec<Record>> {
    let before = folder.files();
    let damages = must_succeed(kv_wal::verify(&**folder));
    damages.iter().for_each(|damage| check(damage, folder));
    decoded(kv_wal::is_blank(&**folder), folder);
    decoded(kv_wal::dump(&**folder, &mut std::io::sink()), folder);
    let followed = decoded(follow(folder), folder);
    let opened = SegmentedLog::open(Arc::clone(folder) as _, noop_scheduler::log_options(false));
    assert!(opened.is_ok() || !damages.is_empty(), "a log that verifies does not open: {opened:?}");
    let records = decoded(opened, folder).map(|log| (decoded(read(&log), folder), log));
    assert!(folder.files() == before, "reading a log wrote a file");
    let (records, log) = records?;
    let records = records?;
    if let Some(followed) = followed {
        // It returns what is proven to be durable. An owner reads the rest from the disk.
        assert!(records.iter().zip(&followed).all(|(one, other)| one == other), "a follower returns other records");
        assert!(followed.len() <= records.len(), "a follower returns more than there is");
    }
    if damages.is_empty() {
        goes_on(folder, log, &records);
    }
    Some(records)
}

/// Asserts that a log that verifies can be written to, and opens again afterwards. (After a clean
/// shutdown, opening does not read the records. So damage to them shows only later.)
fn goes_on(folder: &Arc<Folder>, log: SegmentedLog, records: &[Record]) {
    let last = decoded(log.append(b"one more", Durability::Disk).and_then(|lsn| log.sync(lsn)), folder);
    let epoch = log.bounds().epoch.0;
    drop(log);
    let again = must_succeed(read(&must_succeed(SegmentedLog::open(
        Arc::clone(folder) as _,
        noop_scheduler::log_options(false),
    ))));
    let more = last.map(|lsn| (epoch, lsn.0, b"one more".to_vec()));
    let expected: Vec<Record> = records.iter().cloned().chain(more).collect();
    assert_eq!(again, expected, "after one more record");
}

fn follow(folder: &Arc<Folder>) -> Result<Vec<Record>> {
    let mut follower = LogFollower::open(Arc::clone(folder) as _)?;
    let (mut at, mut records) = (follower.trimmed(), Vec::new());
    while let Some(record) = follower.read(at)? {
        assert_eq!(record.lsn, at.next(), "positions are dense");
        at = record.lsn;
        records.push((record.epoch.0, record.lsn.0, record.payload.to_vec()));
    }
    Ok(records)
}

fn read(log: &SegmentedLog) -> Result<Vec<Record>> {
    let bounds = log.bounds();
    assert!(bounds.trimmed <= bounds.durable && bounds.durable <= bounds.written && bounds.written <= bounds.appended);
    let mut reader = log.reader(bounds.trimmed)?;
    let mut records: Vec<Record> = Vec::new();
    while let Some(record) = reader.next()? {
        assert_eq!(record.lsn.0, bounds.trimmed.0 + 1 + records.len() as u64, "positions are dense");
        assert!(record.epoch <= bounds.epoch, "a record has an epoch that has not begun");
        records.push((record.epoch.0, record.lsn.0, record.payload.to_vec()));
    }
    assert_eq!(bounds.trimmed.0 + records.len() as u64, bounds.durable.0, "all that is durable can be read");
    Ok(records)
}

/// Writes the input as records, and reads them back. A byte before each record gives its length,
/// and in the highest bit its durability.
fn written_is_read(input: &[u8]) {
    let folder = Folder::new();
    let mut written = Vec::new();
    let log = must_succeed(SegmentedLog::open(Arc::clone(&folder) as _, noop_scheduler::log_options(true)));
    let mut rest = input;
    while let (true, Some((&head, tail))) = (written.len() < RECORDS_MAX, rest.split_first()) {
        let (record, tail) = tail.split_at(tail.len().min(usize::from(head & 0x7f)));
        let durability = if head & 0x80 == 0 { Durability::Process } else { Durability::Disk };
        written.push((1, must_succeed(log.append(record, durability)).0, record.to_vec()));
        rest = tail;
    }
    must_succeed(if written.len() % 2 == 0 { log.close() } else { log.sync(Lsn(written.len() as u64)).map(drop) });
    drop(log);
    assert_eq!(try_log(&folder), Some(written), "what was written is read");
}
