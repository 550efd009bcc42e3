//! The latency chart of a workload: for each fraction of the operations, the longest latency among
//! them.

use kv_bench::harness::{
    engine::{Result, Role},
    number,
    summary::Curve,
    workloads::Metric,
};

use super::{
    canvas::{Anchor, Canvas, Font, Picture, draw},
    palette::{Colour, LINES},
    view::View,
};

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = HEIGHT - 26.0;
/// The end of the curves: the latency that one operation in this many exceeds. A run has too few
/// operations for anything rarer.
const RAREST: f64 = 1e4;
/// How many peers have a colour and a name. More lines cannot be told apart.
const NAMED: usize = 5;
const LETTERS: f64 = 12.0;
const LINE_HEIGHT: f64 = 15.0;

/// The curves of a workload that are drawn.
pub struct Curves<'a> {
    view: &'a View<'a>,
    lines: Vec<Line<'a>>,
    /// The engines that are not drawn, because their promise differs.
    left_out: Vec<String>,
    right: f64,
    /// The range of the latencies, as exponents of ten.
    latencies: (f64, f64),
    /// The rarest operation that is drawn, as an exponent of ten.
    rarest: f64,
}

struct Line<'a> {
    curve: &'a Curve,
    points: Vec<(f64, f64)>,
    role: Role,
    /// Peers that are far behind are grey, and not named in the picture.
    named: bool,
}

impl<'a> Curves<'a> {
    /// The curves of a workload, if it has any.
    pub fn of(view: &'a View<'a>) -> Option<Self> {
        let comparable = |curve: &&&Curve| curve.promise == view.asked || view.role(&curve.engine) == Role::Limit;
        let (drawn, others): (Vec<_>, Vec<_>) = view.curves.iter().partition(|curve| comparable(curve));
        let mut lines: Vec<_> = drawn.into_iter().map(|curve| Line::of(view, curve)).collect();
        lines.retain(|line| line.points.len() > 1);
        if lines.is_empty() {
            return None;
        }
        lines.sort_by(|one, other| one.tail().total_cmp(&other.tail()));
        let mut peers = 0;
        for line in &mut lines {
            peers += usize::from(line.role == Role::Peer);
            line.named = line.role != Role::Peer || peers <= NAMED;
        }

        let all = || lines.iter().flat_map(|line| &line.points);
        let lowest = all().map(|(_, micros)| micros.log10()).fold(f64::INFINITY, f64::min);
        let highest = all().map(|(_, micros)| micros.log10()).fold(f64::NEG_INFINITY, f64::max);
        let rarest = all().map(|(exponent, _)| *exponent).fold(1.0, f64::max);
        let widths = lines
            .iter()
            .filter(|line| line.named)
            .map(|line| Font::new(LETTERS, Colour::Text).width(&line.curve.engine));
        let right = WIDTH - 14.0 - widths.fold(0.0, f64::max).min(110.0);
        let left_out = others.into_iter().map(|curve| format!("{} ({})", curve.engine, curve.promise.name())).collect();
        let latencies = (lowest - 0.1, (highest + 0.1).max(lowest + 0.6));
        Some(Curves { view, lines, left_out, right, latencies, rarest })
    }

    /// The chart as a picture.
    pub fn picture(&self) -> Result<Picture> {
        draw(WIDTH, HEIGHT, |canvas| {
            let caption = "Latency: lower is better, logarithmic scales";
            canvas.text(caption, (0.0, 8.0), Font::new(11.5, Colour::Muted))?;
            self.grid(canvas)?;
            // Grey lines first and ours last, so that ours is on top.
            let rank = |line: &&Line<'_>| (line.named, line.role == Role::Ours);
            let mut lines: Vec<_> = self.lines.iter().collect();
            lines.sort_by_key(rank);
            for line in lines {
                let points: Vec<_> = line.points.iter().map(|point| self.place(*point)).collect();
                canvas.line(&thinned(&points), line.width(), self.colour(line))?;
            }
            self.names(canvas)
        })
    }

