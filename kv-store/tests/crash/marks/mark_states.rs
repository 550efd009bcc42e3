//! The states in which a power cut may leave the ack mark.
//!
//! These come from the simulated disk's own record of unsynced writes to the file, and do not
//! depend on the mark's format. A power cut leaves each sector that has such writes as it was
//! synced, as a later write made it, or torn between two of these, independently of the other
//! sectors.
//!
//! # Which combinations are checked
//!
//! A sector holds one slot, and a slot has a checksum. So a sector states what one whole write
//! stated, or nothing. The checksum rejects every torn sector, so a few of them represent all. Of
//! two valid slots, the log takes the higher position and the higher epoch. So a pair states no
//! more than the higher of its two slots, and each whole state of a slot is a *claim*. Each claim
//! is combined with three states of the other slot: the oldest, the newest, and a torn one. So
//! every claim occurs as the higher and as the lower of the two. If there are few whole states, all
//! pairs of them are checked; if there are many, only some of the claims.

use std::collections::{BTreeMap, BTreeSet};

use kv_store::Lsn;
use kv_testkit::sim::{Damage, SimDisk};

pub const MARK: &str = "log/MARK";
const SECTOR_BYTES: usize = 512;

/// If there are at most this many pairs of whole states, all of them are checked.
const PAIRS_MAX: usize = 36;
/// Otherwise this many claims of each sector, including the oldest and the newest.
const CLAIMS_MAX: usize = 12;
/// How many torn states of each sector are checked.
const TORN_MAX: usize = 3;

/// For each written state of a sector of the mark: the durable position that was known then. The
/// sector states at least that position.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    now: Vec<u8>,
    said: BTreeMap<(usize, Vec<u8>), Lsn>,
}

impl Claims {
    /// Notes the mark after a step, and the log's durable position before and after that step.
    pub fn note(&mut self, disk: &SimDisk, before: Lsn, after: Lsn) {
        let now = disk.peek(MARK, 0, 1 << 20).unwrap_or_default();
        let sector = |bytes: &[u8], at: usize| bytes.chunks(SECTOR_BYTES).nth(at).unwrap_or_default().to_vec();
        let changed: Vec<_> = (0..now.len().div_ceil(SECTOR_BYTES))
            .filter(|at| sector(&now, *at) != sector(&self.now, *at) && sector(&now, *at).iter().any(|byte| *byte != 0))
            .collect();
        // The last write states what is durable when the step is acknowledged. If both sectors were
        // written, it is not known from outside which was the last, so neither claims more than was
        // durable before.
        let claim = if changed.len() == 1 { after } else { before };
        for at in changed {
            self.said.entry((at, sector(&now, at))).or_insert(claim);
        }
        self.now = now;
    }

    /// The highest position that the sectors without unsynced writes state.
    fn synced(&self, written: &BTreeMap<u64, kv_testkit::sim::Remains>) -> Lsn {
        let now = self.now.chunks(SECTOR_BYTES).enumerate();
        let synced = now.filter(|(at, _)| !written.contains_key(&(*at as u64)));
        synced.filter_map(|(at, bytes)| self.said.get(&(at, bytes.to_vec())).copied()).max().unwrap_or_default()
    }
}

/// All states in which a power cut may leave the mark.
#[derive(Clone, Debug)]
pub struct MarkStates {
    sectors: Vec<Sector>,
    /// The position that the sectors without unsynced writes state. It cannot be lost.
    synced: Lsn,
}

#[derive(Clone, Debug)]
struct Sector {
    number: u64,
    /// The whole states, oldest first, and then the torn ones; each with the position that it
    /// proves.
    states: Vec<(Vec<u8>, Lsn)>,
    whole: usize,
}

/// The state of each sector that can be lost.
pub type MarkChoice = Vec<usize>;

