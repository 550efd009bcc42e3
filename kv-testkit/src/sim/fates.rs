//! What becomes of each atom, by the choice: counting all possibilities, or picking the most telling.

use std::collections::BTreeSet;

use super::{
    atoms::{Atom, AtomKind, Atoms},
    choice::{Loss, Pick},
};

/// What becomes of an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Kept,
    /// A sector whose first bytes, so many, are new and the rest old.
    Torn(u16),
}

/// The choices that are always looked at where not all are.
pub(super) fn telling(atoms: &Atoms) -> impl Iterator<Item = Pick> + use<> {
    let count = atoms.all().len();
    [Pick::Nothing, Pick::Everything]
        .into_iter()
        .chain((1..count).map(Pick::Prefix))
        .chain((0..count).map(Pick::Without))
        .chain((0..count).map(Pick::Only))
}

impl Atoms {
    /// How many assignments of fates there are; `None` if they are more than can be counted. Some may lead to the same state.
    pub fn count(&self) -> Option<u64> {
        let journaled = if self.model.has_journal() { self.journaled().count() as u64 + 1 } else { 1 };
        let free = self.all().iter().filter(|atom| self.is_free(atom));
        free.map(|atom| self.fates_of(atom)).try_fold(journaled, u64::checked_mul)
    }

    /// Whether the atom's fate does not depend on the journal.
    fn is_free(&self, atom: &Atom) -> bool {
        !self.model.has_journal() || !atom.is_journaled()
    }

    fn fates_of(&self, atom: &Atom) -> u64 {
        if atom.tears.is_empty() { 2 } else { 3 }
    }

    /// The fate of each atom.
    pub fn fates(&self, pick: &Pick) -> Vec<Fate> {
        let keep_if = |keeps: &dyn Fn(usize) -> bool| {
            (0..self.all().len()).map(|at| if keeps(at) { Fate::Kept } else { Fate::Lost }).collect::<Vec<_>>()
        };
        let mut fates = match pick {
            Pick::Nothing => keep_if(&|_| false),
            Pick::Everything => keep_if(&|_| true),
            Pick::Prefix(kept) => keep_if(&|at| at < *kept),
            Pick::Without(lost) => keep_if(&|at| at != *lost),
            Pick::Only(kept) => self.only(*kept),
            Pick::Numbered(number) => self.numbered(*number),
            Pick::Sample(seed) => self.sample(*seed),
            Pick::Except(losses) => self.except(losses),
        };
        if self.model.has_journal() {
            self.keep_order(&mut fates);
        }
        fates
    }

    /// What the fates take: with [`Pick::Except`] they become the same again.
    pub fn losses(&self, fates: &[Fate]) -> Vec<Loss> {
        let loss = |(atom, fate): (usize, &Fate)| match fate {
            Fate::Kept => None,
            Fate::Lost => Some(Loss { atom, kept_bytes: 0 }),
            Fate::Torn(kept_bytes) => Some(Loss { atom, kept_bytes: *kept_bytes }),
        };
        fates.iter().enumerate().filter_map(loss).collect()
    }

    fn only(&self, kept: usize) -> Vec<Fate> {
        let atoms = self.all();
        let journal = self.model.has_journal() && atoms.get(kept).is_some_and(Atom::is_journaled);
        let keeps = |at: usize| at == kept || journal && at < kept && atoms[at].is_journaled();
        (0..atoms.len()).map(|at| if keeps(at) { Fate::Kept } else { Fate::Lost }).collect()
    }

    fn except(&self, losses: &[Loss]) -> Vec<Fate> {
        let mut fates = vec![Fate::Kept; self.all().len()];
        for Loss { atom, kept_bytes } in losses {
            let Some(fate) = fates.get_mut(*atom) else { continue };
            let is_torn = self.all()[*atom].tears.contains(kept_bytes);
            *fate = if is_torn { Fate::Torn(*kept_bytes) } else { Fate::Lost };
        }
        fates
    }

    fn numbered(&self, mut number: u64) -> Vec<Fate> {
        let mut digit = |base: u64| {
            let digit = number % base;
            number /= base;
            digit
        };
        let mut journaled = if self.model.has_journal() { digit(self.journaled().count() as u64 + 1) } else { 0 };
        let mut fates = Vec::with_capacity(self.all().len());
        for atom in self.all() {
            let digit = if self.is_free(atom) {
                digit(self.fates_of(atom))
            } else {
                let is_kept = journaled != 0;
                journaled -= u64::from(is_kept);
                u64::from(is_kept)
            };
            fates.push([Fate::Lost, Fate::Kept, torn(atom)][digit as usize]);
        }
        fates
    }

    fn sample(&self, seed: u64) -> Vec<Fate> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut likely = || [0.02, 0.1, 0.5, 0.9, 0.98][rng.usize(..5)];
        let (sectors, lengths, metadata, torn) = (likely(), likely(), likely(), likely() / 4.0);
        let mut fate = |atom: &Atom| {
            let kept = match atom.kind {
                AtomKind::Metadata => metadata,
                AtomKind::Length => lengths,
                AtomKind::Sector(..) => sectors,
            };
            if !atom.tears.is_empty() && rng.f64() < torn {
                return Fate::Torn(rng.u16(atom.tears.clone()));
            }
            if rng.f64() < kept { Fate::Kept } else { Fate::Lost }
        };
        self.all().iter().map(&mut fate).collect()
    }

    /// What a file system with a journal and a page cache sees to: what was journaled survives up to some point, and a sector is as it was at
    /// some time.
    fn keep_order(&self, fates: &mut [Fate]) {
        let lost = self.journaled().find(|at| fates[*at] == Fate::Lost).unwrap_or(usize::MAX);
        self.journaled().filter(|at| *at > lost).for_each(|at| fates[at] = Fate::Lost);
        let mut kept_later = BTreeSet::new();
        for (at, atom) in self.all().iter().enumerate().rev() {
            if let AtomKind::Sector(node, sector) = atom.kind {
                if kept_later.contains(&(node, sector)) {
                    fates[at] = Fate::Kept;
                } else if fates[at] != Fate::Lost {
                    kept_later.insert((node, sector));
                }
            }
        }
    }
}

/// Where a sector is torn if nothing else says where.
fn torn(atom: &Atom) -> Fate {
    let Atom { seq, sub, tears, .. } = atom;
    let spread = (seq.wrapping_mul(31) + u64::from(*sub) * 7) % (tears.len().max(1) as u64);
    Fate::Torn(tears.start + spread as u16)
}
