//! Every operation that changes the disk, from a log's creation to a recovery. A missing or
//! superfluous write, sync or rename shows as a difference.

use std::fmt::Write;

use kv_core::{Durability, Log, Lsn};
use kv_testkit::sim::{CrashChoice, CrashModel, SimDisk, Survivors};
use kv_wal::SegmentedLog;

use crate::support::small;

/// The operations on a disk, step by step.
struct Trace {
    disk: SimDisk,
    text: String,
}

impl Trace {
    fn note(&mut self, name: &str) {
        writeln!(self.text, "# {name}\n{}", self.disk.take_trace()).unwrap();
    }

    fn put(&mut self, name: &str, log: &SegmentedLog, bytes: usize) {
        let lsn = log.append(&vec![b'x'; bytes], Durability::Disk).unwrap();
        log.sync(lsn).unwrap();
        self.note(name);
    }
}

#[test]
fn life_of_a_log() {
    let disk = SimDisk::new(1);
    let open = || SegmentedLog::open(disk.vfs(), small()).unwrap();
    let mut trace = Trace { disk: disk.clone(), text: String::new() };
    let log = open();
    trace.note("creating");
    trace.put("the first record on disk", &log, 10);
    trace.put("the second", &log, 10);
    log.append(b"process", Durability::Process).unwrap();
    trace.note("one that survives the process");
    log.append(b"process", Durability::Process).unwrap();
    trace.note("and another");
    log.sync(Lsn(4)).unwrap();
    trace.note("the sync of both");
    log.sync(Lsn(4)).unwrap();
    trace.note("a sync of what is durable");
    trace.put("roll-over to the next segment", &log, 10_000);
    trace.put("a record larger than a segment", &log, 20_000);
    log.trim(Lsn(5)).unwrap();
    trace.note("trimming");
    log.close().unwrap();
    trace.note("a clean close");
    drop(log);
    let log = open();
    assert_eq!(log.bounds().durable, Lsn(6));
    trace.note("opening again");
    trace.put("the first record after it", &log, 10);

    trace.disk = disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
    drop(log);
    let log = SegmentedLog::open(trace.disk.vfs(), small()).unwrap();
    assert_eq!(log.bounds().durable, Lsn(7));
    trace.note("recovery after a power cut");
    trace.put("the first record after it", &log, 10);
    insta::assert_snapshot!(trace.text);
}
