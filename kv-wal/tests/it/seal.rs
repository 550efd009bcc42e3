//! What a seal proves, and what only the mark can prove: one damage after a power cut costs at most
//! the group that was flushed last, in whichever older or torn state the mark is left.

use std::sync::{Arc, OnceLock, Weak};

use kv_core::{
    Durability, Epoch, Error, Log, Lsn, Result,
    background::{Job, Scheduler, Wake},
};
use kv_testkit::{
    sim::SimDisk,
    vfs::{Fault, Kind, TestVfs},
};
use kv_vfs::Vfs;
use kv_wal::{Options, SegmentedLog, verify};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    memory::{Files, MemoryVfs},
    support::{append, append_and_sync, assert_holds, is_corrupt, read_all, record, small},
};

const BLOCK: usize = 4096;
const SLOT: usize = 128;
const SLOTS_AT: [usize; 2] = [0, 64 << 10];
const SEGMENT_ONE: &str = "0000000000000001.wal";

fn options() -> Options {
    Options { segment_bytes_min: 64 << 10, segment_bytes_max: 64 << 10, ..small() }
}

fn slot(files: &Files, at: usize) -> Vec<u8> {
    let mut slot = files["MARK"].get(at..).unwrap_or_default().to_vec();
    slot.resize(SLOT, 0);
    slot
}

/// A log that was closed, opened again, and then lost its power after some groups of one record
/// each.
struct Cut {
    files: Files,
    /// The states in which the power cut may leave each slot of the mark: every state since the
    /// mark was last synced, and a torn one.
    slots: [Vec<Vec<u8>>; 2],
    durable: u64,
}

/// Writes `before` groups, closes the log, writes `after` groups, and cuts the power.
fn cut(before: u64, after: u64) -> Cut {
    let memory = MemoryVfs::new(&Files::new());
    let log = SegmentedLog::open(memory.clone(), options()).unwrap();
    for _ in 0..before {
        append_and_sync(&log, 1);
    }
    log.close().unwrap();
    drop(log);
    let log = SegmentedLog::open(memory.clone(), options()).unwrap();
    append(&log, 1, Durability::Disk); // syncs the epoch in both slots
    let mut states = vec![memory.files()];
    for group in 0..after {
        if group > 0 {
            append(&log, 1, Durability::Disk);
        }
        log.sync(log.bounds().appended).unwrap();
        states.push(memory.files());
    }
    let durable = log.bounds().durable.0;
    assert_eq!(durable, before + after);
    drop(log);
    let slots = SLOTS_AT.map(|at| {
        let mut slots: Vec<_> = states.iter().map(|files| slot(files, at)).collect();
        slots.dedup();
        let newest = slots.len() - 1;
        let mut torn = slots[newest].clone();
        torn[60..].fill(0);
        // The other states hold positions between those of these two, so they need no check.
        let mut kept = vec![torn, slots[0].clone()];
        kept.extend((newest > 0).then(|| slots[newest].clone()));
        kept
    });
    Cut { files: memory.files(), slots, durable }
}

impl Cut {
    /// Every combination of states of the two slots.
    fn marks(&self) -> impl Iterator<Item = Arc<Vec<u8>>> {
        self.slots[0].iter().flat_map(|first| {
            self.slots[1].iter().map(move |second| {
                let mut mark = vec![0; SLOTS_AT[1] + SLOT];
                for (at, slot) in SLOTS_AT.into_iter().zip([first, second]) {
                    mark[at..at + SLOT].copy_from_slice(slot);
                }
                Arc::new(mark)
            })
        })
    }

    fn used_blocks(&self) -> Vec<usize> {
        let bytes = &self.files[SEGMENT_ONE];
        let is_used = |at: &usize| bytes[at * BLOCK..(at + 1) * BLOCK].iter().any(|byte| *byte != 0);
        (1..bytes.len() / BLOCK).filter(is_used).collect()
    }

    /// Opens what is left. It must be refused, or hold all but the last group. Returns whether it
    /// was refused.
    fn check(&self, files: &Files, what: &str) -> bool {
        let vfs = MemoryVfs::new(files);
        let log = match SegmentedLog::open(vfs.clone(), options()) {
            Err(error) => {
                assert!(is_corrupt(&error), "{what}: {error}");
                assert!(!verify(&*vfs).unwrap().is_empty(), "{what}: verify finds nothing");
                return true;
            }
            Ok(log) => log,
        };
        let last = log.bounds().durable.0;
        assert!(last + 1 >= self.durable, "{what}: {} acknowledged groups are hidden", self.durable - last);
        if let Err(error) = read_all(&log) {
            assert!(is_corrupt(&error), "{what}: {error}");
            return true; // a seal was believed; records before it are verified when they are read
        }
        assert_holds(&log, last);
        // No position that was durable is given out again, except that of the lost group.
        let lsn = append_and_sync(&log, 1);
        assert!(lsn.0 >= self.durable, "{what}: position {lsn} is given out again");
        drop(log);
        assert_holds(&SegmentedLog::open(vfs, options()).unwrap(), lsn.0);
        false
    }
}

