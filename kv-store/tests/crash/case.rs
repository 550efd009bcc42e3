//! Every damage to a small store.

use std::{collections::BTreeSet, fmt};

use kv_testkit::sim::Damage;

use crate::{base::Base, coverage::Fault};

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

/// A byte of a file: each of its bits is flipped, and the file is cut before it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    file: usize,
    at: usize,
}

impl Place {
    /// How many cases a place is.
    pub const CASES: u64 = 9;

    pub fn cases(self) -> impl Iterator<Item = Case> {
        let at = self.at as u64;
        let flips = (at * 8..at * 8 + 8).map(Damage::FlippedBit);
        flips.chain([Damage::Cut(at)]).map(move |damage| Case::Harm(self.file, damage))
    }

    /// All places of a store: first those where there is anything, then those in long runs of zeroes.
    pub fn all(base: &Base) -> (Vec<Self>, Vec<Self>) {
        let places =
            base.files.iter().enumerate().flat_map(|(file, bytes)| (0..bytes.len()).map(move |at| Self { file, at }));
        places.partition(|place| {
            let bytes = &base.files[place.file];
            let around = &bytes[place.at.saturating_sub(8)..bytes.len().min(place.at + 9)];
            around.iter().any(|byte| *byte != 0)
        })
    }
}

impl Case {
    /// Every damage that is not to a single place.
    pub fn coarse(base: &Base) -> Vec<Self> {
        let mut cases = Vec::new();
        for (file, name) in base.names.iter().enumerate() {
            for sector in 0..base.sectors(file) {
                of_sector(base, file, sector, &mut cases);
                if sector % 4 == 0 {
                    cases.push(Self::Harm(file, Damage::Cut(sector * 512)));
                }
            }
            cases.push(Self::Missing(file));
            cases.extend((0..base.older[file].len()).map(|version| Self::Older(file, version)));
            cases.extend(neighbours(base, name).into_iter().map(|to| Self::Copied(file, to)));
        }
        cases
    }

    /// A bit of each sector that has anything in it.
    pub fn coarse_bits(base: &Base) -> impl Iterator<Item = Self> {
        (0..base.files.len()).flat_map(move |file| {
            (0..base.sectors(file)).filter_map(move |sector| {
                let byte = base.sector(file, sector).iter().position(|byte| *byte != 0)?;
                Some(Self::Harm(file, Damage::FlippedBit((sector * 512 + byte as u64) * 8 + 2)))
            })
        })
    }

    /// What it is called where it is counted.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Harm(_, Damage::FlippedBit(_)) => Fault::Flipped,
            Self::Harm(_, Damage::Cut(_)) => Fault::Cut,
            Self::Harm(_, Damage::ZeroedSector(_)) => Fault::Zeroed,
            Self::Harm(_, Damage::SwappedSectors(..)) => Fault::Swapped,
            Self::Harm(_, Damage::ForeignSector(..)) => Fault::Astray,
            Self::Stale(..) => Fault::Stale,
            Self::Missing(_) => Fault::Missing,
            Self::Copied(..) => Fault::Copied,
            Self::Older(..) => Fault::Older,
        }
    }

    /// As it is printed.
    pub fn named<'a>(&'a self, base: &'a Base) -> Named<'a> {
        Named { base, case: self }
    }
}

fn of_sector(base: &Base, file: usize, sector: u64, cases: &mut Vec<Case>) {
    let now = base.sector(file, sector);
    if now.iter().any(|byte| *byte != 0) {
        cases.push(Case::Harm(file, Damage::ZeroedSector(sector)));
    }
    let swapped = (sector + 1..base.sectors(file)).filter(|other| base.sector(file, *other) != now);
    cases.extend(swapped.map(|other| Case::Harm(file, Damage::SwappedSectors(sector, other))));
    let mut seen = BTreeSet::from([now, &[]]);
    for other in 0..base.files.len() {
        // Another file's, written astray.
        if seen.insert(base.sector(other, sector)) {
            cases.push(Case::Harm(file, Damage::ForeignSector(sector, base.sector(other, sector).to_vec())));
        }
    }
    for version in 0..base.older[file].len() {
        if seen.insert(base.older_sector(file, sector, version)) {
            cases.push(Case::Stale(file, sector, version));
        }
    }
}

/// Names that differ from this one in the last digit of one of their numbers, and names of the same kind that are there.
fn neighbours(base: &Base, path: &str) -> BTreeSet<String> {
    let kind = |path: &str| path.rsplit_once('.').map(|(_, kind)| kind.to_owned());
    let same_kind = |other: &&String| kind(other).is_some() && kind(other) == kind(path);
    let mut neighbours: BTreeSet<String> = base.names.iter().filter(same_kind).cloned().collect();
    for (at, _) in path.match_indices(['-', '.']) {
        let Some(digit) = path[..at].chars().last().and_then(|digit| digit.to_digit(16)) else { continue };
        let near = [digit + 15, digit + 1, digit + 2, digit + 5].map(|near| char::from_digit(near % 16, 16));
        neighbours.extend(near.into_iter().flatten().map(|near| format!("{}{near}{}", &path[..at - 1], &path[at..])));
    }
    neighbours.remove(path);
    neighbours
}

/// A case as it is printed.
pub struct Named<'a> {
    base: &'a Base,
    case: &'a Case,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Base { name, names, .. } = self.base;
        match self.case {
            Case::Harm(file, Damage::FlippedBit(bit)) => write!(f, "{name}:flip:{bit}:{}", names[*file]),
            Case::Harm(file, Damage::Cut(len)) => write!(f, "{name}:cut:{len}:{}", names[*file]),
            Case::Harm(file, Damage::ZeroedSector(sector)) => write!(f, "{name}:zero:{sector}:{}", names[*file]),
            Case::Harm(file, Damage::SwappedSectors(one, other)) => {
                write!(f, "{name}:swap:{one}+{other}:{}", names[*file])
            }
            Case::Harm(file, Damage::ForeignSector(sector, content)) => {
                let from = (0..names.len()).find(|from| self.base.sector(*from, *sector) == content);
                write!(f, "{name}:astray:{sector}:{}:{}", names[*file], from.map_or("", |from| &names[from]))
            }
            Case::Stale(file, sector, version) => write!(f, "{name}:stale:{sector}@{version}:{}", names[*file]),
            Case::Missing(file) => write!(f, "{name}:missing:{}", names[*file]),
            Case::Copied(file, to) => write!(f, "{name}:copied:{}:{to}", names[*file]),
            Case::Older(file, version) => write!(f, "{name}:older:{version}:{}", names[*file]),
        }
    }
}
