//! The names of the files in a directory of checkpoints.
//!
//! | name | what it is |
//! |---|---|
//! | `EEEEEEEEEEEEEEEE-LLLLLLLLLLLLLLLL-SSSSSSSSSSSSSSSS.manifest` | a checkpoint: its epoch, position and sequence number |
//! | the same with `.bad` added | a manifest that was set aside, because it or its part is damaged |
//! | `SSSSSSSSSSSSSSSS.part` | a part, by its number; parts and checkpoints share one sequence of numbers |
//! | `SSSSSSSSSSSSSSSS.part.damaged` | a read met [damage](crate::damage) in that part |
//! | a manifest's or part's name with `.tmp` added | being written, or left by an interrupted write |
//! | `LOCK` | locked by the process that writes |
//!
//! A number has 16 lower-case hexadecimal digits, so that names sort by age. Other names are left
//! alone.

use kv_core::{CheckpointId, Epoch, Lsn};

/// Locked by the process that writes.
pub(crate) const LOCK: &str = "LOCK";

const DIGITS: usize = 16;
const MANIFEST: &str = ".manifest";
const SET_ASIDE: &str = ".manifest.bad";
const PART: &str = ".part";
const DAMAGED: &str = ".part.damaged";
const TEMPORARY: &str = ".tmp";

/// What a name says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Manifest(CheckpointId),
    SetAside(CheckpointId),
    Part(u64),
    /// The flag of a part in which damage was met.
    Damaged(u64),
    /// A manifest or part of this number that is being written, or left by an interrupted write.
    Temporary(u64),
}

impl Name {
    /// What `name` says; `None` if it is not a name from the table above.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if let Some(of) = name.strip_suffix(TEMPORARY) {
            return match Self::parse(of)? {
                Self::Manifest(CheckpointId { seq, .. }) | Self::Part(seq) => Some(Self::Temporary(seq)),
                _ => None,
            };
        }
        if let Some(id) = name.strip_suffix(MANIFEST) {
            return parse_id(id).map(Self::Manifest);
        }
        if let Some(id) = name.strip_suffix(SET_ASIDE) {
            return parse_id(id).map(Self::SetAside);
        }
        if let Some(seq) = name.strip_suffix(DAMAGED) {
            return parse_number(seq).map(Self::Damaged);
        }
        parse_number(name.strip_suffix(PART)?).map(Self::Part)
    }

    /// The number in the name.
    pub(crate) fn seq(self) -> u64 {
        match self {
            Self::Manifest(id) | Self::SetAside(id) => id.seq,
            Self::Part(seq) | Self::Damaged(seq) | Self::Temporary(seq) => seq,
        }
    }
}

pub(crate) fn manifest(id: CheckpointId) -> String {
    format!("{}{MANIFEST}", number_of(id))
}

pub(crate) fn set_aside(id: CheckpointId) -> String {
    format!("{}{SET_ASIDE}", number_of(id))
}

pub(crate) fn part(seq: u64) -> String {
    format!("{seq:016x}{PART}")
}

/// The flag of a part in which damage was met.
pub(crate) fn damaged(seq: u64) -> String {
    format!("{seq:016x}{DAMAGED}")
}

pub(crate) fn temporary(name: &str) -> String {
    format!("{name}{TEMPORARY}")
}

fn number_of(id: CheckpointId) -> String {
    format!("{:016x}-{:016x}-{:016x}", id.epoch.0, id.lsn.0, id.seq)
}

fn parse_id(text: &str) -> Option<CheckpointId> {
    let mut numbers = text.split('-').map(parse_number);
    let (epoch, lsn, seq) = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(CheckpointId { epoch: Epoch(epoch), lsn: Lsn(lsn), seq })
}

fn parse_number(text: &str) -> Option<u64> {
    let fixed_width = text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fixed_width.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_made() {
        let id = CheckpointId { epoch: Epoch(3), lsn: Lsn(u64::MAX), seq: 0x1f };
        assert_eq!(manifest(id), "0000000000000003-ffffffffffffffff-000000000000001f.manifest");
        assert_eq!(Name::parse(&manifest(id)), Some(Name::Manifest(id)));
        assert_eq!(Name::parse(&set_aside(id)), Some(Name::SetAside(id)));
        assert_eq!(Name::parse(&part(31)), Some(Name::Part(31)));
        assert_eq!(Name::parse(&damaged(31)), Some(Name::Damaged(31)));
        assert_eq!(Name::parse(&temporary(&part(31))), Some(Name::Temporary(31)));
        assert_eq!(Name::parse(&temporary(&manifest(id))), Some(Name::Temporary(0x1f)));
    }

    #[test]
    fn other_names_are_ignored() {
        let odd =
            ["LOCK", "DAMAGED", ".tmp", "x.tmp", ".part", "1.part", "000000000000001F.part", "+00000000000001f.part"];
        let odd =
            odd.into_iter().chain(["0000000000000003-ffffffffffffffff.manifest", "00000000000000031.part", "é.part"]);
        let odd = odd.chain(["000000000000001f.part.damaged.tmp", "1f.part.damaged"]);
        for name in odd {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }
}
