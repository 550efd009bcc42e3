//! A follower beside an owner that appends, rolls over, trims, fails, is killed and comes back. The
//! oracle is the owner's own list of records: a durable record never changes.

use std::sync::{Arc, Mutex};

use kv_core::{Durability, Error, FollowedLog, Log, Lsn, Result};
use kv_testkit::{
    ManualScheduler,
    sim::{Damage, SimDisk},
    vfs::{Fault, Kind, TestVfs},
};
use kv_wal::{LogFollower, Options, SegmentedLog};

use crate::support::{Disk, append, append_and_sync, record, small};

/// The owner of a log, and what it has appended by position.
struct Owner {
    disk: SimDisk,
    log: Option<SegmentedLog>,
    records: Vec<Vec<u8>>,
    /// Makes each record another one, also where a position is given out again.
    written: u64,
}

impl Owner {
    fn new(seed: u64) -> Self {
        let mut owner = Self { disk: SimDisk::new(seed), log: None, records: Vec::new(), written: 0 };
        owner.open();
        owner
    }

    /// Opens the log. Records that were not durable may be gone.
    fn open(&mut self) {
        let scheduler = Arc::new(ManualScheduler::new());
        let options = Options { segment_bytes_min: 16 << 10, scheduler, ..small() };
        let log = SegmentedLog::open(self.disk.vfs(), options).unwrap();
        self.records.truncate(log.bounds().appended.0 as usize);
        self.log = Some(log);
    }

    fn log(&self) -> &SegmentedLog {
        self.log.as_ref().unwrap()
    }

    fn append(&mut self, bytes: usize, durability: Durability) {
        self.written += 1;
        let mut record = self.written.to_le_bytes().to_vec();
        record.resize(8 + bytes, self.written as u8);
        if self.log().append(&record, durability).is_ok() {
            self.records.push(record);
        }
    }

    fn sync(&self) -> Result<Lsn> {
        self.log().sync(self.log().bounds().appended)
    }

    fn put(&mut self, bytes: usize) {
        self.append(bytes, Durability::Disk);
        self.sync().unwrap();
    }

    /// Ends the process and starts another one, which has the same kernel.
    fn be_killed(&mut self) {
        self.log = None;
        self.disk.heal();
        self.open();
    }

    /// The log fails in a flush: the kernel shows the last records, and the disk does not have
    /// them. They are neither acknowledged nor recovered.
    fn fail_to_flush(&mut self) {
        self.append(30, Durability::Process);
        self.append(30, Durability::Disk);
        self.disk.fail(Fault::on(Kind::Sync).of(".wal").forgetful().for_ever());
        self.sync().unwrap_err();
    }
}

/// A follower, and what it has returned.
struct Witness {
    follower: LogFollower,
    at: Lsn,
    seen: Vec<(Lsn, Vec<u8>)>,
}

impl Witness {
    fn new(vfs: Arc<dyn kv_vfs::Vfs>) -> Self {
        Self { follower: LogFollower::open(vfs).unwrap(), at: Lsn::START, seen: Vec::new() }
    }

