//! Words and sentences that the page and the Markdown report share.

use kv_bench::harness::{engine::Level, number, summary::Figure};

use super::view::{Verdict, View};

/// Which settings a workload uses if it does not measure puts at one of the levels.
pub const LOADED: &str = "Loads, and everything that is read, opened or weighed after a load, use the settings that \
     survive a killed process, if an engine has them. The load ends with a sync: from then on the data are on disk.";

/// The median, marked if the figure was disturbed.
pub fn median(figure: &Figure) -> String {
    let disturbed = if figure.disturbed { " †" } else { "" };
    format!("{}{disturbed}", number::value(figure.median, &figure.unit))
}

/// The smallest and the largest repetition: "9.20 to 9.90 k/s".
pub fn spread(figure: &Figure) -> String {
    let [min, max] = [figure.min, figure.max].map(|value| number::value(value, &figure.unit));
    match (min.split_once(' '), max.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} to {max}"),
        _ => format!("{min} to {max}"),
    }
}

/// What a workload does, as a sentence. Empty if the workload is not in the catalogue.
pub fn what(view: &View<'_>) -> String {
    let what = view.what.trim_end_matches('.');
    if what.is_empty() { String::new() } else { format!("{}.", number::capital(what)) }
}

/// The promises of an engine's figures at a level: "; keeps: disk".
pub fn keeps(views: &[View<'_>], engine: &str, level: Level) -> String {
    let mut promises = Vec::new();
    for view in views.iter().filter(|view| view.level == Some(level)) {
        for row in view.rows().filter(|row| row.figure.engine == engine) {
            let promise = row.figure.promise.name();
            if !promises.contains(&promise) {
                promises.push(promise);
            }
        }
    }
    if promises.is_empty() { String::new() } else { format!("; keeps: {}", promises.join(", ")) }
}

/// In how many workloads ours is better than the best peer, and in how many there is a peer.
pub fn score(views: &[View<'_>]) -> (usize, usize) {
    let peers = || views.iter().filter_map(|view| view.ratio?.best_peer.as_ref());
    (peers().filter(|rival| Verdict::of(rival.ratio) == Verdict::Ahead).count(), peers().count())
}

/// A sentence for each workload in which a peer is better, the largest loss first.
pub fn losses(views: &[View<'_>]) -> Vec<String> {
    let rivals = views.iter().filter_map(|view| Some((view, view.ratio?, view.ratio?.best_peer.as_ref()?)));
    let mut lost: Vec<_> = rivals.filter(|(_, _, rival)| Verdict::of(rival.ratio) == Verdict::Behind).collect();
    lost.sort_by(|one, other| one.2.ratio.total_cmp(&other.2.ratio));
    let sentences = lost.into_iter().map(|(view, ratio, rival)| {
        let [ours, theirs] = [ratio.ours, rival.median].map(|median| number::value(median, ratio.metric.unit()));
        let overlap = if view.overlaps(rival) { "; the repetitions overlap" } else { "" };
        format!(
            "{}: {ours} against {theirs} of {} ({}{overlap}).",
            view.title,
            rival.engine,
            number::ratio(rival.ratio)
        )
    });
    let sentences: Vec<_> = sentences.collect();
    match (sentences.is_empty(), score(views)) {
        (false, _) => sentences,
        (true, (_, 0)) => vec!["Nothing was compared with a peer.".to_owned()],
        (true, _) => vec!["Nowhere, against peers that keep the same promise.".to_owned()],
    }
}