#[test]
fn one_damage_after_a_power_cut_costs_at_most_the_last_group() {
    let mut refused = 0;
    // The seal lies in each block of the segment behind which the log can continue.
    for before in 1..=11 {
        for after in [1, 2, 3] {
            let cut = cut(before, after);
            for mark in cut.marks() {
                let mut files = cut.files.clone();
                files.insert("MARK".to_owned(), mark);
                assert!(!cut.check(&files, "no damage"), "refused without damage");
                let blocks = cut.used_blocks();
                for at in &blocks {
                    for kind in ["zeroed", "flipped", "replaced by the block before", "exchanged with the last one"] {
                        let what = format!("{before} + {after} groups, block {at} {kind}");
                        let mut files = files.clone();
                        let bytes = Arc::make_mut(files.get_mut(SEGMENT_ONE).unwrap());
                        match kind {
                            "zeroed" => bytes[at * BLOCK..][..BLOCK].fill(0),
                            "flipped" => bytes[at * BLOCK + 40] ^= 1,
                            "replaced by the block before" => {
                                bytes.copy_within((at - 1) * BLOCK..at * BLOCK, at * BLOCK);
                            }
                            _ => {
                                let last = *blocks.last().unwrap();
                                let (low, high) = bytes.split_at_mut(last * BLOCK);
                                if at < &last {
                                    low[at * BLOCK..][..BLOCK].swap_with_slice(&mut high[..BLOCK]);
                                }
                            }
                        }
                        refused += u32::from(cut.check(&files, &what));
                    }
                }
            }
        }
    }
    assert!(refused > 1000, "{refused} refused: this proves nothing");
}

/// The same, if the sealed segment is full and the log continues in the next one.
#[test]
fn the_loss_of_a_first_block_of_the_segment_after_a_seal_is_noticed() {
    let cut = cut(13, 3);
    let next = "0000000000000002.wal";
    assert!(cut.files[next][BLOCK] != 0, "the log continued in the segment of the seal");
    for mark in cut.marks() {
        for at in 1..4 {
            let mut files = cut.files.clone();
            files.insert("MARK".to_owned(), Arc::clone(&mark));
            Arc::make_mut(files.get_mut(next).unwrap())[at * BLOCK..][..BLOCK].fill(0);
            cut.check(&files, &format!("block {at} of the second segment zeroed"));
        }
    }
}

/// Two faults at once: a disk that lost the sync of the mark has also lost a block.
#[test]
fn an_old_mark_and_a_zeroed_block_behind_the_seal_hide_nothing() {
    let files = closed().files();
    let vfs = MemoryVfs::new(&files);
    let log = SegmentedLog::open(vfs.clone(), options()).unwrap();
    let end = BLOCK + files[SEGMENT_ONE][BLOCK..].chunks(BLOCK).position(|block| block[0] == 0).unwrap() * BLOCK;
    append_and_sync(&log, 1);
    append_and_sync(&log, 1);
    drop(log);
    let mut left = vfs.files();
    left.insert("MARK".to_owned(), Arc::clone(&files["MARK"]));
    Arc::make_mut(left.get_mut(SEGMENT_ONE).unwrap())[end..][..BLOCK].fill(0);
    let error = SegmentedLog::open(MemoryVfs::new(&left), options()).unwrap_err();
    assert!(is_corrupt(&error), "{error}");
}

fn closed() -> Arc<MemoryVfs> {
    let vfs = MemoryVfs::new(&Files::new());
    let log = SegmentedLog::open(vfs.clone(), options()).unwrap();
    append_and_sync(&log, 2);
    append_and_sync(&log, 2);
    log.close().unwrap();
    vfs
}

#[test]
fn a_seal_counts_without_a_mark_if_the_rest_of_the_log_is_unused() {
    let mut files = closed().files();
    files.remove("MARK");
    let log = SegmentedLog::open(MemoryVfs::new(&files), options()).unwrap();
    assert!(log.recovery().sealed);
    assert_holds(&log, 4);
}

