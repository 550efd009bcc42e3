//! The picture for a README of how soon stores are ready after a kill, by the number of their
//! entries.

use kv_bench::harness::{
    engine::{Result, Role},
    number,
    workloads::Metric,
};

use super::{
    canvas::{Anchor, Canvas, Font, draw},
    curves::apart,
    palette::{Colour, LINES},
    view::View,
};

/// The workloads, by ascending size.
pub const SIZES: [&str; 3] = ["open-killed", "open-killed-10m", "open-killed-100m"];

const TITLE: &str = "Ready after a kill";
const CAPTION: &str = "From the call that opens to the first value read, after a load, a sync and SIGKILL. Lower is better, logarithmic scales.";
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = WIDTH - 150.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = HEIGHT - 40.0;
const MARKER: f64 = 5.0;
/// Space between the range of the figures and the frame, as an exponent of ten.
const SPACE: f64 = 0.3;

/// An engine's medians: entries and milliseconds.
struct Line<'a> {
    engine: &'a str,
    colour: Colour,
    ours: bool,
    points: Vec<(f64, f64)>,
}

struct Chart<'a> {
    lines: Vec<Line<'a>>,
    /// The ranges, as exponents of ten.
    entries: (f64, f64),
    times: (f64, f64),
}

/// The picture, with a line for each store that was measured with more than one size. If none was,
/// there is a point for each. `sizes` are the numbers of entries.
pub fn svg(views: &[View<'_>], sizes: &[u64]) -> Result<String> {
    let chart = Chart::of(lines(views, sizes));
    let picture = draw(WIDTH, HEIGHT, |canvas| {
        canvas.rectangle((0.0, 0.0), (WIDTH, HEIGHT), Colour::Surface)?;
        canvas.text(TITLE, (14.0, 18.0), Font::new(13.0, Colour::Text).bold(true))?;
        canvas.text(CAPTION, (14.0, 36.0), Font::new(11.0, Colour::Muted))?;
        chart.draw(canvas)
    })?;
    Ok(picture.standalone(TITLE, &chart.alternative()))
}

fn lines<'a>(views: &'a [View<'a>], sizes: &[u64]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for (name, entries) in SIZES.iter().zip(sizes) {
        let Some(view) = views.iter().find(|view| view.name == *name) else { continue };
        for row in view.rows().filter(|row| matches!(row.role, Role::Ours | Role::Peer) && row.figure.median > 0.0) {
            let point = (*entries as f64, row.figure.median);
            let engine = row.figure.engine.as_str();
            match lines.iter_mut().find(|line| line.engine == engine) {
                Some(line) => line.points.push(point),
                None => {
                    let ours = row.role == Role::Ours;
                    let colour = if ours { Colour::Ours } else { Colour::Line(view.peer_number(engine) % LINES) };
                    lines.push(Line { engine, colour, ours, points: vec![point] });
                }
            }
        }
    }
    if lines.iter().any(|line| line.points.len() > 1) {
        lines.retain(|line| line.points.len() > 1);
    }
    // Ours last, so that it is on top.
    lines.sort_by_key(|line| line.ours);
    lines
}

