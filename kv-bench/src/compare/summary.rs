//! What a run found, as the report shows it and as `compare.json` holds it.

use serde::{Deserialize, Serialize};

use super::{
    engine::{Promise, Role},
    workloads::Metric,
};

/// The whole result of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Processor, memory, kernel, file system: a line each.
    pub machine: Vec<String>,
    /// The command that made it.
    pub command: String,
    /// The version of this project that was measured.
    pub version: String,
    /// When the run started, in UTC.
    pub started: String,
    /// How many entries the stores hold, how long is measured, how often: a line each.
    pub scale: Vec<String>,
    /// The engines that were measured, in the order of the build.
    pub engines: Vec<EngineSummary>,
    /// The figures.
    pub results: Vec<Figure>,
    /// Ours against the best peer and against the limit.
    pub ratios: Vec<Ratio>,
    /// Distributions of latencies.
    pub curves: Vec<Curve>,
    /// What the reader must know: engines that are missing, runs that failed or were disturbed.
    pub notes: Vec<String>,
}

/// An engine that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineSummary {
    /// Its name.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// How it was set up for [`Level::Disk`](super::engine::Level::Disk), if it has that.
    pub disk: Option<String>,
    /// How it was set up for [`Level::Process`](super::engine::Level::Process), if it has that.
    pub process: Option<String>,
}

/// A metric of an engine in a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The workload's name.
    pub workload: String,
    /// The engine's name.
    pub engine: String,
    /// What a write kept; for reads, what the database that was read keeps.
    pub promise: Promise,
    /// What was measured.
    pub metric: Metric,
    /// The unit of the values.
    pub unit: String,
    /// The median of the repetitions.
    pub median: f64,
    /// The smallest of them.
    pub min: f64,
    /// The largest of them.
    pub max: f64,
    /// How many repetitions there were.
    pub runs: usize,
    /// Whether other processes took part of the machine in more than half of them.
    pub disturbed: bool,
}

/// Ours in a workload, by its headline metric. A ratio above 1 says that ours is better, whatever the metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The workload's name.
    pub workload: String,
    /// The metric that is compared.
    pub metric: Metric,
    /// Our median.
    pub ours: f64,
    /// The best of the peers that keep the same promise.
    pub best_peer: Option<Rival>,
    /// The machine's limit.
    pub limit: Option<Rival>,
}

/// What ours is held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rival {
    /// The engine's name.
    pub engine: String,
    /// Its median.
    pub median: f64,
    /// How many times better ours is.
    pub ratio: f64,
}

/// How long the operations of an engine took in a workload: for each fraction of them, the longest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The workload's name.
    pub workload: String,
    /// The engine's name.
    pub engine: String,
    /// What a write kept.
    pub promise: Promise,
    /// Fraction of the operations (0 to 1, rising), and microseconds.
    pub points: Vec<(f64, f64)>,
}
