//! A summary like that of a run, for the tests.

use kv_bench::harness::{
    engine::{Level, Promise, Role},
    summary::{Curve, EngineSummary, Figure, Ratio, Rival, Summary},
    workloads::{Metric, When, Workload},
};

/// The workloads of the example.
pub const CATALOGUE: &[Workload] = &[
    workload(
        "put-disk-1",
        "Durable put, 1 thread",
        "puts of new keys, each on disk before the next",
        Level::Disk,
        Metric::Rate,
        Some("put-disk-1"),
    ),
    workload(
        "put-disk-8",
        "Durable put, 8 threads",
        "puts of new keys from 8 threads, each on disk before it returns",
        Level::Disk,
        Metric::Rate,
        Some("put-disk-1"),
    ),
    workload(
        "put-disk-64",
        "Durable put, 64 threads",
        "puts of new keys from 64 threads, each on disk before it returns",
        Level::Disk,
        Metric::Rate,
        Some("put-disk-1"),
    ),
    workload(
        "put-process-1",
        "Put, 1 thread",
        "puts of new keys, each with the kernel before the next",
        Level::Process,
        Metric::Rate,
        Some("put-process-1"),
    ),
    workload(
        "load",
        "Batch load",
        "1 M entries in batches of 1,000, and a final sync",
        Level::Process,
        Metric::Rate,
        None,
    ),
    workload("get-1", "Get, 1 thread", "gets of random keys among 1 M", Level::Process, Metric::Rate, Some("get-1")),
    workload(
        "mixed-50-50",
        "Half gets, half puts",
        "2 threads, half of their operations gets, half puts",
        Level::Process,
        Metric::Rate,
        None,
    ),
    workload("iterate", "Iteration", "all entries in the order of their keys", Level::Process, Metric::Rate, None),
    workload(
        "open-clean",
        "Open after a clean close",
        "from opening 1 M entries until the first get has returned",
        Level::Process,
        Metric::Time,
        None,
    ),
    workload(
        "open-killed",
        "Open after SIGKILL",
        "from opening 1 M entries until the first get has returned",
        Level::Process,
        Metric::Time,
        None,
    ),
    workload(
        "memory",
        "Memory for each entry",
        "1 M entries, right after they were loaded",
        Level::Process,
        Metric::Anonymous,
        None,
    ),
    workload(
        "writers-checkpoint",
        "Writers during a checkpoint",
        "puts of 2 threads while a checkpoint is written",
        Level::Process,
        Metric::P99,
        None,
    ),
];

const fn workload(
    name: &'static str,
    title: &'static str,
    what: &'static str,
    level: Level,
    headline: Metric,
    limit: Option<&'static str>,
) -> Workload {
    Workload { name, title, what, level, headline, limit, when: When::Always }
}

const ENGINES: &[(&str, Role)] = &[
    ("kv", Role::Ours),
    ("kv-log", Role::Part),
    ("redb", Role::Peer),
    ("fjall", Role::Peer),
    ("sled", Role::Peer),
    ("lmdb", Role::Peer),
    ("rocksdb", Role::Peer),
    ("sqlite", Role::Peer),
    ("canopydb", Role::Peer),
    ("redis", Role::Peer),
    ("hashbrown", Role::Ceiling),
    ("machine", Role::Limit),
];

