//! Opening and closing stores of several sizes, and what they take of memory and disk.

use super::{Metric, When, Workload, other};
use crate::harness::engine::Level;

const fn opening(name: &'static str, title: &'static str, what: &'static str) -> Workload {
    other(name, Level::Disk, Metric::Time, title, what)
}

macro_rules! close {
    () => {
        "From the call to its return, straight after a load and its sync."
    };
}
macro_rules! closed {
    () => {
        "From the call to the first value read, after a load, a sync and a close. The files are in the page cache."
    };
}
macro_rules! clean {
    () => {
        "From the call to the first value read, after a load, a checkpoint if the engine has checkpoints, and a clean close. The files are in the page cache."
    };
}
macro_rules! killed {
    () => {
        "From the call to the first value read, after a load, a sync and SIGKILL straight after it. The files are in the page cache."
    };
}

pub const OPENINGS: &[Workload] = &[
    opening("close", "Close", close!()),
    opening("open-closed", "Open after a close without a checkpoint", closed!()),
    opening("open-clean", "Open after a clean close", clean!()),
    opening("open-killed", "Open after a kill", killed!()),
    opening("close-10m", "Close ten times as many", close!()),
    opening("open-closed-10m", "Open ten times as many after a close without a checkpoint", closed!()),
    opening("open-clean-10m", "Open ten times as many after a clean close", clean!()),
    opening("open-killed-10m", "Open ten times as many after a kill", killed!()),
    opening("close-100m", "Close a hundred times as many", close!()).when(When::Named),
    opening("open-closed-100m", "Open a hundred times as many after a close without a checkpoint", closed!())
        .when(When::Named),
    opening("open-clean-100m", "Open a hundred times as many after a clean close", clean!()).when(When::Named),
    opening("open-killed-100m", "Open a hundred times as many after a kill", killed!()).when(When::Named),
];

pub const SPACE: &[Workload] = &[
    other(
        "memory",
        Level::Disk,
        Metric::Anonymous,
        "Memory",
        "The memory that the process gained by the load, per entry, once the engine is idle. 116 B are key and value.",
    ),
    other(
        "memory-checkpointed",
        Level::Disk,
        Metric::Anonymous,
        "Memory after a checkpoint",
        "The memory that the process gained since its start, per entry, after a checkpoint.",
    ),
    other(
        "memory-10m",
        Level::Disk,
        Metric::Anonymous,
        "Memory for ten times as many",
        "The memory that the process gained by the load of ten times as many entries, per entry, once the engine is idle. 116 B are key and value.",
    ),
    other(
        "memory-loading",
        Level::Process,
        Metric::Extra,
        "Memory while loading without end",
        "How far anonymous memory rises above its level before the load, at its peak: new entries in batches of 1,000 without a pause, in random order of the keys, for 20 times the usual time. The rate counts entries.",
    )
    .when(When::Unhurried),
    other(
        "disk",
        Level::Disk,
        Metric::Disk,
        "Disk",
        "The disk space of the files after the load and its sync, per entry, once the engine is idle. 116 B are key and value.",
    ),
    other(
        "disk-compacted",
        Level::Disk,
        Metric::Disk,
        "Disk, compacted",
        "The disk space of the files, per entry, after everything was overwritten once and then merged on request.",
    ),
    other(
        "disk-10m",
        Level::Disk,
        Metric::Disk,
        "Disk for ten times as many",
        "The disk space of the files after the load of ten times as many entries and its sync, per entry, once the engine is idle.",
    ),
    other(
        "disk-10m-compacted",
        Level::Disk,
        Metric::Disk,
        "Disk for ten times as many, compacted",
        "The disk space of the files, per entry, after everything was overwritten once and then merged on request.",
    ),
];
