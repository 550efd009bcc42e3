//! Runs the benchmarks.

use crate::{
    Result,
    command::{cargo_command, run as run_command},
    metadata,
};

/// Criterion's settings, and the number of entries, for a run that only shows that the benchmarks
/// work. Full runs are not compared with it.
const QUICK_ARGUMENTS: [&str; 8] =
    ["--warm-up-time", "0.1", "--measurement-time", "0.5", "--sample-size", "10", "--save-baseline", "quick"];
const QUICK_ENTRIES: &str = "20000";

pub fn run(arguments: &[&str]) -> Result {
    let (options, filters): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|argument| argument.starts_with('-'));
    if options.iter().any(|option| *option != "--quick") || filters.len() > 1 {
        return Err("usage: cargo xtask bench [FILTER] [--quick]".to_owned());
    }
    let mut command = cargo_command();
    command.args(["bench", "--locked", "--package", "kv-bench", "--"]).args(filters);
    if !options.is_empty() {
        command.args(QUICK_ARGUMENTS).env("KV_BENCH_ENTRIES", QUICK_ENTRIES);
    }
    run_command(&mut command)?;
    println!(
        "the figures of this run, with which the next one is compared: {}",
        metadata::workspace()?.target_directory.join("criterion").display()
    );
    Ok(())
}
