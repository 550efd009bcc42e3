//! Damage is refused or harmless: no wrong data is returned, and nothing is lost that was
//! acknowledged as durable.

use std::sync::Arc;

use kv_core::{Durability, Error, Log, Lsn};
use kv_wal::{Options, SegmentedLog, verify};

use crate::{
    memory::{Files, MemoryVfs},
    support::{Disk, append, append_and_sync, is_corrupt, read_all, record, small},
};

/// A log as a process left it, closed or killed.
struct Left {
    files: Files,
    /// The last position that was appended.
    last: u64,
    /// The last position that was acknowledged as durable.
    acknowledged: u64,
    /// The last position that was durable before the last flush.
    proven: u64,
}

/// Three openings: the first is closed, the second killed with unflushed records, the third killed,
/// or closed if `sealed`. The result has several epochs, an overruled seal, a roll-over, a
/// truncated tail, void segments and a spare.
fn left(sealed: bool) -> Left {
    let vfs = MemoryVfs::new(&Files::new());
    let open = || SegmentedLog::open(vfs.clone(), small()).unwrap();
    let log = open();
    append_and_sync(&log, 5);
    log.close().unwrap();
    drop(log);
    let log = open();
    append_and_sync(&log, 3);
    append(&log, 3, Durability::Process);
    drop(log);
    let log = open();
    append_and_sync(&log, 2);
    append_and_sync(&log, 6);
    let proven = log.bounds().durable.0;
    let acknowledged = append_and_sync(&log, 4).0;
    let last = append(&log, if sealed { 0 } else { 3 }, Durability::Process).0;
    if sealed {
        log.close().unwrap();
    }
    drop(log);
    Left { files: vfs.files(), last, acknowledged, proven }
}

impl Left {
    fn without_mark(mut self) -> Self {
        self.files.remove("MARK");
        self
    }

