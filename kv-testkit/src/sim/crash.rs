//! Power cuts: what may be lost, and the disk that is left.

use std::{fmt, str::FromStr};

use super::{
    atoms::{Atom, AtomKind, Atoms},
    content::Content,
    state::{Change, ChangeKind, FileNode, NameChangeKind, NodeId, Seq, State},
};

/// What kind of crash, and of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrashModel {
    /// The process ends and the kernel goes on: nothing is lost.
    Killed,
    /// A power cut on a file system like ext4: changes of names and lengths survive in order, through a journal that each sync of something
    /// new or longer commits; sectors in any order; a file that was renamed over another has its length, and maybe zeroes.
    Ext4,
    /// A power cut on a file system like XFS: as with ext4, but a file is never longer than what was written of it.
    Xfs,
    /// A power cut on the weakest file system that POSIX allows: of all that was not synced, any part may survive: each sector, whole or torn
    /// inside, each length, each change of names (a rename whole or not at all), each for itself.
    Posix,
}

impl CrashModel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Killed, Self::Ext4, Self::Xfs, Self::Posix];

    pub(super) fn has_journal(self) -> bool {
        matches!(self, Self::Ext4 | Self::Xfs)
    }
}

/// Which of the states that a crash may leave. Together with the disk it determines everything; it prints as in `posix:only:17`, and is parsed from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CrashChoice {
    /// The kind of crash.
    pub model: CrashModel,
    /// What survives.
    pub pick: Pick,
}

/// What survives of what was not synced: of its atoms, in the order in which they came to be. An atom is a sector of a write, the length that a write
/// or a cut gave, or a change of names.
///
/// Where a model does not allow it, what comes nearest to it survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pick {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// The first so many atoms.
    Prefix(usize),
    /// All atoms but that one.
    Without(usize),
    /// That atom alone, with what it needs.
    Only(usize),
    /// The state of that number, where all are counted.
    Numbered(u64),
    /// Something that follows from a seed.
    Sample(u64),
}

/// What becomes of an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Kept,
    /// A sector of which some bytes are new and the rest old.
    Torn,
}

/// The fates of all atoms.
pub(super) struct Fates<'a> {
    pub model: CrashModel,
    pub atoms: &'a [Atom],
    pub fates: Vec<Fate>,
}

impl Fates<'_> {
    /// The fate of an atom; what is none is safe.
    fn of(&self, seq: Seq, sub: u32) -> Fate {
        self.atoms
            .binary_search_by_key(&(seq, sub), |atom| (atom.seq, atom.sub))
            .map_or(Fate::Kept, |at| self.fates[at])
    }

    fn keeps(&self, seq: Seq) -> bool {
        self.of(seq, Atom::WHOLE) == Fate::Kept
    }
}

/// The disk after a crash.
pub(super) fn crash(state: &State, choice: CrashChoice) -> State {
    let mut left = state.clone();
    if choice.model != CrashModel::Killed {
        let atoms = Atoms::of(state, choice.model);
        let fates = Fates { model: choice.model, atoms: atoms.all(), fates: atoms.fates(choice.pick) };
        cut_names(&mut left, &fates);
        for file in left.files.values_mut() {
            let content = cut_file(file, &fates);
            let created = file.created;
            *file = FileNode { durable: content.clone(), seen: content, created, ..FileNode::default() }.into();
        }
        left.committed = left.next_seq;
    }
    for file in left.files.values_mut().filter(|file| file.open != 0) {
        std::sync::Arc::make_mut(file).open = 0;
    }
    left.forget_unreachable();
    left
}

fn cut_names(left: &mut State, fates: &Fates<'_>) {
    let mut lengths: Vec<(NodeId, u64)> = Vec::new();
    for directory in left.directories.values_mut() {
        let directory = std::sync::Arc::make_mut(directory);
        for change in std::mem::take(&mut directory.pending) {
            if fates.keeps(change.seq) {
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

/// What is left of a file.
fn cut_file(file: &FileNode, fates: &Fates<'_>) -> Content {
    let mut content = file.durable.clone();
    let mut len = content.len();
    for Change { seq, kind } in &file.pending {
        match kind {
            ChangeKind::SetLen(new) => {
                if fates.keeps(*seq) {
                    content.set_len(*new);
                    len = *new;
                }
            }
            ChangeKind::Write { offset, bytes, extends } => {
                let end = cut_write(&mut content, *seq, *offset, bytes, fates);
                if fates.model.has_journal() {
                    len = len.max(end);
                } else if *extends && fates.keeps(*seq) {
                    len = len.max(offset + bytes.len() as u64);
                }
            }
        }
    }
    if fates.model == CrashModel::Ext4 {
        len = len.max(file.length_kept);
    }
    content.set_len(len);
    content
}

/// Writes the sectors that survive, and returns where the last of them ends.
fn cut_write(content: &mut Content, seq: Seq, offset: u64, bytes: &[u8], fates: &Fates<'_>) -> u64 {
    let mut end = 0;
    for (sub, range) in Atom::sectors(offset, bytes.len()) {
        let at = offset + range.start as u64;
        let sector = &bytes[range];
        let kept = match fates.of(seq, sub) {
            Fate::Lost => continue,
            Fate::Kept => sector,
            Fate::Torn => &sector[..sector.len() - 1 - (seq as usize * 31 + sub as usize * 7) % sector.len()],
        };
        if !kept.is_empty() {
            content.write(kept, at);
        }
        end = at + kept.len() as u64;
    }
    end
}

impl AtomKind {
    /// Whether the order in which a journal writes counts for it.
    pub(super) fn is_journaled(self) -> bool {
        self == Self::Metadata
    }
}

impl fmt::Display for CrashModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Posix => "posix",
        })
    }
}

impl fmt::Display for CrashChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, pick } = self;
        match pick {
            Pick::Nothing => write!(f, "{model}:nothing"),
            Pick::Everything => write!(f, "{model}:everything"),
            Pick::Prefix(count) => write!(f, "{model}:prefix:{count}"),
            Pick::Without(atom) => write!(f, "{model}:without:{atom}"),
            Pick::Only(atom) => write!(f, "{model}:only:{atom}"),
            Pick::Numbered(number) => write!(f, "{model}:numbered:{number}"),
            Pick::Sample(seed) => write!(f, "{model}:sample:{seed}"),
        }
    }
}

impl FromStr for CrashChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no choice such as posix:only:17");
        let mut words = text.split(':');
        let model = words.next().and_then(|word| CrashModel::ALL.into_iter().find(|model| model.to_string() == word));
        let (kind, number) = (words.next(), words.next().and_then(|word| word.parse::<u64>().ok()));
        let pick = match (kind, number) {
            (Some("nothing"), None) => Pick::Nothing,
            (Some("everything"), None) => Pick::Everything,
            (Some("prefix"), Some(count)) => Pick::Prefix(count as usize),
            (Some("without"), Some(atom)) => Pick::Without(atom as usize),
            (Some("only"), Some(atom)) => Pick::Only(atom as usize),
            (Some("numbered"), Some(number)) => Pick::Numbered(number),
            (Some("sample"), Some(seed)) => Pick::Sample(seed),
            _ => return Err(bad()),
        };
        Ok(Self { model: model.ok_or_else(bad)?, pick })
    }
}