/// The figures: each line has a workload, the start of a metric's name, and medians by engine.
const FIGURES: &str = "\
put-disk-1 rate kv=9800 kv-log=9900 redb=5444 fjall=10273 sled=10405 lmdb=4631 rocksdb=7203 sqlite=8923 canopydb=9730 redis=5600 machine=10000
put-disk-8 rate kv=33100 kv-log=34000 redb=5273 fjall=9101 sled=21648 lmdb=4413 rocksdb=21246 sqlite=7924 canopydb=9199 redis=22600
put-disk-64 rate kv=142000 redb=4769 fjall=8765 sled=14159 lmdb=4277 rocksdb=51271 sqlite=7475 canopydb=8823 redis=72300
put-disk-64 p50 kv=420 redb=13000 fjall=4300 sled=3600 lmdb=15000 rocksdb=1100 sqlite=8000 canopydb=7000 redis=860
put-disk-64 p99 kv=1400 redb=29000 fjall=61000 sled=20000 lmdb=42000 rocksdb=3500 sqlite=27000 canopydb=16000 redis=2100
put-disk-64 p99.9 kv=3900 redb=41000 fjall=99000 sled=31000 lmdb=68000 rocksdb=7800 sqlite=55000 canopydb=30000
put-process-1 rate kv=610000 redb=91983 fjall=347991 sled=186471 lmdb=195452 rocksdb=291484 sqlite=73433 canopydb=239588 hashbrown=3500000 machine=1600000
load rate kv=480000 redb=176064 fjall=549823 sled=110120 lmdb=216739 rocksdb=526440 sqlite=83849 canopydb=253149 hashbrown=3300000
get-1 rate kv=4100000 redb=532765 fjall=255102 sled=408830 lmdb=904159 rocksdb=228675 sqlite=269179 canopydb=661813 redis=102000 hashbrown=5650000 machine=7090000
mixed-50-50 rate kv=810000 redb=85081 fjall=431404 sled=648346 lmdb=50494 rocksdb=540558 sqlite=52908 canopydb=193573
iterate rate kv=8200000 redb=10400000 fjall=2900000 sled=2000000 lmdb=15300000 rocksdb=6900000 sqlite=5600000 canopydb=9000000 hashbrown=41000000 machine=224000000
open-clean time kv=310 redb=74 fjall=510 sled=429 lmdb=0.16 rocksdb=1252 sqlite=0.83 canopydb=256 redis=660
open-killed time kv=390 redb=270 fjall=1008 sled=428 lmdb=0.16 rocksdb=1215 sqlite=0.8 canopydb=437 redis=1100
memory anonymous kv=188 redb=202 fjall=179 sled=344 lmdb=6 rocksdb=56 sqlite=151 canopydb=573 hashbrown=181
memory file-backed kv=0 redb=0 lmdb=201
writers-checkpoint p99 kv=41 rocksdb=25 fjall=30
writers-checkpoint max kv=9100 rocksdb=40500 fjall=61000
writers-checkpoint written kv=2.1 rocksdb=2.6 fjall=2.4
writers-checkpoint extra kv=141 rocksdb=12 fjall=18.5
brand-new time kv=3 <script>&|*x*=4
";

const METRICS: [Metric; 11] = [
    Metric::Rate,
    Metric::P50,
    Metric::P99,
    Metric::P999,
    Metric::Max,
    Metric::Time,
    Metric::Anonymous,
    Metric::Mapped,
    Metric::Disk,
    Metric::Written,
    Metric::Extra,
];

/// The example.
pub fn summary() -> Summary {
    let results: Vec<Figure> = FIGURES.lines().flat_map(figures).collect();
    let ratios = CATALOGUE.iter().filter_map(|workload| ratio(workload, &results)).collect();
    let headline = |figure: &&Figure| matches!(figure.metric, Metric::Rate | Metric::P99);
    let curved = ["put-disk-8", "put-disk-64", "writers-checkpoint"].into_iter().flat_map(|workload| {
        let of = results.iter().filter(move |figure| figure.workload == workload).filter(headline);
        of.filter(move |figure| figure.metric != Metric::P99 || workload == "writers-checkpoint")
    });
    let curves = curved.map(curve).collect();
    Summary {
        machine: vec!["2 cores of an example processor, 24 GiB".into(), "Linux 6.12, ext4 on a virtual disk".into()],
        command: "cargo xtask compare --only put-disk-1,get-1 && echo '<b>'".into(),
        version: "0.1.0".into(),
        started: "2026-01-02 03:04 UTC".into(),
        scale: vec![
            "1,000,000 entries of 16 B keys and 100 B values".into(),
            "3 repetitions, interleaved, 5 s each".into(),
        ],
        engines: ENGINES.iter().map(|(name, role)| engine(name, *role)).collect(),
        curves,
        notes: vec![
            "put-disk-8: another process took 12 % of the machine in 2 of 3 runs of sqlite.".into(),
            "papaya is not in this build.".into(),
        ],
        sizes: vec![1_000_000, 10_000_000, 100_000_000],
        results,
        ratios,
    }
}

