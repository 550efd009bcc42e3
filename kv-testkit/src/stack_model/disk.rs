//! What is on the disk of the model.

use super::{Flaw, KEYS, Record};

/// What a memtable or a part holds of each key.
pub type Entries = [Entry; KEYS];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Entry {
    #[default]
    None,
    Deleted,
    /// The value, which is the position of the record that put it.
    Value(u8),
}

impl Entry {
    /// This entry, or what is below it.
    pub fn or(self, below: Self) -> Self {
        if self == Self::None { below } else { self }
    }

    /// What a reader gets who found this entry at last.
    pub fn read(self) -> Option<u8> {
        match self {
            Self::Value(value) => Some(value),
            Self::None | Self::Deleted => None,
        }
    }
}

/// The identity of a checkpoint: epoch, position, number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub epoch: u8,
    pub lsn: u8,
    pub number: u8,
}

/// Whether the name of a file survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    Durable,
    /// New: a power cut may lose it.
    Unsynced,
    /// Removed: a power cut may bring it back.
    Unlinked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    pub number: u8,
    pub entries: Entries,
    pub name: Name,
    pub is_damaged: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Manifest {
    pub id: Id,
    /// What it was made from. Checkpoints between the two are set aside, except merged ones.
    pub previous: Option<Id>,
    /// The newest first.
    pub parts: Vec<u8>,
    pub name: Name,
}

/// The part in which a read has met damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flag {
    pub part: u8,
    pub verdict: Verdict,
}

/// What the process that is running knows of a damaged part. The disk keeps the flag alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Unexamined,
    /// Opening has examined it, and took another checkpoint.
    Damaged,
    /// Nothing restores everything, so its checkpoint was opened nevertheless. That settles it.
    Judged,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    /// All records that were ever written, from the first on. The log holds those after `trimmed`.
    pub records: Vec<Record>,
    /// The position up to which the log was flushed.
    pub synced: u8,
    pub trimmed: u8,
    /// Where the log begins if a power cut brings back what was trimmed.
    pub trimmed_durably: u8,
    pub parts: Vec<Part>,
    pub manifests: Vec<Manifest>,
    pub flag: Option<Flag>,
    /// The last number that a part or a manifest got.
    pub last_number: u8,
}

impl Disk {
    pub fn appended(&self) -> u8 {
        self.records.len() as u8
    }

    pub fn next_number(&mut self) -> u8 {
        self.last_number += 1;
        self.last_number
    }

    /// What the records after one position and up to another change.
    pub fn changes(&self, after: u8, upto: u8) -> Entries {
        let mut entries = Entries::default();
        for (lsn, record) in (1..).zip(&self.records).take(upto.into()).skip(after.into()) {
            match record {
                Record::Put(key) => entries[*key] = Entry::Value(lsn),
                Record::Delete(key) => entries[*key] = Entry::Deleted,
            }
        }
        entries
    }

    pub fn part(&self, number: u8) -> Option<&Part> {
        self.parts.iter().find(|part| part.number == number)
    }

    pub fn manifest(&self, id: Id) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.id == id)
    }

    /// The checkpoints, the newest first.
    pub fn list(&self, flaw: Flaw) -> Vec<&Manifest> {
        let is_there = |manifest: &&Manifest| manifest.name != Name::Unlinked;
        let is_set_aside = |id: Id| {
            self.manifests.iter().filter(is_there).any(|other| id < other.id && is_between(id, other.previous))
        };
        let mut list: Vec<_> = self.manifests.iter().filter(is_there).collect();
        list.retain(|manifest| flaw == Flaw::SetAsideComesBack || !is_set_aside(manifest.id));
        list.sort_by_key(|manifest| std::cmp::Reverse(manifest.id));
        list
    }

    /// Whether all parts are there and sound.
    pub fn is_sound(&self, parts: &[u8]) -> bool {
        parts.iter().all(|number| self.is_there(*number) && !self.part(*number).is_some_and(|part| part.is_damaged))
    }

    pub fn is_there(&self, number: u8) -> bool {
        self.part(number).is_some_and(|part| part.name != Name::Unlinked)
    }

    /// Whether damage was met that nothing was decided about, in a part that a listed checkpoint
    /// names.
    pub fn has_open_damage(&self) -> bool {
        let is_named =
            |flag: Flag| self.list(Flaw::None).into_iter().any(|manifest| manifest.parts.contains(&flag.part));
        self.flag.is_some_and(|flag| flag.verdict != Verdict::Judged && is_named(flag))
    }

    /// Whether a checkpoint that is left, or none, and the log restore everything.
    pub fn is_restorable(&self) -> bool {
        self.is_restorable_by(|_| true)
    }

    /// The same, whatever a power cut takes.
    pub fn is_surely_restorable(&self) -> bool {
        self.is_restorable_by(|manifest| manifest.name == Name::Durable)
    }

    fn is_restorable_by(&self, may_use: impl Fn(&Manifest) -> bool) -> bool {
        let is_reached = |manifest: &Manifest| self.trimmed <= manifest.id.lsn && self.is_sound(&manifest.parts);
        self.trimmed == 0 || self.list(Flaw::None).into_iter().any(|manifest| is_reached(manifest) && may_use(manifest))
    }

    /// Makes the names of all files durable.
    pub fn sync_directory(&mut self) {
        self.parts.retain(|part| part.name != Name::Unlinked);
        self.manifests.retain(|manifest| manifest.name != Name::Unlinked);
        self.parts.iter_mut().for_each(|part| part.name = Name::Durable);
        self.manifests.iter_mut().for_each(|manifest| manifest.name = Name::Durable);
    }

    /// How many things a power cut may keep or lose, besides records.
    pub fn unsynced_names(&self) -> usize {
        let names = self.parts.iter().map(|part| part.name).chain(self.manifests.iter().map(|manifest| manifest.name));
        names.filter(|name| *name != Name::Durable).count() + usize::from(self.trimmed != self.trimmed_durably)
    }

    /// Cuts the power. Bit n of `kept` says whether the n-th change of a name lasts.
    pub fn cut_power(&mut self, kept: u16, records: u8) {
        let mut bits = (0..).map(|n| kept >> n & 1 == 1);
        let mut stays = |name: &mut Name| {
            let is_there = match name {
                Name::Durable => return true,
                Name::Unsynced => bits.next() == Some(true),
                Name::Unlinked => bits.next() == Some(false),
            };
            *name = Name::Durable;
            is_there
        };
        self.parts.retain_mut(|part| stays(&mut part.name));
        self.manifests.retain_mut(|manifest| stays(&mut manifest.name));
        if self.trimmed != self.trimmed_durably && bits.next() == Some(false) {
            self.trimmed = self.trimmed_durably;
        }
        self.trimmed_durably = self.trimmed;
        self.records.truncate(records.into());
        self.synced = records;
    }
}

/// Whether a checkpoint was newer than the one that another was made from, so that it is set aside.
fn is_between(id: Id, previous: Option<Id>) -> bool {
    previous.is_none_or(|previous| id > previous)
}
