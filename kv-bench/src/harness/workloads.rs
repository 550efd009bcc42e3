//! The catalogue of workloads. The code that measures them is in `scenarios`.

mod background;
mod mapped;
mod reads;
mod sizes;
mod snapshots;
mod writes;

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
    /// When it is measured.
    pub when: When,
}

/// When a workload is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In every run that leaves the choice open.
    Always,
    /// In every run that leaves the choice open and is not quick, because it takes long.
    Unhurried,
    /// In every run, if it has a cgroup in which memory can be limited.
    Limited,
    /// Only if the user names it in full, because it takes very long.
    Named,
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
    /// The latency that 99.99 % of the operations do not exceed.
    P9999,
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
    /// Bytes that checkpoints and merges wrote to files for each byte of keys and values that was
    /// put, without the log.
    Rewritten,
    /// How far anonymous memory rises above its level before the workload, at its peak.
    Extra,
}

impl Metric {
    /// The unit of the values.
    pub fn unit(self) -> &'static str {
        match self {
            Metric::Rate => "1/s",
            Metric::P50 | Metric::P99 | Metric::P999 | Metric::P9999 | Metric::Max => "µs",
            Metric::Time => "ms",
            Metric::Anonymous | Metric::Mapped | Metric::Disk => "B/entry",
            Metric::Written | Metric::Rewritten => "B/B",
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
            Metric::P9999 => "p99.99",
            Metric::Max => "max",
            Metric::Time => "time",
            Metric::Anonymous => "anonymous memory",
            Metric::Mapped => "file-backed memory",
            Metric::Disk => "disk",
            Metric::Written => "written",
            Metric::Rewritten => "written by checkpoints",
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
/// Unless a workload says otherwise, keys have 16 bytes, values have 100, keys are drawn uniformly,
/// and stores were loaded in random order of the keys, in batches of 1,000.
pub const WORKLOADS: &[Workload] = &joined::<{ length(GROUPS) }>(GROUPS);

const GROUPS: &[&[Workload]] = &[
    writes::PUTS,
    reads::GETS,
    mapped::MEMORY,
    mapped::PARTS_1,
    mapped::PARTS_3,
    mapped::PARTS_7,
    mapped::LARGE_PARTS_1,
    mapped::LARGE_PARTS_3,
    mapped::LARGE_PARTS_7,
    writes::MIXED,
    reads::SCANS,
    writes::TRANSACTIONS,
    writes::QUEUES,
    snapshots::SNAPSHOTS,
    sizes::OPENINGS,
    sizes::SPACE,
    background::CHECKPOINTS,
    writes::VALUES,
];

const fn length(groups: &[&[Workload]]) -> usize {
    let (mut length, mut at) = (0, 0);
    while at < groups.len() {
        length += groups[at].len();
        at += 1;
    }
    length
}

const fn joined<const N: usize>(groups: &[&[Workload]]) -> [Workload; N] {
    let mut all = [groups[0][0]; N];
    let (mut group, mut filled) = (0, 0);
    while group < groups.len() {
        let mut at = 0;
        while at < groups[group].len() {
            all[filled] = groups[group][at];
            (at, filled) = (at + 1, filled + 1);
        }
        group += 1;
    }
    all
}

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
    Workload { name, title, what, level, headline, limit: None, when: When::Always }
}

impl Workload {
    const fn against(self, limit: &'static str) -> Self {
        Self { limit: Some(limit), ..self }
    }

    const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }
}

/// The workload of that name.
pub fn named(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// The workloads that an argument selects: the one with this name, and those whose names continue
/// it after a hyphen. Those that run [only when named](When::Named) need their whole name.
pub fn selected(name: &str) -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(move |workload| {
        workload
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && workload.when != When::Named))
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
        assert_eq!(
            names("put-disk"),
            [
                "put-disk-1",
                "put-disk-2",
                "put-disk-4",
                "put-disk-8",
                "put-disk-16",
                "put-disk-32",
                "put-disk-64",
                "put-disk-8-at-50",
                "put-disk-8-at-90",
            ]
        );
        assert_eq!(names("memory"), ["memory", "memory-checkpointed", "memory-10m", "memory-loading"]);
        assert_eq!(names("put-disk-64"), ["put-disk-64"]);
        assert!(names("put-d").is_empty());
        assert_eq!(names("open-killed"), ["open-killed", "open-killed-10m"], "the largest must be named");
        assert_eq!(names("open-killed-100m"), ["open-killed-100m"]);
    }
}
