//! A summary as a run could have made it, for the tests.

use crate::compare::{
    engine::{Level, Promise, Role},
    summary::{Curve, EngineSummary, Figure, Ratio, Rival, Summary},
    workloads::{Metric, Workload},
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
    Workload { name, title, what, level, headline, limit }
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

type Row = (&'static str, Metric, &'static [(&'static str, f64)]);

/// What the engines did. The row decides by the workload's level what was promised, with the exceptions of [`promise`].
const ROWS: &[Row] = &[
    (
        "put-disk-1",
        Metric::Rate,
        &[
            ("kv", 9800.0),
            ("kv-log", 9900.0),
            ("redb", 5444.0),
            ("fjall", 10_273.0),
            ("sled", 10_405.0),
            ("lmdb", 4631.0),
            ("rocksdb", 7203.0),
            ("sqlite", 8923.0),
            ("canopydb", 9730.0),
            ("redis", 5600.0),
            ("machine", 10_000.0),
        ],
    ),
    (
        "put-disk-8",
        Metric::Rate,
        &[
            ("kv", 33_100.0),
            ("kv-log", 34_000.0),
            ("redb", 5273.0),
            ("fjall", 9101.0),
            ("sled", 21_648.0),
            ("lmdb", 4413.0),
            ("rocksdb", 21_246.0),
            ("sqlite", 7924.0),
            ("canopydb", 9199.0),
            ("redis", 22_600.0),
        ],
    ),
    (
        "put-disk-64",
        Metric::Rate,
        &[
            ("kv", 142_000.0),
            ("redb", 4769.0),
            ("fjall", 8765.0),
            ("sled", 14_159.0),
            ("lmdb", 4277.0),
            ("rocksdb", 51_271.0),
            ("sqlite", 7475.0),
            ("canopydb", 8823.0),
            ("redis", 72_300.0),
        ],
    ),
    (
        "put-disk-64",
        Metric::P50,
        &[
            ("kv", 420.0),
            ("redb", 13_000.0),
            ("fjall", 4300.0),
            ("sled", 3600.0),
            ("lmdb", 15_000.0),
            ("rocksdb", 1100.0),
            ("sqlite", 8000.0),
            ("canopydb", 7000.0),
            ("redis", 860.0),
        ],
    ),
    (
        "put-disk-64",
        Metric::P99,
        &[
            ("kv", 1400.0),
            ("redb", 29_000.0),
            ("fjall", 61_000.0),
            ("sled", 20_000.0),
            ("lmdb", 42_000.0),
            ("rocksdb", 3500.0),
            ("sqlite", 27_000.0),
            ("canopydb", 16_000.0),
            ("redis", 2100.0),
        ],
    ),
    (
        "put-disk-64",
        Metric::P999,
        &[
            ("kv", 3900.0),
            ("redb", 41_000.0),
            ("fjall", 99_000.0),
            ("sled", 31_000.0),
            ("lmdb", 68_000.0),
            ("rocksdb", 7800.0),
            ("sqlite", 55_000.0),
            ("canopydb", 30_000.0),
        ],
    ),
    (
        "put-process-1",
        Metric::Rate,
        &[
            ("kv", 610_000.0),
            ("redb", 91_983.0),
            ("fjall", 347_991.0),
            ("sled", 186_471.0),
            ("lmdb", 195_452.0),
            ("rocksdb", 291_484.0),
            ("sqlite", 73_433.0),
            ("canopydb", 239_588.0),
            ("hashbrown", 3_500_000.0),
            ("machine", 1_600_000.0),
        ],
    ),
    (
        "load",
        Metric::Rate,
        &[
            ("kv", 480_000.0),
            ("redb", 176_064.0),
            ("fjall", 549_823.0),
            ("sled", 110_120.0),
            ("lmdb", 216_739.0),
            ("rocksdb", 526_440.0),
            ("sqlite", 83_849.0),
            ("canopydb", 253_149.0),
            ("hashbrown", 3_300_000.0),
        ],
    ),
    (
        "get-1",
        Metric::Rate,
        &[
            ("kv", 4_100_000.0),
            ("redb", 532_765.0),
            ("fjall", 255_102.0),
            ("sled", 408_830.0),
            ("lmdb", 904_159.0),
            ("rocksdb", 228_675.0),
            ("sqlite", 269_179.0),
            ("canopydb", 661_813.0),
            ("redis", 102_000.0),
            ("hashbrown", 5_650_000.0),
            ("machine", 7_090_000.0),
        ],
    ),
    (
        "mixed-50-50",
        Metric::Rate,
        &[
            ("kv", 810_000.0),
            ("redb", 85_081.0),
            ("fjall", 431_404.0),
            ("sled", 648_346.0),
            ("lmdb", 50_494.0),
            ("rocksdb", 540_558.0),
            ("sqlite", 52_908.0),
            ("canopydb", 193_573.0),
        ],
    ),
    (
        "iterate",
        Metric::Rate,
        &[
            ("kv", 8_200_000.0),
            ("redb", 10.4e6),
            ("fjall", 2.9e6),
            ("sled", 2.0e6),
            ("lmdb", 15.3e6),
            ("rocksdb", 6.9e6),
            ("sqlite", 5.6e6),
            ("canopydb", 9.0e6),
            ("hashbrown", 41.0e6),
            ("machine", 224.0e6),
        ],
    ),
    (
        "open-clean",
        Metric::Time,
        &[
            ("kv", 310.0),
            ("redb", 74.0),
            ("fjall", 510.0),
            ("sled", 429.0),
            ("lmdb", 0.16),
            ("rocksdb", 1252.0),
            ("sqlite", 0.83),
            ("canopydb", 256.0),
            ("redis", 660.0),
        ],
    ),
    (
        "open-killed",
        Metric::Time,
        &[
            ("kv", 390.0),
            ("redb", 270.0),
            ("fjall", 1008.0),
            ("sled", 428.0),
            ("lmdb", 0.16),
            ("rocksdb", 1215.0),
            ("sqlite", 0.80),
            ("canopydb", 437.0),
            ("redis", 1100.0),
        ],
    ),
    (
        "memory",
        Metric::Anonymous,
        &[
            ("kv", 188.0),
            ("redb", 202.0),
            ("fjall", 179.0),
            ("sled", 344.0),
            ("lmdb", 6.0),
            ("rocksdb", 56.0),
            ("sqlite", 151.0),
            ("canopydb", 573.0),
            ("hashbrown", 181.0),
        ],
    ),
    ("memory", Metric::Mapped, &[("kv", 0.0), ("redb", 0.0), ("lmdb", 201.0)]),
    ("writers-checkpoint", Metric::P99, &[("kv", 41.0), ("rocksdb", 25.0), ("fjall", 30.0)]),
    ("writers-checkpoint", Metric::Max, &[("kv", 9100.0), ("rocksdb", 40_500.0), ("fjall", 61_000.0)]),
    ("writers-checkpoint", Metric::Written, &[("kv", 2.1), ("rocksdb", 2.6), ("fjall", 2.4)]),
    ("writers-checkpoint", Metric::Extra, &[("kv", 141.0), ("rocksdb", 12.0), ("fjall", 18.5)]),
    ("brand-new", Metric::Time, &[("kv", 3.0), ("<script>&|*x*", 4.0)]),
];

/// The example.
pub fn summary() -> Summary {
    let results: Vec<Figure> =
        ROWS.iter().flat_map(|row| row.2.iter().map(|(engine, median)| figure(row, engine, *median))).collect();
    let ratios = CATALOGUE.iter().filter_map(|workload| ratio(workload, &results)).collect();
    let curves = ["put-disk-8", "put-disk-64", "writers-checkpoint"].into_iter().flat_map(|workload| {
        let rows = ROWS.iter().find(|row| row.0 == workload).map_or(&[][..], |row| row.2);
        rows.iter().map(move |(engine, rate)| curve(workload, engine, *rate))
    });
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
        curves: curves.collect(),
        notes: vec![
            "put-disk-8: another process took 12 % of the machine in 2 of 3 runs of sqlite.".into(),
            "papaya is not in this build.".into(),
        ],
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

fn figure(row: &Row, engine: &str, median: f64) -> Figure {
    let spread = if engine == "rocksdb" { 0.3 } else { 0.06 };
    Figure {
        workload: row.0.into(),
        engine: engine.into(),
        promise: promise(engine, level(row.0)),
        metric: row.1,
        unit: row.1.unit().into(),
        median,
        min: median * (1.0 - spread),
        max: median * (1.0 + spread / 2.0),
        runs: 3,
        disturbed: engine == "sqlite" && row.0 == "put-disk-8",
    }
}

fn ratio(workload: &Workload, results: &[Figure]) -> Option<Ratio> {
    let more = workload.headline.more_is_better();
    let of = |name: &str, role: Role| {
        let is = move |engine: &str| ENGINES.iter().any(|known| *known == (engine, role));
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

/// A tail that grows the faster the slower the engine is.
fn curve(workload: &str, engine: &str, rate: f64) -> Curve {
    let middle = if workload.starts_with("put") { 8e6 / rate } else { 4.0 + rate / 10.0 };
    let points = (0..=500).map(|step| {
        let exponent = f64::from(step) / 100.0;
        (1.0 - 10_f64.powf(-exponent), middle * (0.7 + exponent / 4.0 + (exponent / 2.4).powi(4) * 0.4))
    });
    Curve {
        workload: workload.into(),
        engine: engine.into(),
        promise: promise(engine, level(workload)),
        points: points.chain([(1.0, middle * 30.0)]).collect(),
    }
}