/// One slot is enough to name the later epoch: the other may be torn or damaged.
#[test]
fn each_slot_of_the_mark_alone_overrules_an_older_seal() {
    let vfs = closed();
    let log = SegmentedLog::open(vfs.clone(), options()).unwrap();
    append(&log, 1, Durability::Disk);
    drop(log); // killed: the record is lost, but the opening has left its mark
    for at in SLOTS_AT {
        let mut files = vfs.files();
        Arc::make_mut(files.get_mut("MARK").unwrap())[at..][..SLOT].fill(0);
        let vfs = MemoryVfs::new(&files);
        let log = SegmentedLog::open(vfs, options()).unwrap();
        assert_eq!(log.recovery().epoch, Epoch(3), "the mark's epoch is never used again");
        assert_holds(&log, 4);
    }
}

/// The frames of a lost opening lie behind those of a later one. Their positions, identity and
/// checksums fit; only the epoch tells them apart.
#[test]
fn frames_of_another_epoch_are_not_taken_for_what_follows() {
    let closed = closed();
    let write = |epoch, count: usize| {
        let vfs = MemoryVfs::new(&closed.files());
        let log = SegmentedLog::open(vfs.clone(), Options { epoch_min: Epoch(epoch), ..options() }).unwrap();
        for n in 0..count {
            let lsn = log.append(format!("epoch {epoch}, {n}").as_bytes(), Durability::Disk).unwrap();
            log.sync(lsn).unwrap();
        }
        drop(log);
        vfs.files()
    };
    let (lost, mut files) = (write(2, 6), write(3, 1));
    let bytes = Arc::make_mut(files.get_mut(SEGMENT_ONE).unwrap());
    let end =
        BLOCK + bytes[BLOCK..].chunks(BLOCK).position(|block| block.iter().all(|byte| *byte == 0)).unwrap() * BLOCK;
    assert!(lost[SEGMENT_ONE][end] != 0, "the lost opening wrote further");
    bytes[end..].copy_from_slice(&lost[SEGMENT_ONE][end..]);
    let error = SegmentedLog::open(MemoryVfs::new(&files), options()).unwrap_err();
    let Error::Corrupt { offset: Some(offset), detail, .. } = &error else { panic!("{error}") };
    assert_eq!(*offset, end as u64, "{error}");
    assert!(detail.contains("another epoch"), "{error}");
}

#[test]
fn a_mark_that_cannot_be_read_is_as_good_as_none() {
    let memory = closed();
    for kind in [Kind::Open, Kind::Read] {
        let vfs = TestVfs::new(memory.clone());
        vfs.fail(Fault::on(kind).of("MARK").for_ever());
        let log = SegmentedLog::open(vfs.clone(), options()).unwrap();
        assert_holds(&log, 4);
        log.close().unwrap();
        drop(log);
        assert!(verify(&*vfs).unwrap().is_empty());
    }
}

#[test]
fn reading_on_a_medium_that_takes_no_write_writes_nothing_and_poisons_nothing() {
    let disk = SimDisk::new(1);
    let log = SegmentedLog::open(disk.vfs(), options()).unwrap();
    append(&log, 4, Durability::Process);
    drop(log); // killed: the mark states less than recovery finds
    let disk = disk.killed();
    let changes = [Kind::Create, Kind::Write, Kind::Rename, Kind::Remove, Kind::SetLen];
    disk.fail(Fault::when(move |event| changes.contains(&event.kind)));
    let log = SegmentedLog::open(disk.vfs(), options()).unwrap();
    assert_holds(&log, 4);
    assert!(matches!(log.sync(Lsn(4)), Err(Error::Io { .. })), "the mark cannot state it");
    disk.heal();
    assert_eq!(log.sync(Lsn(4)).unwrap(), Lsn(4));
    append_and_sync(&log, 1);
    assert_holds(&log, 5);
}

#[test]
fn a_log_of_an_older_format_is_told_from_a_damaged_one() {
    let older = |files: &Files, name: &str, header: usize| {
        let mut files = files.clone();
        let bytes = Arc::make_mut(files.get_mut(name).unwrap());
        bytes[16] = 1;
        let checksum = xxh3_64(&bytes[16..header]);
        bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
        files
    };
    let files = closed().files();
    for (name, header) in [(SEGMENT_ONE, BLOCK), ("MARK", SLOT)] {
        let vfs = MemoryVfs::new(&older(&files, name, header));
        let error = SegmentedLog::open(vfs.clone(), options()).unwrap_err();
        assert!(
            matches!(&error, Error::OlderVersion { place, .. } if place.path().unwrap().ends_with(name)),
            "{error}"
        );
        assert!(error.to_string().contains("written by an older version: format version 1"), "{error}");
        assert!(matches!(verify(&*vfs).unwrap()[0], Error::OlderVersion { .. }));
    }
}

