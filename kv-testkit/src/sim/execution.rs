//! How an operation is carried out: as asked, or with the effect of a fault.

use super::damage::Damage;
use crate::vfs::{FaultEffect, Kind};

/// How an operation is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Execution {
    Whole,
    /// A read or write of the first half of its bytes.
    Half,
    /// A write of none of its bytes.
    Nothing,
    /// A write that only makes the file longer.
    Enlarging,
    /// A read that returns damaged data.
    Damaged(Damage),
    /// A sync that drops the data it should write.
    Forgetting,
    /// A sync that does nothing.
    Pretending,
}

/// How an operation with this fault is carried out, if at all, and whether it returns an error.
pub(super) fn execution(kind: Kind, effect: &FaultEffect) -> (Option<Execution>, bool) {
    match effect {
        FaultEffect::Tears if kind == Kind::Write => (Some(Execution::Half), true),
        FaultEffect::Shortens if matches!(kind, Kind::Read | Kind::Write) => (Some(Execution::Half), false),
        FaultEffect::TakesNothing if kind == Kind::Write => (Some(Execution::Nothing), false),
        FaultEffect::Enlarges if matches!(kind, Kind::Write | Kind::SetLen) => (Some(Execution::Enlarging), true),
        FaultEffect::Damages(damage) if matches!(kind, Kind::Read | Kind::Map) => {
            (Some(Execution::Damaged(damage.clone())), false)
        }
        FaultEffect::Forgets if kind == Kind::Sync => (Some(Execution::Forgetting), true),
        FaultEffect::Pretends if is_sync(kind) => (Some(Execution::Pretending), false),
        _ => (None, true),
    }
}

pub(super) fn is_sync(kind: Kind) -> bool {
    matches!(kind, Kind::Sync | Kind::SyncDirectory)
}
