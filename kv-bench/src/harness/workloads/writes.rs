//! Puts, loads, mixes of gets and puts, transactions, queues, and larger values.

use super::{Metric, When, Workload, other, rate};
use crate::harness::engine::Level;

/// Durable puts from several threads.
macro_rules! durable_puts {
    ($threads:literal) => {
        rate(
            concat!("put-disk-", $threads),
            Level::Disk,
            concat!("Durable put, ", $threads, " threads"),
            concat!(
                "Puts of new keys from ",
                $threads,
                " threads, each on disk before the thread's next put. The limit is that of one thread; engines \
                 whose threads share flushes exceed it."
            ),
        )
        .against("put-disk-1")
    };
}

pub const PUTS: &[Workload] = &[
    rate("put-disk-1", Level::Disk, "Durable put, 1 thread", "Puts of new keys, each on disk before the next put.")
        .against("put-disk-1"),
    durable_puts!(2).when(When::Unhurried),
    durable_puts!(4).when(When::Unhurried),
    durable_puts!(8),
    durable_puts!(16).when(When::Unhurried),
    durable_puts!(32).when(When::Unhurried),
    durable_puts!(64),
    other(
        "put-disk-8-at-50",
        Level::Disk,
        Metric::P99,
        "Durable put, 8 threads at 50 % of the rate",
        "Puts of new keys from 8 threads, each on disk, at 50 % of the rate that the engine reached right before with 8 threads. A put that starts late because the thread's last one took long counts from when it was due.",
    )
    .when(When::Unhurried),
    other(
        "put-disk-8-at-90",
        Level::Disk,
        Metric::P99,
        "Durable put, 8 threads at 90 % of the rate",
        "Puts of new keys from 8 threads, each on disk, at 90 % of the rate that the engine reached right before with 8 threads. A put that starts late because the thread's last one took long counts from when it was due.",
    )
    .when(When::Unhurried),
    rate(
        "put-process-1",
        Level::Process,
        "Put that survives a kill, 1 thread",
        "Puts of new keys, each of which survives a killed process.",
    )
    .against("put-process-1"),
    rate(
        "put-process-2",
        Level::Process,
        "Put that survives a kill, 2 threads",
        "Puts of new keys from 2 threads, each of which survives a killed process.",
    )
    .against("put-process-2"),
    rate(
        "put-process-busy-1",
        Level::Process,
        "Put that survives a kill, 1 busy thread",
        "Puts of new keys, each of which survives a killed process. The thread works for 500 ns before each put.",
    ),
    rate(
        "put-process-busy-2",
        Level::Process,
        "Put that survives a kill, 2 busy threads",
        "Puts of new keys from 2 threads, each of which survives a killed process. Each thread works for 500 ns before each put.",
    ),
    rate(
        "put-process-sustained",
        Level::Process,
        "Put that survives a kill, for a minute",
        "Puts of new keys from one thread, each of which survives a killed process, for 60 times the usual time. Each put is timed.",
    )
    .when(When::Unhurried),
    rate(
        "load",
        Level::Disk,
        "Load",
        "New entries in random order of the keys, in batches of 1,000, and a sync at the end.",
    ),
];

pub const MIXED: &[Workload] = &[
    rate(
        "mixed-95-5",
        Level::Process,
        "95 % gets, 5 % puts",
        "Two threads, each 95 gets to 5 puts, all of present keys.",
    ),
    rate(
        "mixed-50-50",
        Level::Process,
        "50 % gets, 50 % puts",
        "Two threads, each as many puts as gets, all of present keys.",
    ),
];

pub const TRANSACTIONS: &[Workload] = &[
    rate(
        "transact-process-1",
        Level::Process,
        "Transaction, 1 thread",
        "Read a value, change it and write it back, as one transaction.",
    ),
    rate(
        "transact-process-2",
        Level::Process,
        "Transaction, 2 threads",
        "Read a value, change it and write it back, as one transaction, from 2 threads.",
    ),
    rate(
        "transact-disk-8",
        Level::Disk,
        "Durable transaction, 8 threads",
        "Read a value, change it and write it back, from 8 threads among at most 100,000 keys, each on disk before the thread's next transaction.",
    ),
];

pub const QUEUES: &[Workload] = &[
    rate(
        "queue-pop",
        Level::Process,
        "Pop from a queue",
        "The entry with the lowest key is deleted and returned, in one step that survives a killed process, again and again by one thread. Keys are ascending numbers. All entries were loaded in order, then a checkpoint, if the engine has checkpoints.",
    ),
    rate(
        "queue-steady",
        Level::Process,
        "Queue of a steady length",
        "One thread puts an entry at the back of the queue and pops the front, each in a step that survives a killed process. The rate counts pairs. It goes on for ten times the usual time, or until everything that was loaded has been popped, so it also shows what earlier pops cost later ones. Loaded as for pops.",
    ),
];

pub const VALUES: &[Workload] = &[
    rate(
        "put-1k",
        Level::Process,
        "Put of 1 KiB",
        "Puts of values of 1 KiB, each of which survives a killed process. Keys are new until the values have 1 GiB.",
    ),
    rate("get-1k", Level::Disk, "Get of 1 KiB", "Gets of values of 1 KiB."),
    rate(
        "put-64k",
        Level::Process,
        "Put of 64 KiB",
        "Puts of values of 64 KiB, each of which survives a killed process. Keys are new until the values have 1 GiB.",
    ),
    rate("get-64k", Level::Disk, "Get of 64 KiB", "Gets of values of 64 KiB."),
];
