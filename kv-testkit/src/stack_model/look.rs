//! What a state shows, for the comparison with a real store.

use super::{
    Flaw, KEYS, State,
    actions::read,
    disk::{Entries, Entry},
};

/// What a store in some state shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// The position of the last record.
    pub appended: u8,
    /// The position that the log is trimmed to.
    pub trimmed: u8,
    /// The checkpoints that are listed, the newest first: the position of each, and which of its
    /// parts are there.
    pub listed: Vec<(u8, Vec<bool>)>,
    /// How many more names of checkpoints may still be there: of those that were removed, and of
    /// those that a crash kept from being set aside.
    pub hidden: usize,
    /// What an open store shows.
    pub open: Option<LookInside>,
}

/// What an open store shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LookInside {
    /// The position of the checkpoint that reads use.
    pub view: Option<u8>,
    /// How many parts that has.
    pub parts: usize,
    /// How many memtables are frozen.
    pub frozen: usize,
    /// Whether the active memtable holds changes.
    pub has_active: bool,
    /// The positions of the checkpoints that were found bad and are not set aside yet.
    pub bad: Vec<u8>,
    /// Whether damage keeps everything from being removed.
    pub is_removal_stopped: bool,
    /// What reads give.
    pub keys: [LookAtKey; KEYS],
}

/// What a read of a key gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookAtKey {
    /// This value, or none.
    Value(Option<u8>),
    /// An error, since a damaged part lies on the way. A store that need not read all of the part
    /// for that may know the value nevertheless.
    Damaged {
        /// The value according to the records.
        value: Option<u8>,
        /// Whether the damaged part holds the value, so that there must be an error.
        is_lost: bool,
    },
}

impl State {
    /// What a store in this state shows.
    pub fn look(&self) -> Look {
        let list = self.disk.list(Flaw::None);
        let are_there = |parts: &[u8]| parts.iter().map(|number| self.disk.is_there(*number)).collect();
        let listed: Vec<_> = list.iter().map(|manifest| (manifest.id.lsn, are_there(&manifest.parts))).collect();
        let hidden = self.disk.manifests.len() - listed.len();
        let (appended, trimmed) = (self.disk.appended(), self.disk.trimmed);
        Look { appended, trimmed, listed, hidden, open: self.look_inside() }
    }

    /// The same, but the log was trimmed to this position at most. A log that forgets only whole
    /// segments may keep more than it has to.
    #[must_use]
    pub fn with_log_kept(&self, after: u8) -> Self {
        let mut kept = self.clone();
        kept.disk.trimmed = kept.disk.trimmed.min(after);
        kept
    }

    /// The numbers of the parts of the newest checkpoint that is listed, the newest first.
    pub fn newest_stack(&self) -> Vec<u8> {
        self.disk.list(Flaw::None).first().map(|newest| newest.parts.clone()).unwrap_or_default()
    }

    fn look_inside(&self) -> Option<LookInside> {
        let open = self.open.as_ref()?;
        Some(LookInside {
            view: open.view.map(|id| id.lsn),
            parts: open.parts.len(),
            frozen: open.frozen.len(),
            has_active: open.active != Entries::default(),
            bad: open.bad.iter().map(|id| id.lsn).collect(),
            is_removal_stopped: self.disk.has_open_damage(),
            keys: std::array::from_fn(|key| self.look_at(key)),
        })
    }

    fn look_at(&self, key: usize) -> LookAtKey {
        let value = self.disk.changes(0, self.disk.appended())[key].read();
        let Some(open) = &self.open else { return LookAtKey::Value(None) };
        match read(&self.disk, open, key) {
            Ok(value) => LookAtKey::Value(value),
            Err(number) => {
                let entry = self.disk.part(number).map_or(Entry::None, |part| part.entries[key]);
                LookAtKey::Damaged { value, is_lost: matches!(entry, Entry::Value(_)) }
            }
        }
    }
}
