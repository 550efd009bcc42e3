//! What checkpoints and merges cost, and what a writer notices of them.

use super::{Metric, Workload, other};
use crate::harness::engine::Level;

pub const CHECKPOINTS: &[Workload] = &[
    other(
        "checkpoint",
        Level::Disk,
        Metric::Time,
        "Checkpoint",
        "The time to overwrite a tenth of the entries and to make a checkpoint. Loaded in random order of the keys.",
    ),
    other(
        "written",
        Level::Process,
        Metric::Written,
        "Bytes written",
        "Bytes written to files, with the log, for each byte of keys and values that was put: every entry is overwritten once, one at a time, until the engine is idle. Loaded in random order of the keys.",
    ),
    other(
        "written-10m",
        Level::Process,
        Metric::Written,
        "Bytes written, ten times as many",
        "Bytes written to files, with the log, for each byte of keys and values that was put: every entry of a store of ten times the size is overwritten once, one at a time, until the engine is idle. Loaded in random order of the keys.",
    ),
    other(
        "writers-alone",
        Level::Process,
        Metric::P999,
        "A writer, alone",
        "Overwrites from one thread without a pause, beside the engine's own background work.",
    ),
    other(
        "writers-checkpoint",
        Level::Process,
        Metric::P999,
        "A writer, beside a checkpoint",
        "Overwrites from one thread during a checkpoint, after a tenth of the entries has changed.",
    ),
    other(
        "writers-paced-held",
        Level::Process,
        Metric::P999,
        "A steady writer, checkpoints held off",
        "At most 100,000 overwrites a second from one thread, while nothing is checkpointed or merged. Only the puts are timed, for 5 times the usual time.",
    ),
    other(
        "writers-paced",
        Level::Process,
        Metric::P999,
        "A steady writer, beside checkpoints and merges",
        "At most 100,000 overwrites a second from one thread, beside the engine's own background work and a checkpoint on request, if the engine has checkpoints, five times in all. Only the puts are timed, for 5 times the usual time.",
    ),
];