    fn segments(&self) -> Vec<String> {
        self.files.keys().filter(|name| name.ends_with(".wal")).cloned().collect()
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Arc<MemoryVfs> {
        let mut files = self.files.clone();
        change(Arc::make_mut(files.get_mut(name).unwrap()));
        MemoryVfs::new(&files)
    }

    /// Opens the damaged log and reads it. It must be refused, or give a prefix with everything
    /// that had to survive. Returns whether it was refused.
    fn check(&self, vfs: &Arc<MemoryVfs>, must_survive: u64, what: &str) -> bool {
        let log = match SegmentedLog::open(vfs.clone(), small()) {
            Ok(log) => log,
            Err(error) => {
                assert!(is_corrupt(&error), "{what}: {error}");
                assert!(!verify(&**vfs).unwrap().is_empty(), "{what}: refused, but verify finds nothing");
                return true;
            }
        };
        assert!(log.bounds().appended.0 <= self.last, "{what}: {:?}", log.bounds());
        let mut reader = log.reader(Lsn::START).unwrap();
        for lsn in 1.. {
            match reader.next() {
                Ok(Some(read)) => {
                    assert_eq!(read.lsn, Lsn(lsn), "{what}");
                    assert!(lsn <= self.last && read.payload == record(lsn), "{what}: wrong bytes at {lsn}");
                }
                Ok(None) => {
                    assert!(lsn > must_survive, "{what}: lost from {lsn} on, which had to survive");
                    break;
                }
                Err(error) => {
                    assert!(is_corrupt(&error), "{what}: {error}");
                    return true;
                }
            }
        }
        false
    }

    /// What was truncated stays so: new records go behind the truncation, and the next opening
    /// finds them.
    fn check_going_on(&self, vfs: &Arc<MemoryVfs>, what: &str) {
        let Ok(log) = SegmentedLog::open(vfs.clone(), small()) else { return };
        let Ok(before) = read_all(&log) else { return };
        let last = append_and_sync(&log, 2);
        drop(log);
        let log = SegmentedLog::open(vfs.clone(), small()).unwrap_or_else(|error| panic!("{what}: then {error}"));
        let after = read_all(&log).unwrap();
        assert_eq!(log.bounds().appended, last, "{what}");
        assert!(after.starts_with(&before) && after.len() == before.len() + 2, "{what}");
        assert!(after.iter().all(|(lsn, bytes)| *bytes == record(*lsn)), "{what}");
    }
}

/// Every offset at or near a byte that is not zero, and some of the others.
fn interesting_offsets(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let near: Vec<bool> = bytes.chunks(16).map(|chunk| chunk.iter().any(|byte| *byte != 0)).collect();
    (0..bytes.len()).filter(move |at| near[at / 16] || at % 256 == 0)
}

/// Flips every bit, or one bit of each byte, one at a time, and checks each result.
fn flip_bits(left: &Left, must_survive: u64, all: bool) {
    let (mut refused, mut served) = (0, 0);
    for (name, bytes) in &left.files {
        for at in interesting_offsets(bytes) {
            for bit in (0..8).filter(|bit| all || at % 8 == *bit) {
                let what = format!("bit {bit} of byte {at} of {name}");
                let vfs = left.with(name, |bytes| bytes[at] ^= 1 << bit);
                if left.check(&vfs, must_survive, &what) {
                    refused += 1;
                } else {
                    served += 1;
                    if (at + bit) % 16 == 0 {
                        left.check_going_on(&vfs, &what);
                    }
                }
            }
        }
    }
    assert!(refused > 200 && served > 20, "refused {refused}, served {served}: this proves nothing");
}

#[test]
fn flipped_bits_in_a_killed_log() {
    let left = left(false);
    flip_bits(&left, left.acknowledged, true);
}

#[test]
fn flipped_bits_in_a_killed_log_whose_mark_is_gone() {
    let left = left(false).without_mark();
    flip_bits(&left, left.proven, false);
}

#[test]
fn flipped_bits_in_a_closed_log() {
    let left = left(true);
    flip_bits(&left, left.acknowledged, true);
}

#[test]
fn zeroed_blocks() {
    for sealed in [false, true] {
        let left = left(sealed);
        for (name, bytes) in &left.files {
            for at in (0..bytes.len()).step_by(4096) {
                let what = format!("block at {at} of {name}, sealed: {sealed}");
                let vfs = left.with(name, |bytes| bytes[at..].iter_mut().take(4096).for_each(|byte| *byte = 0));
                if !left.check(&vfs, left.acknowledged, &what) {
                    left.check_going_on(&vfs, &what);
                }
            }
        }
    }
}

#[test]
fn a_log_cut_at_every_byte_gives_a_prefix_or_the_mark_proves_damage() {
    for sealed in [false, true] {
        let mut with_mark = left(sealed);
        let mut prefixes = Vec::new();
        while let Some(name) = with_mark.segments().pop() {
            let bytes = Arc::clone(&with_mark.files[&name]);
            for len in interesting_offsets(&bytes).collect::<Vec<_>>().into_iter().rev() {
                let what = format!("{name} cut to {len}, sealed: {sealed}");
                let vfs = with_mark.with(&name, |bytes| bytes.truncate(len));
                with_mark.check(&vfs, with_mark.acknowledged, &what);
                let mut files = vfs.files();
                files.remove("MARK");
                let vfs = MemoryVfs::new(&files);
                match SegmentedLog::open(vfs.clone(), small()) {
                    // The header is complete before the file gets its name, so a damaged one is
                    // damage.
                    Err(error) => assert!(is_corrupt(&error) && len < 4096, "{what}: {error}"),
                    Ok(log) => {
                        prefixes.push(log.bounds().appended.0);
                        drop(log);
                        assert!(!with_mark.check(&vfs, 0, &what), "{what}: refused without proof");
                        with_mark.check_going_on(&vfs, &what);
                    }
                }
            }
            with_mark.files.remove(&name);
        }
        prefixes.dedup();
        let every: Vec<u64> = (0..=with_mark.last).rev().collect();
        assert_eq!(prefixes, every);
    }
}

/// A log whose second opening found a torn tail from position 4 on, followed by records that had
/// reached the disk, some of them in a segment of their own. It truncated the tail and wrote other
/// records at the same positions.
fn left_with_void_records() -> Left {
    let vfs = MemoryVfs::new(&Files::new());
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 3);
    append(&log, 1, Durability::Process);
    let void = [0; 4000];
    for _ in 0..6 {
        log.append(&void, Durability::Process).unwrap();
    }
    drop(log);
    let mut files = vfs.files();
    let lost = files.get_mut(&segment_one()).unwrap();
    let at = lost.windows(record(4).len()).position(|bytes| *bytes == record(4)).unwrap();
    assert!(at > 8192, "record 4 lies in a block of its own");
    Arc::make_mut(lost)[at / 4096 * 4096..][..4096].fill(0);
    let vfs = MemoryVfs::new(&files);
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    assert_eq!(log.recovery().last, Lsn(3));
    assert!(log.recovery().torn.is_some());
    append_and_sync(&log, 1);
    let proven = log.bounds().durable.0;
    let last = append_and_sync(&log, 1).0;
    drop(log);
    Left { files: vfs.files(), last, acknowledged: last, proven }
}

