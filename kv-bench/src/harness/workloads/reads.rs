//! Gets and scans of a store with the usual settings.

use super::{When, Workload, rate};
use crate::harness::engine::Level;

macro_rules! overlapped {
    ($what:literal) => {
        concat!($what, " No key depends on an answer, so look-ups overlap. Loaded in random order of the keys.")
    };
}
macro_rules! dependent {
    ($what:literal) => {
        concat!(
            $what,
            " Each key depends on the last answer, so no look-up starts before the last one has ended. Loaded in random order of the keys."
        )
    };
}
macro_rules! scanned {
    ($what:literal) => {
        concat!(
            $what,
            " The rate counts entries. Keys and values are read in place if the engine can do that: kv in a closure, LMDB from its map."
        )
    };
}
pub(super) use {dependent, overlapped};

pub const GETS: &[Workload] = &[
    rate("get-1", Level::Disk, "Get, 1 thread", overlapped!("Gets of present keys, after the load."))
        .against("get-1"),
    rate("get-2", Level::Disk, "Get, 2 threads", overlapped!("Gets of present keys, after the load, from 2 threads."))
        .against("get-2"),
    rate(
        "get-dependent-1",
        Level::Disk,
        "Get, dependent, 1 thread",
        dependent!("Gets of present keys, after the load."),
    )
    .against("get-dependent-1"),
    rate(
        "get-zipf-1",
        Level::Disk,
        "Get, zipfian, 1 thread",
        overlapped!("Keys drawn by Zipf's law with exponent 0.99: few keys get most of the gets."),
    )
    .against("get-zipf-1"),
    rate(
        "get-zipf-2",
        Level::Disk,
        "Get, zipfian, 2 threads",
        overlapped!("Keys drawn by Zipf's law with exponent 0.99, from 2 threads."),
    )
    .against("get-zipf-2"),
    rate("get-absent-1", Level::Disk, "Get of absent keys, 1 thread", overlapped!("Gets of absent keys."))
        .against("get-absent-1"),
    rate(
        "get-absent-2",
        Level::Disk,
        "Get of absent keys, 2 threads",
        overlapped!("Gets of absent keys, from 2 threads."),
    )
    .against("get-absent-2"),
    rate(
        "get-checkpointed-1",
        Level::Disk,
        "Get after a checkpoint, 1 thread",
        overlapped!("Gets of present keys, after a checkpoint."),
    )
    .against("get-1"),
    rate(
        "get-10m-1",
        Level::Disk,
        "Get from ten times as many, 1 thread",
        overlapped!("Gets of present keys from a store of ten times the size, each of which was read once before."),
    )
    .against("get-10m-1"),
    rate(
        "get-10m-2",
        Level::Disk,
        "Get from ten times as many, 2 threads",
        overlapped!("Gets of present keys from a store of ten times the size, from 2 threads."),
    )
    .against("get-10m-2"),
    rate(
        "get-10m-dependent-1",
        Level::Disk,
        "Get from ten times as many, dependent, 1 thread",
        dependent!("Gets of present keys from a store of ten times the size."),
    )
    .against("get-10m-dependent-1"),
    rate(
        "get-10m-zipf-1",
        Level::Disk,
        "Get from ten times as many, zipfian, 1 thread",
        overlapped!("Keys drawn by Zipf's law with exponent 0.99, from a store of ten times the size."),
    )
    .against("get-10m-zipf-1"),
    rate(
        "get-10m-zipf-2",
        Level::Disk,
        "Get from ten times as many, zipfian, 2 threads",
        overlapped!("Keys drawn by Zipf's law with exponent 0.99, from a store of ten times the size, from 2 threads."),
    )
    .against("get-10m-zipf-2"),
    rate(
        "get-10m-absent-1",
        Level::Disk,
        "Get of absent keys from ten times as many, 1 thread",
        overlapped!("Gets of absent keys."),
    )
    .against("get-10m-absent-1"),
    rate(
        "get-10m-absent-2",
        Level::Disk,
        "Get of absent keys from ten times as many, 2 threads",
        overlapped!("Gets of absent keys, from 2 threads."),
    )
    .against("get-10m-absent-2"),
    rate(
        "get-limited-zipf-1",
        Level::Disk,
        "Get from data of three times the memory, zipfian, 1 thread",
        overlapped!("Keys drawn by Zipf's law with exponent 0.99, from a store of ten times the size. The process and its page cache may take a third of the bytes of all keys and values. After a checkpoint, a clean close and a second opening."),
    )
    .when(When::Limited),
];

pub const SCANS: &[Workload] = &[
    rate(
        "iterate",
        Level::Disk,
        "Iteration",
        scanned!("All entries from the first to the last, right after the load. Loaded in random order of the keys."),
    )
    .against("iterate"),
    rate(
        "range-100",
        Level::Disk,
        "Ranges of 100",
        scanned!("The 100 entries that start at a random key, right after the load. Loaded in random order of the keys."),
    )
    .against("iterate"),
    rate(
        "iterate-checkpointed",
        Level::Disk,
        "Iteration, unchanged",
        scanned!("All entries from the first to the last, unchanged since a checkpoint, if the engine has checkpoints. Loaded in random order of the keys."),
    )
    .against("iterate"),
    rate(
        "range-100-checkpointed",
        Level::Disk,
        "Ranges of 100, unchanged",
        scanned!("The 100 entries that start at a random key, unchanged since a checkpoint, if the engine has checkpoints. Loaded in random order of the keys."),
    )
    .against("iterate"),
    rate(
        "iterate-changed",
        Level::Disk,
        "Iteration, a tenth changed",
        scanned!("All entries from the first to the last, after every tenth was overwritten. Loaded in random order of the keys, then a checkpoint."),
    )
    .against("iterate"),
    rate(
        "range-100-changed",
        Level::Disk,
        "Ranges of 100, a tenth changed",
        scanned!("The 100 entries that start at a random key, after every tenth was overwritten. Loaded in random order of the keys, then a checkpoint."),
    )
    .against("iterate"),
    rate(
        "iterate-ordered",
        Level::Disk,
        "Iteration, loaded in order",
        scanned!("All entries from the first to the last, unchanged since a checkpoint. Every engine was loaded in the order of the keys."),
    )
    .against("iterate"),
    rate(
        "range-100-ordered",
        Level::Disk,
        "Ranges of 100, loaded in order",
        scanned!("The 100 entries that start at a random key, unchanged since a checkpoint. Every engine was loaded in the order of the keys."),
    )
    .against("iterate"),
    rate(
        "iterate-10m",
        Level::Disk,
        "Iteration over ten times as many",
        scanned!("All entries of a store of ten times the size, from the first to the last. Loaded in random order of the keys."),
    )
    .against("iterate-10m"),
    rate(
        "prefix",
        Level::Disk,
        "Prefixes",
        scanned!("The entries whose keys start with two random bytes, about 15 in a million. Loaded in random order of the keys."),
    )
    .against("iterate"),
];