/// Each record is read with the epoch of the opening that wrote it.
#[test]
fn what_follows_a_seal_is_read_with_its_own_epoch() {
    let vfs = closed();
    let log = SegmentedLog::open(vfs.clone(), options()).unwrap();
    append_and_sync(&log, 1);
    drop(log);
    let log = SegmentedLog::open(vfs, options()).unwrap();
    let mut reader = log.reader(Lsn(3)).unwrap();
    let epochs: Vec<_> = (0..2).map(|_| reader.next().unwrap().unwrap().epoch).collect();
    assert_eq!(epochs, [Epoch(1), Epoch(2)]);
    assert_eq!(read_all(&log).unwrap()[4].1, record(5));
}

/// A first write that is refused is tried again. Meanwhile a copy may have taken the mark's name,
/// as happens where a file system is asked to overwrite the mark in place. The marks must go to the
/// file that has the name.
#[test]
fn a_begin_that_is_tried_again_writes_the_mark_that_has_the_name() {
    let memory = closed();
    let vfs = TestVfs::new(memory.clone());
    let log = SegmentedLog::open(vfs.clone(), options()).unwrap();
    vfs.fail(Fault::on(Kind::Write).of("MARK").nth(2).with(std::io::ErrorKind::StorageFull));
    assert!(matches!(log.append(&record(5), Durability::Disk), Err(Error::DiskFull { .. })));
    let copy = memory.create("copy").unwrap();
    copy.write_all_at(&memory.files()["MARK"], 0).unwrap();
    memory.rename("copy", "MARK").unwrap();
    vfs.heal();
    append_and_sync(&log, 1);
    drop(log);

    let mut files = memory.files();
    let bytes = Arc::make_mut(files.get_mut(SEGMENT_ONE).unwrap());
    let last = (1..bytes.len() / BLOCK).rev().find(|at| bytes[at * BLOCK] != 0).unwrap();
    bytes[last * BLOCK..][..BLOCK].fill(0);
    let opened = SegmentedLog::open(MemoryVfs::new(&files), options());
    assert!(opened.is_err_and(|error| is_corrupt(&error)), "the mark states what was acknowledged");
}

/// A scheduler that calls a function when its job is ended, and never runs the job.
struct AtTheEnd(Arc<dyn Fn() + Send + Sync>);

struct EndedJob(Arc<dyn Fn() + Send + Sync>);

impl Scheduler for AtTheEnd {
    fn spawn(&self, _: &'static str, _: Box<dyn Job>) -> Result<Box<dyn Wake>> {
        Ok(Box::new(EndedJob(Arc::clone(&self.0))))
    }
}

impl Wake for EndedJob {
    fn wake(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for EndedJob {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// `close` ends the job after everything was made durable and before the seal is written.
#[test]
fn a_log_that_fails_for_good_while_it_is_closed_gets_no_seal() {
    let vfs = TestVfs::new(MemoryVfs::new(&Files::new()));
    let shared: Arc<OnceLock<Weak<SegmentedLog>>> = Arc::default();
    let trim = {
        let (vfs, shared) = (Arc::clone(&vfs), Arc::clone(&shared));
        move || {
            vfs.fail(Fault::on(Kind::SyncDirectory));
            let log = shared.get().and_then(Weak::upgrade).unwrap();
            assert!(matches!(log.trim(Lsn(2)), Err(Error::Poisoned { .. })));
        }
    };
    let options = || Options { segment_bytes_min: 16 << 10, ..small() };
    let scheduler = Arc::new(AtTheEnd(Arc::new(trim)));
    let log = Arc::new(SegmentedLog::open(vfs.clone(), Options { scheduler, ..options() }).unwrap());
    shared.set(Arc::downgrade(&log)).unwrap();
    for _ in 0..4 {
        let lsn = log.append(&[1; 6000], Durability::Disk).unwrap();
        log.sync(lsn).unwrap();
    }
    assert!(matches!(log.close(), Err(Error::Poisoned { .. })));
    drop(log);
    vfs.heal();
    assert!(!SegmentedLog::open(vfs, options()).unwrap().recovery().sealed);
}
