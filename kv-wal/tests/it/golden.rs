//! Worked examples of the format. A change of these texts is a change of the format.

use std::fmt::Write;

use kv_core::{Durability, Log, Lsn};
use kv_testkit::vfs::TestVfs;
use kv_wal::SegmentedLog;

use crate::{
    memory::{Files, MemoryVfs},
    support::{append_and_sync, small},
};

fn dump(vfs: &MemoryVfs) -> String {
    let mut text = Vec::new();
    kv_wal::dump(vfs, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// All bytes that are not zero, in lines of sixteen.
fn hex(files: &Files, name: &str, upto: usize) -> String {
    let mut text = String::new();
    for (at, line) in files[name][..upto].chunks(16).enumerate().filter(|(_, line)| line.iter().any(|byte| *byte != 0))
    {
        write!(text, "{:06x} ", at * 16).unwrap();
        for byte in line {
            write!(text, " {byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_log_from_its_creation_to_its_seal_and_beyond() {
    let memory = MemoryVfs::new(&Files::new());
    let vfs = TestVfs::new(memory.clone());
    let open = || SegmentedLog::open(vfs.clone(), small()).unwrap();
    let log = open();
    insta::assert_snapshot!("created", dump(&memory));

    log.append(b"hello", Durability::Disk).unwrap();
    log.append(b"", Durability::Disk).unwrap();
    log.sync(Lsn(2)).unwrap();
    log.append(b"in a block of its own", Durability::Process).unwrap();
    insta::assert_snapshot!("written", dump(&memory));
    insta::assert_snapshot!("bytes", hex(&memory.files(), "0000000000000001.wal", 16 << 10));
    log.sync(Lsn(3)).unwrap();
    insta::assert_snapshot!("mark", hex(&memory.files(), "MARK", (64 << 10) + 128));

    log.append(&[b'x'; 20_000], Durability::Disk).unwrap();
    log.sync(Lsn(4)).unwrap();
    log.append(b"rolled over", Durability::Disk).unwrap();
    log.close().unwrap();
    drop(log);
    insta::assert_snapshot!("closed", dump(&memory));

    let log = open();
    append_and_sync(&log, 1);
    log.append(b"process", Durability::Process).unwrap();
    drop(log);
    insta::assert_snapshot!("killed", dump(&memory));

    let log = open();
    append_and_sync(&log, 1);
    insta::assert_snapshot!("continued", dump(&memory));
}
