//! Small stores to be damaged.

use std::collections::BTreeSet;

use kv_store::{Durability, Lsn};
use kv_testkit::sim::{CrashChoice, CrashModel, Damage, SimDisk, Survivors};

use crate::{
    coverage::{State, States, Verb},
    damage_case::DamageCase,
    driver::Driver,
    findings::Verdict,
    oracle::Oracle,
    situation::Situation,
    workload::{Step, small},
};

const SECTOR_BYTES: usize = 512;
const KILLED: CrashChoice = CrashChoice { model: CrashModel::Killed, survivors: Survivors::Everything };

/// A store on a disk, as a clean close or a killed process left it.
pub struct Fixture {
    pub name: &'static str,
    disk: SimDisk,
    pub oracle: Oracle,
    /// The states of its log and its checkpoints.
    pub states: States,
    /// What must be there unless damage is reported.
    pub promised: Lsn,
    pub names: Vec<String>,
    pub files: Vec<Vec<u8>>,
    /// Earlier versions of each file, in the order of `names`.
    pub older: Vec<Vec<Vec<u8>>>,
}

impl Fixture {
    /// The small stores of which every bit is damaged.
    pub fn small(seed: u64) -> Verdict<[Self; 2]> {
        Ok([Self::new("closed", seed, &small(true))?, Self::new("killed", seed, &small(false))?])
    }

    /// Stores in other states, of which sectors and files are damaged.
    pub fn others(seed: u64) -> Verdict<Vec<Self>> {
        let of = |(name, state, verb): (&'static str, State, Verb)| {
            let mut steps = Situation { state, verb }.path();
            steps.push(Step::Put(5, Durability::Process));
            Self::new(name, seed, &if state == State::Fresh { Vec::new() } else { steps })
        };
        let mut others = [
            ("fresh", State::Fresh, Verb::Read),
            ("torn", State::Torn, Verb::Put),
            ("failed", State::FailedCheckpoint, Verb::Delete),
        ]
        .into_iter()
        .map(of)
        .collect::<Verdict<Vec<_>>>()?;
        others.push(Self::new("frozen", seed, &Situation { state: State::Frozen, verb: Verb::Put }.path())?);
        Ok(others)
    }

    /// What a killed process leaves after these steps. If the last one closes the store, everything
    /// is promised. Otherwise the tail that only the kernel had is not promised: if it is damaged,
    /// it may be taken for torn. If the last step is a checkpoint during which something else is
    /// done, the process is killed half-way through that step.
    fn new(name: &'static str, seed: u64, steps: &[Step]) -> Verdict<Self> {
        let mut driver = Driver::new(&SimDisk::new(seed), Oracle::nothing());
        let mut versions = Vec::new();
        driver.run_steps(&[])?;
        let mut killed = None;
        for step in steps {
            versions.push(driver.disk.files());
            let is_beside = matches!(step, Step::CheckpointBeside(..));
            if is_beside {
                driver.disk.record();
            }
            driver.run_steps(&[*step])?;
            if is_beside {
                let mut moments = driver.disk.take_recording();
                killed = Some(moments.swap_remove(moments.len() / 2));
            }
        }
        let mut states = driver.states();
        let (disk, oracle) = match killed {
            Some(moment) => {
                states.add(State::Frozen);
                (moment.disk, driver.oracle.at(moment.operation))
            }
            None => (driver.disk.clone(), driver.oracle),
        };
        let now = disk.files();
        let older = |(name, bytes): (&String, &Vec<u8>)| {
            let olds: BTreeSet<_> = versions.iter().filter_map(|files| files.get(name)).collect();
            olds.into_iter().filter(|old| *old != bytes).cloned().collect()
        };
        let is_closed = matches!(steps.last(), Some(Step::Close));
        Ok(Self {
            name,
            disk: disk.crash(&KILLED),
            promised: if is_closed { oracle.last() } else { oracle.promised(u64::MAX, CrashModel::Posix) },
            oracle,
            states,
            older: now.iter().map(older).collect(),
            names: now.keys().cloned().collect(),
            files: now.into_values().collect(),
        })
    }

    /// The disk with this damage.
    pub fn damaged(&self, case: &DamageCase) -> SimDisk {
        let disk = self.disk.crash(&KILLED);
        self.apply(&disk, case).unwrap_or_else(|error| panic!("the disk of the test fails: {error}"));
        disk.take_trace();
        disk
    }

    fn apply(&self, disk: &SimDisk, case: &DamageCase) -> kv_vfs::Result<()> {
        match case {
            DamageCase::InPlace(file, damage) => {
                disk.damage(&self.names[*file], damage);
                Ok(())
            }
            DamageCase::Stale(file, sector, version) => {
                let content = self.older_sector(*file, *sector, *version).to_vec();
                disk.damage(&self.names[*file], &Damage::ForeignSector(*sector, content));
                Ok(())
            }
            DamageCase::Missing(file) => replace(disk, &self.names[*file], None),
            DamageCase::Copied(file, to) => replace(disk, to, Some(&self.files[*file])),
            DamageCase::Older(file, version) => replace(disk, &self.names[*file], Some(&self.older[*file][*version])),
        }
    }

    /// A sector of a file; shorter where the file ends within it, and empty beyond the end.
    pub fn sector(&self, file: usize, sector: u64) -> &[u8] {
        sector_of(&self.files[file], sector)
    }

    /// The same sector in an older version of the file.
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

/// Replaces the file at this path, or removes it.
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
