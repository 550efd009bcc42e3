//! The catalogue of workloads. The code that measures them is in `scenarios`.

use serde::{Deserialize, Serialize};

use super::engine::Level;

/// A workload, and what its figures mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// The name in arguments, files and tables.
    pub name: &'static str,
    /// The heading of its chart.
    pub title: &'static str,
    /// A sentence that says exactly what is done.
    pub what: &'static str,
    /// The level whose promise the figures keep. A database for loads or reads is opened for
    /// [`Level::Process`], if the engine has that level. It is synced after the load, so that the
    /// data are on disk.
    pub level: Level,
    /// The metric that is charted and ranks the engines.
    pub headline: Metric,
    /// The workload whose figure for the machine is the limit of this one.
    pub limit: Option<&'static str>,
}

/// What is counted or timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Operations or entries per second.
    Rate,
    /// The median latency.
    P50,
    /// The latency that 99 % of the operations do not exceed.
    P99,
    /// The latency that 99.9 % of the operations do not exceed.
    P999,
    /// The longest latency.
    Max,
    /// The duration of the whole workload.
    Time,
    /// Memory that is not backed by a file, per entry.
    Anonymous,
    /// Memory that maps files, per entry. The kernel reclaims it when it needs to.
    Mapped,
    /// Disk space of the files, per entry.
    Disk,
    /// Bytes written to files for each byte of keys and values that was put (write amplification).
    Written,
    /// How far anonymous memory rises above its level before the workload, at its peak.
    Extra,
}

impl Metric {
    /// The unit of the values.
    pub fn unit(self) -> &'static str {
        match self {
            Metric::Rate => "1/s",
            Metric::P50 | Metric::P99 | Metric::P999 | Metric::Max => "µs",
            Metric::Time => "ms",
            Metric::Anonymous | Metric::Mapped | Metric::Disk => "B/entry",
            Metric::Written => "B/B",
            Metric::Extra => "MB",
        }
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Rate => "rate",
            Metric::P50 => "p50",
            Metric::P99 => "p99",
            Metric::P999 => "p99.9",
            Metric::Max => "max",
            Metric::Time => "time",
            Metric::Anonymous => "anonymous memory",
            Metric::Mapped => "file-backed memory",
            Metric::Disk => "disk",
            Metric::Written => "written",
            Metric::Extra => "extra memory",
        }
    }

    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        self == Metric::Rate
    }
}

