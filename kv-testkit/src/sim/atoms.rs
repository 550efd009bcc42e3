//! What a power cut may take, atom by atom, and the choices among that.

use std::{collections::BTreeSet, ops::Range};

use super::{
    crash::{CrashChoice, CrashModel, Fate, Pick},
    state::{Change, ChangeKind, NodeId, Seq, State},
};

/// What a disk writes whole, or tears only in the weakest model, in bytes.
const SECTOR_BYTES: u64 = 512;

/// The least that survives or not: of a change, by its place in the order of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom {
    pub seq: Seq,
    /// [`WHOLE`](Atom::WHOLE), or one more than the index of the sector in the write.
    pub sub: u32,
    pub kind: AtomKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtomKind {
    /// A change of names, or a length that was set.
    Metadata,
    /// The length that a write gave.
    Length,
    /// A sector of a file.
    Sector(NodeId, u64),
}

impl Atom {
    pub const WHOLE: u32 = 0;

    /// The sectors of a write: their subs and which of its bytes lie in each.
    pub fn sectors(offset: u64, len: usize) -> impl Iterator<Item = (u32, Range<usize>)> {
        let end = offset + len as u64;
        let first = offset / SECTOR_BYTES;
        (first..end.div_ceil(SECTOR_BYTES)).map(move |sector| {
            let from = (sector * SECTOR_BYTES).max(offset) - offset;
            let to = ((sector + 1) * SECTOR_BYTES).min(end) - offset;
            ((sector - first) as u32 + 1, from as usize..to as usize)
        })
    }
}

/// Everything on a disk that a power cut may take.
pub(super) struct Atoms {
    model: CrashModel,
    atoms: Vec<Atom>,
}

impl Atoms {
    pub fn of(state: &State, model: CrashModel) -> Self {
        let mut atoms = Vec::new();
        if model != CrashModel::Killed {
            let is_safe = |seq: Seq| model.has_journal() && seq < state.committed;
            let names =
                state.directories.values().flat_map(|directory| directory.pending.iter().map(|change| change.seq));
            atoms.extend(names.filter(|seq| !is_safe(*seq)).map(metadata));
            let reachable = state.reachable();
            for (node, file) in state.files.iter().filter(|(node, _)| reachable.contains(node)) {
                for change in &file.pending {
                    push_change(&mut atoms, *node, change, model, is_safe(change.seq));
                }
            }
            atoms.sort_unstable_by_key(|atom| (atom.seq, atom.sub));
        }
        Self { model, atoms }
    }

    pub fn all(&self) -> &[Atom] {
        &self.atoms
    }

    /// All choices if there are at most `limit`; otherwise the ones that are most telling, and `limit / 4` of the rest.
    pub fn choices(&self, limit: u64, seed: u64) -> Vec<CrashChoice> {
        let atoms = self.atoms.len();
        let picks: Vec<_> = match self.count() {
            Some(count) if count <= limit.max(1) => (0..count).map(Pick::Numbered).collect(),
            _ => {
                let mut rng = fastrand::Rng::with_seed(seed);
                [Pick::Nothing, Pick::Everything]
                    .into_iter()
                    .chain((1..atoms).map(Pick::Prefix))
                    .chain((0..atoms).map(Pick::Without))
                    .chain((0..atoms).map(Pick::Only))
                    .chain((0..limit / 4).map(|_| Pick::Sample(rng.u64(..1 << 32))))
                    .collect()
            }
        };
        picks.into_iter().map(|pick| CrashChoice { model: self.model, pick }).collect()
    }

    /// How many assignments of fates there are; `None` if they are more than can be counted. Some may lead to the same state.
    fn count(&self) -> Option<u64> {
        let journaled = if self.model.has_journal() { self.journaled().count() as u64 + 1 } else { 1 };
        let free = self.atoms.iter().filter(|atom| self.is_free(atom));
        free.map(|atom| self.fates_of(atom)).try_fold(journaled, u64::checked_mul)
    }

    fn journaled(&self) -> impl Iterator<Item = usize> {
        (0..self.atoms.len()).filter(|at| self.atoms[*at].kind.is_journaled())
    }

    /// Whether the atom's fate does not depend on the journal.
    fn is_free(&self, atom: &Atom) -> bool {
        !self.model.has_journal() || !atom.kind.is_journaled()
    }

    fn fates_of(&self, atom: &Atom) -> u64 {
        match atom.kind {
            AtomKind::Sector(..) if self.model == CrashModel::Posix => 3,
            _ => 2,
        }
    }

