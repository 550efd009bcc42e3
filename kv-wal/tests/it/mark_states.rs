//! One damaged block after a power cut, with every state in which the power cut may leave the ack
//! mark. It costs at most the last flushed group, and never a record that a later frame or the mark
//! proves.

use std::sync::Arc;

use kv_core::{Log, Lsn};
use kv_testkit::sim::{CrashChoice, CrashModel, Damage, Remains, SimDisk, Survivors};
use kv_wal::{Options, SegmentedLog};

use crate::support::{Inline, append_and_sync, is_corrupt, read_all, record};

const BLOCK: usize = 4096;

/// Up to this many states of a slot are combined with all states of the other slot. If there are
/// more, only the oldest, the newest and torn ones are combined.
const WHOLE_MAX: usize = 8;

fn options(blocks: u64) -> Options {
    let bytes = blocks * BLOCK as u64;
    Options { segment_bytes_min: bytes, segment_bytes_max: bytes, scheduler: Arc::new(Inline), ..Options::default() }
}

/// A log that was closed with its seal in a given block of its segment, and to which a second
/// opening wrote some groups.
struct Left {
    disk: SimDisk,
    options: Options,
    last: u64,
}

impl Left {
    fn new(blocks: u64, seal: u64, groups: u64) -> Self {
        let (disk, options) = (SimDisk::new(1), options(blocks));
        let log = SegmentedLog::open(disk.vfs(), options.clone()).unwrap();
        for _ in 1..seal {
            append_and_sync(&log, 1);
        }
        log.close().unwrap();
        drop(log);
        assert!(used_blocks(&disk).ends_with(&[seal as usize]), "the seal is in another block");
        let log = SegmentedLog::open(disk.vfs(), options.clone()).unwrap();
        let last = (0..groups).map(|_| append_and_sync(&log, 1).0).last().unwrap();
        let left = disk.crash(&CrashChoice { model: CrashModel::Killed, survivors: Survivors::Everything });
        Self { disk: left, options, last }
    }

    /// The disk with these states of the slots; everything else was flushed.
    fn with_mark(&self, slots: &[(u64, &[u8])]) -> SimDisk {
        let left = self.disk.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Everything });
        for (sector, bytes) in slots {
            left.damage("MARK", &Damage::ForeignSector(*sector, bytes.to_vec()));
        }
        left
    }

    /// Checks that the log is refused, or lacks at most the last group, and that later records are
    /// never mixed with what was lost.
    fn check(&self, disk: &SimDisk, what: &str) {
        let open = || SegmentedLog::open(disk.vfs(), self.options.clone());
        let log = match open() {
            Err(error) => return assert!(is_corrupt(&error), "{what}: {error}"),
            Ok(log) => log,
        };
        let last = log.bounds().appended.0;
        assert!(
            last + 1 >= self.last,
            "{what}: the log ends at {last}, but {} was proven to be durable",
            self.last - 1
        );
        let Ok(before) = read_all(&log) else { return };
        assert!(before.iter().all(|(lsn, bytes)| *bytes == record(*lsn)), "{what}: other bytes");
        let added = b"written after the damage".as_slice();
        assert_eq!(log.append(added, kv_core::Durability::Disk).unwrap(), Lsn(last + 1), "{what}");
        log.sync(Lsn(last + 1)).unwrap();
        let left = disk.killed();
        let log = SegmentedLog::open(left.vfs(), self.options.clone());
        let Ok(after) = log.and_then(|log| read_all(&log)) else { return };
        let end = after.split_last().map(|((lsn, bytes), rest)| (*lsn, &bytes[..], rest));
        assert_eq!(end, Some((last + 1, added, &before[..])), "{what}: what was written later is not what is read");
    }
}

fn used_blocks(disk: &SimDisk) -> Vec<usize> {
    let bytes = segment(disk);
    (1..bytes.len() / BLOCK).filter(|at| bytes[at * BLOCK..][..BLOCK].iter().any(|byte| *byte != 0)).collect()
}

fn segment(disk: &SimDisk) -> Vec<u8> {
    disk.peek("0000000000000001.wal", 0, 1 << 21).unwrap()
}

/// The states of a slot that are combined with those of the other.
fn states(remains: &Remains) -> Vec<&[u8]> {
    let Remains { whole, torn } = remains;
    let mut states: Vec<&[u8]> = whole.iter().map(Vec::as_slice).collect();
    if states.len() > WHOLE_MAX {
        states = vec![&whole[0], &whole[whole.len() / 2], &whole[whole.len() - 2], &whole[whole.len() - 1]];
    }
    states.into_iter().chain(torn.iter().step_by(torn.len() / 2 + 1).map(Vec::as_slice)).collect()
}

/// Checks each pair of states in which the power cut may leave the two slots.
fn for_each_mark(left: &Left, mut check: impl FnMut(&[(u64, &[u8])], &str)) {
    let remains = left.disk.remains("MARK");
    let slots: Vec<_> = remains.iter().map(|(sector, remains)| (*sector, states(remains))).collect();
    let mut choices = vec![Vec::new()];
    for (sector, states) in &slots {
        let with = |choice: &Vec<(u64, usize)>| {
            (0..states.len()).map(|state| [&choice[..], &[(*sector, state)]].concat()).collect::<Vec<_>>()
        };
        choices = choices.iter().flat_map(with).collect();
    }
    for choice in choices {
        let bytes = |(at, (sector, state)): (usize, &(u64, usize))| (*sector, slots[at].1[*state]);
        let marks: Vec<_> = choice.iter().enumerate().map(bytes).collect();
        check(&marks, &format!("mark {choice:?}"));
    }
}

/// Damages each block in use, in each of these ways.
fn damage_blocks(blocks: u64, seal: u64, groups: u64, damages: &[fn(&mut [u8])]) {
    let left = Left::new(blocks, seal, groups);
    let bytes = segment(&left.disk);
    for_each_mark(&left, |marks, mark| {
        for block in used_blocks(&left.disk) {
            for (number, damage) in damages.iter().enumerate() {
                let disk = left.with_mark(marks);
                let mut damaged = bytes[block * BLOCK..][..BLOCK].to_vec();
                damage(&mut damaged);
                for (at, sector) in damaged.chunks(512).enumerate() {
                    disk.damage(
                        "0000000000000001.wal",
                        &Damage::ForeignSector((block * 8 + at) as u64, sector.to_vec()),
                    );
                }
                left.check(&disk, &format!("seal {seal} of {blocks}, block {block}, damage {number}, {mark}"));
            }
        }
    });
}

#[test]
fn one_damaged_block_after_a_power_cut_costs_the_last_group_at_most() {
    for seal in 2..=4 {
        damage_blocks(8, seal, 2, &[|block| block.fill(0), |block| block[9] ^= 4, |block| block[40] ^= 4]);
    }
}

/// The blocks that a binary search reads first.
#[test]
fn one_damaged_block_of_a_large_segment_costs_the_last_group_at_most() {
    damage_blocks(64, 31, 3, &[|block| block.fill(0)]);
    damage_blocks(256, 127, 3, &[|block| block.fill(0)]);
}
