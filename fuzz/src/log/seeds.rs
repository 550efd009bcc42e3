//! Valid logs to start from.

use std::sync::{Arc, OnceLock};

use kv_core::{Durability, Log};
use kv_wal::SegmentedLog;

use crate::assertions::must_succeed;

use super::{BLOCK_BYTES, Folder, HEADER_BYTES, MARK, MARK_SLOT_BYTES, MARK_SLOTS_AT, noop_scheduler, segment_name};

/// A step of making a log.
enum Step {
    Append(usize, Durability),
    Sync,
    /// Reopens the log as after a kill: what was not written is gone.
    Reopen,
    CloseAndReopen,
}

use Step::{Append, CloseAndReopen, Reopen, Sync};

/// A log that was not closed; its mark proves the records of its first flush.
pub(super) fn killed() -> &'static Arc<Folder> {
    static LOG: OnceLock<Arc<Folder>> = OnceLock::new();
    LOG.get_or_init(|| made(&[Append(3, Durability::Disk), Sync]))
}

/// How many records are in it.
pub(super) fn killed_records() -> usize {
    3
}

/// A log whose second segment cuts the first, and has a few records.
pub(super) fn two_segments() -> &'static Arc<Folder> {
    static LOG: OnceLock<Arc<Folder>> = OnceLock::new();
    LOG.get_or_init(|| made(&[Append(3, Durability::Process), Reopen, Append(2, Durability::Disk), Sync]))
}

/// A log of one record of that length.
pub(super) fn one_record(bytes: usize) -> Arc<Folder> {
    let folder = Folder::new();
    let log = must_succeed(SegmentedLog::open(Arc::clone(&folder) as _, noop_scheduler::log_options(true)));
    must_succeed(log.append(&vec![7; bytes], Durability::Process));
    must_succeed(log.close());
    folder
}

fn made(steps: &[Step]) -> Arc<Folder> {
    let folder = Folder::new();
    let open = || must_succeed(SegmentedLog::open(Arc::clone(&folder) as _, noop_scheduler::log_options(true)));
    let mut log = open();
    for step in steps {
        match step {
            Append(records, durability) => {
                for n in 0..*records {
                    must_succeed(log.append(&vec![b'a' + n as u8; n * 9], *durability));
                }
            }
            Sync => {
                must_succeed(log.sync(log.bounds().appended));
            }
            Reopen | CloseAndReopen => {
                if matches!(step, CloseAndReopen) {
                    must_succeed(log.close());
                }
                drop(log);
                log = open();
            }
        }
    }
    drop(log);
    folder
}

fn logs() -> Vec<(&'static str, Arc<Folder>)> {
    let disk = |n| Append(n, Durability::Disk);
    let process = |n| Append(n, Durability::Process);
    vec![
        ("killed", Arc::clone(killed())),
        ("unsynced", made(&[process(4)])),
        ("closed", made(&[process(2), CloseAndReopen])),
        ("behind-a-seal", made(&[process(2), CloseAndReopen, process(2)])),
        ("two-flushes", made(&[disk(2), Sync, disk(3), Sync])),
        ("no-record", made(&[])),
    ]
}

/// The segment without the zeroes that fill it.
fn sparse(folder: &Folder, number: u64) -> Vec<u8> {
    let file = folder.bytes(&segment_name(number));
    [&file[..HEADER_BYTES], frames(folder, number).as_slice()].concat()
}

fn frames(folder: &Folder, number: u64) -> Vec<u8> {
    let file = folder.bytes(&segment_name(number));
    let end = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    file[BLOCK_BYTES..end.max(BLOCK_BYTES)].to_vec()
}

fn mark(folder: &Folder) -> Vec<u8> {
    let mut file = Vec::from(folder.bytes(MARK));
    file.resize(MARK_SLOTS_AT[1] + MARK_SLOT_BYTES, 0);
    MARK_SLOTS_AT.iter().flat_map(|at| &file[*at..at + MARK_SLOT_BYTES]).copied().collect()
}

/// The inputs to start from, by the target's name.
pub(crate) fn seeds(target: &str) -> Vec<crate::Seed> {
    let named = |name: &str, bytes| (name.to_owned(), bytes);
    match target {
        "frame" => {
            let frames = logs().into_iter().map(|(name, log)| named(name, frames(&log, 1)));
            frames.chain([named("records", b"\x03abc\x80\x00\x85value\x01x".to_vec())]).collect()
        }
        "segment" => logs().into_iter().map(|(name, log)| named(name, sparse(&log, 1))).collect(),
        "mark" => logs().into_iter().map(|(name, log)| named(name, mark(&log))).collect(),
        "start" => two_segment_logs().iter().map(|(name, log)| named(name, frames(log, 2))).collect(),
        _ => two_segment_logs().iter().map(|(name, log)| named(name, whole(log))).collect(),
    }
}

fn two_segment_logs() -> Vec<(&'static str, Arc<Folder>)> {
    let cut_by_all = made(&[Append(3, Durability::Process), Reopen, Append(2, Durability::Process), CloseAndReopen]);
    let rolled = made(&[Append(30, Durability::Process), Append(30, Durability::Process), Sync]);
    vec![("killed-and-reopened", Arc::clone(two_segments())), ("closed", cut_by_all), ("rolled-over", rolled)]
}

/// The input of the target `log` for these files.
fn whole(folder: &Folder) -> Vec<u8> {
    let first = sparse(folder, 1);
    [mark(folder), (first.len() as u16).to_le_bytes().to_vec(), first, sparse(folder, 2)].concat()
}