impl MarkStates {
    pub fn of(disk: &SimDisk, claims: &Claims) -> Self {
        let written = disk.remains(MARK);
        let synced = claims.synced(&written);
        let sector = |(number, remains): (u64, kv_testkit::sim::Remains)| {
            let whole = remains.whole.len();
            let mut proven = Lsn::START;
            let states = remains.whole.into_iter().map(|bytes| {
                // If a step writes a sector twice, the first write states no less than the one
                // before the step.
                proven = claims.said.get(&(number as usize, bytes.clone())).copied().unwrap_or(proven).max(proven);
                (bytes, proven)
            });
            let torn = thin(&remains.torn, TORN_MAX).into_iter().map(|bytes| (bytes.clone(), Lsn::START));
            Sector { number, states: states.collect::<Vec<_>>().into_iter().chain(torn).collect(), whole }
        };
        Self { sectors: written.into_iter().map(sector).collect(), synced }
    }

    /// The combinations that are checked. The first has all sectors as old as possible, the second
    /// as new as possible, the third torn.
    pub fn choices(&self) -> Vec<MarkChoice> {
        let all = |state: &dyn Fn(&Sector) -> usize| self.sectors.iter().map(state).collect::<MarkChoice>();
        let bases = [all(&|_| 0), all(&Sector::newest), all(&|sector| sector.whole % sector.states.len())];
        let mut choices: Vec<_> = bases.to_vec();
        for base in &bases {
            for (at, sector) in self.sectors.iter().enumerate() {
                let whole: Vec<_> = (0..sector.whole).collect();
                let claims = thin(&whole, CLAIMS_MAX).into_iter().copied();
                for state in claims.chain(sector.whole..sector.states.len()) {
                    let mut choice = base.clone();
                    choice[at] = state;
                    choices.push(choice);
                }
            }
        }
        if let [one, other] = &self.sectors[..]
            && one.whole * other.whole <= PAIRS_MAX
        {
            choices.extend((0..one.whole).flat_map(|state| (0..other.whole).map(move |beside| vec![state, beside])));
        }
        let mut seen = BTreeSet::new();
        choices.retain(|choice| seen.insert(choice.clone()));
        choices
    }

    /// The combination that a killed process leaves.
    pub fn exact(&self) -> MarkChoice {
        self.sectors.iter().map(Sector::newest).collect()
    }

    /// The distance from the exact mark: the number of writes by which each sector is older. Torn
    /// sectors are further away.
    pub fn distance(&self, choice: &MarkChoice) -> usize {
        let distance = |(sector, state): (&Sector, &usize)| {
            if *state < sector.whole { sector.newest() - state } else { sector.whole }
        };
        self.sectors.iter().zip(choice).map(distance).sum()
    }

    /// The durable position that the mark proves.
    pub fn proves(&self, choice: &MarkChoice) -> Lsn {
        let proven = self.sectors.iter().zip(choice).map(|(sector, state)| sector.states[*state].1);
        proven.max().unwrap_or_default().max(self.synced)
    }

    /// Writes this state of the mark to the disk.
    pub fn leave(&self, choice: &MarkChoice, disk: &SimDisk) {
        for (sector, state) in self.sectors.iter().zip(choice) {
            disk.damage(MARK, &Damage::ForeignSector(sector.number, sector.states[*state].0.clone()));
        }
    }

    /// A name such as `3+7~`: whole state 3 of the first sector, and torn state 7 of the other.
    pub fn name(&self, choice: &MarkChoice) -> String {
        let name = |(sector, state): (&Sector, &usize)| {
            if *state < sector.whole { state.to_string() } else { format!("{}~", state - sector.whole) }
        };
        self.sectors.iter().zip(choice).map(name).collect::<Vec<_>>().join("+")
    }
}

impl Sector {
    fn newest(&self) -> usize {
        self.whole - 1
    }
}

/// At most `max` items, evenly spaced, including the first and the last.
fn thin<T>(all: &[T], max: usize) -> Vec<&T> {
    if all.len() <= max {
        return all.iter().collect();
    }
    (0..max).map(|at| &all[at * (all.len() - 1) / (max - 1)]).collect()
}
