//! Small stores to be damaged.

use std::collections::BTreeSet;

use kv_store::{Durability, Lsn};
use kv_testkit::sim::{CrashChoice, CrashModel, Damage, Survivors, SimDisk};

use crate::{
    case::Case,
    coverage::{State, States, Verb},
    finding::Verdict,
    known::Known,
    life::Life,
    tour::Stop,
    workload::{Step, small},
};

const SECTOR_BYTES: usize = 512;
const KILLED: CrashChoice = CrashChoice { model: CrashModel::Killed, survivors: Survivors::Everything };

/// A store on a disk, as a clean close or a killed process left it.
pub struct Base {
    pub name: &'static str,
    disk: SimDisk,
    pub known: Known,
    /// What holds of its log and its checkpoints.
    pub states: States,
    /// What must be there if nothing says that it is damaged.
    pub promised: Lsn,
    pub names: Vec<String>,
    pub files: Vec<Vec<u8>>,
    /// What each file was at earlier times, by its place among the names.
    pub older: Vec<Vec<Vec<u8>>>,
}

impl Base {
    /// The small stores of which every bit is damaged.
    pub fn small(seed: u64) -> Verdict<[Self; 2]> {
        Ok([Self::new("closed", seed, &small(true))?, Self::new("killed", seed, &small(false))?])
    }

    /// Stores in other states, of which sectors and files are damaged.
    pub fn others(seed: u64) -> Verdict<Vec<Self>> {
        let of = |(name, state, verb): (&'static str, State, Verb)| {
            let mut steps = Stop { state, verb }.path();
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
        others.push(Self::new("frozen", seed, &Stop { state: State::Frozen, verb: Verb::Put }.path())?);
        Ok(others)
    }

    /// What a killed process leaves after these steps: all of it is promised if the last one closes
    /// the store; otherwise its tail, which only the kernel had, may be taken for torn if it is
    /// damaged. If the last one is a checkpoint with something beside it, it is killed half-way.
    fn new(name: &'static str, seed: u64, steps: &[Step]) -> Verdict<Self> {
        let mut life = Life::new(&SimDisk::new(seed), Known::nothing());
        let mut versions = Vec::new();
        life.go(&[])?;
        let mut killed = None;
        for step in steps {
            versions.push(life.disk.files());
            let is_beside = matches!(step, Step::CheckpointBeside(..));
            if is_beside {
                life.disk.record();
            }
            life.go(&[*step])?;
            if is_beside {
                let mut moments = life.disk.take_recording();
                killed = Some(moments.swap_remove(moments.len() / 2));
            }
        }
        let mut states = life.states();
        let (disk, known) = match killed {
            Some(moment) => {
                states.add(State::Frozen);
                (moment.disk, life.known.at(moment.operation))
            }
            None => (life.disk.clone(), life.known),
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
            promised: if is_closed { known.last() } else { known.promised(u64::MAX, CrashModel::Posix) },
            known,
            states,
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