    /// Looks, and reads everything that is there. Where records were trimmed it goes on behind
    /// them, as one that has a checkpoint.
    fn read(&mut self) -> Result<()> {
        self.follower.look()?;
        loop {
            match self.follower.read(self.at) {
                Ok(Some(record)) => {
                    assert_eq!(record.lsn, self.at.next(), "a record is missing or repeated");
                    self.at = record.lsn;
                    self.seen.push((record.lsn, record.payload.to_vec()));
                }
                Ok(None) => return Ok(()),
                Err(Error::Trimmed { after, trimmed }) => {
                    assert!(after == self.at && trimmed > self.at && self.follower.trimmed() >= trimmed);
                    self.at = trimmed;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What it has returned is what the owner has, and the owner will keep it.
    fn check(&self, owner: &Owner) {
        for (lsn, seen) in &self.seen {
            assert!(owner.records.get(lsn.0 as usize - 1) == Some(seen), "{lsn} is not what the log has");
        }
        let durable = owner.log().bounds().durable;
        assert!(self.at <= durable, "{} was returned, and {durable} is durable", self.at);
    }
}

#[test]
fn an_idle_owners_last_record_is_returned_as_soon_as_it_is_acknowledged_and_no_sooner() {
    let mut owner = Owner::new(1);
    let mut witness = Witness::new(owner.disk.vfs());
    for durability in [Durability::Disk, Durability::Process] {
        owner.append(10, durability);
        let before = witness.at;
        witness.read().unwrap();
        assert_eq!(witness.at, before, "a crash could still take it back");
        owner.sync().unwrap();
        witness.read().unwrap();
        assert_eq!(witness.at, owner.log().bounds().durable);
        witness.check(&owner);
    }
}

#[test]
fn a_follower_returns_what_is_durable_whatever_its_owner_does() {
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut owner = Owner::new(seed);
        let mut witness = Witness::new(owner.disk.vfs());
        for _ in 0..80 {
            match rng.u8(..20) {
                0..6 => owner.append(rng.usize(..9000), Durability::Disk),
                6..8 => owner.append(rng.usize(..3000), Durability::Process),
                8..10 => drop(owner.sync()),
                10 => {
                    let durable = owner.log().bounds().durable.0;
                    drop(owner.log().trim(Lsn(rng.u64(..=durable))));
                }
                11 => owner.be_killed(),
                12 => {
                    drop(owner.log().close());
                    owner.be_killed();
                }
                13 => {
                    owner.fail_to_flush();
                    owner.be_killed();
                }
                14 => {
                    witness.check(&owner);
                    owner.disk = owner.disk.power_cut(rng.u64(..100));
                    owner.be_killed();
                    assert!(witness.at.0 <= owner.records.len() as u64, "what was returned is lost");
                    witness.check(&owner);
                    witness = Witness::new(owner.disk.vfs());
                }
                _ => {
                    let acknowledged = owner.sync().unwrap();
                    witness.read().unwrap();
                    witness.check(&owner);
                    assert!(witness.at >= acknowledged, "seed {seed}: {acknowledged} was acknowledged");
                }
            }
            if rng.bool() {
                witness.read().unwrap();
                witness.check(&owner);
            }
        }
    }
}

/// The same, with what the owner does at each operation of a follower in turn.
#[test]
fn the_owner_may_do_anything_between_any_two_operations() {
    type Act = fn(&mut Owner);
    let acts: [(&str, Act); 7] = [
        ("writes", |owner| owner.put(100)),
        ("rolls over", |owner| (0..3).for_each(|_| owner.put(9000))),
        ("rolls over and trims", |owner| {
            (0..3).for_each(|_| owner.put(9000));
            owner.log().trim(owner.log().bounds().durable).unwrap();
            owner.put(10);
        }),
        ("is killed and goes on", |owner| {
            owner.append(40, Durability::Process);
            owner.be_killed();
            owner.put(50);
        }),
        ("closes and goes on", |owner| {
            owner.log().close().unwrap();
            owner.be_killed();
            owner.put(50);
        }),
        ("fails and goes on with other records", |owner| {
            owner.fail_to_flush();
            owner.be_killed();
            (0..3).for_each(|_| owner.put(30));
        }),
        ("loses what it wrote, is killed twice, and trims", |owner| {
            owner.fail_to_flush();
            owner.be_killed();
            owner.put(30);
            owner.be_killed();
            (0..3).for_each(|_| owner.put(9000));
            owner.log().trim(owner.log().bounds().durable).unwrap();
        }),
    ];
    let mut interrupted = 0;
    for (name, act) in acts {
        for at in 0.. {
            let owner = Arc::new(Mutex::new(Owner::new(at)));
            (0..4).for_each(|n| owner.lock().unwrap().put(n * 3000));
            let (disk, left) = (owner.lock().unwrap().disk.clone(), Arc::new(Mutex::new(u64::MAX)));
            let vfs = TestVfs::before(disk.vfs(), {
                let (owner, left) = (Arc::clone(&owner), Arc::clone(&left));
                move |_| {
                    let now = *left.lock().unwrap();
                    if now != u64::MAX {
                        *left.lock().unwrap() = now.wrapping_sub(1);
                    }
                    if now == 0 {
                        act(&mut owner.lock().unwrap());
                    }
                }
            })
            .unwrap();
            let mut witness = Witness::new(vfs);
            if at % 2 == 0 {
                witness.read().unwrap(); // it has read ahead
            }
            owner.lock().unwrap().put(20);
            *left.lock().unwrap() = at / 2;
            witness.read().unwrap_or_else(|error| panic!("the owner {name} at {at}: {}", error.chain()));
            let is_over = *left.lock().unwrap() != u64::MAX;
            *left.lock().unwrap() = u64::MAX;
            let owner = &mut *owner.lock().unwrap();
            witness.check(owner);
            owner.put(20);
            witness.read().unwrap_or_else(|error| panic!("after the owner {name} at {at}: {}", error.chain()));
            witness.check(owner);
            assert_eq!(witness.at, owner.log().bounds().durable, "after the owner {name} at {at}");
            if is_over && at % 2 == 1 {
                break;
            }
            interrupted += 1;
        }
    }
    assert!(interrupted > 100, "{interrupted} interruptions are too few");
}

/// After a power cut the mark may say less than the log proves, or nothing.
#[test]
fn without_a_mark_the_highest_watermark_is_the_bound() {
    let disk = Disk::new();
    let options = Options { segment_bytes_min: 64 << 10, segment_bytes_max: 64 << 10, ..small() };
    let log = disk.open_with(options).unwrap();
    append_and_sync(&log, 3);
    let old_mark = disk.files().into_iter().find(|(name, _)| name == "MARK").unwrap().1;
    append_and_sync(&log, 3);
    append_and_sync(&log, 2); // no frame states these two
    drop(log);
    for mark in [Some(&old_mark), Some(&vec![0; old_mark.len()]), None] {
        let copy = disk.copy();
        match mark {
            Some(bytes) => copy.write("MARK", bytes),
            None => std::fs::remove_file(copy.file("MARK")).unwrap(),
        }
        let mut witness = Witness::new(copy.vfs());
        witness.read().unwrap();
        assert_eq!(witness.at, Lsn(6));
        let log = copy.open().unwrap();
        assert_eq!(log.bounds().durable, Lsn(8), "which an owner may read from the disk again");
        log.sync(Lsn(8)).unwrap();
        witness.read().unwrap();
        assert_eq!(witness.at, Lsn(8));
    }
}

/// The slot that was acknowledged last is overwritten while the mark is read. The other one, read
/// before, was older.
#[test]
fn a_slot_that_is_being_written_is_read_again() {
    let disk = SimDisk::new(1);
    let log = SegmentedLog::open(disk.vfs(), small()).unwrap();
    for _ in 0..2 {
        append_and_sync(&log, 1);
    }
    let (owner, reads) = (Arc::new(log), Arc::new(Mutex::new(None)));
    let vfs = TestVfs::before(disk.vfs(), {
        let (disk, owner, reads) = (disk.clone(), Arc::clone(&owner), Arc::clone(&reads));
        move |event| {
            let mut reads = reads.lock().unwrap();
            if let (Some(reads), Kind::Read, "MARK") = (&mut *reads, event.kind, event.path.as_str()) {
                *reads += 1;
                if *reads == 2 {
                    assert_eq!(event.offset, 64 << 10);
                    for _ in 0..2 {
                        append_and_sync(&owner, 1);
                    }
                    let file = disk.vfs().open("MARK", kv_vfs::Access::ReadWrite).unwrap();
                    file.write_all_at(&[0xff; 100], 64 << 10).unwrap(); // the next one, half written
                }
            }
        }
    })
    .unwrap();
    let mut follower = LogFollower::open(vfs).unwrap();
    append_and_sync(&owner, 1); // this mark is in the slot that is read last
    *reads.lock().unwrap() = Some(0);
    follower.look().unwrap();
    assert_eq!(follower.read(Lsn(2)).unwrap().unwrap().lsn, Lsn(3), "it was acknowledged before");
}

#[test]
fn it_only_reads_takes_no_lock_and_keeps_no_map() {
    let mut owner = Owner::new(1);
    owner.put(9000);
    let vfs = TestVfs::new(owner.disk.vfs());
    let mut witness = Witness::new(vfs.clone());
    for _ in 0..5 {
        owner.put(9000);
        witness.read().unwrap();
    }
    owner.log().trim(owner.log().bounds().durable).unwrap();
    owner.put(1);
    witness.read().unwrap();
    assert_eq!(vfs.take_trace(), "");
    for kind in [Kind::Lock, Kind::Map, Kind::DropCache, Kind::Random, Kind::CreateDirectory] {
        assert_eq!(vfs.count(kind), 0, "{kind:?}");
    }
}

/// No look reads more than what has come, the headers and start frames, and one chunk.
#[test]
fn a_look_at_a_log_without_news_reads_only_the_mark() {
    let mut owner = Owner::new(1);
    owner.put(100);
    let vfs = TestVfs::new(owner.disk.vfs());
    let mut witness = Witness::new(vfs.clone());
    witness.read().unwrap();
    let before = (vfs.count(Kind::Read), vfs.count(Kind::List), vfs.count(Kind::Open));
    witness.read().unwrap();
    let after = (vfs.count(Kind::Read), vfs.count(Kind::List), vfs.count(Kind::Open));
    assert_eq!(after, (before.0 + 2, before.1, before.2 + 1));
}

/// Every bit, and every record cut short: either all records, or an error at the damaged one.
#[test]
fn damage_to_durable_records_is_an_error_and_is_never_passed_over() {
    let disk = SimDisk::new(1);
    let options = Options { segment_bytes_min: 64 << 10, segment_bytes_max: 64 << 10, ..small() };
    let log = SegmentedLog::open(disk.vfs(), options).unwrap();
    for _ in 0..4 {
        append_and_sync(&log, 1);
    }
    append(&log, 2, Durability::Process); // not durable: whatever becomes of them
    drop(log);
    let name = "0000000000000001.wal";
    let (mut refused, mut whole) = (0, 0);
    for byte in (0..7 * 4096).filter(|byte| byte % 4096 < 200) {
        let damaged = disk.killed();
        assert!(damaged.damage(name, &Damage::FlippedBit(byte * 8 + byte % 8)), "{byte}");
        let mut witness = match LogFollower::open(damaged.vfs()) {
            Ok(follower) => Witness { follower, at: Lsn::START, seen: Vec::new() },
            Err(Error::Corrupt { .. }) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{byte}: {}", error.chain()),
        };
        let outcome = witness.read();
        for (lsn, seen) in &witness.seen {
            assert!(*seen == record(lsn.0), "{byte}: a damaged record was returned");
        }
        match outcome {
            Ok(()) => {
                assert_eq!(witness.at, Lsn(4), "{byte}");
                whole += 1;
            }
            Err(Error::Corrupt { .. }) => {
                assert!(witness.at < Lsn(4), "{byte}");
                witness.read().unwrap_err(); // it stays an error
                refused += 1;
            }
            Err(error) => panic!("{byte}: {}", error.chain()),
        }
    }
    assert!(refused > 500 && whole > 100, "{refused} refused, {whole} whole");
}

#[test]
fn lost_records_and_segments_are_damage_and_trimmed_ones_are_not() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    let mut follower = LogFollower::open(disk.vfs()).unwrap();
    for _ in 0..6 {
        log.append(&[7; 9000], Durability::Disk).unwrap();
    }
    log.sync(Lsn(6)).unwrap();
    let segments = disk.segments();
    follower.look().unwrap();
    follower.read(Lsn(1)).unwrap().unwrap();
    std::fs::remove_file(disk.file(&segments[0])).unwrap(); // it is open, and trimmed as far as anyone can tell
    assert_eq!(follower.read(Lsn(2)).unwrap().unwrap().lsn, Lsn(3));
    let Err(Error::Trimmed { after: Lsn(0), trimmed }) = follower.read(Lsn::START) else {
        panic!("it was trimmed");
    };
    assert_eq!(follower.trimmed(), trimmed);
    std::fs::remove_file(disk.file(&segments[segments.len() - 2])).unwrap(); // the newest with records
    assert!(matches!(follower.read(Lsn(5)), Err(Error::Corrupt { .. })));
}

#[test]
fn a_directory_without_a_log_or_with_another_one_is_refused() {
    let disk = Disk::new();
    let Err(Error::Io { source, .. }) = LogFollower::open(disk.vfs()) else { panic!("there is no log") };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("log");
    let create = || SegmentedLog::open(kv_vfs::OsVfs::create(&path).unwrap(), small()).unwrap();
    append_and_sync(&create(), 3);
    let mut follower = LogFollower::open(kv_vfs::OsVfs::open(&path).unwrap()).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    assert!(matches!(follower.look(), Err(Error::DirectoryReplaced { .. })));
    append_and_sync(&create(), 3);
    assert!(matches!(follower.look(), Err(Error::DirectoryReplaced { .. })), "its files are another log's");
}
