//! The picture that a reader sees first: a few workloads side by side.

use super::{
    bars::{self, Bars},
    canvas::{Canvas, Type, draw},
    ink::Ink,
    number,
    view::{Verdict, View},
};
use crate::compare::engine::Result;

const COLUMNS: usize = 2;
const MARGIN: f64 = 20.0;
const GAP: f64 = 32.0;
const TITLE: f64 = 46.0;
const FOOT: f64 = 40.0;

/// The workloads of these names that were measured, as a file of its own.
pub fn svg(views: &[View<'_>], names: &[&str]) -> Result<String> {
    let chosen = names.iter().filter_map(|name| views.iter().find(|view| view.name == *name));
    let panels: Vec<_> = chosen.map(|view| (view, Bars::ranked(view))).filter(|(_, bars)| !bars.is_empty()).collect();
    let rows: Vec<f64> = panels
        .chunks(COLUMNS)
        .map(|row| row.iter().map(|(_, bars)| TITLE + bars.height()).fold(0.0, f64::max))
        .collect();
    let width = COLUMNS as f64 * bars::WIDTH + (COLUMNS - 1) as f64 * GAP + 2.0 * MARGIN;
    let height = rows.iter().sum::<f64>() + rows.len().saturating_sub(1) as f64 * MARGIN + 2.0 * MARGIN + FOOT;

    let picture = draw(width, height, |canvas| {
        canvas.rectangle((0.0, 0.0), (width, height), Ink::Surface)?;
        let mut y = MARGIN;
        for (panels, height) in panels.chunks(COLUMNS).zip(&rows) {
            for (column, (view, bars)) in panels.iter().enumerate() {
                let x = MARGIN + column as f64 * (bars::WIDTH + GAP);
                panel(&canvas.part((x, y), (bars::WIDTH, *height)), view, bars)?;
            }
            y += height + MARGIN;
        }
        for (line, note) in NOTES.iter().rev().enumerate() {
            let y = height - MARGIN + 6.0 - 17.0 * line as f64;
            canvas.text(note, (MARGIN, y), Type::new(11.5, Ink::Muted))?;
        }
        Ok(())
    })?;
    let alternatives: Vec<_> = panels.iter().map(|(_, bars)| bars.alternative()).collect();
    Ok(picture.standalone("kv and its peers", &alternatives.join(" ")))
}

const NOTES: [&str; 2] = [
    "Medians of the repetitions, from the smallest to the largest. Dashed line: the machine without an engine.",
    "At the right: what a write survives; only engines that keep the same are in a chart. Above 1×, kv is better.",
];

fn panel(canvas: &Canvas<'_>, view: &View<'_>, bars: &Bars<'_>) -> Result {
    canvas.text(view.title, (0.0, 8.0), Type::new(15.0, Ink::Text).bold(true))?;
    if let Some(rival) = view.ratio.and_then(|ratio| ratio.best_peer.as_ref()) {
        let verdict = Verdict::of(rival.ratio);
        let ink = match verdict {
            Verdict::Ahead => Ink::Ahead,
            Verdict::Even => Ink::Muted,
            Verdict::Behind => Ink::Behind,
        };
        let text = format!("{} {} the best peer, {}", verdict.sign(), number::ratio(rival.ratio), rival.engine);
        canvas.text(&text, (0.0, 28.0), Type::new(12.5, ink))?;
    }
    bars.draw(&canvas.part((0.0, TITLE), (bars::WIDTH, bars.height())))
}
