//! Small stores to be damaged.

use std::collections::BTreeSet;

use kv_store::Lsn;
use kv_testkit::sim::{CrashChoice, CrashModel, Damage, Pick, SimDisk};

use crate::{
    case::Case,
    finding::{Verdict, Violation},
    known::Known,
    workload::{Life, small},
};

const SECTOR_BYTES: usize = 512;
const KILLED: CrashChoice = CrashChoice { model: CrashModel::Killed, pick: Pick::Everything };

/// A store on a disk, as a clean close or a killed process left it.
pub struct Base {
    pub name: &'static str,
    disk: SimDisk,
    pub known: Known,
    /// What must be there if nothing says that it is damaged.
    pub promised: Lsn,
    pub names: Vec<String>,
    pub files: Vec<Vec<u8>>,
    /// What each file was at earlier times, by its place among the names.
    pub older: Vec<Vec<Vec<u8>>>,
}

impl Base {
    /// A store that was closed: all of it is promised.
    pub fn closed(seed: u64) -> Verdict<Self> {
        let base = Self::new("closed", seed, true)?;
        Ok(Self { promised: base.known.last(), ..base })
    }

    /// A store whose process was killed: its tail, which only the kernel had, may be taken for torn if it is damaged.
    pub fn killed(seed: u64) -> Verdict<Self> {
        Self::new("killed", seed, false)
    }

    fn new(name: &'static str, seed: u64, is_closed: bool) -> Verdict<Self> {
        let disk = SimDisk::new(seed);
        let mut life = Life::new(&disk, Known::nothing());
        let mut versions = Vec::new();
        let failed = |error| Violation::refusal("a small store", &error);
        life.open()?.map_err(failed)?;
        for step in small(is_closed) {
            life.step(step)?.map_err(failed)?;
            versions.push(disk.files());
        }
        let now = versions.pop().unwrap_or_default();
        let older = |(name, bytes): (&String, &Vec<u8>)| {
            let olds: BTreeSet<_> = versions.iter().filter_map(|files| files.get(name)).collect();
            olds.into_iter().filter(|old| *old != bytes).cloned().collect()
        };
        Ok(Self {
            name,
            disk: disk.crash(&KILLED),
            promised: life.known.promised(u64::MAX, CrashModel::Posix),
            known: life.known,
            older: now.iter().map(older).collect(),
            names: now.keys().cloned().collect(),
            files: now.into_values().collect(),
        })
    }

    /// The disk with that damage.
    pub fn damaged(&self, case: &Case) -> SimDisk {
        let disk = self.disk.crash(&KILLED);
        self.harm(&disk, case).unwrap_or_else(|error| panic!("the disk of the test fails: {error}"));
        disk.take_trace();
        disk
    }

    fn harm(&self, disk: &SimDisk, case: &Case) -> kv_vfs::Result<()> {
        match case {
            Case::Harm(file, damage) => {
                disk.damage(&self.names[*file], damage);
                Ok(())
            }
            Case::Stale(file, sector, version) => {
                let content = self.older_sector(*file, *sector, *version).to_vec();
                disk.damage(&self.names[*file], &Damage::ForeignSector(*sector, content));
                Ok(())
            }
            Case::Missing(file) => replace(disk, &self.names[*file], None),
            Case::Copied(file, to) => replace(disk, to, Some(&self.files[*file])),
            Case::Older(file, version) => replace(disk, &self.names[*file], Some(&self.older[*file][*version])),
        }
    }

    /// A sector of a file; short at its end, and empty beyond.
    pub fn sector(&self, file: usize, sector: u64) -> &[u8] {
        sector_of(&self.files[file], sector)
    }

    /// The sector as it was.
    pub fn older_sector(&self, file: usize, sector: u64, version: usize) -> &[u8] {
        sector_of(&self.older[file][version], sector)
    }

    pub fn sectors(&self, file: usize) -> u64 {
        self.files[file].len().div_ceil(SECTOR_BYTES) as u64
    }
}

fn sector_of(bytes: &[u8], sector: u64) -> &[u8] {
    let from = (sector as usize * SECTOR_BYTES).min(bytes.len());
    &bytes[from..bytes.len().min(from + SECTOR_BYTES)]
}

/// Puts a file there, or nothing, whatever is there.
fn replace(disk: &SimDisk, path: &str, bytes: Option<&[u8]>) -> kv_vfs::Result<()> {
    let (directory, name) = match path.rsplit_once('/') {
        Some((directory, name)) => (disk.vfs().open_directory(directory)?, name),
        None => (disk.vfs(), path),
    };
    let _ = directory.remove(name); // it may be absent
    if let Some(bytes) = bytes {
        let file = directory.create(name)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
    }
    directory.sync_directory()
}
