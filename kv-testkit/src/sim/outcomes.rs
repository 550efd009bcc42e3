//! The outcome of each persistence unit: enumerating all combinations, or picking corner cases and
//! samples.

use std::collections::BTreeSet;

use super::{
    choice::{LostUnit, Survivors},
    units::{Unit, UnitKind, Units},
};

/// What a crash does to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnitOutcome {
    Lost,
    Kept,
    /// A sector whose first n bytes are new and whose other bytes are old.
    Torn(u16),
}

/// The states to check beside random samples, where not all states are checked.
pub(super) fn corner_cases(units: &Units) -> impl Iterator<Item = Survivors> + use<> {
    let count = units.all().len();
    [Survivors::Nothing, Survivors::Everything]
        .into_iter()
        .chain((1..count).map(Survivors::Prefix))
        .chain((0..count).map(Survivors::Without))
        .chain((0..count).map(Survivors::Only))
}

impl Units {
    /// How many combinations of outcomes there are; `None` if the number does not fit into 64 bits.
    /// Several may lead to the same disk.
    pub fn count(&self) -> Option<u64> {
        let journaled = if self.model.has_journal() { self.journaled().count() as u64 + 1 } else { 1 };
        let free = self.all().iter().filter(|unit| self.is_free(unit));
        free.map(|unit| self.outcomes_of(unit)).try_fold(journaled, u64::checked_mul)
    }

    /// Whether the unit's outcome does not depend on the journal.
    fn is_free(&self, unit: &Unit) -> bool {
        !self.model.has_journal() || !unit.is_journaled()
    }

    fn outcomes_of(&self, unit: &Unit) -> u64 {
        if unit.tears.is_empty() { 2 } else { 3 }
    }

    /// The outcome of each unit.
    pub fn outcomes(&self, survivors: &Survivors) -> Vec<UnitOutcome> {
        let keep_if = |keeps: &dyn Fn(usize) -> bool| {
            (0..self.all().len())
                .map(|at| if keeps(at) { UnitOutcome::Kept } else { UnitOutcome::Lost })
                .collect::<Vec<_>>()
        };
        let mut outcomes = match survivors {
            Survivors::Nothing => keep_if(&|_| false),
            Survivors::Everything => keep_if(&|_| true),
            Survivors::Prefix(kept) => keep_if(&|at| at < *kept),
            Survivors::Without(lost) => keep_if(&|at| at != *lost),
            Survivors::Only(kept) => self.only(*kept),
            Survivors::Numbered(number) => self.numbered(*number),
            Survivors::Sample(seed) => self.sample(*seed),
            Survivors::Except(losses) => self.except(losses),
        };
        if self.model.has_journal() {
            self.keep_order(&mut outcomes);
        }
        outcomes
    }

    /// The units that these outcomes lose or tear. [`Survivors::Except`] with them gives the same
    /// outcomes again.
    pub fn losses(&self, outcomes: &[UnitOutcome]) -> Vec<LostUnit> {
        let loss = |(unit, outcome): (usize, &UnitOutcome)| match outcome {
            UnitOutcome::Kept => None,
            UnitOutcome::Lost => Some(LostUnit { unit, kept_bytes: 0 }),
            UnitOutcome::Torn(kept_bytes) => Some(LostUnit { unit, kept_bytes: *kept_bytes }),
        };
        outcomes.iter().enumerate().filter_map(loss).collect()
    }

    fn only(&self, kept: usize) -> Vec<UnitOutcome> {
        let units = self.all();
        let journal = self.model.has_journal() && units.get(kept).is_some_and(Unit::is_journaled);
        let keeps = |at: usize| at == kept || journal && at < kept && units[at].is_journaled();
        (0..units.len()).map(|at| if keeps(at) { UnitOutcome::Kept } else { UnitOutcome::Lost }).collect()
    }

    fn except(&self, losses: &[LostUnit]) -> Vec<UnitOutcome> {
        let mut outcomes = vec![UnitOutcome::Kept; self.all().len()];
        for LostUnit { unit, kept_bytes } in losses {
            let Some(outcome) = outcomes.get_mut(*unit) else { continue };
            let is_torn = self.all()[*unit].tears.contains(kept_bytes);
            *outcome = if is_torn { UnitOutcome::Torn(*kept_bytes) } else { UnitOutcome::Lost };
        }
        outcomes
    }

    fn numbered(&self, mut number: u64) -> Vec<UnitOutcome> {
        let mut digit = |base: u64| {
            let digit = number % base;
            number /= base;
            digit
        };
        let mut journaled = if self.model.has_journal() { digit(self.journaled().count() as u64 + 1) } else { 0 };
        let mut outcomes = Vec::with_capacity(self.all().len());
        for unit in self.all() {
            let digit = if self.is_free(unit) {
                digit(self.outcomes_of(unit))
            } else {
                let is_kept = journaled != 0;
                journaled -= u64::from(is_kept);
                u64::from(is_kept)
            };
            outcomes.push([UnitOutcome::Lost, UnitOutcome::Kept, torn(unit)][digit as usize]);
        }
        outcomes
    }

    fn sample(&self, seed: u64) -> Vec<UnitOutcome> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut likely = || [0.02, 0.1, 0.5, 0.9, 0.98][rng.usize(..5)];
        let (sectors, lengths, metadata, torn) = (likely(), likely(), likely(), likely() / 4.0);
        let mut outcome = |unit: &Unit| {
            let kept = match unit.kind {
                UnitKind::Metadata => metadata,
                UnitKind::Length => lengths,
                UnitKind::Sector(..) => sectors,
            };
            if !unit.tears.is_empty() && rng.f64() < torn {
                return UnitOutcome::Torn(rng.u16(unit.tears.clone()));
            }
            if rng.f64() < kept { UnitOutcome::Kept } else { UnitOutcome::Lost }
        };
        self.all().iter().map(&mut outcome).collect()
    }

    /// Applies the rules of a file system with a journal and a page cache: journaled changes
    /// survive up to some point, and a sector holds some version of what was written to it.
    fn keep_order(&self, outcomes: &mut [UnitOutcome]) {
        let lost = self.journaled().find(|at| outcomes[*at] == UnitOutcome::Lost).unwrap_or(usize::MAX);
        self.journaled().filter(|at| *at > lost).for_each(|at| outcomes[at] = UnitOutcome::Lost);
        let mut kept_later = BTreeSet::new();
        for (at, unit) in self.all().iter().enumerate().rev() {
            if let UnitKind::Sector(node, sector) = unit.kind {
                if kept_later.contains(&(node, sector)) {
                    outcomes[at] = UnitOutcome::Kept;
                } else if outcomes[at] != UnitOutcome::Lost {
                    kept_later.insert((node, sector));
                }
            }
        }
    }
}

/// Where a sector is torn if nothing else decides it.
fn torn(unit: &Unit) -> UnitOutcome {
    let Unit { seq, sub, tears, .. } = unit;
    let spread = (seq.wrapping_mul(31) + u64::from(*sub) * 7) % (tears.len().max(1) as u64);
    UnitOutcome::Torn(tears.start + spread as u16)
}
