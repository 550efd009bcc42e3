//! What a power cut may take, atom by atom.

use std::{collections::BTreeSet, ops::Range};

use super::{
    choice::{CrashModel, Loss},
    content::Content,
    state::{Change, ChangeKind, FileNode, NodeId, Seq, State},
};

/// What a disk writes whole, or tears only in the weakest model, in bytes.
pub(super) const SECTOR_BYTES: u64 = 512;

/// The least that survives or not: of a change, by its place in the order of all.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub seq: Seq,
    /// [`WHOLE`](Atom::WHOLE), or one more than the index of the sector in the write.
    pub sub: u32,
    pub kind: AtomKind,
    /// How many bytes may survive of a sector that is torn, so that it is neither as before nor as after; empty if it is not torn.
    pub tears: Range<u16>,
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

    fn whole(seq: Seq, kind: AtomKind) -> Self {
        Self { seq, sub: Self::WHOLE, kind, tears: 0..0 }
    }

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

    /// Whether the order in which a journal writes counts for it.
    pub fn is_journaled(&self) -> bool {
        self.kind == AtomKind::Metadata
    }
}

/// Everything on a disk that a power cut may take.
pub(super) struct Atoms {
    pub model: CrashModel,
    atoms: Vec<Atom>,
}

impl Atoms {
    pub fn of(state: &State, model: CrashModel) -> Self {
        let mut atoms = Vec::new();
        if model != CrashModel::Killed {
            let is_safe = |seq: Seq| model.has_journal() && seq < state.committed;
            let names =
                state.directories.values().flat_map(|directory| directory.pending.iter().map(|change| change.seq));
            atoms.extend(names.filter(|seq| !is_safe(*seq)).map(|seq| Atom::whole(seq, AtomKind::Metadata)));
            let reachable = state.reachable();
            for (node, file) in state.files.iter().filter(|(node, _)| reachable.contains(node)) {
                FileAtoms::new(*node, file, model, &mut atoms).push_all(is_safe);
            }
            atoms.sort_unstable_by_key(|atom| (atom.seq, atom.sub));
        }
        Self { model, atoms }
    }

    pub fn all(&self) -> &[Atom] {
        &self.atoms
    }

    /// The places of what is journaled, in order.
    pub fn journaled(&self) -> impl Iterator<Item = usize> {
        (0..self.atoms.len()).filter(|at| self.atoms[*at].is_journaled())
    }

    /// The place of a part of a change; `None` if it is safe or changes nothing.
    pub fn find(&self, seq: Seq, sub: u32) -> Option<usize> {
        self.atoms.binary_search_by_key(&(seq, sub), |atom| (atom.seq, atom.sub)).ok()
    }
}

impl Atoms {
    /// A loss in words.
    pub fn describe(&self, loss: Loss, state: &State) -> String {
        let what = match self.atoms.get(loss.atom).map(|atom| atom.kind) {
            Some(AtomKind::Sector(node, sector)) => {
                let path = state.paths().into_iter().find_map(|(path, of)| (of == node).then_some(path));
                format!("sector {sector} of {}", path.as_deref().unwrap_or("a removed file"))
            }
            Some(AtomKind::Length) => "the length that a write gave".to_owned(),
            Some(AtomKind::Metadata) => "a change of names or a length".to_owned(),
            None => "nothing".to_owned(),
        };
        match loss.kept_bytes {
            0 => what,
            kept => format!("{what} after {kept} bytes"),
        }
    }
}

/// Finds the atoms of a file.
struct FileAtoms<'a> {
    node: NodeId,
    file: &'a FileNode,
    model: CrashModel,
    atoms: &'a mut Vec<Atom>,
    /// The sectors that were changed since the last sync.
    changed: BTreeSet<u64>,
    was_cut: bool,
}

impl<'a> FileAtoms<'a> {
    fn new(node: NodeId, file: &'a FileNode, model: CrashModel, atoms: &'a mut Vec<Atom>) -> Self {
        Self { node, file, model, atoms, changed: BTreeSet::new(), was_cut: false }
    }

    fn push_all(mut self, is_safe: impl Fn(Seq) -> bool) {
        for Change { seq, kind } in &self.file.pending {
            match kind {
                ChangeKind::SetLen(_) => {
                    self.was_cut = true;
                    if !is_safe(*seq) {
                        self.atoms.push(Atom::whole(*seq, AtomKind::Metadata));
                    }
                }
                ChangeKind::Write { offset, bytes, extends } => {
                    if *extends && self.model == CrashModel::Posix {
                        self.atoms.push(Atom::whole(*seq, AtomKind::Length));
                    }
                    for (sub, range) in Atom::sectors(*offset, bytes.len()) {
                        self.push_sector(*seq, sub, offset + range.start as u64, &bytes[range]);
                    }
                }
            }
        }
    }

    fn push_sector(&mut self, seq: Seq, sub: u32, at: u64, bytes: &[u8]) {
        let sector = at / SECTOR_BYTES;
        let differing = if self.was_cut || self.changed.contains(&sector) {
            Some(0..bytes.len())
        } else {
            differing(&self.file.durable, at, bytes, self.model)
        };
        let Some(differing) = differing else { return };
        self.changed.insert(sector);
        let tears =
            if self.model == CrashModel::Posix { differing.start as u16 + 1..differing.end as u16 } else { 0..0 };
        self.atoms.push(Atom { seq, sub, kind: AtomKind::Sector(self.node, sector), tears });
    }
}

/// From the first to the last of the bytes that differ from what is there. `None` if writing them changes nothing: with a journal, what lies beyond the
/// end always changes something, since the file is as long as what was written of it.
fn differing(content: &Content, at: u64, bytes: &[u8], model: CrashModel) -> Option<Range<usize>> {
    if model.has_journal() && at + bytes.len() as u64 > content.len() {
        return Some(0..bytes.len());
    }
    let mut there = [0; SECTOR_BYTES as usize];
    let there = &mut there[..bytes.len()];
    content.read(there, at);
    let differs = |at: &usize| there[*at] != bytes[*at];
    let first = (0..bytes.len()).find(differs)?;
    let last = (first..bytes.len()).rfind(differs)?;
    Some(first..last + 1)
}
