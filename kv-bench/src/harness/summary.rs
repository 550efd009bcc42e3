//! The results of a run, as reports show them and as `compare.json` holds them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    engine::{Promise, Result, Role},
    workloads::Metric,
};

/// All results of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Processor, memory, kernel and file system, one line each.
    pub machine: Vec<String>,
    /// The command that started the run.
    pub command: String,
    /// The version of this project that was measured.
    pub version: String,
    /// When the run started, in UTC.
    pub started: String,
    /// The number of entries, the duration of a measurement and the number of repetitions, one line
    /// each.
    pub scale: Vec<String>,
    /// The numbers of entries: in stores of the usual size, in large stores, in the largest.
    #[serde(default)]
    pub sizes: Vec<u64>,
    /// The engines that were measured, in the order of the build.
    pub engines: Vec<EngineSummary>,
    /// The figures.
    pub results: Vec<Figure>,
    /// Our engine against the best peer and against the limit.
    pub ratios: Vec<Ratio>,
    /// Distributions of latencies.
    pub curves: Vec<Curve>,
    /// What the reader must know: missing engines, and measurements that failed or were disturbed.
    pub notes: Vec<String>,
}

impl Summary {
    /// Writes `compare.json` into a directory, which is created if it does not exist, and returns
    /// the path of the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let file = directory.join("compare.json");
        fs::write(&file, serde_json::to_vec_pretty(self)?)?;
        Ok(file)
    }
}

/// An engine that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineSummary {
    /// The engine's name.
    pub name: String,
    /// Its role in the comparison.
    pub role: Role,
    /// Its settings for [`Level::Disk`](super::engine::Level::Disk), if it has that level.
    pub disk: Option<String>,
    /// Its settings for [`Level::Process`](super::engine::Level::Process), if it has that level.
    pub process: Option<String>,
}

/// One metric of one engine in one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The workload's name.
    pub workload: String,
    /// The engine's name.
    pub engine: String,
    /// What a write survives. For reads: what the writes of the database that was read survive.
    pub promise: Promise,
    /// What was measured.
    pub metric: Metric,
    /// The unit of the values.
    pub unit: String,
    /// The median of the repetitions.
    pub median: f64,
    /// The smallest repetition.
    pub min: f64,
    /// The largest repetition.
    pub max: f64,
    /// The number of repetitions.
    pub runs: usize,
    /// Whether other processes used too much of the machine in more than half of the repetitions.
    pub disturbed: bool,
}

/// Our engine in a workload, by the workload's headline metric. A ratio above 1 means that ours is
/// better, whatever the metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The workload's name.
    pub workload: String,
    /// The metric that is compared.
    pub metric: Metric,
    /// Our median.
    pub ours: f64,
    /// The best peer that keeps the same promise.
    pub best_peer: Option<Rival>,
    /// The machine's limit.
    pub limit: Option<Rival>,
}

/// An engine that ours is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rival {
    /// The engine's name.
    pub engine: String,
    /// Its median.
    pub median: f64,
    /// How many times better ours is.
    pub ratio: f64,
}

/// The distribution of an engine's latencies in a workload: for each fraction of the operations,
/// the longest latency among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The workload's name.
    pub workload: String,
    /// The engine's name.
    pub engine: String,
    /// What a write survives.
    pub promise: Promise,
    /// Fractions of the operations (0 to 1, ascending), and microseconds.
    pub points: Vec<(f64, f64)>,
}
