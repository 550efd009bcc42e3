//! The report as one HTML page that loads no other file.

use std::fmt::Write as _;

use kv_bench::harness::{
    engine::{Level, Result, Role},
    number,
    summary::{Rival, Summary},
    workloads::Metric,
};

use super::{
    bars::Bars,
    canvas::escaped,
    curves::Curves,
    palette,
    view::{Section, Verdict, View, clause},
    wording,
};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn html(views: &[View<'_>], summary: &Summary) -> Result<String> {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str(
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>kv and its peers</title>\n",
    );
    let _ = writeln!(page, "<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>", palette::style());
    head(&mut page, views, summary);
    glance(&mut page, views);
    charts(&mut page, views)?;
    engines(&mut page, views, summary);
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(page)
}

fn head(page: &mut String, views: &[View<'_>], summary: &Summary) {
    let (ahead, compared) = wording::score(views);
    let _ = writeln!(page, "<header>\n<h1>kv and its peers</h1>");
    let lead = match compared {
        0 => "No peer that keeps the same promise was measured.".to_owned(),
        _ => format!("kv is ahead of the best peer that keeps the same promise in {ahead} of {compared} workloads."),
    };
    let _ = writeln!(page, "<p class=\"lead\">{lead}</p>");
    page.push_str("<dl class=\"facts\">\n");
    fact(page, "Measured", &format!("kv {}, {}", escaped(&summary.version), escaped(&summary.started)));
    fact(page, "By", &format!("<code>{}</code>", escaped(&summary.command)));
    fact(page, "Machine", &lines(&summary.machine));
    fact(page, "Scale", &lines(&summary.scale));
    page.push_str("</dl>\n");
    if !summary.notes.is_empty() {
        page.push_str("<section class=\"notes\">\n<h2>Notes</h2>\n");
        list(page, &summary.notes);
        page.push_str("</section>\n");
    }
    page.push_str("</header>\n");
}

fn fact(page: &mut String, term: &str, html: &str) {
    if !html.is_empty() {
        let _ = writeln!(page, "<div><dt>{term}</dt><dd>{html}</dd></div>");
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br>")
}

fn list(page: &mut String, items: &[String]) {
    page.push_str("<ul>\n");
    for item in items {
        let _ = writeln!(page, "<li>{}</li>", escaped(item));
    }
    page.push_str("</ul>\n");
}

fn glance(page: &mut String, views: &[View<'_>]) {
    page.push_str("<h2>At a glance</h2>\n<div class=\"glance\">\n<section class=\"panel\">\n");
    open_scroll(page, "kv against the best peer and the limit");
    page.push_str("<table>\n<thead><tr><th>workload</th><th class=\"n\">kv is</th><th class=\"n\">kv</th>");
    page.push_str(
        "<th class=\"n\">best peer</th><th class=\"n\">kv is</th><th class=\"n\">limit</th></tr></thead>\n<tbody>\n",
    );
    for (view, ratio) in views.iter().filter_map(|view| Some((view, view.ratio?))) {
        let unit = ratio.metric.unit();
        let _ =
            write!(page, "<tr><th scope=\"row\"><a href=\"#{}\">{}</a></th>", escaped(view.name), escaped(view.title));
        let (peer, limit) = (ratio.best_peer.as_ref(), ratio.limit.as_ref());
        let lost = peer.is_some_and(|peer| Verdict::of(peer.ratio) == Verdict::Behind);
        let class = if lost { "n loses" } else { "n" };
        let judgement = peer.map_or("–".to_owned(), |peer| judged(Verdict::of(peer.ratio), peer.ratio));
        let _ = write!(
            page,
            "<td class=\"{class}\">{judgement}</td><td class=\"n\">{}</td>",
            number::value(ratio.ours, unit)
        );
        // No verdict against the limit: staying below it is not a loss.
        let of_limit = limit.map_or("–".to_owned(), |limit| number::ratio(limit.ratio));
        let (peer, limit) = (rival(peer, unit), rival(limit, unit));
        let _ = write!(page, "<td class=\"n\">{peer}</td><td class=\"n\">{of_limit}</td><td class=\"n\">{limit}</td>");
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n</section>\n<div>\n<section class=\"panel\">\n<h3>Where kv loses</h3>\n");
    list(page, &wording::losses(views));
    page.push_str("</section>\n</div>\n</div>\n");
}

fn rival(rival: Option<&Rival>, unit: &str) -> String {
    let Some(rival) = rival else { return "–".to_owned() };
    format!("<span class=\"engine\">{}</span> {}", escaped(&rival.engine), number::value(rival.median, unit))
}

/// A ratio with the sign of its verdict, and the verdict as a word for screen readers.
fn judged(verdict: Verdict, ratio: f64) -> String {
    let (sign, word) = (verdict.sign(), verdict.word());
    format!(
        "<span class=\"{word}\"><span role=\"img\" aria-label=\"{word}\">{sign}</span> {}</span>",
        number::ratio(ratio)
    )
}

fn charts(page: &mut String, views: &[View<'_>]) -> Result {
    if views.is_empty() {
        page.push_str("<p>Nothing was measured.</p>\n");
        return Ok(());
    }
    page.push_str("<h2>How to read the charts</h2>\n");
    page.push_str(LEGEND);
    let mut groups: Vec<&str> = Vec::new();
    for group in views.iter().map(View::group) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    page.push_str("<div class=\"groups\">\n");
    for group in groups {
        let cards: Vec<_> = views.iter().filter(|view| view.group() == group).map(cards).collect::<Result<_>>()?;
        let cards = cards.concat();
        let size = ["one", "two", "many"][cards.len().clamp(1, 3) - 1];
        let _ = writeln!(
            page,
            "<section class=\"{size}\">\n<h2>{group}</h2>\n<div class=\"grid\">{}</div>\n</section>",
            cards.concat()
        );
    }
    page.push_str("</div>\n");
    Ok(())
}

/// The bar chart of a workload, and its latency chart if it has latencies.
fn cards(view: &View<'_>) -> Result<Vec<String>> {
    let mut cards = vec![workload(view)?];
    if let Some(curves) = Curves::of(view) {
        cards.push(latencies(view, &curves)?);
    }
    Ok(cards)
}

const LEGEND: &str = r#"<section class="panel">
<ul class="legend">
<li><span class="key of-ours"></span>kv</li>
<li><span class="key of-peer"></span>peers with the promise that was asked for, the best first</li>
<li><span class="key of-limit"></span>the machine without an engine</li>
<li><span class="key of-dashes"></span>the limit, across the ranking</li>
<li><span class="key of-pale"></span>peers with another promise: not compared</li>
<li><span class="key of-frame"></span>parts, and maps in memory</li>
<li><span class="key of-spread"></span>smallest to largest repetition</li>
</ul>
<p class="small">Figures are medians of the repetitions. A ratio above 1 means that kv is better, whatever the metric. To the right of
each figure is what a write survives once it has returned. Disk: a power cut. Process: a killed process. Later: neither, until a later
flush. Nothing: no data are stored. † marks a measurement that other processes disturbed.</p>
</section>
"#;

fn workload(view: &View<'_>) -> Result<String> {
    let mut page = String::new();
    let _ = writeln!(page, "<article id=\"{}\">\n<h3>{}</h3>", escaped(view.name), escaped(view.title));
    let what = wording::what(view);
    if !what.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", escaped(&what));
    }
    if let Some(verdict) = verdict(view) {
        let _ = writeln!(page, "<p class=\"verdict\">{verdict}</p>");
    }
    let bars = Bars::all(view);
    if !bars.is_empty() {
        let picture = bars.picture()?.inline(view.title, &bars.alternative());
        let _ = writeln!(page, "<figure>{picture}");
        if view.rows().any(|row| row.mapped.is_some()) {
            page.push_str("<figcaption><p>Pale, and the second number: memory that maps files, which the kernel reclaims when it needs to.</p></figcaption>\n");
        }
        page.push_str("</figure>\n");
    }
    figures(&mut page, view);
    page.push_str("</article>\n");
    Ok(page)
}

fn verdict(view: &View<'_>) -> Option<String> {
    let ratio = view.ratio?;
    let peer = ratio.best_peer.as_ref().map(|peer| {
        format!("{} the best peer, {}", judged(Verdict::of(peer.ratio), peer.ratio), escaped(&peer.engine))
    });
    let limit = ratio.limit.as_ref().map(|limit| format!("{} the limit", number::ratio(limit.ratio)));
    let parts: Vec<_> = peer.into_iter().chain(limit).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

fn latencies(view: &View<'_>, curves: &Curves<'_>) -> Result<String> {
    let mut page = String::new();
    let picture = curves.picture()?.inline(&format!("{}: latencies", view.title), &curves.alternative());
    let _ = writeln!(page, "<article>\n<h3>{}: latencies</h3>\n<figure>{picture}", escaped(view.title));
    let remarks = curves.remarks();
    if !remarks.is_empty() {
        page.push_str("<figcaption>");
        for remark in remarks {
            let _ = write!(page, "<p>{}</p>", escaped(&remark));
        }
        page.push_str("</figcaption>\n");
    }
    page.push_str("</figure>\n</article>\n");
    Ok(page)
}

/// All figures of a workload, as tables.
fn figures(page: &mut String, view: &View<'_>) {
    page.push_str("<details><summary>All figures</summary>\n");
    open_scroll(page, view.title);
    page.push_str("<table>\n<thead><tr><th>engine</th><th>promise</th>");
    let _ = write!(page, "<th class=\"n\">{}</th><th class=\"n\">kv is</th>", view.metric.name());
    page.push_str("<th class=\"n\">min to max</th><th class=\"n\">runs</th></tr></thead>\n<tbody>\n");
    for row in Section::ALL.into_iter().flat_map(|section| view.section(section)) {
        let (figure, times) = (row.figure, view.ratio_to(&row).map_or("–".to_owned(), number::ratio));
        let _ = write!(page, "<tr{}><th scope=\"row\">{}</th>", class(row.role), escaped(&figure.engine));
        let _ = write!(page, "<td>{}</td>", figure.promise.name());
        for cell in [wording::median(figure), times, wording::spread(figure), figure.runs.to_string()] {
            let _ = write!(page, "<td class=\"n\">{}</td>", escaped(&cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    let metrics = view.other_metrics();
    if !metrics.is_empty() {
        others(page, view, &metrics);
    }
    page.push_str("</details>\n");
}

fn others(page: &mut String, view: &View<'_>, metrics: &[Metric]) {
    open_scroll(page, &format!("{}, other metrics", view.title));
    page.push_str("<table>\n<thead><tr><th>engine</th><th>promise</th>");
    for metric in metrics {
        let _ = write!(page, "<th class=\"n\">{}</th>", metric.name());
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for figure in view.others() {
        let (class, name) = (class(view.role(&figure.engine)), escaped(&figure.engine));
        let _ = write!(page, "<tr{class}><th scope=\"row\">{name}</th><td>{}</td>", figure.promise.name());
        for metric in metrics {
            let median = view.of(figure, *metric).map_or("–".to_owned(), wording::median);
            let _ = write!(page, "<td class=\"n\">{}</td>", escaped(&median));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

fn class(role: Role) -> &'static str {
    if role == Role::Ours { " class=\"ours\"" } else { "" }
}

fn engines(page: &mut String, views: &[View<'_>], summary: &Summary) {
    if summary.engines.is_empty() {
        return;
    }
    page.push_str("<h2>The engines and their settings</h2>\n<section class=\"panel\">\n");
    open_scroll(page, "The engines and their settings");
    page.push_str("<table>\n<thead><tr><th>engine</th><th>what it is</th><th>set up to survive a power cut</th>");
    page.push_str("<th>set up to survive a killed process</th></tr></thead>\n<tbody>\n");
    for engine in &summary.engines {
        let settings = |settings: &Option<String>, level| match settings {
            Some(settings) => escaped(settings) + &wording::keeps(views, &engine.name, level),
            None => "–".to_owned(),
        };
        let (disk, process) = (settings(&engine.disk, Level::Disk), settings(&engine.process, Level::Process));
        let _ = write!(
            page,
            "<tr{}><th scope=\"row\">{}</th><td>{}</td>",
            class(engine.role),
            escaped(&engine.name),
            clause(engine.role)
        );
        let _ = writeln!(page, "<td class=\"settings\">{disk}</td><td class=\"settings\">{process}</td></tr>");
    }
    let _ = writeln!(page, "</tbody></table></div>\n<p>{}</p>\n</section>", wording::LOADED);
}

/// Opens a box in which a wide table scrolls, also with the keyboard.
fn open_scroll(page: &mut String, label: &str) {
    let _ = writeln!(page, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">", escaped(label));
}
