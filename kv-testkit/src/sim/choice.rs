//! Kinds of crashes, and the choice of a state that a crash leaves.

use std::{fmt, str::FromStr};

/// The kind of crash, and the file system that it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrashModel {
    /// The process ends and the kernel goes on: nothing is lost.
    Killed,
    /// A power cut on a file system like ext4. Changes of names and lengths survive in order,
    /// through a journal that is committed by each sync of something new or longer. Sectors survive
    /// in any order. A file that was renamed over another has its length, perhaps with zeroes.
    Ext4,
    /// A power cut on a file system like XFS: as with ext4, but a file is never longer than the
    /// data written to it.
    Xfs,
    /// A power cut on the weakest file system that POSIX allows. Of everything that was not synced,
    /// any part may survive independently: each sector, whole or torn; each length; each change of
    /// names (a rename entirely or not at all).
    Posix,
}

impl CrashModel {
    /// All models.
    pub const ALL: [Self; 4] = [Self::Killed, Self::Ext4, Self::Xfs, Self::Posix];

    pub(super) fn has_journal(self) -> bool {
        matches!(self, Self::Ext4 | Self::Xfs)
    }
}

/// Which of the possible crash states to take. The disk and this choice determine the state
/// completely. Its text is for example `posix:only:17`, which can be parsed again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrashChoice {
    /// The kind of crash.
    pub model: CrashModel,
    /// Which of the unsynced persistence units survive.
    pub survivors: Survivors,
}

/// Which persistence units survive a crash, of all that were not synced. They are numbered in the
/// order in which they were made. A unit is a sector of a write, the length that a write or a
/// truncation set, or a change of names. A write that changes nothing makes no unit.
///
/// If the model does not allow the choice, the nearest legal state is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Survivors {
    /// No unit.
    Nothing,
    /// Every unit.
    Everything,
    /// The first n units.
    Prefix(usize),
    /// All units but this one.
    Without(usize),
    /// This unit alone, with the units it depends on.
    Only(usize),
    /// The state with this number, if the number of all states can be counted.
    Numbered(u64),
    /// A random choice that this seed determines.
    Sample(u64),
    /// All units but these, which are in order. A failure is shrunk to such a choice. Its text is
    /// for example `posix:except:3+9~40`: unit 3 is lost, and 40 bytes of unit 9 survive.
    Except(Vec<LostUnit>),
}

/// A persistence unit that a crash loses or tears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LostUnit {
    /// The unit's number, from 0.
    pub unit: usize,
    /// How many bytes survive of a torn sector; 0 if the unit is lost.
    pub kept_bytes: u16,
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
        let Self { model, survivors } = self;
        match survivors {
            Survivors::Nothing => write!(f, "{model}:nothing"),
            Survivors::Everything => write!(f, "{model}:everything"),
            Survivors::Prefix(count) => write!(f, "{model}:prefix:{count}"),
            Survivors::Without(unit) => write!(f, "{model}:without:{unit}"),
            Survivors::Only(unit) => write!(f, "{model}:only:{unit}"),
            Survivors::Numbered(number) => write!(f, "{model}:numbered:{number}"),
            Survivors::Sample(seed) => write!(f, "{model}:sample:{seed}"),
            Survivors::Except(losses) => {
                let losses = losses.iter().map(LostUnit::to_string).collect::<Vec<_>>();
                write!(f, "{model}:except:{}", losses.join("+"))
            }
        }
    }
}

impl fmt::Display for LostUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kept_bytes {
            0 => write!(f, "{}", self.unit),
            kept => write!(f, "{}~{kept}", self.unit),
        }
    }
}

impl FromStr for CrashChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.splitn(3, ':');
        let model = words.next().and_then(|word| CrashModel::ALL.into_iter().find(|model| model.to_string() == word));
        let survivors = words.next().and_then(|kind| parse_survivors(kind, words.next()));
        match (model, survivors) {
            (Some(model), Some(survivors)) => Ok(Self { model, survivors }),
            _ => Err(format!("{text:?} is not a crash choice such as posix:only:17")),
        }
    }
}

fn parse_survivors(kind: &str, detail: Option<&str>) -> Option<Survivors> {
    let Some(detail) = detail else {
        return match kind {
            "nothing" => Some(Survivors::Nothing),
            "everything" => Some(Survivors::Everything),
            _ => None,
        };
    };
    match kind {
        "prefix" => detail.parse().ok().map(Survivors::Prefix),
        "without" => detail.parse().ok().map(Survivors::Without),
        "only" => detail.parse().ok().map(Survivors::Only),
        "numbered" => detail.parse().ok().map(Survivors::Numbered),
        "sample" => detail.parse().ok().map(Survivors::Sample),
        "except" => detail.split('+').map(parse_lost).collect::<Option<_>>().map(Survivors::Except),
        _ => None,
    }
}

fn parse_lost(text: &str) -> Option<LostUnit> {
    let (unit, kept_bytes) = match text.split_once('~') {
        Some((unit, kept)) => (unit, kept.parse().ok()?),
        None => (text, 0),
    };
    Some(LostUnit { unit: unit.parse().ok()?, kept_bytes })
}
