//! Kinds of crashes, and the choices among the states that they may leave.

use std::{fmt, str::FromStr};

/// What kind of crash, and of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrashChoice {
    /// The kind of crash.
    pub model: CrashModel,
    /// What survives.
    pub survivors: Survivors,
}

/// What survives of what was not synced: of its units, in the order in which they came to be. An unit is a sector of a write, the length that a write
/// or a cut gave, or a change of names; what would change nothing is none.
///
/// Where a model does not allow it, what comes nearest to it survives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Survivors {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// The first so many units.
    Prefix(usize),
    /// All units but that one.
    Without(usize),
    /// That unit alone, with what it needs.
    Only(usize),
    /// The state of that number, where all are counted.
    Numbered(u64),
    /// Something that follows from a seed.
    Sample(u64),
    /// All units but these, in their order: what a failure is shrunk to. It prints as in `posix:except:3+9~40`.
    Except(Vec<LostUnit>),
}

/// An unit that a crash takes, or tears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LostUnit {
    /// Which of the units, from 0.
    pub unit: usize,
    /// How many bytes survive of a sector that is torn; 0 if the unit is lost.
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
            _ => Err(format!("{text:?} is no choice such as posix:only:17")),
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
