//! What a run found, as files that people and programs read.

mod bars;
mod canvas;
mod curves;
mod headline;
mod ink;
mod markdown;
mod number;
mod page;
mod summarized;
mod view;

use std::{fs, path::Path};

use super::{
    engine::Result,
    summary::Summary,
    workloads::{WORKLOADS, Workload},
};
use view::View;

/// The workloads of `headline.svg`: those that a reader asks for first.
pub const HEADLINES: &[&str] =
    &["put-disk-1", "put-disk-64", "put-process-1", "load", "get-1", "iterate", "open-clean", "open-killed"];

/// Writes `index.html`, `report.md`, which has all figures too, `compare.json` and `headline.svg` into a directory, which is created if need be.
///
/// # Errors
/// If a file cannot be written.
pub fn write(summary: &Summary, directory: &Path) -> Result {
    write_with(summary, WORKLOADS, directory)
}

fn write_with(summary: &Summary, catalogue: &[Workload], directory: &Path) -> Result {
    let views = View::all(summary, catalogue);
    fs::create_dir_all(directory)?;
    fs::write(directory.join("index.html"), page::html(&views, summary)?)?;
    fs::write(directory.join("report.md"), markdown::text(&views, summary))?;
    fs::write(directory.join("headline.svg"), headline::svg(&views, HEADLINES)?)?;
    fs::write(directory.join("compare.json"), serde_json::to_vec_pretty(summary)?)?;
    Ok(())
}

#[cfg(test)]
mod example;
#[cfg(test)]
mod tests;
