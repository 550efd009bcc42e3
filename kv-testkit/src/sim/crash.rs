//! The disk that a crash leaves.

use std::{mem, sync::Arc};

use super::{
    choice::CrashModel,
    content::Content,
    outcomes::UnitOutcome,
    sector,
    state::{FileChange, FileChangeKind, FileNode, NameChangeKind, NodeId, Seq, State},
    units::{Unit, Units},
};

/// The disk after a killed process: all pending changes survive, and all handles are closed.
pub(super) fn killed(state: &State) -> State {
    let mut left = state.clone();
    left.handles.clear();
    left.forget_unreachable();
    left
}

/// The disk after a power cut.
pub(super) fn cut(state: &State, units: &Units, outcomes: &[UnitOutcome]) -> State {
    let cut = Cut { units, outcomes };
    let mut left = state.clone();
    left.handles.clear();
    cut.names(&mut left);
    for file in left.files.values_mut().filter(|file| !file.is_clean()) {
        let content = cut.file(file);
        let (created, older) = (file.created, Arc::clone(&file.older));
        *file = FileNode { durable: content.clone(), seen: content, created, older, ..FileNode::default() }.into();
    }
    left.committed = left.next_seq;
    left.forget_unreachable();
    left
}

struct Cut<'a> {
    units: &'a Units,
    outcomes: &'a [UnitOutcome],
}

impl Cut<'_> {
    /// The outcome of one part of a change. A part that is not a unit always survives.
    fn outcome(&self, seq: Seq, sub: u32) -> UnitOutcome {
        self.units.find(seq, sub).map_or(UnitOutcome::Kept, |at| self.outcomes[at])
    }

    fn keeps(&self, seq: Seq) -> bool {
        self.outcome(seq, Unit::WHOLE) == UnitOutcome::Kept
    }

    fn names(&self, left: &mut State) {
        let mut lengths: Vec<(NodeId, u64)> = Vec::new();
        for directory in left.directories.values_mut().filter(|directory| !directory.pending.is_empty()) {
            let directory = Arc::make_mut(directory);
            for change in mem::take(&mut directory.pending) {
                if self.keeps(change.seq) {
                    change.apply(&mut directory.durable);
                    if let NameChangeKind::Rename { replacing_len: Some(len), .. } = change.kind {
                        lengths.push((change.node, len));
                    }
                }
            }
            directory.seen = directory.durable.clone();
        }
        for (node, len) in lengths {
            if let Ok(file) = left.file_mut(node) {
                file.length_kept = file.length_kept.max(len.min(file.seen.len()));
            }
        }
    }

    /// The content that is left of a file.
    fn file(&self, file: &FileNode) -> Content {
        let mut content = file.durable.clone();
        let mut len = content.len();
        for FileChange { seq, kind } in &file.pending {
            match kind {
                FileChangeKind::SetLen(new) => {
                    if self.keeps(*seq) {
                        content.set_len(*new);
                        len = *new;
                    }
                }
                FileChangeKind::Write { offset, bytes, extends } => {
                    let end = self.write(&mut content, *seq, *offset, bytes);
                    if self.units.model.has_journal() {
                        len = len.max(end);
                    } else if *extends && self.keeps(*seq) {
                        len = len.max(offset + bytes.len() as u64);
                    }
                }
            }
        }
        if self.units.model == CrashModel::Ext4 {
            len = len.max(file.length_kept);
        }
        content.set_len(len);
        content
    }

    /// Writes the sectors that survive, and returns where the last one ends.
    fn write(&self, content: &mut Content, seq: Seq, offset: u64, bytes: &[u8]) -> u64 {
        let mut end = 0;
        for (sub, range) in sector::split(offset, bytes.len()) {
            let at = offset + range.start as u64;
            let sector = &bytes[range];
            let kept = match self.outcome(seq, sub) {
                UnitOutcome::Lost => continue,
                UnitOutcome::Kept => sector,
                UnitOutcome::Torn(kept_bytes) => &sector[..usize::from(kept_bytes).min(sector.len())],
            };
            if !kept.is_empty() {
                content.write(kept, at);
            }
            end = at + kept.len() as u64;
        }
        end
    }
}
