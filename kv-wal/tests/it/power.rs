//! Power cuts: in whatever state a power cut leaves the disk, the log opens with a prefix that
//! holds everything acknowledged.

use std::sync::Arc;

use kv_core::{Durability, Log, Lsn};
use kv_wal::{SegmentedLog, verify};

use crate::{
    memory::{Files, MemoryVfs},
    support::{append_and_sync, assert_holds, record, small},
};

/// What a user of the log knows.
#[derive(Clone, Default)]
struct Known {
    /// Acknowledged as durable, or returned by a reader.
    durable: u64,
    appended: u64,
}

/// One opening: some appends, syncs, and trims of durable records; then closed, or just dropped.
fn work(vfs: &Arc<MemoryVfs>, rng: &mut fastrand::Rng, known: &mut Known, crash: &mut dyn FnMut(&Known)) {
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    known.durable = log.bounds().durable.0;
    known.appended = known.durable;
    for _ in 0..rng.u32(0..12) {
        match rng.u8(0..10) {
            0..6 => {
                let durability = if rng.bool() { Durability::Process } else { Durability::Disk };
                known.appended += 1;
                let mut bytes = record(known.appended);
                if rng.u8(0..8) == 0 {
                    bytes.resize(rng.usize(bytes.len()..20_000), 7);
                }
                // The added bytes do not follow from the position and are not compared.
                log.append(&bytes, durability).unwrap();
            }
            6..9 => known.durable = log.sync(Lsn(rng.u64(known.durable..=known.appended))).unwrap().0,
            _ => log.trim(Lsn(rng.u64(0..=known.appended))).unwrap(),
        }
        crash(known);
    }
    if rng.bool() {
        log.close().unwrap();
        known.durable = known.appended;
    }
    drop(log);
    crash(known);
}

fn check(files: &Files, known: &Known, what: &str) -> Arc<MemoryVfs> {
    let vfs = MemoryVfs::new(files);
    let damages = verify(&*vfs).unwrap();
    assert!(damages.is_empty(), "{what}: {damages:?}");
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap_or_else(|error| panic!("{what}: locked out: {error}"));
    let bounds = log.bounds();
    let last = bounds.durable.0;
    assert!((known.durable..=known.appended).contains(&last), "{what}: {last} of {} {}", known.durable, known.appended);
    let mut reader = log.reader(bounds.trimmed).unwrap();
    for lsn in bounds.trimmed.0 + 1..=last {
        let read = reader.next().unwrap().unwrap();
        assert!(read.lsn == Lsn(lsn) && read.payload.starts_with(&record(lsn)), "{what}: wrong bytes at {lsn}");
    }
    vfs
}

fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut known = Known::default();
    let mut vfs = MemoryVfs::new(&Files::new());
    // Each opening works on what a power cut or a kill left of the one before, so several crashes
    // follow each other.
    for opening in 0..6 {
        let mut crashes = rng.fork();
        work(&vfs, &mut rng, &mut known, &mut |known| {
            check(&vfs.cut_power(&mut crashes), known, &format!("seed {seed}, opening {opening}"));
        });
        if rng.u8(0..3) != 0 {
            vfs = MemoryVfs::new(&vfs.cut_power(&mut rng));
        }
    }
}

#[test]
fn whatever_a_power_cut_leaves_opens_with_everything_acknowledged() {
    for seed in 0..400 {
        run(seed);
    }
}

#[test]
fn a_cut_is_made_durable_by_the_next_segment() {
    let mut rng = fastrand::Rng::with_seed(1);
    let vfs = MemoryVfs::new(&Files::new());
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    for _ in 0..3 {
        log.append(&[1; 3000], Durability::Process).unwrap();
    }
    drop(log);
    // Cut the power in many ways, and write another record at a position that may have been torn.
    for _ in 0..50 {
        let torn = MemoryVfs::new(&vfs.cut_power(&mut rng));
        let log = SegmentedLog::open(torn.clone(), small()).unwrap();
        let last = log.bounds().appended.0;
        let other = log.append(b"other", Durability::Disk).unwrap();
        assert_eq!(log.sync(other).unwrap().0, last + 1);
        drop(log);
        let log = SegmentedLog::open(MemoryVfs::new(&torn.cut_power(&mut rng)), small()).unwrap();
        let mut reader = log.reader(Lsn(last)).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().payload, b"other");
        assert_eq!(reader.next().unwrap(), None);
    }
}

#[test]
fn a_record_is_durable_before_a_reader_gives_it() {
    let mut rng = fastrand::Rng::with_seed(2);
    let vfs = MemoryVfs::new(&Files::new());
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    for lsn in 1..=20 {
        log.append(&record(lsn), Durability::Process).unwrap();
    }
    drop(log);
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    assert_holds(&log, 20);
    for _ in 0..20 {
        let cut = MemoryVfs::new(&vfs.cut_power(&mut rng));
        assert_holds(&SegmentedLog::open(cut, small()).unwrap(), 20);
    }
}