#[test]
fn flipped_bits_bring_no_void_record_back() {
    let left = left_with_void_records();
    flip_bits(&left, left.acknowledged, false);
    let left = left.without_mark();
    flip_bits(&left, left.proven, false);
}

#[test]
fn a_segment_with_remains_of_lost_writes_is_not_written_again() {
    let vfs = MemoryVfs::new(&Files::new());
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append(&log, 1, Durability::Process);
    log.append(&[1; 6000], Durability::Process).unwrap();
    drop(log);
    let mut files = vfs.files();
    Arc::make_mut(files.get_mut(&segment_one()).unwrap())[4096..8192].fill(0);
    files.retain(|name, _| *name == segment_one() || name == "MARK");
    let vfs = MemoryVfs::new(&files);
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    assert_eq!(log.recovery().last, Lsn::START);
    append_and_sync(&log, 1);
    assert!(vfs.files()[&segment_one()] == files[&segment_one()]);
}

#[test]
fn a_missing_segment_is_noticed() {
    for sealed in [false, true] {
        let left = left(sealed);
        let segments = left.segments();
        let last_written = segments.iter().rposition(|name| left.files[name][4096] != 0).unwrap();
        for (at, name) in segments.iter().enumerate() {
            let mut files = left.files.clone();
            files.remove(name);
            let opened = SegmentedLog::open(MemoryVfs::new(&files), small());
            match opened {
                Err(error) => assert!(at >= last_written && is_corrupt(&error), "{name}: {error}"),
                Ok(log) if at > last_written => assert_eq!(log.bounds().appended.0, left.last, "the spare"),
                Ok(log) => {
                    // An older segment may have been trimmed: a reader that needs it gets an error.
                    assert!(at < last_written);
                    let trimmed = log.bounds().trimmed;
                    assert!(trimmed == Lsn::START || matches!(log.reader(Lsn::START), Err(Error::Trimmed { .. })));
                    for (lsn, bytes) in read_all(&log).unwrap() {
                        assert_eq!(bytes, record(lsn));
                    }
                }
            }
        }
    }
}

/// Each segment was durable before the next one was created. So a gap before the spare is proof
/// enough.
#[test]
fn a_missing_segment_before_the_spare_is_noticed_without_the_mark() {
    for sealed in [false, true] {
        let mut left = left(sealed).without_mark();
        let segments = left.segments();
        let last_written = segments.iter().rposition(|name| left.files[name][4096] != 0).unwrap();
        assert!(last_written + 1 < segments.len(), "there is no spare");
        left.files.remove(&segments[last_written]);
        let error = SegmentedLog::open(MemoryVfs::new(&left.files), small()).unwrap_err();
        assert!(is_corrupt(&error) && error.to_string().contains(&segments[last_written]), "{error}");
    }
}

/// A spare that is too small is replaced under its number. If the old file comes back after records
/// were written to the new one, it must not pass for a trimmed segment: the records are lost, and
/// opening must fail.
#[test]
fn a_segment_that_was_replaced_is_not_one_that_was_trimmed() {
    let vfs = MemoryVfs::new(&Files::new());
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    let spare = "0000000000000002.wal";
    let old = Arc::clone(&vfs.files()[spare]);
    for _ in 0..2 {
        log.append(&[7; 20_000], Durability::Disk).unwrap(); // too large for a spare
        log.sync(log.bounds().appended).unwrap();
    }
    drop(log);
    let mut files = vfs.files();
    assert!(files[spare] != old && files[spare][4096] != 0, "the spare was not replaced and used");
    files.insert(spare.to_owned(), old);
    let vfs = MemoryVfs::new(&files);
    let error = SegmentedLog::open(vfs.clone(), small()).unwrap_err();
    assert!(is_corrupt(&error) && error.to_string().contains(spare), "{error}");
    assert!(!verify(&*vfs).unwrap().is_empty());
}

