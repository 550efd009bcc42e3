//! Every damage to a small store.

use std::{collections::BTreeSet, fmt};

use kv_testkit::sim::Damage;

use crate::{coverage::FaultKind, fixture::Fixture};

/// A damage to a store. Files are given by their indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamageCase {
    InPlace(usize, Damage),
    /// The sector has its content of the older version with this number.
    Stale(usize, u64, usize),
    Missing(usize),
    /// A copy of the file exists under this name.
    Copied(usize, String),
    /// The file is as in the older version with this number.
    Older(usize, usize),
}

/// A byte of a file. Each of its bits is flipped, and the file is cut before it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    file: usize,
    at: usize,
}

impl Place {
    /// How many cases there are per place.
    pub const CASES: u64 = 9;

    pub fn cases(self) -> impl Iterator<Item = DamageCase> {
        let at = self.at as u64;
        let flips = (at * 8..at * 8 + 8).map(Damage::FlippedBit);
        flips.chain([Damage::Cut(at)]).map(move |damage| DamageCase::InPlace(self.file, damage))
    }

    /// All places of a store: first those in use, then those in long runs of zeroes.
    pub fn all(fixture: &Fixture) -> (Vec<Self>, Vec<Self>) {
        let places = fixture
            .files
            .iter()
            .enumerate()
            .flat_map(|(file, bytes)| (0..bytes.len()).map(move |at| Self { file, at }));
        places.partition(|place| {
            let bytes = &fixture.files[place.file];
            let around = &bytes[place.at.saturating_sub(8)..bytes.len().min(place.at + 9)];
            around.iter().any(|byte| *byte != 0)
        })
    }
}

impl DamageCase {
    /// The file that is damaged or missing; `None` if there is only one more.
    pub fn damaged_file(&self) -> Option<usize> {
        match self {
            Self::InPlace(file, _) | Self::Stale(file, ..) | Self::Missing(file) | Self::Older(file, _) => Some(*file),
            Self::Copied(..) => None,
        }
    }

    /// All damage except that to single bytes.
    pub fn coarse(fixture: &Fixture) -> Vec<Self> {
        let mut cases = Vec::new();
        for (file, name) in fixture.names.iter().enumerate() {
            for sector in 0..fixture.sectors(file) {
                of_sector(fixture, file, sector, &mut cases);
                if sector % 4 == 0 {
                    cases.push(Self::InPlace(file, Damage::Cut(sector * 512)));
                }
            }
            cases.push(Self::Missing(file));
            cases.extend((0..fixture.older[file].len()).map(|version| Self::Older(file, version)));
            cases.extend(neighbours(fixture, name).into_iter().map(|to| Self::Copied(file, to)));
        }
        cases
    }

    /// One bit of each sector that is not all zeroes.
    pub fn coarse_bits(fixture: &Fixture) -> impl Iterator<Item = Self> {
        (0..fixture.files.len()).flat_map(move |file| {
            (0..fixture.sectors(file)).filter_map(move |sector| {
                let byte = fixture.sector(file, sector).iter().position(|byte| *byte != 0)?;
                Some(Self::InPlace(file, Damage::FlippedBit((sector * 512 + byte as u64) * 8 + 2)))
            })
        })
    }

    /// The kind of fault that it counts as.
    pub fn fault(&self) -> FaultKind {
        match self {
            Self::InPlace(_, Damage::FlippedBit(_)) => FaultKind::Flipped,
            Self::InPlace(_, Damage::Cut(_)) => FaultKind::Cut,
            Self::InPlace(_, Damage::ZeroedSector(_)) => FaultKind::Zeroed,
            Self::InPlace(_, Damage::SwappedSectors(..)) => FaultKind::Swapped,
            Self::InPlace(_, Damage::ForeignSector(..)) => FaultKind::Astray,
            Self::Stale(..) => FaultKind::Stale,
            Self::Missing(_) => FaultKind::Missing,
            Self::Copied(..) => FaultKind::Copied,
            Self::Older(..) => FaultKind::Older,
        }
    }

