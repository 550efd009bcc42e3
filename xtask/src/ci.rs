//! Everything that continuous integration checks. It changes no file outside cargo's target directory.

use std::{
    env,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    Result,
    command::{cargo, cargo_command, run as run_command},
    edges, packages,
};

struct Step {
    name: &'static str,
    checks: &'static str,
    check: fn() -> Result,
}

/// The cheap ones first: they fail early.
const STEPS: &[Step] = &[
    Step { name: "lock", checks: "Cargo.lock is current", check: packages::check_lock },
    Step { name: "edges", checks: "crates use each other as ARCHITECTURE.md says", check: edges::check },
    Step { name: "sources", checks: "packages come from the registry", check: packages::check_sources },
    Step {
        name: "licences",
        checks: "packages are under licences that deny.toml allows",
        check: packages::check_licences,
    },
    Step { name: "deny", checks: "cargo deny, where it is installed", check: deny },
    Step { name: "fmt", checks: "the code is formatted", check: || cargo(["fmt", "--all", "--check"]) },
    Step { name: "clippy", checks: "no lint warns, in tests and benchmarks too", check: clippy },
    Step { name: "docs", checks: "the documentation builds without a warning", check: docs },
    Step { name: "tests", checks: "cargo test --workspace", check: || cargo(["test", "--workspace"]) },
];

/// The names of the steps and what they check, one a line.
pub fn steps_help() -> String {
    STEPS.iter().map(|step| format!("  {:10} {}\n", step.name, step.checks)).collect()
}

/// Runs the steps, all of them though one fail, and then says how each went.
pub fn run(arguments: &[&str]) -> Result {
    let mut results = Vec::new();
    for step in selected(arguments)? {
        println!("==> {}: {}", step.name, step.checks);
        let start = Instant::now();
        let result = (step.check)();
        if let Err(message) = &result {
            println!("{message}");
        }
        results.push((step.name, start.elapsed(), result.is_ok()));
    }
    summarize(&results)
}

fn selected(arguments: &[&str]) -> Result<Vec<&'static Step>> {
    let (mut only, mut skipped) = (Vec::new(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(&argument) = arguments.next() {
        match argument {
            "--skip" => skipped.push(named(arguments.next().ok_or("--skip needs the name of a step")?)?),
            name => only.push(named(name)?),
        }
    }
    let wanted = |step: &&Step| (only.is_empty() || only.contains(&step.name)) && !skipped.contains(&step.name);
    Ok(STEPS.iter().filter(wanted).collect())
}

fn named(name: &str) -> Result<&'static str> {
    let step = STEPS.iter().find(|step| step.name == name);
    step.map(|step| step.name).ok_or_else(|| format!("there is no step {name:?}; the steps are:\n{}", steps_help()))
}

fn summarize(results: &[(&str, Duration, bool)]) -> Result {
    println!();
    for (name, time, passed) in results {
        println!("{:10} {:6.1} s  {}", name, time.as_secs_f64(), if *passed { "ok" } else { "FAILED" });
    }
    let failed: Vec<&str> = results.iter().filter(|(.., passed)| !passed).map(|(name, ..)| *name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn clippy() -> Result {
    cargo(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn docs() -> Result {
    let flags = format!("{} -D warnings", env::var("RUSTDOCFLAGS").unwrap_or_default());
    run_command(cargo_command().args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", flags))
}

fn deny() -> Result {
    let version = cargo_command().args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        println!(
            "SKIPPED: cargo-deny is not installed. Licences and sources are checked without it; duplicate versions"
        );
        println!("and wildcards are not.");
        return Ok(());
    }
    cargo(["deny", "--offline", "check", "licenses", "bans", "sources"])
}
