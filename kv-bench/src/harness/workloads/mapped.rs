//! Gets from memory alone, and from checkpoints of a known number of parts.
//!
//! Stores are opened with checkpoints and merges held off, and loaded in slices, in random order of
//! the keys. A checkpoint after each slice makes it a part.

use super::{
    Workload, rate,
    reads::{dependent, overlapped},
};
use crate::harness::engine::Level;

pub const MEMORY: &[Workload] = &[
    rate(
        "get-memory-1",
        Level::Disk,
        "Get from memory, 1 thread",
        overlapped!("Gets of present keys, each of which was read once before; nothing was written to a checkpoint."),
    )
    .against("get-memory-1"),
    rate(
        "get-memory-2",
        Level::Disk,
        "Get from memory, 2 threads",
        overlapped!("Gets of present keys from 2 threads; nothing was written to a checkpoint."),
    )
    .against("get-memory-2"),
    rate(
        "get-memory-dependent",
        Level::Disk,
        "Get from memory, dependent",
        dependent!("Gets of present keys; nothing was written to a checkpoint."),
    )
    .against("get-memory-dependent"),
];

/// The three workloads of one number of parts. The limit is the machine's table, which has no
/// parts.
macro_rules! of_parts {
    ($size:literal, $parts:literal, $title:literal) => {
        &[
            rate(
                concat!("get-", $size, "mapped-", $parts),
                Level::Disk,
                concat!("Get, mapped, ", $title),
                overlapped!("Gets of present keys, each of which was read once before. No changes are in memory."),
            )
            .against(concat!("get-", $size, "mapped-1")),
            rate(
                concat!("get-", $size, "mapped-", $parts, "-dependent"),
                Level::Disk,
                concat!("Get, mapped, ", $title, ", dependent"),
                dependent!("Gets of present keys, each of which was read once before. No changes are in memory."),
            )
            .against(concat!("get-", $size, "mapped-1-dependent")),
            rate(
                concat!("get-", $size, "mapped-", $parts, "-absent"),
                Level::Disk,
                concat!("Get of absent keys, mapped, ", $title),
                overlapped!(
                    "Gets of absent keys. No changes are in memory. The limit is the machine's get of present keys."
                ),
            )
            .against(concat!("get-", $size, "mapped-1")),
        ]
    };
}

pub const PARTS_1: &[Workload] = of_parts!("", "1", "1 part");
pub const PARTS_3: &[Workload] = of_parts!("", "3", "3 parts");
pub const PARTS_7: &[Workload] = of_parts!("", "7", "7 parts");
pub const LARGE_PARTS_1: &[Workload] = of_parts!("10m-", "1", "ten times as many, 1 part");
pub const LARGE_PARTS_3: &[Workload] = of_parts!("10m-", "3", "ten times as many, 3 parts");
pub const LARGE_PARTS_7: &[Workload] = of_parts!("10m-", "7", "ten times as many, 7 parts");
