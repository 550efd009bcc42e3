//! The persistence units of a disk: what a power cut may lose, piece by piece.

use std::{collections::BTreeSet, ops::Range};

use super::{
    choice::{CrashModel, LostUnit},
    content::Content,
    sector::{self, SECTOR_BYTES},
    state::{FileChange, FileChangeKind, FileNode, NodeId, Seq, State},
};

/// A persistence unit: the smallest piece of a change that survives, is lost, or (a sector, in the
/// weakest model) is torn. Units are ordered by their change's place in the sequence of all
/// changes.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub seq: Seq,
    /// [`WHOLE`](Unit::WHOLE), or one more than the index of the sector in the write.
    pub sub: u32,
    pub kind: UnitKind,
    /// How many bytes may survive of a torn sector, so that it equals neither the old nor the new
    /// one. Empty if the unit cannot be torn.
    pub tears: Range<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnitKind {
    /// A change of names, or a length that was set.
    Metadata,
    /// The length that a write set.
    Length,
    /// A sector of a file.
    Sector(NodeId, u64),
}

impl Unit {
    pub const WHOLE: u32 = 0;

    fn whole(seq: Seq, kind: UnitKind) -> Self {
        Self { seq, sub: Self::WHOLE, kind, tears: 0..0 }
    }

    /// Whether the journal's order of commits applies to it.
    pub fn is_journaled(&self) -> bool {
        self.kind == UnitKind::Metadata
    }
}

/// Everything on a disk that a power cut may lose.
pub(super) struct Units {
    pub model: CrashModel,
    units: Vec<Unit>,
}

impl Units {
    pub fn of(state: &State, model: CrashModel) -> Self {
        let mut units = Vec::new();
        if model != CrashModel::Killed {
            let is_safe = |seq: Seq| model.has_journal() && seq < state.committed;
            let names =
                state.directories.values().flat_map(|directory| directory.pending.iter().map(|change| change.seq));
            units.extend(names.filter(|seq| !is_safe(*seq)).map(|seq| Unit::whole(seq, UnitKind::Metadata)));
            let reachable = state.reachable();
            for (node, file) in state.files.iter().filter(|(node, _)| reachable.contains(node)) {
                FileUnits::new(*node, file, model, &mut units).push_all(is_safe);
            }
            units.sort_unstable_by_key(|unit| (unit.seq, unit.sub));
        }
        Self { model, units }
    }

    pub fn all(&self) -> &[Unit] {
        &self.units
    }

    /// The indexes of the journaled units, in order.
    pub fn journaled(&self) -> impl Iterator<Item = usize> {
        (0..self.units.len()).filter(|at| self.units[*at].is_journaled())
    }

    /// The index of a part of a change; `None` if that part cannot be lost or changes nothing.
    pub fn find(&self, seq: Seq, sub: u32) -> Option<usize> {
        self.units.binary_search_by_key(&(seq, sub), |unit| (unit.seq, unit.sub)).ok()
    }
}

impl Units {
    /// Describes a lost unit.
    pub fn describe(&self, loss: LostUnit, state: &State) -> String {
        let what = match self.units.get(loss.unit).map(|unit| unit.kind) {
            Some(UnitKind::Sector(node, sector)) => {
                let path = state.paths().into_iter().find_map(|(path, of)| (of == node).then_some(path));
                format!("sector {sector} of {}", path.as_deref().unwrap_or("a removed file"))
            }
            Some(UnitKind::Length) => "the length that a write set".to_owned(),
            Some(UnitKind::Metadata) => "a change of names or a length".to_owned(),
            None => "nothing".to_owned(),
        };
        match loss.kept_bytes {
            0 => what,
            kept => format!("{what} after {kept} bytes"),
        }
    }
}

/// Finds the units of a file.
struct FileUnits<'a> {
    node: NodeId,
    file: &'a FileNode,
    model: CrashModel,
    units: &'a mut Vec<Unit>,
    /// The sectors that were changed since the last sync.
    changed: BTreeSet<u64>,
    was_cut: bool,
}

impl<'a> FileUnits<'a> {
    fn new(node: NodeId, file: &'a FileNode, model: CrashModel, units: &'a mut Vec<Unit>) -> Self {
        Self { node, file, model, units, changed: BTreeSet::new(), was_cut: false }
    }

    fn push_all(mut self, is_safe: impl Fn(Seq) -> bool) {
        for FileChange { seq, kind } in &self.file.pending {
            match kind {
                FileChangeKind::SetLen(_) => {
                    self.was_cut = true;
                    if !is_safe(*seq) {
                        self.units.push(Unit::whole(*seq, UnitKind::Metadata));
                    }
                }
                FileChangeKind::Write { offset, bytes, extends } => {
                    if *extends && self.model == CrashModel::Posix {
                        self.units.push(Unit::whole(*seq, UnitKind::Length));
                    }
                    for (sub, range) in sector::split(*offset, bytes.len()) {
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
        self.units.push(Unit { seq, sub, kind: UnitKind::Sector(self.node, sector), tears });
    }
}

/// The range from the first to the last of these bytes that differs from what is there. `None` if
/// writing them changes nothing. With a journal, a write beyond the end always changes something,
/// because the file is as long as the data written to it.
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
