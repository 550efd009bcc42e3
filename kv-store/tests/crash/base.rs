//! Small stores to be damaged, and every damage to them.

use std::{collections::BTreeSet, fmt};

use kv_store::Lsn;
use kv_testkit::sim::{CrashChoice, CrashModel, Damage, Pick, SimDisk};

use crate::{
    finding::{Verdict, Violation},
    known::Known,
    workload::{Life, small},
};

pub const SECTOR_BYTES: usize = 512;
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

/// What happens to a store. Files are named by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Case {
    Harm(usize, Damage),
    /// A sector of the file is as in the older version of that number.
    Stale(usize, u64, usize),
    Missing(usize),
    /// The file is there a second time, under that name.
    Copied(usize, String),
    /// The file is as it was in the older version of that number.
    Older(usize, usize),
}

impl Base {
    pub fn new(name: &'static str, seed: u64) -> Verdict<Self> {
        let disk = SimDisk::new(seed);
        let mut life = Life::new(&disk, Known::nothing());
        let mut versions = Vec::new();
        life.open()?.map_err(|error| Violation::refusal("a small store", &error))?;
        for step in small(name == "closed") {
            life.step(step)?.map_err(|error| Violation::refusal("a small store", &error))?;
            versions.push(disk.files());
        }
        let now = versions.pop().unwrap_or_default();
        let older = |(name, bytes): (&String, &Vec<u8>)| {
            let olds: BTreeSet<_> = versions.iter().filter_map(|files| files.get(name)).collect();
            olds.into_iter().filter(|old| *old != bytes).cloned().collect()
        };
        let promised =
            if name == "closed" { life.known.last() } else { life.known.promised(u64::MAX, CrashModel::Xfs) };
        Ok(Self {
            name,
            disk: disk.crash(&KILLED),
            promised,
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
        let directory_of = |path: &str| match path.rsplit_once('/') {
            Some((directory, name)) => Ok((disk.vfs().open_directory(directory)?, name.to_owned())),
            None => Ok((disk.vfs(), path.to_owned())),
        };
        match case {
            Case::Harm(file, damage) => {
                disk.damage(&self.names[*file], damage);
            }
            Case::Stale(file, sector, version) => {
                let content = self.older_sector(*file, *sector, *version).to_vec();
                disk.damage(&self.names[*file], &Damage::ForeignSector(*sector, content));
            }
            Case::Missing(file) => {
                let (directory, name) = directory_of(&self.names[*file])?;
                directory.remove(&name)?;
            }
            Case::Copied(file, to) => {
                let (directory, name) = directory_of(to)?;
                let _ = directory.remove(&name); // it may be there
                directory.create(&name)?.write_all_at(&self.files[*file], 0)?;
            }
            Case::Older(file, version) => {
                let (directory, name) = directory_of(&self.names[*file])?;
                directory.remove(&name)?;
                let old = &self.older[*file][*version];
                let file = directory.create(&name)?;
                if !old.is_empty() {
                    file.write_all_at(old, 0)?;
                }
            }
        }
        Ok(())
    }

    /// The sector as it was; empty if the file was shorter.
    pub fn older_sector(&self, file: usize, sector: u64, version: usize) -> &[u8] {
        sector_of(&self.older[file][version], sector)
    }

    /// Every damage but flipped bits and cuts.
    pub fn coarse(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (file, bytes) in self.files.iter().enumerate() {
            let sectors = bytes.len().div_ceil(SECTOR_BYTES) as u64;
            for sector in 0..sectors {
                self.of_sector(file, sector, sectors, &mut cases);
            }
            cases.push(Case::Missing(file));
            cases.extend((0..self.older[file].len()).map(|version| Case::Older(file, version)));
            cases.extend(self.neighbours(&self.names[file]).into_iter().map(|to| Case::Copied(file, to)));
        }
        cases
    }

    fn of_sector(&self, file: usize, sector: u64, sectors: u64, cases: &mut Vec<Case>) {
        let now = sector_of(&self.files[file], sector);
        if now.iter().any(|byte| *byte != 0) {
            cases.push(Case::Harm(file, Damage::ZeroedSector(sector)));
        }
        let differs = |other: &u64| sector_of(&self.files[file], *other) != now;
        let swapped = (sector + 1..sectors).filter(differs);
        cases.extend(swapped.map(|other| Case::Harm(file, Damage::SwappedSectors(sector, other))));
        for (other, bytes) in self.files.iter().enumerate().filter(|(other, _)| *other != file) {
            let astray = sector_of(bytes, sector);
            if !astray.is_empty() && astray != now && self.names[other] != self.names[file] {
                cases.push(Case::Harm(file, Damage::ForeignSector(sector, astray.to_vec())));
            }
        }
        let mut seen = BTreeSet::from([now, &[]]);
        for version in 0..self.older[file].len() {
            if seen.insert(self.older_sector(file, sector, version)) {
                cases.push(Case::Stale(file, sector, version));
            }
        }
    }

    /// Names that differ from this one in the last digit of one of their numbers, and names of the same kind that are there.
    fn neighbours(&self, path: &str) -> BTreeSet<String> {
        let kind = |path: &str| path.rsplit_once('.').map(|(_, kind)| kind.to_owned());
        let mut neighbours: BTreeSet<String> =
            self.names.iter().filter(|other| kind(other).is_some() && kind(other) == kind(path)).cloned().collect();
        for (at, _) in path.match_indices(['-', '.']) {
            let Some(digit) = path[..at].chars().last().and_then(|digit| digit.to_digit(16)) else { continue };
            for near in [digit.wrapping_sub(1), digit + 1, digit + 2, digit + 5] {
                if let Some(near) = char::from_digit(near % 16, 16) {
                    neighbours.insert(format!("{}{near}{}", &path[..at - 1], &path[at..]));
                }
            }
        }
        neighbours.remove(path);
        neighbours
    }

    /// Flips of every bit and cuts at every length: first those where there is anything, then those in long runs of zeroes.
    pub fn fine(&self) -> (Vec<Case>, Vec<Case>) {
        let (mut used, mut unused) = (Vec::new(), Vec::new());
        for (file, bytes) in self.files.iter().enumerate() {
            for at in 0..bytes.len() {
                let around = &bytes[at.saturating_sub(8)..bytes.len().min(at + 9)];
                let cases = if around.iter().any(|byte| *byte != 0) { &mut used } else { &mut unused };
                let at = at as u64;
                cases.extend((at * 8..at * 8 + 8).map(|bit| Case::Harm(file, Damage::FlippedBit(bit))));
                cases.push(Case::Harm(file, Damage::Cut(at)));
            }
        }
        (used, unused)
    }

    /// The case as it is printed.
    pub fn named<'a>(&'a self, case: &'a Case) -> Named<'a> {
        Named(self, case)
    }
}

fn sector_of(bytes: &[u8], sector: u64) -> &[u8] {
    let from = (sector as usize * SECTOR_BYTES).min(bytes.len());
    &bytes[from..bytes.len().min(from + SECTOR_BYTES)]
}

/// A case as it is printed.
pub struct Named<'a>(&'a Base, &'a Case);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(base, case) = self;
        let Base { name, names, .. } = base;
        match case {
            Case::Harm(file, Damage::FlippedBit(bit)) => write!(f, "{name}:flip:{bit}:{}", names[*file]),
            Case::Harm(file, Damage::Cut(len)) => write!(f, "{name}:cut:{len}:{}", names[*file]),
            Case::Harm(file, Damage::ZeroedSector(sector)) => write!(f, "{name}:zero:{sector}:{}", names[*file]),
            Case::Harm(file, Damage::SwappedSectors(one, other)) => {
                write!(f, "{name}:swap:{one}+{other}:{}", names[*file])
            }
            Case::Harm(file, Damage::ForeignSector(sector, content)) => {
                let of = |other: &usize| sector_of(&base.files[*other], *sector) == content;
                let from = (0..names.len()).find(of).map_or("", |from| &names[from]);
                write!(f, "{name}:astray:{sector}:{}:{from}", names[*file])
            }
            Case::Stale(file, sector, version) => write!(f, "{name}:stale:{sector}@{version}:{}", names[*file]),
            Case::Missing(file) => write!(f, "{name}:missing:{}", names[*file]),
            Case::Copied(file, to) => write!(f, "{name}:copied:{}:{to}", names[*file]),
            Case::Older(file, version) => write!(f, "{name}:older:{version}:{}", names[*file]),
        }
    }
}
