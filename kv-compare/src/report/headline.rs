//! The picture for a README: a few workloads side by side, in a file that needs nothing else.

use kv_bench::harness::{engine::Result, number};

use super::{
    bars::{Bars, Layout},
    canvas::{Canvas, Font, draw},
    palette::Colour,
    view::{Verdict, View},
};

/// The workloads of the picture, the ones that readers ask for first, with titles that are short
/// enough.
pub const HEADLINES: &[(&str, &str)] = &[
    ("put-disk-1", "Durable put, 1 thread"),
    ("put-disk-64", "Durable put, 64 threads"),
    ("put-process-1", "Put that survives a kill"),
    ("load", "Load in batches"),
    ("get-1", "Get, 1 thread"),
    ("iterate", "Iteration"),
    ("open-clean", "Open after a clean close"),
    ("open-killed", "Open after a kill"),
];

const COLUMNS: usize = 4;
const MARGIN: f64 = 14.0;
const GAP: f64 = 16.0;
/// The height of the title and the verdict of a panel.
const TITLE: f64 = 38.0;
const FOOT: f64 = 32.0;
const LINE_HEIGHT: f64 = 14.0;

struct Panel<'a> {
    view: &'a View<'a>,
    title: &'static str,
    bars: Bars<'a>,
}

/// The picture, with a panel for each headline that was measured.
pub fn svg(views: &[View<'_>]) -> Result<String> {
    let panels: Vec<Panel<'_>> = HEADLINES.iter().filter_map(|(name, title)| panel(views, name, title)).collect();
    let rows: Vec<f64> = panels
        .chunks(COLUMNS)
        .map(|row| row.iter().map(|panel| TITLE + panel.bars.height()).fold(0.0, f64::max))
        .collect();
    let panel_width = Layout::SMALL.width;
    let width = COLUMNS as f64 * panel_width + (COLUMNS - 1) as f64 * GAP + 2.0 * MARGIN;
    let height = rows.iter().sum::<f64>() + rows.len().saturating_sub(1) as f64 * GAP + 2.0 * MARGIN + FOOT;

    let picture = draw(width, height, |canvas| {
        canvas.rectangle((0.0, 0.0), (width, height), Colour::Surface)?;
        let mut y = MARGIN;
        for (panels, height) in panels.chunks(COLUMNS).zip(&rows) {
            for (column, panel) in panels.iter().enumerate() {
                let x = MARGIN + column as f64 * (panel_width + GAP);
                panel.draw(&canvas.part((x, y), (panel_width, *height)))?;
            }
            y += height + GAP;
        }
        for (line, note) in NOTES.iter().rev().enumerate() {
            let y = height - MARGIN - LINE_HEIGHT * line as f64;
            canvas.text(note, (MARGIN, y), Font::new(10.0, Colour::Muted))?;
        }
        Ok(())
    })?;
    let alternatives: Vec<_> = panels.iter().map(|panel| panel.bars.alternative()).collect();
    Ok(picture.standalone("kv and its peers", &alternatives.join(" ")))
}

const NOTES: [&str; 2] = [
    "Medians, with the smallest and the largest repetition. Above 1×, kv is better. Dashed line: the machine without an engine, on one thread.",
    "Each chart compares only engines with the same promise: in “Put that survives a kill”, writes survive a killed process; in all others, a power cut.",
];

fn panel<'a>(views: &'a [View<'a>], name: &str, title: &'static str) -> Option<Panel<'a>> {
    let view = views.iter().find(|view| view.name == name)?;
    let bars = Bars::ranked(view);
    (!bars.is_empty()).then_some(Panel { view, title, bars })
}

impl Panel<'_> {
    fn draw(&self, canvas: &Canvas<'_>) -> Result {
        canvas.text(self.title, (0.0, 8.0), Font::new(13.0, Colour::Text).bold(true))?;
        if let Some(rival) = self.view.ratio.and_then(|ratio| ratio.best_peer.as_ref()) {
            let verdict = Verdict::of(rival.ratio);
            let colour = match verdict {
                Verdict::Ahead => Colour::Ahead,
                Verdict::Even => Colour::Muted,
                Verdict::Behind => Colour::Behind,
            };
            let text = format!("{} {} the best peer, {}", verdict.sign(), number::ratio(rival.ratio), rival.engine);
            canvas.text(&text, (0.0, 25.0), Font::new(11.0, colour))?;
        }
        self.bars.draw(&canvas.part((0.0, TITLE), (Layout::SMALL.width, self.bars.height())))
    }
}
