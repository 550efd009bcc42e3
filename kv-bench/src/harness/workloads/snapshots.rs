//! Many snapshots that are open at once.

use super::{Workload, rate};
use crate::harness::engine::Level;

macro_rules! beside {
    ($what:literal) => {
        concat!(
            $what,
            " A tenth as many snapshots are open as there are entries, at most 100,000, each taken after a further put of a present key."
        )
    };
}

pub const SNAPSHOTS: &[Workload] = &[
    rate(
        "snapshot-open",
        Level::Disk,
        "Opening snapshots",
        "Snapshots, or read transactions, that are opened one after another and all kept: a tenth as many as there are entries, at most 100,000. Nothing is written meanwhile.",
    ),
    rate(
        "get-snapshots",
        Level::Disk,
        "Get beside snapshots",
        beside!("Gets of the newest values of present keys by one thread, as without snapshots."),
    )
    .against("get-1"),
    rate(
        "put-snapshots",
        Level::Process,
        "Put beside snapshots",
        beside!("Puts of present keys by one thread, each of which survives a killed process."),
    ),
];
