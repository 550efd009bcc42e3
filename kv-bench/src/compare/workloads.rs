//! The catalogue of what is measured. What a workload does is in `scenarios`.

use serde::{Deserialize, Serialize};

use super::engine::Level;

/// Something that is measured, and what its figures mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// The name in arguments, files and tables.
    pub name: &'static str,
    /// The heading of its chart.
    pub title: &'static str,
    /// What exactly is done, in a sentence.
    pub what: &'static str,
    /// The level that the database is opened for.
    pub level: Level,
    /// The figure that is charted, and by which engines are ranked.
    pub headline: Metric,
    /// Its limit: what the raw machine does in this workload.
    pub limit: Option<&'static str>,
}

/// What is counted or timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Operations, or entries, a second.
    Rate,
    /// Half of the operations took at most as long.
    P50,
    /// 99 of 100 operations took at most as long.
    P99,
    /// 999 of 1,000 operations took at most as long.
    P999,
    /// The longest operation.
    Max,
    /// From the call until it was done.
    Time,
    /// Memory that belongs to no file, for each entry.
    Anonymous,
    /// Memory that maps files, for each entry: the kernel takes it back when it needs it.
    Mapped,
    /// What the files take on disk, for each entry.
    Disk,
    /// Bytes written to files for each byte of keys and values that was put.
    Written,
    /// The largest amount of memory that was used beyond that before.
    Extra,
}

impl Metric {
    /// The unit of its values.
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

    /// Its name in tables and files.
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
pub const WORKLOADS: &[Workload] = &[Workload {
    name: "put-disk-1",
    title: "Durable put, 1 thread",
    what: "puts of new keys, each on disk before the next",
    level: Level::Disk,
    headline: Metric::Rate,
    limit: Some("put-disk-1"),
}];

/// The workload of that name.
pub fn named(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}
