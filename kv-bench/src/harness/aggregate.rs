//! Turns the records of a run into the summary of it: medians, best peers, limits.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    engine::{Engine, Level, Role},
    run::{OTHERS_MAX, Record, Run},
    scenarios::{self, Size},
    summary::{Curve, EngineSummary, Figure, Ratio, Rival, Summary},
    workloads::{Metric, WORKLOADS, Workload},
};

/// The summary of a run, which need not be complete.
pub fn aggregate(run: &Run, engines: &[&'static dyn Engine]) -> Summary {
    let results = figures(run, engines);
    let measured = run.header.plan.engines.iter().filter(|name| is_measured(run, name));
    Summary {
        machine: run.header.machine.clone(),
        command: run.header.command.clone(),
        version: run.header.version.clone(),
        started: run.header.started.clone(),
        scale: scale(run),
        sizes: [Size::Usual, Size::Large, Size::Huge].map(|size| run.header.plan.scale.entries(size)).to_vec(),
        engines: measured.filter_map(|name| find(engines, name)).map(engine).collect(),
        ratios: ratios(&results, engines),
        curves: curves(run, engines),
        notes: notes(run, engines),
        results,
    }
}

fn find(engines: &[&'static dyn Engine], name: &str) -> Option<&'static dyn Engine> {
    engines.iter().copied().find(|engine| engine.name() == name)
}

/// Whether the engine has any figure.
fn is_measured(run: &Run, engine: &str) -> bool {
    run.records.iter().any(|record| record.engine == engine && !record.outcome.found.samples.is_empty())
}

fn scale(run: &Run) -> Vec<String> {
    let scale = run.header.plan.scale;
    let mut lines = vec![
        format!(
            "{} entries; keys of 16 and values of 100 bytes, unless a workload says otherwise",
            thousands(scale.entries)
        ),
        format!("{} s for each measurement that has no end of its own", scale.seconds),
        match scale.repetitions {
            1 => "each measurement once".to_owned(),
            repetitions => format!("{repetitions} repetitions, the engines taking turns"),
        },
    ];
    if scale.large_entries > 0 {
        lines.push(format!("\u{201c}ten times as many\u{201d}: {} entries", thousands(scale.large_entries)));
    }
    lines
}

/// The number with a comma after every three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|chunk| std::str::from_utf8(chunk).ok()).collect();
    grouped.join(",")
}

fn engine(engine: &dyn Engine) -> EngineSummary {
    let settings = |level| engine.promise(level).map(|_| engine.settings(level));
    EngineSummary {
        name: engine.name().to_owned(),
        role: engine.role(),
        disk: settings(Level::Disk),
        process: settings(Level::Process),
    }
}

/// One figure for each workload, engine and metric, in the order of the catalogue.
fn figures(run: &Run, engines: &[&'static dyn Engine]) -> Vec<Figure> {
    let mut values: BTreeMap<(usize, usize, usize), (Vec<f64>, usize)> = BTreeMap::new();
    let order = |name: &str| run.header.plan.engines.iter().position(|engine| engine == name);
    for record in &run.records {
        for sample in &record.outcome.found.samples {
            let workload = WORKLOADS.iter().position(|workload| workload.name == sample.workload);
            let metric = METRICS.iter().position(|metric| *metric == sample.metric);
            if let (Some(workload), Some(engine), Some(metric)) = (workload, order(&record.engine), metric) {
                let (values, disturbed) = values.entry((workload, engine, metric)).or_default();
                values.push(sample.value);
                *disturbed += usize::from(record.is_disturbed());
            }
        }
    }
    let figure = |((workload, engine, metric), (mut values, disturbed)): ((usize, usize, usize), (Vec<f64>, usize))| {
        let (workload, metric, name) = (&WORKLOADS[workload], METRICS[metric], &run.header.plan.engines[engine]);
        values.sort_unstable_by(f64::total_cmp);
        Some(Figure {
            workload: workload.name.to_owned(),
            engine: name.clone(),
            promise: scenarios::promise(find(engines, name)?, workload)?,
            metric,
            unit: metric.unit().to_owned(),
            median: median(&values),
            min: *values.first()?,
            max: *values.last()?,
            runs: values.len(),
            disturbed: 2 * disturbed > values.len(),
        })
    };
    values.into_iter().filter_map(figure).collect()
}

/// The order of the metrics in tables.
const METRICS: &[Metric] = &[
    Metric::Rate,
    Metric::Time,
    Metric::P50,
    Metric::P99,
    Metric::P999,
    Metric::P9999,
    Metric::Max,
    Metric::Anonymous,
    Metric::Mapped,
    Metric::Disk,
    Metric::Written,
    Metric::Rewritten,
    Metric::Extra,
];

/// The median of sorted values.
fn median(sorted: &[f64]) -> f64 {
    match sorted {
        [] => f64::NAN,
        _ if sorted.len() % 2 == 1 => sorted[sorted.len() / 2],
        _ => (sorted[sorted.len() / 2 - 1] + sorted[sorted.len() / 2]) / 2.0,
    }
}

fn ratios(figures: &[Figure], engines: &[&'static dyn Engine]) -> Vec<Ratio> {
    let ratio = |workload: &Workload| {
        let metric = workload.headline;
        let of = |workload: &'static str, metric: Metric, wanted: Role| {
            let role = |figure: &Figure| find(engines, &figure.engine).map(Engine::role);
            figures.iter().filter(move |figure| {
                figure.workload == workload && figure.metric == metric && role(figure) == Some(wanted)
            })
        };
        let ours = of(workload.name, metric, Role::Ours).next()?;
        let peers = of(workload.name, metric, Role::Peer).filter(|peer| peer.promise == ours.promise);
        let best_peer =
            peers.reduce(|best, peer| if better(metric, peer.median, best.median) > 1.0 { peer } else { best });
        let limit = workload.limit.and_then(|workload| of(workload, metric, Role::Limit).next());
        let rival = |figure: &Figure| Rival {
            engine: figure.engine.clone(),
            median: figure.median,
            ratio: better(metric, ours.median, figure.median),
        };
        Some(Ratio {
            workload: workload.name.to_owned(),
            metric,
            ours: ours.median,
            best_peer: best_peer.map(rival),
            limit: limit.map(rival),
        })
    };
    WORKLOADS.iter().filter_map(ratio).collect()
}

/// How many times better `one` is than `other`.
fn better(metric: Metric, one: f64, other: f64) -> f64 {
    if metric.more_is_better() { one / other } else { other / one }
}

/// The curves, each point the median of the repetitions.
fn curves(run: &Run, engines: &[&'static dyn Engine]) -> Vec<Curve> {
    let mut curves = Vec::new();
    for workload in WORKLOADS {
        for name in &run.header.plan.engines {
            let points = points(&run.records, workload, name);
            let promise = find(engines, name).and_then(|engine| scenarios::promise(engine, workload));
            if let (false, Some(promise)) = (points.is_empty(), promise) {
                let (workload, engine) = (workload.name.to_owned(), name.clone());
                curves.push(Curve { workload, engine, promise, points });
            }
        }
    }
    curves
}

fn points(records: &[Record], workload: &Workload, engine: &str) -> Vec<(f64, f64)> {
    let records = records.iter().filter(|record| record.engine == engine);
    let curves: Vec<_> = records
        .flat_map(|record| &record.outcome.found.curves)
        .filter(|(name, _)| name == workload.name)
        .map(|(_, points)| points)
        .collect();
    let longest = curves.iter().max_by_key(|points| points.len()).map_or(&[][..], |points| points);
    let at = |fraction: f64| {
        let mut values: Vec<f64> = curves
            .iter()
            .filter_map(|points| points.iter().find(|point| point.0 == fraction))
            .map(|point| point.1)
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        (fraction, median(&values))
    };
    longest.iter().map(|point| at(point.0)).collect()
}

fn notes(run: &Run, engines: &[&'static dyn Engine]) -> Vec<String> {
    let mut notes = Vec::new();
    // Maps and parts are not stores: what they lack is not worth a note.
    let is_store =
        |name: &str| find(engines, name).is_some_and(|engine| matches!(engine.role(), Role::Ours | Role::Peer));
    let missing = run.records.iter().filter(|record| record.outcome.unsupported && is_store(&record.engine));
    let missing = missing.filter_map(|record| {
        let error = record.outcome.error.as_ref()?;
        Some(match is_measured(run, &record.engine) {
            true => format!("{}, {}: {error}", record.engine, record.scenario),
            false => format!("{}: {error}", record.engine),
        })
    });
    let failed = run.records.iter().filter(|record| !record.outcome.unsupported);
    let failed = failed.flat_map(|record| {
        let whole = record.outcome.error.iter().map(|error| (&record.scenario, error));
        let parts = record.outcome.found.failures.iter().map(|(workload, error)| (workload, error));
        whole
            .chain(parts)
            .map(|(what, error)| format!("{} failed in {what}: {error}", record.engine))
            .collect::<Vec<_>>()
    });
    for note in missing.chain(failed) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes.extend(disturbances(run));
    if !run.is_complete() {
        notes.push("the run is not complete".to_owned());
    }
    notes
}

/// A note that names the disturbed measurements, if there are any.
fn disturbances(run: &Run) -> Option<String> {
    let disturbed: Vec<&Record> = run.records.iter().filter(|record| record.is_disturbed()).collect();
    let mut which: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for record in &disturbed {
        which.entry(&record.scenario).or_default().insert(&record.engine);
    }
    let names = |engines: BTreeSet<&str>| engines.into_iter().collect::<Vec<_>>().join(", ");
    let which: Vec<String> =
        which.into_iter().map(|(scenario, engines)| format!("{scenario} ({})", names(engines))).collect();
    (!disturbed.is_empty()).then(|| {
        format!(
            "other processes used more than {:.0} % of the machine during {} of {} measurements: {}",
            OTHERS_MAX * 100.0,
            disturbed.len(),
            run.records.len(),
            which.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::harness::{
        child::Outcome,
        engine::{Database, Promise, Result, Unsupported},
        run::{Header, Plan},
        scenarios::{Findings, Sample, Scale},
    };

    struct Fake(&'static str, Role, Promise);

    impl Engine for Fake {
        fn name(&self) -> &'static str {
            self.0
        }
        fn role(&self) -> Role {
            self.1
        }
        fn settings(&self, level: Level) -> String {
            format!("{level:?}")
        }
        fn promise(&self, _: Level) -> Option<Promise> {
            Some(self.2)
        }
        fn open(&self, _: &Path, _: Level) -> Result<Box<dyn Database>> {
            Err(Unsupported("not to be opened").into())
        }
    }

    const ENGINES: &[&dyn Engine] = &[
        &Fake("ours", Role::Ours, Promise::Disk),
        &Fake("slow", Role::Peer, Promise::Disk),
        &Fake("fast", Role::Peer, Promise::Disk),
        &Fake("careless", Role::Peer, Promise::Later),
        &Fake("machine", Role::Limit, Promise::Disk),
    ];

    fn run(records: Vec<Record>) -> Run {
        let engines = ENGINES.iter().map(|engine| engine.name().to_owned()).collect();
        let scale = Scale { entries: 1_000_000, large_entries: 0, seconds: 1.0, repetitions: 3 };
        let workloads = WORKLOADS.iter().map(|workload| workload.name.to_owned()).collect();
        Run::recorded(
            Header { plan: Plan { scale, workloads, engines, cgroup: None }, measurements: 100, ..Header::default() },
            records,
        )
    }

    fn record(engine: &str, repetition: u64, workload: &str, metric: Metric, value: f64) -> Record {
        let found = Findings {
            samples: vec![Sample { workload: workload.to_owned(), metric, value }],
            curves: vec![(workload.to_owned(), vec![(0.5, value)])],
            failures: Vec::new(),
        };
        let outcome = Outcome { found, ..Outcome::default() };
        Record { scenario: workload.to_owned(), engine: engine.to_owned(), repetition, outcome, others: 0.0 }
    }

    #[test]
    fn the_median_of_the_repetitions_counts() {
        let records = [3.0, 9.0, 4.0].into_iter().enumerate();
        let records = records.map(|(at, value)| record("ours", at as u64, "put-disk-1", Metric::Rate, value)).collect();
        let summary = aggregate(&run(records), ENGINES);
        let [figure] = &*summary.results else { panic!("{:?}", summary.results) };
        assert_eq!((figure.median, figure.min, figure.max, figure.runs), (4.0, 3.0, 9.0, 3));
        assert_eq!(summary.curves[0].points, [(0.5, 4.0)]);
        assert_eq!(median(&[1.0, 2.0]), 1.5);
        assert!(summary.notes.contains(&"the run is not complete".to_owned()));
    }

    #[test]
    fn ours_is_held_against_the_best_peer_of_the_same_promise_and_the_limit() {
        let rates = [("ours", 100.0), ("slow", 50.0), ("fast", 400.0), ("careless", 900.0), ("machine", 200.0)];
        let rates = rates.map(|(engine, rate)| record(engine, 0, "put-disk-1", Metric::Rate, rate));
        let times = [("ours", 1.0), ("slow", 50.0), ("fast", 4.0), ("careless", 0.1)];
        let times = times.map(|(engine, time)| record(engine, 0, "open-clean", Metric::Time, time));
        let others = [record("ours", 0, "put-disk-64", Metric::Rate, 1000.0)];
        let summary = aggregate(&run(rates.into_iter().chain(times).chain(others).collect()), ENGINES);
        let rival = |engine: &str, median, ratio| Some(Rival { engine: engine.to_owned(), median, ratio });
        let ratios: Vec<_> =
            summary.ratios.iter().map(|ratio| (&*ratio.workload, &ratio.best_peer, &ratio.limit)).collect();
        assert_eq!(
            ratios,
            [
                ("put-disk-1", &rival("fast", 400.0, 0.25), &rival("machine", 200.0, 0.5)),
                ("put-disk-64", &None, &rival("machine", 200.0, 5.0)), // the limit of one thread
                ("open-clean", &rival("fast", 4.0, 4.0), &None),
            ]
        );
    }

    #[test]
    fn what_went_wrong_is_noted_once() {
        let measured = || record("slow", 0, "get", Metric::Rate, 1.0);
        let failed = |error: &str, unsupported| Record {
            outcome: Outcome { error: Some(error.to_owned()), unsupported, ..Outcome::default() },
            others: 0.9, // irrelevant, because nothing was measured
            ..measured()
        };
        let records = vec![
            failed("broken", false),
            failed("broken", false),
            failed("not here", true),
            Record { others: 0.5, ..measured() },
        ];
        let notes = aggregate(&run(records), ENGINES).notes;
        assert_eq!(notes[..2], ["slow, get: not here", "slow failed in get: broken"]);
        assert!(notes[2].contains("1 of 4 measurements: get (slow)"), "{notes:?}");
    }
}