fn engine(name: &str, role: Role) -> EngineSummary {
    let disk = !matches!(role, Role::Ceiling);
    EngineSummary {
        name: name.into(),
        role,
        disk: disk.then(|| format!("{name} 1.2, each commit with fdatasync")),
        process: Some(format!("{name} 1.2, commits without a flush, a cache of 256 MiB")),
    }
}

fn promise(engine: &str, level: Level) -> Promise {
    match (engine, level) {
        ("hashbrown", _) => Promise::Nothing,
        ("sled", Level::Disk) => Promise::Process,
        ("sled" | "redb", Level::Process) => Promise::Later,
        (_, level) => level.into(),
    }
}

fn level(workload: &str) -> Level {
    CATALOGUE.iter().find(|known| known.name == workload).map_or(Level::Process, |known| known.level)
}

fn figures(line: &str) -> impl Iterator<Item = Figure> {
    let mut words = line.split(' ');
    let (workload, metric) = (words.next().unwrap(), words.next().unwrap());
    let metric = METRICS.into_iter().find(|known| known.name().starts_with(metric)).unwrap();
    words.map(move |word| {
        let (engine, median) = word.split_once('=').unwrap();
        figure(workload, engine, metric, median.parse().unwrap())
    })
}

fn figure(workload: &str, engine: &str, metric: Metric, median: f64) -> Figure {
    let spread = if engine == "rocksdb" { 0.3 } else { 0.06 };
    Figure {
        workload: workload.into(),
        engine: engine.into(),
        promise: promise(engine, level(workload)),
        metric,
        unit: metric.unit().into(),
        median,
        min: median * (1.0 - spread),
        max: median * (1.0 + spread / 2.0),
        runs: 3,
        disturbed: engine == "sqlite" && workload == "put-disk-8",
    }
}

fn ratio(workload: &Workload, results: &[Figure]) -> Option<Ratio> {
    let more = workload.headline.more_is_better();
    let of = |name: &str, role: Role| {
        let is = move |engine: &str| ENGINES.contains(&(engine, role));
        let name = name.to_owned();
        results
            .iter()
            .filter(move |figure| figure.workload == name && figure.metric == workload.headline && is(&figure.engine))
    };
    let ours = of(workload.name, Role::Ours).next()?.median;
    let rival = |figure: &Figure| Rival {
        engine: figure.engine.clone(),
        median: figure.median,
        ratio: if more { ours / figure.median } else { figure.median / ours },
    };
    let peers = of(workload.name, Role::Peer).filter(|figure| figure.promise == workload.level.into()).map(rival);
    Some(Ratio {
        workload: workload.name.into(),
        metric: workload.headline,
        ours,
        best_peer: peers.min_by(|one, other| one.ratio.total_cmp(&other.ratio)),
        limit: workload.limit.and_then(|name| of(name, Role::Limit).next()).map(rival),
    })
}

/// A curve whose tail grows faster for a slower engine.
fn curve(figure: &Figure) -> Curve {
    let middle = if figure.metric == Metric::Rate { 8e6 / figure.median } else { 4.0 + figure.median / 10.0 };
    let points = (0..=500).map(|step| {
        let exponent = f64::from(step) / 100.0;
        (1.0 - 10_f64.powf(-exponent), middle * (0.7 + exponent / 4.0 + (exponent / 2.4).powi(4) * 0.4))
    });
    Curve {
        workload: figure.workload.clone(),
        engine: figure.engine.clone(),
        promise: figure.promise,
        points: points.chain([(1.0, middle * 30.0)]).collect(),
    }
}
