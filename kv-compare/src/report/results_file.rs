//! Reads RESULTS.md back, so that the present code can draw the picture beside it again.

use std::fs;

use kv_bench::harness::{
    engine::{Promise, Role},
    summary::{EngineSummary, Figure, Ratio, Rival, Summary},
    workloads::{Metric, WORKLOADS},
};

use super::{headline, view::View};

const RESULTS: &str = include_str!("../../RESULTS.md");

/// Draws `headline.svg` from the figures of RESULTS.md, with their three digits:
///
/// ```text
/// cargo test --manifest-path kv-compare/Cargo.toml --lib -- --ignored headline
/// ```
#[test]
#[ignore = "it changes a file of the repository"]
fn the_headline_is_drawn_again() {
    let summary = summary();
    let svg = headline::svg(&View::all(&summary, WORKLOADS)).unwrap();
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/headline.svg"), svg).unwrap();
}

#[test]
fn the_headline_shows_the_figures_of_the_results() {
    let summary = summary();
    let drawn = headline::svg(&View::all(&summary, WORKLOADS)).unwrap();
    let (committed, drawn) = (texts(include_str!("../../headline.svg")), texts(&drawn));
    assert!(committed.len() > 100);
    assert_eq!(committed, drawn);
}

/// The text elements of a picture.
fn texts(picture: &str) -> Vec<&str> {
    let texts = picture.split("<text ").skip(1).map(|text| text.split_once('>').unwrap().1);
    texts.map(|text| text.split("</text>").next().unwrap().trim()).collect()
}

/// The summary as far as the picture needs it.
fn summary() -> Summary {
    let engines = rows(section("Engines")).map(|cells| EngineSummary {
        name: cells[0].to_owned(),
        role: role(cells[1]),
        disk: None,
        process: None,
    });
    let results = WORKLOADS.iter().flat_map(|workload| {
        rows(section(workload.title)).filter(|cells| cells.len() == 5 && cells[0] != "engine").map(|cells| {
            let (unit, median) = (workload.headline.unit(), cells[2].trim_end_matches(" †"));
            let (min, max) = cells[3].split_once(" to ").unwrap();
            let min = if min.contains(' ') { min.to_owned() } else { with_unit_of(min, max) };
            Figure {
                workload: workload.name.to_owned(),
                engine: cells[0].to_owned(),
                promise: promise(cells[1]),
                metric: workload.headline,
                unit: unit.to_owned(),
                median: number(median, unit),
                min: number(&min, unit),
                max: number(max, unit),
                runs: 1,
                disturbed: cells[2].ends_with('†'),
            }
        })
    });
    Summary { engines: engines.collect(), results: results.collect(), ratios: ratios(), ..Summary::default() }
}

fn ratios() -> Vec<Ratio> {
    let rows = rows(section("kv against the best peer and the limit"));
    let rows = rows.filter_map(|cells| Some((WORKLOADS.iter().find(|workload| workload.title == cells[0])?, cells)));
    rows.map(|(workload, cells)| Ratio {
        workload: workload.name.to_owned(),
        metric: workload.headline,
        ours: number(cells[1], workload.headline.unit()),
        best_peer: rival(cells[2], cells[3], workload.headline),
        limit: rival(cells[4], cells[5], workload.headline),
    })
    .collect()
}

fn rival(cell: &str, ratio: &str, metric: Metric) -> Option<Rival> {
    let (engine, median) = cell.split_once(' ')?;
    let ratio = ratio.trim_start_matches(['▲', '▼', '=', ' ']).trim_end_matches('×');
    let ratio = match ratio.strip_prefix("1/") {
        Some(divisor) => divisor.parse::<f64>().unwrap().recip(),
        None => ratio.parse().unwrap(),
    };
    Some(Rival { engine: engine.to_owned(), median: number(median, metric.unit()), ratio })
}

/// The lines under a heading. A workload that is younger than the run has none.
fn section(heading: &str) -> &'static str {
    let start = RESULTS.split_once(&format!("\n## {heading}\n")).map_or("", |(_, start)| start);
    start.split("\n## ").next().unwrap()
}

/// The rows of the tables in a section, with their headings.
fn rows(section: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    lines.filter(|line| !line.starts_with("---")).map(|line| line.split(" | ").collect())
}

fn role(words: &str) -> Role {
    match words {
        "this project" => Role::Ours,
        "a part, measured alone" => Role::Part,
        "a map in memory: stores nothing" => Role::Ceiling,
        "the machine itself: the limit" => Role::Limit,
        _ => Role::Peer,
    }
}

fn promise(word: &str) -> Promise {
    let promises = [Promise::Disk, Promise::Process, Promise::Later];
    promises.into_iter().find(|promise| promise.name() == word).unwrap_or(Promise::Nothing)
}

fn with_unit_of(number: &str, other: &str) -> String {
    format!("{number} {}", other.split_once(' ').unwrap().1)
}

/// A number as it was before [`kv_bench::harness::number::value`] gave it a unit that people read.
fn number(text: &str, unit: &str) -> f64 {
    let (digits, shown) = text.split_once(' ').unwrap();
    let factor = match (unit, shown) {
        ("1/s", "/s") => 1.0,
        ("1/s", "k/s") => 1e3,
        ("1/s", "M/s") => 1e6,
        ("1/s", "G/s") => 1e9,
        ("µs", "ns") | ("ms", "µs") => 1e-3,
        ("µs", "µs") | ("ms", "ms") | ("B/entry", "B") => 1.0,
        ("µs", "ms") | ("ms", "s") | ("B/entry", "kB") => 1e3,
        _ => panic!("{text} in {unit}"),
    };
    digits.parse::<f64>().unwrap() * factor
}