    /// The name with which it is printed.
    pub fn named<'a>(&'a self, fixture: &'a Fixture) -> Named<'a> {
        Named { fixture, case: self }
    }
}

fn of_sector(fixture: &Fixture, file: usize, sector: u64, cases: &mut Vec<DamageCase>) {
    let now = fixture.sector(file, sector);
    if now.iter().any(|byte| *byte != 0) {
        cases.push(DamageCase::InPlace(file, Damage::ZeroedSector(sector)));
    }
    let swapped = (sector + 1..fixture.sectors(file)).filter(|other| fixture.sector(file, *other) != now);
    cases.extend(swapped.map(|other| DamageCase::InPlace(file, Damage::SwappedSectors(sector, other))));
    let mut seen = BTreeSet::from([now, &[]]);
    for other in 0..fixture.files.len() {
        // The content of another file, written to the wrong place.
        if seen.insert(fixture.sector(other, sector)) {
            cases
                .push(DamageCase::InPlace(file, Damage::ForeignSector(sector, fixture.sector(other, sector).to_vec())));
        }
    }
    for version in 0..fixture.older[file].len() {
        if seen.insert(fixture.older_sector(file, sector, version)) {
            cases.push(DamageCase::Stale(file, sector, version));
        }
    }
}

/// Names that differ from this one in the last digit of one of their numbers. Also existing names
/// of the same kind.
fn neighbours(fixture: &Fixture, path: &str) -> BTreeSet<String> {
    let kind = |path: &str| path.rsplit_once('.').map(|(_, kind)| kind.to_owned());
    let same_kind = |other: &&String| kind(other).is_some() && kind(other) == kind(path);
    let mut neighbours: BTreeSet<String> = fixture.names.iter().filter(same_kind).cloned().collect();
    for (at, _) in path.match_indices(['-', '.']) {
        let Some(digit) = path[..at].chars().last().and_then(|digit| digit.to_digit(16)) else { continue };
        let near = [digit + 15, digit + 1, digit + 2, digit + 5].map(|near| char::from_digit(near % 16, 16));
        neighbours.extend(near.into_iter().flatten().map(|near| format!("{}{near}{}", &path[..at - 1], &path[at..])));
    }
    neighbours.remove(path);
    neighbours
}

/// A case with the name with which it is printed.
pub struct Named<'a> {
    fixture: &'a Fixture,
    case: &'a DamageCase,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fixture { name, names, .. } = self.fixture;
        match self.case {
            DamageCase::InPlace(file, Damage::FlippedBit(bit)) => write!(f, "{name}:flip:{bit}:{}", names[*file]),
            DamageCase::InPlace(file, Damage::Cut(len)) => write!(f, "{name}:cut:{len}:{}", names[*file]),
            DamageCase::InPlace(file, Damage::ZeroedSector(sector)) => {
                write!(f, "{name}:zero:{sector}:{}", names[*file])
            }
            DamageCase::InPlace(file, Damage::SwappedSectors(one, other)) => {
                write!(f, "{name}:swap:{one}+{other}:{}", names[*file])
            }
            DamageCase::InPlace(file, Damage::ForeignSector(sector, content)) => {
                let from = (0..names.len()).find(|from| self.fixture.sector(*from, *sector) == content);
                write!(f, "{name}:astray:{sector}:{}:{}", names[*file], from.map_or("", |from| &names[from]))
            }
            DamageCase::Stale(file, sector, version) => write!(f, "{name}:stale:{sector}@{version}:{}", names[*file]),
            DamageCase::Missing(file) => write!(f, "{name}:missing:{}", names[*file]),
            DamageCase::Copied(file, to) => write!(f, "{name}:copied:{}:{to}", names[*file]),
            DamageCase::Older(file, version) => write!(f, "{name}:older:{version}:{}", names[*file]),
        }
    }
}