    /// The fate of each atom.
    pub fn fates(&self, pick: Pick) -> Vec<Fate> {
        let count = self.atoms.len();
        let keep_if = |keeps: &dyn Fn(usize) -> bool| {
            (0..count).map(|at| if keeps(at) { Fate::Kept } else { Fate::Lost }).collect::<Vec<_>>()
        };
        let mut fates = match pick {
            Pick::Nothing => keep_if(&|_| false),
            Pick::Everything => keep_if(&|_| true),
            Pick::Prefix(kept) => keep_if(&|at| at < kept),
            Pick::Without(lost) => keep_if(&|at| at != lost),
            Pick::Only(kept) => self.only(kept),
            Pick::Numbered(number) => self.numbered(number),
            Pick::Sample(seed) => self.sample(seed),
        };
        if self.model.has_journal() {
            self.keep_order(&mut fates);
        }
        fates
    }

    fn only(&self, kept: usize) -> Vec<Fate> {
        let journal = self.model.has_journal() && self.atoms.get(kept).is_some_and(|atom| atom.kind.is_journaled());
        let keeps = |at: usize| at == kept || journal && at < kept && self.atoms[at].kind.is_journaled();
        (0..self.atoms.len()).map(|at| if keeps(at) { Fate::Kept } else { Fate::Lost }).collect()
    }

    fn numbered(&self, mut number: u64) -> Vec<Fate> {
        let mut digit = |base: u64| {
            let digit = number % base;
            number /= base;
            digit
        };
        let mut journaled = if self.model.has_journal() { digit(self.journaled().count() as u64 + 1) } else { 0 };
        let mut fates = Vec::with_capacity(self.atoms.len());
        for atom in &self.atoms {
            fates.push(match (self.is_free(atom), digit_of(self, atom, &mut digit)) {
                (false, _) if journaled == 0 => Fate::Lost,
                (false, _) => {
                    journaled -= 1;
                    Fate::Kept
                }
                (true, 0) => Fate::Lost,
                (true, 1) => Fate::Kept,
                (true, _) => Fate::Torn,
            });
        }
        fates
    }

    fn sample(&self, seed: u64) -> Vec<Fate> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut likely = || [0.02, 0.1, 0.5, 0.9, 0.98][rng.usize(..5)];
        let (sectors, lengths, metadata, torn) = (likely(), likely(), likely(), likely());
        let mut fate = |atom: &Atom| {
            let (kept, torn) = match atom.kind {
                AtomKind::Metadata => (metadata, 0.0),
                AtomKind::Length => (lengths, 0.0),
                AtomKind::Sector(..) => (sectors, if self.model == CrashModel::Posix { torn / 4.0 } else { 0.0 }),
            };
            match rng.f64() {
                _ if rng.f64() < torn => Fate::Torn,
                chance if chance < kept => Fate::Kept,
                _ => Fate::Lost,
            }
        };
        self.atoms.iter().map(&mut fate).collect()
    }

    /// What a file system with a journal and a page cache sees to: what was journaled survives up to some point, and a sector is as it was at
    /// some time.
    fn keep_order(&self, fates: &mut [Fate]) {
        let lost = self.journaled().find(|at| fates[*at] == Fate::Lost).unwrap_or(usize::MAX);
        self.journaled().filter(|at| *at > lost).for_each(|at| fates[at] = Fate::Lost);
        let mut kept_later = BTreeSet::new();
        for at in (0..self.atoms.len()).rev() {
            if let AtomKind::Sector(node, sector) = self.atoms[at].kind {
                if kept_later.contains(&(node, sector)) {
                    fates[at] = Fate::Kept;
                } else if fates[at] != Fate::Lost {
                    kept_later.insert((node, sector));
                }
            }
        }
    }
}

fn digit_of(atoms: &Atoms, atom: &Atom, digit: &mut dyn FnMut(u64) -> u64) -> u64 {
    if atoms.is_free(atom) { digit(atoms.fates_of(atom)) } else { 0 }
}

fn metadata(seq: Seq) -> Atom {
    Atom { seq, sub: Atom::WHOLE, kind: AtomKind::Metadata }
}

fn push_change(atoms: &mut Vec<Atom>, node: NodeId, change: &Change, model: CrashModel, is_safe: bool) {
    let seq = change.seq;
    match &change.kind {
        ChangeKind::SetLen(_) if is_safe => {}
        ChangeKind::SetLen(_) => atoms.push(metadata(seq)),
        ChangeKind::Write { offset, bytes, extends } => {
            if *extends && model == CrashModel::Posix {
                atoms.push(Atom { seq, sub: Atom::WHOLE, kind: AtomKind::Length });
            }
            let first = offset / SECTOR_BYTES;
            let sector = |sub: u32| AtomKind::Sector(node, first + u64::from(sub) - 1);
            atoms.extend(Atom::sectors(*offset, bytes.len()).map(|(sub, _)| Atom { seq, sub, kind: sector(sub) }));
        }
    }
}
