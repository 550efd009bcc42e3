use std::sync::Arc;

use fastrand::Rng;
use kv_core::{Durability, Epoch, Error, Log, LogReader, Lsn, Result};

use super::LogHarness;

/// A record that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Read {
    pub epoch: Epoch,
    pub lsn: Lsn,
    pub payload: Vec<u8>,
}

pub fn open(harness: &mut (impl LogHarness + ?Sized)) -> Arc<dyn Log> {
    harness.open().unwrap_or_else(|error| panic!("the log does not open: {error:?}"))
}

/// Random bytes, the same for the same seed.
pub fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Records of various small sizes, including the empty one.
pub fn payloads(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| payload(n as u64, n * 37 % 300)).collect()
}

pub fn append(log: &dyn Log, record: &[u8]) -> Lsn {
    log.append(record, Durability::Disk).unwrap_or_else(|error| panic!("the record is refused: {error:?}"))
}

pub fn append_all(log: &dyn Log, records: &[Vec<u8>]) {
    for record in records {
        append(log, record);
    }
}

/// Appends with [`Durability::Process`]. `None` if the log does not support that, which it must
/// report without logging anything (L5).
pub fn append_process(log: &dyn Log, record: &[u8]) -> Option<Lsn> {
    let before = log.bounds().appended;
    match log.append(record, Durability::Process) {
        Err(Error::UnsupportedDurability { durability: Durability::Process }) => {
            assert_eq!(log.bounds().appended, before, "L5: a refused record took a position");
            None
        }
        appended => Some(appended.unwrap_or_else(|error| panic!("the record is refused: {error:?}"))),
    }
}

/// Appends a record to `log` and to `records`, unless the log does not support the durability.
pub fn append_to(records: &mut Vec<Vec<u8>>, log: &dyn Log, record: Vec<u8>, durability: Durability) {
    let appended = match durability {
        Durability::Process => append_process(log, &record),
        _ => Some(append(log, &record)),
    };
    if appended.is_some() {
        records.push(record);
    }
}

pub fn sync_all(log: &dyn Log) -> Lsn {
    sync(log, log.bounds().appended)
}

pub fn sync(log: &dyn Log, upto: Lsn) -> Lsn {
    let durable = log.sync(upto).unwrap_or_else(|error| panic!("the log does not sync: {error:?}"));
    assert!(durable >= upto, "L3: sync up to {upto} returned {durable}");
    assert!(log.bounds().durable >= durable, "L3: sync returned {durable}, but the bounds say {:?}", log.bounds());
    durable
}

pub fn reader(log: &dyn Log, after: Lsn) -> Box<dyn LogReader> {
    log.reader(after).unwrap_or_else(|error| panic!("L7: no reader after {after}: {error:?}"))
}

pub fn next(reader: &mut dyn LogReader) -> Option<Read> {
    let record = reader.next().unwrap_or_else(|error| panic!("L7: reading fails: {error:?}"));
    record.map(|record| Read { epoch: record.epoch, lsn: record.lsn, payload: record.payload.to_vec() })
}

pub fn rest(reader: &mut dyn LogReader) -> Vec<Read> {
    std::iter::from_fn(|| next(reader)).collect()
}

pub fn read_after(log: &dyn Log, after: Lsn) -> Vec<Read> {
    rest(&mut *reader(log, after))
}

/// Asserts that `read` is exactly the records after `after` of a log whose record at position n is
/// `records[n - 1]`.
pub fn assert_read(read: &[Read], after: Lsn, records: &[Vec<u8>]) {
    for (index, read) in read.iter().enumerate() {
        let expected = after.0 + 1 + index as u64;
        assert_eq!(read.lsn.0, expected, "L7: a reader after {after} gave record {}, and not {expected}", read.lsn);
        let Some(record) = records.get(expected as usize - 1) else {
            panic!("L2: a record of {} bytes at position {expected} was never appended", read.payload.len());
        };
        assert!(
            *record == read.payload,
            "L2: the record at position {expected} is not the one appended there ({} bytes, not {})",
            read.payload.len(),
            record.len()
        );
    }
    let last = after.0 + read.len() as u64;
    assert_eq!(last, records.len() as u64, "L7: reading ended at position {last} of {}", records.len());
}

/// Asserts that the log holds exactly `records`, some of which it may have trimmed.
pub fn assert_holds(log: &dyn Log, records: &[Vec<u8>]) {
    assert_eq!(log.bounds().appended.0, records.len() as u64, "the log holds the wrong number of records");
    sync_all(log);
    let after = log.bounds().trimmed;
    assert_read(&read_after(log, after), after, records);
}

/// Asserts that the log holds exactly `records`, now and after a kill.
pub fn assert_holds_and_survives_kill(
    harness: &mut (impl LogHarness + ?Sized),
    log: Arc<dyn Log>,
    records: &[Vec<u8>],
) {
    assert_holds(&*log, records);
    harness.kill();
    drop(log);

    assert_holds(&*open(harness), records);
}

/// Asserts that the log holds a prefix of `records`, at least up to `at_least`, and returns its
/// length.
pub fn assert_holds_prefix(log: &dyn Log, records: &[Vec<u8>], at_least: Lsn) -> usize {
    let count = log.bounds().appended;
    assert!(count >= at_least, "the records up to {at_least} had to survive, but the log ends at {count}");
    assert!(
        count.0 <= records.len() as u64,
        "L9: the log has {count} records, but only {} were appended",
        records.len()
    );
    assert_holds(log, &records[..count.0 as usize]);
    count.0 as usize
}

pub fn assert_bounds(log: &dyn Log) {
    let bounds = log.bounds();
    let ordered = [bounds.trimmed, bounds.durable, bounds.written, bounds.appended];
    assert!(ordered.is_sorted(), "the bounds are out of order: {bounds:?}");
}

/// Asserts that a position beyond the end was refused, and that the error names both positions.
pub fn assert_misuse(call: &str, result: &Result<()>, position: Lsn, appended: Lsn) {
    let Err(error @ Error::Misuse(_)) = result else {
        panic!("{call} of position {position} gave {result:?}, though the last one is {appended}");
    };
    let said = error.to_string();
    let names = |position: Lsn| said.split(|c: char| !c.is_ascii_digit()).any(|word| word == position.to_string());
    assert!(
        names(position) && names(appended),
        "{call} of {position}, where the last is {appended}, says only: {said}"
    );
}