impl<'a> Chart<'a> {
    fn of(lines: Vec<Line<'a>>) -> Self {
        let range = |exponent: &dyn Fn(&(f64, f64)) -> f64| {
            let all = || lines.iter().flat_map(|line| &line.points).map(exponent);
            let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
            if low <= high { (low - SPACE, high + SPACE) } else { (0.0, 1.0) }
        };
        let (entries, times) = (range(&|point| point.0.log10()), range(&|point| point.1.log10()));
        Self { lines, entries, times }
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result {
        self.grid(canvas)?;
        for line in &self.lines {
            let points: Vec<_> = line.points.iter().map(|point| self.place(*point)).collect();
            if points.len() > 1 {
                canvas.line(&points, if line.ours { 3.0 } else { 1.5 }, line.colour)?;
            }
            for (x, y) in points {
                canvas.rectangle((x - MARKER / 2.0, y - MARKER / 2.0), (MARKER, MARKER), line.colour)?;
            }
        }
        self.names(canvas)
    }

    fn grid(&self, canvas: &Canvas<'_>) -> Result {
        let small = Font::new(10.5, Colour::Muted);
        for power in self.times.0.ceil() as i32..=self.times.1.floor() as i32 {
            let time = 10_f64.powi(power);
            let (_, y) = self.place((1.0, time));
            canvas.line(&[(LEFT, y), (RIGHT, y)], 1.0, Colour::Grid)?;
            canvas.text(&number::mark(time, Metric::Time.unit()), (LEFT - 6.0, y), small.anchored(Anchor::End))?;
        }
        for entries in self.sizes() {
            let (x, _) = self.place((entries, 1.0));
            canvas.line(&[(x, TOP), (x, BOTTOM)], 1.0, Colour::Grid)?;
            let mark = format!("{} entries", count(entries));
            canvas.text(&mark, (x, BOTTOM + 14.0), small.anchored(Anchor::Middle))?;
        }
        Ok(())
    }

    /// The name and the last figure of each line, beside its end.
    fn names(&self, canvas: &Canvas<'_>) -> Result {
        for entries in self.sizes() {
            let end = |line: &&Line<'_>| line.points.last().is_some_and(|last| last.0 == entries);
            let mut ending: Vec<_> = self.lines.iter().filter(end).collect();
            let last = |line: &Line<'_>| line.points.last().map_or((entries, 1.0), |last| *last);
            ending.sort_by(|one, other| last(other).1.total_cmp(&last(one).1));
            let heights: Vec<_> = ending.iter().map(|line| self.place(last(line)).1).collect();
            for (line, y) in ending.iter().zip(apart(&heights, TOP, BOTTOM)) {
                let text = format!("{} {}", line.engine, number::value(last(line).1, Metric::Time.unit()));
                let font = Font::new(12.0, line.colour).bold(line.ours);
                canvas.text(&text, (self.place(last(line)).0 + 10.0, y), font)?;
            }
        }
        Ok(())
    }

    /// The numbers of entries that were measured, ascending.
    fn sizes(&self) -> Vec<f64> {
        let mut sizes: Vec<f64> = self.lines.iter().flat_map(|line| &line.points).map(|point| point.0).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        sizes
    }

    fn place(&self, (entries, time): (f64, f64)) -> (f64, f64) {
        let fraction = |value: f64, (low, high): (f64, f64)| ((value.log10() - low) / (high - low)).clamp(0.0, 1.0);
        let (x, y) = (fraction(entries, self.entries), fraction(time, self.times));
        (LEFT + x * (RIGHT - LEFT), BOTTOM - y * (BOTTOM - TOP))
    }

    /// The picture in words.
    fn alternative(&self) -> String {
        let line = |line: &Line<'_>| {
            let point = |(entries, time): &(f64, f64)| {
                format!("{} with {} entries", number::value(*time, Metric::Time.unit()), count(*entries))
            };
            format!("{}: {}", line.engine, line.points.iter().map(point).collect::<Vec<_>>().join(", "))
        };
        let lines: Vec<_> = self.lines.iter().rev().map(line).collect();
        format!("{TITLE}. {CAPTION} {}.", lines.join("; "))
    }
}

/// A number of entries: "10 M".
fn count(entries: f64) -> String {
    number::mark(entries, Metric::Rate.unit()).trim_end_matches("/s").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use kv_bench::harness::{
        engine::Promise,
        summary::{EngineSummary, Figure, Summary},
        workloads::WORKLOADS,
    };

    use super::*;

    fn summary(figures: &[(&str, &str, f64)]) -> Summary {
        let figure = |(workload, engine, median): &(&str, &str, f64)| Figure {
            workload: (*workload).to_owned(),
            engine: (*engine).to_owned(),
            promise: Promise::Disk,
            metric: Metric::Time,
            unit: Metric::Time.unit().to_owned(),
            median: *median,
            min: *median,
            max: *median,
            runs: 1,
            disturbed: false,
        };
        let engine = |name: &str, role| EngineSummary { name: name.to_owned(), role, disk: None, process: None };
        Summary {
            engines: vec![engine("kv", Role::Ours), engine("lmdb", Role::Peer), engine("sled", Role::Peer)],
            sizes: vec![1_000_000, 10_000_000, 100_000_000],
            results: figures.iter().map(figure).collect(),
            ..Summary::default()
        }
    }

    fn drawn(summary: &Summary) -> String {
        svg(&View::all(summary, WORKLOADS), &summary.sizes).unwrap()
    }

    #[test]
    fn each_store_with_several_sizes_has_a_line_up_to_its_last_size() {
        let drawn = drawn(&summary(&[
            ("open-killed", "kv", 40.0),
            ("open-killed", "lmdb", 0.16),
            ("open-killed", "sled", 428.0),
            ("open-killed-10m", "kv", 41.0),
            ("open-killed-10m", "lmdb", 0.17),
            ("open-killed-100m", "kv", 42.0),
        ]));
        assert!(drawn.contains("\nkv 42.0 ms\n") && drawn.contains("\nlmdb 170 µs\n"), "{drawn}");
        assert!(drawn.contains("kv: 40.0 ms with 1 M entries, 41.0 ms with 10 M entries, 42.0 ms with 100 M entries"));
        assert!(!drawn.contains("sled"), "it has one size only");
    }

    #[test]
    fn a_single_size_is_shown_as_points_and_none_as_an_empty_picture() {
        let one = drawn(&summary(&[("open-killed", "kv", 40.0), ("open-killed", "sled", 428.0)]));
        assert!(one.contains("\nkv 40.0 ms\n") && one.contains("\nsled 428 ms\n"), "{one}");
        assert!(drawn(&summary(&[])).contains("</svg>"));
        assert!(drawn(&summary(&[("open-killed", "kv", f64::NAN)])).contains("</svg>"));
    }

    #[test]
    fn its_workloads_are_in_the_catalogue() {
        assert!(SIZES.iter().all(|name| WORKLOADS.iter().any(|workload| workload.name == *name)));
    }
}