#[test]
fn a_refusal_names_the_place_and_changes_nothing() {
    let left = left(false);
    let is_written = |name: &&String| left.files[*name][4096] != 0;
    let name = left.segments().iter().rev().find(is_written).unwrap().clone();
    let vfs = left.with(&name, |bytes| bytes[4096 + 100] ^= 1);
    let before = vfs.files();
    let error = SegmentedLog::open(vfs.clone(), small()).unwrap_err();
    let Error::Corrupt { place, offset: Some(offset), detail } = &error else { panic!("{error}") };
    assert!(place.path().unwrap().ends_with(&name), "{error}");
    assert!((4096..8192).contains(offset), "{error}");
    assert!(detail.contains("lost from position"), "{error}");
    assert!(vfs.files() == before);
    assert_eq!(verify(&*vfs).unwrap().len(), 1);
}

#[test]
fn segments_of_another_log_are_refused() {
    let (one, mut other) = (left(false), left(false));
    let vfs = MemoryVfs::new(&[("x".to_owned(), Arc::default())].into());
    let log = SegmentedLog::open(vfs.clone(), small()).unwrap();
    append_and_sync(&log, 1);
    drop(log);
    let foreign = vfs.files();
    other.files.insert("MARK".to_owned(), Arc::clone(&foreign["MARK"]));
    assert!(SegmentedLog::open(MemoryVfs::new(&other.files), small()).is_err_and(|error| is_corrupt(&error)));
    let mut files = one.files;
    files.insert(segment_one(), Arc::clone(&foreign[&segment_one()]));
    assert!(SegmentedLog::open(MemoryVfs::new(&files), small()).is_err_and(|error| is_corrupt(&error)));
}

fn segment_one() -> String {
    "0000000000000001.wal".to_owned()
}

/// A killed log whose flushes all lie in one segment, one block each.
fn left_in_one_segment() -> Left {
    let vfs = MemoryVfs::new(&Files::new());
    let options = Options { segment_bytes_min: 64 << 10, segment_bytes_max: 64 << 10, ..small() };
    let log = SegmentedLog::open(vfs.clone(), options).unwrap();
    let [proven, last] = [10, 2].map(|count| (0..count / 2).map(|_| append_and_sync(&log, 2).0).last().unwrap());
    Left { files: vfs.files(), last, acknowledged: last, proven }
}

/// Blocks that the disk wrote to, or read from, the wrong place.
#[test]
fn moved_blocks() {
    const BLOCK: usize = 4096;
    for left in [left(false), left(true), left_in_one_segment()] {
        let mut refused = 0;
        let blocks: Vec<_> = left
            .segments()
            .into_iter()
            .flat_map(|name| (0..left.files[&name].len().min(8 * BLOCK) / BLOCK).map(move |at| (name.clone(), at)))
            .collect();
        for (from, from_at) in &blocks {
            let block = &left.files[from][from_at * BLOCK..][..BLOCK];
            for (to, to_at) in &blocks {
                let what = format!("block {to_at} of {to} replaced by block {from_at} of {from}");
                let vfs = left.with(to, |bytes| bytes[to_at * BLOCK..][..BLOCK].copy_from_slice(block));
                if left.check(&vfs, left.acknowledged, &what) {
                    refused += 1;
                    assert!(!verify(&*vfs).unwrap().is_empty(), "{what}: verify finds nothing");
                }
            }
        }
        assert!(refused > 50, "refused {refused}: this proves nothing");
    }
}

/// A block that another log wrote at the same place, with the same length and position, is not
/// valid.
#[test]
fn a_block_of_another_log_does_not_pass() {
    let log = |record: &[u8]| {
        let disk = Disk::new();
        let log = disk.open().unwrap();
        for _ in 0..3 {
            log.append(record, Durability::Disk).unwrap();
            log.sync(log.bounds().appended).unwrap();
        }
        disk
    };
    let (one, other) = (log(b"one"), log(b"two"));
    let segment = &one.segments()[0];
    let [mut bytes, foreign] = [&one, &other].map(|disk| std::fs::read(disk.file(segment)).unwrap());
    bytes[8192..12288].copy_from_slice(&foreign[8192..12288]); // the second record's
    one.write(segment, &bytes);
    let error = one.open().and_then(|log| read_all(&log)).unwrap_err();
    assert!(is_corrupt(&error), "{error}");
}
