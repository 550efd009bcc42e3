//! What a state shows, for the comparison with a real store.

use super::{
    Flaw, KEYS, State,
    actions::read,
    disk::{Entries, Entry, Name, Verdict},
};

/// What a store in some state shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// The position of the last record.
    pub appended: u8,
    /// The position that the log is trimmed to.
    pub trimmed: u8,
    /// The positions of the checkpoints that are listed, the newest first.
    pub listed: Vec<u8>,
    /// How many more names of checkpoints may still be there. They were removed or set aside, and a
    /// crash may have brought them back.
    pub hidden: usize,
    /// How many states of the disk a power cut may leave.
    pub outcomes: u64,
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
    /// Whether the view was opened although it is damaged, because nothing heals it.
    pub is_judged: bool,
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
        let listed: Vec<_> = self.disk.list(Flaw::None).iter().map(|manifest| manifest.id.lsn).collect();
        let hidden = self.disk.manifests.len() - listed.len();
        let (appended, trimmed) = (self.disk.appended(), self.disk.trimmed);
        let ends = u64::from(appended - self.disk.synced) + 1;
        let outcomes = ends << self.disk.unsynced_names();
        Look { appended, trimmed, listed, hidden, outcomes, open: self.look_inside() }
    }

    /// The same, but the log has kept the records after this position, although it was told to
    /// forget some of them. A log may do so if it forgets only whole segments.
    #[must_use]
    pub fn with_log_kept(&self, after: u8) -> Self {
        let mut kept = self.clone();
        kept.disk.trimmed = kept.disk.trimmed.min(after);
        kept
    }

    /// The numbers of the parts that were damaged, and of those that listed checkpoints name.
    pub fn listed_parts(&self) -> Vec<u8> {
        let listed = self.disk.list(Flaw::None);
        let is_named = |number: u8| listed.iter().any(|manifest| manifest.parts.contains(&number));
        let durable = self.disk.parts.iter().filter(|part| part.name != Name::Unlinked);
        durable.map(|part| part.number).filter(|number| is_named(*number)).collect()
    }

    /// The number of the part that was written last.
    pub fn newest_part(&self) -> Option<u8> {
        self.disk.parts.iter().map(|part| part.number).max()
    }

    fn look_inside(&self) -> Option<LookInside> {
        let open = self.open.as_ref()?;
        Some(LookInside {
            view: open.view.map(|id| id.lsn),
            parts: open.parts.len(),
            frozen: open.frozen.len(),
            has_active: open.active != Entries::default(),
            bad: open.bad.iter().map(|id| id.lsn).collect(),
            is_judged: self.disk.flag.is_some_and(|flag| flag.verdict == Verdict::Judged),
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
