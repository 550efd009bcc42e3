//! The comparison as its user runs it, on a small scale.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    collections::HashSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use kv_bench::harness::{
    summary::Summary,
    workloads::{WORKLOADS, When, Workload},
};

const LITTLE: &str = "--entries 3000 --large-entries 4000 --seconds 0.02";

/// Runs the command with the arguments, which are separated by spaces.
fn compare(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kv-compare"))
        .arg("--output")
        .arg(directory)
        .args(arguments.split(' '))
        .output()
        .unwrap()
}

fn succeeds(directory: &Path, arguments: &str) -> (Summary, String) {
    let output = compare(directory, arguments);
    assert!(output.status.success(), "{output:?}");
    let json = fs::read(directory.join("compare.json")).unwrap();
    (serde_json::from_slice(&json).unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// What is measured without being named, wherever it is.
fn usual() -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(|workload| matches!(workload.when, When::Always | When::Unhurried))
}

#[test]
fn every_workload_is_measured_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.json");
    let arguments = format!("{LITTLE} --repetitions 1 --json {}", copy.display());
    let (summary, _) = succeeds(directory.path(), &arguments);
    let (mut measured, mut compared) = (HashSet::new(), HashSet::new());
    measured.extend(
        summary.results.iter().filter(|figure| figure.engine == "kv").map(|figure| (&*figure.workload, figure.metric)),
    );
    compared.extend(summary.ratios.iter().map(|ratio| &*ratio.workload));
    for workload in usual() {
        assert!(measured.contains(&(workload.name, workload.headline)), "{}", workload.name);
        assert!(compared.contains(workload.name), "{}", workload.name);
    }
    assert!(summary.results.iter().all(|figure| figure.min <= figure.median && figure.median <= figure.max));
    assert!(summary.results.iter().all(|figure| figure.median >= 0.0 && figure.runs == 1));
    assert!(
        !summary.notes.iter().any(|note| note.contains("failed") || note.contains("not complete")),
        "{:?}",
        summary.notes
    );
    assert_eq!(fs::read(copy).unwrap(), fs::read(directory.path().join("compare.json")).unwrap());
    for file in ["index.html", "report.md"] {
        let text = fs::read_to_string(directory.path().join(file)).unwrap();
        assert!(usual().all(|workload| text.contains(workload.title)), "{file}");
    }
    assert!(!directory.path().join("data").exists());
}

#[test]
fn the_report_names_the_command_that_repeats_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!("{LITTLE} --engines kv --only load --repetitions 1");
    let (summary, printed) = succeeds(directory.path(), &arguments);
    assert!(summary.command.starts_with("cargo xtask compare --only load --engines kv"), "{}", summary.command);
    assert!(printed.contains("index.html"), "{printed}");
    let (again, _) = succeeds(directory.path(), "--report");
    assert_eq!((again.command, again.results.len()), (summary.command, summary.results.len()));
}
