//! The report of a run, as files for people and programs.

mod bars;
mod canvas;
mod curves;
mod headline;
mod markdown;
mod page;
mod palette;
mod ready;
mod view;
mod wording;

use std::{
    fs,
    path::{Path, PathBuf},
};

use kv_bench::harness::{
    engine::Result,
    summary::Summary,
    workloads::{WORKLOADS, Workload},
};
use view::View;

/// Writes `index.html`, `report.md`, `headline.svg` and `ready.svg` into a directory, which is
/// created if it does not exist. The first two have all figures. Returns the path of `index.html`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(summary: &Summary, directory: &Path) -> Result<PathBuf> {
    write_with(summary, WORKLOADS, directory)
}

fn write_with(summary: &Summary, catalogue: &[Workload], directory: &Path) -> Result<PathBuf> {
    let views = View::all(summary, catalogue);
    fs::create_dir_all(directory)?;
    let page = directory.join("index.html");
    fs::write(&page, page::html(&views, summary)?)?;
    fs::write(directory.join("report.md"), markdown::text(&views, summary))?;
    fs::write(directory.join("headline.svg"), headline::svg(&views)?)?;
    fs::write(directory.join("ready.svg"), ready::svg(&views, &summary.sizes)?)?;
    Ok(page)
}

#[cfg(test)]
mod example;
#[cfg(test)]
mod results_file;
#[cfg(test)]
mod tests;
