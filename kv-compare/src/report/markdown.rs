//! The report in Markdown, whose tables are readable in an editor and in a browser.

use std::fmt::Write as _;

use kv_bench::harness::{
    engine::Level,
    number,
    summary::{Rival, Summary},
};

use super::{
    view::{Row, Section, Verdict, View, clause},
    wording,
};

/// The whole report.
pub fn text(views: &[View<'_>], summary: &Summary) -> String {
    let mut text = String::from("# kv and its peers\n\n");
    head(&mut text, summary);
    ratios(&mut text, views);
    engines(&mut text, views, summary);
    for view in views {
        workload(&mut text, view);
    }
    text
}

fn head(text: &mut String, summary: &Summary) {
    let _ = writeln!(text, "kv {}, measured on {}, by\n", plain(&summary.version), plain(&summary.started));
    // Indented: Markdown interprets nothing in a code block.
    let _ = writeln!(text, "    {}\n", summary.command.replace(['\r', '\n'], " "));
    list(text, "Machine", &summary.machine);
    list(text, "Scale", &summary.scale);
    list(text, "Notes", &summary.notes);
    text.push_str(
        "Figures are medians of the repetitions. A ratio above 1 means that kv is better, whatever the metric. Only figures \
         with the same promise are compared. A promise is what a write survives once it has returned (*disk*: a power cut; \
         *process*: a killed process; *later*: neither, until a later flush; *nothing* is stored). A † marks a measurement \
         that other processes disturbed.\n\n",
    );
}

fn list(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "## {heading}\n");
    for line in lines {
        let _ = writeln!(text, "- {}", plain(line));
    }
    text.push('\n');
}

fn engines(text: &mut String, views: &[View<'_>], summary: &Summary) {
    text.push_str("## Engines\n\n");
    let settings = |settings: &Option<String>, engine: &str, level| match settings {
        Some(settings) => format!("{}{}", plain(settings), wording::keeps(views, engine, level)),
        None => "–".to_owned(),
    };
    let rows = summary.engines.iter().map(|engine| {
        vec![
            plain(&engine.name),
            clause(engine.role).to_owned(),
            settings(&engine.disk, &engine.name, Level::Disk),
            settings(&engine.process, &engine.name, Level::Process),
        ]
    });
    let _ = writeln!(text, "{}\n", wording::LOADED);
    table(
        text,
        &["engine", "what it is", "set up to survive a power cut", "set up to survive a killed process"],
        "llll",
        rows,
    );
}

fn workload(text: &mut String, view: &View<'_>) {
    let _ = writeln!(text, "## {}\n", plain(view.title));
    let better = if view.metric.more_is_better() { "more" } else { "less" };
    let name = plain(view.name);
    let _ =
        writeln!(text, "{} (`{name}`, by {}: {better} is better.)\n", plain(&wording::what(view)), view.metric.name());
    let rows = Section::ALL.into_iter().flat_map(|section| view.section(section)).map(|row| cells(view, &row));
    table(text, &["engine", "promise", "median", "min to max", "ours/it"], "llrrr", rows);

    let metrics = view.other_metrics();
    if metrics.is_empty() {
        return;
    }
    let headings: Vec<_> =
        ["engine", "promise"].into_iter().chain(metrics.iter().map(|metric| metric.name())).collect();
    let rows = view.others().into_iter().map(|figure| {
        let measured = metrics.iter().map(|metric| view.of(figure, *metric).map_or("–".to_owned(), wording::median));
        [plain(&figure.engine), figure.promise.name().to_owned()].into_iter().chain(measured).collect()
    });
    table(text, &headings, &format!("ll{}", "r".repeat(metrics.len())), rows);
}

fn cells(view: &View<'_>, row: &Row<'_>) -> Vec<String> {
    vec![
        plain(&row.figure.engine),
        row.figure.promise.name().to_owned(),
        wording::median(row.figure),
        wording::spread(row.figure),
        view.ratio_to(row).map_or("–".to_owned(), number::ratio),
    ]
}

fn ratios(text: &mut String, views: &[View<'_>]) {
    text.push_str("## kv against the best peer and the limit\n\n");
    let rows = views.iter().filter_map(|view| {
        let ratio = view.ratio?;
        let value = |median| number::value(median, ratio.metric.unit());
        let name = |rival: &Rival| format!("{} {}", plain(&rival.engine), value(rival.median));
        let none = || ["–", "–"].map(str::to_owned);
        let judged = |rival: &Rival| format!("{} {}", Verdict::of(rival.ratio).sign(), number::ratio(rival.ratio));
        let peer = ratio.best_peer.as_ref().map_or_else(none, |rival| [name(rival), judged(rival)]);
        // No verdict against the limit: staying below it is not a loss.
        let limit = ratio.limit.as_ref().map_or_else(none, |rival| [name(rival), number::ratio(rival.ratio)]);
        Some([plain(view.title), value(ratio.ours)].into_iter().chain(peer).chain(limit).collect())
    });
    table(text, &["workload", "kv", "best peer", "ratio", "limit", "ratio"], "lrrrrr", rows);
    text.push_str("## Where kv loses\n\n");
    for line in wording::losses(views) {
        let _ = writeln!(text, "- {}", plain(&line));
    }
    text.push('\n');
}

/// A table. `alignment` has a letter for each column, `l` or `r`.
fn table(text: &mut String, headings: &[&str], alignment: &str, rows: impl Iterator<Item = Vec<String>>) {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let rules: Vec<_> = alignment.chars().map(|letter| if letter == 'r' { "--:" } else { "---" }).collect();
    text.push_str(&line(headings));
    text.push_str(&line(&rules));
    for row in rows {
        text.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    text.push('\n');
}

/// A text in which Markdown interprets nothing.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => plain.push(' '),
            '\\' | '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '#' | '~' => plain.extend(['\\', letter]),
            '&' => plain.push_str("&amp;"),
            letter => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_interprets_nothing_in_a_plain_text() {
        assert_eq!(plain("a|b\n<c> *d* & [e]"), "a\\|b \\<c\\> \\*d\\* &amp; \\[e\\]");
    }
}
