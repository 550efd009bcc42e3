//! Long records, whose segments are not filled with zeroes.

use std::sync::Arc;

use kv_core::{Durability, Log};
use kv_testkit::{
    ManualScheduler,
    kernel::{changed_bytes, mapped_files},
};
use kv_wal::Options;

use crate::support::{Disk, read_all, small};

const RECORD_BYTES: usize = 50_000;

/// Whether space can be reserved without writing; `None` if the kernel does not count writes.
fn reserves_without_writing() -> Option<bool> {
    let disk = Disk::new();
    let file = disk.vfs().create("probe").unwrap();
    let before = changed_bytes()?;
    file.reserve(0, 1 << 20).unwrap();
    Some(changed_bytes()? - before < 1 << 18)
}

#[test]
fn each_byte_of_long_records_is_written_once() {
    let disk = Disk::new();
    // Nothing runs the job that prepares segments, so the appends do its work in this thread.
    let scheduler = Arc::new(ManualScheduler::new());
    let options = Options { segment_bytes_min: 256 << 10, segment_bytes_max: 256 << 10, scheduler, ..small() };
    let log = disk.open_with(options.clone()).unwrap();
    let append = |n: u8| log.append(&[n; RECORD_BYTES], Durability::Process).unwrap();
    (0..20).for_each(|n| _ = append(n)); // the first segments are filled
    let before = changed_bytes();
    (20..60).for_each(|n| _ = append(n));
    if let (Some(before), Some(after), Some(true)) = (before, changed_bytes(), reserves_without_writing()) {
        let (changed, appended) = (after - before, 40 * RECORD_BYTES as u64);
        assert!(changed < appended * 5 / 4, "{changed} bytes were changed for {appended}");
    }
    let stats = log.flush_stats();
    let filled = stats.segments - stats.reserved_segments;
    assert!((1..=3).contains(&filled) && stats.reserved_segments > 5, "{stats:?}");
    log.append(b"short", Durability::Process).unwrap();
    assert!(mapped_files(disk.path()).is_empty(), "what was not filled is not mapped");
    log.sync(log.bounds().appended).unwrap();
    drop(log);
    let log = disk.open_with(options).unwrap();
    let read = read_all(&log).unwrap();
    assert!(read.len() == 61 && read[60].1 == b"short");
    assert!(read[..60].iter().zip(0..).all(|((_, bytes), n)| *bytes == [n; RECORD_BYTES]));
}
