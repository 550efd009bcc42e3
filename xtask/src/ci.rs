//! Everything that continuous integration checks. It changes no file outside of cargo's target
//! directory.

use std::{
    env,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    Result, asan,
    command::{cargo, cargo_command, run as run_command},
    compare, crash, dependency_rules, loom,
    metadata::{self, WORKSPACES},
    mutants, packages, tidy,
};

struct Step {
    name: &'static str,
    checks: &'static str,
    /// What the step needs and this machine may lack.
    needs: Option<Need>,
    check: fn() -> Result,
}

struct Need {
    is_met: fn() -> bool,
    /// What to print if the need is not met.
    otherwise: &'static str,
}

const CARGO_DENY: Need = Need {
    is_met: || is_installed("deny"),
    otherwise: "cargo deny is not installed, so deny.toml is checked only in part",
};
const ADDRESS_SANITIZER: Need = Need {
    is_met: asan::is_available,
    otherwise: "this toolchain has no AddressSanitizer for this machine, so reads beyond maps and buffers are not checked",
};

const GIT: Need =
    Need { is_met: tidy::is_available, otherwise: "git does not know this directory, so its files are not checked" };

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Passed,
    Skipped,
    Failed,
}

/// The cheap ones first: they fail early.
const STEPS: &[Step] = &[
    step("lock", "the lock files are current", packages::check_lock),
    Step {
        needs: Some(GIT),
        ..step("tidy", "prose is narrow, links lead to something, odd words are avoided", tidy::check)
    },
    step("edges", "crates use each other as ARCHITECTURE.md says", dependency_rules::check),
    step("sources", "packages come from the registry", packages::check_sources),
    step("licences", "packages have licences that deny.toml allows", packages::check_licences),
    Step { needs: Some(CARGO_DENY), ..step("deny", "licences, bans and sources of deny.toml", deny) },
    step("fmt", "the code is formatted", fmt),
    step("clippy", "no lint warns, in tests and benchmarks too", clippy),
    step(
        "features",
        "with features, no lint warns, events tell what a store does, and typed collections work",
        features,
    ),
    step("docs", "the documentation builds without a warning", docs),
    step("package", "the library crates can be packaged for a registry", package),
    step("loom", "locks and atomics are right in every interleaving that loom tries", loom::run),
    step("tests", "cargo test --workspace", || cargo(["test", "--workspace"])),
    step("compare", "the comparison works, without its peers", compare::test),
    Step { needs: Some(ADDRESS_SANITIZER), ..step("asan", "no test of maps reads outside of a map", asan::run) },
    step("crash", "crashes, failures, full disks and damage on a simulated disk do no harm", || crash::run(&[])),
    step("mutants", "the tests catch known bugs (a fast subset)", || mutants::run(&["--quick"])),
];

const fn step(name: &'static str, checks: &'static str, check: fn() -> Result) -> Step {
    Step { name, checks, needs: None, check }
}

/// The names of the steps and what they check, one per line.
pub fn steps_help() -> String {
    STEPS.iter().map(|step| format!("  {:10} {}\n", step.name, step.checks)).collect()
}

/// Runs all steps, even after one has failed, and then prints how each went.
pub fn run(arguments: &[&str]) -> Result {
    let mut results = Vec::new();
    for step in selected(arguments)? {
        println!("==> {}: {}", step.name, step.checks);
        let start = Instant::now();
        let outcome = outcome(step);
        results.push((step.name, start.elapsed(), outcome));
    }
    summarize(&results)
}

fn outcome(step: &Step) -> Outcome {
    if let Some(need) = &step.needs
        && !(need.is_met)()
    {
        println!("SKIPPED: {}", need.otherwise);
        return Outcome::Skipped;
    }
    match (step.check)() {
        Ok(()) => Outcome::Passed,
        Err(message) => {
            println!("{message}");
            Outcome::Failed
        }
    }
}

fn is_installed(command: &str) -> bool {
    let version = cargo_command().args([command, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
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

fn summarize(results: &[(&str, Duration, Outcome)]) -> Result {
    println!();
    for (name, time, outcome) in results {
        println!("{name:10} {:6.1} s  {outcome:?}", time.as_secs_f64());
    }
    let failed = results.iter().filter(|(.., outcome)| *outcome == Outcome::Failed);
    let failed: Vec<&str> = failed.map(|(name, ..)| *name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn fmt() -> Result {
    cargo(["fmt", "--all", "--check"])?;
    run_command(&mut compare::cargo("fmt", &["--check"])?)
}

fn clippy() -> Result {
    cargo(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    run_command(&mut compare::cargo("clippy", &["--locked", "--all-targets", "--", "-D", "warnings"])?)
}

fn features() -> Result {
    let with_all = |command| {
        let mut cargo = cargo_command();
        cargo.args([command, "--locked", "--package", "kv-store", "--features", "serde,tracing"]);
        cargo
    };
    let lints = ["--package", "kv-core", "--package", "kv-wal", "--all-targets", "--", "-D", "warnings"];
    run_command(with_all("clippy").args(lints))?;
    run_command(with_all("doc").arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"))?;
    run_command(with_all("test").args(["--test", "traced", "--test", "typed"]))?;
    run_command(with_all("test").args(["--doc", "typed"]))
}

fn docs() -> Result {
    let flags = format!("{} -D warnings", env::var("RUSTDOCFLAGS").unwrap_or_default());
    let mut workspace = cargo_command();
    run_command(workspace.args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", &flags))?;
    run_command(compare::cargo("doc", &["--locked", "--no-deps"])?.env("RUSTDOCFLAGS", &flags))
}

/// The members that are not libraries for others.
const NOT_PACKAGED: [&str; 4] = ["kv-bench", "kv-cli", "kv-fuzz", "xtask"];

fn package() -> Result {
    let mut command = cargo_command();
    command.args(["package", "--workspace", "--offline", "--locked", "--no-verify", "--allow-dirty"]);
    run_command(command.args(NOT_PACKAGED.map(|name| ["--exclude", name]).as_flattened()))
}

fn deny() -> Result {
    WORKSPACES.into_iter().try_for_each(|workspace| {
        let mut command = cargo_command();
        command.args(["deny", "--offline", "--manifest-path"]).arg(metadata::manifest(workspace));
        // Versions differ in where they look for a relative path.
        command.args(["check", "--config"]).arg(crate::root().join("deny.toml"));
        run_command(command.args(["licenses", "bans", "sources"]))
    })
}