    /// The chart in words, for readers who cannot see it.
    pub fn alternative(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let micros = number::value(line.tail(), Metric::P99.unit());
            format!("{} {micros}", line.curve.engine)
        });
        format!(
            "{}: latencies. 99 % of the operations took at most: {}.",
            self.view.title,
            lines.collect::<Vec<_>>().join(", ")
        )
    }

    /// What the picture does not say.
    pub fn remarks(&self) -> Vec<String> {
        let grey: Vec<_> =
            self.lines.iter().filter(|line| !line.named).map(|line| line.curve.engine.as_str()).collect();
        let mut remarks = Vec::new();
        if !grey.is_empty() {
            remarks.push(format!("Grey, from the best to the worst at 99 %: {}.", grey.join(", ")));
        }
        if !self.left_out.is_empty() {
            remarks.push(format!("Not drawn, because their promise differs: {}.", self.left_out.join(", ")));
        }
        remarks
    }

    fn grid(&self, canvas: &Canvas<'_>) -> Result {
        let small = Font::new(10.5, Colour::Muted);
        for micros in self.marks() {
            let (_, y) = self.place((0.0, micros));
            canvas.line(&[(LEFT, y), (self.right, y)], 1.0, Colour::Grid)?;
            canvas.text(&number::mark(micros, "µs"), (LEFT - 6.0, y), small.anchored(Anchor::End))?;
        }
        for (exponent, mark) in [(0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %")] {
            if exponent <= self.rarest + 0.01 {
                let (x, _) = self.place((exponent, 1.0));
                canvas.line(&[(x, TOP), (x, BOTTOM)], 1.0, Colour::Grid)?;
                canvas.text(mark, (x, BOTTOM + 12.0), small.anchored(Anchor::Middle))?;
            }
        }
        Ok(())
    }

    /// Powers of ten. If there are few, also 2 and 5 times each.
    fn marks(&self) -> Vec<f64> {
        let (lowest, highest) = self.latencies;
        let steps: &[f64] = if highest - lowest < 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = lowest.floor() as i32..=highest.ceil() as i32;
        let marks = powers.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
        marks.filter(|mark| (lowest..=highest).contains(&mark.log10())).collect()
    }

    /// The names at the ends of the lines, moved apart if lines end close together.
    fn names(&self, canvas: &Canvas<'_>) -> Result {
        let mut ends: Vec<_> =
            self.lines.iter().filter(|line| line.named).filter_map(|line| Some((*line.points.last()?, line))).collect();
        ends.sort_by(|one, other| other.0.1.total_cmp(&one.0.1));
        let heights: Vec<_> = ends.iter().map(|(end, _)| self.place(*end).1).collect();
        for ((end, line), height) in ends.into_iter().zip(apart(&heights, TOP, BOTTOM)) {
            let (x, y) = self.place(end);
            canvas.line(&[(x, y), (self.right + 4.0, y), (self.right + 9.0, height)], 0.5, self.colour(line))?;
            let font = Font::new(LETTERS, self.colour(line)).bold(line.role == Role::Ours);
            canvas.text(&line.curve.engine, (self.right + 11.0, height), font)?;
        }
        Ok(())
    }

    fn place(&self, (exponent, micros): (f64, f64)) -> (f64, f64) {
        let (lowest, highest) = self.latencies;
        let height = ((micros.log10() - lowest) / (highest - lowest)).clamp(0.0, 1.0);
        (LEFT + (self.right - LEFT) * exponent / self.rarest, BOTTOM - (BOTTOM - TOP) * height)
    }

    fn colour(&self, line: &Line<'_>) -> Colour {
        match line.role {
            Role::Ours => Colour::Ours,
            Role::Limit => Colour::Limit,
            Role::Part | Role::Ceiling => Colour::Muted,
            Role::Peer if line.named => Colour::Line(self.view.peer_number(&line.curve.engine) % LINES),
            Role::Peer => Colour::Peer,
        }
    }
}

impl<'a> Line<'a> {
    fn of(view: &View<'_>, curve: &'a Curve) -> Self {
        let drawn = curve
            .points
            .iter()
            .filter(|(fraction, micros)| (0.0..=1.0 - 1.0 / RAREST).contains(fraction) && *micros > 0.0);
        // On this scale 90, 99 and 99.9 % are equally far apart.
        let points = drawn.map(|(fraction, micros)| (-(1.0 - fraction).log10(), *micros)).collect();
        Line { curve, points, role: view.role(&curve.engine), named: true }
    }

    /// The latency that 99 % of the operations do not exceed.
    fn tail(&self) -> f64 {
        let reaches = self.points.iter().find(|(exponent, _)| *exponent > 2.0 - 1e-6);
        reaches.or(self.points.last()).map_or(0.0, |(_, micros)| *micros)
    }

    fn width(&self) -> f64 {
        match self.role {
            Role::Ours => 3.0,
            _ if self.named => 1.5,
            _ => 1.0,
        }
    }
}

/// The points without those that share half a pixel with their predecessor.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut thinned: Vec<(f64, f64)> = Vec::new();
    for point in points {
        match thinned.last_mut() {
            Some(last) if thinned_together(*last, *point) => last.1 = point.1,
            _ => thinned.push(*point),
        }
    }
    thinned
}

fn thinned_together(one: (f64, f64), other: (f64, f64)) -> bool {
    (2.0 * one.0).round() == (2.0 * other.0).round()
}

/// Ascending heights, moved so that lines of text at them do not touch and stay within bounds.
pub fn apart(heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut moved: Vec<f64> = Vec::new();
    for height in heights {
        let least = moved.last().map_or(top, |last| last + LINE_HEIGHT);
        moved.push(height.max(least));
    }
    let mut most = bottom;
    for height in moved.iter_mut().rev() {
        *height = height.min(most);
        most = *height - LINE_HEIGHT;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_touch_are_moved_apart() {
        let moved = apart(&[20.0, 21.0, 22.0, 90.0, 99.0], 10.0, 100.0);
        assert!(moved.windows(2).all(|pair| pair[1] - pair[0] >= LINE_HEIGHT - 1e-9), "{moved:?}");
        assert!(moved[0] >= 10.0 && moved[4] <= 100.0, "{moved:?}");
        assert_eq!(apart(&[20.0, 60.0], 10.0, 100.0), [20.0, 60.0]);
    }

    #[test]
    fn points_at_one_place_become_one() {
        assert_eq!(thinned(&[(1.0, 5.0), (1.1, 6.0), (2.0, 7.0)]), [(1.0, 6.0), (2.0, 7.0)]);
    }
}