/// All workloads, in the order of the report.
///
/// Unless a workload says otherwise, keys have 16 bytes, values have 100, and keys are drawn
/// uniformly.
pub const WORKLOADS: &[Workload] = &[
    rate("put-disk-1", Level::Disk, "Durable put, 1 thread", "Puts of new keys, each on disk before the next put.")
        .against("put-disk-1"),
    rate(
        "put-disk-8",
        Level::Disk,
        "Durable put, 8 threads",
        "Puts of new keys from 8 threads, each on disk before the thread's next put. The limit is that of one thread; engines whose threads share flushes exceed it.",
    )
    .against("put-disk-1"),
    rate(
        "put-disk-64",
        Level::Disk,
        "Durable put, 64 threads",
        "Puts of new keys from 64 threads, each on disk before the thread's next put. The limit is that of one thread; engines whose threads share flushes exceed it.",
    )
    .against("put-disk-1"),
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
    rate("load", Level::Disk, "Load", "New entries in batches of 1,000, and a sync at the end."),
    rate("get-1", Level::Disk, "Get, 1 thread", "Gets of present keys, after the load.").against("get-1"),
    rate("get-2", Level::Disk, "Get, 2 threads", "Gets of present keys, after the load, from 2 threads.")
        .against("get-2"),
    rate(
        "get-zipf-1",
        Level::Disk,
        "Get, zipfian, 1 thread",
        "Keys drawn by Zipf's law with exponent 0.99: few keys get most of the gets.",
    )
    .against("get-zipf-1"),
    rate(
        "get-zipf-2",
        Level::Disk,
        "Get, zipfian, 2 threads",
        "Keys drawn by Zipf's law with exponent 0.99, from 2 threads.",
    )
    .against("get-zipf-2"),
    rate("get-absent-1", Level::Disk, "Get of absent keys, 1 thread", "Gets of absent keys.")
        .against("get-absent-1"),
    rate(
        "get-absent-2",
        Level::Disk,
        "Get of absent keys, 2 threads",
        "Gets of absent keys, from 2 threads.",
    )
    .against("get-absent-2"),
    rate(
        "get-checkpointed-1",
        Level::Disk,
        "Get after a checkpoint, 1 thread",
        "Gets of present keys, after a checkpoint.",
    )
    .against("get-1"),
    rate("get-10m-1", Level::Disk, "Get from ten times as many, 1 thread", "Gets of present keys from a store of ten times the size.")
        .against("get-10m-1"),
    rate(
        "get-10m-2",
        Level::Disk,
        "Get from ten times as many, 2 threads",
        "Gets of present keys from a store of ten times the size, from 2 threads.",
    )
    .against("get-10m-2"),
    rate(
        "get-10m-zipf-1",
        Level::Disk,
        "Get from ten times as many, zipfian, 1 thread",
        "Keys drawn by Zipf's law with exponent 0.99, from a store of ten times the size.",
    )
    .against("get-10m-zipf-1"),
    rate(
        "get-10m-zipf-2",
        Level::Disk,
        "Get from ten times as many, zipfian, 2 threads",
        "Keys drawn by Zipf's law with exponent 0.99, from a store of ten times the size, from 2 threads.",
    )
    .against("get-10m-zipf-2"),
    rate(
        "get-10m-absent-1",
        Level::Disk,
        "Get of absent keys from ten times as many, 1 thread",
        "Gets of absent keys.",
    )
    .against("get-10m-absent-1"),
    rate(
        "get-10m-absent-2",
        Level::Disk,
        "Get of absent keys from ten times as many, 2 threads",
        "Gets of absent keys, from 2 threads.",
    )
    .against("get-10m-absent-2"),
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
    rate("iterate", Level::Disk, "Iteration", "All entries from the first to the last. The rate counts entries.").against("iterate"),
    rate("range-100", Level::Disk, "Ranges of 100", "The 100 entries that start at a random key. The rate counts entries.")
        .against("iterate"),
    rate(
        "prefix",
        Level::Disk,
        "Prefixes",
        "The entries whose keys start with two random bytes, about 15 in a million. The rate counts entries.",
    )
    .against("iterate"),
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
    other(
        "open-clean",
        Level::Disk,
        Metric::Time,
        "Open after a clean close",
        "From the call to the first value read, after a load, a checkpoint if the engine has checkpoints, and a clean close. The files are in the page cache.",
    ),
    other(
        "open-killed",
        Level::Disk,
        Metric::Time,
        "Open after a kill",
        "From the call to the first value read, after a load, a sync and SIGKILL. The files are in the page cache.",
    ),
    other(
        "open-clean-10m",
        Level::Disk,
        Metric::Time,
        "Open ten times as many after a clean close",
        "From the call to the first value read, after a load, a checkpoint if the engine has checkpoints, and a clean close. The files are in the page cache.",
    ),
    other(
        "open-killed-10m",
        Level::Disk,
        Metric::Time,
        "Open ten times as many after a kill",
        "From the call to the first value read, after a load, a sync and SIGKILL. The files are in the page cache.",
    ),
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
        "disk",
        Level::Disk,
        Metric::Disk,
        "Disk",
        "The disk space of the files after the load and its sync, per entry, once the engine is idle. 116 B are key and value.",
    ),
    other(
        "checkpoint",
        Level::Disk,
        Metric::Time,
        "Checkpoint",
        "The time to overwrite a tenth of the entries and to make a checkpoint.",
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
    rate("put-1k", Level::Process, "Put of 1 KiB", "Puts of values of 1 KiB, each of which survives a killed process. Keys are new until the values have 1 GiB."),
    rate("get-1k", Level::Disk, "Get of 1 KiB", "Gets of values of 1 KiB."),
    rate(
        "put-64k",
        Level::Process,
        "Put of 64 KiB",
        "Puts of values of 64 KiB, each of which survives a killed process. Keys are new until the values have 1 GiB.",
    ),
    rate("get-64k", Level::Disk, "Get of 64 KiB", "Gets of values of 64 KiB."),
];

const fn rate(name: &'static str, level: Level, title: &'static str, what: &'static str) -> Workload {
    other(name, level, Metric::Rate, title, what)
}

const fn other(
    name: &'static str,
    level: Level,
    headline: Metric,
    title: &'static str,
    what: &'static str,
) -> Workload {
    Workload { name, title, what, level, headline, limit: None }
}

impl Workload {
    const fn against(self, limit: &'static str) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// The workload of that name.
pub fn named(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// The workloads that an argument selects: the one with this name, and those whose names continue
/// it after a hyphen.
pub fn selected(name: &str) -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(move |workload| {
        workload.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_limits_are_there() {
        let names: HashSet<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        assert!(WORKLOADS.iter().filter_map(|workload| workload.limit).all(|limit| names.contains(limit)));
    }

    #[test]
    fn a_name_selects_its_workload_and_its_group() {
        let names = |name| selected(name).map(|workload| workload.name).collect::<Vec<_>>();
        assert_eq!(names("put-disk"), ["put-disk-1", "put-disk-8", "put-disk-64"]);
        assert_eq!(names("memory"), ["memory", "memory-checkpointed"]);
        assert_eq!(names("put-disk-64"), ["put-disk-64"]);
        assert!(names("put-d").is_empty());
    }
}
