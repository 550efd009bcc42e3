//! What happens to a store in one incarnation. All of it follows from the seed.

use std::{io::ErrorKind, iter};

use kv_testkit::{
    sim::{CrashChoice, CrashModel, SimDisk, Survivors},
    vfs::{Fault, Kind},
};

use crate::worker::Levels;

#[derive(Clone, Debug)]
pub struct Plan {
    pub levels: Levels,
    /// The number of calls of each worker.
    pub calls: u32,
    pub disk_fault: Option<DiskFault>,
    pub end: End,
    pub crash: CrashChoice,
    /// The openings after the crash that are interrupted, before one succeeds. Each has the number
    /// of disk operations after which it is interrupted, and the crash.
    pub interrupted_openings: Vec<(u64, CrashChoice)>,
}

/// A fault of the disk during an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// The n-th sync of the log fails. If `forgets`, it also drops the data it should have written.
    SyncFails { nth: u64, forgets: bool },
    /// The n-th write to the log fails in the middle.
    WriteFails { nth: u64 },
    /// Only this many bytes are left.
    SpaceEnds { bytes: u64 },
    /// Creating a file fails once for lack of space.
    CreateFails { nth: u64 },
    /// The n-th change in the directory of checkpoints fails.
    CheckpointFails { nth: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After this many operations, every operation of the disk fails.
    StopAt(u64),
    /// After the last call.
    Abrupt,
    /// After a clean close.
    Close,
}

impl Plan {
    pub fn random(rng: &mut fastrand::Rng) -> Self {
        let levels = [Levels::Disk, Levels::Disk, Levels::Process, Levels::Mixed, Levels::Mixed];
        let cut_off = if rng.u8(..4) == 0 { rng.usize(1..3) } else { 0 };
        Self {
            levels: levels[rng.usize(..levels.len())],
            calls: rng.u32(10..70),
            disk_fault: DiskFault::random(rng),
            end: match rng.u8(..8) {
                0 => End::Close,
                1..3 => End::Abrupt,
                _ => End::StopAt(rng.u64(1..300)),
            },
            crash: random_crash(rng),
            interrupted_openings: (0..cut_off).map(|_| (rng.u64(..40), random_crash(rng))).collect(),
        }
    }

    /// Whether nothing fails.
    pub fn is_fault_free(&self) -> bool {
        self.disk_fault.is_none() && !matches!(self.end, End::StopAt(_))
    }

    /// The crash at the end, and those of the interrupted openings.
    pub fn crashes(&self) -> impl Iterator<Item = &CrashChoice> {
        iter::once(&self.crash).chain(self.interrupted_openings.iter().map(|(_, crash)| crash))
    }
}

fn random_crash(rng: &mut fastrand::Rng) -> CrashChoice {
    let models = [CrashModel::Killed, CrashModel::Killed, CrashModel::Ext4, CrashModel::Xfs, CrashModel::Posix];
    let survivors = match rng.u8(..4) {
        0 => Survivors::Nothing,
        1 => Survivors::Prefix(rng.usize(..20)),
        _ => Survivors::Sample(rng.u64(..)),
    };
    CrashChoice { model: models[rng.usize(..models.len())], survivors }
}

impl DiskFault {
    fn random(rng: &mut fastrand::Rng) -> Option<Self> {
        let nth = rng.u64(1..60);
        Some(match rng.u8(..10) {
            0 => Self::SyncFails { nth, forgets: rng.bool() },
            1 => Self::WriteFails { nth },
            2 => Self::SpaceEnds { bytes: rng.u64(4..40) << 12 },
            3 => Self::CreateFails { nth: rng.u64(1..6) },
            4 => Self::CheckpointFails { nth: rng.u64(1..20) },
            _ => return None,
        })
    }

    /// Injects the fault from now on.
    pub fn begin(self, disk: &SimDisk) {
        match self {
            Self::SyncFails { nth, forgets } => {
                let fault = Fault::on(Kind::Sync).of("log/").nth(nth);
                disk.fail(if forgets { fault.forgetful() } else { fault });
            }
            Self::WriteFails { nth } => disk.fail(Fault::on(Kind::Write).of("log/").nth(nth).torn()),
            Self::SpaceEnds { bytes } => disk.limit_space(disk.space_bytes() + bytes),
            Self::CreateFails { nth } => {
                disk.fail(Fault::on(Kind::Create).nth(nth).with(ErrorKind::StorageFull));
            }
            Self::CheckpointFails { nth } => disk.fail(Fault::on_changes().of("checkpoints").nth(nth)),
        }
    }
}
